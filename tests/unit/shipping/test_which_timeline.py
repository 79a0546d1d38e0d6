"""Which timeline a time belongs to, where the log of a source branched more than once; and what is said where a way
cannot be gone. Pure, no server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.batches import NOW, WAL, base, batch, segment

from ccdr.engines.postgres.segments import lsn
from ccdr.jobs.shipping.choice import Choice, WrittenBranches, choose, holding, stored_again
from ccdr.jobs.shipping.log_archive import LogArchive, StoredBatch, arranged
from ccdr.model.errors import BackupBad, CcdrError, TestBroken, UsageProblem
from ccdr.model.forks import Fork
from ccdr.model.values import Manifest, Snapshot
from ccdr.ports.log import RecoveryTarget


def at(minute: float) -> datetime:
    return NOW + timedelta(minutes=minute)


def place(n: int) -> str:
    """Within segment n."""
    return lsn((n << 24) + 4096)


# Timeline 1 was received up to 12:10, to within segment 7; 2 left it in segment 4 at 12:20 and was received up to 12:30,
# to within 8; 3 left that in segment 6 at 12:40 and is written still.
TWO, THREE = Fork(2, 1, place(4), at(20)), Fork(3, 2, place(6), at(40))
FIRST = (batch(3, 4, 5), batch(5, 6, 10))
SECOND = (
    replace(batch(4, 5, 25, timeline=2), forks=(TWO,), id="2a"),
    replace(batch(6, 7, 30, timeline=2), forks=(TWO,), id="2b"),
)
THIRD = (
    replace(batch(6, 7, 45, timeline=3), forks=(TWO, THREE), id="3a"),
    replace(batch(8, 9, 50, timeline=3), forks=(TWO, THREE), id="3b"),
)
STORED = (*FIRST, *SECOND, *THIRD)


def by(
    minute: float | None, stored: Sequence[StoredBatch] = STORED, base: int = 1, anew: datetime | None = None
) -> RecoveryTarget:
    """The target, with the timeline to go by; `base` is that of the newest base before it."""
    target = RecoveryTarget(time=None if minute is None else at(minute))
    return WrittenBranches(LogArchive(tuple(stored)), WAL, anew).by(target, base)


def told(stored: Sequence[StoredBatch], *forks: Fork) -> list[StoredBatch]:
    """The same where the branches began so."""
    return [replace(b, forks=forks) for b in stored]


@pytest.mark.parametrize(
    ("minute", "branch", "left"),
    [
        (3, 1, None),
        (10, 1, None),  # up to which it is stored for certain
        (10.01, 1, replace(TWO, parent=1)),
        (19.99, 1, replace(TWO, parent=1)),
        (20, 2, None),  # the very moment it began
        (24, 2, None),
        (30, 2, None),
        (30.01, 2, THREE),
        (39.99, 2, THREE),
        (40, 3, None),
        (55, 3, None),
    ],
)
def test_a_time_belongs_to_the_timeline_that_began_last_before_it(
    minute: float, branch: int, left: Fork | None
) -> None:
    """Behind all that is stored of one that was left, it says where and by which one."""
    found = by(minute)
    assert (found.branch, found.left, found.time) == (branch, left, at(minute))


def test_where_a_timeline_was_left_is_told_by_the_way_to_the_next_that_is_stored() -> None:
    """Of the one between them nothing is."""
    assert by(15, (*FIRST, *THIRD)).left == replace(THREE, parent=1, position=place(4))


@given(st.data())
def test_each_moment_is_of_one_timeline_however_many_there_were(data: st.DataObject) -> None:
    """Each stored to somewhere within its own time, and left with something behind that place."""
    many = data.draw(st.integers(1, 5))
    spans = [data.draw(st.integers(2, 20)) for _ in range(many)]  # minutes each was written
    begins = [sum(spans[:n]) for n in range(many)]
    points = [begins[n] + data.draw(st.integers(0, spans[n] - 1)) for n in range(many)]
    forks = tuple(Fork(n + 1, n, place(2 * n), at(begins[n])) for n in range(1, many))
    stored = [
        replace(batch(2 * n, 2 * n + 3, points[n], timeline=n + 1), forks=forks[:n], id=f"{n + 1}") for n in range(many)
    ]
    minute = data.draw(st.integers(0, sum(spans)))
    mine = max(n for n in range(many) if begins[n] <= minute)
    found = by(minute, data.draw(st.permutations(stored)))
    assert found.branch == mine + 1
    if mine == many - 1 or minute <= points[mine]:
        assert found.left is None
    else:
        assert found.left == forks[mine], "where it was left, and by the one that began next"
    behind = data.draw(st.integers(1, many))
    assert by(minute, stored, base=behind).branch == max(mine + 1, behind), "none that the base lies behind"


def test_a_timeline_begins_by_this_hosts_clock() -> None:
    """The source's was a minute ahead, as was read with what is stored of that very timeline; others were not."""

    def stored(skew: float | None, others: float | None) -> list[StoredBatch]:
        second = [replace(b, skew=skew if n else None) for n, b in enumerate(SECOND)]
        return [*(replace(b, skew=others) for b in FIRST), *second, *(replace(b, skew=others) for b in THIRD)]

    for skew, others, began in ((60.0, None, 19), (60.0, 600.0, 19), (None, 600.0, 20), (-60.0, None, 21)):
        assert [by(minute, stored(skew, others)).branch for minute in (began - 0.01, began)] == [1, 2]


