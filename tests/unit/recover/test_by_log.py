"""The state nearest to a moment that a stored log gives: before it, at its end, over a gap, across a failover. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.batches import NOW, WAL, base, batch

from ccdr.engines.postgres.segments import lsn
from ccdr.jobs.recover.choice import LogToGoBy, StateByLog
from ccdr.jobs.shipping.log_archive import LogArchive, StoredBatch
from ccdr.model.errors import UsageProblem
from ccdr.model.forks import Fork
from ccdr.model.values import Manifest, Snapshot

BASES = (base(0, 3), base(30, 6))
WHOLE = (batch(3, 4, 10), batch(5, 6, 20), batch(7, 9, 40))


def at(minute: float) -> datetime:
    return NOW + timedelta(minutes=minute)


def nearest(
    minute: float | None,
    stored: Sequence[StoredBatch] = WHOLE,
    bases: Sequence[tuple[Snapshot, Manifest]] = BASES,
    timeline: int | None = None,
) -> StateByLog:
    log = LogToGoBy("crm", WAL, LogArchive(tuple(stored)), bases)
    return log.nearest(None if minute is None else at(minute), timeline)


def state_of(found: StateByLog) -> tuple[str, float, bool]:
    """Base, minute of its point, whether it goes to the log's end."""
    assert found.state is not None and found.state.target is not None, found
    minute = (found.state.point - NOW).total_seconds() / 60
    return found.state.snapshot.id, minute, found.state.target.to_the_end


@pytest.mark.parametrize(
    ("minute", "wanted"),
    [
        (5, ("base0", 5, False)),
        (20, ("base0", 20, False)),
        (29, ("base0", 29, False)),
        (35, ("base30", 35, False)),
        (40, ("base30", 40, False)),
        (41, ("base30", 40, True)),  # behind all that is stored: its end
        (10_000, ("base30", 40, True)),
        (None, ("base30", 40, True)),
    ],
)
def test_the_newest_base_before_it_and_the_log_up_to_it(minute: float | None, wanted: tuple[str, float, bool]) -> None:
    assert state_of(nearest(minute)) == wanted


def test_before_the_first_base_the_log_leads_nowhere() -> None:
    assert nearest(-1) == StateByLog()
    assert state_of(nearest(0)) == ("base0", 0, False)


def test_a_moment_within_what_is_stored_last_is_taken_as_far_as_it_surely_goes() -> None:
    """Stored three seconds after its point: what came between, only a recovery finds out."""
    found = nearest(40 + 2 / 60)
    assert state_of(found) == ("base30", 40, False)


def test_over_a_gap_it_goes_no_further_than_to_that_and_says_so() -> None:
    torn = (WHOLE[0], batch(6, 9, 40))
    found = nearest(25, torn, BASES[:1])
    assert state_of(found) == ("base0", 10, False)
    assert "log is missing between" in found.why[0]
    assert state_of(nearest(5, torn, BASES[:1])) == ("base0", 5, False) and nearest(5, torn, BASES[:1]).why == ()
    assert state_of(nearest(35, torn)) == ("base30", 35, False), "a base behind the gap leads on"


def test_where_nothing_was_stored_there_is_no_state_and_it_says_why() -> None:
    found = nearest(5, ())
    assert found.state is None and "nothing is shipped yet" in found.why[0]


def place(n: int) -> str:
    return lsn((n << 24) + 4096)


# The source failed over at 12:20: timeline 1 was stored up to 12:10, timeline 2 goes on from within segment 4.
TWO = Fork(2, 1, place(4), at(20))
FAILED_OVER = (
    batch(3, 6, 10),
    replace(batch(4, 5, 25, timeline=2), forks=(TWO,), id="2a"),
    replace(batch(6, 7, 30, timeline=2), forks=(TWO,), id="2b"),
)


def test_across_a_failover_only_a_person_can_say_which_timeline_is_meant() -> None:
    found = nearest(15, FAILED_OVER, BASES[:1])
    assert found.state is None and found.question is not None
    said = str(found.question)
    assert "crm" in said and "failed over" in said
    assert [answer.option for answer in found.question.answers] == ["--timeline crm=1", "--timeline crm=2"]
    assert "stored up to 2026-11-24T12:10:00Z" in found.question.answers[0].means
    assert "begun on 2026-11-24T12:20:00Z" in found.question.answers[1].means
    answered = nearest(15, FAILED_OVER, BASES[:1], timeline=1)
    assert state_of(answered) == ("base0", 10, False), "as far as it is surely stored"
    assert answered.state is not None and answered.state.target is not None and answered.state.target.branch == 1


def test_after_an_orderly_switch_nobody_is_asked_for_both_hold_the_same() -> None:
    to_there = replace(batch(3, 3, 10), position=TWO.position)
    found = nearest(15, (to_there, *FAILED_OVER[1:]), BASES[:1])
    assert found.question is None and state_of(found) == ("base0", 10, False)
    short = replace(batch(3, 3, 10), position=lsn((4 << 24) + 128))
    assert nearest(15, (short, *FAILED_OVER[1:]), BASES[:1]).question is not None


@pytest.mark.parametrize(("minute", "branch"), [(5, 1), (10, 1), (20, 2), (28, 2), (None, 2)])
def test_where_a_moment_is_of_one_timeline_nobody_is_asked(minute: float | None, branch: int) -> None:
    found = nearest(minute, FAILED_OVER, BASES[:1])
    assert found.state is not None and found.state.target is not None
    assert found.question is None
    log = LogToGoBy("crm", WAL, LogArchive(FAILED_OVER), BASES[:1])
    choice = log._choose(found.state.target, BASES[:1])
    assert choice.target.branch == branch


def test_a_timeline_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(UsageProblem, match="crm: no log of timeline 7") as refused:
        nearest(5, timeline=7)
    assert "--timeline crm=7" in str(refused.value.hint)


@given(st.integers(-5, 60), st.sets(st.integers(0, 5), min_size=1), st.sets(st.sampled_from([0, 13, 30, 45])))
def test_never_after_the_moment_and_never_where_the_log_does_not_lead(
    minute: int, kept: set[int], based: set[int]
) -> None:
    """Six batches of two segments, stored every ten minutes, of which some are gone."""
    stored = [batch(3 + 2 * n, 4 + 2 * n, 10 * (n + 1)) for n in sorted(kept)]
    bases = [base(m, 3 + 2 * (m // 10)) for m in sorted(based)]
    found = nearest(minute, stored, bases)
    if found.state is None:
        return
    assert found.state.target is not None
    assert found.state.snapshot.consistent_point <= found.state.point <= at(minute)
    needed = (found.state.snapshot.consistent_point - NOW).total_seconds() / 60 // 10
    ends = (found.state.point - NOW).total_seconds() / 60
    wanted = [n for n in range(6) if needed <= n and 10 * n < ends]
    assert set(wanted) <= kept, "each batch on the way is there"
