"""A PostgreSQL server's log, shipped for real: which log a prune leaves, and what other hosts make of it."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Quiet, Site
from tests.support.primary import Primary
from tests.support.shipping import WAL, log_repo, note, recovered, ship_once
from tests.support.stored import other_host

from ccdr.jobs.restore_test import restore_test
from ccdr.jobs.shipping.log_archive import LogArchive, archive_of
from ccdr.jobs.shipping.recovery import Recovery
from ccdr.model.values import CheckResult, Verdict
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget
from ccdr.storage import upkeep as storage
from ccdr.telling.status import status

pytestmark = pytest.mark.long


def test_pruning_leaves_the_log_of_every_kept_base(shipped: Site, source: Primary) -> None:
    for text in ("first", "second", "third"):
        note(source, text)
        source.psql("select pg_switch_wal()")
        ship_once(shipped)
    path = shipped.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", "retention: {keep_last: 1}\nassets:", 1))
    assert recovered(shipped, "latest").json["verdict"] == "PASS"
    job = Job(shipped.loaded(), "crm")
    before = archive_of(job, log_repo(shipped))
    done = shipped.run("upkeep", "p", "--prune")
    assert done.code in (0, 1) and done.json, done
    after = archive_of(job, log_repo(shipped))
    assert after.batches == before.batches and not after.spare
    assert recovered(shipped, "latest").json["verdict"] == "PASS"


def test_what_a_failed_backup_has_stored_needs_no_log(shipped: Site, source: Primary) -> None:
    """It stays as long as a good one of its age would, and is no base: nothing in it is known."""
    note(source, "first")
    source.psql("select pg_switch_wal()")
    ship_once(shipped)
    ship_once(shipped)
    path, job = shipped.root / "plans/p.yaml", Job(shipped.loaded(), "crm")
    path.write_text(path.read_text().replace("assets:", "retention: {keep_within: 35d}\nassets:", 1))
    assert recovered(shipped, "latest").json["verdict"] == "PASS"
    repo = shipped.services().repository(job.loaded, job.limits)
    labels = ["ccdr-3", "plan=p", "asset=crm", "run=broken"]
    stored = repo.backup([path], tags=[*labels, "kind=backup"])
    repo.backup([path], tags=[*labels, "kind=failed", f"void={stored.id}"])
    before = archive_of(job, log_repo(shipped))
    assert before.spare
    done = shipped.run("upkeep", "p", "--prune")
    assert done.json["prune"]["result"] == "DONE", done
    (stayed,) = [d for d in done.json["prune"]["decisions"] if "of a backup that failed" in d["why"]]
    assert stayed["keep"]
    after = archive_of(job, log_repo(shipped))
    assert after.batches == before.batches and not after.spare


def test_log_goes_with_the_base_that_needed_it_and_not_before(shipped: Site, source: Primary) -> None:
    """Of three bases the oldest goes first: what the two others lead on from stays, to the last moment of it."""
    moments = []
    for text in ("first", "second", "third"):
        moments.append(note(source, text))
        source.psql("select pg_switch_wal()")
        ship_once(shipped)
        if text != "third":
            shipped.backed_up()
    job, path = Job(shipped.loaded(), "crm"), shipped.root / "plans/p.yaml"
    text = path.read_text()
    services = shipped.services()
    bases = services.catalogue.snapshots("p", "crm")
    needs = [WAL.needed_from(services.catalogue.manifest(base)) for base in bases]
    assert len(needs) == 3 and needs == sorted(set(needs))
    assert recovered(shipped, "latest").json["verdict"] == "PASS", "else the last one that was proven stays too"
    every = archive_of(job, log_repo(shipped)).batches
    assert every[0].begins <= needs[0]
    left = every
    for keep in (3, 2, 1):
        path.write_text(text.replace("assets:", f"retention: {{keep_last: {keep}}}\nassets:", 1))
        done = shipped.run("upkeep", "p", "--prune")
        assert done.code in (0, 1) and done.json, done
        assert [s.id for s in shipped.services().catalogue.snapshots("p", "crm")] == [s.id for s in bases[-keep:]]
        before, left = left, archive_of(job, log_repo(shipped)).batches
        assert left == LogArchive(every).from_segment(needs[-keep], WAL), "from where the oldest kept base begins"
        assert (left == before) == (keep == 3), "and what only the removed one needed is gone"
        gone = recovered(shipped, moments[2 - keep].isoformat()) if keep < 3 else None
        assert gone is None or gone.code == 2, gone
        at = moments[3 - keep]  # right behind the oldest kept base's own log
        assert recovered(shipped, at.isoformat()).json["verdict"] == "PASS", at


@pytest.mark.parametrize("lost", ["nothing", "what was stored since"])
def test_log_that_another_host_lets_go_while_it_is_fetched_is_fetched_anew(
    shipped: Site, source: Primary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """A large base takes hours to fetch: by then what was chosen has been stored again, with more in it, and a prune
    over there has taken the older snapshot away. But an older one in a newer one's place is log that is missing."""
    path = shipped.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", "retention: {keep_last: 1}\nassets:", 1))
    for text in ("first", "second"):  # who begins to ship begins a batch, and goes on with one that is open alone
        note(source, text)
        ship_once(shipped)
    there, job = other_host(shipped, tmp_path / "there"), Job(shipped.loaded(), "crm")
    chosen = archive_of(job, log_repo(shipped)).batches[-1]
    really = Recovery.fetch

    def fetch(self: Recovery, *args: Any) -> CheckResult:
        if lost == "nothing":
            note(source, "third")
            ship_once(shipped)
            assert shipped.run("upkeep", "p", "--prune").code in (0, 1)
        else:
            storage.forget(log_repo(shipped), [chosen.id])
        after = archive_of(job, log_repo(shipped))
        assert chosen not in (*after.batches, *after.spare)
        assert chosen.name == after.batches[-1].name, "of the same batch"
        return really(self, *args)

    monkeypatch.setattr(Recovery, "fetch", fetch)
    done = restore_test(Job(there.loaded(), "crm"), "latest", there.services(), Quiet(), at=RecoveryTarget())
    assert done.verdict is (Verdict.PASS if lost == "nothing" else Verdict.FAIL), done.reason


