"""What became of a recovery: for the ledger, for `--json` and for the person who waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from ccdr.evidence.records.recovery import RecoveredAsset, RecoverEnd, RecoveryRpo, RecoveryRto
from ccdr.evidence.records.values import RecordedCheckResult, code
from ccdr.host.state_files import plain
from ccdr.jobs.incidents.opening import Told
from ccdr.jobs.recorded import document
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.then_red import ThenRed
from ccdr.jobs.restore.result import RESTORED, RestoreResult
from ccdr.model.errors import Exit, worst
from ccdr.model.values import CheckResult, RecordRef, Verdict, human_seconds, so_many
from ccdr.ports.new_server import StartLines

if TYPE_CHECKING:
    from ccdr.jobs.recover.repointed import Repointed

DONE: Final = "done"
PAUSED: Final = "paused_by_failed_step"
FAILED: Final = "failed"
RUNNING: Final = "running"
UNTIMED = (
    "this host's clock was set back between two processes of this recovery, and the machine was started anew: how long "
    "it took in all is not known"
)

CLOSED = "it is still to be started; the time until then is not in the RTO"


@dataclass
class StepResult:
    """One asset. `restore` is what its restore did, None where none was begun by this process; `before` says that an
    earlier one had done it already. `compared` is when (seconds of the recovery) its checks had passed."""

    planned: Planned
    state: str = "waiting"  # … done, failed, stopped
    reason: str | None = None
    hint: str | None = None
    restore: RestoreResult | None = None
    before: bool = False
    began_s: float | None = None
    ended_s: float | None = None
    start: StartLines | None = None  # what a person does to open a new server
    compared: list[CheckResult] = field(default_factory=list)  # where it stands, having been brought before
    borne: list[str] = field(default_factory=list)  # checks of a spare that did not pass, and fail nothing
    unlooked: list[CheckResult] = field(default_factory=list)  # that were not PASS as an earlier process brought it
    own_rpo_s: float | None = None  # where the asset states one

    @property
    def lost_too_much(self) -> str | None:
        """By its own objective: the service's is judged by all of them. Nobody is to start a spare."""
        own, lost, asset = self.own_rpo_s, self.planned.lost_s, self.planned.asset
        if own is None or lost is None or lost <= own or self.planned.spare_of is not None:
            return None
        return f"{asset}: {human_seconds(lost)} of its newest data are lost, and its own RPO is {human_seconds(own)}"

    @property
    def to_start(self) -> bool:
        """Is a person to start it?"""
        return self.start is not None and self.planned.spare_of is None

    @property
    def bad(self) -> bool:
        """Did what was brought back turn out to be bad?"""
        return Verdict.FAIL in self._counting or (self.restore is not None and self.restore.exit is Exit.FINDING)

    @property
    def codes(self) -> list[Exit]:
        statuses = self._counting
        codes = [Exit.FINDING] if Verdict.FAIL in statuses else []
        codes += [Exit.NOT_CARRIED_OUT] if Verdict.INCONCLUSIVE in statuses else []
        return codes + self._own_codes

    @property
    def _counting(self) -> set[Verdict]:
        return {check.status for check in (*self.unlooked, *self.compared) if check.name not in self.borne}

    @property
    def _own_codes(self) -> list[Exit]:
        codes = [self.restore.exit_code] if self.restore is not None and self.restore.reason is None else []
        if self.restore is not None and self.restore.reason is not None:
            codes = [self.restore.exit, *([Exit.LEFT_BEHIND] if self.restore.left_behind else [])]
        if self.state in ("failed", "stopped") and (self.restore is None or self.restore.reason is None):
            codes.append(Exit.NOT_CARRIED_OUT)  # it was restored, and what comes after that failed; or was not begun
        return codes

    @property
    def checks(self) -> list[CheckResult]:
        return [*(self.restore.checks if self.restore is not None else []), *self.unlooked, *self.compared]

    def ended(self) -> RecoveredAsset:
        restore, planned = self.restore, self.planned
        return RecoveredAsset(
            asset=planned.asset,
            state=code(self.state),
            reason=self.reason,
            snapshot=planned.snapshot,
            point=planned.point,
            by_log=planned.target is not None,
            proof=code(planned.proof),
            lost_s=planned.lost_s,
            primary=planned.primary,
            target=planned.onto,
            run=restore.run if restore is not None else None,
            brought_before=self.before,
            phases={name: round(s, 3) for name, s in restore.phases.items()} if restore is not None else {},
            checks=[RecordedCheckResult(**c.as_json()) for c in self.checks],
            began_s=_rounded(self.began_s),
            ended_s=_rounded(self.ended_s),
        )

    def as_json(self) -> dict[str, object]:
        return {
            **plain(self.ended()),
            "spare_of": self.planned.spare_of,
            "hint": self.hint,
            "start": plain(self.start),
            "left_behind": _left(self),
        }


