"""Looks at everything side by side: each look is short, waits more than it works, and cannot stop another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.host import interrupts
from ccdr.jobs.copies import from_site
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, Exit, for_plan, own_error, worst
from ccdr.model.values import Health, Probe, at_copy
from ccdr.plans import LoadedPlan
from ccdr.plans.access import Role
from ccdr.plans.anchors import LoadedAnchors, ObjectLock
from ccdr.plans.job import Job
from ccdr.plans.roles import as_role
from ccdr.sandbox.docker import DockerFacts
from ccdr.setup.doctor import machine, readiness, repository
from ccdr.setup.doctor.approvals import approvals
from ccdr.setup.doctor.machine import Majors, sandbox, secrets, source
from ccdr.setup.doctor.repository import bucket, evidence_bucket

AT_ONCE = 8
PATIENCE = 30.0  # seconds that one program may take
EXITS = {Health.FAIL: Exit.FINDING, Health.UNKNOWN: Exit.NOT_CARRIED_OUT}


class HostRole(StrEnum):
    """What a host is there for: one that only tests has no way to the sources, one that only backs up no Docker."""

    ALL = "all"
    BACKUPS = "backups"
    TESTS = "tests"


_ROLES = {HostRole.BACKUPS: Role.BACKUP, HostRole.TESTS: Role.VERIFY}


@dataclass(frozen=True)
class DoctorFinding:
    """One line. `plan` is None for what concerns this host, `asset` for what concerns a whole plan."""

    plan: str | None
    asset: str | None
    probe: Probe

    def as_json(self) -> dict[str, object]:
        probe = self.probe
        where: dict[str, object] = {"plan": self.plan, "asset": self.asset}
        return {**where, "what": probe.what, "state": probe.state.value, "found": probe.answer, "do": probe.do}


@dataclass(frozen=True)
class Diagnosis:
    findings: tuple[DoctorFinding, ...]

    @property
    def exit_code(self) -> Exit:
        return worst([EXITS[f.probe.state] for f in self.findings if f.probe.state in EXITS])

    def as_json(self) -> dict[str, object]:
        return {"checks": [f.as_json() for f in self.findings]}


@dataclass(frozen=True)
class _Task:
    plan: str | None
    asset: str | None
    what: str
    probes: Callable[[], Iterable[Probe]]

    def carry_out(self) -> list[DoctorFinding]:
        probes = self._looked()
        if self.plan is not None:
            probes = [replace(probe, do=for_plan(probe.do, self.plan)) for probe in probes]
        return [DoctorFinding(self.plan, self.asset, probe) for probe in probes]

    def _looked(self) -> list[Probe]:
        """What was seen until something broke, and what broke."""
        seen: list[Probe] = []
        try:
            for probe in self.probes():
                seen.append(probe)
        except CcdrError as error:
            seen.append(
                Probe.unknown(self.what, str(error), error.hint or "solve what the message says, then run doctor again")
            )
        except OSError as error:
            problem = error.strerror or type(error).__name__  # without the file, which may be a recording
            seen.append(Probe.unknown(self.what, problem, "run ccdr as a user who may look there"))
        except Exception as error:
            seen.append(Probe.unknown(self.what, *own_error(error)))
        return seen


def examine(
    plans: Sequence[LoadedPlan],
    services: Services,
    part: HostRole = HostRole.ALL,
    *,
    canary: bool = True,
    stated: Collection[str] = (),
    anchored: Callable[[], LoadedAnchors] = LoadedAnchors.none,
) -> Diagnosis:
    """This host, and what each of these plans rests on; in this order, whatever was done first. `stated` are all plans
    that have a file, `anchored` reads anchors.yaml."""
    services = replace(services, host=services.host.with_(no_progress=PATIENCE))  # a password_command may hang
    if (role := _ROLES.get(part)) is not None:  # as its jobs will come to the store
        plans = [as_role(loaded, role) for loaded in plans]
    jobs = [Job(loaded, asset) for loaded in plans for asset in loaded.plan.assets]
    host = [
        _Task(None, None, "programs", lambda: machine.programs(services.host)),
        _Task(None, None, "state directory", lambda: machine.state(services, jobs)),
    ]
    findings = [finding for task in host for finding in task.carry_out()]  # first: the rest makes what is missing there
    daemon: DockerFacts | None = None
    if part is not HostRole.BACKUPS:
        daemon, docker = machine.docker(services.lab.docker)
        findings += [DoctorFinding(None, None, probe) for probe in docker]
    left = _Task(None, None, "leftovers", lambda: machine.leftovers(services, docker=daemon is not None))
    findings += left.carry_out()
    findings += _Task(None, None, "anchors", lambda: _anchors(anchored(), plans, canary=canary)).carry_out()
    names = {*stated, *(loaded.plan.plan for loaded in plans)}
    findings += _Task(None, None, "retired plans", lambda: machine.retired(services.state, names)).carry_out()
    known, ledger = _history(services)
    findings += [DoctorFinding(None, None, probe) for probe in ledger]
    scene = _Scene(services, part, canary, daemon, known)
    with interrupts.threads(AT_ONCE, stopped_by=BaseException) as pool:  # a canary is waited for: it must not be left
        for of_task in pool.map(_Task.carry_out, [task for loaded in plans for task in scene.tasks(loaded)]):
            findings += of_task
    return Diagnosis(tuple(findings))


def _anchors(anchors: LoadedAnchors, plans: Sequence[LoadedPlan], *, canary: bool) -> Iterator[Probe]:
    for anchor in anchors:
        if isinstance(anchor, ObjectLock):
            yield from evidence_bucket(anchor, plans, canary=canary)


def _history(services: Services) -> tuple[_Known, list[Probe]]:
    """What the ledger tells; a ledger that does not is a finding of its own."""
    try:
        return _Known(services.histories(), readiness.read_past(services.records())), []
    except CcdrError as error:
        probe = Probe.fail("ledger", str(error), error.hint or "run `ccdr ledger verify`")
        return _Known({}, readiness.Past()), [probe]


@dataclass(frozen=True)
class _Known:
    histories: Histories
    past: readiness.Past


@dataclass(frozen=True)
class _Scene:
    services: Services
    part: HostRole
    canary: bool
    daemon: DockerFacts | None
    known: _Known
    majors: Majors = field(default_factory=Majors)

    def tasks(self, loaded: LoadedPlan) -> Iterator[_Task]:
        """What is looked at for one plan, the plan's own first, then asset by asset."""
        services, plan = self.services, loaded.plan.plan
        own: dict[str, Callable[[], Iterable[Probe]]] = {
            "plan": lambda: _lint(loaded),
            "secrets": lambda: secrets(loaded, services.host, sources=self.part is not HostRole.TESTS),
            "approval": lambda: approvals(loaded, services, self.known.histories),
            "repository": lambda: repository.repository(loaded, services, known=self._ever(loaded)),
            "repository path": lambda: repository.local_path(loaded, services),
            "repository disk": lambda: repository.disk(loaded, services),
            "way to the repository": lambda: repository.way(loaded),
            "bucket": lambda: bucket(loaded, canary=self.canary, known=self._ever(loaded)),
            "clock": lambda: repository.clock(loaded, services),
            "ccdr run": lambda: machine.called(plan, services.state, begun=self._begun(loaded)),
            "upkeep": lambda: readiness.upkeep(loaded, self.known.histories, services.clock.now()),
            "package": lambda: machine.package(loaded, services, self.known.histories),
            "fetched by tests": lambda: readiness.fetching(loaded, self.known.past, services.clock.now()),
        }
        for what, of_plan in own.items():
            yield _Task(plan, None, what, of_plan)
        for name in loaded.plan.copies:
            yield _Task(plan, None, f"copy {name}", functools.partial(self._copy, loaded, name))
        for asset in loaded.plan.assets:
            job = Job(loaded, asset)
            for what, look in (("source", self._source), ("sandbox", self._sandbox), ("objectives", self._measured)):
                yield _Task(plan, asset, what, functools.partial(look, job))

    def _ever(self, loaded: LoadedPlan) -> bool:
        name = loaded.plan.plan
        stored = any(h.last_good_backup for (plan, _), h in self.known.histories.items() if plan == name)
        return stored or self.services.catalogue.knows(name)

    def _begun(self, loaded: LoadedPlan) -> bool:
        """Was anything of it done on this host?"""
        of = (self.known.histories.get((loaded.plan.plan, asset)) for asset in loaded.plan.assets)
        return any(history.begun_here for history in of if history is not None)

    def _copy(self, loaded: LoadedPlan, name: str) -> Iterator[Probe]:
        """The copy's repository, as the plan's own is looked at."""
        view, there = from_site(loaded, self.services, name)
        filled = self.known.histories.get((at_copy(loaded.plan.plan, name), None), AssetHistory()).last_copy
        known = filled is not None or there.catalogue.knows(loaded.plan.plan)
        for probes in (
            repository.repository(view, there, known=known),
            repository.local_path(view, there),
            repository.disk(view, there),
            repository.way(view),
            bucket(view, canary=self.canary, known=known),
        ):
            for probe in probes:
                yield replace(probe, what=f"copy {name}: {probe.what}")

    def _source(self, job: Job) -> Iterable[Probe]:
        if self.part is HostRole.TESTS:
            return ()
        return source(job, self.services)

    def _sandbox(self, job: Job) -> Iterable[Probe]:
        if self.part is HostRole.BACKUPS:
            return ()
        return sandbox(job, self.services, self.daemon, self.majors)

    def _measured(self, job: Job) -> Iterator[Probe]:
        history = self.known.histories.get((job.plan, job.asset), AssetHistory())
        if self.part is not HostRole.TESTS:
            yield from readiness.rpo(job, self.known.past)
            yield from readiness.source_clock(history)
        if self.part is not HostRole.BACKUPS:
            yield from readiness.rto(job, history, self.known.past)


def _lint(loaded: LoadedPlan) -> Iterator[Probe]:
    """As `plan check` tells it, without what is looked at more closely here."""
    clean = True
    for problem in loaded.lint:
        if problem.path == "repository" or problem.path.endswith(("_file", ".backup.schedule")):
            continue
        clean = False
        sentence, _, do = problem.message.partition(": ")
        yield Probe.warn("plan", f"{problem.file}:{problem.line}: {problem.path} {sentence}", do)
    if clean:
        yield Probe.ok("plan", f"{loaded.path} is right")
