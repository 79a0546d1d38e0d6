"""Records of plans: their versions, and where a version's files were stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from ccdr.evidence.records.values import Record
from ccdr.model.kinds import Count, Digest, Value, about
from ccdr.plans.facts import PlanFacts
from ccdr.plans.versions import PlanRevision


class Predecessor(Value, frozen=True, kw_only=True, gc=False):
    """The version that was in force before, and its record."""

    digest: Digest
    seq: Count


class PlanVersion(Record, frozen=True, kw_only=True, gc=False):
    """A plan, or a restore test that it names, is another than before: in force from here on. Without assets: the plan
    is no more."""

    kind: Literal["plan.version"] = "plan.version"
    version: Literal[4] = 4
    digest: Annotated[Digest, about("of the lines that sha256sum writes of its files, in the order of their names")]
    predecessor: Predecessor | None
    files: Annotated[dict[str, Digest], about("SHA-256 of each file, by its name")]
    facts: PlanFacts


class PlanStored(Record, frozen=True, kw_only=True, gc=False):
    """A version's files were stored in the plan's repository."""

    kind: Literal["plan.stored"] = "plan.stored"
    version: Literal[4] = 4
    digest: Digest
    snapshot: Digest
    repository: Annotated[Digest, about("SHA-256 of the repository's address")]


def version_of(record: PlanVersion) -> PlanRevision:
    before = record.predecessor
    return PlanRevision(
        plan=str(record.plan),
        digest=record.digest,
        facts=record.facts,
        order=record.order,
        at=record.time,
        actor=record.actor,
        before=None if before is None else before.digest,
        files=record.files,
        number=record.seq,
        ledger=record.of_ledger,
    )


def newest_of_each(records: Iterable[Record]) -> dict[str, PlanRevision | None]:
    """By plan, of records of versions, the newest first; None where this ccdr cannot read the newest: what was before
    it is not in force."""
    newest: dict[str, PlanRevision | None] = {}
    for record in records:
        newest.setdefault(str(record.plan), version_of(record) if isinstance(record, PlanVersion) else None)
    return newest
