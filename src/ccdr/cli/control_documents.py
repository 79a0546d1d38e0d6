"""What `ccdr controls --json` prints, and a report holds of it, as types."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.cli.document_base import Doc, Text
from ccdr.evidence.controls.values import ControlState, Observed, RecordBehind
from ccdr.model.kinds import about


class CountsDocument(Doc):
    """How many parts are in each state."""

    contradicted: int
    expired: int
    shown: int
    stated: int
    nothing: int


class PartDocument(Doc):
    """Its state is the worst that was observed: contradicted, expired, nothing, stated, shown."""

    id: str
    title: str
    state: ControlState
    who_must_attest: Annotated[Text, about("who, where nothing shows something of it")]
    observed: tuple[Observed, ...]


class MeasureDocument(Doc):
    """One of the twelve. Its parts that are contradicted come first, then those that are expired."""

    id: str
    title: str
    counts: CountsDocument
    evidence: Annotated[tuple[RecordBehind, ...], about("all records behind it, each once")]
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
