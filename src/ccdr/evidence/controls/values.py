"""What is said of a measure, by which records, and what its parts are asked of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Struct, structs, to_builtins

from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.history.folded import Placed
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.evidence.records.statements import StatementRecord, kind_of
from ccdr.evidence.whose import HOLDS, Whose
from ccdr.model.kinds import about
from ccdr.model.trouble import Problem
from ccdr.model.values import so_many, stamped
from ccdr.plans import LoadedPlan
from ccdr.plans.floors import Floors


class ControlState(StrEnum):
    """What is known of a part of a measure, in the order of telling. There is no word for more than evidence."""

    CONTRADICTED = "contradicted"
    EXPIRED = "expired"  # it was shown, or stated, until a time that is past
    SHOWN = "shown"  # by records of what was done
    STATED = "stated"  # by a person; no record of what was done shows it
    NOTHING = "nothing"  # somebody must state it, or have it done


FINDINGS = (ControlState.CONTRADICTED, ControlState.EXPIRED)
WORST_FIRST = (*FINDINGS, ControlState.NOTHING, ControlState.STATED, ControlState.SHOWN)

Counts = Mapping[str, int]


def counted(parts: Iterable[PartState]) -> Counts:
    """How many of these are in each state."""
    states = [part.state for part in parts]
    return {state.value: states.count(state) for state in ControlState}


def in_words(counts: Counts) -> str:
    """`3 of 5 parts shown, 1 stated, 1 nothing`."""
    shown = f"{counts[ControlState.SHOWN]} of {so_many(sum(counts.values()), 'part')} shown"
    others = (f"{count} {state}" for state, count in counts.items() if count and state != ControlState.SHOWN)
    return ", ".join((shown, *others))


class RecordBehind(Struct, frozen=True):
    """A record that something rests on. `hash` is of its line, `ledger` whose it is where that is not ours: then no
    hash is told."""

    seq: int
    time: Annotated[str, about("RFC 3339, UTC")]
    kind: str
    ledger: str | None = None
    hash: str | None = None

    @classmethod
    def of(cls, record: Placed) -> RecordBehind:
        kind = kind_of(record) if isinstance(record, StatementRecord) else record.kind
        return cls(record.seq, stamped(record.time), kind, record.of_ledger)


class SignatureState(StrEnum):
    VERIFIED = "verified"  # by who may sign now
    NOT_VERIFIED = "not verified"  # whose it is, the record claims
    UNSIGNED = "unsigned"

    @classmethod
    def of(cls, given: Whose) -> SignatureState:
        if not given.signed:
            return cls.UNSIGNED
        return cls.VERIFIED if given.state == HOLDS else cls.NOT_VERIFIED


class StatedBy(Struct, frozen=True):
    """Whose word it rests on: a statement never counts as shown."""

    by: str
    until: Annotated[datetime | None, about("null: what they stated has no end")]
    signature: Annotated[
        SignatureState,
        about("`verified` by this host's signers, on the last daily look; otherwise `by` is a claim"),
    ]

    def __str__(self) -> str:
        until = f" until {self.until:%Y-%m-%d}" if self.until else ""
        return f"stated by {self.by}{until} ({self.signature})"


class Observed(Struct, frozen=True, rename={"step": "next_step"}):
    """What one part shows of one place: a plan, one of its assets, or (both null) this host."""

    state: ControlState
    text: str
    plan: str | None = None
    asset: str | None = None
    records: tuple[RecordBehind, ...] = ()
    step: str | None = None
    acknowledged: Annotated[datetime | None, about("until when, where a person has taken note of it")] = None
    stated: Annotated[StatedBy | None, about("null: it does not rest on a person's word")] = None

    @property
    def where(self) -> str:
        return "/".join(part for part in (self.plan, self.asset) if part)

    @property
    def finding(self) -> bool:
        return self.state in FINDINGS and self.acknowledged is None


def behind(*records: Placed | None) -> tuple[RecordBehind, ...]:
    """Those that there are, each once, in the ledger's order."""
    there = {RecordBehind.of(record) for record in records if record is not None}
    return tuple(sorted(there, key=lambda one: (one.ledger or "", one.seq)))


def by_problem(
    state: ControlState, problem: Problem, plan: str, asset: str | None, *records: Placed | None
) -> Observed:
    """What is wrong, as the judgement has it."""
    return Observed(state, problem.text, plan, asset, behind(*records), problem.step, problem.acknowledged)


