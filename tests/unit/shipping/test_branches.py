"""A log that branches: which segments, batches and bases lead to which moment of which branch. Pure, no server."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.batches import NOW, WAL, base, batch, segment, undigested
from tests.support.harness import Quiet, ShiftedClock, Site

from ccdr.engines.base import LogShipping
from ccdr.engines.mariadb.logfile import breaks_off, cut_short
from ccdr.engines.postgres import segments as timelines
from ccdr.engines.postgres.segments import SEGMENT_BYTES, lsn
from ccdr.engines.postgres.wal import Wal
from ccdr.evidence.log_standing import LogStanding, write_standing
from ccdr.host.state import Run
from ccdr.host.state_files import write_state
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.batch import Batch, WentBack
from ccdr.jobs.shipping.choice import Choice, choose
from ccdr.jobs.shipping.continuity import Continuity, SourceHistory
from ccdr.jobs.shipping.log_archive import (
    INDEX,
    LogIndex,
    StoredBatch,
    arranged,
    contradicts,
    joins,
    let_go,
    line_to,
    merged,
)
from ccdr.jobs.shipping.log_archive import logged as logged_up_to
from ccdr.jobs.shipping.recovery import fetch_log
from ccdr.jobs.shipping.shipment import Journal, Proven, Shipment, Spool
from ccdr.jobs.upkeep.prune import needed_log
from ccdr.model.errors import BackupBad, CcdrError, TestBroken, UsageProblem
from ccdr.model.forks import Fork, read, written
from ccdr.model.values import FileDigest, Manifest, Snapshot
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.place import Source
from ccdr.storage.manifest import manifest_text, text_digest
from ccdr.storage.restic import Restic


def minutes(n: float) -> datetime:
    return NOW + timedelta(minutes=n)


# Timeline 1 was received to within segment 7, up to 12:10; timeline 2 left it in segment 4, at 12:20.
FORK = Fork(2, 1, lsn((4 << 24) + 4096), minutes(20))
FORMER = [batch(1, 3, 5), batch(4, 6, 10)]
LATER = replace(batch(4, 5, 25, timeline=2), forks=(FORK,), id="later")
ARCHIVE = arranged([*FORMER, LATER])
OLD = base(0, 1)


def ids(found: Choice) -> list[str]:
    return [b.id for b in found.batches]


def to(target: RecoveryTarget, *bases: tuple[Snapshot, Manifest]) -> Choice:
    known = bases or (OLD,)
    return choose([s for s, _ in known], [m for _, m in known], ARCHIVE, WAL, target)


def test_a_moment_is_gone_to_by_the_branch_that_was_written_then() -> None:
    for minute, branch, wanted in (
        (4, 1, ["1-3-5"]),
        (9, 1, ["1-3-5", "4-6-10"]),
        (20.5, 2, ["1-3-5", "later"]),
        (24, 2, ["1-3-5", "later"]),
    ):
        found = to(RecoveryTarget(time=minutes(minute)))
        assert (found.target.branch, ids(found), found.target.left) == (branch, wanted, None), minute
        assert found.current == (branch == 2)
    found = to(RecoveryTarget())
    assert (found.target.branch, ids(found), found.target.position) == (2, ["1-3-5", "later"], LATER.position)
    found = to(RecoveryTarget(branch=1))
    assert (found.target.branch, ids(found), found.target.position) == (1, ["1-3-5", "4-6-10"], FORMER[1].position)
    assert found.forks == (FORK,), "so that whoever goes on from there takes another number"
    with pytest.raises(UsageProblem, match="no log of timeline 7 leads on"):
        to(RecoveryTarget(branch=7))


def test_a_moment_between_two_branches_says_where_the_first_was_left() -> None:
    found = to(RecoveryTarget(time=minutes(15)))
    assert found.target.branch == 1 and found.target.left == FORK and found.target.beyond
    # By the clock of the source, which was a minute ahead.
    ahead = arranged([*FORMER, replace(LATER, skew=60.0)])
    assert choose([OLD[0]], [OLD[1]], ahead, WAL, RecoveryTarget(time=minutes(19.5))).target.branch == 2
    assert choose([OLD[0]], [OLD[1]], ahead, WAL, RecoveryTarget(time=minutes(18.5))).target.branch == 1


def test_two_servers_that_wrote_at_once_are_told() -> None:
    still = replace(FORMER[1], point=minutes(22))
    archive = arranged([FORMER[0], still, LATER])
    with pytest.raises(TestBroken, match=r"may mean timeline 1 or timeline 2.*both were written then"):
        choose([OLD[0]], [OLD[1]], archive, WAL, RecoveryTarget(time=minutes(21)))
    assert choose([OLD[0]], [OLD[1]], archive, WAL, RecoveryTarget(time=minutes(21), branch=2)).target.branch == 2
    assert choose([OLD[0]], [OLD[1]], archive, WAL, RecoveryTarget(time=minutes(23))).target.branch == 2


def test_a_branch_that_nothing_was_left_behind_of_is_no_other_history() -> None:
    """The twin: a server that was promoted where its log ended."""
    fork = replace(FORK, position=lsn((7 << 24) + 4096))
    whole = replace(batch(4, 6, 10), open=None)
    archive = arranged([FORMER[0], whole, replace(batch(7, 8, 25, timeline=2), forks=(fork,), id="on")])
    assert not archive.gaps(WAL) and archive.contiguous(WAL) == archive.batches
    for target in (RecoveryTarget(time=minutes(9)), RecoveryTarget(time=minutes(15)), RecoveryTarget()):
        found = choose([OLD[0]], [OLD[1]], archive, WAL, target)
        assert found.target.branch == 2 and found.target.left is None


def test_a_base_behind_where_a_branch_left_does_not_lead_to_it() -> None:
    behind = base(8, 5)
    assert to(RecoveryTarget(), OLD, behind).base == OLD[0]
    assert to(RecoveryTarget(time=minutes(9)), OLD, behind).base == behind[0]
    with pytest.raises(BackupBad, match="no base leads to timeline 2"):
        to(RecoveryTarget(), behind)
    within = base(7, 4)  # in the segment, and before the place
    assert to(RecoveryTarget(), replaced(within, lsn((4 << 24) + 4096))).base == within[0]
    with pytest.raises(BackupBad, match="no base leads"):
        to(RecoveryTarget(), replaced(within, lsn((4 << 24) + 4104)))


def replaced(known: tuple[Snapshot, Manifest], stop: str, timeline: int = 1) -> tuple[Snapshot, Manifest]:
    snapshot, manifest = known
    return snapshot, replace(manifest, contents={**manifest.contents, "timeline": timeline, "stop_lsn": stop})


def test_right_behind_a_base_of_a_new_branch_there_is_no_log_yet() -> None:
    """What is stored of the one before it is not taken for its end."""
    anew = replaced(base(24, 5), lsn(5 << 24), timeline=2)
    with pytest.raises(TestBroken, match="there is none yet that leads on from it"):
        choose([OLD[0], anew[0]], [OLD[1], anew[1]], arranged(FORMER), WAL, RecoveryTarget())
    assert to(RecoveryTarget(), OLD, anew).base == anew[0]


def test_pruning_keeps_both_branches_for_as_long_as_a_base_leads_to_them() -> None:
    behind, anew = base(8, 5), replaced(base(24, 5), lsn(5 << 24), timeline=2)
    manifests = {s.id: m for s, m in (OLD, behind, anew)}

    class Catalogue:
        catalogue = None

        def manifest(self, snapshot: Snapshot) -> Manifest:
            return manifests[snapshot.id]

    services: Any = Catalogue()
    services.catalogue = services
    for kept, gone in (([OLD, behind, anew], []), ([anew, behind], ["1-3-5"]), ([anew], ["1-3-5", "4-6-10"])):
        needed, since = needed_log(WAL, map(services.catalogue.manifest, [s for s, _ in kept]))
        assert [b.id for b in let_go(ARCHIVE, needed, WAL, since)] == gone


def test_a_log_whose_new_branch_was_received_too_late_has_a_gap() -> None:
    late = replace(LATER, first=segment(5, 2), name=segment(5, 2))
    archive = arranged([*FORMER, late])
    assert len(archive.gaps(WAL)) == 1 and archive.contiguous(WAL) == (archive.batches[-1],)
    with pytest.raises(BackupBad, match="missing between"):
        choose([OLD[0]], [OLD[1]], archive, WAL, RecoveryTarget())
    assert choose([OLD[0]], [OLD[1]], archive, WAL, RecoveryTarget(time=minutes(9))).target.branch == 1


@given(st.data())
def test_each_place_of_a_way_is_of_one_branch(data: st.DataObject) -> None:
    forks = []
    for branch in range(2, data.draw(st.integers(2, 6)) + 1):
        place, rest = data.draw(st.integers(1, 20)), data.draw(st.sampled_from([0, 8, 8192]))
        forks.append(Fork(branch, data.draw(st.integers(1, branch - 1)), lsn((place << 24) + rest)))
    branch = forks[-1].branch
    line = line_to(WAL, forks, branch)
    for place in range(30):
        assert len([b for b in range(1, branch + 1) if line.takes(segment(place, b))]) == 1
    names = [segment(place, b) for b in range(1, branch + 1) for place in range(30)]
    names = [name for name in names if line.takes(name)]
    assert line.stretch(names, segment(0)) == names
    for one, other in pairwise(names):
        assert joins(WAL, one, other, forks)
    missing = data.draw(st.integers(1, len(names) - 2))
    with pytest.raises(BackupBad, match="missing between"):
        line.stretch([*names[:missing], *names[missing + 1 :]], segment(0))


def test_a_branch_joins_what_leads_to_where_it_began() -> None:
    forks = (FORK, Fork(3, 1, lsn((2 << 24) + 8)))
    assert joins(WAL, segment(6), segment(4, 2), forks), "whatever the one before it has behind that place"
    assert joins(WAL, segment(3), segment(4, 2), forks) and not joins(WAL, segment(2), segment(4, 2), forks)
    assert not joins(WAL, segment(6), segment(5, 2), forks) and not joins(WAL, segment(6), segment(3, 2), forks)
    assert joins(WAL, segment(5, 2), segment(2, 3), forks), "received in this order, and neither leads to the other"
    assert not joins(WAL, segment(5, 2), segment(3, 3), forks)


def test_what_a_tag_tells_of_branches_is_read_as_it_was_written() -> None:
    forks = (FORK, Fork(3, 2, "0/9000000"))
    assert read(written(forks)) == forks and "," not in written(forks) and read("") == ()
    assert merged([[replace(FORK, at=None)], [FORK], [replace(FORK, at=None)]]) == (FORK,)
    assert contradicts([FORK], [replace(FORK, position="0/1")]) and not contradicts([FORK], forks)


HISTORY = '1\t0/4001000\tno recovery target specified\n\n2\t0/9000000\tat restore point "x"\n'


def test_a_timelines_history_is_read() -> None:
    assert timelines.forks(3, HISTORY) == (Fork(2, 1, "0/4001000"), Fork(3, 2, "0/9000000"))
    assert timelines.forks(3, timelines.history(3, timelines.forks(3, HISTORY))) == timelines.forks(3, HISTORY)
    for text in ("", "x", "3\t0/1\twhy", HISTORY + "1\t0/1\tagain"):
        with pytest.raises(ValueError, match="timeline's history"):
            timelines.forks(3, text)


def record(what: int, data: bytes, whose: int = 0) -> bytes:
    length = 24 + 2 + len(data)
    found = struct.pack("=IIQBBxxI", length, 0, 0, what, whose, 0) + bytes([255, len(data)]) + data
    return found + bytes(-length % 8)


@pytest.mark.parametrize("offset", [4096, 8192 - 8, 8192 - 32, 0])
@pytest.mark.parametrize("kind", ["promoted", "recovered"])
def test_when_a_timeline_was_begun_is_read_from_its_first_record(tmp_path: Path, offset: int, kind: str) -> None:
    """Wherever on a page it begins, and behind what a server may say before it."""
    when = datetime(2026, 11, 24, 12, 0, 7, tzinfo=UTC)
    if kind == "promoted":
        mine = record(0x90, struct.pack("=qII", int((when - timelines.EPOCH).total_seconds() * 1e6), 2, 1))
    else:
        mine = record(0x00, bytes(64) + struct.pack("=q", int(when.timestamp())) + bytes(8))
    bare = record(0x80, b"\x01") + mine
    at = offset or 40
    raw = bytearray(5 * 8192)
    for byte in bare:
        if at % 8192 == 0:
            at += 24
        raw[at] = byte
        at += 1
    file = tmp_path / "segment"
    file.write_bytes(raw)
    assert timelines.begun(file, lsn((7 << 24) + offset), SEGMENT_BYTES) == when
    file.write_bytes(bytes(5 * 8192))
    assert timelines.begun(file, lsn((7 << 24) + offset), SEGMENT_BYTES) is None, "it is not there yet"


# --- what is fetched ------------------------------------------------------------------------------------------


class Stored:
    """A repository that gives back what stands in directories."""

    def __init__(self, places: dict[str, Path]) -> None:
        self._places = places

    def restore(self, snapshot: str, _root: str, into: Path) -> None:
        for path in self._places[snapshot].iterdir():
            (into / path.name).write_bytes(path.read_bytes())


def hashed(place: Path, names: Sequence[str], **_: Any) -> dict[str, FileDigest]:
    return {name: FileDigest((place / name).stat().st_size, "0" * 64) for name in names}


@pytest.fixture
def fetched(tmp_path: Path) -> tuple[Path, Choice, Any]:
    """One batch of timeline 2, from the base's own segment on."""
    place = tmp_path / "stored"
    place.mkdir()
    names = [segment(4, 2), segment(5, 2)]
    for name in names:
        with (place / name).open("wb") as file:
            file.truncate(SEGMENT_BYTES)
    with (place / f"{segment(6, 2)}.open").open("wb") as file:
        file.truncate(SEGMENT_BYTES)
    (place / "00000002.history").write_text("1\t0/4001000\tx\n")
    files = {name: FileDigest(0, "0" * 64) for name in (*names, "00000002.history")}
    b = replace(LATER, heads={}, server=None, skew=None)
    index = LogIndex(
        plan="p",
        asset="crm",
        engine="postgres",
        source="s",
        point=b.point,
        position=b.position,
        server=None,
        batch=b.name,
        clock_skew_s=None,
        anew=b.anew,
        forks=b.forks,
        segments=tuple(names),
        open=b.open,
        heads={},
        files=files,
    )
    write_state(place / INDEX, index)

    class Engine:
        source_name = "s"

    class OneJob:
        plan, asset, engine = "p", "crm", Engine()

    choice = Choice(OLD[0], (b,), RecoveryTarget(branch=2), True, (FORK, Fork(3, 1, "0/2000000")))

    def fetch() -> Any:
        into = tmp_path / "into"
        return fetch_log(
            cast(Job, OneJob()), cast(Restic, Stored({b.id: place})), choice, segment(4), WAL, into, hashed
        )

    return place, choice, fetch


