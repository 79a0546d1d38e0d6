"""Of each asset the state nearest to a moment and not after it: held to an oracle that tries all there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.manifests import counted
from tests.support.wording import lines_with

from ccdr.jobs.recover.choice import OF_ANOTHER_SOURCE, AssetStates, Candidate, chosen, furthest_apart, none_by
from ccdr.model.values import GroupRun, Snapshot
from ccdr.ports.log import RecoveryTarget

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ASSETS = ("crm", "recordings", "queue")


def at(minute: float) -> datetime:
    return NOW + timedelta(minutes=minute)


def snapshot(asset: str, minute: float, run: str | None = None) -> Snapshot:
    group = GroupRun("calls", run, ASSETS) if run else None
    name = f"{asset}-{minute}"
    return counted(name, "p", asset, "r", "files", "files", at(minute), at(minute), 1, "/x", "0" * 64, group=group)


def states(asset: str, *minutes: float, bad: dict[float, str] | None = None, log: float | None = None) -> AssetStates:
    there = tuple(snapshot(asset, m) for m in minutes)
    by_log = Candidate(there[0], at(log), RecoveryTarget(time=at(log))) if log is not None else None
    return AssetStates(asset, there, {f"{asset}-{m}": why for m, why in (bad or {}).items()}, by_log)


def point(of: AssetStates, minute: float | None, *, nearest: bool = False) -> float | None:
    choice = chosen([of], None if minute is None else at(minute), nearest=nearest)[of.asset]
    return None if choice is None else (choice.state.point - NOW).total_seconds() / 60


@pytest.mark.parametrize(
    ("minute", "nearest", "wanted"),
    [
        (25, False, 20.0),
        (20, False, 20.0),
        (19, False, 10.0),
        (19, True, 20.0),  # it is nearer
        (11, True, 10.0),
        (15, True, 10.0),  # of two as near, the one before
        (5, False, None),
        (5, True, 10.0),
        (None, False, 30.0),
        (300, True, 30.0),
    ],
)
def test_the_nearest_before_is_taken_and_one_after_only_where_it_is_allowed(
    minute: float | None, nearest: bool, wanted: float | None
) -> None:
    assert point(states("crm", 10, 20, 30), minute, nearest=nearest) == wanted


def test_what_failed_its_test_is_passed_over_and_named_and_what_did_not_is_taken() -> None:
    of = states("crm", 10, 20, 30, bad={20: "it failed its restore test", 30: "it vanished"})
    choice = chosen([of], at(25))["crm"]
    assert choice is not None and choice.state.point == at(10)
    assert [text.split(":")[-1] for text in choice.passed_over] == [" it failed its restore test"], "30 lies after it"
    twin = chosen([states("crm", 10, 20, 30)], at(25))["crm"]
    assert twin is not None and (twin.state.point, twin.passed_over) == (at(20), ())


def test_the_log_goes_before_a_snapshot_where_it_leads_nearer() -> None:
    assert point(states("crm", 10, log=24), 25) == 24.0
    assert point(states("crm", 10, 24.5, log=24), 25) == 24.5
    both = chosen([states("crm", 24, log=24)], at(25))["crm"]
    assert both is not None and both.state.target is not None, "of the same instant the log's, which may hold more"


def test_who_has_no_state_is_told_which_is_the_first_and_which_the_last(wording: SnapshotAssertion) -> None:
    text = none_by(states("crm", 10, 20), at(5))
    assert lines_with(text, "2026-11-24T12:10:00Z") == wording
    assert "no state of it that can be taken" in none_by(states("crm", 10, bad={10: "it failed"}), at(50))


class Taken(NamedTuple):
    """One member's snapshots: minutes, and which of them failed; each was taken by the run of its place in the list."""

    minutes: list[int]
    failed: list[bool]


members = st.lists(
    st.tuples(st.integers(0, 60), st.booleans(), st.booleans()), min_size=0, max_size=6, unique_by=lambda one: one[0]
)


def grouped(asset: str, taken: list[tuple[int, bool, bool]], slack: float) -> AssetStates:
    """Run N of the group is of its minute: members have it where they have that minute, and were taken with it."""
    there = tuple(snapshot(asset, m, f"run-{m // 5}" if together else None) for m, _, together in sorted(taken))
    bad = {f"{asset}-{m}": "it failed" for m, failed, _ in taken if failed}
    return AssetStates(asset, there, bad, group="calls", slack=slack)


