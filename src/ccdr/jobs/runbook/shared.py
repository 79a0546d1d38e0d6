"""The bucket of a plan's `runbook_state:` as a run's journal sees it.

Whoever may put there could write what never happened: a triage that found all dead, a step that is done. So each
happening bears a seal (`seals.py`), which a credential for the bucket does not give.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ccdr.host.processes import Host
from ccdr.host.secrets import env_file
from ccdr.jobs.runbook.events import Event, read, written
from ccdr.jobs.runbook.journal import Forged, SharedState, Taken
from ccdr.jobs.runbook.seals import VERB, Seals, bare
from ccdr.jobs.sealing import key_of
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.plans import LoadedPlan
from ccdr.storage.runbook_bucket import OnceOnly, WrittenBefore
from ccdr.storage.s3 import Bucket


@dataclass
class SharedInBucket:
    """`SharedState` in a bucket."""

    store: OnceOnly[Event]

    def runs(self) -> list[str]:
        return self.store.runs()

    def events(self, run: str, after: int = 0) -> list[Event]:
        found: list[Event] = []
        try:
            for event in self.store.numbered(run, after):
                found.append(event)
        except Forged as error:
            error.before = found
            raise
        return found

    def put(self, run: str, event: Event) -> None:
        try:
            self.store.put(run, event.seq, event)
        except WrittenBefore:
            self.events(run, event.seq - 1)  # Forged where no host of ours was first
            raise Taken from None


def shared_of(loaded: LoadedPlan, host: Host) -> SharedState | None:
    """None where the plan names none. UsageProblem where its credential cannot be had."""
    stated = loaded.plan.runbook_state
    if stated is None:
        return None
    found = Bucket.of(stated.url, env_file(stated.env_file))
    if found is None:
        raise UsageProblem("runbook_state: is no bucket", hint="write it like s3:https://s3.example/ccdr-runbooks")
    bucket, prefix = found
    seals = Seals(loaded.plan.plan, key_of(loaded, host, VERB))
    return SharedInBucket(OnceOnly(bucket, prefix, seals.plan, partial(_sealed, seals), partial(_opened, seals)))


def _sealed(seals: Seals, run: str, event: Event) -> bytes:
    return written(seals.sealed(run, event))


def _opened(seals: Seals, run: str, line: bytes, where: str) -> Event:
    """Forged where no host that has the repository's password has written it, as the happening of that number of that
    run."""
    try:
        event = read(line, where)
    except CcdrError:
        raise Forged(where) from None
    if not where.endswith(f"/{event.seq:08}.json") or not seals.good(run, event):
        raise Forged(where)
    return bare(event)