def test_log_that_is_whole_is_fetched_with_what_reserves_the_numbers_of_other_branches(
    fetched: tuple[Path, Choice, Any], tmp_path: Path
) -> None:
    done = fetched[2]()
    assert done.actual.startswith(f"{segment(4, 2)} to {segment(6, 2)}")
    assert (tmp_path / "into" / "00000003.history").read_text() == "1\t0/2000000\tas ccdr has it\n"
    assert (tmp_path / "into" / "00000002.history").read_text() == "1\t0/4001000\tx\n"


def test_a_history_file_that_is_missing_is_a_failure_that_names_it(fetched: tuple[Path, Choice, Any]) -> None:
    place, _, fetch = fetched
    (place / "00000002.history").unlink()
    with pytest.raises(BackupBad, match=r"lacks 00000002\.history"):
        fetch()


def test_a_history_file_that_is_missing_in_the_index_too_is_a_failure_that_names_it(
    fetched: tuple[Path, Choice, Any],
) -> None:
    place, _, fetch = fetched
    (place / "00000002.history").unlink()
    body = json.loads((place / INDEX).read_text())
    del body["files"]["00000002.history"]
    (place / INDEX).write_text(json.dumps(body))
    with pytest.raises(BackupBad, match=r"the log lacks 00000002\.history"):
        fetch()


