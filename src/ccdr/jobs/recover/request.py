"""What `ccdr recover` was asked for, and the questions that only a person can answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ccdr.jobs.shipping.choice import target_of
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.targets import Target


@dataclass(frozen=True)
class RecoverRequest:
    """`at` is the moment (None: the latest state of each), and `nearest` allows a state after it. `targets` go before
    the plan's (`--to FILE`), and what has none goes below `under`. `timelines` say by asset which branch of its log to
    go by. `others` are all plans that are known besides: their sources must not be touched either; `unknown` are plans
    that could not be read."""

    at: datetime | None = None
    nearest: bool = False
    targets: Mapping[str, Target] = field(default_factory=dict)
    assets: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    under: Path | None = None
    timelines: Mapping[str, int] = field(default_factory=dict)
    onto_source_server: bool = False
    others: tuple[LoadedPlan, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """One way to answer: the option that says so, and what it means."""

    option: str
    means: str


@dataclass(frozen=True)
class Question:
    """What cannot be decided for an asset, in a sentence, and how it can be answered."""

    asset: str
    text: str
    answers: tuple[Answer, ...]

    def __str__(self) -> str:
        ways = "; ".join(f"`{answer.option}` {answer.means}" for answer in self.answers)
        return f"{self.asset}: {self.text}. {ways}"


class Undecided(CcdrError):
    """Nothing was begun: which state is meant, only a person can say (exit 3)."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = tuple(questions)
        options = [f"`{question.answers[0].option}`" for question in questions]
        super().__init__(
            "nothing was begun: " + "\n".join(map(str, questions)),
            hint=f"answer with an option, {' '.join(options)} say, and run it again",
        )


def moment_of(text: str, zone: Any, now: datetime) -> datetime | None:
    """What `--at` says: a time, in the plan's zone where it names none; None for `latest`. UsageProblem for whatever
    is no time, and for one that is yet to come."""
    target = target_of(text, zone)
    if target.name is not None:
        raise UsageProblem(
            f"--at {text!r} is no time: a plan is recovered to one moment",
            hint='write a time like "2026-11-24 14:05:00", or `latest`; a named point is of one log alone: '
            "`ccdr restore --at NAME`",
        )
    if target.time is not None and target.time > now:
        raise UsageProblem(
            f"--at {rfc3339(target.time)} is in the future: it is {rfc3339(now)} now",
            hint="name an earlier moment, or `latest`; a time without a zone is in the plan's `timezone:`",
        )
    return target.time


def timelines_of(given: Sequence[str]) -> dict[str, int]:
    """What `--timeline ASSET=N` says, by asset."""
    found: dict[str, int] = {}
    for text in given:
        asset, _, number = text.rpartition("=")
        if not asset or not (number.isascii() and number.isdigit()) or int(number) < 1:
            raise UsageProblem(f"--timeline {text} names no timeline of an asset", hint="write it like crm=2")
        if asset in found:
            raise UsageProblem(f"--timeline names {asset} twice")
        found[asset] = int(number)
    return found
