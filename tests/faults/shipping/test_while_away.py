"""A PostgreSQL server's log, shipped for real: repository, receiver and source may be away or killed, and the log goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import UTC
from pathlib import Path

import pytest
from tests.conftest import _image
from tests.support.harness import Site, eventually, texts
from tests.support.primary import Primary, primary
from tests.support.shipping import (
    SMALL,
    WAL,
    back,
    log_repo,
    note,
    plan,
    received,
    receiver,
    recovered,
    ship_once,
    shipping,
    spool,
    standing,
    started,
    trouble,
    without_repository,
)

from ccdr.evidence.history.kinds import STOPPED
from ccdr.jobs.shipping import background
from ccdr.jobs.shipping.continuity import Continuity
from ccdr.jobs.shipping.log_archive import archive_of
from ccdr.model.values import utc
from ccdr.plans.job import Job

pytestmark = pytest.mark.long


def test_log_is_received_while_the_repository_is_away(site: Site, tmp_path: Path) -> None:
    """Up to the limit; then the source keeps it, and that is told before it keeps too much. Nothing is lost."""
    with primary(tmp_path / "source", _image(), "max_slot_wal_keep_size=192MB") as source:
        source.psql(SMALL)
        plan(site, source, "{interval: 2s, spool_limit: 64MiB, canary: {every: 1s}}")
        site.backed_up()
        with shipping(site):
            with without_repository(site):
                assert eventually(lambda: "no repository" in trouble(site), 60), standing(site)
                usable = standing(site)["usable"]
                note(source, "first")
                assert received(site, source) and receiver(site), "though nothing can be stored"
                found = site.run("status")
                assert found.code == 1 and "log is not shipped" in found.stdout, found
                while "spool_limit" not in trouble(site):
                    note(source, "more")
                    source.psql("select pg_switch_wal()")
                    time.sleep(0.5)
                    assert sum(spool(site).values()) < 256 * 2**20, trouble(site)
                assert eventually(lambda: receiver(site) is None, 30)
                full = spool(site)
                assert sum(full.values()) > 64 * 2**20, full
                for _ in range(8):
                    note(source, "kept at the source")
                    source.psql("select pg_switch_wal()")

                def told():
                    return any(
                        "of log for us and gives up at 192.0 MiB" in f for f in texts(standing(site)["findings"])
                    )

                assert eventually(told, 90), standing(site)
                assert "gives up at" in site.run("status").stdout
                assert full.keys() <= spool(site).keys() and standing(site)["usable"] == usable
            assert eventually(lambda: standing(site)["trouble"] is None, 120), trouble(site)
            note(source, "last")
            assert eventually(lambda: sum(spool(site).values()) <= 64 * 2**20, 60), spool(site)
        ship_once(site)
        assert not standing(site)["gap"] and not standing(site)["findings"], standing(site)
        assert [bool(r["trouble"]) for r in site.records("log.shipped") if r["trouble"] != STOPPED].count(True) == 1
        assert not archive_of(Job(site.loaded(), "crm"), log_repo(site)).gaps(WAL)
        rows = "select count(*), max(note) filter (where id = (select max(id) from call)) from call"
        expected = source.psql(rows)
        done = recovered(site, "latest", "--keep")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), done
        assert back(done, rows) == expected and expected.endswith("|last")


def test_what_is_killed_while_the_repository_is_away_goes_on_from_its_spool(shipped: Site, source: Primary) -> None:
    """What was received once is at the source no more: only the spool has it."""
    with shipping(shipped) as process, without_repository(shipped):
        assert eventually(lambda: "no repository" in trouble(shipped), 60), standing(shipped)
        note(source, "first")
        source.psql("select pg_switch_wal()")
        note(source, "second")
        assert received(shipped, source)
        process.kill()
        process.wait()
        waits = spool(shipped)
        note(source, "third")
        with started(shipped):
            assert received(shipped, source), "from where it was left, though nobody can say what is stored"
            assert waits.keys() - {name for name in waits if name.endswith(".partial")} <= spool(shipped).keys()
            (shipped.root / "hidden").rename(shipped.repo)
            assert eventually(lambda: standing(shipped)["trouble"] is None, 120), standing(shipped)
    assert not standing(shipped)["gap"]
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    rows = "select string_agg(note, ' ' order by id) from call where id > 100"
    assert back(done, rows) == "first second third"


def test_a_test_right_after_a_backup_waits_for_the_log_that_is_on_its_way(shipped: Site) -> None:
    with shipping(shipped) as process:
        os.kill(process.pid, signal.SIGSTOP)  # nothing that leads on is stored meanwhile
        try:
            shipped.backed_up()
            test = shipped.start("test", "p", "--at", "latest", "--json")
            assert test.stderr is not None
            said = next((line for line in test.stderr if "waiting for log that leads on" in line), None)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        out, _ = test.communicate(timeout=120)
        assert said is not None and (test.returncode, json.loads(out)["verdict"]) == (0, "PASS"), out
    shipped.backed_up()
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), "nothing ships it: nothing would come"


def test_a_shipper_that_is_killed_is_seen_by_the_next_status_and_run(shipped: Site) -> None:
    def late() -> list[str]:
        (asset,) = shipped.run("status", "p").json["plans"][0]["assets"]
        return [one["text"] for one in asset["troubles"] if one["code"] == "LOG_LATE"]

    ship_once(shipped)
    assert not late(), "ended as it should"
    with shipping(shipped) as process:
        assert not late(), "it is at work"
        process.kill()
        process.wait()
        (text,) = late()
        assert "is gone" in text
    try:
        assert "that shipped the log of p/crm is gone" in shipped.run("run").stderr
        assert eventually(lambda: not late(), 60)
    finally:
        background.stop(shipped.services().state)


def test_a_repository_that_comes_back_while_it_is_looked_for_has_lost_nothing(
    shipped: Site, source: Primary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a disk does that is mounted between two questions: the first found nothing, the second a repository."""
    ship_once(shipped)
    hidden, came = shipped.root / "hidden", []
    begin, ensure = Continuity.begin, Continuity._ensure_repository

    def away_both_times(self: Continuity) -> None:
        for ask in (begin, Continuity.compare):
            shipped.repo.rename(hidden)
            ask(self)

    def comes_back(self: Continuity) -> None:
        came.append(hidden.rename(shipped.repo))
        ensure(self)

    monkeypatch.setattr(Continuity, "begin", away_both_times)
    monkeypatch.setattr(Continuity, "_ensure_repository", comes_back)
    note(source, "late")
    ship_once(shipped)
    assert len(came) == 2 and not standing(shipped)["gap"], standing(shipped)


