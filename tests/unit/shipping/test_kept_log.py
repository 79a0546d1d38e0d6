"""Which of the stored log is needed, let go or missing, and what a prune may take."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.batches import NOW, WAL, base, batch, segment
from tests.support.harness import Quiet, ShiftedClock, Site

from ccdr.engines.base import LogShipping
from ccdr.engines.postgres.segments import lsn
from ccdr.evidence.log_standing import LogStanding, write_standing
from ccdr.host.state import Run
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.batch import Batch, Held
from ccdr.jobs.shipping.continuity import VANISHED, Continuity
from ccdr.jobs.shipping.log_archive import Gap, LogArchive, StoredBatch, arranged, let_go, logged
from ccdr.jobs.shipping.shipment import Journal, Shipment, Spool
from ccdr.jobs.upkeep.prune import _Pruning, needed_log
from ccdr.plans.job import Job
from ccdr.storage.manifest import manifest_text, text_digest
from ccdr.storage.restic import Restic


def test_only_the_newest_snapshot_of_a_batch_is_needed() -> None:
    archive = arranged([batch(1, 3, 2), batch(1, 1, 0), batch(4, 6, 4), batch(1, 2, 1)])
    assert [b.id for b in archive.batches] == ["1-3-2", "4-6-4"]
    assert {b.id for b in archive.spare} == {"1-1-0", "1-2-1"}
    assert archive.newest is not None and archive.newest.id == "4-6-4" and not archive.gaps(WAL)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_whatever_order_they_are_listed_in_a_whole_log_has_no_gap(lengths: list[int], data: st.DataObject) -> None:
    found, first, at = [], 1, 0
    for length in lengths:
        for end in range(first, first + length):  # stored again at every interval
            found.append(batch(first, end, at))
            at += 1
        first += length
    archive = arranged(data.draw(st.permutations(found)))
    assert not archive.gaps(WAL) and archive.contiguous(WAL) == archive.batches
    assert len(archive.batches) == len(lengths) and len(archive.spare) == len(found) - len(lengths)
    if len(archive.batches) > 2:
        lost = data.draw(st.integers(1, len(archive.batches) - 2))
        torn = LogArchive(archive.batches[:lost] + archive.batches[lost + 1 :])
        assert len(torn.gaps(WAL)) == 1 and torn.contiguous(WAL) == archive.batches[lost + 1 :]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_pruning_never_cuts_the_log_that_a_kept_base_needs(lengths: list[int], data: st.DataObject) -> None:
    found, first = [], 1
    for at, length in enumerate(lengths):
        found += [batch(first, first, 2 * at), batch(first, first + length - 1, 2 * at + 1)]
        first += length
    archive = arranged(found)
    needed = data.draw(st.none() | st.integers(0, first + 2).map(segment))
    gone = let_go(archive, needed, WAL)
    left = arranged(b for b in found if b not in gone)
    assert not left.spare and not left.gaps(WAL) and left.newest == archive.newest
    if needed is not None and archive.from_segment(needed, WAL):
        assert left.from_segment(needed, WAL) == archive.from_segment(needed, WAL)
        assert all(b.last is not None and b.last < needed for b in gone if b not in archive.spare)
    else:
        assert left.batches == archive.batches


def test_the_oldest_of_the_kept_bases_says_from_where_on_log_stays() -> None:
    """Whichever of them is asked first; what leads on to no log says nothing."""
    known = [base(0, 300), base(5, 255), base(9, 256), base(12, 1, "dump")]
    manifests = {snapshot.id: manifest for snapshot, manifest in known}
    services = cast("Services", SimpleNamespace(catalogue=SimpleNamespace(manifest=lambda s: manifests[s.id])))
    for kept in permutations([snapshot for snapshot, _ in known]):
        assert needed_log(WAL, map(services.catalogue.manifest, kept)) == (
            segment(255),
            manifests["base0"].consistent_point,
        )
    assert needed_log(WAL, map(services.catalogue.manifest, [known[2][0], known[0][0]]))[0] == segment(256)
    assert needed_log(WAL, map(services.catalogue.manifest, [known[3][0]])) == (None, None)


def test_a_batch_that_another_holds_all_of_is_spare() -> None:
    """As where a snapshot was removed, and the log went on from the one before it."""
    held, overlapping = replace(batch(2, 4, 20), open=segment(5)), replace(batch(3, 3, 12), open=None)
    archive = arranged([batch(1, 1, 5), overlapping, held])
    assert (archive.batches, archive.spare) == ((batch(1, 1, 5), held), (overlapping,))
    assert archive.gaps(WAL) == []
    # A database that nobody writes to: the log goes no further, and yet it is true for later.
    idle = replace(batch(6, 6, 30), first=None, last=None, open=segment(6), position=batch(2, 5, 20).position)
    before = replace(batch(2, 5, 20), open=segment(6))
    assert arranged([before, idle]).batches == (before, idle)


class Believing:
    """A shipper that has stored segments from 5 on, as it wrote down; a base needs 7. `there` is what it finds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *there: StoredBatch, spool: int = 9) -> None:
        monkeypatch.setattr("ccdr.jobs.shipping.continuity.archive_of", lambda *_: LogArchive(there))
        monkeypatch.setattr(Shipment, "newest_base", lambda _: base(0, 7)[1])
        held = Held([segment(spool)], None, torn=False)
        self.batch = SimpleNamespace(name=segment(spool), stored=[], gather=lambda: held, goes_on=lambda *_: None)
        job = cast("Job", SimpleNamespace(asset="crm"))
        services = cast("Services", SimpleNamespace(clock=ShiftedClock(), make_if_missing=lambda *_: None))
        standing = LogStanding(since=segment(5), point=NOW, usable=NOW, position=lsn(9 << 24))
        run, repo = cast("Run", None), cast("Restic", SimpleNamespace(probe=lambda: None))
        self.journal = Journal(job, services, run, Quiet(), tmp_path, standing)
        settings, received, batch = LogShipping(), cast("Spool", None), cast("Batch", self.batch)
        shipment = Shipment(job, services, run, Quiet(), settings, WAL, received, batch, self.journal)
        self.continuity = Continuity(shipment, repo)

    def gaps(self) -> list[Gap]:
        self.continuity.gather()
        return self.journal.tally.gaps


