"""A PostgreSQL server's log, shipped for real: log that is missing, cut short, changed or gone is a failure that names it."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.conftest import _image
from tests.support.harness import Site, texts
from tests.support.primary import Primary, primary
from tests.support.shipping import (
    SMALL,
    WAL,
    back,
    cut_short,
    log_repo,
    note,
    plan,
    recovered,
    ship_once,
    standing,
    stored_again,
)

from ccdr.engines.postgres.segments import lsn, number
from ccdr.jobs.shipping.log_archive import archive_of
from ccdr.model.values import utc
from ccdr.plans.job import Job
from ccdr.storage import upkeep as storage

pytestmark = pytest.mark.long


def test_a_segment_that_is_missing_is_a_failure_that_names_it(shipped: Site, source: Primary) -> None:
    for text in ("first", "second", "third"):
        note(source, text)
        source.psql("select pg_switch_wal()")
        ship_once(shipped)
    assert recovered(shipped, "latest").json["verdict"] == "PASS"
    archive = archive_of(Job(shipped.loaded(), "crm"), log_repo(shipped))
    assert len(archive.batches) >= 3
    torn = archive.batches[-2]
    storage.forget(log_repo(shipped), [torn.id, *(b.id for b in archive.spare)])
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    before, behind = archive.batches[-3].last, archive.batches[-1].begins
    assert f"missing between {before} and {behind}" in done.json["reason"], done.json["reason"]
    assert str(before) < torn.begins < behind, "which is what was taken away"
    # A new base lies behind the gap.
    assert shipped.run("backup", "p").code == 0
    ship_once(shipped)
    assert recovered(shipped, "latest").json["verdict"] == "PASS"


def test_log_that_failed_its_test_stays_red_though_its_base_passes(shipped: Site, source: Primary) -> None:
    """The base has its verdict, and the log its own: neither is the other's."""
    for text in ("first", "second", "third"):
        note(source, text)
        source.psql("select pg_switch_wal()")
        ship_once(shipped)
    ship_once(shipped)  # the open batch once more: its older snapshot is spare
    assert recovered(shipped, "latest").json["verdict"] == "PASS"
    assert "recovery by the log" not in shipped.run("status").stdout
    job = Job(shipped.loaded(), "crm")
    storage.forget(log_repo(shipped), [archive_of(job, log_repo(shipped)).batches[-2].id])
    archive = archive_of(job, log_repo(shipped))
    assert archive.spare
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"], done.json["recovery"]["verdict"]) == (1, "FAIL", "FAIL"), done
    done = shipped.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["recovery"]) == (0, "PASS", None), "of the base alone"
    found = shipped.run("status")
    assert found.code == 1 and "its recovery by the log of" in found.stdout and "missing between" in found.stdout
    path = shipped.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", "retention: {keep_last: 1}\nassets:", 1))
    shipped.run("upkeep", "p", "--prune")
    assert archive_of(job, log_repo(shipped)) == archive, "an older snapshot may hold what a newer one lacks"
    shipped.backed_up()
    ship_once(shipped)
    assert "its recovery by the log of" in shipped.run("status").stdout, "nobody has proven it yet"
    done = recovered(shipped, "latest")
    assert done.json["recovery"]["verdict"] == "PASS", done.json["reason"]
    assert "recovery by the log" not in shipped.run("status").stdout


def counts_from_its_base_alone(site: Site) -> bool:
    """Is that how `status` measures the RPO?"""
    base, before = utc(site.records("backup.end")[-1]["snapshot"]["consistent_point"]), datetime.now(UTC)
    (asset,) = site.run("status", "--json").json["plans"][0]["assets"]
    job, services = Job(site.loaded(), "crm"), site.services()
    disproved = services.history(job).log_disproved(services.catalogue.snapshots("p", "crm")[-1])
    return disproved and timedelta(seconds=asset["rpo"]["achieved_s"]) >= before - base


