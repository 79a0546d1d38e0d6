"""What has to be notified after an incident, and how soon: the file that comes with ccdr, or a user's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ccdr.model.deadlines import Length
from ccdr.model.errors import PlanInvalid, UsageProblem
from ccdr.model.schema import Duration, Name, Strict, Text, parse_duration
from ccdr.plans.own_file import OwnFile
from ccdr.plans.problems import meant
from ccdr.plans.shape import editor_schema
from ccdr.plans.yamlfile import Document, Where, YamlProblem, mapping_at

BESIDE = "incidents.yaml"  # beside the directory of plans
LONGEST_LAW = 60  # characters that records hold
LONGEST_YEAR = 366 * 86400.0  # seconds

Role = Literal["controller", "processor"]
Receiver = Literal["authority", "customers", "media"]


class PlanIncidents(Strict):
    """What an incident of this plan has to be notified by."""

    role: Role = Field(
        "controller", description="what the organisation is of the plan's data, by GDPR 4(7) and (8): whom it notifies"
    )
    clocks: tuple[Name, ...] | None = Field(
        None, description="what has to be notified, by its names in incidents.yaml; those of the role unless said"
    )


def _within(text: str) -> str:
    parse_duration(text)
    return text


def _short(text: str) -> str:
    if len(text) > LONGEST_LAW:
        raise ValueError(
            f"has {len(text)} characters, expected at most {LONGEST_LAW}: an article, or a contract's name"
        )
    return text


class Clock(Strict):
    """One notification that a law, a contract or a rule of one's own asks for."""

    law: Annotated[Text, AfterValidator(_short)] = Field(description="the article, or the contract")
    to: Receiver = Field(description="`customers` are the controllers where the role is processor, else the persons")
    within: Annotated[Text, AfterValidator(_within)] | None = Field(
        None, description="so many elapsed hours (72h), or calendar days (60d)"
    )
    months: int | None = Field(None, ge=1, le=120, description="or so many calendar months")
    after: Name | None = Field(None, description="counted from when this clock's notification was filed")
    since: Literal["aware", "year_end", "stated"] = Field(
        "aware",
        description="counted from when the organisation became aware of it; `year_end`: from the end of the calendar "
        "year in which it did; `stated`: from when a person says, with `--since`, so that no incident has it from the "
        "beginning",
    )
    told_before: Duration | None = Field(
        None, description="how long before it is due ccdr tells of it; a quarter of its time unless said"
    )
    quote: Text | None = Field(None, description="the law's own words")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.within is None) == (self.months is None):
            raise ValueError("says not how long it is, expected one of `within` and `months`")
        if self.after is not None and self.since != "aware":
            raise ValueError(f"is counted from two times, expected one of `after` and `since: {self.since}`")
        return self

    @property
    def length(self) -> Length:
        if self.within is None:
            return Length(months=self.months or 0)
        return Length(parse_duration(self.within), days=self.within.endswith("d"))

    @property
    def about(self) -> float:
        """Seconds that it gives, by which one file is compared with another: from a year's end, a year more."""
        return self.length.about.total_seconds() + (LONGEST_YEAR if self.since == "year_end" else 0)

    @property
    def before(self) -> float:
        """Seconds before it is due."""
        return self.told_before if self.told_before is not None else self.length.about.total_seconds() / 4


class Roles(Strict):
    """The clocks of an incident whose plan names none."""

    controller: tuple[Name, ...] = Field((), description="where the organisation decides on the data")
    processor: tuple[Name, ...] = Field((), description="where it works for others")


class IncidentClocks(Strict):
    """What has to be notified after an incident, to whom, and how soon."""

    roles: Roles = Field(description="which clocks an incident has, where the plan does not say")
    clocks: Annotated[dict[Name, Clock], Field(min_length=1)] = Field(description="by a short name")

    def of(self, incidents: PlanIncidents) -> tuple[str, ...]:
        """Those that an incident of such a plan has; the plan may name some that there are not."""
        named = incidents.clocks
        return named if named is not None else getattr(self.roles, incidents.role)

    def complete(self, names: Iterable[str]) -> list[str]:
        """These, each behind what it is counted from: without that one nobody could tell when it is due. KeyError where
        there is none of a name."""
        found: dict[str, None] = {}
        for name in names:
            chain = [name]
            while (after := self.clocks[chain[-1]].after) is not None and after not in chain:
                chain.append(after)
            found |= dict.fromkeys(reversed(chain))
        return list(found)


