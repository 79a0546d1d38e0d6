"""What one restore test has shown, as it goes into the ledger; and by which of its rules the next one chooses its
snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import msgspec

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.records.restores import (
    AchievedRpo,
    AchievedRto,
    FetchedTo,
    LogRecovery,
    Newer,
    Private,
    RestoredBeside,
    Sandbox,
    SandboxDisposal,
    TestedSnapshot,
    TestEnd,
)
from ccdr.evidence.records.values import RecordedCheckResult, Repository, code
from ccdr.jobs.erasure.replay import Outcome
from ccdr.jobs.recorded import JobResult
from ccdr.jobs.services import Services
from ccdr.model.errors import Exit, for_plan, worst
from ccdr.model.finding import Finding
from ccdr.model.values import (
    AT,
    LATEST,
    PHASES,
    Achieved,
    CheckResult,
    ObjectiveVerdict,
    Snapshot,
    Verdict,
    source_digest,
)
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget

# How far a test has proven its snapshot, each level with those before it: it is in the repository; all of it could be
# read and was as stored; it was restored, and what it was restored into answered; every check of it has passed; and
# one of these was that it equals what was captured. Nothing is known of a level above.
STORED: Final = "stored"
READABLE: Final = "readable"
RESTORED: Final = "restored"
CHECKED: Final = "checked"
EQUAL: Final = "equal"


@dataclass
class RestoreTest(JobResult):
    """One restore test, as it goes into the ledger. `own_verdict` is on the snapshot alone, `log_verdict` on the
    shipped log where that was applied to it; `verdict` may be worse, where a newer backup failed. Seconds throughout.
    """

    plan: str
    asset: str
    run: str
    selected: str
    verdict: Verdict = Verdict.INCONCLUSIVE
    own_verdict: Verdict | None = None
    log_verdict: Verdict | None = None
    log_stops: bool = False  # it holds what cannot be applied, or nobody can tell
    newer_failed: bool = False  # FAIL for nothing but a newer backup that failed: the next good one makes up for it
    newer: Newer | None = None
    damaged: bool = False  # FAIL for what the repository could not give back
    repository: Repository = None  # missing, closed, unavailable or damaged, where that is why it ended
    snapshot: Snapshot | None = None
    proof: Literal["stored", "readable", "restored", "checked", "equal"] | None = None
    bytes_restored: int | None = None  # what restic wrote for it, the log and other assets included
    seed: int | None = None
    phases: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    checks: list[CheckResult] = field(default_factory=list)
    rpo: Achieved | None = None
    rto: Achieved | None = None
    answering_s: float | None = None
    basis: Literal["throwaway", "durable"] = "throwaway"
    others: list[RestoredBeside] = field(default_factory=list)  # assets restored beside it, with their own phases
    private: Private | None = None
    kept_words: tuple[str, datetime] | None = None  # where in the state what programs said lies, and until when
    recovery: LogRecovery | None = None  # how far the log was applied, where `at` asked for it
    sandbox: Sandbox = field(default_factory=Sandbox)
    scratch: FetchedTo | None = None  # where what was fetched lay
    disposal: SandboxDisposal = field(default_factory=SandboxDisposal)
    look: str | None = None  # what a person types to look at what was kept: told, never recorded
    left_out: list[str] = field(default_factory=list)  # of the snapshot, as the plan said: no test proves it
    findings: list[Finding] = field(default_factory=list)
    noted: frozenset[Finding] = frozenset()  # of these: what somebody has acknowledged
    tools: dict[str, str] = field(default_factory=dict)
    erasure: Outcome | None = None  # what came of replaying the register of erasures; it has a record of its own

    def broke(self, reason: str, hint: str | None = None) -> None:
        """The test could not be carried out to its end: whatever it had shown by then, it is no PASS."""
        if self.verdict is not Verdict.FAIL:
            self.verdict, self.reason, self.hint = Verdict.INCONCLUSIVE, reason, for_plan(hint, self.plan)

    def fail(self, reason: str, hint: str | None = None) -> None:
        """The backup is bad; the first reason stands."""
        if self.verdict is not Verdict.FAIL:
            self.reason, self.hint = reason, for_plan(hint, self.plan)
        self.verdict = Verdict.FAIL

    def ended(self) -> TestEnd:
        return TestEnd(
            plan=self.plan,
            asset=self.asset,
            run=self.run,
            verdict=code(self.verdict),
            reason=self.reason,
            repository=self.repository,
            newer_failed=self.newer_failed,
            newer=self.newer,
            damaged=self.damaged,
            snapshot=self._tested(),
            proof=self.proof,
            bytes_restored=self.bytes_restored,
            phases={name: round(seconds, 3) for name, seconds in self.phases.items()},
            checks=[RecordedCheckResult(**c.as_json()) for c in self.checks],
            rpo=AchievedRpo(**self.rpo.as_json()) if self.rpo else None,
            rto=self._rto(self.rto) if self.rto else None,
            recovery=self.recovery,
            others=self.others,
            private=self.private,
            left_out=self.left_out,
            findings=self.findings,
            scratch=self.scratch,
            sandbox=self.sandbox,
            disposal=self.disposal,
            tools=self.tools,
        )

    def _tested(self) -> TestedSnapshot | None:
        s = self.snapshot
        if s is None:
            return None
        return TestedSnapshot(
            id=s.id,
            consistent_point=s.consistent_point,
            bytes=s.bytes,
            selected=self.selected,
            seed=self.seed,
            manifest_sha256=s.manifest_sha256,
            source_sha256=source_digest(s.source),
            verdict=code(self.own_verdict),
        )

    def _rto(self, rto: Achieved) -> AchievedRto:
        answering = None if self.answering_s is None else round(self.answering_s, 3)
        return AchievedRto(**rto.as_json(), answering_s=answering, basis=self.basis)

    def as_json(self) -> dict[str, object]:
        told = super().as_json()
        if self.kept_words is None:
            return told
        file, until = self.kept_words
        kept = msgspec.to_builtins(self.private or {"file": file, "until": until})
        return {**told, "private": {**kept, "words": file}}

    @property
    def exit_code(self) -> Exit:
        codes = []
        if self.verdict is Verdict.FAIL or not self.noted.issuperset(self.findings):
            codes.append(Exit.FINDING)
        if self.verdict is Verdict.INCONCLUSIVE:
            codes.append(Exit.NOT_CARRIED_OUT)
        objectives = [o.verdict for o in (self.rpo, self.rto) if o is not None]
        if ObjectiveVerdict.BREACHED in objectives:
            codes.append(Exit.FINDING)
        if self.verdict is Verdict.PASS and ObjectiveVerdict.NOT_MEASURED in objectives:
            codes.append(Exit.FINDING)
        if self.disposal.left_behind:
            codes.append(Exit.LEFT_BEHIND)
        return worst(codes)


# Which of its rules an asset's next restore test chooses its snapshot by: each in its turn, told by the ledger.


def next_turn(job: Job, services: Services, due: datetime | None = None) -> tuple[str, RecoveryTarget | None]:
    """What `restore_test` is to be called with, as the plan says. `due`: the due time that the test is for."""
    rules = job.rules or (LATEST,)
    rule = rules[0] if len(rules) == 1 else longest_ago(rules, services.history(job), due)
    return rule, RecoveryTarget() if rule == AT else None


def longest_ago(rules: tuple[str, ...], history: AssetHistory, due: datetime | None) -> str:
    """The rule whose last test, by whomever it was begun, lies furthest back. What is tried again for the same due time
    is tried by the same rule: a test that broke has not had its turn. With the next due time it has, so that one rule
    whose tests always break keeps none of the others from theirs."""
    tried = history.tried
    if due is not None:
        for rule in rules:
            if rule in tried and tried[rule].due == due:
                return rule
    return min(rules, key=lambda rule: tried[rule].order if rule in tried else 0)
