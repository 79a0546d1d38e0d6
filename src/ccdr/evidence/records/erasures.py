"""Records of people that were erased at the source, and of what a replay of that found in what was restored.

Nobody is named: an entry goes by its id, and by a keyed digest whose key lies in the register alone.
"""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.statements import EntryId
from ccdr.evidence.records.values import OfAsset, OfPlan, OfRun, Reason, Record, RecordedUser, Tenant, no_such_record
from ccdr.model.kinds import Count, Digest, Seconds, Time, Value, about


class RecordedHead(Value, frozen=True, kw_only=True, gc=False):
    """How far a register of erasures went."""

    register: Annotated[str, about("which register, by its random name")]
    entries: Count
    hash: Annotated[Digest, about("of its last line: SHA-256, newline included")]


class ErasureAdd(Record, frozen=True, kw_only=True, gc=False):
    """An entry was added to a plan's register of erasures, and the register stored in its repository."""

    kind: Literal["erasure.add"] = "erasure.add"
    plan: OfPlan
    asset: OfAsset
    version: Literal[4] = 4
    entry: EntryId
    what: Literal["rows", "keys", "files"]
    canary: Annotated[bool, about("the owner has planted it, and it is to be found in each later snapshot")]
    erased_at: Annotated[Time, about("when the person was erased at the source; of a canary: when it was planted")]
    pseudonym: Annotated[Digest, about("HMAC-SHA-256 of the selector, by the register's own key")]
    rule_version: Count
    head: Annotated[RecordedHead, about("of the register with this entry")]
    person: Annotated[
        Digest | None, about("HMAC-SHA-256 of what the owner calls the person by; entries in several assets share it")
    ] = None
    withdraws: Annotated[EntryId | None, about("the entry that was wrong, and is replayed no more")] = None
    why_sha256: Annotated[Digest | None, about("of a salt, a newline and the words, kept apart: why withdrawn")] = None
    snapshot: Annotated[Digest, about("that holds the register")]
    repository: Annotated[Digest | None, about("SHA-256 of the repository's address")] = None
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class FoundEntry(Value, frozen=True, kw_only=True, gc=False):
    """What a replay found of one entry: rows, keys or files."""

    id: EntryId
    canary: bool = False
    found_before: Count
    beside: Annotated[Count, about("rows that refer to these")] = 0
    found_after: Count
    late: Annotated[bool, about("though the snapshot is from after the person was erased at the source")] = False
    kept: Annotated[bool, about("a canary in what is handed over: looked for, and left there")] = False


class ErasureReplay(Record, frozen=True, kw_only=True, gc=False):
    """The register was replayed on what was restored, before that was handed over; or was not, and why.

    `PROVEN`: nobody is found any more, and a planted canary was before, so that the probe finds who is there. `ERASED`:
    nobody is found any more, and no canary shows that the probe would, or no replay so far shows that the key of each
    entry finds anybody, or somebody was found in what was taken after they were erased. `FAILED`: all else.
    """

    kind: Literal["erasure.replay"] = "erasure.replay"
    plan: OfPlan
    asset: OfAsset
    run: OfRun
    version: Literal[4] = 4
    purpose: Annotated[Literal["test", "restore", "recover", "by_hand"], about("for what it was restored")]
    result: Literal["PROVEN", "ERASED", "FAILED"]
    reason: Reason = None
    snapshot: Annotated[Digest | None, about("that was restored")] = None
    point: Annotated[Time | None, about("the instant that what was restored is true for")] = None
    head: Annotated[RecordedHead | None, about("of the register that was replayed; null where it could not be")] = None
    entries: Annotated[Count, about("of the asset, all of which were looked for")] = 0
    canaries: Annotated[Count, about("of these: planted ones that were to be found")] = 0
    found: Annotated[list[FoundEntry], about("entries that were found, or that are canaries")] = []
    missing: Annotated[
        list[EntryId], about("entries that were not found, though the snapshot is from before the person was erased")
    ] = []
    not_shown: Annotated[
        list[EntryId],
        about("entries that no replay so far has found, though there are snapshots from before the person was erased"),
    ] = []
    atomic: Annotated[bool, about("in one transaction, as far as the tables have them")] = True
    handed_over: Annotated[bool, about("it left quarantine all the same, as somebody broke the glass")] = False
    why_sha256: Annotated[Digest | None, about("of a salt, a newline and the words, kept apart: why")] = None
    seconds: Seconds = 0.0
    tenant: Tenant = "default"
    who: RecordedUser | None = None

    def __post_init__(self) -> None:
        left = sum(one.found_after for one in self.found if not one.kept)
        shown = self.head is not None and self.canaries and not self.not_shown
        if self.result == "PROVEN" and (left or not shown or any(one.late for one in self.found)):
            raise no_such_record("proven, and what it stands on has not shown that")
