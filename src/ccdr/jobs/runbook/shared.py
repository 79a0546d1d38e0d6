"""The bucket of a plan's `runbook_state:` as a run's journal sees it.

Whoever may put there could write what never happened: a triage that found all dead, a step that is done. So each
happening bears a seal, made with the repository's password: every host that may go on has that, and a credential for
the bucket does not give it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from hashlib import scrypt, sha256

import msgspec

from ccdr.host.processes import Host
from ccdr.host.secrets import env_file, password
from ccdr.jobs.runbook.events import Event, read, written
from ccdr.jobs.runbook.journal import Forged, SharedState, Taken
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.plans import LoadedPlan
from ccdr.storage.runbook_bucket import OnceOnly, WrittenBefore
from ccdr.storage.s3 import Bucket

Key = Callable[[], bytes]


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
    plan = loaded.plan.plan

    @cache
    def key() -> bytes:
        secret = password(loaded.plan.repository, host, what="repository") or ""
        return scrypt(secret.encode(), salt=f"ccdr runbook {plan}".encode(), n=2**14, r=8, p=1, dklen=32)

    return SharedInBucket(OnceOnly(bucket, prefix, plan, partial(sealed, key, plan), partial(opened, key, plan)))


def sealed(key: Key, plan: str, run: str, event: Event) -> bytes:
    return written(msgspec.structs.replace(event, seal=_seal(key, plan, run, event)))


def opened(key: Key, plan: str, run: str, line: bytes, where: str) -> Event:
    """Forged where no host that has the repository's password has written it, as the happening of that number of that
    run."""
    try:
        event = read(line, where)
    except CcdrError:
        raise Forged(where) from None
    bare = msgspec.structs.replace(event, seal="")
    number = f"/{event.seq:08}.json"
    if not where.endswith(number) or not hmac.compare_digest(event.seal, _seal(key, plan, run, bare)):
        raise Forged(where)
    return bare


def _seal(key: Key, plan: str, run: str, event: Event) -> str:
    return hmac.new(key(), f"{plan}\n{run}\n".encode() + written(event), sha256).hexdigest()
