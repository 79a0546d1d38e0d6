"""JSON read with care: a key that is given twice is an attack, and NaN is no JSON."""

from __future__ import annotations

import json
from typing import Any

import orjson


def strictly(line: bytes) -> Any:
    """A line that a fast decoder writes back byte for byte gives no key twice, and nothing that is not JSON. Any
    other is read with care: it may still be good (a float that is written otherwise). ValueError for what is none."""
    try:
        fast = orjson.loads(line)
        if orjson.dumps(fast, option=orjson.OPT_APPEND_NEWLINE) == line:
            return fast
    except ValueError:
        pass
    try:
        return _DECODER.decode(line.decode())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as why:
        raise ValueError(f"not JSON: {why}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key is given twice")
    return keys


def _no_constant(name: str) -> None:
    raise ValueError(f"not JSON: {name}")  # Python would take NaN and Infinity


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
