"""What people are asked, and what they may answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ccdr.evidence.acknowledged import LONGEST_WHY
from ccdr.model.errors import UsageProblem
from ccdr.plans.runbook import DONE, FAILED, NO, YES, AnyStep, Confirm, Decision, Manual
from ccdr.plans.runbook_made import Runbook

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
    if isinstance(step, Decision):
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
