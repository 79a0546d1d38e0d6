"""What one negative control has shown, as it goes into the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ccdr.evidence.history.kinds import CAUGHT, INCONCLUSIVE, PASSED
from ccdr.evidence.records.controls import ControlledSnapshot, ControlRun, DamageDone, NegativeControlEnd
from ccdr.evidence.records.restores import Sandbox, SandboxDisposal
from ccdr.evidence.records.values import RecordedCheckResult, Repository, code
from ccdr.jobs.recorded import document
from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.damage import Damage
from ccdr.model.errors import Exit, worst
from ccdr.model.values import PHASES, CheckResult, RecordRef, Snapshot, Verdict


@dataclass
class CopyResult:
    """How the asset's checks judged one copy; where it could not even be loaded, `reason` alone."""

    verdict: Verdict = Verdict.INCONCLUSIVE
    reason: str | None = None
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def found(self) -> list[str]:
        """The checks that did not pass, by name."""
        return [c.name for c in self.checks if c.status is not Verdict.PASS]

    def beyond(self, other: CopyResult) -> bool:
        """Did it fail by anything that the other one, which was looked at to the end, did not fail by?"""
        if other.verdict is Verdict.PASS:
            return True
        too = {(c.kind, c.name) for c in other.checks if c.status is not Verdict.PASS}
        mine = {(c.kind, c.name) for c in self.checks if c.status is Verdict.FAIL}
        return other.reason is None and bool(mine - too)

    def recorded(self) -> ControlRun:
        checks = [RecordedCheckResult(**c.as_json()) for c in self.checks]
        return ControlRun(verdict=code(self.verdict), reason=self.reason, checks=checks)


@dataclass
class NegativeControl:
    """One negative control. `damage` is None until something was damaged."""

    plan: str
    asset: str
    run: str
    seed: int
    result: Literal["INCONCLUSIVE", "CAUGHT", "PASSED"] = INCONCLUSIVE
    reason: str | None = None
    hint: str | None = None
    words: FreeText = NO_WORDS
    repository: Repository = None
    snapshot: Snapshot | None = None
    damage: Damage | None = None
    table: str | None = None
    healthy: CopyResult | None = None
    damaged: CopyResult | None = None
    afterwards: CopyResult | None = None  # undamaged, after that: where what failed need not be the damage
    bytes_restored: int | None = None
    phases: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    sandbox: Sandbox = field(default_factory=Sandbox)
    disposal: SandboxDisposal = field(default_factory=SandboxDisposal)
    tools: dict[str, str] = field(default_factory=dict)
    record: RecordRef | None = None

    def broke(self, reason: str, hint: str | None = None) -> None:
        self.result, self.reason, self.hint = INCONCLUSIVE, reason, hint

    def conclude(self) -> None:
        """From what the two copies came to."""
        healthy, damaged = self.healthy, self.damaged
        if healthy is None or healthy.verdict is not Verdict.PASS:
            why = (healthy and (healthy.reason or ", ".join(healthy.found))) or "it was not looked at"
            told = f"the copy that nobody damaged did not pass: {why}; beside it a control shows nothing"
            self.broke(told, f"`ccdr test {self.plan} --asset {self.asset}` says what is wrong with it")
        elif damaged is None or damaged.verdict is Verdict.INCONCLUSIVE:
            why = (damaged and (damaged.reason or ", ".join(damaged.found))) or "it was not looked at"
            self.broke(f"whether the damaged copy is bad could not be told: {why}")
        elif damaged.verdict is Verdict.FAIL and self.afterwards is not None and not damaged.beyond(self.afterwards):
            why = self.afterwards.reason or ", ".join(self.afterwards.found)
            self.broke(
                f"the damaged copy failed ({', '.join(damaged.found)}), and so did one that nobody damaged, looked at "
                f"after it ({why}): whether the damage was found cannot be told",
                "checks that depend on the time of day, or leave something behind, need {kind: identical} beside them",
            )
        elif damaged.verdict is Verdict.FAIL:
            self.result, self.reason = CAUGHT, None
        else:
            self.result = PASSED
            self.reason = (
                f"a damaged copy passed every check ({self.what}): a PASS of this asset proves nothing of such damage"
            )
            self.hint = "add `{kind: identical}` to its restore test; then " + self.again

    @property
    def what(self) -> str:
        """What was done, in our words."""
        word = self.damage.value.replace("_", " ") if self.damage else "nothing damaged"
        return f"{word}, in table {self.table}" if self.table else word

    @property
    def again(self) -> str:
        return f"`ccdr test {self.plan} --asset {self.asset} --negative-control` does the same damage again"

    def ended(self) -> NegativeControlEnd:
        return NegativeControlEnd(
            plan=self.plan,
            asset=self.asset,
            run=self.run,
            result=self.result,
            reason=self.reason,
            repository=self.repository,
            snapshot=self._damaged_snapshot(),
            damage=DamageDone(kind=code(self.damage), table=self.table, seed=self.seed) if self.damage else None,
            healthy=self.healthy.recorded() if self.healthy else None,
            damaged=self.damaged.recorded() if self.damaged else None,
            afterwards=self.afterwards.recorded() if self.afterwards else None,
            bytes_restored=self.bytes_restored,
            phases={name: round(seconds, 3) for name, seconds in self.phases.items()},
            sandbox=self.sandbox,
            disposal=self.disposal,
            tools=self.tools,
        )

    def _damaged_snapshot(self) -> ControlledSnapshot | None:
        s = self.snapshot
        if s is None:
            return None
        return ControlledSnapshot(
            id=s.id, consistent_point=s.consistent_point, bytes=s.bytes, manifest_sha256=s.manifest_sha256
        )

    def as_json(self) -> dict[str, object]:
        return document(self.ended(), self.record, hint=self.hint)

    @property
    def exit_code(self) -> Exit:
        codes = {PASSED: [Exit.FINDING], INCONCLUSIVE: [Exit.NOT_CARRIED_OUT]}.get(self.result, [])
        return worst([*codes, *([Exit.LEFT_BEHIND] if self.disposal.left_behind else [])])
