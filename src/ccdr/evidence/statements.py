"""What people sign, of whatever kind: which text the signature of a record is of. Pure.

A name in a record is a claim of whoever wrote it. Whose a signature is, says the file of who may sign that a verifier
has: `ccdr.jobs.statements` asks `ssh-keygen` by it; `ccdr.evidence.whose` tells what became of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ccdr.evidence.ledger.places import extent_of, lines
from ccdr.evidence.records import decode
from ccdr.evidence.records.statements import TABLE, StatementRecord, kind_of
from ccdr.evidence.verdicts import Record

SIGNATURE = b"-----BEGIN SSH SIGNATURE-----"  # a line without it is of no signed record


@dataclass(frozen=True)
class Signed:
    """A text, what it was signed for, and who has signed it as the record claims."""

    text: str
    namespace: str
    by: Mapping[str, Any]


def signatures_of(record: Record) -> list[Signed]:
    """Those of a statement's record, none where nobody has signed it."""
    row = TABLE[kind_of(record)]
    by = {"requested": row.asked, "by": row.namespace}
    there = {name: namespace for name, namespace in by.items() if namespace and record.get(name)}
    text = row.recorded(record).text() if there else ""
    return [Signed(text, namespace, record[name]) for name, namespace in there.items()]


def signed_in(directory: Path) -> list[Record]:
    """Every record of a ledger that somebody has signed, in order."""
    every = map(signed_record, lines(directory, extent_of(directory)))
    return [record for record in every if record is not None]


def signed_record(line: bytes) -> Record | None:
    """A line's record, whole, where somebody has signed it; what is no record is left to the verification."""
    if SIGNATURE not in line:
        return None
    try:
        record = decode(line)
    except ValueError:
        return None
    if not isinstance(record, StatementRecord):
        return None
    whole: Record = msgspec.to_builtins(record)
    return whole
