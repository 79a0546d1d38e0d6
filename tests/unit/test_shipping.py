"""What is stored of a log, and what a recovery takes of it: pure, no server."""

from __future__ import annotations

import json
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.harness import Quiet, ShiftedClock, Site

from ccdr.engines.base import LogShipping
from ccdr.engines.mariadb.binlog import Binlog
from ccdr.engines.mariadb.connection import Connection as MariaConnection
from ccdr.engines.mariadb.logfile import head_of
from ccdr.engines.postgres.canary import make_canary
from ccdr.engines.postgres.connection import Connection
from ccdr.engines.postgres.position import lsn, number
from ccdr.engines.postgres.segments import SEGMENT_BYTES
from ccdr.engines.postgres.slot import former_slot_name, slot_name
from ccdr.engines.postgres.wal import Wal
from ccdr.evidence.log_standing import Standing, read_standing, write_standing
from ccdr.host.clock import SystemClock
from ccdr.host.state import Run, State
from ccdr.jobs.services import Services
from ccdr.jobs.shipping import background
from ccdr.jobs.shipping.batch import Batch, Held, WentBack
from ccdr.jobs.shipping.choice import Choice, choose, holding, stored_again
from ccdr.jobs.shipping.continuity import VANISHED, Continuity
from ccdr.jobs.shipping.fetching_log import index_of
from ccdr.jobs.shipping.journal import Journal
from ccdr.jobs.shipping.log_archive import LogArchive, arranged, let_go
from ccdr.jobs.shipping.receiving import Receiving
from ccdr.jobs.shipping.recovery import Recovery, logged, the_base
from ccdr.jobs.shipping.ship import Shipping
from ccdr.jobs.shipping.shipment import Shipment
from ccdr.jobs.shipping.spool import Spool
from ccdr.jobs.shipping.stored_batch import INDEX, Extent, Gap, StoredBatch, same_head
from ccdr.jobs.shipping.targets import target_of
from ccdr.jobs.upkeep.log import _needed
from ccdr.jobs.upkeep.prune import _Pruning
from ccdr.model.answers import NO_WORDS
from ccdr.model.errors import (
    BackupBad,
    BackupFailed,
    CcdrError,
    CommandFailed,
    RepositoryUnavailable,
    TestBroken,
    UsageProblem,
)
from ccdr.model.values import FileDigest, Manifest, Snapshot, utc
from ccdr.plans.job import Job
from ccdr.ports.log import LogMark, Reached, Target
from ccdr.ports.place import Output, Place, Session, Source
from ccdr.storage.catalogue import manifest_text, text_digest
from ccdr.storage.listing import RepoSnapshot, Stored
from ccdr.storage.restic import Restic

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WAL = Wal(Connection(host="/run", user="x", database="y"), LogShipping(), "p/crm")


def segment(n: int, timeline: int = 1) -> str:
    return f"{timeline:08X}{n // 256:08X}{n % 256:08X}"


def batch(first: int, last: int, at: int = 0, *, id_: str = "", timeline: int = 1) -> StoredBatch:
    """Whole segments from `first` to `last`, the next one open; minutes after NOW."""
    when = NOW + timedelta(minutes=at)
    names = [segment(n, timeline) for n in (first, last, last + 1)]
    whole = (names[0], names[1]) if last >= first else (None, None)
    return StoredBatch(
        id=id_ or f"{first}-{last}-{at}",
        root="/spool",
        name=names[0],
        first=whole[0],
        last=whole[1],
        open=names[2],
        point=when,
        position=lsn((last + 1) << 24),
        usable_at=when + timedelta(seconds=3),
        run="r",
    )


def base(at: int, stop: int, method: str = "physical") -> tuple[Snapshot, Manifest]:
    when = NOW + timedelta(minutes=at)
    contents = {"timeline": 1, "stop_lsn": lsn((stop << 24) + 4096)}
    manifest = Manifest("p", "crm", f"r{at}", "postgres", method, "h", when, 0.0, {}, contents)
    snapshot = Snapshot(f"base{at}", "p", "crm", f"r{at}", "postgres", method, when, when, 1, "/x", "0" * 64)
    return snapshot, manifest


@pytest.mark.parametrize("maria", [False, True])
def test_a_canary_that_may_not_be_kept_is_named_with_its_grant(maria: bool) -> None:
    def run(*_: Any, **__: Any) -> Output:
        raise CommandFailed(["client"], 1, said)

    source: Any = SimpleNamespace(place=SimpleNamespace(run=run), credentials=Path("/c"))
    login: Any = SimpleNamespace(client=list)
    binlog = Binlog(MariaConnection(host="db", user="x", database="y"), LogShipping(), "p/crm")
    make = (
        (lambda: binlog._make_canary(source, login))
        if maria
        else (lambda: make_canary(lambda sql: WAL._ask(source, sql), WAL.connection))
    )
    said = "ERROR 1044 (42000): Access denied for user" if maria else "ERROR:  permission denied for database y"
    with pytest.raises(BackupFailed, match=r"canary.*denied.*GRANT CREATE"):
        make()
    said = "the server is gone"  # which says nothing of the canary
    with pytest.raises(CommandFailed):
        make()


def test_segments_follow_one_another_across_files_and_timelines() -> None:
    assert WAL.follows(segment(1), segment(2)) and WAL.follows(segment(255), segment(256))
    assert not WAL.follows(segment(1), segment(3)) and not WAL.follows(segment(2), segment(1))
    assert not WAL.follows(segment(1), segment(1))
    # A new timeline begins within the segment that the old one ended in, or right behind it.
    assert WAL.follows(segment(7), segment(7, 2)) and WAL.follows(segment(7), segment(8, 2))
    assert not WAL.follows(segment(7), segment(9, 2)) and not WAL.follows(segment(7, 2), segment(8, 1))
    assert not WAL.follows("00000002.history", segment(1))


@given(st.integers(0, 2**20), st.integers(0, 2**20))
def test_a_log_covers_what_does_not_lie_before_it(first: int, needed: int) -> None:
    assert WAL.covers(segment(first), segment(needed)) == (first <= needed)


@given(st.integers(0, 2**63))
def test_positions_are_read_as_they_are_written(position: int) -> None:
    assert number(lsn(position)) == position


def test_the_spool_is_read_in_the_logs_order(tmp_path: Path) -> None:
    for name in (f"{segment(3)}.partial", segment(2), segment(256), "00000002.history", "x.tmp", segment(1)):
        (tmp_path / name).touch()
    found = WAL.segments(tmp_path)
    assert [(s.name, s.whole, s.beside) for s in found] == [
        ("00000002.history", True, True),
        (segment(1), True, False),
        (segment(2), True, False),
        (segment(3), False, False),
        (segment(256), True, False),
    ]
    (tmp_path / segment(3)).touch()  # renamed while we looked
    assert all(s.whole for s in WAL.segments(tmp_path))


@given(st.integers(0, 2**20), st.integers(1, SEGMENT_BYTES), st.integers(1, 9))
def test_a_position_lies_in_the_segment_that_was_written_last_before_it(n: int, bytes_: int, timeline: int) -> None:
    position = lsn((n << 24) + bytes_)
    assert WAL.lies_in(position, segment(n, timeline)) and not WAL.lies_in(position, segment(n + 1, timeline))
    assert not WAL.lies_in(position, "00000002.history")


def test_a_base_needs_the_log_from_where_its_own_ends() -> None:
    _, manifest = base(0, 300)
    assert WAL.needed_from(manifest) == segment(300)
    assert WAL.goes_on_from(manifest) and not WAL.goes_on_from(base(0, 1, "dump")[1])


NAMES = st.text("abz019-_", min_size=1, max_size=40)


@given(NAMES, NAMES, NAMES, NAMES)
def test_a_slots_name_is_one_that_postgres_takes_and_no_other_assets(p: str, a: str, q: str, b: str) -> None:
    one, other = slot_name(f"{p}/{a}"), slot_name(f"{q}/{b}")
    assert re.fullmatch(r"ccdr_[a-z0-9_]{1,58}", one)
    assert (one == other) == ((p, a) == (q, b))


def test_assets_whose_names_become_the_same_have_slots_of_their_own() -> None:
    assert former_slot_name("a/b_c") == former_slot_name("a_b/c") == "ccdr_a_b_c"
    assert slot_name("a/b_c") != slot_name("a_b/c") and slot_name("a/b_c").startswith("ccdr_a_b_c_")