def test_log_that_vanished_is_a_gap_for_whoever_ships_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Believing(monkeypatch, tmp_path)
    begun.continuity.begin()
    assert begun.journal.standing.since is None and begun.journal.standing.gap == VANISHED
    assert begun.gaps() == [Gap(segment(5), segment(9))] and begun.journal.standing.since == segment(9)
    assert "missing between" in str(begun.journal.standing.gap) and begun.journal.tally.vanished
    running = Believing(monkeypatch, tmp_path)
    running.continuity.compare()
    assert running.gaps() == [Gap(segment(5), segment(9))] and running.batch.stored is None
    partly = Believing(monkeypatch, tmp_path, batch(9, 10))
    partly.continuity.compare()
    assert partly.gaps() == [Gap(segment(5), segment(9))] and partly.journal.standing.since == segment(9)


def test_log_that_is_there_or_was_let_go_is_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Believing(monkeypatch, tmp_path, batch(5, 8), batch(9, 10))
    whole.continuity.begin()
    whole.continuity.compare()
    assert whole.gaps() == [] and whole.journal.standing.since == segment(5)
    pruned = Believing(monkeypatch, tmp_path, batch(7, 8), batch(9, 10))
    pruned.continuity.compare()
    assert pruned.gaps() == [] and not pruned.journal.tally.vanished and pruned.journal.standing.since == segment(7)
    held = Believing(monkeypatch, tmp_path, spool=5)  # all of it: it is stored again
    held.continuity.begin()
    assert held.gaps() == [] and held.journal.standing.since == segment(5)
    first = Believing(monkeypatch, tmp_path)
    first.journal.standing = LogStanding()
    first.continuity.begin()
    assert first.gaps() == [] and first.journal.standing.gap is None


