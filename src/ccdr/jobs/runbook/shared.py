"""The bucket of a plan's `runbook_state:` as a run's journal sees it."""

from __future__ import annotations

from dataclasses import dataclass

from ccdr.host.secrets import env_file
from ccdr.jobs.runbook.events import Event, read, written
from ccdr.jobs.runbook.journal import SharedState, Taken
from ccdr.model.errors import UsageProblem
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
        return list(self.store.numbered(run, after))

    def put(self, run: str, event: Event) -> None:
        try:
            self.store.put(run, event.seq, event)
        except WrittenBefore:
            raise Taken from None


def shared_of(loaded: LoadedPlan) -> SharedState | None:
    """None where the plan names none. UsageProblem where its credential cannot be had."""
    stated = loaded.plan.runbook_state
    if stated is None:
        return None
    found = Bucket.of(stated.url, env_file(stated.env_file))
    if found is None:
        raise UsageProblem("runbook_state: is no bucket", hint="write it like s3:https://s3.example/ccdr-runbooks")
    bucket, prefix = found
    return SharedInBucket(OnceOnly(bucket, prefix, loaded.plan.plan, written, read))