def test_a_receiver_that_is_killed_is_started_again(shipped: Site, source: Primary) -> None:
    """By the `ccdr ship` that it belongs to; what was written meanwhile is not lost."""
    killed: list[int] = []
    with shipping(shipped):
        for text in ("first", "second"):
            killed.append(receiver(shipped) or 0)
            assert killed[-1]
            os.kill(killed[-1], signal.SIGKILL)
            note(source, text)
            source.psql("select pg_switch_wal()")
            assert eventually(lambda: (receiver(shipped) or 0) not in (0, *killed), 60), standing(shipped)
            assert received(shipped, source)
        assert eventually(lambda: standing(shipped)["trouble"] is None, 60), standing(shipped)
    assert any("receiving the log" in str(r["trouble"]) for r in shipped.records("log.shipped"))
    # One that is killed while it makes room for a segment leaves a file that no receiver takes.
    (begun,) = (shipped.state / "shipping/p/crm/spool").glob("*.partial")
    os.truncate(begun, 11100160)
    ship_once(shipped)
    assert not standing(shipped)["gap"]
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert back(done, "select string_agg(note, ' ' order by id) from call where id > 100") == "first second"


def test_what_ships_a_log_goes_on_by_the_plan_that_a_recovery_put_in_its_place(shipped: Site, source: Primary) -> None:
    """The source's own address leads nowhere any more; a plan that is wrong meanwhile changes nothing."""
    file = shipped.root / "plans/p.yaml"
    whole = file.read_text()
    (old := shipped.root / "old").symlink_to(source.sockets)
    file.write_text(whole.replace(str(source.sockets), str(old)))
    shipped.backed_up()
    with shipping(shipped) as process:
        file.write_text("plan: p\nassets: [")
        usable = standing(shipped)["usable"]
        assert eventually(lambda: standing(shipped)["usable"] != usable, 30), standing(shipped)
        versions = len(shipped.records("plan.version"))
        file.write_text(whole)
        assert eventually(lambda: len(shipped.records("plan.version")) > versions, 60), (
            "by what ships, which has seen it"
        )
        old.unlink()
        at = note(source, "by the new plan")
        assert eventually(lambda: utc(standing(shipped)["point"]) > at.astimezone(UTC), 60), standing(shipped)
        assert process.poll() is None, "the same process"
