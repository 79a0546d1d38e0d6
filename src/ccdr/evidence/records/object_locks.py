"""Records of how the Object Lock of what a repository is made of was pushed forward."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.repository_keys import Where
from ccdr.evidence.records.values import OfPlan, Reason, Record, RecordedUser, Tenant
from ccdr.model.kinds import Count, Seconds, Time, about


class LockExtended(Record, frozen=True, kw_only=True, gc=False):
    """What a repository is made of (packs, index, snapshots, keys, config; of the shipped log, too) is locked for as
    long as the plan says. No object was read for it. `PARTIAL`: its time was up, and the next one goes on."""

    kind: Literal["lock.extended"] = "lock.extended"
    plan: OfPlan
    version: Literal[4] = 4
    repository: Where
    result: Literal["DONE", "PARTIAL", "FAILED"]
    reason: Reason = None
    objects: Annotated[Count, about("how many are in use")]
    extended: Annotated[Count, about("whose lock was pushed forward")]
    held: Annotated[Count, about("which were locked for long enough")]
    hidden: Annotated[Count, about("which a delete marker hides: removed by a prune, or by somebody")] = 0
    overwritten: Annotated[Count, about("of which there are versions of other contents: nobody writes them anew")] = 0
    keep: Annotated[Seconds, about("for how long the plan wants them locked, from each moment on")]
    holds_until: Annotated[Time | None, about("when the first of these locks ends; null: not known, or none")] = None
    seconds: Seconds
    tenant: Tenant = "default"
    who: RecordedUser | None = None
