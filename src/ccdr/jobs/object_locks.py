"""Object Lock of what is in use is pushed forward, and what was done is remembered."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.records.object_locks import LockExtended
from ccdr.evidence.records.values import recorded_user
from ccdr.host.secrets import env_file
from ccdr.host.state_files import state_or_none, write_state
from ccdr.jobs import in_force
from ccdr.jobs.recorded import JobResult
from ccdr.jobs.services import Services
from ccdr.model.errors import Exit, Locked, UsageProblem, failure_of
from ccdr.model.object_lock import slack
from ccdr.model.schedule import SET_BACK
from ccdr.model.values import PRIMARY
from ccdr.plans import LoadedPlan, Repository
from ccdr.plans.copies import kept_locked
from ccdr.ports.place import Progress, Unwatched
from ccdr.storage.object_locks import LockedVersion, Locks, in_use, locks
from ccdr.storage.s3 import Bucket

# Until when which version is locked, seconds since 1970 by its name, as far as this host has put or asked it: a lock of
# mode COMPLIANCE cannot become shorter, so that no store need be asked twice. When this is lost, the store is asked.
Ends = dict[str, float]

# A lock is put for a little longer than the plan wants (`slack`), so that not each object is asked for each day: what
# ends later than `keep` and one slack from now is left as it is, all else is locked for `keep` and two.

EVERY = timedelta(days=1)
LOCK = "lock"  # what is locked on this host meanwhile
WITHIN_RUN = 600.0  # seconds that `ccdr run` gives it; the next run goes on
DONE: Final = "DONE"
PARTIAL: Final = "PARTIAL"
FAILED: Final = "FAILED"


@dataclass
class LockExtension(JobResult):
    """What was done for one repository."""

    plan: str
    tenant: str
    repository: str
    keep: float
    result: Literal["DONE", "PARTIAL", "FAILED"] = DONE
    objects: int = 0
    extended: int = 0
    held: int = 0
    hidden: int = 0
    overwritten: int = 0
    holds_until: datetime | None = None
    seconds: float = 0.0
    requests: int = 0

    @property
    def exit_code(self) -> Exit:
        if self.result == FAILED:
            return Exit.NOT_CARRIED_OUT
        return Exit.FINDING if self.overwritten else Exit.OK

    def ended(self) -> LockExtended:
        return LockExtended(
            plan=self.plan,
            repository=self.repository,
            result=self.result,
            reason=self.reason,
            objects=self.objects,
            extended=self.extended,
            held=self.held,
            hidden=self.hidden,
            overwritten=self.overwritten,
            keep=self.keep,
            holds_until=self.holds_until,
            seconds=round(self.seconds, 1),
            tenant=self.tenant,
            who=recorded_user(),
        )


def may_extend(settings: Repository) -> bool:
    """Does this host hold the credential for it?"""
    return settings.lock is not None and settings.lock.env_file.is_file()


def extend_daily(plans: Sequence[LoadedPlan], services: Services) -> list[LockExtension]:
    """Of each repository whose credential this host holds, what was not done within a day. CcdrError where the ledger
    cannot be read or written."""
    now, histories, done = services.clock.now(), services.histories(), list[LockExtension]()
    for loaded in plans:
        history = histories.get((loaded.plan.plan, None), AssetHistory())
        for name, settings in kept_locked(loaded).items():
            last = history.locks.get(name)
            fresh = last is not None and last.result == DONE and now - EVERY < last.time <= now + SET_BACK
            if may_extend(settings) and not fresh:
                with contextlib.suppress(Locked):  # another process is at it
                    done.append(extend(loaded, name, services, Unwatched(), within=WITHIN_RUN))
    return done


def extend(
    loaded: LoadedPlan,
    name: str,
    services: Services,
    progress: Progress,
    *,
    ask_all: bool = False,
    within: float | None = None,
) -> LockExtension:
    """Push forward what needs it, of one repository. `ask_all`: what is remembered counts for nothing. `within`: stop
    after so many seconds. UsageProblem and Locked before anything is done; all else is in the result, and recorded."""
    settings = kept_locked(loaded).get(name)
    plan = loaded.plan.plan
    if settings is None or settings.lock is None:
        raise UsageProblem(
            f"{plan} does not ask for the locks of {name} to be pushed forward",
            hint="`lock: {keep: 35d, env_file: …}` of its repository does: docs/how-to/keys.md",
        )
    env = env_file(settings.lock.env_file)
    found = Bucket.of(settings.location, env)
    if found is None:
        raise UsageProblem(f"{settings.location} is in no bucket")
    done = LockExtension(plan, loaded.plan.tenant_of(None), name, settings.lock.keep)
    with services.state.lock(plan, "" if name == PRIMARY else name, LOCK):
        in_force.record(loaded, services)
        path = services.state.directory("object_locks") / f"{plan}.{name}.json"
        if ask_all:
            path.unlink(missing_ok=True)
        work = _Extending(*found, path, services, progress, done, within)
        began = services.clock.monotonic()
        try:
            work.carry_out()
        except Exception as error:
            why = failure_of(error)
            done.result, done.reason, done.hint, done.holds_until = FAILED, why.reason, why.hint, None
        done.seconds = services.clock.monotonic() - began
        done.record = services.ledger.write(done.ended())
    return done


class _Extending:
    """One extension of one repository."""

    def __init__(
        self,
        bucket: Bucket,
        prefix: str,
        path: Path,
        services: Services,
        progress: Progress,
        done: LockExtension,
        within: float | None,
    ) -> None:
        self._bucket, self._prefix, self._path = bucket, prefix, path
        self._ends = state_or_none(path, Ends) or {}
        self._services, self._progress, self._done = services, progress, done
        self._stop = None if within is None else services.clock.monotonic() + within

    def carry_out(self) -> None:
        done = self._done
        try:
            self._progress.step(f"listing what {done.repository} of {done.plan} is made of")
            there = in_use(self._bucket, self._prefix)
            done.objects = len(there.versions)
            done.hidden, done.overwritten = there.hidden, there.overwritten
            self._progress.step(f"extending locks of {done.objects} objects")
            with locks(self._bucket) as asking:
                ends = self._all(there.versions, asking)
                done.requests = asking.asked
            done.holds_until = min(ends, default=None) if done.result == DONE else None
            names = {version.name for version in there.versions}  # of all others nothing need be remembered
            self._ends = {name: end for name, end in self._ends.items() if name in names}
        finally:
            write_state(self._path, self._ends)

    def _all(self, versions: Sequence[LockedVersion], asking: Locks) -> list[datetime]:
        keep, now = timedelta(seconds=self._done.keep), self._services.clock.now()
        enough, until = now + keep + slack(keep), (now + keep + 2 * slack(keep)).replace(microsecond=0)
        ends = []
        for number, version in enumerate(versions):
            if self._stop is not None and self._services.clock.monotonic() > self._stop:
                self._done.result = PARTIAL
                self._done.reason = f"its time was up after {number} of {len(versions)} objects"
                break
            with contextlib.suppress(KeyError):  # it was removed meanwhile
                ends.append(self._one(version, asking, enough, until))
            self._progress.amount(number + 1, len(versions))
        return ends

    def _one(self, version: LockedVersion, asking: Locks, enough: datetime, until: datetime) -> datetime:
        """When its lock ends now. Never is one put that ends sooner than the one that is there."""
        known = self._ends.get(version.name)
        end = None if known is None else datetime.fromtimestamp(known, UTC)
        if end is None or end < enough:
            end = asking.until(version)
        if end is not None and end >= enough:
            self._done.held += 1
        else:
            asking.lock(version, until)
            self._done.extended += 1
            end = until
        self._ends[version.name] = end.timestamp()
        return end
