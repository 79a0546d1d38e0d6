"""How long a run took: all of it, people's waiting apart; and how long it will take."""

from __future__ import annotations

import pytest
from tests.support.runbooks import ByHand, runbook

from ccdr.jobs.runbook.events import What
from ccdr.jobs.runbook.states import achieved, elapsed, forecast

BOOK = """
recover: {kind: recover}
check: {kind: check, depends_on: [recover]}
repoint: {kind: manual, instructions: repoint, depends_on: [check]}
web: {kind: http, url: "http://127.0.0.1/", depends_on: [repoint]}
count: {kind: sql, server: {server: "postgresql://u@db2/crm"}, query: select 1, expect: 1, depends_on: [repoint]}
tell: {kind: manual, instructions: tell, depends_on: [web]}
"""


def test_the_rto_ends_with_the_last_green_health_check_and_holds_what_people_took() -> None:
    run = ByHand(runbook(BOOK)).done("recover", 600).done("check", 60)
    run.happens("step.waits", "repoint").done("repoint", 300, answer="done")
    assert achieved(run.standing).time is None and set(achieved(run.standing).waits_for) == {"web", "count"}
    run.done("web", 5).done("count", 7)
    run.done("tell", 900, answer="done")
    found = achieved(run.standing)
    assert found.by == "count" and found.time is not None
    assert (found.time.machine, found.time.waited) == (600 + 60 + 5 + 7, 1 + 1 + 300)
    assert elapsed(run.events, run.runbook).seconds == found.time.seconds + 900


def test_without_health_checks_it_ends_with_the_assets_last_check() -> None:
    run = ByHand(runbook("recover: {kind: recover}\ncheck: {kind: check, depends_on: [recover]}"))
    run.done("recover", 100)
    assert achieved(run.standing).time is None
    found = achieved(run.done("check", 20).standing)
    assert found.by == "check" and found.time is not None and found.time.machine == 120


def test_a_look_is_no_health_check() -> None:
    run = ByHand(runbook('look: {kind: http, url: "http://127.0.0.1/", look: true}\nrecover: {kind: recover}'))
    run.done("look", 5)
    assert achieved(run.standing).time is None
    assert achieved(run.done("recover", 5).standing).by == "recover"


def test_a_health_check_that_was_skipped_is_assumed_and_all_of_them_prove_nothing() -> None:
    run = ByHand(runbook(BOOK)).done("recover").done("check").done("repoint", answer="done")
    run.done("web").happens("step.skipped", "count")
    assert achieved(run.standing).assumed == ("count",) and achieved(run.standing).by == "web"
    both = ByHand(runbook(BOOK)).done("recover").done("check").done("repoint", answer="done")
    both.happens("step.skipped", "web").happens("step.skipped", "count")
    assert achieved(both.standing).time is None


TWO = """
crm: {kind: recover, assets: [crm]}
rec: {kind: recover, assets: [rec], may_fail: true}
check: {kind: check, depends_on: [crm, rec]}
web: {kind: http, url: "http://127.0.0.1/", depends_on: [check]}
"""


@pytest.mark.parametrize("of", ["step.skipped", "step.failed"])
def test_a_recovery_that_was_not_done_is_assumed(of: What) -> None:
    run = ByHand(runbook(TWO)).done("crm").happens(of, "rec").done("check").done("web")
    found = achieved(run.standing)
    assert found.by == "web" and found.assumed == ("rec",)
    whole = achieved(ByHand(runbook(TWO)).done("crm").done("rec").done("check").done("web").standing)
    assert whole.by == "web" and not whole.assumed


def test_where_no_recovery_was_done_nothing_is_measured() -> None:
    run = ByHand(runbook(TWO)).happens("step.skipped", "crm").happens("step.skipped", "rec").done("check").done("web")
    assert achieved(run.standing).time is None
    alone = ByHand(runbook("web: {kind: http, url: 'http://127.0.0.1/'}")).done("web")
    assert achieved(alone.standing).by == "web"  # a runbook without any recovers by other means


def test_between_processes_the_walls_clock_counts_and_within_one_it_does_not() -> None:
    run = ByHand(runbook("a: {kind: command, argv: [a]}"))
    run.jumped = -3600.0  # set back by an hour, meanwhile
    run.done("a", 10)
    found = elapsed(run.events, run.runbook)
    assert found.seconds == 11 and [round(jump) for jump in found.jumps] == [-3600]
    run.resumed(after=50)
    assert elapsed(run.events, run.runbook).seconds == 61


def test_a_clock_that_is_set_back_between_two_processes_is_told_and_gives_no_time_back() -> None:
    run = ByHand(runbook("a: {kind: command, argv: [a]}")).done("a", 10)
    run.jumped = -3600.0
    found = elapsed(run.resumed(after=50).events, run.runbook)
    assert found.seconds == 11 and found.jumps and round(found.jumps[0]) == -3550


def test_a_clock_that_is_set_back_between_two_processes_measures_nothing_but_where_the_boot_is_the_same() -> None:
    run = ByHand(runbook("a: {kind: recover}"))
    run.jumped = -3600.0
    run.resumed(after=50).done("a", 10)
    assert achieved(run.standing).time is None
    same = ByHand(runbook("a: {kind: recover}"), boot="b1")
    same.jumped = -3600.0
    found = achieved(same.resumed(after=50).done("a", 10).standing)
    assert found.time is not None and found.time.seconds == 61
    assert [round(jump) for jump in found.time.jumps] == [-3600]


def test_another_hosts_clock_that_is_a_moment_behind_leaves_the_rto_measured() -> None:
    run = ByHand(runbook("a: {kind: recover}"))
    run.jumped = -2.0
    assert achieved(run.resumed(after=1).done("a", 10).standing).time is not None


def test_the_forecast_follows_the_longest_way_and_names_what_it_does_not_know() -> None:
    run = ByHand(runbook(BOOK))
    expected = {"recover": 600.0, "check": 60.0, "repoint": 300.0, "web": 10.0, "tell": 100.0}
    ahead = forecast(run.standing, expected)
    assert ahead.seconds == 1070 and ahead.unknown == ("count",)
    run.happens("step.begun", "recover", attempt=1)
    later = forecast(run.standing, expected, run.events[-1].time.replace(minute=5))
    assert 760 < later.seconds < 1070  # what runs has less to go
    assert forecast(run.done("recover", 1).standing, expected).seconds == 470


def test_a_decision_is_foreseen_by_its_first_answer() -> None:
    run = ByHand(
        runbook("""
        d: {kind: decision, question: q, answers: {short: [a], long: [b]}}
        a: {kind: command, argv: [a]}
        b: {kind: command, argv: [b]}
        c: {kind: command, argv: [c], depends_on: [b]}
    """)
    )
    assert forecast(run.standing, {"d": 5.0, "a": 10.0, "b": 1000.0, "c": 1000.0}).seconds == 15
    assert forecast(run.done("d", answer="long").standing, {"a": 10.0, "b": 1000.0, "c": 1.0}).seconds == 1001
