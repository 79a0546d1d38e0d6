"""What is wrong with what people state and sign: it is not theirs, or its time is up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ccdr.evidence.acknowledged import acknowledged
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import ACCESS_REVIEWED
from ccdr.evidence.records import StatementRecord
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.statements import ATTESTATION, judge
from ccdr.evidence.whose import whose
from ccdr.model.trouble import Problem, Trouble

WHAT = {ATTESTATION: "a declaration", ACCESS_REVIEWED: "a review of who has access"}


def refusal(record: StatementRecord) -> str:
    by = whose(record)
    return f"record {record.seq} says that {by.name} has signed it, and that does not hold: {by.why}"


def refused(history: AssetHistory) -> Iterator[Problem]:
    """Statements that count for nothing, and of whose absence nothing else tells."""
    for record in history.refused:
        if (what := WHAT.get(kind := kind_of(record))) is not None:
            about = f"{kind} {record.seq}"
            text = f"{what} is nobody's, and counts for nothing: {refusal(record)}"
            yield Problem(Trouble.STATEMENT_REFUSED, text, record.time, about=about)


def judge_people(host: AssetHistory, now: datetime) -> tuple[Problem, ...]:
    """Of what people have attested: what is not theirs, what is stale, and what will be within a month."""
    return tuple(acknowledged((*refused(host), *judge(host.attested, now)), host.acks, now))
