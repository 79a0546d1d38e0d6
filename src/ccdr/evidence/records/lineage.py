"""Records of the ledger as a whole: which one it is, what became of the one before, what repositories attest of it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from ccdr.evidence.records.values import Reason, Record
from ccdr.model.kinds import Count, Digest, Time, Value, about

LedgerId = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{32}$", "description": "a ledger's random id"})]


class PredecessorLedger(Value, frozen=True, kw_only=True, gc=False):
    """The ledger that was here before, and its last record that is known."""

    ledger: LedgerId
    last_seq: Count
    last_head: Digest


class LedgerBegin(Record, frozen=True, kw_only=True, gc=False):
    """Which ledger this is, from record `from` on."""

    kind: Literal["ledger.begin"] = "ledger.begin"
    version: Literal[4] = 4
    ledger: LedgerId
    since: int = field(name="from")
    installation: Annotated[str, about("a digest that tells this state directory, on this host, from others")]
    predecessor: PredecessorLedger | None = None


class LedgerLost(Record, frozen=True, kw_only=True, gc=False):
    """A repository tells of a ledger of this installation's that this one does not follow."""

    kind: Literal["ledger.lost"] = "ledger.lost"
    version: Literal[4] = 4
    ledger: LedgerId
    last_seq: Count
    last_head: Digest


class LedgerLinked(Record, frozen=True, kw_only=True, gc=False):
    """These ledgers were brought back, and lie beside this one."""

    kind: Literal["ledger.linked"] = "ledger.linked"
    version: Literal[4] = 4
    ledgers: list[LedgerId]
    records: Count
    head: Digest
    missing: Annotated[Count, about("records of it that are lost, as far as snapshots tell")]
    reason: Reason = None


class LedgerCollected(Record, frozen=True, kw_only=True, gc=False):
    """Another host's ledger was taken in, or more of it: it lies beside this one, and is read with it."""

    kind: Literal["ledger.collected"] = "ledger.collected"
    version: Literal[4] = 4
    ledger: LedgerId
    of_host: Annotated[str, about("whose it is, by its last record")]
    records: Annotated[Count, about("it had then")]
    head: Annotated[Digest, about("the hash of its last record")]
    until: Annotated[Time, about("its last record's: beyond that nothing is known from it")]
    apart: Annotated[
        list[str],
        about("plans that it has in common with this host by name, but no snapshot of: nothing of them is read"),
    ] = []


class LedgerCompared(Record, frozen=True, kw_only=True, gc=False):
    """What the snapshots in a plan's repository attest of this ledger."""

    kind: Literal["ledger.compared"] = "ledger.compared"
    version: Literal[4] = 4
    result: Literal["AGREES", "DIFFERS"]
    reason: Reason = None
    snapshots: Annotated[Count, about("that attest it")]
    elsewhere: Annotated[Count, about("that attest other ledgers, which are not known here")]
    newest: Annotated[int | None, about("the newest record that one of them attests")]
    problems: Annotated[list[str], about("the first of them, as sentences of ours")] = []
    vanished: Annotated[
        dict[str, list[Digest]] | None,
        about(
            "by asset: snapshots that are gone from there, and no retention has removed; null: it was not looked for"
        ),
    ] = None
    whole: Annotated[bool, about("were all of its snapshots looked at? false: only the newest")]
    strangers: Annotated[
        list[LedgerId] | None,
        about("ledgers that they attest, and nobody knows here; null: not all were looked at"),
    ] = None
