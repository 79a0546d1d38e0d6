"""What programs are to be at least, and how old things may get: the file that comes with ccdr, or a user's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ccdr.model.schema import Duration, Strict, Text, one_or_several
from ccdr.model.tls import Tls, number_of
from ccdr.plans.own_file import OwnFile
from ccdr.plans.shape import editor_schema

BESIDE = "floors.yaml"  # beside the directory of plans
TLS = "tls"
_NUMBERS = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,5}", re.ASCII)


def numbers_of(version: str) -> tuple[int, ...] | None:
    """The numbers that a version begins with, as it is compared: `11.8.9-MariaDB…` is 11, 8, 9. None where it begins
    with none."""
    found = _NUMBERS.match(version.strip())
    return tuple(map(int, found[0].split("."))) if found else None


def _version(text: str) -> str:
    if not _NUMBERS.fullmatch(text):
        raise ValueError("is no version, expected numbers with dots between them, like 17.6, in quotes")
    return text


Version = Annotated[Text, AfterValidator(_version)]
Versions = Annotated[
    tuple[Version, ...],
    Field(min_length=1),
    BeforeValidator(one_or_several),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
            ]
        }
    ),
]


class Ages(Strict):
    """How old things may get."""

    image: Duration = Field(180 * 86400.0, description="of what sandboxes run, since it was made")
    repository_key: Duration = Field(730 * 86400.0, description="of a repository's oldest password")
    secret_file: Duration = Field(730 * 86400.0, description="of a file that holds a secret, since it was written")
    versions: Duration = Field(31 * 86400.0, description="of the record that tells a version")


class Floors(Strict):
    """What programs are to be at least, and how old things may get."""

    versions: dict[Text, Versions] = Field(
        {}, description="by program: ccdr, restic, an engine, pg_dump …: one floor, or one for each major version"
    )
    tls: Version = Field("1.2", description="of each connection by TLS: its version, at least")
    ages: Ages = Field(Ages(), description="how old things may get")

    def below(self, program: str, version: str) -> str | None:
        """The floor that this version is below; None where it is not, or nothing is said of it."""
        numbers = numbers_of(version)
        floors = {found: text for text in self.versions.get(program, ()) if (found := numbers_of(text))}
        if numbers is None or not floors:
            return None
        major = [one for one in floors if one[0] == numbers[0]]
        line = [one for one in major if one[:2] == numbers[:2]]  # as of MariaDB, which looks after 11.4 and 11.8
        held_to = max(line) if line else major[0] if len(major) == 1 else min(floors)
        return floors[held_to] if _padded(numbers) < _padded(held_to) else None


def lowered(asked: Floors, ours: Floors) -> dict[str, str]:
    """What of these asks for less than ours, by program, or `tls`, in words. That a major version is not named is no
    less: it is held to another one."""
    found = {
        name: f"{name} {lower} ({floor})"
        for name, floors in ours.versions.items()
        for floor in floors
        for lower in asked.versions.get(name, ())
        if _less(lower, floor, lowest=floor == min(floors, key=lambda one: numbers_of(one) or ()))
    }
    if _padded(numbers_of(asked.tls) or (0,)) < _padded(numbers_of(ours.tls) or (0,)):
        found[TLS] = f"TLS {asked.tls} ({ours.tls})"
    return found


def _less(lower: str, floor: str, *, lowest: bool) -> bool:
    """Than the floor of its own major version, or than all of them."""
    asked, ours = numbers_of(lower) or (0,), numbers_of(floor) or (0,)
    return (lowest or asked[: len(ours) - 1] == ours[:-1]) and _padded(asked) < _padded(ours)


def below_tls(floors: Floors, spoken: Tls) -> bool:
    """Is this version of TLS older than the floor? One that nobody told is not."""
    if spoken.version is None:
        return False
    number = numbers_of(number_of(spoken.version) or "0")
    return number is None or _padded(number) < _padded(numbers_of(floors.tls) or (0,))


def _padded(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return (*numbers, *(0,) * (6 - len(numbers)))


LoadedFloors = OwnFile[Floors]


def load_floors(path: Path | None) -> LoadedFloors:
    """PlanInvalid with every mistake; UsageProblem where it cannot be read."""
    return LoadedFloors.load(Floors, BESIDE, path, "`ccdr controls --print floors` prints one that is right")


def floors_schema() -> dict[str, Any]:
    """JSON Schema of such a file, for editors."""
    return editor_schema(Floors)