def walfile(path: Path, n: int, written: int, identifier: int = 7312) -> None:
    """Segment `n`, of which so many bytes were received: its pages begin with where they lie, and zeros follow."""
    whole = bytearray(SEGMENT_BYTES)
    for page in range(0, written, 8192):
        struct.pack_into("=HHIQ", whole, page, 0xD110, 0, 1, n * SEGMENT_BYTES + page)
    if written:
        struct.pack_into("=24xQII", head := bytearray(40), 0, identifier, SEGMENT_BYTES, 8192)
        whole[24:40] = head[24:]
    path.write_bytes(whole)


def test_a_spool_reaches_as_far_as_its_pages_are_written(tmp_path: Path) -> None:
    """A segment has its full length before anything is received of it."""
    path = tmp_path / f"{segment(3)}.partial"
    walfile(path, 3, 0)
    assert WAL.head(path) is None and not WAL.reaches(tmp_path, lsn((3 << 24) + 100))
    walfile(path, 3, 20000)
    assert str(WAL.head(path)).split(".")[0] == "7312" and WAL.head(tmp_path / segment(9)) is None
    for more, reached in ((1, True), (8192, True), (24576, True), (24577, False), (SEGMENT_BYTES, False)):
        assert WAL.reaches(tmp_path, lsn((3 << 24) + more)) == reached, more
    assert WAL.reaches(tmp_path, lsn(3 << 24)), "what ended there was stored, and let go"
    assert not WAL.reaches(tmp_path, lsn((4 << 24) + 1))
    path.unlink()
    assert not WAL.reaches(tmp_path, lsn((3 << 24) + 1))


@dataclass
class Answering:
    """A source's place that answers all alike."""

    said: str

    def run(self, argv: Sequence[str], **_: object) -> Output:
        return Output(0, self.said + "\n", NO_WORDS)


def test_only_our_own_receivers_progress_counts(tmp_path: Path) -> None:
    walfile(tmp_path / f"{segment(3)}.partial", 3, 20000)
    mark = LogMark(lsn((3 << 24) + 9000), NOW, 0.0)

    def holds(said: str, mark: LogMark = mark) -> bool:
        return WAL.holds(Source(cast("Place", Answering(said)), tmp_path), tmp_path, mark)

    assert holds(f"41|t|{WAL.receiving}")
    assert not holds(f"41|f|{WAL.receiving}") and not holds("0|t|") and not holds("")
    assert not holds(f"41|t|{WAL.receiving}", LogMark(lsn((3 << 24) + 30000), NOW, 0.0)), "the spool has less"
    with pytest.raises(CommandFailed, match=r"another receiver .*ccdr log elsewhere.* \(process 41\)"):
        holds("41|t|ccdr log elsewhere 1a2b3c4d")
    assert replace(WAL, receiving="x") == WAL


@pytest.mark.parametrize(
    ("keeps", "behind", "said"),
    [
        (-1, 2**20, ["is not set"]),
        (-1, 2**31 + 1, ["is not set", "keeps 2.0 GiB of log for us, and will until its disk is full"]),
        (2**30, 2**29, []),
        (2**30, 2**29 + 2**20, ["keeps 513.0 MiB of log for us and gives up at 1.0 GiB"]),
    ],
)
def test_log_that_piles_up_at_the_source_is_told_before_its_disk_is_full(
    keeps: int, behind: int, said: list[str]
) -> None:
    """Where the server keeps all there is, the spool's limit (4 GiB) says how much is too much."""
    source = Source(cast("Place", Answering(f"f|replica|{SEGMENT_BYTES}|{keeps}|reserved||{behind}")), Path())
    found = list(WAL.ready(source))
    assert len(found) == len(said) and all(words in text for words, text in zip(said, found, strict=True)), found


def test_what_is_in_a_receivers_way_stays_until_it_is_stored(tmp_path: Path) -> None:
    """The source gave the slot up, and keeps what lies behind the spool's."""
    for n in (3, 4):
        walfile(tmp_path / segment(n), n, 20000)
    source = Source(cast("Place", Answering(lsn(9 << 24))), tmp_path)
    place = SimpleNamespace(run=source.place.run, path=str)
    source = replace(source, place=cast("Place", place))
    with pytest.raises(CcdrError, match="waits to be stored first"):
        WAL.receiver(source, tmp_path, segment(4), None, stored=False)
    assert [s.name for s in WAL.segments(tmp_path)] == [segment(3), segment(4)]
    WAL.receiver(source, tmp_path, segment(4), None, stored=True)
    assert WAL.segments(tmp_path) == []


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
        assert _needed(WAL, services, kept) == (segment(255), manifests["base0"].consistent_point)
    assert _needed(WAL, services, [known[2][0], known[0][0]])[0] == segment(256)
    assert _needed(WAL, services, [known[3][0]]) == (None, None)


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


def chosen(archive: LogArchive, target: Target, *bases: tuple[Snapshot, Manifest]) -> tuple[str, list[str]]:
    found = choose([s for s, _ in bases], [m for _, m in bases], archive, WAL, target)
    return found.base.id, [b.id for b in found.batches]


def test_a_recovery_begins_with_the_newest_base_before_its_target() -> None:
    archive = arranged([batch(1, 3, 10), batch(4, 6, 20), batch(7, 9, 30)])
    bases = base(0, 1), base(15, 5)
    assert chosen(archive, Target(), *bases) == ("base15", ["4-6-20", "7-9-30"])
    at = NOW + timedelta(minutes=12)
    assert chosen(archive, Target(time=at), *bases) == ("base0", ["1-3-10", "4-6-20"])
    assert chosen(archive, Target(time=NOW + timedelta(minutes=16)), *bases) == ("base15", ["4-6-20"])
    assert chosen(archive, Target(name="before-migration"), *bases)[0] == "base15"


def test_a_base_that_the_log_has_not_come_to_yet_is_no_failure() -> None:
    """Right after it was taken; but where this host knows of more log than there is, that has gone."""
    archive, (snapshot, manifest) = arranged([batch(1, 3, 10)]), base(15, 5)
    with pytest.raises(TestBroken, match="none yet that leads on from it"):
        choose([snapshot], [manifest], archive, WAL, Target())
    for known in (None, NOW, NOW + timedelta(minutes=10)):
        with pytest.raises(TestBroken):
            choose([snapshot], [manifest], archive, WAL, Target(), None, known)
    gone = choose([snapshot], [manifest], archive, WAL, Target(), None, NOW + timedelta(minutes=11))
    assert gone.batches == archive.batches, "and is found to be missing by who fetches it"
    reached = arranged([batch(1, 3, 10), replace(batch(4, 4, 11), open=segment(5))])
    assert chosen(reached, Target(), (snapshot, manifest))[0] == "base15"


def test_a_time_behind_what_is_proven_may_still_be_in_what_was_stored() -> None:
    last = replace(batch(1, 3, 10), begun=NOW + timedelta(minutes=10, seconds=9))
    snapshot, manifest = base(0, 1)
    for seconds, beyond in ((0, False), (1, True), (9, True)):
        at = NOW + timedelta(minutes=10, seconds=seconds)
        found = choose([snapshot], [manifest], arranged([last]), WAL, Target(time=at))
        assert (found.target.beyond, len(found.batches)) == (beyond, 1)
    with pytest.raises(UsageProblem, match="the log is stored up to"):
        choose([snapshot], [manifest], arranged([last]), WAL, Target(time=NOW + timedelta(minutes=10, seconds=10)))


def test_a_named_point_is_gone_to_from_the_newest_base_that_it_lies_behind() -> None:
    archive = arranged([batch(1, 3, 10), batch(4, 6, 20), batch(7, 9, 30)])
    bases = [base(0, 1), base(15, 5), base(29, 8)]

    def held(among: Sequence[tuple[Snapshot, Manifest]]) -> Choice:
        return choose([s for s, _ in among], [m for _, m in among], archive, WAL, Target(name="p"))

    def found(*behind: str) -> str:
        return holding("p", bases, held, lambda choice, _: choice.base.id in behind).base.id

    assert [found("base0", "base15", "base29"), found("base0", "base15"), found("base0")] == [
        "base29",
        "base15",
        "base0",
    ]
    with pytest.raises(UsageProblem, match="no log that is stored has a point named 'p'"):
        found()
    bases.append(base(40, 12))  # of which no log is stored yet
    assert found("base29") == "base29"
    with pytest.raises(UsageProblem, match=r"no log that is stored .*none yet that leads on"):
        found()
    archive = arranged([batch(1, 2, 10), batch(4, 6, 20), batch(7, 9, 30)])
    with pytest.raises(UsageProblem, match=r"no log that is stored has .*log is missing between"):
        found()  # a gap far behind makes no failure of a name that nobody gave
    archive = arranged([batch(7, 9, 30)])
    bases[:] = [base(15, 5)]
    with pytest.raises(BackupBad):
        found("base15")


