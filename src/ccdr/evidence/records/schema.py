"""The definitions as JSON Schema (2020-12), for whoever reads ledgers without ccdr."""

from __future__ import annotations

from typing import Any

import msgspec

from ccdr.evidence.records.registry import KINDS, VERSIONS
from ccdr.evidence.records.values import BESIDE, ENVELOPE, Record

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(kind: str) -> dict[str, Any]:
    """Of a line of this kind, in the version that is written today. KeyError for a kind that there is none of."""
    definition, version = KINDS[kind], VERSIONS[kind]
    made = msgspec.json.schema(definition, ref_template="#/$defs/{name}")
    schema: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))  # defaults that are tuples, too
    parts: dict[str, dict[str, Any]] = schema["$defs"]
    whole = parts.pop(definition.__name__)
    for name in BESIDE.values():
        parts.pop(name, None)
    for part in parts.values():
        if "description" in part:
            part["description"] = _one_line(part["description"])
    whole["properties"] |= {"kind": {"const": kind}, "version": {"const": version}}
    whole["required"] = _required(whole)
    return {
        "$schema": DIALECT,
        "$id": f"urn:ccdr:record:{kind}:{version}",
        **whole,
        "title": kind,
        "description": described(definition),
        **({"$defs": parts} if parts else {}),
    }


def _required(whole: dict[str, Any]) -> list[str]:
    """A line has all of its envelope, which only what is yet to be written lacks."""
    for name in BESIDE:
        whole["properties"].pop(name, None)
    always = {*whole.get("required", ()), *ENVELOPE}
    for name in ENVELOPE:
        whole["properties"][name].pop("default", None)
    return [name for name in whole["properties"] if name in always]


def schemas() -> dict[str, dict[str, Any]]:
    """All of them, by kind."""
    return {kind: schema_of(kind) for kind in KINDS}


def envelope_schema() -> dict[str, Any]:
    """Of what every record begins with."""
    schema: dict[str, Any] = msgspec.json.schema(Record)["$defs"][Record.__name__]
    return schema | {"required": _required(schema)}


def described(definition: type[Record]) -> str:
    """What its docstring says, as one line."""
    return _one_line(definition.__doc__ or "")


def _one_line(docstring: str) -> str:
    """The same whichever Python compiled it: since 3.13 it takes the indentation out."""
    return " ".join(docstring.split())
