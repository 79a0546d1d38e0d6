"""What came due and what was missed, from the versions in force. Pure."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.drawn import examples

from ccdr.model.schedule import advance
from ccdr.model.values import Verb
from ccdr.plans.due import PATIENCE, RequestedRuns, due, tallies
from ccdr.plans.due import RunStart as Begun
from ccdr.plans.facts import AssetFacts, PlanFacts, RepositoryFacts, RestoreTestFacts
from ccdr.plans.versions import PlanRevision

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
CRM = ("crm", Verb.BACKUP)
ALL = frozenset(Verb)
HERE = RepositoryFacts("r" * 64, on_host=False, apart=True)
CALLS = AssetFacts("files", "copy", None, 3600.0, 3600.0, "throwaway", backup="0 2 * * *")


def plan(at=BEGIN, seq=1, timezone="UTC", **assets):
    facts = PlanFacts(
        format=2,
        timezone=timezone, mtd=None, retention=None, prune="0 5 * * 0", check="0 6 * * *", parts=30,
        assets=assets or {"crm": CALLS}, repository=HERE,
    )  # fmt: skip
    return PlanRevision("outbound", f"d{seq}", facts, seq, at, "root", None, {})


def asked(at=BEGIN, verbs=ALL, **last):
    return RequestedRuns(at, frozenset(verbs), {Verb(verb): when for verb, when in last.items()})


def start(at, due=None):
    return Begun(int(at.timestamp()), due and int(due.timestamp()))


def of_crm(versions, starts, since=BEGIN, end=BEGIN + 20 * DAY, duties=None):
    found = tallies(versions, [asked()] if duties is None else duties, {CRM: starts}, since, end)
    return next((tally for tally in found if (tally.asset, tally.verb) == CRM), None)


def nightly(days, first=BEGIN):
    """Runs that `ccdr run` began five minutes late, for two o'clock."""
    dues = [(first + n * DAY).replace(hour=2) + DAY for n in range(days)]
    return [start(at + 5 * MINUTE, at) for at in dues]


def test_of_twenty_days_on_which_nothing_ran_each_is_missed():
    tally = of_crm([plan()], [])
    assert (tally.due, tally.missed, tally.waiting) == (20, 20, False)
    [gap] = tally.gaps
    assert (gap.first, gap.last, gap.count) == (BEGIN.replace(hour=2) + DAY, BEGIN.replace(hour=2) + 20 * DAY, 20)


def test_what_came_due_in_a_pause_and_was_not_begun_is_neither_missed_nor_served():
    """Two windows, of which one overlaps another; the run of the third night served its own all the same."""
    two = [(BEGIN + 2 * DAY, BEGIN + 4 * DAY), (BEGIN + 3 * DAY, BEGIN + 5 * DAY), (BEGIN + 8 * DAY, BEGIN + 8 * DAY)]
    at = BEGIN.replace(hour=2) + 3 * DAY
    [tally] = [
        one
        for one in tallies([plan()], [asked()], {CRM: [start(at, at)]}, BEGIN, BEGIN + 20 * DAY, paused=two)
        if one.asset == "crm"
    ]
    assert (tally.due, tally.paused, tally.missed) == (20, 2, 17)
    assert [gap.count for gap in tally.gaps] == [2, 15]
    assert sum(gap.count for gap in tally.gaps) == tally.missed
    whole = of_crm([plan()], [start(at, at)])
    assert (whole.due, whole.paused, whole.missed) == (20, 0, 19), "the twin: without a pause"


def test_what_a_clock_that_was_ahead_has_recorded_is_due_once():
    """A version and what runs were asked for, four days ahead; the clock was set right since, and both were recorded
    again."""
    changed = {"crm": replace(CALLS, rpo=7200.0)}
    versions = [plan(), plan(BEGIN + 9 * DAY, 2, **changed), plan(BEGIN + 5 * DAY, 3)]
    duties = [asked(), asked(BEGIN + 9 * DAY, {Verb.TEST}), asked(BEGIN + 5 * DAY)]
    for some in ((versions, None), ([plan()], duties), (versions, duties)):
        tally = of_crm(some[0], nightly(20), duties=some[1])
        assert (tally.due, tally.missed, tally.elsewhere, tally.gaps) == (20, 0, 0, ())
        assert of_crm(some[0], [], duties=some[1]).missed == 20


def test_of_twenty_days_on_which_all_ran_none_is():
    tally = of_crm([plan()], nightly(20))
    assert (tally.due, tally.missed, tally.gaps) == (20, 0, ())


def test_what_failed_and_was_tried_again_was_due_once():
    tries = [Begun(run.at + n * 60, run.due) for run in nightly(20) for n in (0, 5, 15)]
    assert (of_crm([plan()], tries).due, of_crm([plan()], tries).missed) == (20, 0)


def test_a_command_serves_the_due_time_before_it():
    by_hand = [Begun(run.at + 3 * 3600) for run in nightly(20)]
    assert of_crm([plan()], by_hand).missed == 0
    twice = [*by_hand[:10], *[Begun(run.at + 3600) for run in by_hand[:10]]]
    assert of_crm([plan()], twice).missed == 10


def test_nothing_is_due_before_the_first_version():
    assert of_crm([plan(BEGIN + 10 * DAY)], []).due == 10
    assert of_crm([], []) is None
    assert due([], Verb.BACKUP, "crm", BEGIN, BEGIN + DAY) == []


