"""Records of which a test says only what it is about: what it leaves out is nothing (null, 0, an empty text or list), and
the ledger takes it as it is. `Ledger.write` takes whole records only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import inspect

from ccdr.evidence.history.asset_history import Histories
from ccdr.evidence.history.fold import read_history
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.records import KINDS, VERSIONS, Record, StatementRecord, Unread, of_mapping
from ccdr.evidence.records.statements import STATEMENT, TABLE
from ccdr.host.built import fields_of
from ccdr.model.finding import Finding
from ccdr.model.values import RecordRef, rfc3339
from ccdr.storage.catalogue import NO_ENTRY, read_head
from tests.support.records import body_of, record_in

_ENVELOPE = frozenset((*Record.__struct_fields__, "verified"))
_FIRST = {  # of what is left out, where nothing will not do
    "RecordedTrigger": {"by": "command"},
    "PlanFacts": {"timezone": "UTC", "prune": "0 5 * * *", "check": "0 6 * * *"},
}

_NOUGHT = {"seq": 1, "prev": "0" * 64, "time": "2026-11-24T02:30:00Z", "host": "", "actor": ""}


def append_sparse(
    ledger: Ledger, kind: str, *, plan: str | None, asset: str | None, run: str | None, body: Mapping[str, object]
) -> RecordRef:
    """Write it. A test that passed had checks. AssertionError where the definition has no such key, or no such value."""
    if kind == "backup.end" and isinstance(snapshot := body.get("snapshot"), dict):
        body = {**body, "snapshot": {**_of_catalogue(ledger, f"{plan}/{asset}/{snapshot.get('id')}"), **snapshot}}
    body = _as_passed(kind, body)
    if kind == STATEMENT:  # of which the table says what it has
        return record_in(ledger, kind, plan=plan, asset=asset, run=run, body=body)
    named = {"kind": kind, "plan": plan, "asset": asset, "run": run, "version": VERSIONS[kind]}
    made = {**named, **_struct(body, fields_of(KINDS[kind]), leaving=_ENVELOPE)}
    msgspec.convert({**_NOUGHT, **made}, KINDS[kind])
    return ledger._append(made)


def sparse_record(given: Mapping[str, Any]) -> Record:
    """A record that holds this, and nothing else that tells anything. A test that passed had checks."""
    kind = str(given["kind"])
    body = _as_passed(kind, {key: value for key, value in given.items() if key not in _ENVELOPE})
    if kind == STATEMENT:
        of = body["about"]["of"]
        row = TABLE[f"{body['says']}.{of}"]
        about = _struct({k: v for k, v in body["about"].items() if k != "of"}, fields_of(row.about))
        said = body_of(row.kind, full=False) | {"about": {"of": of} | about}
        body = said | {key: value for key, value in body.items() if key != "about"}
        head = {"plan": None, "asset": None, "run": None, "version": VERSIONS[kind]}
        return _read({**_NOUGHT, **head, **given, **body})
    head = {"plan": None, "asset": None, "run": None, "version": VERSIONS[kind]}
    head |= {key: value for key, value in given.items() if key in _ENVELOPE}
    return _read({**_NOUGHT, **head, **_struct(body, fields_of(KINDS[kind]), leaving=_ENVELOPE)})


def statement_of(record: Mapping[str, Any], **other: object) -> StatementRecord:
    """A statement's record, as its line reads; with `other` values, as another hand would have written it."""
    made = _read({**record, **other})
    assert isinstance(made, StatementRecord)
    return made


def recorded_statement(plan: str | None, body: Mapping[str, Any]) -> StatementRecord:
    """The record that holds this body, whole as it is."""
    head = {"kind": STATEMENT, "version": VERSIONS[STATEMENT], "plan": plan, "asset": None, "run": None}
    made = _read({**_NOUGHT, **head, **body})
    assert isinstance(made, StatementRecord)
    return made