@given(
    st.dictionaries(st.sampled_from(ASSETS), members, min_size=1, max_size=3),
    st.one_of(st.none(), st.integers(-5, 65)),
    st.booleans(),
    st.sampled_from([0.0, 600.0, 86400.0]),
    st.booleans(),
)
def test_choice_is_what_an_oracle_finds(
    taken: dict[str, list[tuple[int, bool, bool]]], minute: int | None, nearest: bool, slack: float, in_group: bool
) -> None:
    of = [grouped(asset, these, slack) for asset, these in taken.items()]
    if not in_group:
        of = [AssetStates(s.asset, s.there, s.bad) for s in of]
    moment = None if minute is None else at(minute)
    choices = chosen(of, moment, nearest=nearest)
    ends = moment or at(10_000)

    def off(p: datetime) -> float:
        return abs((ends - p).total_seconds())

    singles: dict[str, float] = {}
    for s in of:
        usable = [one.consistent_point for one in s.usable if nearest or one.consistent_point <= ends]
        choice = choices[s.asset]
        assert (choice is None) == (not usable)
        if choice is None:
            continue
        assert choice.state.snapshot.id not in s.bad, "never what is disproved"
        assert nearest or choice.state.point <= ends, "never after the moment, unless that is allowed"
        singles[s.asset] = min(map(off, usable))
        assert off(choice.state.point) <= singles[s.asset] + (slack if in_group else 0.0)
        # Whatever is newer and was not taken is named.
        newer = [t for t in s.there if choice.state.point < t.consistent_point <= ends]
        assert len(choice.passed_over) == len(newer)
    runs_of = {
        s.asset: {
            one.group.run: one
            for one in sorted(s.usable, key=lambda one: -off(one.consistent_point))
            if one.group
            and (nearest or one.consistent_point <= ends)
            and off(one.consistent_point) <= singles[s.asset] + slack
        }
        for s in of
        if s.asset in singles
    }
    whole = set.intersection(*(set(runs) for runs in runs_of.values())) if len(runs_of) > 1 else set()
    if in_group and whole:
        groups = {c.state.snapshot.group for c in choices.values() if c is not None}
        assert len({group.run if group else None for group in groups}) == 1, "a run that is whole is taken whole"


def test_a_group_is_taken_of_one_run_where_one_of_it_failed_its_test(wording: SnapshotAssertion) -> None:
    calls = (
        [snapshot("crm", 10, "a"), snapshot("crm", 20, "b")],
        [
            snapshot("recordings", 10.1, "a"),
            snapshot("recordings", 20.1, "b"),
        ],
    )
    crm = AssetStates("crm", tuple(calls[0]), group="calls", slack=3600)
    recordings = AssetStates("recordings", tuple(calls[1]), {"recordings-20.1": "it failed"}, group="calls", slack=3600)
    found = chosen([crm, recordings], at(30))
    assert {asset: c.state.point for asset, c in found.items() if c} == {"crm": at(10), "recordings": at(10.1)}
    mine = found["crm"]
    assert mine is not None and mine.passed_over[0] == wording
    # Further back than it may cost, each is taken for itself; and where all is well, the newest of both.
    dear = [AssetStates(s.asset, s.there, s.bad, group="calls", slack=60) for s in (crm, recordings)]
    assert {a: c.state.point for a, c in chosen(dear, at(30)).items() if c} == {"crm": at(20), "recordings": at(10.1)}
    well = [crm, AssetStates("recordings", recordings.there, group="calls", slack=3600)]
    assert {a: c.state.point for a, c in chosen(well, at(30)).items() if c} == {"crm": at(20), "recordings": at(20.1)}


def test_the_two_that_lie_furthest_apart_are_named() -> None:
    assert furthest_apart({"a": at(0)}) is None
    assert furthest_apart({"a": at(3), "b": at(1), "c": at(2)}) == (120.0, ("b", "a"))
    assert furthest_apart({"a": at(3), "b": at(3)}) == (0.0, ("a", "b"))


def test_a_state_from_before_the_place_was_changed_is_named_with_the_command_that_takes_it(
    wording: SnapshotAssertion,
) -> None:
    """After a recovery the plan names where the new server stands: the history before is still there."""
    text = none_by(states("queues", 10, 20, 30, bad={10: OF_ANOTHER_SOURCE, 20: OF_ANOTHER_SOURCE}), at(25))
    assert "queues-2" in text and lines_with(text, "ccdr restore p --asset queues") == wording
    for later in (states("queues", 30), states("queues", 10, 30, bad={10: "it failed"})):
        assert "ccdr restore" not in none_by(later, at(25)), "there is none, or it is bad"