def test_another_host_counts_the_log_that_it_does_not_ship(shipped: Site, source: Primary, tmp_path: Path) -> None:
    """Its test asks how far the log is stored, and seconds later its status knows that still."""
    time.sleep(1.0)
    there = other_host(shipped, tmp_path / "there")
    job = Job(there.loaded(), "crm")
    alone = restore_test(job, "latest", there.services(), Quiet())
    base = there.services().catalogue.snapshots("p", "crm")[-1]
    assert alone.verdict is Verdict.PASS and alone.findings == [], "nothing is shipped yet, which is no finding"
    assert alone.rpo and alone.rpo.achieved_s and alone.rpo.achieved_s > 1.0
    note(source, "shipped")
    source.psql("select pg_switch_wal()")
    ship_once(shipped)
    stored = archive_of(job, log_repo(shipped)).batches[-1].point
    done = restore_test(job, "latest", there.services(), Quiet())
    assert done.rpo and done.rpo.achieved_s is not None
    now = there.services().clock.now()
    assert done.rpo.achieved_s <= (now - stored).total_seconds() < (now - base.consistent_point).total_seconds() - 1
    (found,) = status([there.loaded()], there.services())
    assert found.rpo.verdict == "MET" and found.rpo.achieved_s is not None
    assert found.rpo.achieved_s < (datetime.now(now.tzinfo) - base.consistent_point).total_seconds() - 1


def test_reading_all_of_the_data_reads_all_of_the_log_too(shipped: Site, source: Primary) -> None:
    note(source, "kept")
    source.psql("select pg_switch_wal()")
    ship_once(shipped)
    done = shipped.run("upkeep", "p", "--check", "--all-data")
    assert (done.code, done.json["check"]["result"]) == (0, "CLEAN"), done
    pack = max(Path(log_repo(shipped).location).glob("data/*/*"), key=lambda path: path.stat().st_size)
    pack.chmod(0o600)
    whole = pack.read_bytes()
    pack.write_bytes(whole[:10] + bytes([whole[10] ^ 1]) + whole[11:])
    done = shipped.run("upkeep", "p", "--check", "--all-data")
    assert (done.code, done.json["check"]["result"]) == (1, "DAMAGED") and pack.name[:8] in done.json["check"][
        "reason"
    ], done
