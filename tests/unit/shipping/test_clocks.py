"""Which clock tells the order of a log and the time that it reaches to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.batches import NOW, WAL, base, batch, by_a_clock, chosen, segment

from ccdr.jobs.shipping.choice import choose
from ccdr.jobs.shipping.log_archive import arranged, let_go
from ccdr.model.errors import UsageProblem
from ccdr.ports.log import RecoveryTarget


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
        chosen(archive, RecoveryTarget(time=NOW + timedelta(minutes=5)), base(0, 1))
    at = RecoveryTarget(time=NOW + timedelta(minutes=2))
    assert chosen(archive, at, base(0, 1))[1] == ["1-3-0", "4-6-1", "7-9-2"]


def test_a_time_is_told_by_the_sources_clock_as_it_was_then() -> None:
    """The source's clock drifted after the base was taken."""
    archive = arranged([replace(batch(1, 3, 10), skew=1.0), replace(batch(4, 6, 20), skew=9.0), batch(7, 9, 30)])
    snapshot, manifest = base(0, 1)
    manifest = replace(manifest, clock_skew_s=0.25)

    def skew(target: RecoveryTarget) -> float:
        found = choose([snapshot], [manifest], archive, WAL, target)
        return found.target.clock_skew(manifest)

    at = [skew(RecoveryTarget(time=NOW + timedelta(minutes=n))) for n in (1, 8, 19, 29)]
    assert at == [0.25, 1.0, 9.0, 9.0]
    assert skew(RecoveryTarget()) == 9.0 and skew(RecoveryTarget(name="x")) == 9.0
    archive = arranged([batch(1, 3, 10)])  # of the days before it was kept
    assert skew(RecoveryTarget(time=NOW + timedelta(minutes=9))) == 0.25


def test_older_snapshots_of_a_batch_tell_the_skew_too() -> None:
    archive = arranged([replace(batch(1, 2, 10), skew=1.0), replace(batch(1, 3, 50), skew=9.0)])
    found = choose(
        *map(list, zip(base(0, 1), strict=True)), archive, WAL, RecoveryTarget(time=NOW + timedelta(minutes=15))
    )
    assert found.target.skew == 1.0