def test_log_that_cannot_be_applied_counts_no_more_whoever_has_seen_it(
    shipped: Site, source: Primary, tmp_path: Path
) -> None:
    """Until there is a newer base: what a restore or a recovery broke off on is known as well as what a test has found."""
    to = tmp_path / "back"
    under = tmp_path / "under"
    under.mkdir()
    for argv in (
        ["restore", "p", "--asset", "crm", "--at", "latest", "--to", str(to), "--yes-i-mean", to.name],
        ["recover", "p", "--under", str(under), "--yes-i-mean", "p"],
    ):
        note(source, argv[0])
        ship_once(shipped)
        assert not counts_from_its_base_alone(shipped)
        cut_short(shipped, tmp_path / argv[0])
        done = shipped.run(*argv)
        assert done.code == 1 and shipped.records("restore.end")[-1]["result"] == "FAILED", done
        assert counts_from_its_base_alone(shipped), done
        shipped.backed_up()


def test_log_that_cannot_be_applied_does_not_disprove_its_base(shipped: Site, source: Primary, tmp_path: Path) -> None:
    """What was found bad after the base had been loaded as it was captured."""
    note(source, "first")
    ship_once(shipped)
    cut_short(shipped, tmp_path)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["snapshot"]["verdict"], done.json["recovery"]["verdict"]) == (1, None, "FAIL"), done
    assert "do not count" not in shipped.run("status").stdout
    assert counts_from_its_base_alone(shipped)
    done = shipped.run("test", "p")
    assert (done.code, done.json["snapshot"]["verdict"]) == (0, "PASS"), done
    assert counts_from_its_base_alone(shipped)


def test_log_that_restic_could_not_read_whole_never_counts(shipped: Site, source: Primary) -> None:
    """It says of itself that it holds all that was there; whoever ships next must not let that go from the spool."""
    note(source, "first")
    ship_once(shipped)
    job, restic = Job(shipped.loaded(), "crm"), shutil.which("restic")
    whole, before = archive_of(job, log_repo(shipped)), standing(shipped)["point"]
    note(source, "second")
    source.psql("select pg_switch_wal()")
    partly = f"*kind=log*last=*) {restic} --exclude='*/0000000100000000000000??' \"$@\"; exit 3;;"
    shipped.write("bin/restic", f'#!/bin/sh\ncase "$*" in {partly} esac\nexec {restic} "$@"\n', mode=0o755)
    done = shipped.run("ship", "p", "--once", env={"PATH": f"{shipped.root}/bin:{os.environ['PATH']}"})
    assert done.code == 3 and "restic exit 3" in done.stderr, done
    listed = log_repo(shipped).snapshots(["ccdr-3", "kind=log"])
    assert len([s for s in listed if s.tag("void")]) == 3
    after = archive_of(job, log_repo(shipped))
    assert all(b.last == whole.batches[-1].last for b in after.batches[-1:]) or after.batches[-1].last is None
    assert standing(shipped)["point"] == before
    ship_once(shipped)
    done = recovered(shipped, "latest", "--keep")
    assert done.json["verdict"] == "PASS", done.json["reason"]
    assert back(done, "select count(*) from call where note in ('first', 'second')") == "2"
    path = shipped.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", "retention: {keep_last: 1}\nassets:", 1))
    assert shipped.run("upkeep", "p", "--prune").json["prune"]["result"] == "DONE"
    assert not [s for s in log_repo(shipped).snapshots(["ccdr-3", "kind=log"]) if s.tag("void")]


def test_a_segment_that_was_changed_is_a_failure(shipped: Site, source: Primary, tmp_path: Path) -> None:
    """Somebody who can write to the repository stores the newest batch again, its log cut short."""
    note(source, "first")
    source.psql("select pg_switch_wal()")
    note(source, "second")
    ship_once(shipped)
    repo, job = log_repo(shipped), Job(shipped.loaded(), "crm")
    batch = archive_of(job, repo).batches[-1]
    copy = tmp_path / "copy"
    repo.restore(batch.id, batch.root, copy)
    assert batch.last is not None
    with (copy / batch.last).open("r+b") as segment:
        segment.seek(8192)
        segment.write(b"x" * 4096)
    stored_again(shipped, batch, copy)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert "not as they were stored" in done.json["reason"]


