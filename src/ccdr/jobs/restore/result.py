"""What one restore did, as it goes into the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from ccdr.evidence.records.restores import LogRecovery, RestoredParts, RestoredSnapshot, RestoreEnd, RestoreTarget
from ccdr.evidence.records.values import RecordedCheckResult, code
from ccdr.host.state_files import plain
from ccdr.jobs.incidents.opening import Told
from ccdr.jobs.recorded import document
from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.errors import Exit, for_plan, worst
from ccdr.model.values import CheckResult, RecordRef, Snapshot, Verdict
from ccdr.ports.new_server import StartLines

RESTORED: Final = "RESTORED"
FAILED: Final = "FAILED"
REFUSED: Final = "REFUSED"


@dataclass
class RestoreResult:
    """One restore. `phases` and `estimate_s` are seconds; `exit` is what a failure amounts to."""

    plan: str
    asset: str
    run: str
    target: RestoreTarget = field(default_factory=lambda: RestoreTarget(kind="unknown", name=None))
    server: str | None = None  # the number of the server that is restored onto, where that has one
    result: Literal["RESTORED", "FAILED", "REFUSED"] = FAILED
    reason: str | None = None
    hint: str | None = None
    exit: Exit = Exit.NOT_CARRIED_OUT
    snapshot: Snapshot | None = None
    selected: str = "latest"
    proven: str | None = None  # the snapshot's last test: PASS, FAIL, or None for untested
    phases: dict[str, float] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)
    parts: RestoredParts | None = None  # how much of it was asked for, where that is not all
    estimate_s: float | None = None
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    tools: dict[str, str] = field(default_factory=dict)
    words: FreeText = NO_WORDS  # what programs said: for a person's eyes, never recorded
    record: RecordRef | None = None
    incident: Told = field(default_factory=Told)  # which it belongs to; of a part of a recovery that one tells it
    start: StartLines | None = None  # of a new server: how a person starts it
    log_bytes: int | None = None  # what was fetched of the log, where it is applied
    recovery: LogRecovery | None = None  # by the log, that found in it what cannot be applied
    borne: list[str] = field(default_factory=list)  # checks that did not pass, and that are no reason to give it up

    def failed(self, reason: str, exit_code: Exit, hint: str | None = None) -> None:
        self.result, self.reason, self.hint, self.exit = FAILED, reason, for_plan(hint, self.plan), exit_code

    def refused(self, reason: str, hint: str | None = None) -> None:
        """Nothing was done."""
        self.result, self.reason, self.hint, self.exit = REFUSED, reason, hint, Exit.USAGE

    @property
    def bad_checks(self) -> list[str]:
        return [c.name for c in self.checks if c.status is Verdict.FAIL and c.name not in self.borne]

    @property
    def exit_code(self) -> Exit:
        codes = [] if self.result == RESTORED else [self.exit]
        if self.result == RESTORED and (self.bad_checks or self.findings):
            codes.append(Exit.FINDING)
        if self.result == RESTORED and any(c.status is Verdict.INCONCLUSIVE for c in self.checks):
            codes.append(Exit.NOT_CARRIED_OUT)  # it is there, and not all of it was looked at
        if self.left_behind:
            codes.append(Exit.LEFT_BEHIND)
        return worst(codes)

    @property
    def shown_snapshot(self) -> RestoredSnapshot | None:
        s = self.snapshot
        if s is None:
            return None
        return RestoredSnapshot(
            id=s.id,
            consistent_point=s.consistent_point,
            bytes=s.bytes,
            selected=self.selected,
            manifest_sha256=s.manifest_sha256,
            last_test=code(self.proven),
        )

    def ended(self) -> RestoreEnd:
        """For the ledger, and (with where it stands there) for `--json`: no check's detail, which may quote a row."""
        return RestoreEnd(
            plan=self.plan,
            asset=self.asset,
            run=self.run,
            result=self.result,
            reason=self.reason,
            snapshot=self.shown_snapshot,
            target=self.target,
            server=self.server,
            parts=self.parts,
            phases={name: round(seconds, 3) for name, seconds in self.phases.items()},
            checks=[RecordedCheckResult(**c.as_json()) for c in self.checks],
            estimate_s=None if self.estimate_s is None else round(self.estimate_s, 3),
            log_bytes=self.log_bytes,
            recovery=self.recovery,
            findings=self.findings,
            notes=self.notes,
            left_behind=self.left_behind,
            tools=self.tools,
        )

    def as_json(self) -> dict[str, object]:
        start = {} if self.start is None else {"start": plain(self.start)}
        return document(self.ended(), self.record, hint=self.hint, incident=self.incident.as_json(), **start)