def test_a_segment_that_was_cut_short_before_its_sum_was_taken_is_a_failure_that_names_it(
    fetched: tuple[Path, Choice, Any],
) -> None:
    place, _, fetch = fetched
    with (place / segment(5, 2)).open("r+b") as file:
        file.truncate(SEGMENT_BYTES - 8192)
    with pytest.raises(BackupBad, match=f"{segment(5, 2)} has 16769024 bytes"):
        fetch()


def test_an_open_segment_in_which_nothing_came_yet_is_as_long_as_recovery_wants_it(
    fetched: tuple[Path, Choice, Any], tmp_path: Path
) -> None:
    """Its receiver was killed while it made room for it."""
    place, _, fetch = fetched
    with (place / f"{segment(6, 2)}.open").open("r+b") as file:
        file.truncate(4096)
    fetch()
    assert (tmp_path / "into" / segment(6, 2)).stat().st_size == SEGMENT_BYTES


def test_a_binary_log_that_ends_within_an_event_is_told(tmp_path: Path, wording: SnapshotAssertion) -> None:
    event = struct.pack("<IBIII", 1, 15, 1, 40, 0) + bytes(2 + 40 - 19)
    file = tmp_path / "binlog.000001"
    file.write_bytes(b"\xfebin" + event * 3)
    assert cut_short(file) is None
    file.write_bytes(b"\xfebin" + event * 3 + event[:-1])
    assert cut_short(file) == wording
    file.write_bytes(b"\xfebi")
    assert cut_short(file) is not None


