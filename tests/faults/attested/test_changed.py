"""What was done to the ledger is found by what the repository's snapshots attest; each manipulation has its healthy twin."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.attested import as_text, chained, cut, days_later, forged, ledger_problems, lines, problems
from tests.support.harness import Quiet, Site
from tests.support.stored import other_host, restic_of

from ccdr.evidence.lineage.comparison import keep
from ccdr.jobs.attest import compare_due
from ccdr.jobs.backup import backup
from ccdr.plans.job import Job
from ccdr.storage.restic import PINNED_HOST


def tail_rehashed(site: Site) -> None:
    records = lines(site)
    chained(site, [{**r, "host": "elsewhere"} if r["seq"] == len(records) - 2 else r for r in records])


def oldest_dropped(site: Site) -> None:
    records = lines(site)
    chained(site, [records[0], *records[3:]], renumbered=True)


MANIPULATIONS = {
    "the ledger was cut": (cut, "missing"),
    "its tail was changed and rehashed": (tail_rehashed, "rewritten"),
    "the whole chain was forged": (forged, "rewritten"),
    "the oldest records were dropped, the others renumbered": (oldest_dropped, "rewritten"),
}


def quietly(site: Site) -> None:
    """Whoever changes the ledger changes what is kept of it beside it."""
    for name in ("chain.json", "verified.json", "compared.json"):
        (site.state / name).unlink(missing_ok=True)
    shutil.rmtree(site.state / "catalogue", ignore_errors=True)
    keep(site.services().state, site.services().ledger, anew=True)


@pytest.mark.parametrize("first", [("snapshots", "p"), ("ledger", "verify", "--repository")])
def test_a_new_host_that_asks_the_repository_first_is_not_told_that_anything_was_changed(
    twin: Site, first: tuple[str, ...]
) -> None:
    new = ("--state", str(twin.root / "of another host"))
    twin.run(*first, *new)
    assert "chain.json" not in str(twin.run("status", *new).json["lineage"]["problems"])
    done = twin.run("ledger", "verify", *new)
    assert (done.code, done.json["problems"]) == (0, []), done


def test_a_ledger_that_nobody_touched_is_what_its_snapshots_attest(twin: Site) -> None:
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 0 and done.json["says"] == "internally consistent", done
    (asked,) = done.json["repositories"]
    assert (asked["ok"], asked["snapshots"], asked["elsewhere"]) == (True, 2, 0), done
    assert ledger_problems(twin)[1] == ""
    told, verified = as_text(twin, "status", "-v"), as_text(twin, "ledger", "verify", "--repository")
    assert "p: 2 snapshots attest it, and all agreed" in told
    assert "2 snapshots attest it, up to record " in verified, "the same is counted"


@pytest.mark.parametrize("what", MANIPULATIONS)
def test_what_was_done_to_the_ledger_is_found_by_the_repository(twin: Site, what: str) -> None:
    manipulate, said = MANIPULATIONS[what]
    manipulate(twin)
    quietly(twin)
    assert twin.run("ledger", "verify").code == 0, "the chain alone does not show it"
    done = twin.run("ledger", "verify", "--repository", "p")
    assert done.code == 1 and said in problems(done) and not done.json["ok"], done
    code, told = ledger_problems(twin)
    assert code == 1 and said in told
    report = twin.run("report")
    assert report.code == 1 and report.json["answer"]["word"] == "Not proven" and not report.json["ledger"]["ok"], (
        report
    )


def test_the_next_backup_finds_it_too(twin: Site) -> None:
    tail_rehashed(twin)
    quietly(twin)
    done = twin.backed_up()
    assert any("the ledger: " in note for note in done.json["notes"]), done
    (record,) = [r for r in twin.records("ledger.compared") if r["result"] == "DIFFERS"]
    assert record["problems"] and ledger_problems(twin)[1]
    assert twin.run("run").code == 1, "a finding of the ledger's stands, whatever the plans want"


@pytest.mark.parametrize("manipulate", [cut, oldest_dropped])
def test_what_the_state_keeps_of_it_tells_at_once(twin: Site, manipulate: Callable[[Site], None]) -> None:
    manipulate(twin)
    code, told = ledger_problems(twin)
    assert code == 1 and ("was cut" in told or "was rewritten" in told), told
    assert twin.run("ledger", "verify").code == 1


def test_a_finding_is_over_once_the_ledger_is_as_it_was(twin: Site) -> None:
    (segment,) = (twin.state / "ledger").glob("*.jsonl")
    whole = segment.read_bytes()
    cut(twin)
    quietly(twin)
    assert twin.run("ledger", "verify", "--repository").code == 1
    segment.write_bytes(whole)
    assert twin.run("ledger", "verify", "--repository").code == 0
    assert ledger_problems(twin)[1] == ""


def test_another_hosts_ledger_in_place_of_ours_is_found(twin: Site, tmp_path: Path) -> None:
    there = other_host(twin, tmp_path / "there")
    assert there.run("test", "p").code == 0
    shutil.rmtree(twin.state / "ledger")
    shutil.copytree(there.state / "ledger", twin.state / "ledger")
    code, told = ledger_problems(twin)
    assert code == 1 and "another ledger" in told, told
    quietly(twin)
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 1 and "another host's ledger" in problems(done), done
    assert "LEDGER_LOST" not in done.stdout and not twin.records("ledger.lost"), "nobody can acknowledge it"


def test_a_second_host_is_no_loss(twin: Site, tmp_path: Path) -> None:
    """Its own ledger is young, and the snapshots are of another one, which is not known there."""
    there = other_host(twin, tmp_path / "there")
    assert there.run("test", "p").code == 0
    done = there.run("ledger", "verify", "--repository")
    (asked,) = done.json["repositories"]
    assert (done.code, asked["snapshots"], asked["elsewhere"]) == (0, 0, 2), done
    assert there.backed_up().code == 0
    for site in (there, twin):
        assert site.run("ledger", "verify", "--repository").code == 0
        assert ledger_problems(site)[1] == ""


def planted(site: Site, run: str, *options: str, **changed: object) -> None:
    """A snapshot with the tags of the newest one, but for these."""
    newest = json.loads(restic_of(site.root, "snapshots", "--json", "--tag", "kind=backup"))[-1]
    tags = (
        dict(t.split("=", 1) for t in newest["tags"] if "=" in t)
        | {"run": run}
        | {k: str(v) for k, v in changed.items()}
    )
    words = [w for t in ["ccdr-3", *(f"{k}={v}" for k, v in tags.items())] for w in ("--tag", t)]
    restic_of(site.root, "backup", "--quiet", *options, "--host", PINNED_HOST, *words, str(site.root / "plans"))


def test_a_snapshot_of_this_ledger_that_no_record_knows_is_found(twin: Site) -> None:
    planted(twin, "20260101T000000-abcdef")
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 1 and "its run 20260101T000000-abcdef" in problems(done), done


def test_a_backup_looks_at_the_newest_and_puts_off_no_look_at_all_of_them(
    twin: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ccdr.jobs.attest.comparison.RECENT", 1)
    planted(twin, "20260101T000000-abcdef", "--time", "2026-01-01 00:00:00")
    job, services = Job(twin.loaded(), "recordings"), twin.services()
    assert not [note for note in backup(job, services, Quiet()).notes if "the ledger" in note]
    compare_due([twin.loaded()], services)
    assert ledger_problems(twin)[1] == "", "today it was done already"
    compare_due([twin.loaded()], days_later(twin, 1.1))
    assert "its run 20260101T000000-abcdef" in ledger_problems(twin)[1]


def test_a_snapshot_of_another_ledger_is_not_known_here(twin: Site) -> None:
    planted(twin, "20260101T000000-abcdef", ledger="f" * 32, installation="0" * 12)
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 0 and done.json["repositories"][0]["elsewhere"] == 1, done


def test_the_snapshot_of_a_run_that_crashed_is_its_own(twin: Site) -> None:
    """Stored, and killed before its end was recorded."""
    (segment,) = (twin.state / "ledger").glob("*.jsonl")
    records = lines(twin)
    last = max(n for n, r in enumerate(records) if r["kind"] == "backup.end")
    chained(twin, records[:last])
    quietly(twin)
    assert segment.stat().st_size
    assert twin.run("ledger", "verify", "--repository").code == 0


def test_snapshots_that_attest_nothing_were_not_left_so_by_ccdr(twin: Site) -> None:
    """Whoever may write the repository takes out what binds them to the ledger."""
    for found in json.loads(restic_of(twin.root, "snapshots", "--json", "--tag", "kind=backup")):
        gone = [w for t in found["tags"] if t.startswith(("ledger", "installation")) for w in ("--remove", t)]
        restic_of(twin.root, "tag", *gone, found["id"])
    done = twin.run("ledger", "verify", "--repository")
    (asked,) = done.json["repositories"]
    assert (done.code, asked["ok"], asked["snapshots"]) == (1, False, 0) and len(asked["problems"]) >= 2, done