@pytest.mark.parametrize(
    ("there", "counts"),
    [((5, 8, 9, 10), 10), ((), None), ((9, 10), None), ((5, 8), 8), ((5, 6, 9, 10), None)],
    ids=["whole", "nothing", "the newest alone", "without the newest", "a hole"],
)
def test_only_log_that_is_there_counts(job: Job, site: Site, there: tuple[int, ...], counts: int | None) -> None:
    """Points are as many minutes after NOW as the last segment's number says."""
    services = site.services()
    text = manifest_text(base(0, 7)[1])
    snapshot = replace(base(0, 7)[0], manifest_sha256=text_digest(text))
    services.catalogue.add(snapshot, text)
    point = NOW + timedelta(minutes=10)
    home = services.state.directory("shipping", "p", "crm")
    write_standing(home, LogStanding(since=segment(5), point=point, usable=point, position=lsn(11 << 24)))
    archive = LogArchive(tuple(batch(first, last, last) for first, last in zip(there[::2], there[1::2], strict=True)))
    found = logged(job, services, [snapshot], archive=lambda: archive)
    assert [p.consistent for p in found] == ([] if counts is None else [NOW + timedelta(minutes=counts)])
    assert logged(job, services, [snapshot]), "as it was written down"


def test_log_in_which_nothing_is_written_counts_up_to_when_it_was_stored_last(job: Job, site: Site) -> None:
    """Though that snapshot holds nothing that the one before it does not."""
    text = manifest_text(base(0, 7)[1])
    snapshot, services = replace(base(0, 7)[0], manifest_sha256=text_digest(text)), site.services()
    services.catalogue.add(snapshot, text)
    whole = batch(5, 8, 1)
    idle = replace(whole, id="idle", name=segment(9), first=None, last=None, point=NOW + timedelta(minutes=9))
    archive = arranged([whole, idle])
    assert archive.batches == (whole, idle)
    home = services.state.directory("shipping", "p", "crm")
    write_standing(home, LogStanding(since=segment(5), point=idle.point, usable=idle.point, position=idle.position))
    assert [p.consistent for p in logged(job, services, [snapshot], archive=lambda: archive)] == [idle.point]


@pytest.mark.parametrize(
    ("there", "counts"), [((5, 8, 9, 10), True), ((), False), ((9, 10), False)], ids=["whole", "nothing", "a hole"]
)
def test_what_is_at_stake_for_a_prune_is_counted_by_the_log_that_is_there(
    job: Job,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    there: tuple[int, ...],
    counts: bool,
    wording: SnapshotAssertion,
) -> None:
    """A base each night and an RPO of minutes go together, where log leads on from it; else all is held. A host that
    ships nothing itself asks the repository."""
    text = manifest_text(base(0, 7)[1])
    snapshot, services = replace(base(0, 7)[0], manifest_sha256=text_digest(text)), site.services()
    services.catalogue.add(snapshot, text)
    archive = LogArchive(tuple(batch(first, last, last) for first, last in zip(there[::2], there[1::2], strict=True)))
    monkeypatch.setattr(sys.modules[_Pruning.__module__], "archive_of", lambda *_: archive)
    rpo = timedelta(seconds=job.objectives.rpo)
    assert snapshot.consistent_point + rpo < NOW + timedelta(minutes=10) + rpo

    def held(after: timedelta, *, failed: bool = False) -> list[str]:
        work = object.__new__(_Pruning)
        work._services = cast("Services", SimpleNamespace(clock=SimpleNamespace(now=lambda: NOW + rpo + after),
                              catalogue=services.catalogue, state=services.state, repository=services.repository))  # fmt: skip
        history: Any = SimpleNamespace(log_disproved=lambda _: failed)
        return list(work._exposed(job, [snapshot], history))

    assert held(timedelta(minutes=-1)) == [], "the base alone is young enough"
    assert (held(timedelta(minutes=5)) == []) is counts
    assert held(timedelta(minutes=5), failed=True), "log that failed its test counts for nothing"
    (said,) = held(timedelta(minutes=11))
    assert said == wording
    assert said.endswith("more than its RPO")
