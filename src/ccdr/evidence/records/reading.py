"""A line becomes a typed record: today's at once, an older one as if it had been written today.

What was written is never changed: what older versions lack is filled in as it is read, and what they may not show
(older.py) is left out. A record that this ccdr cannot know whole is `Unread`, which no reader may pass over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from ccdr.evidence.older import CLOSED, closed
from ccdr.evidence.records.built import built
from ccdr.evidence.records.registry import KINDS, VERSIONS
from ccdr.evidence.records.strict import strictly
from ccdr.evidence.records.values import Record, Unread
from ccdr.model.values import utc

_KIND = b'","kind":"'  # behind `actor`, a text; no text can hold it, since its quotes would be escaped


@cache
def _decoder(kind: bytes) -> tuple[Callable[[bytes], Record], bytes, bytes] | None:
    """How a kind is decoded, and how its version stands in the envelope, today's and the one before; None where this
    ccdr does not know it."""
    name = kind.decode("ascii", "replace")
    if name not in KINDS:
        return None
    return (
        msgspec.json.Decoder(built(KINDS[name])).decode,
        b',"version":%d,' % VERSIONS[name],
        b',"version":%d,' % max(CLOSED, VERSIONS[name] - 1),  # older ones may hold what is not shown
    )


_encode = msgspec.json.Encoder().encode
_ENVELOPE = ("seq", "prev", "time", "host", "actor", "kind", "plan", "asset", "run")
_TEXT_OR_NULL = frozenset((str, type(None)))
_MISFIT = object()


def decode(line: bytes) -> Record:
    """A whole line, newline included, as a typed record, or as `Unread`. ValueError for what is no record: it says
    what is wrong, without quoting data.

    One that is written back byte for byte gives no key twice. Any other is read with care.
    """
    at = line.find(_KIND) + len(_KIND)
    known = _decoder(line[at : line.find(b'"', at)])
    if known is not None:
        decoder, today, before = known
        try:
            if today in line:
                record: Record = decoder(line)
                encoded = _encode(record)
                if len(encoded) + 1 == len(line) and line.startswith(encoded) and line.endswith(b"\n"):
                    return record
            elif (stands := line.find(before, at)) > 0 and line.find(b"{", at, stands) < 0 and line.endswith(b"\n"):
                strictly(line)  # all that it has may be what today's has
                return decoder(line.replace(before, today, 1))
        except (msgspec.MsgspecError, UnicodeError):
            pass
    if not line.endswith(b"\n"):
        raise ValueError("cut off: it does not end in a newline")
    return of_mapping(strictly(line))


def newer(record: Mapping[str, Any]) -> bool:
    """Did a later ccdr write it, of a version or a kind that this one does not know?"""
    version = record.get("version", 1)
    return type(version) is not int or version > VERSIONS.get(record["kind"], 0)


def envelope(record: Any) -> datetime:
    """The time of a mapping that has a whole envelope; ValueError for any other."""
    try:
        seq, prev, time, host, actor, kind, plan, asset, run = (record[key] for key in _ENVELOPE)
    except (KeyError, TypeError, IndexError):
        raise ValueError("not a record: its envelope is incomplete") from None
    right = type(seq) is int and type(prev) is type(time) is type(host) is type(actor) is type(kind) is str
    if not right or not {type(plan), type(asset), type(run)} <= _TEXT_OR_NULL:
        raise ValueError("not a record: something in its envelope has the wrong type")
    try:
        return utc(time)
    except (ValueError, OverflowError):
        raise ValueError("not a record: its time is none") from None


def of_mapping(record: Any) -> Record:
    """The same of a line that was read already. May change the mapping."""
    time = envelope(record)
    definition, version = KINDS.get(record["kind"]), record.get("version", 1)
    if definition is None or newer(record):
        return _unread(record, time, newer=True)
    today = closed(record) | {"version": VERSIONS[record["kind"]]}
    try:
        return msgspec.convert(today, built(definition))
    except msgspec.ValidationError:
        fitted = _MISFIT if version == today["version"] else _fitted(today, definition)
    return fitted if isinstance(fitted, definition) else _unread(record, time, newer=False)


def _unread(record: dict[str, Any], time: datetime, *, newer: bool) -> Unread:
    version = record.get("version", 1)
    about = {key: record[key] for key in _ENVELOPE} | {"time": time}
    return Unread(**about, version=version if type(version) is int else 0, newer=newer)


# Of older records, what is of the right type counts, and what is missing is nothing.


@cache
def _fields(definition: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(definition)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _fitted(record: Mapping[str, Any], definition: type[msgspec.Struct]) -> Any:
    """As much of an older value as today's definition has; `_MISFIT` where what counts is wrong or missing."""
    older: Mapping[str, Any] = getattr(definition, "older", {})
    values = {}
    for one in _fields(definition):
        value = record.get(one.encode_name, older.get(one.encode_name, msgspec.UNSET))
        if value is msgspec.UNSET:
            if not one.required:
                continue
            value = _nothing(one.type)
        else:
            value = _as(value, one.type)
        if value is _MISFIT and not one.required:
            continue
        if value is _MISFIT:
            return _MISFIT
        values[one.name] = value
    try:
        return definition(**values)
    except ValueError:  # what cannot be, by the definition's own check
        return _MISFIT


def _as(value: Any, info: inspect.Type) -> Any:
    """The value, if it is of this type, whatever its length or pattern."""
    match info:
        case inspect.Metadata(type=inner):
            return _as(value, inner)
        case inspect.UnionType(types=types):
            fits = (_as(value, one) for one in types)
            return next((fit for fit in fits if fit is not _MISFIT), _MISFIT)
        case inspect.StructType(cls=cls) if isinstance(value, Mapping):
            return _fitted(value, cls)
        case inspect.ListType(item_type=item) if isinstance(value, list):
            items = [_as(one, item) for one in value]
            return [one for one in items if one is not _MISFIT]
        case inspect.DictType(value_type=inner) if isinstance(value, Mapping):
            values = {str(key): _as(one, inner) for key, one in value.items()}
            return {key: one for key, one in values.items() if one is not _MISFIT}
        case inspect.StrType() if type(value) is str:
            return value
        case inspect.BoolType() if type(value) is bool:
            return value
        case inspect.IntType() if type(value) is int:
            return value
        case inspect.FloatType() if type(value) in (int, float):
            return float(value)
        case inspect.NoneType() if value is None:
            return None
        case inspect.LiteralType(values=values) if value in values:
            return value
        case inspect.DateTimeType() if type(value) is str:
            try:
                return utc(value)
            except (ValueError, OverflowError):
                return _MISFIT
        case inspect.TupleType(item_types=types) if isinstance(value, list) and len(value) == len(types):
            items = [_as(one, kind) for one, kind in zip(value, types, strict=True)]
            return _MISFIT if _MISFIT in items else tuple(items)
    return _MISFIT


def _nothing(info: inspect.Type) -> Any:
    """What stands for a key that is not there."""
    match info:
        case inspect.Metadata(type=inner):
            return _nothing(inner)
        case inspect.UnionType(includes_none=True):
            return None
        case inspect.StructType(cls=cls):
            return _fitted({}, cls)
        case inspect.ListType():
            return []
        case inspect.DictType():
            return {}
        case inspect.StrType():
            return ""
        case inspect.BoolType():
            return False
        case inspect.IntType():
            return 0
        case inspect.FloatType():
            return 0.0
    return _MISFIT