def test_one_of_which_nobody_knows_when_it_began_began_when_it_was_first_stored() -> None:
    stored = told(STORED, replace(TWO, at=None), THREE)
    assert [by(minute, stored).branch for minute in (20, 24.99, 25, 39)] == [1, 1, 2, 2]
    within = replace(THIRD[0], first=segment(4, 2), name=segment(4, 2))  # no batch of its own: it was there all along
    lone = told([*FIRST, within, THIRD[1]], replace(TWO, at=None), THREE)
    assert by(39, lone).branch == 3, "of it alone nothing is stored that would end behind where it was left"
    assert by(41, lone).branch == 3, "nor was it written on"


def test_where_a_timelines_beginning_is_not_known_the_newest_is_gone_by() -> None:
    for known in ((), (TWO,), (THREE,)):
        assert by(24, told(STORED, *known)) == RecoveryTarget(time=at(24), branch=3), known
    assert by(24, told(FIRST)) == RecoveryTarget(time=at(24), branch=1)
    assert by(24, told(SECOND, TWO)) == RecoveryTarget(time=at(24), branch=2), "it is the only one"
    assert by(24, told([*SECOND, *THIRD], THREE)).branch == 2, "the oldest needs to have begun nowhere"


def test_no_timeline_is_gone_by_that_the_base_lies_behind() -> None:
    assert [by(3, base=n).branch for n in (1, 2, 3)] == [1, 2, 3]
    assert by(9, told(FIRST), base=2).branch == 2, "though nothing of that one is stored yet"
    assert by(None).branch == 3 and by(None, base=4).branch == 4 and by(None, FIRST, base=1).branch == 1


def test_a_timeline_that_is_asked_for_is_gone_by_where_it_is_there() -> None:
    for branch in (1, 2, 3):
        assert WrittenBranches(LogArchive(STORED), WAL, None).by(RecoveryTarget(branch=branch), 1) == RecoveryTarget(
            branch=branch
        )
    between = [replace(batch(3, 7, 9), open=segment(8, 11)), *(batch(n, n, n, timeline=n) for n in (9, 10))]
    with pytest.raises(UsageProblem, match=r"no log of timeline 4 .*: there is 1, 9, 10, 11$"):
        WrittenBranches(LogArchive(tuple(between)), WAL, None).by(RecoveryTarget(branch=4), 1)


def test_what_was_stored_of_another_history_belongs_to_no_time_of_this_one() -> None:
    """The source went back behind its own log: the same numbers, written by another."""
    anew = at(60)
    since = [replace(b, anew=anew, point=b.point + timedelta(hours=1), id=f"new-{b.id}", forks=()) for b in FIRST]
    both = (*STORED, *since)
    assert by(None, both, anew=anew).branch == 1 and by(24, both, anew=anew).branch == 1
    assert by(24, both) == by(24) and by(15, both) == by(15)
    with pytest.raises(UsageProblem, match=r"there is 1$"):
        WrittenBranches(LogArchive(both), WAL, anew).by(RecoveryTarget(branch=3), 1)


# --- who was written at once ----------------------------------------------------------------------------------


def still(which: StoredBatch, minute: float) -> tuple[StoredBatch, ...]:
    """All that is stored, where one was written for longer."""
    return tuple(replace(b, point=at(minute)) if b is which else b for b in STORED)


