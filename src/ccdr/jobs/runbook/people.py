"""What people are asked, what they are shown with it, and what they may answer."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ccdr.evidence.acknowledged import LONGEST_WHY
from ccdr.host.state import State
from ccdr.jobs.plan_in_repository.bootstrap import BACKUPS, secrets_of
from ccdr.jobs.recover import journal as recovery
from ccdr.jobs.recover.journal import Told
from ccdr.jobs.recover.planned import Decision
from ccdr.jobs.recover.result import kept_edited, lines_of, repointed
from ccdr.jobs.restore.new_server import CHANGED, LeftServer
from ccdr.jobs.runbook.events import Event
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.plans import LoadedPlan
from ccdr.plans.runbook import DONE, FAILED, NO, YES, AnyStep, Confirm, Manual
from ccdr.plans.runbook import Decision as RunbookDecision
from ccdr.plans.runbook_made import Runbook
from ccdr.ports.new_server import StartLines

# The recoveries that were begun in a run of a runbook: by its own steps, or by hand meanwhile.

RECOVERY = "recovery"  # of a step's facts: which it has begun, or gone on with


def all_of(plan: str, state: State) -> list[Told]:
    """Every recovery of the plan that this host knows, oldest first."""
    return [one for one in map(recovery.read, recovery.journals(state)) if one.plan == plan]


def told_in(events: Sequence[Event]) -> tuple[str, ...]:
    """The runs of those that steps have told of."""
    return tuple(run for event in events if RECOVERY in event.facts for run in event.facts[RECOVERY].split(", "))


def of_this_run(plan: str, state: State, begun: datetime | None, told: Sequence[str]) -> list[Told]:
    """Those begun in this run, without one whose assets were all brought back again later. A step has told of its own:
    this host's clock may have been set back since."""
    found: list[Told] = []
    covered: set[str] = set()
    for one in reversed(all_of(plan, state)):
        in_it = one.run in told or (begun is not None and one.began >= begun)
        if in_it and not covered >= one.assets.keys():
            covered |= one.assets.keys()
            found.append(one)
    return found[::-1]


# What a person is shown below a step's instructions, as it is when it is asked.

BY_DEBIAN, BY_DOCKER = "by Debian's tools:", "or by Docker: take one of the two"


def as_asked(step: AnyStep, loaded: LoadedPlan, state: State, events: Sequence[Event]) -> AnyStep:
    """The step with what it shows now among its instructions."""
    if not isinstance(step, Manual) or not step.shows:
        return step
    lines = tuple(shown(step, loaded, state, events))
    return step.model_copy(update={"instructions": (*step.instructions, *lines)})


def shown(step: Manual, loaded: LoadedPlan, state: State, events: Sequence[Event]) -> Iterator[str]:
    for what in step.shows:
        match what:
            case "start_lines":
                yield from _to_start(loaded, state, events)
            case "plan_changes":
                yield from _changes(loaded, state, events)
            case "missing_secrets":
                yield from _missing(loaded)


def _to_start(loaded: LoadedPlan, state: State, events: Sequence[Event]) -> Iterator[str]:
    """Each new server that a recovery of this run has left, and that nobody has started."""
    begun = events[0].time if events else None
    nothing = True
    for told in of_this_run(loaded.plan.plan, state, begun, told_in(events)):
        for planned in Decision.read(told).assets:
            new = planned.where.new_server
            if new is None or new.start is not None:
                continue
            try:
                left = LeftServer.read(new.directory)
            except CcdrError as error:
                nothing = False
                yield f"{planned.asset}: {error}"
                continue
            past = told.assets.get(planned.asset)
            if past is None or not left.as_written(past.left_sha256):
                nothing = False
                yield f"{planned.asset}: {CHANGED}"
            elif left.untouched and planned.spare_of is None:
                nothing = False
                yield f"{planned.asset}, which nobody has started yet, {BY_DEBIAN}"
                yield from _literal(left.lines)
            elif left.untouched:
                yield f"{planned.asset}: leave it, {planned.spare_of} has the same data (else its lines: {left.file})"
    if nothing:
        yield "no new server of this run is left to be started on this host"


def _literal(lines: StartLines) -> Iterator[str]:
    yield from (f"    {line}" for line in lines.debian)
    if lines.docker:
        yield f"  {BY_DOCKER}"
        yield from (f"    {line}" for line in lines.docker)
    for heading, after in lines.afterwards():
        yield f"  {heading}:"
        yield from (f"    {line}" for line in after)


