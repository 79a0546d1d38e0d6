"""What became of a recovery, for the ledger, for `--json` and for the person who waits: which key of the plan is
otherwise now, and which comparisons stay red.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from msgspec import Struct, to_builtins

from ccdr.checks.reconcile import Reconcile
from ccdr.engines.servers.connection import Peer
from ccdr.evidence.judgement.asset import ALIKE
from ccdr.evidence.records.recovery import RecoveredAsset, RecoverEnd, RecoveryRpo, RecoveryRto
from ccdr.evidence.records.values import RecordedCheckResult, code
from ccdr.host.files import write_durably
from ccdr.host.state_files import plain
from ccdr.jobs.incidents.opening import Told
from ccdr.jobs.recorded import document
from ccdr.jobs.recover.journal import Journal
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.restore.request import RestoreResult
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, Exit, worst
from ccdr.model.kinds import about
from ccdr.model.trouble import Trouble
from ccdr.model.values import CheckResult, Manifest, RecordRef, Verdict, human_seconds, so_many
from ccdr.plans import LoadedPlan
from ccdr.plans.edited import ByHand, edited
from ccdr.plans.job import Job, below
from ccdr.plans.targets import Target
from ccdr.ports.new_server import StartLines

# Which comparisons of two stores stay red after a recovery that brought these back apart, and what a person decides.
# Rows that have no file any more are no damage of a backup, and no new backup brings the file.


class ThenRed(Struct, frozen=True):
    """A comparison of two stores that came back apart, and so may stay red."""

    asset: Annotated[str, about("whose check it is")]
    check: Annotated[str, about("its name")]
    newer: str
    older: str
    ahead_s: Annotated[float, about("by how much the newer one is")]
    acknowledge: Annotated[str, about("what a person types who has decided that it may stay so")]

    @property
    def text(self) -> str:
        return (
            f"{self.newer} comes back {human_seconds(self.ahead_s)} newer than {self.older}: what it got in between "
            f"has no counterpart there, and no new backup mends that. If there is any, “{self.check}” is FAIL in every "
            f"restore test of {self.asset} from then on. Look at which; then a person decides: `{self.acknowledge}`"
        )


def then_red(loaded: LoadedPlan, points: Mapping[str, datetime], spares: Mapping[str, str]) -> Iterator[ThenRed]:
    """`points` is what each asset was, or is to be, brought to. One of `spares` goes on at the server of the asset that
    it is a spare of, and so at that one's point."""
    at = {asset: points.get(spares.get(asset, asset), point) for asset, point in points.items()}
    for asset, point in at.items():
        for check in Job(loaded, asset).checks:
            if check.beside is None or check.beside not in at:
                continue
            ahead = (point - at[check.beside]).total_seconds()
            if abs(ahead) <= ALIKE:
                continue
            newer, older = (asset, check.beside) if ahead > 0 else (check.beside, asset)
            code = Trouble.TEST_FAILED.name
            ack = ["ccdr", "ack", code, loaded.plan.plan, "--asset", asset, "--until", "14d", "--why", "…"]
            yield ThenRed(asset, check.label, newer, older, round(abs(ahead), 3), shlex.join(ack))


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
            then_red=to_builtins(self.then_red),
            hint=self.hint,
        )


def _verdict(achieved: float | None, objective: float) -> Literal["NOT_MEASURED", "MET", "BREACHED"]:
    return "NOT_MEASURED" if achieved is None else "MET" if achieved <= objective else "BREACHED"


def _left(step: StepResult) -> list[str]:
    return step.restore.left_behind if step.restore is not None else []


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


# What of a plan is otherwise once everything stands at its new place: which key of which asset, from what to what. As
# long as that is not written into the plan (or what was brought back is put where it was), backups are of the old
# one.