Query = Callable[["Known"], Iterator[Observed]]


@dataclass(frozen=True)
class Part:
    """One thing that belongs to a measure. `shows` asks for it; `owner` says who must state, or have done, what
    nothing shows."""

    id: str
    measure: str
    title: str
    owner: str
    shows: Query


@dataclass(frozen=True)
class Measure:
    id: str
    title: str


@dataclass(frozen=True)
class PartState:
    """A part, and what was found of it: the worst of that is its state, where nothing was found nothing."""

    part: Part
    observed: tuple[Observed, ...]

    @property
    def state(self) -> ControlState:
        return min((one.state for one in self.observed), key=WORST_FIRST.index, default=ControlState.NOTHING)

    @property
    def is_wrong(self) -> bool:
        return self.state in FINDINGS

    @property
    def finding(self) -> bool:
        return any(one.finding for one in self.observed)

    @property
    def owner(self) -> str | None:
        """Who must state it, where nothing shows something of it."""
        lacking = not self.observed or any(one.state is ControlState.NOTHING for one in self.observed)
        return self.part.owner if lacking else None

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.part.id,
            "title": self.part.title,
            "state": self.state.value,
            "who_must_attest": self.owner,
            "observed": to_builtins(self.observed),
        }


@dataclass(frozen=True)
class MeasureState:
    """A measure, and how it stands with each of its parts: no part speaks for another."""

    measure: Measure
    parts: tuple[PartState, ...]

    @property
    def counts(self) -> Counts:
        return counted(self.parts)

    @property
    def tally(self) -> str:
        return in_words(self.counts)

    @property
    def finding(self) -> bool:
        return any(part.finding for part in self.parts)

    @property
    def evidence(self) -> tuple[RecordBehind, ...]:
        """All records behind it, each once."""
        there = dict.fromkeys(one for part in self.parts for seen in part.observed for one in seen.records)
        return tuple(sorted(there, key=lambda one: (one.ledger or "", one.seq)))

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.measure.id,
            "title": self.measure.title,
            "counts": self.counts,
            "evidence": to_builtins(self.evidence),
            "parts": [part.as_json() for part in self.parts],
        }


def with_digests(measures: Iterable[MeasureState], digest_of: Callable[[int], str | None]) -> list[MeasureState]:
    """With the hash of each record of our own ledger."""
    known: dict[int, str | None] = {}

    def looked_up(one: RecordBehind) -> RecordBehind:
        if one.ledger is not None:
            return one
        if one.seq not in known:
            known[one.seq] = digest_of(one.seq)
        return structs.replace(one, hash=known[one.seq])

    def seen(one: Observed) -> Observed:
        return structs.replace(one, records=tuple(map(looked_up, one.records)))

    return [
        replace(m, parts=tuple(replace(p, observed=tuple(map(seen, p.observed))) for p in m.parts)) for m in measures
    ]


# What the parts of a measure are asked of: what the ledger came to (the one fold), how each asset was judged by it,
# and what else is known at that moment. Values; nothing here looks anything up.


@dataclass(frozen=True)
class PlanKnown:
    """One plan as it is judged: `care` is what is wrong with its repository, its copies, its secrets."""

    loaded: LoadedPlan
    statuses: Sequence[AssetStatus]
    care: Sequence[Problem] = ()

    @property
    def name(self) -> str:
        return self.loaded.plan.plan


@dataclass(frozen=True)
class Known:
    """At one moment."""

    now: datetime
    plans: Sequence[PlanKnown]
    histories: Histories
    lineage: Lineage = field(default_factory=Lineage)
    of_ledger: Sequence[Problem] = ()
    of_people: Sequence[Problem] = ()  # what is wrong with attestations
    floors: Floors = field(default_factory=Floors)  # what is asked of versions
    lowered: Mapping[str, str] = field(default_factory=dict)  # where that is less than ccdr's own: by program, or `tls`

    def history(self, plan: str | None, asset: str | None = None) -> AssetHistory:
        """Of an asset; without one, of the plan itself; without a plan, of the host."""
        return self.histories.get((plan, asset), AssetHistory())

    @property
    def assets(self) -> Iterator[tuple[PlanKnown, AssetStatus]]:
        for plan in self.plans:
            for status in plan.statuses:
                yield plan, status
