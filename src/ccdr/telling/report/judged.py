"""What a report says of an asset, a plan, and the interruptions of a period: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.records import CheckEnd
from ccdr.model.errors import Exit
from ccdr.model.fetched import Fetched
from ccdr.model.trouble import Level, Problem, Trouble
from ccdr.model.values import (
    Achieved,
    Objectives,
)
from ccdr.telling.report.copies import CopyReport
from ccdr.telling.report.growth import Growth
from ccdr.telling.report.runs import RecordedRun
from ccdr.telling.status import Answering


@dataclass(frozen=True)
class ReportedFinding:
    """One sentence, and what it is about: a plan, one of its assets, or (neither) the ledger itself."""

    level: Level
    text: str
    plan: str | None = None
    asset: str | None = None
    step: str | None = None  # what to do next, as of when the report is made
    code: str | None = None  # of the trouble; None for what is of the period alone
    acknowledged: datetime | None = None  # until when, where a person has taken note of it
    because: str | None = None  # code of what it only follows from

    @classmethod
    def of(cls, problem: Problem, plan: str, asset: str | None = None) -> ReportedFinding:
        because = problem.because and problem.because.name
        of_problem = problem.step, problem.trouble.name, problem.acknowledged, because
        return cls(problem.level, problem.text, plan, asset, *of_problem)

    @property
    def exit(self) -> Exit:
        """Which it makes the report's, unless it is acknowledged."""
        return Exit.FINDING if self.code is None else Trouble[self.code].row.exit

    @property
    def about(self) -> str:
        return "/".join(part for part in (self.plan, self.asset) if part) or "the ledger"

    def as_json(self) -> dict[str, object]:
        return {
            "level": self.level.name,
            "code": self.code,
            "acknowledged": self.acknowledged is not None,
            "plan": self.plan,
            "asset": self.asset,
            "text": self.text,
            "next_step": self.step,
            "because": self.because,
        }


@dataclass(frozen=True)
class Exposure:
    """The worst of the period in seconds (infinite: nothing usable), over some of the snapshots. `since` is where
    measuring began if that was after the period did; `parts` has the worst of each part between `edges`."""

    worst_s: float
    since: datetime | None
    edges: tuple[datetime, ...]
    parts: tuple[float, ...]


@dataclass(frozen=True)
class Restores:
    """What the period's restores took that were measured, with one kind of server settings: seconds. A test that is
    FAIL for a newer backup has measured that of the good one."""

    basis: str
    count: int
    worst_s: float
    median_s: float
    last_s: float
    breached: int


@dataclass(frozen=True)
class Timing:
    """One test's RTO, of a snapshot that passed."""

    at: datetime
    achieved_s: float
    basis: str
    verdict: str


@dataclass(frozen=True)
class AssetReport:
    """One asset. `rpo` is the worst exposure of the period over completed backups; `rpo_tested` the same over those
    that a restore test has passed; `rpo_now` and `rto` are those of the period's end. An asset that no plan names any
    more is not judged: then `in_plan` is false, and the objectives are None."""

    plan: str
    asset: str
    service: str | None
    engine: str | None
    in_plan: bool
    objectives: Objectives | None
    basis: str | None
    coverage: str | None  # tested, untested, stale; None where it is not judged
    findings: tuple[ReportedFinding, ...]
    rpo: Achieved | None
    rpo_now: Achieved | None
    rto: Achieved | None
    near_known: bool  # whether its copies lie where it does
    completed: Exposure
    tested: Exposure
    restores: tuple[Restores, ...]
    timings: tuple[Timing, ...]
    last_backup: RecordedRun | None
    last_test: RecordedRun | None
    last_conclusive: RecordedRun | None
    by_rule: Mapping[str, RecordedRun]
    kept: int  # snapshots that are there, as far as the records tell
    left_out: tuple[str, ...]  # of its newest good backup, as its plan says: nothing of that comes back
    untested: tuple[
        tuple[str, datetime], ...
    ]  # of those, the ones never restored: id and consistent point, newest first
    removed_untested: int
    calendar: tuple[Mapping[str, int], ...]  # outcomes of restore tests, by the matrix's parts of the period
    judged: AssetStatus | None = None  # as it stood at the period's end

    @property
    def name(self) -> str:
        return f"{self.plan}/{self.asset}"

    @property
    def level(self) -> Level:
        return max((f.level for f in self.findings), default=Level.FINE)

    @property
    def state(self) -> str:
        """In one word, for people."""
        if not self.in_plan:
            return "retired"
        words = {Level.LOST: "cannot be restored", Level.UNPROVEN: "not proven", Level.LATE: "not in time"}
        return words.get(self.level, "proven")


@dataclass(frozen=True)
class PlanReport:
    """One plan's repository and upkeep."""

    plan: str
    service: str | None
    owner: str | None
    in_plan: bool
    findings: tuple[ReportedFinding, ...]
    last_prune: RecordedRun | None
    last_check: RecordedRun | None
    last_conclusive_check: CheckEnd | None
    removed: int
    growth: Growth
    fetched: Fetched = field(default_factory=Fetched)
    elsewhere: tuple[Answering, ...] = ()  # who does what this host does not answer for
    copies: tuple[CopyReport, ...] = ()


@dataclass(frozen=True)
class Interruption:
    """Consecutive runs of one asset (or plan) and verb that did not end well. `mended` is the good run after them;
    `unchecked` one that was good by fewer or weaker checks, so that what failed is no longer checked."""

    plan: str | None
    asset: str | None
    verb: str
    runs: tuple[RecordedRun, ...]
    mended: RecordedRun | None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    unchecked: RecordedRun | None = None

    @property
    def count(self) -> int:
        return sum(self.outcomes.values())