def _changes(loaded: LoadedPlan, state: State, events: Sequence[Event]) -> Iterator[str]:
    """Of the plan, now that all of it stands elsewhere."""
    begun = events[0].time if events else None
    for told in of_this_run(loaded.plan.plan, state, begun, told_in(events)):
        decision = Decision.read(told)
        spares = {one.asset: one.spare_of for one in decision.assets if one.spare_of is not None}
        places = {one.asset: one.where for one in decision.assets if one.asset in loaded.plan.assets}
        kept = kept_edited(loaded, told.directory)
        yield from lines_of(repointed(loaded, places, spares=spares, stands=os.path.lexists), loaded, kept)


def _missing(loaded: LoadedPlan) -> Iterator[str]:
    """The next backup comes from there."""
    missing = [one for one in secrets_of(loaded.plan) if one.use == BACKUPS and one.expected and not one.there]
    if missing:
        yield "The backup at the end needs these files, which this host lacks; put them there, with mode 0600:"
        yield from (f"  {one.expected} ({one.asset})" for one in missing)


_NUMBER = re.compile(r"[1-9][0-9]?", re.ASCII)


@dataclass(frozen=True)
class Given:
    """An answer: a word that the step knows, and what a person wrote beside it."""

    answer: str
    text: str | None = None


class People(Protocol):
    """Those who are there, or nobody."""

    @property
    def present(self) -> bool:
        """Is anybody there who can be asked?"""

    def given(self, name: str) -> Given | None:
        """What was answered beforehand, by an option."""

    def ask(self, name: str, step: AnyStep, among: int) -> None:
        """Show the question: one of so many."""

    def poll(self, name: str, step: AnyStep, seconds: float) -> Given | None:
        """What was answered to it within so many seconds."""


def choices(step: AnyStep) -> list[str]:
    """The words that may be answered; none where any text may be."""
    if isinstance(step, Confirm):
        return [YES, NO]
    if isinstance(step, RunbookDecision):
        return list(step.answers)
    if isinstance(step, Manual):
        return [DONE, FAILED] if step.question is None else []
    return []


def question_of(step: AnyStep) -> str | None:
    return getattr(step, "question", None)


def read_answer(name: str, step: AnyStep, text: str) -> Given:
    """What somebody has said; UsageProblem where it is no answer to the question."""
    said = text.strip()
    words = choices(step)
    if not step.by_person:
        raise UsageProblem(f"the step {name} asks nobody anything", hint="answer a confirm, a manual or a decision")
    if isinstance(step, Confirm) and said.lower() in ("y", "n"):
        said = YES if said.lower() == "y" else NO
    if _NUMBER.fullmatch(said) and said not in words and int(said) <= len(words):
        said = words[int(said) - 1]
    if words:
        if said.lower() in words:
            return Given(said.lower())
        raise UsageProblem(f"{said[:80]!r} is no answer to {name}", hint=f"answer one of {', '.join(words)}")
    if said.lower() == FAILED:
        return Given(FAILED)
    if not said:
        raise UsageProblem(f"nothing was answered to {name}", hint=f"write the answer, or {FAILED}")
    if len(said) > LONGEST_WHY or not all(character.isprintable() for character in said):
        raise UsageProblem(
            f"the answer to {name} is too long, or is no text", hint=f"at most {LONGEST_WHY} letters, in one line"
        )
    return Given(DONE, said)


def read_answers(options: Sequence[str], runbook: Runbook) -> dict[str, Given]:
    """`--answer STEP=ANSWER`, given any number of times. UsageProblem for what does not fit the runbook: before
    anything is begun."""
    answers: dict[str, Given] = {}
    people = [name for name, step in runbook.steps.items() if step.by_person]
    for option in options:
        name, sign, text = option.partition("=")
        if not sign or name not in runbook.steps:
            raise UsageProblem(
                f"--answer {name[:80]!r} names no step of the runbook" if sign else "--answer has no answer",
                hint=f"write STEP=ANSWER; a person is asked in {', '.join(people) or 'none of its steps'}",
            )
        if name in answers:
            raise UsageProblem(f"--answer names {name} twice", hint="give one answer")
        answers[name] = read_answer(name, runbook.steps[name], text)
    return answers


@dataclass
class Nobody:
    """No terminal: only what was answered beforehand counts, and nothing is assumed."""

    answers: Mapping[str, Given]

    @property
    def present(self) -> bool:
        return False

    def given(self, name: str) -> Given | None:
        return self.answers.get(name)

    def ask(self, name: str, step: AnyStep, among: int) -> None: ...

    def poll(self, name: str, step: AnyStep, seconds: float) -> Given | None:
        return None
