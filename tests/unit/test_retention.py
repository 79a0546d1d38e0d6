"""What stays and what goes: for any history and any rules, the promises of retention."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.support.drawn import examples
from tests.support.manifests import a_snapshot

from ccdr.model.retention import (
    LAST_GOOD,
    LAST_PROVEN,
    AssetSnapshots,
    Decision,
    Policy,
    decide,
    expired,
    kept_by_rules,
    leapt,
)
from ccdr.model.values import Snapshot

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = 86400.0
ROMANIA = ZoneInfo("Europe/Bucharest")


def ago(**delta: float) -> datetime:
    return NOW - timedelta(**delta)


def series(count: int, step: timedelta, newest: datetime = NOW) -> tuple[Snapshot, ...]:
    """`count` snapshots, oldest first, the last one at `newest`."""
    return tuple(a_snapshot(n, newest - step * (count - 1 - n)) for n in range(count))


moments = st.integers(0, 60 * 24 * 400).map(lambda minutes: ago(minutes=minutes))
histories = st.lists(moments, max_size=40).map(
    lambda whens: tuple(a_snapshot(n, w) for n, w in enumerate(sorted(whens)))
)
counts = st.none() | st.integers(1, 9)
policies = st.builds(
    Policy,
    keep_within=st.none() | st.integers(1, 300).map(lambda days: days * DAY),
    keep_last=counts,
    keep_hourly=counts,
    keep_daily=counts,
    keep_weekly=counts,
    keep_monthly=counts,
    keep_yearly=counts,
).filter(lambda p: p.keep_within or p.counts)
zones = st.sampled_from([UTC, ROMANIA, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu")])
sentences = st.lists(st.sampled_from(["its last restore test is FAIL", "2 of its snapshots vanished"]), max_size=2)


@st.composite
def standings(draw: st.DrawFn) -> AssetSnapshots:
    """Any asset: some snapshots good, some disproved, some of another source, some from the future, some proven."""
    everything = draw(histories)
    places = [draw(st.sampled_from(["good", "good", "disproved", "renamed", "future"])) for _ in everything]
    chosen = {place: tuple(s for s, p in zip(everything, places, strict=True) if p == place) for place in set(places)}
    good = chosen.get("good", ())
    proven = frozenset(s.id for s in good if draw(st.booleans()))
    others = {why: chosen[why] for why in ("disproved", "renamed") if why in chosen}
    kept = {"dated in the future": chosen["future"]} if "future" in chosen else {}
    return AssetSnapshots(good, others, kept, proven, tuple(draw(sentences)))


def ids(decisions: list[Decision], *, keep: bool) -> set[str]:
    return {d.snapshot.id for d in decisions if d.keep is keep}


@given(standings(), policies, zones)
def test_last_good_and_last_proven_stay_and_all_have_a_reason(
    standing: AssetSnapshots, policy: Policy, zone: ZoneInfo
) -> None:
    decisions = decide(standing, policy, NOW, zone)
    kept = ids(decisions, keep=True)
    if standing.good:
        assert max(standing.good, key=lambda s: (s.consistent_point, s.id)).id in kept
    if proven := [s for s in standing.good if s.id in standing.proven]:
        assert max(proven, key=lambda s: (s.consistent_point, s.id)).id in kept
    everything = [*standing.good, *(s for g in (*standing.others.values(), *standing.kept.values()) for s in g)]
    assert sorted(d.snapshot.id for d in decisions) == sorted(s.id for s in everything), "each one once"
    assert all(d.why for d in decisions)
    assert all(d.keep and d.held_since <= NOW for d in decisions if d.held_since is not None), "its time was up"


@given(standings(), policies, zones)
def test_nothing_goes_while_a_finding_is_open(standing: AssetSnapshots, policy: Policy, zone: ZoneInfo) -> None:
    assume(standing.open)
    assert not ids(decide(standing, policy, NOW, zone), keep=False)


@given(standings(), policies, zones)
def test_what_does_not_count_pushes_no_good_one_out(standing: AssetSnapshots, policy: Policy, zone: ZoneInfo) -> None:
    """Planted, disproved and foreign snapshots change nothing about which good ones stay."""
    alone = replace(standing, others={}, kept={})
    good = {s.id for s in standing.good}
    assert ids(decide(standing, policy, NOW, zone), keep=False) & good == ids(
        decide(alone, policy, NOW, zone), keep=False
    )


def test_good_ones_stay_though_as_many_newer_ones_do_not_count() -> None:
    history = series(4, timedelta(days=1))
    decisions = decide(AssetSnapshots(history[:2], {"disproved": history[2:]}), Policy(keep_last=2), NOW, UTC)
    assert [(d.keep, d.why) for d in decisions[:2]] == [(True, ("keep_last",))] * 2


@given(standings(), policies, zones)
def test_doing_it_again_removes_nothing_more(standing: AssetSnapshots, policy: Policy, zone: ZoneInfo) -> None:
    kept = ids(decide(standing, policy, NOW, zone), keep=True)
    left = replace(
        standing,
        good=tuple(s for s in standing.good if s.id in kept),
        others={why: tuple(s for s in group if s.id in kept) for why, group in standing.others.items()},
    )
    again = decide(left, policy, NOW, zone)
    gone = ids(again, keep=False)
    assert not gone & {s.id for s in left.good}
    assert not gone


@given(histories, policies, zones, st.integers(1, 50))
def test_a_wider_rule_keeps_all_that_a_narrower_one_did(
    history: tuple[Snapshot, ...], policy: Policy, zone: ZoneInfo, more: int
) -> None:
    wider = replace(
        policy,
        keep_within=policy.keep_within and policy.keep_within + more * DAY,
        **{
            name: value + more
            for name in ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
            if (value := getattr(policy, name))
        },
    )
    assert kept_by_rules(history, policy, NOW, zone).keys() <= kept_by_rules(history, wider, NOW, zone).keys()


@given(histories, policies, zones, st.integers(0, 500))
def test_time_alone_brings_none_back(history: tuple[Snapshot, ...], policy: Policy, zone: ZoneInfo, days: int) -> None:
    later = kept_by_rules(history, policy, NOW + timedelta(days=days), zone)
    assert later.keys() <= kept_by_rules(history, policy, NOW, zone).keys()


@given(standings(), policies, zones, st.data())
def test_another_host_agrees_to_what_was_removed(
    standing: AssetSnapshots, policy: Policy, zone: ZoneInfo, data: st.DataObject
) -> None:
    """It knows only some of the snapshots, does not know which were bad, and looks after newer ones came; what the
    rules of the same plan removed has not vanished."""
    gone = ids(decide(standing, policy, NOW, zone), keep=False)
    everything = [*standing.good, *(s for g in standing.others.values() for s in g)]
    late = [a_snapshot(1000 + n, NOW + timedelta(hours=n)) for n in range(data.draw(st.integers(0, 5)))]
    known = [s for s in everything if s.id not in gone or data.draw(st.booleans())] + late
    assert gone & {s.id for s in known} <= expired(known, policy, NOW + timedelta(hours=6), zone)


@given(histories, st.integers(1, 300), zones)
def test_keep_within_is_a_promise_to_delete(history: tuple[Snapshot, ...], days: int, zone: ZoneInfo) -> None:
    """With nothing to hold them, all older ones go but the last good one, however long ago that was."""
    decisions = decide(AssetSnapshots(history), Policy(keep_within=days * DAY), NOW, zone)
    old = {s.id for s in history if s.consistent_point < ago(days=days)}
    assert ids(decisions, keep=False) == old - ({history[-1].id} if history else set())


def test_it_counts_back_from_now_not_from_the_newest() -> None:
    history = series(5, timedelta(days=1), ago(days=40))
    decisions = decide(AssetSnapshots(history), Policy(keep_within=35 * DAY), NOW, UTC)
    assert ids(decisions, keep=True) == {history[-1].id}
    assert decisions[-1].why == (LAST_GOOD,) and decisions[-1].held_since == ago(days=5)


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ({"keep_last": 3}, [70, 71, 72]),
        ({"keep_hourly": 3}, [70, 71, 72]),
        ({"keep_daily": 2}, [59, 72]),  # 23:00 of the day before, and the newest
        ({"keep_weekly": 1}, [72]),
        ({"keep_last": 1, "keep_daily": 2}, [59, 72]),
        ({"keep_daily": 30}, [0, 11, 35, 59, 72]),  # as restic: the oldest, too, while the rule is not used up
    ],
)
def test_counted_rules(rules: dict[str, int], kept: list[int]) -> None:
    history = series(73, timedelta(hours=1), NOW)
    found = kept_by_rules(history, Policy(**rules), NOW, UTC)
    assert sorted(found) == [history[n].id for n in kept]


def test_days_are_the_plans_days() -> None:
    """23:30 UTC is already tomorrow in Romania."""
    evening, night = (
        a_snapshot(1, datetime(2026, 11, 20, 21, 30, tzinfo=UTC)),
        a_snapshot(2, datetime(2026, 11, 20, 23, 30, tzinfo=UTC)),
    )
    policy = Policy(keep_daily=1)
    assert kept_by_rules([evening, night], policy, NOW, UTC, oldest=False).keys() == {night.id}
    both = kept_by_rules([evening, night], Policy(keep_daily=2), NOW, ROMANIA, oldest=False)
    assert both.keys() == {evening.id, night.id}
    assert kept_by_rules([evening, night], Policy(keep_daily=2), NOW, UTC, oldest=False).keys() == {night.id}


def test_an_hour_that_comes_twice_is_two_hours() -> None:
    """Romania sets its clocks back at 04:00 summer time on 25 October 2026: 03:30 comes twice."""
    first, second = (a_snapshot(n, datetime(2026, 10, 25, n, 30, tzinfo=UTC)) for n in (0, 1))
    assert first.consistent_point.astimezone(ROMANIA).hour == second.consistent_point.astimezone(ROMANIA).hour == 3
    kept = kept_by_rules([first, second], Policy(keep_hourly=2), NOW, ROMANIA, oldest=False)
    assert kept.keys() == {first.id, second.id}
    daily = kept_by_rules([first, second], Policy(keep_daily=2), NOW, ROMANIA, oldest=False)
    assert daily.keys() == {second.id}, "one day all the same"


def test_what_is_held_for_too_long_is_told() -> None:
    history = series(3, timedelta(days=1), ago(days=60))
    policy = Policy(keep_within=35 * DAY, longest_hold=26 * DAY)
    decisions = decide(AssetSnapshots(history, open=("its last restore test is FAIL",)), policy, NOW, UTC)
    assert [(d.keep, d.overdue) for d in decisions] == [(True, True), (True, False), (True, False)]
    assert decisions[0].held_since == ago(days=27)
    assert "its last restore test is FAIL" in decisions[0].why


def test_with_counted_rules_a_hold_counts_from_when_it_was_first_seen() -> None:
    history = series(4, timedelta(days=1))
    held = AssetSnapshots(history, open=("a finding",), held_since={history[0].id: ago(days=100)})
    decisions = decide(held, Policy(keep_last=1), NOW, UTC)
    assert [(d.held_since, d.overdue) for d in decisions] == [
        (ago(days=100), True),
        (NOW, False),
        (NOW, False),
        (None, False),
    ]


def test_all_that_stood_before_the_newest_does_not_go_by_one_leap_of_the_clock() -> None:
    """But where backups are as far apart as they are meant to be, each goes when its time is up."""
    history, policy = series(5, timedelta(days=1), ago(days=700)), Policy(keep_within=35 * DAY)
    one, two = (a_snapshot(n, NOW - timedelta(hours=2 - n)) for n in (100, 101))
    assert leapt([*history, one], policy, 3600) == pytest.approx(700 * DAY, rel=0.01)
    assert leapt([*history, one, two], policy, 3600) is None
    assert leapt(history, policy, 3600) is None and leapt([one], policy, 3600) is None and leapt([], policy, 1) is None
    assert leapt([*history, one], policy, 365 * DAY) is None
    assert leapt([*history, one], Policy(keep_daily=7), 3600) is None, "which counts from no clock"


def test_last_proven_is_the_newest_that_has_passed() -> None:
    history = series(6, timedelta(days=1))
    proven = frozenset({history[1].id, history[3].id})
    decisions = decide(AssetSnapshots(history, proven=proven), Policy(keep_last=1), NOW, UTC)
    assert ids(decisions, keep=True) == {history[3].id, history[5].id}
    assert decisions[3].why == (LAST_PROVEN,)


@settings(max_examples=examples(20))
@given(policies)
def test_no_snapshots_no_decisions(policy: Policy) -> None:
    assert decide(AssetSnapshots(), policy, NOW, UTC) == []


COUNTED = ["keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"]


@pytest.mark.parametrize("rule", COUNTED)
def test_a_rule_that_counts_others_leaves_the_end_open_whatever_else_is_stated(rule: str) -> None:
    """When its time was up is known beforehand by `keep_within` alone; else it is when it was first held."""
    old, *_ = history = series(30, timedelta(days=31))
    held = AssetSnapshots(history, open=("a finding",), held_since={old.id: ago(days=3)})
    alone, counted = Policy(keep_within=35 * DAY), Policy(keep_within=35 * DAY, **{rule: 1})
    assert decide(held, alone, NOW, UTC)[0].held_since == old.consistent_point + timedelta(days=35)
    assert decide(held, counted, NOW, UTC)[0].held_since == ago(days=3)
    assert decide(held, Policy(**{rule: 1}), NOW, UTC)[0].held_since == ago(days=3)
    assert decide(held, Policy(), NOW, UTC)[0].held_since == ago(days=3), "nor does a plan that states none know it"


def test_a_hold_is_too_long_after_ninety_days_where_the_plan_says_nothing() -> None:
    history = series(2, timedelta(days=1), ago(days=100))
    for held_for, overdue in ((timedelta(days=90), False), (timedelta(days=90, seconds=1), True)):
        held = AssetSnapshots(history, open=("a finding",), held_since={history[0].id: NOW - held_for})
        assert decide(held, Policy(keep_last=1), NOW, UTC)[0].overdue is overdue


def test_what_does_not_count_is_not_kept_in_the_place_of_one_that_does() -> None:
    """It stays as long as a good one of its age, and its reason says that it does not count."""
    history = series(4, timedelta(days=1))
    by_age = {
        n: decide(AssetSnapshots(history[n + 1 :], {"disproved": (history[n],)}), Policy(keep_last=2), NOW, UTC)
        for n in (1, 2)
    }
    assert next((d.keep, d.why) for d in by_age[1]) == (False, ("disproved", "no rule keeps it"))
    assert next((d.keep, d.why) for d in by_age[2]) == (True, ("disproved", "keep_last"))
    held = decide(
        AssetSnapshots(history[1:], {"disproved": (history[0],)}, open=("a finding",)), Policy(keep_last=2), NOW, UTC
    )
    assert held[0].keep and held[0].why == ("disproved", "a finding")


@given(standings(), policies, zones, st.randoms())
def test_in_whatever_order_snapshots_are_given(
    standing: AssetSnapshots, policy: Policy, zone: ZoneInfo, random: Random
) -> None:
    found = decide(standing, policy, NOW, zone)
    points = [(d.snapshot.consistent_point, d.snapshot.id) for d in found]
    assert points == sorted(points), "told oldest first"
    mixed = random.sample(standing.good, len(standing.good))
    assert decide(replace(standing, good=tuple(mixed)), policy, NOW, zone) == found


def test_the_last_good_one_is_the_newest_and_not_the_one_that_was_given_last() -> None:
    history = series(3, timedelta(days=1), ago(days=50))
    proven = frozenset({history[0].id, history[1].id})
    decisions = decide(AssetSnapshots(history[::-1], proven=proven), Policy(keep_within=DAY), NOW, UTC)
    assert [d.why for d in decisions[1:]] == [(LAST_PROVEN,), (LAST_GOOD,)] and not decisions[0].keep


def test_one_that_is_the_last_good_and_the_last_proven_is_said_to_be_both() -> None:
    history = series(3, timedelta(days=1), ago(days=50))
    proven = frozenset({history[0].id, history[2].id})
    newest = decide(AssetSnapshots(history, proven=proven), Policy(keep_within=DAY), NOW, UTC)[-1]
    assert newest.keep and newest.why == (LAST_GOOD, LAST_PROVEN)


def test_keep_within_keeps_for_exactly_as_long_as_it_says() -> None:
    on_time, late = a_snapshot(1, ago(days=35)), a_snapshot(2, ago(days=35, seconds=1))
    kept = kept_by_rules([on_time, late], Policy(keep_within=35 * DAY), NOW, UTC)
    assert kept == {on_time.id: ("keep_within",)}


def test_a_week_is_from_monday_to_sunday_whatever_the_year() -> None:
    """28 December 2026 is a Monday, and 3 January 2027 its Sunday."""
    sunday, *week, monday = (
        a_snapshot(n, datetime(2026, 12, 27, 12, tzinfo=UTC) + n * timedelta(days=1)) for n in range(9)
    )
    kept = kept_by_rules([sunday, *week, monday], Policy(keep_weekly=3), NOW, UTC, oldest=False)
    assert kept.keys() == {sunday.id, week[-1].id, monday.id}
    years = kept_by_rules([sunday, *week, monday], Policy(keep_yearly=3, keep_monthly=3), NOW, UTC, oldest=False)
    assert years.keys() == {week[3].id, monday.id}, "the last of 2026, and the newest"


def test_who_has_not_seen_all_does_not_take_its_oldest_for_the_oldest() -> None:
    first, second = a_snapshot(1, ago(hours=2)), a_snapshot(2, ago(hours=1))
    assert expired([first, second], Policy(keep_daily=2), NOW, UTC) == {first.id}
    assert kept_by_rules([first, second], Policy(keep_daily=2), NOW, UTC).keys() == {first.id, second.id}


def test_a_leap_is_further_than_the_rules_and_twice_the_objective_reach() -> None:
    """To the second: what is kept still by the newest one's clock has not been leapt over."""
    week, far = Policy(keep_within=7 * DAY), timedelta(days=7)
    for apart, rpo, leap in (
        (far, 3600, False),
        (far + timedelta(seconds=1), 3600, True),
        (timedelta(days=20), 10 * DAY, False),
        (timedelta(days=20, seconds=1), 10 * DAY, True),
    ):
        two = [a_snapshot(1, NOW), a_snapshot(2, NOW - apart)]
        assert leapt(two, week, rpo) == (apart.total_seconds() if leap else None)
