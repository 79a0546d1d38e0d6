"""Whole records of every kind, and values of any other type, made from the definitions: a new kind is tested by being
listed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.records import KINDS, Record
from ccdr.evidence.records.registry import VERSIONS
from ccdr.evidence.records.statements import _SET as CHOSEN
from ccdr.evidence.records.statements import (
    ACKNOWLEDGE_TROUBLE,
    ANSWER_LEDGER,
    APPROVE_PLAN,
    END_TROUBLE,
    PAUSE_SCHEDULE,
    STATEMENT,
    TABLE,
)
from ccdr.evidence.records.writing import _held
from ccdr.host.built import fields_of
from ccdr.model.values import RecordRef

ENVELOPE = frozenset((*Record.__struct_fields__, "verified"))  # which no body has


def body_of(kind: str, *, full: bool = True) -> dict[str, Any]:
    """A body that the kind's definition holds, every key with a value; not `full`: only what it cannot do without. Of a
    statement by what is said of what."""
    row = TABLE.get(APPROVE_PLAN.kind if kind == STATEMENT else kind)
    made = _values(KINDS[record_kind(kind)], full)
    if row is not None:
        may = row.may if full else ()
        has = {
            *row.needs,
            *may,
            *(["by"] if row.signed or (full and row.signed is None) else []),
            *(["requested"] if row.asked else []),
        }
        whole, about = _values(KINDS[STATEMENT], full=True), _values(row.about, full=True)
        given = {name: one for name, one in whole.items() if name in made or name in has}
        few = _values(row.about, full and row is not END_TROUBLE)  # what is acknowledged is ended by its code
        of = {name: one for name, one in about.items() if name in few or name in has}
        made = _with(given, has) | {"says": row.says, "about": {"of": row.of} | _with(of, has)}
    if made.get("result") == "CAUGHT":  # which its two copies must have come to, too
        made["result"] = "INCONCLUSIVE"
    return made | ({"copy": "primary"} if "copy" in made else {})  # of the plan's own repository


def written(
    kind: str, plan: str | None, asset: str | None, run: str | None, body: Mapping[str, object]
) -> dict[str, Any]:
    """What a record with this body holds, as plain values. ValueError where its definition does not hold that."""
    if kind not in KINDS:
        raise ValueError(f"no record is of the kind {kind}")
    named = {"kind": kind, "plan": plan, "asset": asset, "run": run, "version": VERSIONS[kind]}
    return _held({**named, **body}, KINDS[kind])


def record_in(
    ledger: Ledger, kind: str, *, plan: str | None, asset: str | None, run: str | None, body: Mapping[str, object]
) -> RecordRef:
    """Write a record with this body."""
    return ledger._append(written(kind, plan, asset, run, body))


def kind_in(line: Mapping[str, Any]) -> str:
    """What a line tells, as `kind_of` has it of a record."""
    said = f"{line.get('says')}.{line['about']['of']}" if line["kind"] == STATEMENT else ""
    return said or str(line["kind"])


def acknowledgement(code: str, known_by: list[str], until: str) -> dict[str, Any]:
    """The body of one of this trouble, however bad it becomes."""
    about = {"of": "trouble", "code": code, "known_by": known_by}
    return body_of(ACKNOWLEDGE_TROUBLE.kind, full=False) | {"about": about, "until": until}


def answered(ledgers: list[str], spoilt: list[int] | None = None) -> dict[str, Any]:
    """The body of an answer for ledgers that were lost, and for lines that were changed."""
    about = {"of": "ledger", "ledgers": ledgers, "spoilt": spoilt or []}
    return body_of(ANSWER_LEDGER.kind, full=False) | {"about": about}


def pause(until: str) -> dict[str, Any]:
    """The body of one, at a start of the machine that nobody knows."""
    about = {"of": "schedule", "boot": None, "elapsed_s": 0.0}
    return body_of(PAUSE_SCHEDULE.kind, full=False) | {"about": about, "until": until}


def _values(of: type, full: bool) -> dict[str, Any]:
    there = (f for f in fields_of(of).fields if f.encode_name not in ENVELOPE and (full or f.required))
    return {f.encode_name: some(f.type, full) for f in there}


def _with(values: dict[str, Any], has: set[str]) -> dict[str, Any]:
    """Of what a kind of statement may have, only what this one has."""
    chosen = {*CHOSEN, "by", "requested"} - has
    return {name: one if name not in chosen else [] if name == "files" else None for name, one in values.items()}


def record_kind(kind: str) -> str:
    """Of the record that holds it."""
    return STATEMENT if kind in TABLE else kind


def some(info: inspect.Type, full: bool = True) -> Any:
    """A value of this type, as JSON has it. What may be anything is "any", or names what it may be."""
    match info:
        case inspect.Metadata(type=inner, extra_json_schema=more):
            if digits := re.fullmatch(r"\^\[0-9a-f\]\{(\d+)\}\$", str((more or {}).get("pattern"))):
                return ("0123456789abcdef" * 4)[: int(digits[1])]
            if examples := (more or {}).get("examples"):
                return examples[0]
            if items := (more or {}).get("items"):
                return [one["$ref"].rpartition("/")[2] for one in items.get("anyOf", [items])]
            return some(inner, full)
        case inspect.UnionType(types=types):
            return some(next(one for one in types if not isinstance(one, inspect.NoneType)), full)
        case inspect.StructType(fields=fields) | inspect.DataclassType(fields=fields):
            tag = {field: info.tag} if (field := getattr(info, "tag_field", None)) else {}
            return tag | {f.encode_name: some(f.type, full) for f in fields if full or f.required}
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return [some(item, full)] if full else []
        case inspect.DictType(key_type=key, value_type=value):
            name = some(key) if isinstance(key, inspect.LiteralType) else "name"
            return {name: some(value, full)} if full else {}
        case inspect.TupleType(item_types=types):
            return [some(one, full) for one in types]
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.EnumType(cls=cls):
            return next(iter(cls)).value
        case inspect.DateTimeType():
            return "2026-11-24T02:30:00.250000Z"
        case inspect.IntType():
            return 7
        case inspect.FloatType():
            return 0.1
        case inspect.BoolType():
            return True
        case inspect.StrType():
            return "text"
        case inspect.AnyType():
            return "any"
    raise AssertionError(f"no value for {info}")


def plain(record: Record) -> dict[str, Any]:
    """As JSON has it."""
    found: dict[str, Any] = msgspec.to_builtins(record)
    return found
