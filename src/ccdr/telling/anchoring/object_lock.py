"""The ledger's lines and its signed checkpoints in a bucket that locks each version: whoever has nothing but a
credential for that bucket takes them in (`ccdr ledger collect s3:…`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccdr.evidence.checkpoints.anchors import OBJECT_LOCK
from ccdr.evidence.checkpoints.receipts import Receipt, noted
from ccdr.host.secrets import env_file
from ccdr.jobs.checkpoints.publishing import Publishing
from ccdr.model.errors import CcdrError
from ccdr.storage.evidence_bucket import EvidenceBucket
from ccdr.storage.s3 import Refused
from ccdr.telling.anchoring.kinds import EACH

if TYPE_CHECKING:
    from ccdr.evidence.checkpoints.checkpoint import Checkpoint
    from ccdr.jobs.services import Services
    from ccdr.plans.anchors import ObjectLock

NO_MORE = EACH - 5.0  # seconds: no further object is begun


@dataclass(frozen=True)
class LockedObject:
    """By a credential that may only put. What of it was put stays put: a given-up one goes on at the next run."""

    settings: ObjectLock
    services: Services

    def anchor(self, checkpoint: Checkpoint) -> Receipt:
        began, clock, settings = self.services.clock.monotonic(), self.services.clock, self.settings
        store = EvidenceBucket.of(settings.url, env_file(settings.env_file), lock_days=settings.lock_days)
        publishing = Publishing(store, self.services, with_plans=settings.plans)
        try:
            done = publishing.publish(checkpoint, lambda: clock.monotonic() - began < NO_MORE)
        except Refused as refused:
            problem = f"the evidence bucket {store.bucket.name} takes nothing ({refused.code})"
            hint = refused.next_step if refused.unknown_credential else "`ccdr doctor` says what it lacks"
            raise CcdrError(problem, hint=hint) from None
        where: dict[str, str | int] = {
            "bucket": store.bucket.name,
            "key": store.prefix + done.checkpoint.key,
            "version": done.checkpoint.version or "",
            "sha256": done.checkpoint.sha256,
            "objects_of_lines": done.objects,
        }
        return noted(OBJECT_LOCK, settings.name, checkpoint, clock.now(), where)