def test_to_the_end_means_what_was_stored_as_the_end() -> None:
    archive = arranged([batch(1, 3, 10)])
    snapshot, manifest = base(0, 1)
    for target in (Target(), Target(time=NOW + timedelta(minutes=9)), Target(name="before-migration")):
        found = choose([snapshot], [manifest], archive, WAL, target)
        assert found.target == replace(target, position=batch(1, 3).position, skew=0.0, branch=1), (
            "log that ends before it is cut off"
        )


def test_what_was_stored_again_since_it_was_chosen_is_fetched_in_its_stead() -> None:
    """Only where it holds no less: an older snapshot in a newer one's place is log that is missing."""
    first, open_, more = batch(1, 2), batch(3, 3, 1), batch(3, 5, 2)
    chosen = choose([base(0, 1)[0]], [base(0, 1)[1]], arranged([first, open_]), WAL, Target())
    assert [b.id for b in chosen.batches] == [first.id, open_.id]
    assert stored_again(chosen, arranged([first, open_, more])) is None, "it is all there, so it is bad"
    newer = stored_again(chosen, arranged([first, more, batch(6, 6, 3)]))
    assert newer is not None and newer.batches == (first, more)
    assert newer.target.position == more.position and newer.base == chosen.base
    less = choose([base(0, 1)[0]], [base(0, 1)[1]], arranged([first, more]), WAL, Target())
    assert stored_again(less, arranged([first, open_])) is None
    assert stored_again(chosen, arranged([open_])) is None and stored_again(chosen, LogArchive()) is None


@pytest.mark.parametrize(
    ("said", "reached"), [(None, 0), (-60, 0), (1, 1), (2, 2), (3, 0), (3600, 0)], ids=lambda n: f"{n}s"
)
def test_what_claims_to_be_later_than_it_was_stored_makes_nothing_newer(said: int | None, reached: int) -> None:
    """Seconds after the last point; storing began two after it."""
    snapshot, manifest = base(0, 1)
    last = replace(batch(1, 3, 10), begun=NOW + timedelta(minutes=10, seconds=2))
    choice = choose([snapshot], [manifest], LogArchive((last,)), WAL, Target())
    claimed = None if said is None else last.point + timedelta(seconds=said)
    engine = SimpleNamespace(recover=lambda *_: Reached("0/1", claimed, None))
    one = Recovery(None, None, WAL, choice, segment(1), ahead=False)  # type: ignore[arg-type]
    one.carry_out(engine, None, Path(), Path(), manifest)  # type: ignore[arg-type]
    assert one.moment == last.point + timedelta(seconds=reached)
    assert [found.consistent for found in one.points()] == [one.moment]


def test_how_far_it_reached_is_nobody_s_to_say_where_its_snapshot_is_dated_ahead() -> None:
    snapshot, manifest = base(0, 1)
    choice = choose([snapshot], [manifest], arranged([batch(1, 3, 10)]), WAL, Target())
    engine = SimpleNamespace(recover=lambda *_: Reached("0/1", None, None))
    for ahead, points in ((False, 1), (True, 0)):
        one = Recovery(None, None, WAL, choice, segment(1), ahead=ahead)  # type: ignore[arg-type]
        one.carry_out(engine, None, Path(), Path(), manifest)  # type: ignore[arg-type]
        assert len(one.points()) == points


def test_a_point_with_a_name_alone_is_of_no_known_time() -> None:
    snapshot, manifest = base(0, 1)
    choice = choose([snapshot], [manifest], arranged([batch(1, 3, 10)]), WAL, Target(name="before-migration"))
    one = Recovery(None, None, WAL, choice, segment(1), ahead=False)  # type: ignore[arg-type]
    engine = SimpleNamespace(recover=lambda *_: Reached("0/1", None, None))
    one.carry_out(engine, None, Path(), Path(), manifest)  # type: ignore[arg-type]
    assert one.moment is None and one.points() == []


def test_whatever_the_target_the_log_must_reach_as_far_as_it_was_stored_as_reaching() -> None:
    archive = arranged([batch(1, 3, 10), batch(4, 6, 20), batch(7, 9, 30)])
    snapshot, manifest = base(0, 1)

    def position(target: Target) -> str | None:
        return choose([snapshot], [manifest], archive, WAL, target).target.position

    assert position(Target(time=NOW + timedelta(minutes=12))) == batch(4, 6).position
    assert position(Target(time=NOW + timedelta(minutes=20))) == batch(4, 6).position
    assert position(Target(time=NOW + timedelta(minutes=21))) == batch(7, 9).position
    assert position(Target(name="before-migration")) == position(Target()) == batch(7, 9).position


@pytest.mark.parametrize("target", [Target(), Target(time=NOW + timedelta(minutes=1)), Target(name="x")])
def test_log_that_does_not_say_how_far_it_reaches_proves_nothing(job: Job, target: Target) -> None:
    """There is nothing to compare with what was replayed."""
    (snapshot, manifest), archive = base(0, 1), arranged([replace(batch(1, 3, 10), position="")])
    choice = choose([snapshot], [manifest], archive, WAL, target)
    recovery = Recovery(job, cast(Restic, None), WAL, choice, segment(1), ahead=False)
    with pytest.raises(TestBroken, match="does not say which position"):
        recovery.carry_out(job.engine, cast(Place, None), Path(), Path(), manifest)


def hashes_of(_place: Path, _names: Sequence[str]) -> dict[str, FileDigest]:
    return {}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.plan(
        "crm:\n  engine: postgres\n  method: physical\n  log_shipping: {interval: 60s}\n"
        "  connection: {host: /nowhere, user: postgres, database: postgres}"
    )
    return made


@pytest.fixture
def job(site: Site) -> Job:
    return Job(site.loaded(), "crm")


HEADS = {segment(n): f"begun-{n}" for n in (1, 2, 3)}
SAID = replace(batch(1, 2, id_="0123456789"), server="s1", heads=HEADS, skew=0.25)


@pytest.fixture
def place(job: Job, tmp_path: Path) -> Path:
    """The batch `SAID` as it is stored, with its own index."""
    made, spool = tmp_path / "batch", tmp_path / "spool"
    made.mkdir()
    spool.mkdir()
    filling = Batch(WAL, spool, made, hashes_of, SystemClock())
    filling.name = SAID.name
    held = Held([segment(1), segment(2)], segment(3), torn=False)
    for name in (*held.whole, f"{held.open}.open"):
        (made / name).write_bytes(b"log")
    filling._digests = {name: {"bytes": 3, "sha256": "x"} for name in held.whole}
    filling.heads = dict(SAID.heads)
    filling.write_index(job, held, Extent(SAID.point, SAID.position, SAID.server, SAID.skew))
    return made


def test_a_snapshot_whose_tags_are_its_own_is_read(job: Job, place: Path) -> None:
    assert index_of(job, place, SAID)["segments"] == [segment(1), segment(2)]


@pytest.mark.parametrize(
    "changed",
    [
        {"point": NOW + timedelta(minutes=9)},
        {"position": "0/1"},
        {"position": ""},
        {"server": "s2"},
        {"server": None},
        {"skew": 7.0},
        {"skew": None},
        {"heads": HEADS | {segment(2): "begun-9"}},
        {"heads": {}},
        {"claimed": NOW + timedelta(minutes=9)},
        {"name": segment(7)},
        {"first": segment(2)},
        {"last": segment(1)},
        {"open": None},
    ],
)
def test_tags_that_say_something_else_than_the_index_are_refused(
    job: Job, place: Path, changed: dict[str, Any]
) -> None:
    """Anybody who may write to the repository can tag a snapshot anew; what it holds is still what was stored."""
    (what,) = changed
    named = {"name": "batch", "claimed": "point", "skew": "clock_skew_s"}.get(what, what)
    with pytest.raises(BackupBad, match=f"log snapshot 01234567 claims another {named} "):
        index_of(job, place, replace(SAID, **changed))