class LoadedClocks(OwnFile[IncidentClocks]):
    """A file of clocks that is right."""

    @property
    def shown(self) -> str:
        return str(self.path or f"ccdr's own {BESIDE}")


def load_clocks(path: Path | None) -> LoadedClocks:
    """PlanInvalid with every mistake; UsageProblem where it cannot be read."""
    hint = "`ccdr incident clocks --print` prints one that is right"
    return LoadedClocks.load(IncidentClocks, BESIDE, path, hint, _across)


def clocks_beside(plans: Path) -> LoadedClocks:
    """The one beside the directory of plans, or the one that comes with ccdr. Raises as `load_clocks`."""
    beside = plans.parent / BESIDE
    return load_clocks(beside) if beside.exists() else _own()


def lengths_of(incidents: PlanIncidents, plans: Path) -> dict[str, float]:
    """What an incident of such a plan has to be notified by, and within how many seconds, as a recovery takes it: where
    the file beside the plans is wrong, by ccdr's own. CcdrError where the disk refuses."""
    try:
        clocks = clocks_beside(plans).value
    except (PlanInvalid, UsageProblem):
        clocks = _own().value
    named = [name for name in clocks.of(incidents) if name in clocks.clocks and clocks.clocks[name].since != "stated"]
    return {name: clocks.clocks[name].about for name in sorted(clocks.complete(named))}


@cache
def _own() -> LoadedClocks:
    return load_clocks(None)


def clocks_schema() -> dict[str, Any]:
    """JSON Schema of such a file, for editors."""
    return editor_schema(IncidentClocks)


def unknown_of(names: Sequence[str], known: Mapping[str, object]) -> Iterator[tuple[int, str]]:
    """Of a list of clocks those that there are not, by their places, and what may be meant."""
    for index, name in enumerate(names):
        if name not in known:
            yield index, f"is no clock, {meant(name, known)}"


def stated_of(names: Sequence[str], known: Mapping[str, Clock]) -> Iterator[tuple[int, str]]:
    """Of a list of clocks those that no incident has from the beginning, by their places."""
    for index, name in enumerate(names):
        if name in known and known[name].since == "stated":
            yield (
                index,
                f"is counted from when a person says, expected: ccdr incident note ID --clock {name} --since TIME",
            )


def _across(document: Document) -> Iterator[YamlProblem]:
    """What no single field shows; from the data, so that it is told with the fields' own problems."""
    clocks, roles = mapping_at(document.data, "clocks"), mapping_at(document.data, "roles")
    for role, named in roles.items():
        if isinstance(named, list) and all(isinstance(one, str) for one in named):
            for index, message in unknown_of(named, clocks):
                yield _problem(document, ("roles", role, index), message)
            for index, name in enumerate(named):
                if isinstance(of := clocks.get(name), dict) and of.get("since") == "stated":
                    message = "is counted from when a person says (`since: stated`), expected none such"
                    yield _problem(document, ("roles", role, index), message)
    for name, stated in clocks.items():
        after = stated.get("after") if isinstance(stated, dict) else None
        if not isinstance(after, str):
            continue
        for _, message in unknown_of([after], clocks):
            yield _problem(document, ("clocks", name, "after"), message)
        if name in _before(name, clocks):
            yield _problem(document, ("clocks", name, "after"), "comes back to itself, expected a clock that ends")


def _before(name: str, clocks: Mapping[str, Any]) -> list[str]:
    """What it follows, one after another."""
    found: list[str] = []
    at: Any = name
    while isinstance(stated := clocks.get(at), dict) and isinstance(at := stated.get("after"), str) and at not in found:
        found.append(at)
    return found


def _problem(document: Document, at: Where, message: str) -> YamlProblem:
    return YamlProblem(document.line(at), at, message)
