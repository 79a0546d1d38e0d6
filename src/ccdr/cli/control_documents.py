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


ControlState = Literal["evidence_present", "failing", "stale", "not_covered"]


class ObservedDocument(Doc):
    """What one part shows of one place: a plan, one of its assets, or (both null) this host."""

    state: ControlState
    text: str
    plan: Text
    asset: Text
    records: list[RecordBehindDocument]
    next_step: Text
    acknowledged: Annotated[Text, about("until when, where a person has taken note of it")]


class PartDocument(Doc):
    id: str
    title: str
    state: ControlState
    who_must_attest: Annotated[Text, about("who, where something of it is not covered")]
    observed: list[ObservedDocument]


class MeasureDocument(Doc):
    """One of the twelve. `state` is the worst of its parts': failing, stale, not_covered, evidence_present."""

    id: str
    title: str
    state: ControlState
    evidence: Annotated[list[RecordBehindDocument], about("all records behind it, each once")]
    parts: list[PartDocument]


class RequirementDocument(Doc):
    """What one article or control asks for; the worst of its `measures` is its state."""

    id: str
    state: ControlState
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