def logged(file: Path, before: Sequence[tuple[int, int, int]], *transactions: tuple[int, int, int]) -> None:
    """A file of a binary log: what it says of what came before, and its own transactions (domain, server, number)."""
    body = struct.pack("<I", len(before)) + b"".join(struct.pack("<IIQ", *entry) for entry in before)
    raw = b"\xfebin" + struct.pack("<IBIII2x", 1, 15, 1, 40, 0) + bytes(21)
    raw += struct.pack("<IBIII2x", 1, 163, 1, 19 + len(body), 0) + body
    for domain, server, n in transactions:
        raw += struct.pack("<IBIII2x", 1, 162, server, 19 + 13, 0) + struct.pack("<QIB", n, domain, 0)
    file.write_bytes(raw)


def test_a_binary_log_that_ends_with_an_event_and_too_early_is_told_by_the_file_behind_it(tmp_path: Path) -> None:
    one, other = tmp_path / "binlog.000001", tmp_path / "binlog.000002"
    logged(one, [(0, 1, 4), (7, 2, 9)], (0, 1, 5), (0, 1, 6), (3, 1, 1))
    logged(other, [(0, 1, 6), (7, 2, 9), (3, 1, 1)], (0, 1, 7))
    assert cut_short(one) is None and breaks_off(one, other) is None
    logged(one, [(0, 1, 4), (7, 2, 9)], (0, 1, 5))
    assert cut_short(one) is None and breaks_off(one, other) == "0-1-6"
    logged(other, [])
    assert breaks_off(one, other) is None, "an older server lists nothing"