@dataclass(frozen=True)
class Repointed:
    """One key of one asset (or of a check of its, in the file of a restore test). `now` is None where it is to be left
    out. `back` is the line that puts what was brought back where it was: then the key stays as it is. `aside`: what
    stands there is moved away first."""

    asset: str
    file: str
    key: str
    was: str | None
    now: str | None
    back: str | None = None
    aside: bool = False

    def as_json(self) -> dict[str, object]:
        return {
            "asset": self.asset,
            "file": self.file,
            "key": self.key,
            "from": self.was,
            "to": self.now,
            "or_put_back": self.back,
        }


def repointed(
    loaded: LoadedPlan,
    places: Mapping[str, Target],
    manifests: Mapping[str, Manifest] = {},
    spares: Mapping[str, str] = {},
    stands: Callable[[Path], bool] = lambda _: False,
) -> list[Repointed]:
    """Of the assets that were brought there. One of `spares` goes on at the server of the asset that it is a spare of.
    `manifests` is what was captured, as far as that is known; `stands`: is there something where a file was?"""
    found: list[Repointed] = []
    for asset, target in places.items():
        job, other = Job(loaded, asset), spares.get(asset)
        if other is not None and other in places:
            found += _of_a_server(job, Job(loaded, other), places[other], manifests.get(other))
        elif job.engine.has_server:
            found += _of_a_server(job, job, target, manifests.get(asset))
        elif target.directory is not None:
            files = _of_files(
                job, target.directory, aside=any(stands(was) for was, _ in job.moved_to(target.directory))
            )
            found += [files, *_of_checks(loaded, asset, target.directory, files.back)]
    return found


def repoint(loaded: LoadedPlan, result: RecoveryResult, services: Services, journal: Journal | None) -> None:
    """Tell the result, of what stands at its new place now."""
    done = [step.planned for step in result.steps.values() if step.state == "done"]
    known = services.catalogue
    manifests = {
        one.asset: known.manifest(snapshot)
        for one in done
        for snapshot in known.snapshots(loaded.plan.plan, one.asset)
        if snapshot.id == one.snapshot
    }
    spares = {one.asset: one.spare_of for one in done if one.spare_of is not None}
    result.repointed = repointed(loaded, {one.asset: one.where for one in done}, manifests, spares, os.path.lexists)
    result.by_hand = by_hand(loaded, result.repointed)
    if journal is not None:
        result.edited = keep_edited(loaded, result.repointed, journal.directory)
    result.repoints = list(lines_of(result.repointed, loaded, result.edited))
    points = {one.asset: one.point for one in done if one.point is not None}
    result.then_red = list(then_red(loaded, points, spares))


def _of_a_server(job: Job, at: Job, target: Target, manifest: Manifest | None) -> Iterator[Repointed]:
    """`job` goes on to be captured where `at` was brought to."""
    now: Mapping[str, object] = {}
    with contextlib.suppress(CcdrError):  # a place that will not do any more is told of elsewhere
        if target.new_server is not None:
            now = at.engine.new_server(at.site(target.new_server)).captured_at(manifest)
        elif target.server is not None:
            now = _on_a_server(at, target)
    for key, value in now.items():
        if at is not job and not key.startswith("connection."):
            continue
        was = _stated(job, key)
        if was != (value if value is None else str(value)):
            yield Repointed(job.asset, f"plans/{job.plan}.yaml", key, was, None if value is None else str(value))


def _on_a_server(job: Job, target: Target) -> Mapping[str, object]:
    onto = job.engine.onto(str(target.server), target.password_file, target.ca_file)
    connection = getattr(onto.client, "connection", None)
    if not isinstance(connection, Peer):
        return {}
    now: dict[str, object] = {"connection.host": connection.host}
    if connection.socket is None or job.engine.engine_name == "postgres":  # whose sockets are called by their ports
        now["connection.port"] = getattr(connection, "port", None)
    return {**now, "connection.database": onto.name}


def _stated(job: Job, key: str) -> str | None:
    value: object = job.engine
    for name in key.split("."):
        value = getattr(value, name, None)
    return None if value is None else str(value)