@dataclass
class RecoveryResult:
    """Seconds: `worked` that ccdr was at work, over all its processes, `away` those between them, `waited` those that
    people were waited for. `untimed`: how long lay between them is not known."""

    decision: Decision
    run: str
    rpo_s: float
    rto_s: float
    steps: dict[str, StepResult]
    state: str = RUNNING
    reason: str | None = None
    hint: str | None = None
    worked: float = 0.0
    waited: float = 0.0
    away: float = 0.0
    untimed: bool = False
    resumes: str | None = None
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    record: RecordRef | None = None
    repointed: list[Repointed] = field(default_factory=list)  # of the plan, once everything is there
    edited: Path | None = None  # the plan as it is then
    by_hand: str | None = None  # why that is for a person to write
    repoints: list[str] = field(default_factory=list)  # the same, as lines for people
    incident: Told = field(default_factory=Told)  # which it belongs to
    then_red: list[ThenRed] = field(default_factory=list)  # comparisons that stay red

    def conclude(self) -> None:
        """What all of it amounts to, now that nothing is at work."""
        steps = list(self.steps.values())
        if all(step.state == "done" for step in steps):
            self.state = DONE
            self.notes += [f"{name}: {CLOSED}" for name, step in self.steps.items() if step.to_start]
            return
        bad = [step for step in steps if step.state == "failed"]
        found = all(step.bad for step in bad)
        self.state = FAILED if bad and found and not any(s.state == "stopped" for s in steps) else PAUSED
        if self.reason is None and bad:
            self.reason = "; ".join(f"{step.planned.asset}: {step.reason}" for step in bad)

    @property
    def exit_code(self) -> Exit:
        codes = [code for step in self.steps.values() for code in step.codes]
        if self.state != DONE:  # whatever else came of it, and whoever broke before a step was begun
            codes.append(Exit.NOT_CARRIED_OUT)
        if self.found or self.breached:
            codes.append(Exit.FINDING)
        if self.left_behind:
            codes.append(Exit.LEFT_BEHIND)
        return worst(codes)

    @property
    def breached(self) -> list[str]:
        """Which objectives were not met. A recovery that is not done has not measured them yet."""
        if self.state != DONE:
            return []
        return [name for name, of in (("RPO", self.rpo()), ("RTO", self.rto())) if of.verdict == "BREACHED"]

    @property
    def next_step(self) -> str | None:
        plan, steps = self.decision.plan, self.steps.values()
        if self.state == PAUSED:
            return f"`ccdr recover --resume {plan}` goes on, and repeats nothing that is done"
        if any(step.planned.where.new_server is not None for step in steps):
            started = any(step.to_start for step in steps)
            first, opened = ("start the new servers; then ", " --opened") if started else ("", "")
            return f"{first}`ccdr recover check {plan}{opened}` looks at all of it where it stands"
        if self.state == DONE and any(c.status is Verdict.INCONCLUSIVE for step in steps for c in step.checks):
            return f"it is there, and not all of it could be looked at: `ccdr recover check {plan}` looks once more"
        return None

    @property
    def why(self) -> list[str]:
        """What its exit code comes from, in a few words each; nothing where that is 0."""
        why = [f"{name} BREACHED" for name in self.breached]
        why += [so_many(len(self.found), "finding")] if self.found else []
        for name, step in self.steps.items():
            statuses = {check.status for check in step.checks if check.name not in step.borne}
            if step.state != DONE:
                why.append(f"{name} is {step.state}")
            elif Verdict.FAIL in statuses or Verdict.INCONCLUSIVE in statuses:
                why.append(f"a check of {name} is {'FAIL' if Verdict.FAIL in statuses else 'INCONCLUSIVE'}")
        left = [*self.left_behind, *(text for step in self.steps.values() for text in _left(step))]
        return [*why, *(["something is left behind"] if left else [])]

    @property
    def found(self) -> list[str]:
        """Of the recovery, and of each restore."""
        own = [*self.findings, *([UNTIMED] if self.untimed and self.state == DONE else [])]
        own += [text for step in self.steps.values() if self.state == DONE and (text := step.lost_too_much)]
        restores = [step.restore for step in self.steps.values() if step.restore is not None]
        of_each = [f"{restore.asset}: {text}" for restore in restores for text in restore.findings]
        return list(dict.fromkeys([*own, *of_each]))

    @property
    def elapsed(self) -> float:
        return self.worked + self.waited + self.away

    def rto(self) -> RecoveryRto:
        predicted = self.decision.predicted
        achieved = self.elapsed if self.state == DONE and not self.untimed else None
        return RecoveryRto(
            objective_s=self.rto_s,
            achieved_s=_rounded(achieved),
            machine_s=round(self.worked, 3),
            waited_s=round(self.waited, 3),
            away_s=round(self.away, 3),
            **(predicted.as_json() if predicted else {}),
            verdict=_verdict(achieved, self.rto_s),
        )

    def rpo(self) -> RecoveryRpo:
        """By the asset that lost most against the moment."""
        lost = [step.planned.lost_s for step in self.steps.values()]
        known = [seconds for seconds in lost if seconds is not None]
        achieved = max(known, default=None) if len(known) == len(lost) else None
        verdict = _verdict(achieved, self.rpo_s)
        return RecoveryRpo(objective_s=self.rpo_s, achieved_s=_rounded(achieved), verdict=verdict)

    def ended(self) -> RecoverEnd:
        return RecoverEnd(
            plan=self.decision.plan,
            run=self.run,
            state=code(self.state),
            reason=self.reason,
            moment=self.decision.moment,
            resumes=self.resumes,
            rpo=self.rpo(),
            rto=self.rto(),
            assets=[step.ended() for step in self.steps.values()],
            findings=self.found,
            notes=self.notes,
            left_behind=self.left_behind,
        )

    def as_json(self) -> dict[str, object]:
        return document(
            self.ended(),
            self.record,
            steps=[step.as_json() for step in self.steps.values()],
            in_the_plan=[one.as_json() for one in self.repointed],
            edited_plan=self.edited and str(self.edited),
            edit_by_hand=self.by_hand,
            incident=self.incident.as_json(),
            then_red=[one.as_json() for one in self.then_red],
            hint=self.hint,
        )


def _verdict(achieved: float | None, objective: float) -> Literal["NOT_MEASURED", "MET", "BREACHED"]:
    return "NOT_MEASURED" if achieved is None else "MET" if achieved <= objective else "BREACHED"


def _left(step: StepResult) -> list[str]:
    return step.restore.left_behind if step.restore is not None else []


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


__all__ = ["DONE", "FAILED", "PAUSED", "RESTORED", "RUNNING", "RecoveryResult", "StepResult"]