# --- who ships ------------------------------------------------------------------------------------------------


def receiving(tmp_path: Path, chain: Sequence[StoredBatch] = ()) -> Batch:
    (tmp_path / "spool").mkdir(parents=True)
    made = Batch(WAL, tmp_path / "spool", tmp_path / "batch", undigested, ShiftedClock())
    if chain:
        made.goes_on(chain[-1], chain)
    return made


def spooled(spool: Path, *names: str, written: int = 0) -> None:
    """Segments of which so many bytes have come."""
    for name in names:
        with (spool / name).open("wb") as file:
            file.write(bytes([1]) * written)
            file.truncate(SEGMENT_BYTES)
    (spool / "00000002.history").write_text(f"1\t{FORK.position}\tx\n")


def test_each_branch_has_batches_of_its_own(tmp_path: Path) -> None:
    """What is there of the one before it is stored as its own; what was stored of it before, and is received once more
    up to where it was left, does not take the place of that."""
    held = receiving(tmp_path)
    spooled(held.spool, segment(3), f"{segment(4)}.partial", f"{segment(4, 2)}.partial")
    first = held.gather()
    assert (first.whole, first.open, first.torn, first.gaps) == ([segment(3)], segment(4), True, ())
    held.close(first)
    second = held.gather()
    assert (second.whole, second.open, second.torn, second.gaps) == ([], segment(4, 2), False, ())
    begun = receiving(tmp_path / "again", [batch(1, 3, 5)])
    spooled(begun.spool, f"{segment(4)}.partial", f"{segment(4, 2)}.partial")
    assert begun.gather().open == segment(4, 2)
    alone = receiving(tmp_path / "alone", [batch(1, 3, 5)])
    spooled(alone.spool, f"{segment(4)}.partial")
    assert alone.gather().open == segment(4), "the twin: nothing has left it"


class Led(Wal):
    """A source that says by which timeline it goes on."""

    led: ClassVar[tuple[int, tuple[Fork, ...]]]

    def lineage(self, source: Source) -> tuple[int, tuple[Fork, ...]]:
        return self.led

    def went_back(self, *_: Any) -> str | None:
        return None