@pytest.mark.parametrize(
    ("former", "until", "minute", "two"),
    [
        (FIRST[1], 22, 21, (1, 2)),
        (FIRST[1], 22, 22, (1, 2)),
        (FIRST[1], 22, 22.01, None),
        (FIRST[1], 45, 41, (1, 3)),
        (SECOND[1], 45, 41, (2, 3)),
        (SECOND[1], 45, 45, (2, 3)),
        (SECOND[1], 45, 45.01, None),
        (SECOND[1], 45, 24, None),  # before the other began
    ],
)
def test_a_time_at_which_two_servers_wrote_may_mean_either(
    former: StoredBatch, until: float, minute: float, two: tuple[int, int] | None
) -> None:
    stored = still(former, until)
    if two is None:
        assert by(minute, stored).branch == by(minute).branch
        return
    with pytest.raises(TestBroken, match=f"may mean timeline {two[0]} or timeline {two[1]} .*both were written then"):
        by(minute, stored)


def test_one_that_holds_nothing_behind_where_it_was_left_was_not_written_on() -> None:
    """As where it was stored once more, later, by whoever found nothing new: no other history."""
    for n, whole in ((3, False), (4, True)):  # the place lies in segment 4
        former = replace(batch(3, n, 22), open=None)
        stored = (former, *SECOND)
        if whole:
            with pytest.raises(TestBroken, match="may mean timeline 1 or timeline 2"):
                by(21, stored)
            assert by(9, stored).branch == 1
        else:
            assert by(21, stored) == RecoveryTarget(time=at(21), branch=2)
            assert by(9, stored) == RecoveryTarget(time=at(9), branch=2), "all of it is on the way to the newest"


# --- branches of one and the same -----------------------------------------------------------------------------

# The source was recovered once more, to before where 2 had left: 3 goes on from 1, too, and 2 is on no way to it.
BESIDE = Fork(3, 1, place(3), at(40))
BESIDES = tuple(told((*FIRST, *SECOND, replace(batch(3, 9, 50, timeline=3), id="3")), TWO, BESIDE))


@pytest.mark.parametrize(
    ("minute", "branch", "left"),
    [
        (9, 1, None),
        (15, 1, TWO),  # as it was left then, by 2; that 3 left it further back is of later
        (24, 2, None),
        (35, 2, replace(BESIDE, parent=2)),
        (41, 3, None),
    ],
)
def test_a_timeline_that_leads_nowhere_had_its_time_too(minute: float, branch: int, left: Fork | None) -> None:
    found = by(minute, BESIDES)
    assert (found.branch, found.left) == (branch, left)


# --- what cannot be gone, and is said -------------------------------------------------------------------------


def chosen(stored: Sequence[StoredBatch], target: RecoveryTarget, *bases: tuple[Snapshot, Manifest]) -> Choice:
    return choose([s for s, _ in bases], [m for _, m in bases], arranged(stored), WAL, target)


def test_a_time_before_all_bases_is_answered_with_the_oldest_of_them() -> None:
    with pytest.raises(UsageProblem, match="the oldest is of 2026-11-24T12:05:00Z"):
        chosen(FIRST, RecoveryTarget(time=at(1)), base(5, 3), base(8, 4))


def test_a_base_that_needs_more_than_is_stored_names_where_the_log_begins_that_would_lead_on() -> None:
    with pytest.raises(BackupBad, match=f"the log begins later: with {segment(3)}$"):
        chosen(FIRST, RecoveryTarget(), base(0, 1))
    anew = at(60)
    since = [replace(b, anew=anew, point=b.point + timedelta(hours=2), id=f"new-{b.id}") for b in FIRST]
    with pytest.raises(BackupBad, match=f"needs {segment(2)}, the log begins later: with {segment(3)}$"):
        chosen([batch(1, 2, 2), *since], RecoveryTarget(), base(61, 2))


def test_a_base_of_a_timeline_of_which_all_log_has_gone_is_told_what_there_is() -> None:
    snapshot, manifest = base(12, 8)
    manifest = replace(manifest, contents={**manifest.contents, "timeline": 5, "stop_lsn": lsn(8 << 24)})
    with pytest.raises(TestBroken, match="there is none yet that leads on from it"):
        choose([snapshot], [manifest], arranged(FIRST), WAL, RecoveryTarget())
    with pytest.raises(BackupBad, match=f"the log begins later: with {segment(3)}$"):
        choose([snapshot], [manifest], arranged(FIRST), WAL, RecoveryTarget(), None, at(20))