def _read(mapping: dict[str, Any]) -> Record:
    made = of_mapping(mapping)
    if isinstance(made, Unread):
        msgspec.convert(mapping, KINDS[made.kind])  # says what is wrong with it
    assert not isinstance(made, Unread), made
    return made


def history_of(records: Iterable[Mapping[str, Any]], known: Histories | None = None) -> Histories:
    """What is made of such records."""
    return read_history(map(sparse_record, records), known)


def _as_passed(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "restore_test.end" and body.get("verdict") == "PASS" and not body.get("checks"):
        return {**body, "checks": [{"kind": "identical", "name": "identical", "status": "PASS"}]}
    return dict(body)


def _of_catalogue(ledger: Ledger, name: str) -> dict[str, object]:
    """What an entry beside the ledger says of a snapshot, which its record says too."""
    try:
        there = read_head(ledger.directory.parent / "catalogue" / f"{name}.json")
    except NO_ENTRY:
        return {}
    return {"consistent_point": rfc3339(there.consistent_point), "upon": [one.id for one in there.upon]}


def _struct(value: Mapping[str, Any], info: inspect.StructType, *, leaving: frozenset[str] = frozenset()) -> Any:
    """With all keys of its definition, in its order."""
    given = {**_FIRST.get(info.cls.__name__, {}), **value}
    fields = [one for one in info.fields if one.encode_name not in leaving]
    assert not (more := given.keys() - {one.encode_name for one in fields}), f"{info.cls.__name__} has no {more}"
    made = {}
    for one in fields:
        if one.encode_name in given:
            made[one.encode_name] = _filled(given[one.encode_name], one.type)
        elif one.required:
            made[one.encode_name] = _nothing(one.type)
        elif one.default_factory is not msgspec.NODEFAULT:
            made[one.encode_name] = msgspec.to_builtins(one.default_factory())
        elif one.default not in (msgspec.NODEFAULT, msgspec.UNSET):
            made[one.encode_name] = msgspec.to_builtins(one.default)
    return made


def _filled(value: Any, info: inspect.Type) -> Any:
    match info:
        case inspect.Metadata(type=inner):
            return _filled(value, inner)
        case inspect.StrType(min_length=int(length)) if isinstance(value, str):
            return value.ljust(length, "0")
        case inspect.UnionType(types=types):
            kinds = [one for one in types if isinstance(one, inspect.StructType | inspect.ListType | inspect.DictType)]
            fit = [one for one in kinds if isinstance(one, inspect.ListType) is isinstance(value, list)]
            if isinstance(value, str):
                fit = [one for one in types if isinstance(one, inspect.StrType | inspect.Metadata)]
            return _filled(value, fit[0]) if fit and isinstance(value, list | dict | str) else value
        case inspect.StructType(cls=cls) if cls is Finding and isinstance(value, str):
            return msgspec.to_builtins(Finding(value, value))  # one that says so, and is of nothing more
        case inspect.StructType() if isinstance(value, Mapping):
            return _struct(value, info)
        case inspect.ListType(item_type=item) if isinstance(value, list):
            return [_filled(one, item) for one in value]
        case inspect.DictType(value_type=inner) if isinstance(value, Mapping):
            return {key: _filled(one, inner) for key, one in value.items()}
    return value


def _nothing(info: inspect.Type) -> Any:
    match info:
        case inspect.Metadata(type=inner):
            return _nothing(inner)
        case inspect.UnionType(includes_none=True):
            return None
        case inspect.StructType():
            return _struct({}, info)
        case inspect.ListType():
            return []
        case inspect.DictType():
            return {}
        case inspect.StrType():
            return "0" * (getattr(info, "min_length", None) or 0)
        case inspect.BoolType():
            return False
        case inspect.IntType(ge=least):
            return least or 0
        case inspect.FloatType():
            return 0.0
        case inspect.DateTimeType():
            return "2026-11-24T02:30:00Z"
        case inspect.LiteralType(values=values):
            return "NOT_MEASURED" if "NOT_MEASURED" in values else values[0]
    raise AssertionError(f"no value for {info}")
