"""Whom somebody wants erased, read from a file or from standard input: never from arguments, which everybody on a host
may read. What is wrong is told by line and key; no value is repeated."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ccdr.model.erasure import Rows, Selector
from ccdr.model.errors import UsageProblem
from ccdr.model.values import utc
from ccdr.plans import Plan
from ccdr.plans.yamlfile import MAX_BYTES, parse, read_bytes

_KEYS = {"asset", "rows", "table", "key", "keys", "files", "erased_at", "canary", "may_lack", "person"}
_KINDS = {"postgres": "rows", "mariadb": "rows", "sqlite": "rows", "redis": "keys", "files": "files"}
HINT = "docs/how-to/erase.md shows one for each engine"


@dataclass(frozen=True)
class Asked:
    selector: Selector
    erased_at: datetime | None
    canary: bool
    person: str | None = None  # what the owner calls them by, in each asset


def read(source: str, plan: Plan) -> Asked:
    """`source` is a file, or `-` for standard input. UsageProblem where it is no selector of this plan."""
    raw = sys.stdin.buffer.read(MAX_BYTES + 1) if source == "-" else read_bytes(Path(source))
    where = "standard input" if source == "-" else source
    document, problems = parse(raw)
    if problems:
        raise _wrong("\n".join(f"{where}:{p.line}: it is not well-formed" for p in problems))
    body = document.data if document is not None else None
    if not isinstance(body, dict):
        raise _wrong(f"{where} is no mapping")
    if unknown := body.keys() - _KEYS:
        raise _wrong(
            f"{where} has {len(unknown)} keys that a selector does not have; it has {', '.join(sorted(_KEYS))}"
        )
    asset = body.get("asset")
    if not isinstance(asset, str) or asset not in plan.assets:
        raise _wrong(f"{where}: `asset:` names no asset of {plan.plan}; it has {', '.join(plan.assets)}")
    if not isinstance(body.get("canary", False), bool):
        raise _wrong(f"{where}: `canary:` is neither true nor false")
    engine = plan.assets[asset].engine_name
    person = None if body.get("person") is None else _text(where, "`person:`", body["person"])
    selector, erased_at = _selector(where, asset, engine, body), _time(where, body.get("erased_at"))
    return Asked(selector, erased_at, body.get("canary") is True, person)


def _selector(where: str, asset: str, engine: str, body: Mapping[str, Any]) -> Selector:
    kind = _KINDS[engine]
    if "table" in body or "key" in body:
        body = {**body, "rows": [{k: body[k] for k in ("table", "key", "may_lack") if k in body}]}
    if given := {"rows", "keys", "files"} & body.keys() - {kind}:
        raise _wrong(f"{where}: {asset} is of {engine}, which is erased from by `{kind}:`, not `{given.pop()}:`")
    stated = body.get(kind)
    if not isinstance(stated, list) or not stated:
        raise _wrong(f"{where}: `{kind}:` is no list, or an empty one")
    if kind == "rows":
        return Selector(asset, rows=tuple(_rows(where, n, one) for n, one in enumerate(stated, 1)))
    texts = tuple(_text(where, f"{kind}[{n}]", one) for n, one in enumerate(stated, 1))
    if kind == "keys":
        if any(not text.strip("*?") for text in texts):
            raise _wrong(f"{where}: a pattern in `keys:` would name every key")
        return Selector(asset, keys=texts)
    return Selector(asset, files=tuple(_path(where, text) for text in texts))


def _rows(where: str, number: int, body: object) -> Rows:
    if not isinstance(body, dict) or not {"table", "key"} <= body.keys() <= {"table", "key", "may_lack"}:
        raise _wrong(f"{where}: rows[{number}] is not made of `table:` and `key:` (and `may_lack: true`)")
    key, table = body["key"], _text(where, f"rows[{number}].table", body["table"])
    if not isinstance(key, dict) or not key:
        raise _wrong(f"{where}: rows[{number}].key names no column")
    values = {str(c): _text(where, f"rows[{number}].key", value) for c, value in key.items()}
    return Rows(table, tuple(sorted(values.items())), body.get("may_lack") is True)


def _text(where: str, what: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or str(value) == "":
        raise _wrong(f"{where}: {what} is neither text nor a whole number: write other values in quotes")
    return str(value)


def _path(where: str, text: str) -> str:
    if ".." in text.split("/") or not text.strip("/*?"):
        raise _wrong(f"{where}: a path in `files:` goes up, or would name every file")
    return text


def _time(where: str, value: object) -> datetime | None:
    if value is None:
        return None
    try:
        return utc(str(value))
    except ValueError:
        raise _wrong(f"{where}: `erased_at:` is no time like 2026-11-20T10:00:00Z") from None


def _wrong(text: str) -> UsageProblem:
    return UsageProblem(text, hint=HINT)
