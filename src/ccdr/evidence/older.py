"""Records of before texts were kept closed: what they hold of programs' own words is shown by no reader any more.

Until then a failed load put a customer's row into a record's reason, and a `sql` check any number that it selected. The
lines stay as they are, since the chain is over their bytes; whoever reads one gets it without those texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

CLOSED = 2  # the version of a record from which on all of its texts are of closed kinds
WITHHELD = "not shown: the text of an older record, which may quote what was backed up"

_TEXTS = frozenset(("reason", "hint", "trouble", "notes", "findings", "left_behind", "problems", "detail"))
# Sentences that were written whole, as they are here.
_OURS = frozenset(("interrupted", "stopped", "log is missing", "no checks, no PASS: the asset names no restore test"))
_HARMLESS = re.compile(r"[-+]?[0-9.]{1,7}|[tf]|NULL|exit \d{1,3}")
_CHECKS_OF_QUERIES = frozenset(("sql", "command"))
_SQLITE_SAID = frozenset(("contents", "integrity_check"))


def closed(record: dict[str, Any]) -> dict[str, Any]:
    """The record, an older one without what may quote data. Changes it."""
    if record.get("version", 1) >= CLOSED:
        return record
    for key, value in record.items():
        if key == "checks" and isinstance(value, list):
            record[key] = [_check(one) if isinstance(one, Mapping) else one for one in value]
        else:
            record[key] = _closed(key, value)
    return record


def sensible(record: Mapping[str, Any]) -> bool:
    """Can an older ccdr have written it so? Such records had no definition that they could be held to, and none ever
    said that a restore test passed without a check, or with one that had not, that a backup was stored as nothing, or
    that a part was read which there was none of."""
    if record.get("kind") == "backup.end" and record.get("result") == "STORED":
        return isinstance(record.get("snapshot"), Mapping)
    if record.get("kind") == "check.end":
        part, parts = record.get("part"), record.get("parts")
        return not (isinstance(part, int) and isinstance(parts, int) and part > parts)
    if record.get("kind") != "restore_test.end" or record.get("verdict") != "PASS":
        return True
    checks, snapshot = record.get("checks"), record.get("snapshot")
    own = snapshot.get("verdict") if isinstance(snapshot, Mapping) else "none"
    return (
        isinstance(checks, list)
        and bool(checks)
        and own in (None, "PASS")
        and all(isinstance(one, Mapping) and one.get("status") == "PASS" for one in checks)
    )


def withholds(record: Mapping[str, Any]) -> bool:
    """Was something of this record withheld?"""
    return any(_holds(value) for value in record.values())


def _closed(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _closed(name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_closed(key, inner) for inner in value]
    return WITHHELD if isinstance(value, str) and key in _TEXTS and value not in _OURS else value


def _check(check: Mapping[str, Any]) -> dict[str, Any]:
    cleaned, kind, name = dict(check), check.get("kind"), str(check.get("name"))
    failed = check.get("status") != "PASS"
    if kind in _CHECKS_OF_QUERIES:
        cleaned["name"] = f"{kind} check"
        for key in ("expected", "actual"):
            if not _HARMLESS.fullmatch(str(check.get(key))):
                cleaned[key] = WITHHELD
    elif failed and (name in _SQLITE_SAID or "could not be compared" in str(check.get("actual"))):
        cleaned["actual"] = WITHHELD
    return cleaned


def _holds(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds(inner) for inner in value.values())
    if isinstance(value, list):
        return any(_holds(inner) for inner in value)
    return bool(value == WITHHELD)
