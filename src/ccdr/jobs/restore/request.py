"""What a restore was asked for, and what it did, as that goes into the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from ccdr.evidence.records.restores import LogRecovery, RestoredParts, RestoredSnapshot, RestoreEnd, RestoreTarget
from ccdr.evidence.records.values import RecordedCheckResult, code
from ccdr.host.state_files import plain
from ccdr.jobs.incidents.opening import Told as IncidentTold
from ccdr.jobs.recorded import JobResult, document
from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.model.errors import Exit, for_plan, worst
from ccdr.model.values import CheckResult, Snapshot, Verdict
from ccdr.plans import LoadedPlan
from ccdr.plans.targets import NewServer
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.new_server import StartLines
from ccdr.storage.synchronised import Synchronised

Reached = Callable[[str, Mapping[str, object]], None]


def _nobody(stage: str, facts: Mapping[str, object]) -> None: ...


@dataclass(frozen=True)
class Before:
    """How far an earlier try came that was killed or stopped: its run, the last stage that it told of (`fetched`,
    `loaded`, `checked`, `naming`), and by what its work is known again."""

    run: str
    stage: str | None = None
    token: Mapping[str, object] | None = None

    @property
    def past_fetching(self) -> bool:
        return self.stage not in (None, "begun")


@dataclass(frozen=True)
class Told:
    """What restic told whoever asked it for several assets at once, a moment ago: its version, this asset's part of
    what is there, and the log that is stored of it (None: nobody has asked)."""

    restic: str
    synchronised: Synchronised
    archive: LogArchive | None = None


@dataclass(frozen=True)
class Request:
    """What was asked for. `to` is a directory or a server's URL, or the home of a `new_server`; `others` are all plans
    that are known besides the asset's own: their sources must not be touched either. `unknown` are plans that
    could not be read.

    Of a recovery, which `goes_on` after whatever stops it: `before` is what an earlier try left, `reached` is told of
    each stage that need not be gone through again, right after it (`naming`: right before)."""

    to: str
    snapshot: str = "latest"
    at: RecoveryTarget | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    parts: tuple[str, ...] = ()  # of it these alone, by patterns
    onto_source_server: bool = False
    despite_failed_test: bool = False
    despite_failed_checks: bool = False
    despite_erasures: str | None = None  # why it is handed over though erased people may be in it
    others: tuple[LoadedPlan, ...] = ()
    unknown: tuple[str, ...] = ()
    goes_on: bool = False
    before: Before | None = None
    reached: Reached = _nobody
    new_server: NewServer | None = None
    makes: Path | None = None  # a directory above the target, which is made when the work begins
    told: Told | None = None  # else the repository is asked
    working: str | None = None  # names what is made ready, so that a later run finds it; the run's own id unless said

    @property
    def is_url(self) -> bool:
        return "://" in self.to


# What one restore did, as it goes into the ledger.

RESTORED: Final = "RESTORED"
FAILED: Final = "FAILED"
REFUSED: Final = "REFUSED"


@dataclass
class RestoreResult(JobResult):
    """One restore. `phases` and `estimate_s` are seconds; `exit` is what a failure amounts to."""

    plan: str
    asset: str
    run: str
    target: RestoreTarget = field(default_factory=lambda: RestoreTarget(kind="unknown", name=None))
    server: str | None = None  # the number of the server that is restored onto, where that has one
    result: Literal["RESTORED", "FAILED", "REFUSED"] = FAILED
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
    incident: IncidentTold = field(
        default_factory=IncidentTold
    )  # which it belongs to; of a part of a recovery that one tells it
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
