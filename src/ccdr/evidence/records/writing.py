"""What goes into the ledger holds to its kind's definition, to the last pattern: anything else is a defect of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ccdr.evidence.records.built import built, fields_of
from ccdr.evidence.records.registry import KINDS, VERSIONS
from ccdr.evidence.records.values import misfits

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
    if wrong := list(misfits(record, fields_of(definition), "$")):
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
