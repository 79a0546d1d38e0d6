"""What receives a log: its slot, how far it has come, what is in its way, and the canary at the source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.batches import NOW, WAL, segment, walfile
from tests.support.harness import ShiftedClock

from ccdr.engines.base import LogShipping
from ccdr.engines.mariadb.binlog import Binlog
from ccdr.engines.mariadb.connection import Connection as MariaConnection
from ccdr.engines.postgres.segments import SEGMENT_BYTES, lsn
from ccdr.engines.postgres.wal import make_canary, slot_name
from ccdr.evidence.log_standing import LogStanding, read_standing, write_standing
from ccdr.host.state import State
from ccdr.jobs.shipping.shipment import Receiving, Shipment
from ccdr.model.answers import NO_WORDS
from ccdr.model.errors import BackupFailed, CcdrError, CommandFailed
from ccdr.model.finding import Finding
from ccdr.ports.log import LogMark
from ccdr.ports.place import Output, Place, Session, Source


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


NAMES = st.text("abz019-_", min_size=1, max_size=40)


@given(NAMES, NAMES, NAMES, NAMES)
def test_a_slots_name_is_one_that_postgres_takes_and_no_other_assets(p: str, a: str, q: str, b: str) -> None:
    one, other = slot_name(f"{p}/{a}"), slot_name(f"{q}/{b}")
    assert re.fullmatch(r"ccdr_[a-z0-9_]{1,58}", one)
    assert (one == other) == ((p, a) == (q, b))


def test_assets_whose_names_become_the_same_have_slots_of_their_own() -> None:
    assert slot_name("a/b_c") != slot_name("a_b/c") and slot_name("a/b_c").startswith("ccdr_a_b_c_")


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
    source = Source(cast("Place", Answering(f"f|replica|{SEGMENT_BYTES}|{keeps}|reserved|{behind}")), Path())
    found = list(WAL.ready(source))
    assert len(found) == len(said) and all(words in str(one) for words, one in zip(said, found, strict=True)), found


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


def test_a_standing_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    assert read_standing(state, "p", "crm") is None
    written = LogStanding(
        since=segment(1),
        point=NOW,
        usable=NOW + timedelta(seconds=2),
        position="0/1",
        findings=(Finding("x", "slot", (2.0, -1.0), "y"),),
    )
    write_standing(state.directory("shipping", "p", "crm"), written)
    assert read_standing(state, "p", "crm") == written and written.newest is not None
    for damaged in ("{}", "{", ""):
        (state.root / "shipping/p/crm/standing.json").write_text(damaged)
        assert read_standing(state, "p", "crm") is None


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