def test_the_newest_due_time_waits_until_the_next_one_or_for_six_hours():
    end = BEGIN.replace(hour=3) + 20 * DAY
    tally = of_crm([plan()], nightly(19), end=end)
    assert (tally.due, tally.missed, tally.waiting) == (19, 0, True)
    late = of_crm([plan()], nightly(19), end=end + PATIENCE)
    assert (late.due, late.missed, late.waiting) == (20, 1, False)


def test_periods_side_by_side_count_each_due_time_once():
    runs = nightly(19)
    for middle in (BEGIN.replace(hour=hour, minute=minute) + 10 * DAY for hour in range(24) for minute in (0, 5, 6)):
        first = of_crm([plan()], [r for r in runs if r.at < middle.timestamp()], end=middle)
        second = of_crm([plan()], [r for r in runs if r.at >= (middle - PATIENCE).timestamp()], since=middle)
        assert (first.due + second.due, first.missed + second.missed) == (20, 1), middle


def test_an_asset_that_left_stays_in_the_population_of_its_time():
    without = plan(BEGIN + 10 * DAY, 2, other=replace(CALLS, backup="0 0 1 * *"))
    tally = of_crm([plan(), without], [])
    assert (tally.due, tally.missed) == (10, 10)
    assert of_crm([plan(), without], [], since=BEGIN + 11 * DAY) is None


def test_what_is_due_goes_by_the_version_of_its_time():
    often = plan(BEGIN + 10 * DAY, 2, crm=replace(CALLS, backup="0 */6 * * *"))
    assert of_crm([plan(), often], []).due == 10 + 39  # not at the very moment at which it was seen
    rare = plan(BEGIN + 10 * DAY, 2, crm=replace(CALLS, backup="0 2 1 1 *"))
    assert of_crm([plan(), rare], []).missed == 10


def test_a_version_of_the_same_schedule_changes_nothing():
    """Even where it was recorded at the very moment of a due time, and what was due before it ran after it."""
    middle = BEGIN.replace(hour=2) + 10 * DAY
    assert of_crm([plan(), plan(middle + MINUTE, 2)], nightly(20)).missed == 0
    assert of_crm([plan(), plan(middle, 2)], nightly(20)).due == 20


def test_what_another_host_answers_for_is_neither_due_nor_missed_here():
    tally = of_crm([plan()], [], duties=[asked(verbs=[Verb.TEST])])
    assert (tally.due, tally.missed, tally.elsewhere) == (0, 0, 20)
    nobody = of_crm([plan()], [], duties=[])
    assert (nobody.due, nobody.elsewhere) == (0, 20)


def test_a_duty_ends_when_it_was_asked_for_last():
    given_away = asked(BEGIN + 12 * DAY, [Verb.TEST], backup=BEGIN + 10 * DAY)
    tally = of_crm([plan()], nightly(10), duties=[asked(), given_away])
    assert (tally.due, tally.missed, tally.elsewhere) == (10, 0, 10)


def test_upkeep_is_due_too_and_a_restore_test_by_its_own_schedule():
    tested = replace(CALLS, test=RestoreTestFacts("0 3 * * 0", ("latest",)))
    found = {(t.asset, t.verb): t.due for t in tallies([plan(crm=tested)], [asked()], {}, BEGIN, BEGIN + 20 * DAY)}
    assert found == {CRM: 20, ("crm", Verb.TEST): 2, (None, Verb.PRUNE): 2, (None, Verb.CHECK): 20}


def test_due_times_go_by_the_zone_of_the_plan():
    [first, *_] = due([plan(timezone="Europe/Bucharest")], Verb.BACKUP, "crm", BEGIN, BEGIN + DAY)
    assert first == datetime(2026, 3, 2, 0, tzinfo=UTC)


@settings(max_examples=examples(100), deadline=None)
@given(
    st.sampled_from(["*/15 * * * *", "0 * * * *", "0 2 * * *", "30 2 * * 1-5"]),
    st.sampled_from(["UTC", "Europe/Bucharest"]),
    st.lists(st.integers(1, 40 * 86400), min_size=1, max_size=60, unique=True).map(sorted),
)
def test_missed_is_what_run_would_have_recorded(cron, zone, calls):
    """`ccdr run` is called at any times at all, and all that it begins is done well."""
    version = plan(timezone=zone, crm=replace(CALLS, backup=cron))
    slot, _ = advance(None, cron, zone, BEGIN)
    starts, recorded = [], 0
    for now in (BEGIN + timedelta(seconds=second) for second in calls):
        slot, missed = advance(slot, cron, zone, now)
        recorded += missed.count if missed else 0
        if slot.ready(now):
            starts.append(start(now, slot.pending))
            slot = slot.done()
    tally = of_crm([version], starts, end=now + timedelta(seconds=1))
    assert (tally.missed if tally else 0) == recorded
    assert sum(gap.count for gap in tally.gaps) == recorded if tally else not recorded


def test_a_year_of_two_hundred_assets_is_counted_well_under_a_second():
    """Each with minutes of its own, in a zone of its own clocks."""
    of_assets = {
        f"a{n}": replace(CALLS, backup=f"{n % 60},{(n + 17) % 60} {'*' if n % 2 else '*/2'} * * *") for n in range(200)
    }
    version = plan(timezone="Europe/Bucharest", **of_assets)
    began = time.process_time()
    found = tallies([version], [asked()], {}, BEGIN, BEGIN + 365 * DAY)
    took = time.process_time() - began
    assert len(found) == 202 and sum(t.missed for t in found) > 1_000_000
    assert took < 1.0, took  # seconds of a processor; measured: 0.3
