"""The vocabulary of plan files: strictness, durations, sizes, schedules, names, paths and secrets.

One spelling each, so that a plan reads one way only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from pathlib import Path, PosixPath
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)


class Strict(BaseModel):
    """Unknown keys are mistakes; values never change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"([1-9][0-9]{0,11})(B|KiB|MiB|GiB|TiB)", re.ASCII)
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def one_or_several(stated: object) -> object:
    """One, or a list of them, as a tuple."""
    return (stated,) if isinstance(stated, str) else tuple(stated) if isinstance(stated, list) else stated


def parse_duration(value: object) -> float:
    """`90s`, `15m`, `4h`, `35d` as seconds; ValueError for anything else."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not a duration, expected one like 90s, 15m, 4h or 35d")
    return float(int(match[1]) * _SECONDS[match[2]])


def parse_wait(value: object) -> float:
    """The same, or `0s`: no wait at all."""
    return 0.0 if value == "0s" else parse_duration(value)


def parse_size(value: object) -> int:
    """`512MiB`, `4GiB` as bytes; ValueError for anything else."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not a size, expected one like 512MiB or 4GiB")
    return int(match[1]) * _BYTES[match[2]]


def format_duration(seconds: float) -> str:
    """The shortest plan spelling of whole seconds: 5400 is `90m`."""
    whole = int(seconds)
    for unit in "dhm":
        if whole and whole % _SECONDS[unit] == 0:
            return f"{whole // _SECONDS[unit]}{unit}"
    return f"{whole}s"


def format_size(count: int) -> str:
    """The shortest plan spelling of a size: 1073741824 is `1GiB`."""
    unit = next(u for u in ("TiB", "GiB", "MiB", "KiB", "B") if count % _BYTES[u] == 0)
    return f"{count // _BYTES[unit]}{unit}"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["90s", "15m", "4h"]}),
]
Wait = Annotated[
    float,
    BeforeValidator(parse_wait),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^(0s|{_DURATION.pattern})$", "examples": ["0s", "60s", "15m"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{_SIZE.pattern}$", "examples": ["512MiB", "4GiB"]}),
]


@lru_cache(1000)  # facts are read with each version of each plan
def cron_of(text: str) -> str:
    if len(text.split()) != 5:
        raise ValueError('is not a schedule, expected five cron fields like "*/30 * * * *"')
    try:
        next(CronSim(text, datetime(2026, 1, 1)))  # any start will do
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"is not a schedule that ever comes due ({error or 'no such date'})") from None
    return text


def _beside_plan(path: Path, info: ValidationInfo) -> Path:
    """Relative paths are relative to the file that names them."""
    base = (info.context or {}).get("base", Path())
    try:
        return Path(base) / path.expanduser()
    except RuntimeError:  # ~user
        raise ValueError("names the home of a user whom this machine does not know") from None


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts or path == Path("/"):
        raise ValueError("is not an absolute path below /, expected one like /var/spool/recordings")
    return path


def zone_of(key: str) -> tzinfo:
    """The zone of an IANA name; ValueError where this machine has none of that name."""
    if key == "UTC":  # needs no zone database
        return UTC
    try:
        return ZoneInfo(key)
    except (KeyError, ValueError, OSError):  # OSError: a directory of the database, like Europe
        raise ValueError("is not a time zone of this machine, expected one like UTC or Europe/Bucharest") from None


def _known_zone(key: str) -> str:
    zone_of(key)
    return key


Cron = Annotated[str, AfterValidator(cron_of)]
Zone = Annotated[str, AfterValidator(_known_zone)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Text = Annotated[str, Field(min_length=1)]
PlanPath = Annotated[Path, AfterValidator(_beside_plan)]


class UnconfirmedCommand(tuple[str, ...]):
    """A command of a plan that came from a repository: nobody has confirmed it, and nobody may run it (trust.py)."""

    plan: str
    where: str  # the key that names it

    @classmethod
    def of(cls, words: tuple[str, ...], plan: str, where: str) -> UnconfirmedCommand:
        made = cls(words)
        made.plan, made.where = plan, where
        return made


class FileOfTakenPlan(PosixPath):
    """A file of secrets, named by a plan that came from a repository. `came_along`: it lies where the repository could
    have put it (trust.py)."""

    came_along: bool = False

    @classmethod
    def of(cls, path: Path, *, came_along: bool) -> FileOfTakenPlan:
        made = cls(path)
        made.came_along = came_along
        return made


class WithPassword(Strict):
    """A secret is never a value in a plan: it comes from a file or from a command's first line."""

    password_file: PlanPath | None = Field(None, description="file whose first line is the password")
    password_command: Annotated[tuple[Text, ...], Field(min_length=1)] | None = Field(
        None, description="command (a list) whose first line of output is the password"
    )

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password_file is not None and self.password_command is not None:
            raise ValueError("has password_file and password_command, expected one of them")
        return self
