"""Ways that were found to lose data and stay green, or to be red without a loss: each stays shut."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Quiet, Site, Source, sql_damage
from tests.support.sparse import append_sparse, history_of

from ccdr.checks.decoder import ends_early
from ccdr.engines.files import WAITING, TreeEntry
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.host.clock import SystemClock
from ccdr.jobs.restore_test import course as sandboxed
from ccdr.jobs.restore_test import restore_test
from ccdr.model.values import Verdict
from ccdr.plans.job import Job

IDENTICAL = "restore_test: crm\nchecks:\n  - {kind: identical}\n"


def test_table_rewritten_under_the_dump_is_captured_again(site: Site, source: Source, database: str) -> None:
    """TRUNCATE and rewriting ALTERs do not respect snapshots: the dump would hold an empty table."""
    source.psql("create table big as select g, md5(g::text) t from generate_series(1, 4000) g", database)
    site.crm(source, database, "limits: {lock_wait: 1m}", checks=IDENTICAL)
    with source.session("begin; alter table big alter column g type bigint;", database) as holder:
        backup = site.start("backup", "p", "--json")
        waiting = "select count(*) from pg_locks where not granted"
        deadline = time.monotonic() + 30
        while source.psql(waiting) == "0" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert holder.stdin
        holder.stdin.write("commit;\n")
        holder.stdin.flush()
        said, errors = backup.communicate(timeout=120)
    assert backup.returncode == 0, errors
    manifest = next((site.state / "catalogue" / "p" / "crm").glob("*.json")).read_text("utf-8")
    tables = json.loads(json.loads(manifest)["manifest"])["contents"]["tables"]
    assert tables["public big postgres"]["rows"] == 4000, said
    assert site.run("test", "p").json["verdict"] == "PASS"


def test_rows_altered_in_scratch_are_not_another_row_order(site: Site, source: Source, database: str) -> None:
    """What was fetched must be what was captured before it may explain a difference."""
    source.psql(
        "create table note (id int, t text); insert into note select g, 'x' from generate_series(1, 99) g", database
    )
    site.crm(source, database, checks=IDENTICAL)
    real = "/usr/bin/restic"
    site.write(
        "bin/restic",
        f"""
        #!/bin/bash
        case " $* " in *" backup "*) for f in {site.state}/scratch/capture/p/crm/ccdr-capture/dump/*.dat; do
          sed -i 's/^42\\tx$/42\\ty/' "$f"; done;; esac
        exec {real} "$@"
        """,
        mode=0o755,
    )
    site.backed_up(env={"PATH": f"{site.root}/bin:{os.environ['PATH']}"})
    done = site.run("test", "p")
    assert (done.json["verdict"], done.code) == ("FAIL", 1), done


def test_reprinted_definitions_are_no_failure_but_a_lost_one_is(site: Site, source: Source, database: str) -> None:
    """PostgreSQL prints `varchar in (…)` otherwise after one load; such schemas are everywhere."""
    source.psql(
        "create table lead (s varchar(9) check (s in ('new', 'old')), n int);"
        "create index open_lead on lead (n) where s in ('new', 'late');"
        "create view waiting as select * from lead where s in ('new', 'late');"
        "create materialized view filled as select count(*) from lead",
        database,
    )
    site.crm(source, database, checks=IDENTICAL)
    site.backed_up()
    done = site.damaged_test(sql_damage("select 1", database))
    assert done.verdict is Verdict.PASS, (done.reason, done.checks)
    done = site.damaged_test(sql_damage("drop index open_lead", database))
    objects = next(c for c in done.checks if c.name.startswith("objects"))
    assert done.verdict is Verdict.FAIL and "open_lead" in objects.actual


@pytest.mark.parametrize(
    "sql",
    [
        "alter extension pg_trgm add table customer",
        "create table information_schema.hidden (i int)",
        "alter table call disable trigger all",
    ],
)
def test_what_no_dump_holds_is_not_called_identical(site: Site, source: Source, database: str, sql: str) -> None:
    source.psql("create extension pg_trgm", database)
    if "hidden" in sql:
        source.psql("set allow_system_table_mods = on; " + sql, database)
    else:
        source.psql(sql, database)
    site.crm(source, database, checks=IDENTICAL)
    site.backed_up()
    done = site.run("test", "p")
    assert (done.json["verdict"], done.code) == ("FAIL", 1), done


def test_settings_of_all_roles_and_of_the_database_come_back(site: Site, source: Source, database: str) -> None:
    source.psql(
        f"alter role all set application_name = 'it''s'; alter database {database} set statement_timeout = '90ms'"
    )
    source.psql(
        f"alter database {database} set default_transaction_read_only = on;"
        f"alter database {database} set idle_in_transaction_session_timeout = '50ms';"
        f"alter database {database} set array_nulls = off"
    )
    source.psql(
        "set default_transaction_read_only = off; create table skill (of text[]);"
        "insert into skill values (array['sales', null, 'NULL'])",
        database,
    )
    try:
        site.crm(source, database)
        site.backed_up()
        done = site.run("test", "p")
        assert (done.json["verdict"], done.code) == ("PASS", 0), done
    finally:
        source.psql("alter role all reset application_name")


def test_snapshot_of_something_else_than_the_plan_names(site: Site, source: Source, database: str) -> None:
    site.crm(source, database, checks=IDENTICAL)
    site.backed_up()
    site.crm(source, "postgres", checks=IDENTICAL)
    done, status = site.run("test", "p"), site.run("status")
    assert (done.json["verdict"], done.code) == ("FAIL", 1), done
    rpo = status.json["plans"][0]["assets"][0]["rpo"]
    assert (status.code, rpo["verdict"], rpo["achieved_s"]) == (1, "BREACHED", None)
    site.crm(source, database, checks=IDENTICAL)
    assert site.run("test", "p").code == 0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    made.mkdir()
    (made / "a.wav").write_bytes(b"a" * 100)
    os.utime(made / "a.wav", (1_700_000_000, 1_700_000_000))
    return made


def test_root_that_is_a_link_or_empty_is_a_failed_backup(site: Site, tree: Path) -> None:
    other = site.root / "other"
    site.plan(
        f"recordings:\n  engine: files\n  paths: [{tree}, {other}]\n"
        '  restore_test: {schedule: "0 3 * * 0", checks: [recordings]}'
    )
    site.write("restore_tests/recordings.yaml", "restore_test: recordings\nchecks:\n  - {kind: identical}\n")
    other.symlink_to(tree)
    assert site.run("backup", "p").code == 1
    other.unlink()
    other.mkdir()
    assert site.run("backup", "p").code == 1
    (other / "b").write_bytes(b"b")
    os.utime(other / "b", (1_700_000_000, 1_700_000_000))
    assert site.run("backup", "p").code == 0
    assert site.run("test", "p").code == 0


def test_file_that_never_settles_is_a_finding(site: Site, tree: Path) -> None:
    """It is in no new snapshot, so nothing about it may be green."""
    busy = tree / "busy.db"
    busy.write_bytes(b"1")
    site.recordings(tree, extra="limits: {no_progress: 1m}")
    plan = (site.root / "plans/p.yaml").read_text("utf-8").replace("settle: 1s", "settle: 1m")
    site.write("plans/p.yaml", plan)
    first = site.backed_up()
    assert first.json["notes"] and not first.json["findings"]
    index = next((site.state / "index").glob("*.jsonl"))
    lines = [TreeEntry.parse(line) for line in index.read_text("ascii").splitlines()]
    early = (datetime.now(UTC) - timedelta(hours=1)).timestamp()  # as if that backup had been an hour ago
    index.write_text("".join((e.waiting(early) if e.type == WAITING else e).line() for e in lines), "ascii")
    os.utime(busy)
    second = site.run("backup", "p")
    assert second.json["result"] == "STORED" and second.json["findings"] and second.code == 1
    assert site.run("status").json["plans"][0]["assets"][0]["problems"]


def test_newer_failure_counts_though_a_clock_was_set_back(site: Site, tree: Path) -> None:
    site.recordings(tree)
    site.backed_up()
    records = site.records("backup.end")
    ledger = Ledger(site.state / "ledger", _Earlier())
    for kind, body in (
        ("backup.start", {}),
        ("backup.end", {"result": "FAILED", "reason": "disk full", "snapshot": None}),
    ):
        append_sparse(ledger, kind, plan="p", asset="recordings", run="later", body=body)
    done = site.run("test", "p")
    assert done.json["verdict"] == "FAIL" and "disk full" in done.json["reason"], (done, records)


def test_crashed_backup_shows_while_another_runs(site: Site, tree: Path) -> None:
    site.recordings(tree)
    site.backed_up()
    ledger = Ledger(site.state / "ledger", SystemClock())
    for run in ("crashed", "running"):
        append_sparse(ledger, "backup.start", plan="p", asset="recordings", run=run, body={})
    history = history_of(site.records())[("p", "recordings")]
    history.at_work = ["running"]
    stored = site.records("backup.end")[0]["snapshot"]["id"]
    now = datetime.now(UTC)
    assert "its run crashed never recorded an end" in str(history.failed_since(now, snapshot=stored))


def test_crashed_restore_test_shows_in_status(site: Site, tree: Path) -> None:
    site.recordings(tree)
    site.backed_up()
    assert site.run("test", "p").code == 0
    assert site.run("status").code == 0
    append_sparse(
        Ledger(site.state / "ledger", SystemClock()),
        "restore_test.start",
        plan="p",
        asset="recordings",
        run="killed",
        body={},
    )
    done = site.run("status")
    assert done.code == 1 and "crashed" in str(done.json["plans"][0]["assets"][0]["problems"])


def test_changed_manifest_in_the_catalogue_fails(site: Site, tree: Path) -> None:
    site.recordings(tree)
    site.backed_up()
    entry = next((site.state / "catalogue" / "p" / "recordings").glob("*.json"))
    entry.write_text(entry.read_text("utf-8").replace('\\"files\\":1', '\\"files\\":2'), "utf-8")
    assert site.run("test", "p").json["verdict"] == "FAIL"


def test_cut_ogg_ends_early(tmp_path: Path) -> None:
    page = b"OggS\0" + bytes([0]) + b"x" * 40
    last = b"OggS\0" + bytes([4]) + b"x" * 40
    for name, data, early in (("cut", page * 3, True), ("whole", page * 2 + last, False), ("wav", b"RIFF", False)):
        (tmp_path / name).write_bytes(data)
        assert ends_early(str(tmp_path / name)) is early  # type: ignore[no-untyped-call]


def test_status_of_no_plan_at_all_is_not_green(site: Site) -> None:
    assert site.run("status").code == 2


class _Earlier:
    """A clock that was set back."""

    def now(self) -> datetime:
        return datetime.now(UTC) - timedelta(minutes=4)

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.mark.parametrize("found", [[], None], ids=["nothing", "all of it"])
def test_a_test_whose_checks_show_nothing_passes_nothing(
    site: Site, tree: Path, monkeypatch: pytest.MonkeyPatch, found: list[Any] | None
) -> None:
    """Whoever loses the results on the way: no evidence, no pass."""
    site.recordings(tree)
    site.backed_up()
    if found is not None:
        monkeypatch.setattr(sandboxed, "check_alone", lambda *_: found)
    done = restore_test(Job(site.loaded(), "recordings"), "latest", site.services(), Quiet())
    assert (done.verdict is Verdict.PASS) == (found is None), done
    assert (site.run("status").json["plans"][0]["assets"][0]["last_test"]["verdict"] == "PASS") == (found is None)