def test_log_that_ends_before_what_was_claimed_is_a_failure(shipped: Site, source: Primary, tmp_path: Path) -> None:
    """The open segment has no digest of its own: what it holds is compared with what was said of it, however far
    recovery is to go; and what is said of it with what was stored."""
    first = note(source, "first")
    ship_once(shipped)
    assert recovered(shipped, first.isoformat()).json["verdict"] == "PASS"
    batch = cut_short(shipped, tmp_path)
    for at in (first.isoformat(), "latest"):
        done = recovered(shipped, at)
        assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
        assert "the log ends at" in done.json["reason"] and batch.position in done.json["reason"]
    further = lsn(number(batch.position) + 8192)
    stored_again(shipped, batch, tmp_path / "copy", position=further)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert "claims another position" in done.json["reason"]


def test_a_log_that_cannot_be_reached_proves_nothing(shipped: Site, source: Primary) -> None:
    ship_once(shipped)
    (shipped.log / "config").rename(shipped.root / "hidden")
    done = recovered(shipped, "latest")
    assert done.json["verdict"] in ("INCONCLUSIVE", "FAIL") and done.code != 0, done
    (shipped.root / "hidden").rename(shipped.log / "config")
    assert recovered(shipped, "latest").json["verdict"] == "PASS"


def test_a_slot_that_the_source_gave_up_is_a_gap_until_the_next_base(site: Site, tmp_path: Path) -> None:
    with primary(
        tmp_path / "source", _image(), "max_slot_wal_keep_size=48MB", "max_wal_size=32MB", "min_wal_size=32MB"
    ) as source:
        source.psql(SMALL)
        plan(site, source)
        site.backed_up()
        ship_once(site)
        for _ in range(9):  # while nobody receives
            source.psql(
                "insert into call (id, note) select max(id) + 1, 'lost' from call; select pg_switch_wal(); checkpoint"
            )
        assert "lost" in source.psql("select wal_status from pg_replication_slots")
        stored = archive_of(Job(site.loaded(), "crm"), log_repo(site)).batches[-1]
        ship_once(site)
        (gap,) = archive_of(Job(site.loaded(), "crm"), log_repo(site)).gaps(WAL)
        assert stored.begins <= gap.after <= str(stored.open) < gap.before, (stored, gap)
        assert standing(site)["gap"] and any("gave the slot" in f for f in texts(standing(site)["findings"]))
        found = site.run("status")
        assert found.code == 1 and "base" in found.stdout
        done = recovered(site, "latest")
        assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
        assert f"missing between {gap.after} and {gap.before}" in done.json["reason"], (gap, done.json["reason"])
        site.backed_up()
        ship_once(site)
        assert recovered(site, "latest").json["verdict"] == "PASS"
        assert not standing(site)["trouble"]


def test_log_that_vanished_is_told_by_test_and_by_status(shipped: Site, source: Primary) -> None:
    """Though the host that ships it wrote down that it is there."""
    for text in ("first", "second"):
        note(source, text)
        source.psql("select pg_switch_wal()")
        ship_once(shipped)
    done = shipped.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["findings"]) == (0, "PASS", []), done
    archive = archive_of(Job(shipped.loaded(), "crm"), log_repo(shipped))
    storage.forget(log_repo(shipped), [b.id for b in (*archive.batches, *archive.spare)])
    done = shipped.run("test", "p")
    assert done.code == 1 and any("has vanished" in said for said in texts(done.json["findings"])), done
    assert recovered(shipped, "latest").json["verdict"] == "FAIL"
    note(source, "third")
    ship_once(shipped)
    assert standing(shipped)["gap"]
    found = shipped.run("status")
    assert found.code == 1 and "missing between" in found.stdout, found.stdout
    assert shipped.records("log.shipped")[-1]["gaps"]
    shipped.backed_up()
    assert shipped.records("backup.end")[-1]["snapshot"]["needed_from"] >= standing(shipped)["since"]
    ship_once(shipped)
    assert recovered(shipped, "latest").json["verdict"] == "PASS"
    done = shipped.run("test", "p")
    assert (done.code, done.json["findings"]) == (0, []), done