def test_an_index_that_names_no_server_is_of_before_it_did(job: Job, place: Path) -> None:
    body = json.loads((place / INDEX).read_text())
    del body["server"], body["batch"], body["heads"], body["clock_skew_s"]
    (place / INDEX).write_text(json.dumps(body))
    assert index_of(job, place, SAID)["open"] == segment(3)


def test_a_point_that_is_not_believed_is_still_the_one_that_was_stored(job: Job, place: Path) -> None:
    """A host's clock was ahead: its snapshot is taken for what it holds, and nobody has changed its tags."""
    doubted = replace(SAID, point=SAID.point - timedelta(minutes=1), claimed=SAID.point, skew=None)
    assert index_of(job, place, doubted)["open"] == segment(3)


def test_what_cannot_be_reached_is_said_before_anything_is_done() -> None:
    archive = arranged([batch(1, 3, 10)])
    with pytest.raises(UsageProblem, match="stored up to 2026-11-24T12:10:00Z"):
        chosen(archive, Target(time=NOW + timedelta(minutes=11)), base(0, 1))
    with pytest.raises(UsageProblem, match="the oldest is of 2026-11-24T12:05:00Z"):
        chosen(archive, Target(time=NOW + timedelta(minutes=4)), base(5, 1))
    with pytest.raises(UsageProblem, match="there is none"):
        chosen(archive, Target())


def test_log_that_was_never_stored_proves_nothing_and_what_was_and_is_gone_is_a_failure() -> None:
    """A first test may come before the first of the log is stored; what is told then is what to do."""
    (snapshot, manifest) = base(0, 1)
    with pytest.raises(TestBroken, match="nothing is shipped yet") as first:
        choose([snapshot], [manifest], LogArchive(), WAL, Target())
    assert "ccdr ship PLAN --once" in str(first.value.hint)
    with pytest.raises(BackupBad, match="no log is there, and it was stored up to 2026-11-24T12:00:00Z"):
        choose([snapshot], [manifest], LogArchive(), WAL, Target(), None, NOW)


def test_a_gap_is_a_failure_that_names_where_it_is() -> None:
    archive = arranged([batch(1, 3, 10), batch(6, 9, 20)])
    assert archive.gaps(WAL) == [Gap(segment(3), segment(6))]
    with pytest.raises(BackupBad, match=f"missing between {segment(3)} and {segment(6)}"):
        chosen(archive, Target(), base(0, 1))
    assert chosen(archive, Target(), base(0, 1), base(15, 7))[0] == "base15"  # which lies behind it
    before = Target(time=NOW + timedelta(minutes=9))
    assert chosen(archive, before, base(0, 1)) == ("base0", ["1-3-10"])
    with pytest.raises(BackupBad, match="begins later"):
        chosen(arranged([batch(4, 6, 10)]), Target(), base(0, 1))


def test_a_target_is_a_time_a_name_or_the_end() -> None:
    assert target_of("latest", UTC) == Target()
    assert target_of("2026-11-24T14:05:00+02:00", UTC).time == NOW + timedelta(minutes=5)
    assert target_of("2026-11-24 14:05", ZoneInfo("Europe/Bucharest")).time == NOW + timedelta(minutes=5)
    assert target_of("2026-11-24 12:05:00.000000+00", UTC).time == NOW + timedelta(minutes=5)  # as psql has it
    assert target_of("2026-11-24T14:05:00Z", ZoneInfo("Europe/Bucharest")).time == NOW + timedelta(minutes=125)
    for name in ("before-migration", "20261124", "2026-W48", "2026-11-24", "2026-11-24T12", "20261124T120000", "0-1-4711",
                 "2026-11-24  12:00", "2026-11-24T12:00:00,5", "2026-328", "2026-W48-2T12:00", " 2026-11-24 12:00",
                 "2026-11-24x12:00", "２０２６-11-24 12:00", "2026-11-24 12:00\n"):  # fmt: skip
        assert target_of(name, UTC) == Target(name=name)


@pytest.mark.parametrize(
    "text", ["2026-02-30 10:00", "2026-11-24 24:01", "2026-13-01 00:00", "0001-01-01 00:00+14:00", ""]
)
def test_what_looks_like_a_time_and_is_none_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageProblem):
        target_of(text, UTC)


def test_what_is_no_time_ends_as_other_mistakes_of_the_command_line_do(site: Site) -> None:
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", "timezone: Europe/Bucharest\nassets:", 1))
    for at, code in (
        ("2026-10-25 03:30", 2),
        ("2026-03-29 03:30", 2),
        ("", 2),
        ("2026-10-25 03:30+02:00", 0),
        ("20261124", 0),
    ):
        done = site.run("test", "p", "--at", at, "--dry-run")
        assert done.code == code, (at, done)


def test_a_base_may_be_named_and_a_rule_is_no_base(site: Site) -> None:
    """`--at` with `--snapshot`: an id is the base; `oldest` does not say which."""
    done = site.run("test", "p", "--at", "latest", "--snapshot", "oldest", "--dry-run")
    assert done.code == 2 and "oldest does not say which" in done.json["error"], done
    done = site.run("test", "p", "--at", "latest", "--snapshot", "1f3e9a2b", "--dry-run")
    assert (done.code, done.json["would_test"][0]["snapshot"][:17]) == (0, "the base 1f3e9a2b"), done


def test_no_recovery_begins_with_a_snapshot_that_is_no_good_base() -> None:
    good, bad = (SimpleNamespace(short=name) for name in ("aaaa", "bbbb"))
    assert the_base(good, [good]) == [good]  # type: ignore[arg-type, list-item]
    with pytest.raises(UsageProblem, match="no recovery begins with the snapshot bbbb"):
        the_base(bad, [good])  # type: ignore[arg-type, list-item]


def test_an_hour_that_a_clock_repeats_or_leaves_out_has_to_be_told_with_its_offset() -> None:
    zone = ZoneInfo("Europe/Bucharest")
    with pytest.raises(UsageProblem, match="twice") as twice:
        target_of("2026-10-25 03:30", zone)
    assert "2026-10-25 03:30+03:00" in str(twice.value.hint) and "2026-10-25 03:30+02:00" in str(twice.value.hint)
    with pytest.raises(UsageProblem, match="never") as never:
        target_of("2026-03-29 03:30", zone)
    assert "2026-03-29 03:30+02:00" in str(never.value.hint)
    assert target_of("2026-10-25 03:30+02:00", zone).time == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert target_of("2026-10-25 02:59:59", zone).time == datetime(2026, 10, 24, 23, 59, 59, tzinfo=UTC)
    assert target_of("2026-03-29 04:00", zone).time == datetime(2026, 3, 29, 1, tzinfo=UTC)


ZONES = st.sampled_from(["UTC", "Europe/Bucharest", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
# Around the changes too, where an hour in four is one of them.
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)) | st.builds(
    lambda day, minutes: datetime(2026, *day) + timedelta(minutes=minutes),
    st.sampled_from([(3, 29), (10, 25), (3, 8), (11, 1), (4, 5), (10, 4)]),
    st.integers(0, 300),
)


@given(MOMENTS, ZONES, st.sampled_from("T "))
def test_a_local_time_is_taken_only_where_it_is_one_moment(naive: datetime, zone_name: str, between: str) -> None:
    zone, text = ZoneInfo(zone_name), naive.isoformat(between)
    hours = (naive.replace(tzinfo=UTC) + timedelta(minutes=n) for n in range(-840, 841, 15))
    offsets = {moment.astimezone(zone).utcoffset() for moment in hours}
    meant = {m for o in offsets if o is not None and (m := (naive - o).replace(tzinfo=UTC)).astimezone(zone).replace(tzinfo=None) == naive}  # fmt: skip
    if len(meant) == 1:
        assert target_of(text, zone) == Target(time=meant.pop())
    else:
        with pytest.raises(UsageProblem):
            target_of(text, zone)


