"""What goes into the ledger holds to its kind's definition, to the last pattern: anything else is a defect of ours."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from ccdr.evidence.records.built import built
from ccdr.evidence.records.registry import KINDS, VERSIONS

_AT = re.compile(r"at `(\$[^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_NOUGHT = {
    "seq": 1,
    "prev": "0" * 64,
    "time": "1970-01-01T00:00:00Z",
    "host": "",
    "actor": "",
}  # of the envelope, what the ledger gives


def written(
    kind: str, plan: str | None, asset: str | None, run: str | None, body: Mapping[str, object]
) -> dict[str, Any]:
    """What a record of this kind holds from `kind` on, in the definition's order, as plain values.

    ValueError for a kind that there is no definition of, and for a body that is not as it says.
    """
    definition = KINDS.get(kind)
    if definition is None:
        raise ValueError(f"no record is of the kind {kind}: it has no definition in ccdr.records")
    named = {"kind": kind, "plan": plan, "asset": asset, "run": run, "version": VERSIONS[kind]}
    try:
        record = msgspec.convert({**_NOUGHT, **named, **body}, built(definition))
    except msgspec.ValidationError as why:
        raise ValueError(f"a record of the kind {kind} does not hold this: {_where_wrong(str(why))}") from None
    if wrong := list(_misfits(record, _type_of(definition), "$")):
        raise ValueError(f"a record of the kind {kind} does not hold this: another value at {', '.join(wrong)}")
    values: dict[str, Any] = msgspec.to_builtins(record)
    return {key: value for key, value in values.items() if key not in _NOUGHT}


def _where_wrong(why: str) -> str:
    """Where, and which key; never the value."""
    where = _AT.search(why)
    at = where[1] if where else "$"
    if unknown := _UNKNOWN.search(why):
        return f"the key {unknown[1]} at {at}"
    if "missing required field" in why:
        return f"{why.removeprefix('Object ').split(' - at ')[0]} at {at}"
    return f"another value at {at}"


@cache
def _type_of(definition: type[Any]) -> inspect.Type:
    return inspect.type_info(definition)


def _misfits(value: Any, info: inspect.Type, at: str) -> Iterator[str]:
    """Where patterns do not hold, times are not UTC, or numbers are none."""
    match info:
        case inspect.Metadata(type=inner, extra_json_schema=more):
            pattern = (more or {}).get("pattern")
            if type(value) is str and pattern and not re.search(pattern, value):
                yield at
            else:
                yield from _misfits(value, inner, at)
        case inspect.UnionType(types=types) if value is not None and value is not msgspec.UNSET:
            for member in types:
                yield from _misfits(value, member, at)
        case inspect.StructType(cls=cls, fields=fields) if isinstance(value, cls):
            for field in fields:
                yield from _misfits(getattr(value, field.name), field.type, f"{at}.{field.encode_name}")
        case inspect.ListType(item_type=item) if isinstance(value, list):
            for number, one in enumerate(value):
                yield from _misfits(one, item, f"{at}[{number}]")
        case inspect.DictType(value_type=inner) if isinstance(value, dict):
            for one in value.values():
                yield from _misfits(one, inner, f"{at}[...]")
        case inspect.TupleType(item_types=types) if isinstance(value, tuple):
            for one, kind in zip(value, types, strict=True):
                yield from _misfits(one, kind, f"{at}[...]")
        case inspect.DateTimeType() if isinstance(value, datetime) and value.utcoffset() != timedelta(0):
            yield at
        case inspect.FloatType() if isinstance(value, float) and not math.isfinite(value):
            yield at