def _of_files(job: Job, directory: Path, *, aside: bool) -> Repointed:
    key, pairs = "paths" if job.is_tree else "path", job.moved_to(directory)
    was, now = (_listed([pair[n] for pair in pairs]) for n in (0, 1))
    return Repointed(
        job.asset, f"plans/{job.plan}.yaml", key, was, now, job.put_back_from(directory, in_its_place=aside), aside
    )


def _listed(paths: list[Path]) -> str:
    return ", ".join(map(str, paths))


def _of_checks(loaded: LoadedPlan, files: str, directory: Path, back: str | None) -> Iterator[Repointed]:
    """A `root:` of rows' paths goes with the files; rows that hold whole paths are right only once these are back."""
    for asset, checks in loaded.checks.items():
        for check in checks:
            if isinstance(check, Reconcile) and check.beside == files and check.root is not None:
                stated = next(_files_with(loaded, check.root), None)
                if stated is not None:
                    now = str(below(directory, check.root))
                    yield Repointed(asset, stated, f"root of “{check.label}”", str(check.root), now, back)


def _files_with(loaded: LoadedPlan, root: Path) -> Iterator[str]:
    for name, text in loaded.texts.items():
        if name.startswith("restore_tests/"):
            checks = (yaml.safe_load(text) or {}).get("checks") or []
            if any(isinstance(check, dict) and check.get("root") == str(root) for check in checks):
                yield name


def edited_plan(loaded: LoadedPlan, found: Sequence[Repointed]) -> str | None:
    """The plan's text with all that is edited in it; None where nothing is. ByHand where a person has to."""
    name = f"plans/{loaded.plan.plan}.yaml"
    values = {("assets", one.asset, *one.key.split(".")): one.now for one in found if one.back is None}
    return edited(loaded.texts[name], values) if values and name in loaded.texts else None


def by_hand(loaded: LoadedPlan, found: Sequence[Repointed]) -> str | None:
    """Why a person has to edit the plan, as half a sentence; None where that is no more than copying a file."""
    try:
        edited_plan(loaded, found)
    except ByHand as why:
        return str(why)
    return None


def keep_edited(loaded: LoadedPlan, found: Sequence[Repointed], directory: Path) -> Path | None:
    """Beside the recovery's journal, for a person to put in its place."""
    try:
        text = edited_plan(loaded, found)
    except ByHand:
        return None
    if text is None:
        return None
    write_durably(path := directory / loaded.path.name, text)
    return path


def kept_edited(loaded: LoadedPlan, directory: Path) -> Path | None:
    """The one that a recovery has kept; None where it kept none, or where somebody has put it in its place since."""
    with contextlib.suppress(OSError):
        path = directory / loaded.path.name
        return None if path.read_bytes() == loaded.path.read_bytes() else path
    return None


def lines_of(found: Sequence[Repointed], loaded: LoadedPlan, kept: Path | None = None) -> Iterator[str]:
    """For people, a line each: what is edited in which file (`kept`: the plan as it is then), and then what is put back
    and so needs no edit."""
    edits = [one for one in found if one.back is None]
    if edits and kept is not None:
        yield "the plan with these changes, all of them at once:"
        yield f"    {shlex.join(['cp', str(kept), str(loaded.path.absolute())])}"
    elif (why := by_hand(loaded, edits)) is not None:
        yield f"edit plans/{loaded.plan.plan}.yaml by hand, ccdr writes no copy of it: {why}"
    for one in edits:
        yield f"in {one.file}, {one.asset}: {_edit(one)}"
    for back in dict.fromkeys(one.back for one in found if one.back is not None):
        those = [one for one in found if one.back == back]
        instead = "; ".join(f"{one.key}: {one.now}" for one in those)
        aside = "; what stands there is kept as NAME.lost, end what uses it first" if those[0].aside else ""
        yield f"{those[0].asset}: put it back where it was, and leave the plan as it is (else {instead}){aside}:"
        yield f"    {back}"


def _edit(one: Repointed) -> str:
    if one.now is None:
        return f"leave {one.key} out: this host lacks {one.was}"
    return f"{one.key}: {one.was} → {one.now}" if one.was is not None else f"{one.key}: {one.now}"
