"""A source that went back: its bases and its log are of one history or the other, never of both."""

from __future__ import annotations

import struct
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest
from tests.support.batches import NOW, WAL, base, batch, by_a_clock, chosen, segment

from ccdr.engines.postgres.segments import SEGMENT_BYTES
from ccdr.jobs.shipping.choice import choose
from ccdr.jobs.shipping.log_archive import Gap, LogArchive, arranged, let_go, same_head
from ccdr.model.errors import BackupBad
from ccdr.ports.log import RecoveryTarget


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
    for target in (RecoveryTarget(), RecoveryTarget(name="here"), RecoveryTarget(time=NOW + timedelta(minutes=25))):
        for latest in (between, behind):
            archive = arranged(old)
            if target.time is None:
                with pytest.raises(BackupBad, match=f"{on}.*leads on from the base of {latest[1].consistent_point:%F}"):
                    choose([first[0], latest[0]], [first[1], latest[1]], archive, WAL, target, anew)
        with pytest.raises(BackupBad, match=on):
            chosen(arranged([*old, new]), target, first, between)
        assert chosen(arranged([*old, new]), target, first, between, behind) == ("base20", ["new"])
    earlier = RecoveryTarget(time=NOW + timedelta(minutes=9))
    for archive in (arranged(old), arranged([*old, new])):
        found = choose([first[0], between[0]], [first[1], between[1]], archive, WAL, earlier, anew)
        assert (found.base, [b.id for b in found.batches]) == (first[0], ["1-3-0", "4-6-10"]), "before it, all is well"
    assert chosen(arranged(old), RecoveryTarget(), first, between)[0] == "base12", "as it is where no source went back"
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
        assert chosen(archive, RecoveryTarget(), base(20, 4))[0] == "base20"
