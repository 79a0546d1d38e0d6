"""What laws and standards ask for, each requirement with the parts of measures that answer it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ccdr.evidence.controls.values import Counts, MeasureState, PartState, counted, in_words
from ccdr.plans.control_map import Framework, LoadedMap, Requirement


@dataclass(frozen=True)
class RequirementState:
    """One article, or control, and the parts of measures that answer it."""

    number: str
    requirement: Requirement
    parts: tuple[PartState, ...]

    @property
    def counts(self) -> Counts:
        return counted(self.parts)

    @property
    def tally(self) -> str:
        return in_words(self.counts)

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.number,
            "counts": self.counts,
            "quote": self.requirement.quote,
            "words": self.requirement.words,
            "measures": list(self.requirement.measures),
        }


@dataclass(frozen=True)
class FrameworkState:
    """A law or a standard, and how it stands with what it asks for."""

    name: str
    framework: Framework
    requirements: tuple[RequirementState, ...]

    @property
    def counts(self) -> Counts:
        """Of all parts that its requirements ask for, each once."""
        return counted(_each_once(part for one in self.requirements for part in one.parts))

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.name,
            "title": self.framework.title,
            "kind": self.framework.kind,
            "source": self.framework.source,
            "requirements": [one.as_json() for one in self.requirements],
        }


def judge_frameworks(loaded: LoadedMap, measures: Sequence[MeasureState]) -> list[FrameworkState]:
    """By a map that names only measures and parts that there are."""
    named = {measure.measure.id: measure.parts for measure in measures}
    named |= {f"{measure}/{part.part.id}": (part,) for measure, parts in [*named.items()] for part in parts}
    return [
        FrameworkState(name, one, tuple(_judged(number, asked, named) for number, asked in one.requirements.items()))
        for name, one in loaded.value.frameworks.items()
    ]


def _judged(number: str, requirement: Requirement, named: Mapping[str, tuple[PartState, ...]]) -> RequirementState:
    return RequirementState(
        number, requirement, _each_once(part for one in requirement.measures for part in named[one])
    )


def _each_once(parts: Iterable[PartState]) -> tuple[PartState, ...]:
    return tuple({(one.part.measure, one.part.id): one for one in parts}.values())
