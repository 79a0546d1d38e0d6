"""What people sign, of whatever kind: which text the signature of a record is of. Pure.

A name in a record is a claim of whoever wrote it. Whose a signature is, says the file of who may sign that a verifier
has: `ccdr.jobs.statements` asks `ssh-keygen` by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ccdr.evidence import access, approvals, attested, sign_offs
from ccdr.evidence.deviations import accepted
from ccdr.evidence.deviations.values import ACCEPTED
from ccdr.evidence.history.kinds import ACCESS_REVIEWED
from ccdr.evidence.ledger.places import extent_of, lines
from ccdr.evidence.records import Unread, decode
from ccdr.evidence.verdicts import Record

SIGNATURE = b"-----BEGIN SSH SIGNATURE-----"  # a line without it is of no signed record


@dataclass(frozen=True)
class Signed:
    """A text, what it was signed for, and who has signed it as the record claims."""

    text: str
    namespace: str
    by: Mapping[str, Any]


def _of(kind: type[Any], namespace: str, by: str = "by") -> Callable[[Record], Iterator[Signed]]:
    def signed(record: Record) -> Iterator[Signed]:
        if record.get(by):
            yield Signed(kind.recorded(record).text(), namespace, record[by])

    return signed


def _used(record: Record) -> Iterator[Signed]:
    for by, namespace in (("requested", approvals.REQUESTED), ("approved", approvals.NAMESPACE)):
        yield from _of(approvals.Request, namespace, by)(record)


SIGNED: Mapping[str, Callable[[Record], Iterator[Signed]]] = {
    approvals.PLAN_APPROVED: _of(approvals.PlanToApprove, approvals.NAMESPACE),
    approvals.APPROVAL_USED: _used,
    approvals.GLASS_REVIEWED: _of(approvals.ToReview, approvals.NAMESPACE),
    attested.ATTESTATION: _of(attested.ToAttest, attested.NAMESPACE),
    ACCESS_REVIEWED: _of(access.ToReview, access.NAMESPACE),
    ACCEPTED: _of(accepted.ToAccept, accepted.NAMESPACE),
    sign_offs.SIGNED_OFF: _of(sign_offs.ToSignOff, sign_offs.NAMESPACE),
}


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
    if isinstance(record, Unread) or record.kind not in SIGNED:
        return None
    whole: Record = msgspec.to_builtins(record)
    return whole
