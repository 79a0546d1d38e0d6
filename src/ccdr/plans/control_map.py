"""Which measure answers what a law or a standard asks for: the map that comes with ccdr, or a user's own file.

A law is quoted, with its source. A standard that is sold is cited by number, in words of ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ccdr.model.schema import Name, Strict, Text
from ccdr.plans.own_file import OwnFile
from ccdr.plans.problems import meant
from ccdr.plans.shape import editor_schema
from ccdr.plans.yamlfile import Document, Where, YamlProblem, mapping_at

BESIDE = "controls.yaml"  # beside the directory of plans


class Requirement(Strict):
    """What one article or control asks for, and which measures show something of it."""

    quote: Text | None = Field(None, description="a law's own words, letter for letter")
    words: Text | None = Field(None, description="what it asks for, in other words than a standard's own")
    measures: Annotated[tuple[Text, ...], Field(min_length=1)] = Field(
        description="measures, or parts of one as `measure/part`: the worst of them is its state"
    )


class Framework(Strict):
    """A law or a standard."""

    title: Text = Field(description="what it is called")
    kind: Literal["law", "standard"] = Field(description="a law is quoted; a standard is cited by number alone")
    source: Text = Field(description="where its text is to be had")
    requirements: Annotated[dict[Text, Requirement], Field(min_length=1)] = Field(
        description='by its number, in quotes: `"12.10"` without them reads as 12.1'
    )


class ControlMap(Strict):
    """Laws and standards, and which of the twelve measures answers each of their requirements."""

    frameworks: Annotated[dict[Name, Framework], Field(min_length=1)] = Field(description="by a short name")


LoadedMap = OwnFile[ControlMap]


def load_map(path: Path | None, known: Mapping[str, Collection[str]]) -> LoadedMap:
    """`known` are the measures, with their parts. PlanInvalid with every mistake; UsageProblem where it cannot be
    read."""
    hint = "`ccdr controls --print map` prints one that is right"
    return LoadedMap.load(ControlMap, BESIDE, path, hint, lambda document: _across(document, known))


def map_schema() -> dict[str, Any]:
    """JSON Schema of a map, for editors."""
    return editor_schema(ControlMap)


def _across(document: Document, known: Mapping[str, Collection[str]]) -> Iterator[YamlProblem]:
    """What no single field shows; from the data, so that it is told with the fields' own problems."""
    for name, framework in mapping_at(document.data, "frameworks").items():
        kind = _mapping(framework).get("kind")
        for number, stated in mapping_at(framework, "requirements").items():
            requirement, where = _mapping(stated), ("frameworks", name, "requirements", number)
            for below, message in (*_wording(kind, requirement), *_unknown(requirement, known)):
                at: Where = (*where, *below)
                yield YamlProblem(document.line(at), at, message)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _wording(kind: Any, requirement: Mapping[str, Any]) -> Iterator[tuple[Where, str]]:
    if not requirement.keys() & {"quote", "words"}:
        yield (), "says nothing of what it asks for, expected `quote` (of a law) or `words`"
    if kind == "standard" and "quote" in requirement:
        yield ("quote",), "quotes a standard that is sold, expected `words` of your own"


def _unknown(requirement: Mapping[str, Any], known: Mapping[str, Collection[str]]) -> Iterator[tuple[Where, str]]:
    stated = requirement.get("measures")
    for index, named in enumerate(stated if isinstance(stated, list) else ()):
        if not isinstance(named, str):
            continue  # told as what it is
        measure, _, part = named.partition("/")
        if measure not in known:
            yield ("measures", index), f"is no measure, {meant(measure, known)}"
        elif "/" in named and part not in known[measure]:
            yield ("measures", index), f"is no part of the measure {measure}, {meant(part, known[measure])}"
