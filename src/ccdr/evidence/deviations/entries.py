"""What people have said of deviations: who answers for one, why it came to be, what is done, what risk is accepted.

Nothing is overwritten: what was said before stays, and the newest counts. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccdr.evidence.deviations.values import ACCEPTED, ASSIGNED, Entry
from ccdr.evidence.records.statements import kind_of
from ccdr.model.values import number_of

MOST = 500  # deviations of a plan that somebody said something of: the newest
MOST_SAID = 40  # of one, of each kind: the newest

_KEPT = (
    "seq", "time", "actor", "plan", "says", "about", "until", "words_sha256", "made", "nonce", "by",
)  # fmt: skip


def take_entry(entries: dict[str, Entry], record: Mapping[str, Any]) -> None:
    kind, about = kind_of(record), record["about"]
    name = str(about["deviation"])
    entry = entries.pop(name, None) or {"assigned": [], "cause": [], "action": [], "note": [], "accepted": []}
    entries[name] = entry
    said = [number_of(record), str(record["time"]), str(record["actor"])]
    if kind == ASSIGNED:
        due = record.get("until")
        _add(entry, "assigned", [*said, str(about["owner"]), None if due is None else str(due)])
    elif kind == ACCEPTED:
        _add(entry, "accepted", {key: record.get(key) for key in _KEPT})
    else:
        _add(entry, str(about["what"]), [*said, record.get("words_sha256")])
    while len(entries) > MOST:
        del entries[next(iter(entries))]


def _add(entry: Entry, key: str, said: Any) -> None:
    entry[key] = [*entry[key], said][-MOST_SAID:]