class Untold(Journal):
    """Nobody keeps its records."""

    def record(self, trouble: str | None) -> None:
        pass


def looked_back(
    tmp_path: Path, led: tuple[int, tuple[Fork, ...]], standing: LogStanding, *, stored: bool = True
) -> bool:
    """Is what was received stored for good, and out of the receiver's way? It is of timeline 1, up to in segment 6,
    unless a file in the spool tells more."""
    held = receiving(tmp_path, [replace(FORMER[1], heads={})])
    spooled(held.spool, f"{segment(6)}.partial", written=SEGMENT_BYTES // 2)
    (held.spool / "00000002.history").unlink()
    type.__setattr__(Led, "led", led)
    log = held.log = Led(WAL.connection, WAL.shipping, WAL.name)
    job, run, clock = cast(Job, SimpleNamespace(asset="crm", plan="p")), cast(Run, None), ShiftedClock()
    services = cast(Services, SimpleNamespace(clock=clock, catalogue=SimpleNamespace(snapshots=lambda *_: [])))
    journal, spool = Untold(job, services, run, Quiet(), tmp_path, standing), Spool(log, held.spool, 2**30, clock)
    shipment = Shipment(job, services, run, Quiet(), LogShipping(), log, spool, held, journal)
    history = SourceHistory(shipment, Proven(shipment), Continuity(shipment, cast(Restic, None)))
    history.compare(cast(Source, None), stored=stored)
    return not WAL.segments(held.spool)


SHIPPED = LogStanding(position=lsn((6 << 24) + 4096), branch=1, point=NOW)


@pytest.mark.parametrize(
    ("place", "rest", "leaves"), [(4, 4096, True), (6, 4096, True), (6, SEGMENT_BYTES // 2, False), (7, 0, False)]
)
def test_a_source_that_goes_on_from_before_the_end_of_what_was_received_begins_another_branch(
    tmp_path: Path, place: int, rest: int, leaves: bool
) -> None:
    """What was received waits to be stored first; where it ends at the very place, or before it, it only goes on."""
    led = (2, (Fork(2, 1, lsn((place << 24) + rest)),))
    assert looked_back(tmp_path, led, SHIPPED) is leaves
    if leaves:
        with pytest.raises(CcdrError, match="waits to be stored first"):
            looked_back(tmp_path / "waiting", led, SHIPPED, stored=False)
        assert WAL.segments(tmp_path / "waiting" / "spool")


@pytest.mark.parametrize(
    ("led", "known"),
    [
        ((2, (replace(FORK, position="0/1000000"),)), (FORK,)),
        ((3, (Fork(3, 2, "0/9000000"), replace(FORK, position="0/1000000"))), (FORK,)),
    ],
)
def test_a_number_that_was_taken_twice_is_another_history(
    tmp_path: Path, led: tuple[int, tuple[Fork, ...]], known: tuple[Fork, ...]
) -> None:
    with pytest.raises(WentBack, match="began elsewhere"):
        looked_back(tmp_path, led, replace(SHIPPED, forks=known))


def test_log_counts_by_an_older_base_where_the_source_was_recovered_to_before_its_newest(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.plan(
        "crm:\n  engine: postgres\n  method: physical\n  log_shipping: {interval: 60s}\n"
        "  connection: {host: /nowhere, user: postgres, database: postgres}"
    )
    services, job, known = site.services(), Job(site.loaded(), "crm"), []
    for snapshot, manifest in (OLD, base(8, 5)):
        text = manifest_text(manifest)
        known.append(replace(snapshot, manifest_sha256=text_digest(text)))
        services.catalogue.add(known[-1], text)
    stands = LogStanding(since=segment(1), point=LATER.point, usable=LATER.point, position=LATER.position, branch=2)
    home = services.state.directory("shipping", "p", "crm")
    write_standing(home, replace(stands, forks=(FORK,)))
    assert [p.consistent for p in logged_up_to(job, services, known)] == [LATER.point]
    assert logged_up_to(job, services, known[1:]) == [], "the newest leads to the former branch only"
    assert [p.consistent for p in logged_up_to(job, services, known, archive=lambda: ARCHIVE)] == [LATER.point]
    assert logged_up_to(job, services, known[1:], archive=lambda: ARCHIVE) == []
    write_standing(home, replace(stands, branch=1))
    assert [p.consistent for p in logged_up_to(job, services, known[1:])] == [LATER.point], "the twin"
