"""Assets of one group captured together: side by side, begun at one instant, each still a backup of its own.

What they have in common is a run of the group: its id stands in each one's manifest, tags and records, so that any
host can tell which snapshots belong together and how far their consistent points lie apart.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial

from ccdr.evidence.records.backups import Group, GroupMember
from ccdr.host import interrupts
from ccdr.jobs.backup import BackupResult, Member, backup
from ccdr.jobs.recorded import document
from ccdr.jobs.services import BY_HAND, Services, Trigger
from ccdr.model.errors import CcdrError, Exit, own_error, worst
from ccdr.model.measure import apart
from ccdr.model.values import GroupRun, RecordRef
from ccdr.plans.job import Job
from ccdr.ports.place import Progress

GLANCE = 0.2  # seconds between two looks whether we are to stop


@dataclass
class GroupResult:
    """What capturing a group did: each member's result, or why it could not even begin. `skew` is seconds between the
    oldest and the newest of their consistent points."""

    plan: str
    group: GroupRun
    tenant: str
    results: dict[str, BackupResult] = field(default_factory=dict)
    errors: dict[str, CcdrError] = field(default_factory=dict)
    interrupted: list[str] = field(default_factory=list)
    record: RecordRef | None = None

    @property
    def missing(self) -> list[str]:
        """Assets of the group that there is no new snapshot of."""
        return [a for a in self.group.assets if (r := self.results.get(a)) is None or r.snapshot is None]

    @property
    def complete(self) -> bool:
        return not self.missing

    @property
    def skew(self) -> float | None:
        """None where there are not two to compare."""
        return apart(r.snapshot.consistent_point for r in self.results.values() if r.snapshot)

    @property
    def exit_code(self) -> Exit:
        return worst([r.exit_code for r in self.results.values()] + [e.exit_code for e in self.errors.values()])

    def ended(self) -> Group:
        return Group(
            plan=self.plan,
            run=self.group.run,
            tenant=self.tenant,
            group=self.group.name,
            result="COMPLETE" if self.complete else "INCOMPLETE",
            complete=self.complete,
            missing=self.missing,
            skew_s=None if self.skew is None else round(self.skew, 3),
            members={asset: self._member(asset) for asset in self.group.assets},
        )

    def _member(self, asset: str) -> GroupMember:
        done = self.results.get(asset)
        snapshot = done.snapshot if done else None
        return GroupMember(
            run=done.run if done else None,
            result=done.result if done else "INTERRUPTED" if asset in self.interrupted else "NOT_BEGUN",
            snapshot=snapshot.id if snapshot else None,
            consistent_point=snapshot.consistent_point if snapshot else None,
        )

    def as_json(self) -> dict[str, object]:
        return document(self.ended(), self.record)


class Rendezvous:
    """Where those who begin together wait for one another. Whoever has failed before keeps nobody waiting."""

    def __init__(self, names: Iterable[str]) -> None:
        self._awaited, self._changed = set(names), threading.Condition()

    def leave(self, name: str) -> None:
        """It is not waited for any more."""
        with self._changed:
            self._awaited.discard(name)
            self._changed.notify_all()

    def arrive(self, name: str) -> None:
        """Returns once all others have arrived, or left."""
        self.leave(name)
        with self._changed:
            while self._awaited:
                interrupts.tick()
                self._changed.wait(GLANCE)


def backup_together(
    jobs: Sequence[Job], services: Services, progress: Progress, *, triggers: Mapping[str, Trigger] | None = None
) -> GroupResult:
    """Back up these assets of one group now. Locked, before anything is done, where another run is at one of them; an
    interrupt is raised again once all of them have been stopped and recorded."""
    first = jobs[0]
    assert first.engine.group is not None
    run = services.state.run_id(services.clock)
    group = GroupResult(first.plan, GroupRun(first.engine.group, run, tuple(first.grouped)), first.loaded.plan.tenant)
    with contextlib.ExitStack() as all_locks:
        locks = {job.asset: all_locks.enter_context(contextlib.ExitStack()) for job in jobs}
        for job in jobs:  # none waits for its lock, so two runs cannot wait for each other
            locks[job.asset].enter_context(services.state.lock(job.plan, job.asset, "backup"))
        meeting = Rendezvous(locks)

        def one(job: Job) -> BackupResult:
            member = Member(group.group, partial(meeting.arrive, job.asset))
            trigger = (triggers or {}).get(job.asset, BY_HAND)
            with locks[job.asset]:
                try:
                    return backup(job, services, progress, trigger=trigger, member=member)
                finally:
                    meeting.leave(job.asset)

        doing: dict[str, Future[BackupResult]] = {}
        interrupted: KeyboardInterrupt | None = None
        try:
            with interrupts.threads(len(jobs)) as pool:
                doing = {job.asset: pool.submit(one, job) for job in jobs}
                left = set(doing.values())
                while left:
                    interrupts.tick()
                    left = wait(left, timeout=GLANCE).not_done
        except KeyboardInterrupt as error:  # all have been stopped: what came of them is recorded first
            interrupted = error
        for asset, future in doing.items():
            _take(group, asset, future)
    if group.results or group.interrupted:  # else no member has begun, and there is nothing to say of the group
        with interrupts.deferred():
            group.record = services.ledger.write(group.ended())
    if interrupted is not None:
        raise interrupted
    return group


def _take(group: GroupResult, asset: str, future: Future[BackupResult]) -> None:
    error = future.exception()
    if error is None:
        group.results[asset] = future.result()
    elif isinstance(error, CcdrError):
        group.errors[asset] = error
    elif isinstance(error, Exception):  # one asset's trouble must not keep the others from being told
        reason, hint = own_error(error)
        group.errors[asset] = CcdrError(reason, hint=hint)
    else:
        group.interrupted.append(asset)
