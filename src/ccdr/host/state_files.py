"""What ccdr writes down for itself: one type a file, written one way and read one way.

A file is JSON, made of its struct (or dataclass) and read back as that. It is whole or not there, whenever the machine
stops. One whose layout has a number is a struct with `tag_field="format", tag=NUMBER`
(or a dataclass that has it as the default of its `format`).
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import fields, is_dataclass
from pathlib import Path, PurePath
from typing import Any, TypeVar

import msgspec

from ccdr.host.built import built
from ccdr.host.files import write_durably
from ccdr.model.errors import CcdrError, require_format

T = TypeVar("T")


class StateDamaged(CcdrError):
    """A file of ours cannot be read, or is not as ccdr wrote it."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}", hint="put it back from a copy of the state directory, or remove it")


class StateFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the state directory."""


class _Format(msgspec.Struct):
    format: int


def write_state(path: Path, what: object) -> None:
    """Whole or not at all, mode 0600, and on disk when this returns. CcdrError where the disk refuses."""
    write_durably(path, encoded(what))


def read_state(path: Path, of: type[T]) -> T | None:
    """None where it is not there. StateDamaged where it cannot be read or is none of these; WrittenByNewer or OfBefore
    where another ccdr wrote it."""
    try:
        return decoded(path.read_bytes(), of, str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateDamaged(path, f"cannot be read: {error.strerror}") from None
    except ValueError:  # what it says may quote the file
        raise StateDamaged(path, "is not as ccdr wrote it") from None


def state_or_none(path: Path, of: type[T]) -> T | None:
    """As `read_state`, of what is made anew when it is lost: what cannot be read was never there."""
    with contextlib.suppress(CcdrError):
        return read_state(path, of)
    return None


def encoded(what: object) -> bytes:
    """As JSON that people can read, too."""
    try:
        return msgspec.json.format(_ENCODER.encode(what), indent=1) + b"\n"
    except UnicodeEncodeError:  # names of files, and what people type, need not be UTF-8
        return json.dumps(plain(what), indent=1).encode() + b"\n"


def decoded(text: str | bytes, of: type[T], what: str = "it") -> T:
    """The inverse of `encoded`. ValueError where it is none; WrittenByNewer or OfBefore where its format is another's,
    `what` being named so then."""
    try:
        body = json.loads(text)  # msgspec refuses names that are not UTF-8, as Python holds them
        if (known := _format_of(of)) is not None:
            require_format(what, made_of(body, _Format).format, known)
        found = made_of(body, of)
        names = {one.name for one in fields(found)} if is_dataclass(found) else plain(found)
        if isinstance(body, dict) and (wrong := body.keys() ^ set(names)):  # all are written, whatever they hold
            raise ValueError(f"the key {min(wrong)[:40]!a} is missing, or of no ccdr")
        return found
    except RecursionError:
        raise ValueError("it is nested without end") from None


def _format_of(of: Any) -> int | None:
    if is_dataclass(of):
        return getattr(of, "format", None)
    config = getattr(of, "__struct_config__", None)
    return config.tag if config is not None and config.tag_field == "format" else None


def plain(what: object) -> Any:
    """As JSON has it."""
    return msgspec.to_builtins(what, enc_hook=_unmade)


def made_of(body: object, of: type[T]) -> T:
    """The inverse of `plain`; what else there is of an object is left out. ValueError where it is none."""
    return msgspec.convert(body, built(of), dec_hook=_made)


def _made(of: type, value: Any) -> Any:
    if hasattr(of, "model_validate_json"):
        return of.model_validate_json(json.dumps(value))
    return value if of is object else of(value)


def _unmade(what: Any) -> Any:
    return str(what) if isinstance(what, PurePath) else what.model_dump(mode="json", exclude_none=True)


_ENCODER = msgspec.json.Encoder(enc_hook=_unmade, order="deterministic")