@given(MOMENTS, ZONES, st.integers(-14 * 60, 14 * 60))
def test_a_time_with_its_offset_is_that_moment_in_every_zone(naive: datetime, zone: str, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert target_of(moment.isoformat(), ZoneInfo(zone)) == Target(time=moment)


@given(st.text(min_size=1))
def test_whatever_else_is_said_is_a_name(text: str) -> None:
    if re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d", text, re.ASCII) or not text.strip() or text == "latest":
        return
    assert target_of(text, UTC) == Target(name=text)


def test_a_standing_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    assert read_standing(state, "p", "crm") is None
    written = Standing(since=segment(1), point=NOW, usable=NOW + timedelta(seconds=2), position="0/1", findings=("x",))
    write_standing(state.directory("shipping", "p", "crm"), written)
    assert read_standing(state, "p", "crm") == written and written.newest is not None
    for damaged in ("{}", "{", ""):
        (state.root / "shipping/p/crm/standing.json").write_text(damaged)
        assert read_standing(state, "p", "crm") is None


BINLOG = Binlog(MariaConnection(host="/run", user="x", database="y"), LogShipping(), "p/crm")


def logfile(spool: Path, number: int, begun: int, more: bytes = b"") -> None:
    """As a server begins it."""
    spool.mkdir(exist_ok=True)
    (spool / f"binlog.{number:06}").write_bytes(struct.pack("<4sIBI", b"\xfebin", begun, 15, 7) + more)


def undigested(directory: Path, names: Sequence[str]) -> dict[str, FileDigest]:
    return {name: FileDigest(0, "0" * 64) for name in names}


def receiving(tmp_path: Path, chain: Sequence[StoredBatch] = ()) -> Batch:
    made = Batch(BINLOG, tmp_path / "spool", tmp_path / "batch", undigested, ShiftedClock())
    if chain:
        made.goes_on(chain[-1], chain)
    return made


def test_a_binary_log_tells_when_it_was_begun(tmp_path: Path) -> None:
    logfile(tmp_path, 1, 1_764_113_417)
    assert head_of(tmp_path / "binlog.000001") == "20251125T233017Z-7"
    (tmp_path / "binlog.000002").write_bytes(b"\xfebin\x00")  # it is just being received
    assert head_of(tmp_path / "binlog.000002") is None and head_of(tmp_path / "binlog.000003") is None


def test_what_was_received_before_counts_until_there_is_as_much_again(tmp_path: Path) -> None:
    """A receiver that is started again begins the last file anew."""
    name, spool = "binlog.000002", tmp_path / "spool"
    batch = receiving(tmp_path)
    logfile(spool, 1, 1000)
    logfile(spool, 2, 1001, b"what was received")
    size = (spool / name).stat().st_size
    kept = (spool / name).rename(spool / f"{name}.kept")

    def stored() -> bytes:
        assert batch.gather() == Held(["binlog.000001"], name, torn=False)
        return (batch.directory / f"{name}.open").read_bytes()

    assert BINLOG.reaches(spool, f"{name}:{size}") and stored().endswith(b"what was received")
    mark = LogMark(f"{name}:{size}", NOW, 0.0)
    assert not BINLOG.holds(cast("Source", None), spool, mark), "nobody has sent it"
    for more in (b"", b"what was"):
        logfile(spool, 2, 1001, more)
        assert stored().endswith(b"what was received") and kept.exists()
    logfile(spool, 2, 1001, b"what was received")
    assert stored().endswith(b"what was received") and not kept.exists()
    assert BINLOG.holds(cast("Source", None), spool, mark)


@pytest.mark.parametrize("anew", [False, True])
def test_what_was_received_before_is_not_taken_for_what_the_source_has_now(tmp_path: Path, anew: bool) -> None:
    """A later file has begun, so this one is as the source has it; or the log was begun anew."""
    spool, batch = tmp_path / "spool", receiving(tmp_path)
    logfile(spool, 1, 1001, b"what the source has lost")
    batch.gather()
    (spool / "binlog.000001").rename(spool / "binlog.000001.kept")
    logfile(spool, 1, 2000 if anew else 1001)
    if anew:
        with pytest.raises(CcdrError, match="begun anew"):
            batch.gather()
        return
    logfile(spool, 2, 1002)
    assert batch.gather().whole == ["binlog.000001"]
    stored = (batch.directory / "binlog.000001").read_bytes()
    assert stored == (spool / "binlog.000001").read_bytes() and not list(spool.glob("*.kept"))


def test_a_segment_of_the_same_name_that_begins_otherwise_is_refused(tmp_path: Path) -> None:
    spool, batch = tmp_path / "spool", receiving(tmp_path)
    logfile(spool, 1, 1000)
    assert batch.gather().open == "binlog.000001"
    logfile(spool, 1, 1000, b"what has come since")
    logfile(spool, 2, 1001)
    assert batch.gather().whole == ["binlog.000001"]
    batch.close(batch.gather())
    assert batch.gather().open == "binlog.000002"
    logfile(spool, 1, 2000)  # closed, and let go all but in the spool
    with pytest.raises(WentBack, match=r"binlog\.000001 begins otherwise"):
        batch.gather()
    logfile(spool, 1, 1000)
    logfile(spool, 2, 2001)
    with pytest.raises(WentBack, match=r"binlog\.000002 begins otherwise"):
        batch.gather()


@pytest.mark.parametrize("number", [1, 2])
def test_a_source_that_begins_anew_right_after_a_batch_was_closed_is_refused(tmp_path: Path, number: int) -> None:
    """Nobody has looked at the spool since: how its segments began is known from what was stored."""
    spool, batch = tmp_path / "spool", receiving(tmp_path)
    logfile(spool, 1, 1000)
    logfile(spool, 2, 1001)
    batch.close(batch.gather())
    logfile(spool, number, 2000)
    with pytest.raises(CcdrError, match=rf"begun anew.*: binlog\.00000{number} begins otherwise"):
        batch.gather()


def test_a_gap_in_the_log_is_told_once(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    stored = replace(batch(1, 1), name="binlog.000001", first="binlog.000001", last="binlog.000001")
    logfile(spool, 3, 1002)
    going = receiving(tmp_path, [stored])
    assert going.gather().gaps == (Gap("binlog.000001", "binlog.000003"),)
    logfile(spool, 3, 1002, b"more has come")
    assert going.gather().gaps == ()
    logfile(spool, 4, 1003)
    assert going.gather().gaps == (), "nor when it is whole"


def test_how_segments_begin_is_known_from_what_is_stored(tmp_path: Path) -> None:
    heads = {"binlog.000001": "19700101T001640Z-7", "binlog.000002": "19700101T001641Z-7"}
    stored = replace(
        batch(1, 1),
        name="binlog.000001",
        first="binlog.000001",
        last="binlog.000001",
        open="binlog.000002",
        heads=heads,
    )
    logfile(tmp_path / "spool", 2, 1001)
    assert receiving(tmp_path, [stored]).gather().open == "binlog.000002"
    logfile(tmp_path / "spool", 2, 2000)
    with pytest.raises(CcdrError, match="begun anew"):
        receiving(tmp_path, [stored]).gather()


def test_a_log_goes_on_from_the_newest_base_or_not_at_all(tmp_path: Path) -> None:
    logfile(tmp_path / "spool", 3, 1000)
    made = receiving(tmp_path)
    made.base = ("binlog.000003", "19700101T002640Z-7")
    with pytest.raises(CcdrError, match="begun anew") as refused:
        made.gather()
    assert "ccdr backup" in str(refused.value.hint)
    for base in (("binlog.000003", "19700101T001640Z-7"), ("binlog.000003", None), ("binlog.000002", "else"), None):
        made = receiving(tmp_path)
        made.base = base
        assert made.gather().open == "binlog.000003"


def test_a_batch_that_begins_otherwise_than_the_open_segment_before_it_leaves_a_gap() -> None:
    one, other = replace(batch(1, 3), heads={segment(4): "a"}), batch(4, 6, 9)
    assert not LogArchive((one, other)).gaps(WAL)
    assert not LogArchive((one, replace(other, heads={segment(4): "a"}))).gaps(WAL)
    torn = LogArchive((one, replace(other, heads={segment(4): "b"})))
    assert torn.gaps(WAL) == [Gap(segment(3), segment(4))] and torn.contiguous(WAL) == torn.batches[1:]


def page(number: int, records: bytes, rem: int = 0) -> bytes:
    start = struct.pack("=HHIQI4x", 0xD110, 2, 1, number << 24, rem) + struct.pack("=QII", 7312, SEGMENT_BYTES, 8192)
    return start + records


def test_the_head_of_a_segment_grows_and_is_told_only_of_what_is_there(tmp_path: Path) -> None:
    """Zeros are what was not received yet: they say nothing, and what comes in their place is no other log."""
    path, record = tmp_path / segment(3), struct.pack("=IIQII", 60, 7, 0x2FFFF00, 0, 99)
    behind = struct.pack("=HHIQ", 0xD110, 0, 1, (3 << 24) + 8192)

    def head(rem: int, records: bytes, more: bytes = b"") -> str:
        path.write_bytes(page(3, records, rem).ljust(8192, b"\0") + more.ljust(8192, b"\0"))
        return str(WAL.head(path))

    none, first, longer, full = head(0, b""), head(0, record), head(0, record * 2), head(0, record * 2, behind)
    assert none == "7312" and first == longer and first.startswith(f"{none}.") and full.startswith(f"{longer}.")
    other = record[:8] + b"\1" + record[9:]
    assert not same_head(first, head(0, other)) and not same_head(full, head(0, record + other, behind))
    assert head(16, b"x" * 16) == "7312" and head(13, b"x" * 16 + record).startswith("7312.")
    across = head(9000, b"x" * 8000)  # one record fills the page
    assert across == "7312" and same_head(across, head(9000, b"x" * 8000, behind))
    assert not same_head(head(9000, b"x" * 8000, behind), head(9000, b"y" * 8000, behind))
    assert same_head("7312", "7312") and not same_head("7312", "73120") and not same_head("7312.a", "7312.ab")


def test_what_a_source_wrote_after_it_went_back_leads_on_from_bases_since_then_alone() -> None:
    """The same names, and lower ones, of another history: neither stands in for the other."""
    old = [batch(1, 3, 0), batch(4, 6, 10)]
    anew = NOW + timedelta(minutes=15)
    new = [replace(b, anew=anew, id=f"new-{b.id}") for b in (batch(3, 4, 20), batch(5, 5, 30))]
    for found in permutations([*old, *new]):
        archive = arranged(found)
        assert [b.id for b in archive.batches] == [b.id for b in (*old, *new)] and not archive.spare
        assert len(archive.gaps(WAL)) == 1 and [b.id for b in archive.contiguous(WAL)] == [b.id for b in new]
        before, since = NOW + timedelta(minutes=9), anew + timedelta(seconds=1)
        assert archive.from_segment(segment(5), WAL, before)[0].id == old[1].id
        assert [b.id for b in archive.from_segment(segment(3), WAL, since)] == [b.id for b in new]
        assert archive.from_segment(segment(2), WAL, since) == ()
        assert [b.id for b in let_go(archive, segment(4), WAL, before)] == [old[0].id]
        assert [b.id for b in let_go(archive, segment(4), WAL, since)] == [b.id for b in old]
    again = replace(old[0], anew=anew, id="again", point=NOW + timedelta(minutes=20))  # a batch of the same name
    assert {b.id for b in arranged([*old, again]).batches} == {old[0].id, old[1].id, "again"}


def test_a_base_of_a_source_that_went_back_is_never_led_on_by_log_of_the_other_history() -> None:
    """Its segment bears a name that is stored, too; nothing of its own may be, or it was taken before that was seen."""
    old, anew = [batch(1, 3, 0), batch(4, 6, 10)], NOW + timedelta(minutes=15)
    new = replace(batch(3, 5, 25), anew=anew, id="new")
    first, between, behind = base(-1, 1), base(12, 4), base(20, 4)
    on = "found on 2026-11-24T12:15:00Z to have gone back"
    for target in (Target(), Target(name="here"), Target(time=NOW + timedelta(minutes=25))):
        for latest in (between, behind):
            archive = arranged(old)
            if target.time is None:
                with pytest.raises(BackupBad, match=f"{on}.*leads on from the base of {latest[1].consistent_point:%F}"):
                    choose([first[0], latest[0]], [first[1], latest[1]], archive, WAL, target, anew)
        with pytest.raises(BackupBad, match=on):
            chosen(arranged([*old, new]), target, first, between)
        assert chosen(arranged([*old, new]), target, first, between, behind) == ("base20", ["new"])
    earlier = Target(time=NOW + timedelta(minutes=9))
    for archive in (arranged(old), arranged([*old, new])):
        found = choose([first[0], between[0]], [first[1], between[1]], archive, WAL, earlier, anew)
        assert (found.base, [b.id for b in found.batches]) == (first[0], ["1-3-0", "4-6-10"]), "before it, all is well"
    assert chosen(arranged(old), Target(), first, between)[0] == "base12", "as it is where no source went back"
    again = anew + timedelta(minutes=15)
    assert arranged([*old, new]).torn_from(behind[1].consistent_point, again) is None
    assert arranged([*old, new]).torn_from(again, again) == again
    assert LogArchive().torn_from(NOW) is None and arranged([new]).torn_from(NOW) is None
    assert let_go(arranged([*old, new]), segment(4), WAL, between[1].consistent_point) == []


@pytest.mark.parametrize(
    ("stored", "to", "host", "source", "refused"),
    [
        (10, 6, 0, 0, True),
        (10, 3, 0, 0, False),  # the base's own segment, or one before it
        (21, 6, 0, 0, False),  # it was taken first
        (10, 6, 0, None, False),
        (10, 6, -30, 30, True),  # the clock that it was stored by was behind: the source's tells
        (40, 6, -30, 30, False),
    ],
)
def test_log_that_goes_further_than_a_base_that_was_taken_behind_it_is_of_another_history(
    stored: int, to: int, host: int, source: int | None, *, refused: bool
) -> None:
    found = by_a_clock(batch(1, to, stored), timedelta(minutes=host))
    archive = LogArchive((replace(found, begun=found.point, skew=None if source is None else source * 60.0),))
    said = r"went back behind its own log: .* was stored by .* and the base of 2026-11-24T12:20:00Z goes on from"
    with pytest.raises(BackupBad, match=said) if refused else nullcontext():
        assert chosen(archive, Target(), base(20, 4))[0] == "base20"


def by_a_clock(found: StoredBatch, ahead: timedelta) -> StoredBatch:
    """As a host stores it whose clock is ahead."""
    return replace(found, point=found.point + ahead, usable_at=found.usable_at + ahead)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_the_log_is_in_its_own_order_whatever_clock_it_was_stored_by(lengths: list[int], data: st.DataObject) -> None:
    found, first, at = [], 1, 0
    for length in lengths:
        for end in range(first, first + length):
            found.append(batch(first, end, at))
            at += 1
        first += length
    right = arranged(found)
    wrong = data.draw(st.integers(0, len(found) - 1))
    off = timedelta(hours=data.draw(st.integers(-30, 30)))
    archive = arranged([by_a_clock(b, off) if n == wrong else b for n, b in enumerate(found)])
    assert [b.id for b in archive.batches] == [b.id for b in right.batches] and not archive.gaps(WAL)
    assert {b.id for b in let_go(archive, segment(first), WAL)} == {b.id for b in let_go(right, segment(first), WAL)}
    for one, other in zip(
        archive.batches, right.batches, strict=True
    ):  # only what was stored last is believed as it is
        assert one.point <= other.point or one.id == found[wrong].id == found[-1].id


def test_an_order_of_the_logs_own_goes_by_what_was_stored_of_a_batch() -> None:
    less, more = batch(4, 5, 9), batch(4, 6, 3)
    assert arranged([more, less]).batches == (more,)
    less, more = replace(batch(4, 3, 9), position="9/FF000000"), replace(batch(4, 3, 3), position="10/1")
    assert arranged([more, less]).batches == (more,)
    before, behind = batch(7, 9, 9), batch(8, 11, 3, timeline=2)  # a timeline goes on where another one was left
    assert [b.id for b in arranged([behind, before]).batches] == [before.id, behind.id]


def test_what_is_dated_ahead_is_told() -> None:
    archive = arranged([batch(1, 3, 0), by_a_clock(batch(4, 6, 1), timedelta(hours=9)), batch(7, 9, 2)])
    assert [b.dated_ahead(NOW + timedelta(minutes=3)) for b in archive.batches] == [False, True, False]
    assert not any(b.dated_ahead(NOW + timedelta(hours=9)) for b in archive.batches)
    assert not batch(1, 3, 4).dated_ahead(NOW), "two hosts' clocks are never the same"
    assert [b.point for b in archive.batches] == [NOW, NOW, NOW + timedelta(minutes=2)]
    with pytest.raises(UsageProblem, match="stored up to"):
        chosen(archive, Target(time=NOW + timedelta(minutes=5)), base(0, 1))
    at = Target(time=NOW + timedelta(minutes=2))
    assert chosen(archive, at, base(0, 1))[1] == ["1-3-0", "4-6-1", "7-9-2"]


def test_a_time_is_told_by_the_sources_clock_as_it_was_then() -> None:
    """The source's clock drifted after the base was taken."""
    archive = arranged([replace(batch(1, 3, 10), skew=1.0), replace(batch(4, 6, 20), skew=9.0), batch(7, 9, 30)])
    snapshot, manifest = base(0, 1)
    manifest = replace(manifest, clock_skew_s=0.25)

    def skew(target: Target) -> float:
        found = choose([snapshot], [manifest], archive, WAL, target)
        return found.target.clock_skew(manifest)

    at = [skew(Target(time=NOW + timedelta(minutes=n))) for n in (1, 8, 19, 29)]
    assert at == [0.25, 1.0, 9.0, 9.0]
    assert skew(Target()) == 9.0 and skew(Target(name="x")) == 9.0
    archive = arranged([batch(1, 3, 10)])  # of the days before it was kept
    assert skew(Target(time=NOW + timedelta(minutes=9))) == 0.25


def test_older_snapshots_of_a_batch_tell_the_skew_too() -> None:
    archive = arranged([replace(batch(1, 2, 10), skew=1.0), replace(batch(1, 3, 50), skew=9.0)])
    found = choose(*map(list, zip(base(0, 1), strict=True)), archive, WAL, Target(time=NOW + timedelta(minutes=15)))
    assert found.target.skew == 1.0


class Receiver:
    """It ends at the look of that number."""

    def __init__(self, ends_at: int) -> None:
        self.looks, self._ends_at = 0, ends_at

    def ended(self) -> str | None:
        self.looks += 1
        return "it was told to" if self.looks >= self._ends_at else None


@pytest.mark.parametrize("ends_at", [1, 2, 3])
def test_a_receiver_that_has_ended_is_seen_before_anything_is_stored(ends_at: int) -> None:
    """Though the source says that all was received: by whom it does not say."""
    log, spool = SimpleNamespace(holds=lambda *_: True), SimpleNamespace(directory=Path("spool"))
    shipment = cast("Shipment", SimpleNamespace(clock=ShiftedClock(), log=log, spool=spool))
    receiver = Receiver(ends_at)
    receiving = Receiving(shipment, cast("Source", None), cast("Session", receiver), lambda: None)
    with pytest.raises(CommandFailed, match="it was told to") if ends_at < 3 else nullcontext():
        receiving.wait_for(LogMark("0/1", NOW, 0.0))
    assert receiver.looks == min(ends_at, 2)


class Store:
    """A repository that is away, or stores all that it is given."""

    def __init__(self, *, away: bool = True) -> None:
        self.location, self.away, self.stored = "/repo/log", away, list[list[str]]()

    def probe(self) -> None:
        if self.away:
            raise RepositoryUnavailable("the repository does not answer")

    def snapshots(self, _tags: Sequence[str]) -> list[RepoSnapshot]:
        self.probe()
        return []

    def backup(self, paths: Sequence[Path], **_: object) -> Stored:
        self.probe()
        self.stored.append(sorted(path.name for path in paths[0].iterdir()))
        return Stored("1" * 64, 1, 1)


MARK = LogMark(lsn((3 << 24) + 9000), NOW, 0.0)


@pytest.fixture
def waiting(job: Job, site: Site) -> Shipping:
    """Segments 1 and 2 are received, a part of 3; the repository is away."""
    services = site.services()
    spool = services.state.directory("shipping", "p", "crm", "spool")
    for n, name in ((1, segment(1)), (2, segment(2)), (3, f"{segment(3)}.partial")):
        walfile(spool / name, n, 20000)
    run = cast("Run", SimpleNamespace(id="r", scratch=site.root))
    made = Shipping(Shipment.of(job, services, run, Quiet()), cast("Restic", Store()))
    made.continuity.answering = "7312"
    return made


def spooled(shipping: Shipping) -> list[str]:
    return sorted(path.name for path in shipping.shipment.spool.directory.iterdir())


def store_of(shipping: Shipping) -> Store:
    return cast("Store", shipping.storing.repo)


def test_log_leaves_the_spool_when_it_is_stored_and_not_before(waiting: Shipping) -> None:
    waiting.shipment.spool.limit = 64 * 2**20
    before = spooled(waiting)
    for _ in range(3):
        assert not waiting.keep(MARK, once=False)
        assert spooled(waiting) == before and waiting.shipment.standing.point is None
        assert "does not answer" in str(waiting.shipment.standing.trouble)
    store_of(waiting).away = False
    assert waiting.keep(MARK, once=False)
    assert store_of(waiting).stored == [[segment(1), segment(2), f"{segment(3)}.open", INDEX]]
    assert waiting.shipment.standing.point == MARK.at and waiting.shipment.standing.trouble is None
    assert waiting.shipment.standing.server == "7312"
    assert spooled(waiting) == [segment(2), f"{segment(3)}.partial"], "a receiver goes on from the last whole one"


def test_what_came_after_the_newest_snapshot_waits_too(waiting: Shipping) -> None:
    """The repository goes away between two intervals."""
    waiting.shipment.spool.limit = 64 * 2**20
    store_of(waiting).away = False
    assert waiting.keep(MARK, once=False)
    walfile(waiting.shipment.spool.directory / segment(3), 3, SEGMENT_BYTES)
    (waiting.shipment.spool.directory / f"{segment(3)}.partial").unlink()
    walfile(waiting.shipment.spool.directory / f"{segment(4)}.partial", 4, 20000)
    before, further = spooled(waiting), LogMark(lsn((4 << 24) + 9000), NOW + timedelta(minutes=1), 0.0)
    store_of(waiting).away = True
    assert not waiting.keep(further, once=False)
    assert spooled(waiting) == before and waiting.shipment.standing.point == MARK.at
    store_of(waiting).away = False
    assert waiting.keep(None, once=False), "how far it reaches is for the next mark to say"
    assert store_of(waiting).stored[-1] == [segment(3), f"{segment(4)}.open", INDEX]
    assert waiting.shipment.standing.point == MARK.at
    assert waiting.keep(further, once=False) and waiting.shipment.standing.point == further.at


@pytest.mark.parametrize(("limit", "refused"), [(48 * 2**20, False), (48 * 2**20 - 1, True)])
def test_no_more_waits_here_than_the_plan_allows(waiting: Shipping, limit: int, refused: bool) -> None:
    waiting.shipment.spool.limit = limit
    before = spooled(waiting)
    with pytest.raises(CcdrError, match=r"`spool_limit`.*does not answer") if refused else nullcontext():
        waiting.keep(MARK, once=False)
    assert spooled(waiting) == before
    store_of(waiting).away = False
    assert waiting.keep(MARK, once=False), "what is stored waits no more"


@pytest.mark.parametrize("receiving", [True, False])
def test_what_waits_is_watched_while_something_receives(waiting: Shipping, receiving: bool) -> None:
    """Whatever is waited for meanwhile."""
    waiting.shipment.spool.limit = 48 * 2**20
    with waiting.shipment.spool.guarded(once=not receiving):
        waiting.shipment.spool.wait(0.6)
        walfile(waiting.shipment.spool.directory / f"{segment(4)}.partial", 4, 20000)
        with pytest.raises(CcdrError, match="`spool_limit`") if receiving else nullcontext():
            waiting.shipment.spool.wait(0.6)
    waiting.shipment.spool.wait(0.6)


def test_a_segment_that_is_larger_than_the_limit_can_be_shipped(waiting: Shipping) -> None:
    """It waits no more once it is stored, though it stays: a receiver goes on from it."""
    waiting.shipment.spool.limit = 20 * 2**20
    store_of(waiting).away = False
    assert waiting.keep(MARK, once=False) and waiting.shipment.spool.bytes > 20 * 2**20
    with waiting.shipment.spool.guarded(once=False):
        waiting.shipment.spool.wait(0.6)
        walfile(waiting.shipment.spool.directory / f"{segment(4)}.partial", 4, 20000)
        with pytest.raises(CcdrError, match="`spool_limit`"):
            waiting.shipment.spool.wait(0.6)


def test_a_spool_goes_on_while_the_repository_is_away_from_the_start(waiting: Shipping) -> None:
    """But only where it is known whose log it is, and what was received last."""
    with pytest.raises(RepositoryUnavailable):
        waiting.start(once=False)
    waiting.continuity.server = "7312"  # as it was written down
    waiting.start(once=False)
    assert "does not answer" in str(waiting.shipment.standing.trouble) and not waiting.continuity.begun
    with pytest.raises(RepositoryUnavailable):
        waiting.start(once=True)
    for path in waiting.shipment.spool.directory.iterdir():
        path.unlink()
    with pytest.raises(RepositoryUnavailable):
        waiting.start(once=False)


@pytest.mark.parametrize("anew", [True, False])
def test_what_a_spool_holds_of_a_history_that_was_left_is_never_stored_for_the_new_one(
    waiting: Shipping, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    """Whoever began anew may be ended between its two steps. What was received since then is of the new history."""
    before = spooled(waiting)

    def started() -> Shipping:
        left = waiting.shipment
        shipment = Shipment.of(left.job, left.services, left.run, Quiet())
        made = Shipping(shipment, cast("Restic", Store(away=False)))
        made.continuity.answering = "7312"
        made.start(once=False)
        return made

    if anew:
        waiting.continuity.answering = "7312"
        with monkeypatch.context() as killed:
            killed.setattr(waiting.shipment.batch, "begins_anew", lambda: None)
            waiting.history.begin_anew(WentBack(segment(2), "it stands there"))
        assert spooled(waiting) == before
        walfile(
            waiting.shipment.spool.directory / segment(1), 1, 20000
        )  # written to just now, as a page that is flushed late
    going_on = started()
    assert spooled(going_on) == ([] if anew else before)
    if not anew:
        return
    walfile(going_on.shipment.spool.directory / f"{segment(3)}.partial", 3, 20000)
    going_on = started()
    assert spooled(going_on) == [f"{segment(3)}.partial"], "not stored yet, and received since"
    assert going_on.keep(MARK, once=False)
    assert store_of(going_on).stored == [[f"{segment(3)}.open", INDEX]]
    index = json.loads((going_on.shipment.batch.directory / INDEX).read_text())
    assert utc(index["anew"]) == going_on.shipment.standing.anew and going_on.shipment.standing.point == MARK.at


def test_whose_log_is_stored_is_asked_when_the_repository_is_back(
    waiting: Shipping, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = replace(batch(0, 0), server="7312")
    monkeypatch.setattr("ccdr.jobs.shipping.continuity.archive_of", lambda *_: LogArchive((stored,)))
    store_of(waiting).away = False
    waiting.continuity.answering = "8000"
    for _ in range(2):
        with pytest.raises(CcdrError, match="another server answers: 8000"):
            waiting.keep(MARK, once=False)
    assert store_of(waiting).stored == []
    waiting.continuity.answering = "7312"
    assert waiting.keep(MARK, once=False) and store_of(waiting).stored


# --- what the plan does not want any more --------------------------------------------------------------------------

HOLDER = """
import fcntl, sys, time
held = [open(path, "w") for path in sys.argv[2:]]
for lock in held: fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


def holder(verb: str, *locks: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", HOLDER, verb, *map(str, locks)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


def test_what_ships_a_log_that_no_plan_wants_any_more_is_ended(tmp_path: Path) -> None:
    state = State(tmp_path)
    locks = state.directory("locks")
    of = {name: locks / f"{name}.ship.lock" for name in ("p.kept", "p.left", "p.gone", "p.both", "q.other")}
    engines = {name: SimpleNamespace(shipping=name == "kept" or None) for name in ("kept", "left", "both", "looker")}
    plan: Any = SimpleNamespace(plan=SimpleNamespace(plan="p", assets=engines))
    ended = [holder("ship", of[name]) for name in ("p.left", "p.gone")]
    spared = [
        holder("ship", of["p.kept"]),
        holder("ship", of["q.other"]),
        holder("status", locks / "p.looker.ship.lock"),
    ]
    of["p.both"].touch()  # of one that has ended long ago
    try:
        said = list(background.end_unwanted([plan], state))
        assert [f"p/{name} " in one for name, one in zip(("gone", "left"), said, strict=True)] == [True, True], said
        assert [process.wait(60) for process in ended] == [-signal.SIGTERM] * 2
        assert [process.poll() for process in spared] == [None] * 3
        assert list(background.end_unwanted([plan], state)) == []
    finally:
        for process in (*ended, *spared):
            process.kill()
            process.communicate()


def test_what_ships_a_wanted_log_beside_it_is_let_be(tmp_path: Path) -> None:
    state = State(tmp_path)
    locks = state.directory("locks")
    engines = {"kept": SimpleNamespace(shipping=True), "left": SimpleNamespace(shipping=None)}
    plan: Any = SimpleNamespace(plan=SimpleNamespace(plan="p", assets=engines))
    process = holder("ship", locks / "p.kept.ship.lock", locks / "p.left.ship.lock")
    try:
        (said,) = background.end_unwanted([plan], state)
        assert "p/left" in said and "start that one anew" in said and process.poll() is None
    finally:
        process.kill()
        process.communicate()


class Believing:
    """A shipper that has stored segments from 5 on, as it wrote down; a base needs 7. `there` is what it finds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *there: StoredBatch, spool: int = 9) -> None:
        monkeypatch.setattr("ccdr.jobs.shipping.continuity.archive_of", lambda *_: LogArchive(there))
        monkeypatch.setattr(Shipment, "newest_base", lambda _: base(0, 7)[1])
        held = Held([segment(spool)], None, torn=False)
        self.batch = SimpleNamespace(name=segment(spool), stored=[], gather=lambda: held, goes_on=lambda *_: None)
        job, services = (
            cast("Job", SimpleNamespace(asset="crm")),
            cast("Services", SimpleNamespace(clock=ShiftedClock())),
        )
        standing = Standing(since=segment(5), point=NOW, usable=NOW, position=lsn(9 << 24))
        run, repo = cast("Run", None), cast("Restic", SimpleNamespace(probe=lambda: None))
        self.journal = Journal(job, services, run, Quiet(), tmp_path, standing)
        log, spooled, batch = LogShipping(), cast("Spool", None), cast("Batch", self.batch)
        shipment = Shipment(job, services, run, Quiet(), log, WAL, spooled, batch, self.journal)
        self.continuity = Continuity(shipment, repo)

    def gaps(self) -> list[Gap]:
        self.continuity.gather()
        return self.journal.tally.gaps


def test_log_that_vanished_is_a_gap_for_whoever_ships_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Believing(monkeypatch, tmp_path)
    begun.continuity.begin()
    assert begun.journal.standing.since is None and begun.journal.standing.gap == VANISHED
    assert begun.gaps() == [Gap(segment(5), segment(9))] and begun.journal.standing.since == segment(9)
    assert "missing between" in str(begun.journal.standing.gap) and begun.journal.tally.body()["vanished"] is True
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
    first.journal.standing = Standing()
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
    write_standing(home, Standing(since=segment(5), point=point, usable=point, position=lsn(11 << 24)))
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
    write_standing(home, Standing(since=segment(5), point=idle.point, usable=idle.point, position=idle.position))
    assert [p.consistent for p in logged(job, services, [snapshot], archive=lambda: archive)] == [idle.point]


@pytest.mark.parametrize(
    ("there", "counts"), [((5, 8, 9, 10), True), ((), False), ((9, 10), False)], ids=["whole", "nothing", "a hole"]
)
def test_what_is_at_stake_for_a_prune_is_counted_by_the_log_that_is_there(
    job: Job, site: Site, monkeypatch: pytest.MonkeyPatch, there: tuple[int, ...], counts: bool
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
    assert said.startswith(
        "its log is stored up to a point" if counts else "no log counts, and its newest good snapshot"
    )
    assert said.endswith("more than its RPO")
