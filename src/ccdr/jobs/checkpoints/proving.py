"""One record's proof, made: its line, its place in the tree, and a checkpoint that it leads to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.evidence.checkpoints.checkpoint import Checkpoint
from ccdr.evidence.checkpoints.merkle import Path as AuditPath
from ccdr.evidence.checkpoints.merkle import leaf_hash
from ccdr.evidence.checkpoints.names import ANCHORS
from ccdr.evidence.checkpoints.proof import Proof
from ccdr.evidence.ledger.places import extent_of, lines
from ccdr.jobs.checkpoints.kept import checkpoints_in, directory_of
from ccdr.jobs.checkpoints.making import make
from ccdr.jobs.services import Services
from ccdr.model.errors import LedgerBroken, UsageProblem


@dataclass(frozen=True)
class Proven:
    """A record's proof, and the receipts of anchors of its checkpoint: files, by their names."""

    proof: Proof
    kind: str
    receipts: Sequence[Path]


def prove(services: Services, run: str, records: int | None = None) -> Proven:
    """The proof of a run's end against the checkpoint of so many `records`; else against the first one behind it that
    has an anchor, or the newest; one is made where there is none yet. UsageProblem where there is no such run or
    checkpoint, LedgerBroken where the ledger is not as the checkpoint says."""
    seq, kind = _end_of(services, run)
    ledger = services.lineage().ledger
    there = directory_of(services.state, ledger or "")
    checkpoint = _checkpoint(services, there, seq, records)
    path, line = AuditPath(seq - 1), b""
    for number, one in enumerate(lines(services.ledger.directory, extent_of(services.ledger.directory)), start=1):
        if number > checkpoint.size:
            break
        path.append(leaf_hash(one))
        if number == seq:
            line = one
    made = Proof(seq - 1, tuple(path.proof()), checkpoint, line) if path.tree.size == checkpoint.size else None
    if made is None or not made.holds():
        raise LedgerBroken(
            f"the ledger is not as its checkpoint of {checkpoint.size} records says: it was changed since",
            hint="`ccdr ledger verify` lists all damage",
        )
    return Proven(made, kind, _receipts(there, checkpoint.size))


def _end_of(services: Services, run: str) -> tuple[int, str]:
    for record in services.ledger.records(reverse=True):
        if record.get("run") == run and str(record["kind"]).endswith(".end"):
            return int(record["seq"]), str(record["kind"])
    raise UsageProblem(
        f"no run {run} ended in this ledger",
        hint="`ccdr ledger show --kind restore_test.end --json` lists them: their `run`",
    )


def _checkpoint(services: Services, there: Path, seq: int, records: int | None) -> Checkpoint:
    found, _ = checkpoints_in(there)
    behind = [one for one in found if one.size >= seq]
    if records is not None:
        asked = next((one for one in behind if one.size == records), None)
        if asked is None:
            sizes = ", ".join(str(one.size) for one in behind[-5:]) or "none"
            raise UsageProblem(
                f"there is no checkpoint of {records} records that holds record {seq}", hint=f"the newest: {sizes}"
            )
        return asked
    anchored = next((one for one in behind if _receipts(there, one.size)), None)
    return anchored or (behind[-1] if behind else make(services).checkpoint)


def _receipts(there: Path, size: int) -> list[Path]:
    return sorted((there / ANCHORS).glob(f"{size:012}.*")) if (there / ANCHORS).is_dir() else []
