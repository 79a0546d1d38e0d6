"""What of JSON Schema the published schemas use, checked by a reader that has only them: not ccdr's own decoder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from ccdr.cli.documents import output_schema
from ccdr.evidence.records import VERSIONS
from ccdr.evidence.records.schema import schema_of
from ccdr.telling.report import Report, json_lines

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
KNOWN = frozenset((
    "$schema", "$id", "$defs", "$ref", "title", "description", "examples", "default", "type", "properties", "required", "additionalProperties",
    "items", "prefixItems", "minItems", "maxItems", "anyOf", "enum", "const", "pattern", "format", "minLength", "maxLength", "minimum", "maximum",
    "discriminator",
))  # fmt: skip
_schema = cache(schema_of)
_PADDED = re.compile(r"(?=.{64}$)[a-z0-9-]+0{40,}")  # a name where a digest is to be: see sparse.py


def misfits(value: Any, schema: dict[str, Any], whole: dict[str, Any], at: str = "$") -> Iterator[str]:
    """Where a value is not as a schema says."""
    assert schema.keys() <= KNOWN, f"this reader does not know {schema.keys() - KNOWN}"
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].removeprefix("#/$defs/")] | {
            k: v for k, v in schema.items() if k != "$ref"
        }
    if "anyOf" in schema and all(list(misfits(value, one, whole, at)) for one in schema["anyOf"]):
        yield f"{at}: none of them"
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{at}: no {kind}"
        return
    wrong = [
        "const" in schema and value != schema["const"],
        "enum" in schema and value not in schema["enum"],
        "pattern" in schema and not re.search(schema["pattern"], value) and not _PADDED.fullmatch(value),
        "minLength" in schema and not schema["minLength"] <= len(value) <= schema.get("maxLength", len(value)),
        "minimum" in schema and value < schema["minimum"],
        "maximum" in schema and value > schema["maximum"],
        "minItems" in schema and not schema["minItems"] <= len(value) <= schema["maxItems"],
        schema.get("format") == "date-time" and datetime.fromisoformat(value).tzinfo is None,
    ]
    if any(wrong):
        yield f"{at}: another value"
    if kind == "object":
        yield from (f"{at}: no {key}" for key in schema.get("required", ()) if key not in value)
        for key, inner in value.items():
            part = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            if part is False:
                yield f"{at}: {key} is not known"
            else:
                yield from misfits(inner, part, whole, f"{at}.{key}")
    for number, inner in enumerate(value if kind == "array" else ()):
        first = schema.get("prefixItems", ())
        yield from misfits(
            inner, first[number] if number < len(first) else schema.get("items", {}), whole, f"{at}[{number}]"
        )


def line_misfits(line: bytes) -> list[str]:
    """Of a line of today's version; none of another one, which no schema is published for."""
    record = json.loads(line)
    if record.get("version", 1) != VERSIONS.get(record["kind"]):
        return []
    schema = _schema(record["kind"])
    return [f"record {record['seq']}, {record['kind']}: {wrong}" for wrong in misfits(record, schema, schema)]


def ledger_misfits(directory: Path) -> list[str]:
    return [
        wrong for path in sorted(directory.glob("*.jsonl")) for line in path.open("rb") for wrong in line_misfits(line)
    ]


def document_misfits(command: str, document: Any) -> list[str]:
    """The nearest of the documents that the command may print: where it is another."""
    schema = output_schema(command)
    return min((list(misfits(document, one, schema)) for one in schema["anyOf"]), key=len)


def report_document(report: Report) -> Any:
    """The report as JSON, and as its published schema says."""
    document = json.loads(b"".join(json_lines(report)))
    wrong = document_misfits("report", document)
    assert not wrong, "\n".join(wrong[:20])
    return document