def test_of_several_gaps_the_first_is_named() -> None:
    only = replace(batch(3, 2, 4), first=None, last=None)  # of which not even the first segment was whole
    for stored, after, before in (
        ([batch(1, 2, 2), batch(4, 5, 10), batch(7, 8, 15)], 2, 4),
        ([batch(1, 2, 2), only, batch(5, 6, 10)], 3, 5),
    ):
        with pytest.raises(BackupBad, match=f"missing between {segment(after)} and {segment(before)}$"):
            chosen(stored, RecoveryTarget(), base(0, 1))


def test_a_base_of_before_the_source_went_back_leads_to_nothing_since() -> None:
    """Though the newer base of this history lies behind where the timeline began that is asked for."""
    anew = at(60)
    new = [
        replace(b, anew=anew, point=b.point + timedelta(hours=1), id=f"new-{b.id}", forks=b.forks and (TWO,))
        for b in (*FIRST, *SECOND)
    ]
    old, within, behind = base(0, 3), base(62, 3), base(75, 6)
    assert chosen([*FIRST, *new], RecoveryTarget(branch=2), old, within, behind).base == within[0]
    with pytest.raises(BackupBad, match="no base leads to timeline 2"):
        chosen([*FIRST, *new], RecoveryTarget(branch=2), old, behind)


def test_no_base_is_asked_for_a_name_before_which_there_is_none() -> None:
    def refuses(_: object) -> Choice:
        raise UsageProblem("there is none", hint="")

    with pytest.raises(UsageProblem, match=r"no log that is stored has a point named 'x'$"):
        holding("x", [base(0, 1), base(5, 3)], refuses, lambda *_: True)


def test_whether_a_point_is_met_is_asked_with_the_manifest_of_the_base_that_was_chosen() -> None:
    bases, asked = [base(0, 3), base(8, 4)], []

    def meets(choice: Choice, manifest: Manifest) -> bool:
        asked.append((choice.base, manifest))
        return choice.base == bases[0][0]

    found = holding("x", bases, lambda left: chosen(FIRST, RecoveryTarget(name="x"), *left), meets)
    assert found.base == bases[0][0] and asked == bases[::-1]


@pytest.mark.parametrize(
    ("held", "skews", "refused"),
    [
        ({}, (0.0, 0.0), True),
        ({"open": None, "last": segment(5)}, (0.0, 0.0), True),
        ({"last": segment(4), "open": segment(5)}, (0.0, 0.0), True),
        ({"last": segment(3), "open": segment(4)}, (0.0, 0.0), False),
        ({"first": None, "last": None, "open": None}, (0.0, 0.0), False),
        ({}, (None, 0.0), False),
        ({}, (0.0, None), False),
    ],
)
def test_log_stored_before_a_base_that_goes_further_than_it_is_of_another_history(
    held: dict[str, Any], skews: tuple[float | None, float | None], refused: bool
) -> None:
    """By whatever such a batch holds last, wherever it stands among others of which nothing is known."""
    snapshot, manifest = base(30, 4)
    manifest = replace(manifest, clock_skew_s=skews[1])
    for minute, wrong in ((29, refused), (30, False), (31, False)):
        first = replace(batch(4, 4, 20), skew=None, position=lsn(1 << 24))
        named = {"name": segment(4)} if held.get("first", 0) is None else {}
        last = replace(batch(5, 5, minute), skew=skews[0], begun=at(minute), **held, **named)
        choice: CcdrError | Choice
        try:
            choice = choose([snapshot], [manifest], LogArchive((first, last)), WAL, RecoveryTarget())
        except CcdrError as error:
            choice = error
        assert ("went back behind its own log" in str(choice)) is wrong, minute


def test_what_was_chosen_is_taken_again_batch_by_batch() -> None:
    stored = [batch(1, 2), batch(3, 3, 1), batch(4, 5, 2)]
    choice = choose([base(0, 1)[0]], [base(0, 1)[1]], arranged(stored), WAL, RecoveryTarget())
    newer = [replace(b, id=f"again-{n}", usable_at=b.usable_at + timedelta(hours=1)) for n, b in enumerate(stored)]
    found = stored_again(choice, arranged(newer))
    assert found is not None and [b.id for b in found.batches] == ["again-0", "again-1", "again-2"]
