"""What there is to tell: where each asset stands, turned into one concern for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.model.errors import CcdrError, PlanInvalid
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import rfc3339

Key = tuple[str | None, str, str]


@dataclass(frozen=True)
class Concern:
    """One thing that somebody should know; `asset` is None for what concerns the whole plan.

    It is the same concern for as long as plan, asset, trouble and `about` are; text and `since` may change meanwhile.
    `passing`: something that happened, told once and never over.
    """

    plan: str
    asset: str | None
    trouble: Trouble
    text: str
    since: datetime | None = None
    about: str = ""
    passing: bool = False
    step: str | None = None  # what to do next, where more is known than `next_step` says
    private: tuple[str, ...] = ()  # files where it is told in programs' own words, for a person's eyes
    acknowledged: datetime | None = None  # until when nobody need be reminded of it
    why: str = ""  # in few words, for a subject
    because: Trouble | None = None  # of the same asset: what it only follows from

    @property
    def key(self) -> Key:
        """Within its plan."""
        return self.asset, self.trouble.value, self.about


@dataclass(frozen=True)
class RunAttempt:
    """One piece of work that a run took on. `failed` is why it could not even begin (so that the ledger says nothing
    of it), None where it began: then the ledger tells the rest."""

    plan: str
    asset: str | None
    verb: str
    failed: str | None = None

    def concern(self) -> Concern | None:
        if self.failed is None:
            return None
        text = f"its {self.verb} could not start: {self.failed}"
        return Concern(self.plan, self.asset, Trouble.NOT_BEGUN, text, about=self.verb, why=self.failed)


def concerns_of(assets: Sequence[AssetStatus], upkeep: Mapping[str, Sequence[Problem]]) -> Iterator[Concern]:
    """Everything that is wrong by `status.status()` and `status.upkeep_problems()`."""
    for status in assets:
        for problem in status.troubles:
            yield _concern(status.plan, status.asset, problem)
    for plan, problems in upkeep.items():
        for problem in problems:
            yield _concern(plan, None, problem)


def missed(plan: str, asset: str | None, verb: str, first: datetime, last: datetime, count: int) -> Concern:
    """Due times that passed without a try."""
    times = f"{count} times, due from {rfc3339(first)} to {rfc3339(last)}" if count > 1 else f"due {rfc3339(last)}"
    about = f"{verb} {rfc3339(last)}"
    return Concern(plan, asset, Trouble.MISSED, f"its {verb} was missed {times}", first, about, passing=True)


def changed_duties(plan: str, text: str, at: datetime) -> Concern:
    """What this host answers for has changed."""
    return Concern(plan, None, Trouble.DUTIES, text, at, about=rfc3339(at), passing=True)


def ledger_broken(plan: str, why: CcdrError | str) -> Concern:
    return Concern(plan, None, Trouble.LEDGER_BROKEN, f"the ledger does not verify: {why}")


def plan_wrong(plan: str, why: PlanInvalid) -> Concern:
    """Of another plan's file, which cannot say who is to be told. Only where the mistake is: what stands there may be
    secret."""
    first = why.problems[0]
    text = f"{first.file} is wrong in line {first.line}: nothing in it is backed up or tested"
    where = f"{Path(first.file).name} line {first.line}"
    return Concern(plan, None, Trouble.PLAN_WRONG, text, about=first.file, why=where)


def summary_wrong(plan: str, why: str) -> Concern:
    return Concern(plan, None, Trouble.SUMMARY_WRONG, why)


def _concern(plan: str, asset: str | None, problem: Problem) -> Concern:
    return Concern(
        plan,
        asset,
        problem.trouble,
        problem.text,
        problem.since,
        problem.about,
        step=problem.step,
        private=problem.private,
        acknowledged=problem.acknowledged,
        why=problem.why or (problem.text if problem.trouble is Trouble.FINDING else ""),
        because=problem.because,
    )
