"""What `ccdr erasure` prints with `--json`, as types."""

from __future__ import annotations

from typing import Annotated

from ccdr.cli.document_base import Doc, Map, Text
from ccdr.jobs.erasure.horizon import Horizon
from ccdr.model.erasure import EntryFound
from ccdr.model.kinds import about


class ErasureEntry(Doc):
    """Of the register; nobody is named."""

    plan: str
    asset: str
    entry: str
    what: Annotated[str, about("rows, keys or files")]
    canary: bool
    erased_at: str
    added_at: str
    pseudonym: Annotated[str, about("HMAC-SHA-256 of by what they are found, by the register's own key")]
    person: Annotated[Text, about("the same of what the owner calls them by: one for their entries in all assets")]


class ErasureListed(ErasureEntry):
    found_before: Annotated[int, about("the most that a replay has found of it; 0: none has found anybody")]
    state: Annotated[str, about("canary, found, late, never_found, not_looked_for, not_due, stated")]
    gone_by: Annotated[Text, about("in no copy from then on, locks included; null: never, or of a canary")]
    copies: list[Horizon]


class ErasureAdded(ErasureListed):
    """`known`: the same was there already, and nothing was added."""

    entries: int
    known: bool
    about: Annotated[Text, about("what a request for its approval is about; null where it takes none")]
    unlooked: Annotated[
        Text,
        about(
            "why nobody could look whether its tables and columns are there: no_snapshot, tables_not_told or "
            "columns_not_told of the newest snapshot; null: they are, or it names none"
        ),
    ]
    snapshot: Text
    record: Map | None


class ErasureRegister(Doc):
    plan: str
    head: Map | None
    entries: list[ErasureListed]


class ErasureProof(Doc):
    """Of one asset, restored into a sandbox."""

    plan: str
    asset: str
    verdict: Annotated[str, about("of the restore test")]
    result: Annotated[Text, about("PROVEN, ERASED (not all is shown) or FAILED; null where it came to no replay")]
    reason: Text
    snapshot: Text
    entries: list[EntryFound]
    canaries: int
    erased: int
    left: int
    record: Map | None


class ErasureReplayed(Doc):
    """Of what stands somewhere. `result` is null where the register holds nobody of the asset."""

    plan: str
    asset: str
    result: Text
    reason: Text
    entries: list[EntryFound]
    canaries: int
    erased: int
    left: int
    record: Map | None


class ErasureProofs(Doc):
    proofs: list[ErasureProof]


class ErasureWithdrawn(Doc):
    plan: str
    withdrawn: Annotated[str, about("the entry's id")]
    entries: Annotated[int, about("lines of the register, withdrawals among them")]
    snapshot: Text
    record: Map | None


class ErasureReviewed(Doc):
    reviewed: Annotated[list[Map], about("plan, asset, record: of the replay; or of what was stated of `entry`")]
