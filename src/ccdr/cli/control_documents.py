"""What `ccdr controls --json` prints, and a report holds of it, as types."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.cli.document_base import Doc, Text, Time
from ccdr.evidence.records.values import about


class RecordBehindDocument(Doc):
    """A record that something rests on. `hash` is of its line, `ledger` whose it is where that is not ours: then no
    hash is told."""

    seq: int
    hash: Text
    time: Time
    kind: str
    ledger: Text


ControlState = Literal["contradicted", "expired", "shown", "stated", "nothing"]


class CountsDocument(Doc):
    """How many parts are in each state."""

    contradicted: int
    expired: int
    shown: int
    stated: int
    nothing: int


class StatedDocument(Doc):
    """Whose word it rests on: a statement never counts as shown."""

    by: str
    until: Annotated[Text, about("null: what they stated has no end")]
    signature: Annotated[
        Literal["verified", "not verified", "unsigned"],
        about("`verified` by the signers of this host, on the last daily look; otherwise `by` is a claim"),
    ]


class ObservedDocument(Doc):
    """What one part shows of one place: a plan, one of its assets, or (both null) this host."""

    state: ControlState
    text: str
    plan: Text
    asset: Text
    records: list[RecordBehindDocument]
    next_step: Text
    acknowledged: Annotated[Text, about("until when, where a person has taken note of it")]
    stated: Annotated[StatedDocument | None, about("null: it does not rest on a person's word")]


class PartDocument(Doc):
    """Its state is the worst that was observed: contradicted, expired, nothing, stated, shown."""

    id: str
    title: str
    state: ControlState
    who_must_attest: Annotated[Text, about("who, where nothing shows something of it")]
    observed: list[ObservedDocument]


class MeasureDocument(Doc):
    """One of the twelve. Its parts that are contradicted come first, then those that are expired."""

    id: str
    title: str
    counts: CountsDocument
    evidence: Annotated[list[RecordBehindDocument], about("all records behind it, each once")]
    parts: list[PartDocument]


class RequirementDocument(Doc):
    """What one article or control asks for; `counts` is of the parts of its `measures`, each once."""

    id: str
    counts: CountsDocument
    quote: Annotated[Text, about("a law's own words")]
    words: Annotated[Text, about("what it asks for, in other words than a standard's own")]
    measures: Annotated[list[str], about("measures, or parts of one as measure/part")]


class FrameworkDocument(Doc):
    id: str
    title: str
    kind: Literal["law", "standard"]
    source: str
    requirements: list[RequirementDocument]


class ControlFileDocument(Doc):
    file: Annotated[Text, about("null: the one that comes with ccdr")]
    sha256: str


class Measures(Doc):
    measures: list[MeasureDocument]
    frameworks: list[FrameworkDocument]
    map: ControlFileDocument
    floors: ControlFileDocument
