"""What goes into the ledger holds to its kind's definition, to the last pattern: anything else is a defect of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ccdr.evidence.records.values import Record, misfits
from ccdr.host.built import built, fields_of

_AT = re.compile(r"at `(\$[^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
# Of the envelope, what the ledger gives.
SEAL = {
    "seq": 1,
    "prev": "0" * 64,
    "time": "1970-01-01T00:00:00Z",
    "host": "",
    "actor": "",
}


def plain(record: Record) -> dict[str, Any]:
    """What a record that is yet to be written holds from `kind` on, in the definition's order, as plain values; the
    envelope that the ledger gives is left out. ValueError where it is not as its definition says."""
    return _held(unsealed(record), type(record))


def unsealed(record: Record) -> dict[str, Any]:
    """A record's values as plain ones, but for what the ledger gives it."""
    values: dict[str, Any] = msgspec.to_builtins(record)
    return {key: value for key, value in values.items() if key not in SEAL}


def _held(values: Mapping[str, object], definition: type[Record]) -> dict[str, Any]:
    kind = values["kind"]
    try:
        record = msgspec.convert({**SEAL, **values}, built(definition))
    except msgspec.ValidationError as why:
        raise ValueError(f"a record of the kind {kind} does not hold this: {_where_wrong(str(why))}") from None
    if wrong := list(misfits(record, fields_of(definition), "$")):
        raise ValueError(f"a record of the kind {kind} does not hold this: another value at {', '.join(wrong)}")
    return unsealed(record)


def _where_wrong(why: str) -> str:
    """Where, and which key; never the value."""
    where = _AT.search(why)
    at = where[1] if where else "$"
    if unknown := _UNKNOWN.search(why):
        return f"the key {unknown[1]} at {at}"
    if "missing required field" in why:
        return f"{why.removeprefix('Object ').split(' - at ')[0]} at {at}"
    return f"another value at {at}"
