"""Where a run stands, from what has happened: nothing begins too early, nothing is done twice, nothing gets stuck
without saying why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.drawn import examples
from tests.support.runbooks import ByHand, runbook

from ccdr.jobs.runbook.states import RunState, StepState
from ccdr.model.errors import Exit

NAMES = [f"s{number}" for number in range(7)]
BRANCHES = """
look: {kind: command, argv: [look]}
dead: {kind: decision, question: q, answers: {dead: [fence], alive: [stand-down]}, depends_on: [look]}
fence: {kind: manual, instructions: fence it}
stand-down: {kind: manual, instructions: leave it}
recover: {kind: recover, depends_on: [fence]}
tell: {kind: manual, instructions: tell them, depends_on: [fence, stand-down]}
"""


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """Steps that depend on those before them, some of them decisions that lead to those after them."""
    steps: dict[str, Any] = {}
    for number, name in enumerate(NAMES):
        before, after = NAMES[:number], NAMES[number + 1 :]
        kind = draw(st.sampled_from(["command", "command", "again", "may_fail", "confirm", "decision"]))
        step: dict[str, Any] = {"kind": "command", "argv": [name], "repeat": kind == "again"}
        step["may_fail"] = kind == "may_fail"
        if kind == "confirm":
            step = {"kind": "confirm", "question": "q"}
        elif kind == "decision":
            led = st.lists(st.sampled_from(after), max_size=2, unique=True) if after else st.just([])
            step = {"kind": "decision", "question": "q", "answers": {"one": draw(led), "other": draw(led)}}
        step["depends_on"] = draw(st.lists(st.sampled_from(before), max_size=3, unique=True)) if before else []
        steps[name] = step
    return steps


@settings(max_examples=examples(100), deadline=None)
@given(graphs(), st.data())
def test_nothing_begins_before_what_it_needs_and_nothing_is_done_twice_or_stuck_without_a_why(
    steps: dict[str, Any], data: st.DataObject
) -> None:
    run = ByHand(runbook(steps))
    began: list[str] = []
    for turn in range(80):
        standing = run.standing
        if standing.complete:
            assert standing.state is RunState.DONE
            assert all(one.state is not StepState.PENDING for one in standing.steps.values())
            break
        running, ready, stopping = standing.of_state(StepState.RUNNING), standing.ready, standing.stopping
        assert running or ready or stopping, "stuck"  # and each of these is told by name
        for name, one in standing.steps.items():
            if one.state is StepState.PENDING and name not in ready:
                assert standing.waits_for(name), f"{name} does not say what it waits for"
        choice = data.draw(st.sampled_from([*running, *ready, *stopping]))
        step = run.runbook.steps[choice]
        if choice in ready:
            for other in step.depends_on:
                assert standing.settled(other)
            assert all(
                standing.steps[d].state in (StepState.DONE, StepState.NOT_TAKEN) for d in standing.deciders[choice]
            )
            assert standing.steps[choice].state is not StepState.DONE
            began.append(choice)
            if step.by_person:
                words = list(step.leads_to()) or ["yes", "no"]
                answer = data.draw(st.sampled_from(words))
                run.happens("step.failed" if answer == "no" else "step.done", choice, answer=answer)
            else:
                run.happens("step.begun", choice, attempt=standing.steps[choice].attempts + 1)
        elif choice in running:
            what = data.draw(st.sampled_from(["step.done", "step.done", "step.failed", "killed"]))
            if what == "killed":
                run.resumed(f"session {turn}")
            else:
                run.happens(what, choice, code=1 if what == "step.failed" else 0)  # type: ignore[arg-type]
        else:
            skips = data.draw(st.booleans())
            run.happens("step.skipped" if skips else "step.retried", choice)
        if choice in stopping:
            assert run.standing.steps[choice].state in (StepState.SKIPPED, StepState.PENDING)
    done = [event.step for event in run.events if event.what == "step.done"]
    assert len(done) == len(set(done)), "a step that is done was done again"


def test_a_decision_takes_one_way_and_what_joins_both_goes_on() -> None:
    run = ByHand(runbook(BRANCHES)).done("look").done("dead", answer="dead")
    assert run.standing.ready == ["fence"]
    assert run.standing.of_state(StepState.NOT_TAKEN) == ["stand-down"]
    run.done("fence", answer="done")
    assert run.standing.ready == ["recover", "tell"]


def test_the_other_way_is_not_taken_and_neither_is_what_follows_from_it_alone() -> None:
    run = ByHand(runbook(BRANCHES)).done("look").done("dead", answer="alive")
    assert run.standing.of_state(StepState.NOT_TAKEN) == ["fence", "recover"]
    assert run.standing.ready == ["stand-down"]
    assert run.done("stand-down", answer="done").standing.ready == ["tell"]


def test_a_failed_step_stops_what_depends_on_it_and_nothing_else() -> None:
    run = ByHand(
        runbook("""
        a: {kind: command, argv: [a]}
        b: {kind: command, argv: [b]}
        after-a: {kind: command, argv: [c], depends_on: [a]}
        after-b: {kind: command, argv: [d], depends_on: [b]}
    """)
    )
    run.happens("step.begun", "a", attempt=1).happens("step.failed", "a", code=1).done("b")
    assert run.standing.ready == ["after-b"] and run.standing.state is RunState.RUNNING
    run.done("after-b")
    assert run.standing.state is RunState.PAUSED and run.standing.stopping == ["a"]
    assert run.standing.waits_for("after-a") == ["a"] and run.standing.exit_code is Exit.FINDING
    run.happens("step.retried", "a").done("a")
    assert run.standing.ready == ["after-a"]
    assert run.done("after-a").standing.exit_code is Exit.OK


@pytest.mark.parametrize(("repeat", "state"), [("false", StepState.INTERRUPTED), ("true", StepState.PENDING)])
def test_a_command_that_ran_when_ccdr_was_killed_runs_again_only_where_the_plan_says_so(
    repeat: str, state: StepState
) -> None:
    run = ByHand(runbook(f"a: {{kind: command, argv: [a], repeat: {repeat}}}"))
    run.happens("step.begun", "a", attempt=1)
    assert run.standing.steps["a"].state is StepState.RUNNING
    assert run.resumed().standing.steps["a"].state is state
    assert run.standing.exit_code is (Exit.NOT_CARRIED_OUT)


def test_what_may_fail_stops_nothing() -> None:
    run = ByHand(
        runbook("""
        a: {kind: command, argv: [a], may_fail: true}
        b: {kind: command, argv: [b], depends_on: [a]}
    """)
    )
    run.happens("step.begun", "a", attempt=1).happens("step.failed", "a", code=1).done("b")
    assert run.standing.state is RunState.DONE and run.standing.exit_code is Exit.OK


def test_only_people_are_waited_for_when_only_they_can_go_on() -> None:
    run = ByHand(runbook("a: {kind: confirm, question: sure}\nb: {kind: command, argv: [b], depends_on: [a]}"))
    assert run.standing.state is RunState.WAITING and run.standing.for_people == ["a"]
    assert run.standing.exit_code is Exit.NOT_CARRIED_OUT
    run.happens("step.failed", "a", answer="no", code=1)
    assert run.standing.state is RunState.PAUSED


def test_an_answer_that_the_plan_has_no_more_is_asked_for_again() -> None:
    before = ByHand(runbook(BRANCHES)).done("look").done("dead", answer="dead")
    changed = BRANCHES.replace("dead: [fence]", "gone: [fence]")
    now = ByHand(runbook(changed), list(before.events))
    assert now.standing.for_people == ["dead"]
