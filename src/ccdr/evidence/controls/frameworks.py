"""What laws and standards ask for, each requirement in the state of the measures that answer it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ccdr.evidence.controls.values import ControlState, MeasureState, worst_state
from ccdr.plans.control_map import Framework, LoadedMap, Requirement


@dataclass(frozen=True)
class RequirementState:
    """One article, or control; the worst of its measures wins."""

    number: str
    requirement: Requirement
    state: ControlState

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.number,
            "state": self.state.value,
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

    def count(self, state: ControlState) -> int:
        return sum(one.state is state for one in self.requirements)

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
    states = dict(_states(measures))
    return [
        FrameworkState(name, one, tuple(_judged(number, asked, states) for number, asked in one.requirements.items()))
        for name, one in loaded.value.frameworks.items()
    ]


def _states(measures: Sequence[MeasureState]) -> Iterator[tuple[str, ControlState]]:
    for measure in measures:
        yield measure.measure.id, measure.state
        yield from ((f"{measure.measure.id}/{part.part.id}", part.state) for part in measure.parts)


def _judged(number: str, requirement: Requirement, states: Mapping[str, ControlState]) -> RequirementState:
    return RequirementState(number, requirement, worst_state(states[named] for named in requirement.measures))
