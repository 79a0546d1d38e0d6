"""The evidence looks after itself: once a day `ccdr run` verifies the whole ledger, and makes the summary of it anew to
compare it with the one that is kept, since `status` and all that is told stand on that.

What was found is a record in the ledger. A finding stands until all holds again, and is looked for every hour until
then. Against whoever may write all of the state directory this is no proof, but nothing stays hidden for longer than a
day by changing the one file without the other; `ccdr ledger verify` compares them whenever somebody asks, and
`ccdr status` compares what the summary says of the newest records.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from ccdr.history import Histories, read_history, read_population, summary
from ccdr.ledger import WRONG, Ledger, Mark, Verification, verify
from ccdr.lineage import VERIFIED, Lineage, differs, keep, misnamed
from ccdr.model import so_many, utc
from ccdr.reading import meanwhile
from ccdr.schedule import SET_BACK
from ccdr.services import Services
from ccdr.state import State, write_durably

HOLDS, BROKEN = "HOLDS", "BROKEN"
EQUAL, DIFFERS, NONE = "EQUAL", "DIFFERS", "NONE"  # the summary that was kept
EVERY, AFTER_A_FINDING = timedelta(days=1), timedelta(hours=1)
MOST_RECORDED = 5  # problems that a record spells out


@dataclass(frozen=True)
class Comparison:
    """A ledger that was verified, and how the summary kept beside it compares; `differences` are sentences."""

    ledger: Verification
    summary: str
    differences: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        return self.ledger.problems + self.differences


@dataclass(frozen=True)
class Finding:
    """The newest verification, as its record (number `seq`) has it. `index` has the digests of the files that a report
    may begin from."""

    at: datetime
    records: int
    result: str
    summary: str
    problems: tuple[str, ...]
    seq: int = 0
    index: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.result == HOLDS and self.summary != DIFFERS

    def as_json(self) -> dict[str, object]:
        return {
            "verified": self.at.isoformat().replace("+00:00", "Z"),
            "ok": self.ok,
            "records": self.records,
            "summary": self.summary,
            "problems": list(self.problems),
        }


def compare(services: Services) -> Comparison:
    """Walk the whole ledger, and make the summary anew on the way, as far as the one that is kept goes, and what is
    kept of its lineage; verify those that lie beside it. Neither is judged of a ledger that does not verify, nor is a
    summary of others than lie there now. CcdrError where it cannot be read. Changes nothing."""
    found, changed = _compare(services), services.lineage().changed
    if found.ledger.ok and changed is None and differs(services.state, services.ledger):
        changed = "chain.json says otherwise than the ledger of what became of it: it was changed"
    return found if changed is None else replace(found, summary=DIFFERS, differences=(*found.differences, changed))


def _compare(services: Services) -> Comparison:
    beside = services.population()
    of_others = beside.problems()
    kept, path = summary(services.state.summary), services.state.summary.name
    known: Histories = {}
    seen: list[str] | None = None

    def take(record: Mapping[str, Any], _: datetime) -> None:
        read_history([record], known)

    def there() -> None:
        nonlocal seen
        assert kept is not None
        seen = _differing(kept[2], read_population(services.ledger, beside, kept[0].seq) if beside else known)

    found = verify(services.ledger.directory, take, at=(kept[0], there) if kept else None)
    if found.ok:
        changed = [*_kept_mark(services), *misnamed(services.ledger.directory)]
        found = replace(found, problems=(*found.problems, *changed))
    found = replace(found, problems=(*found.problems, *_wrong(known), *of_others))
    if not found.ok or kept is None or kept[1] != beside.key or not services.ledger.holds(kept[0]):
        return Comparison(found, NONE, ())  # in the last case it would not be used
    if seen is None:
        return Comparison(found, DIFFERS, (f"{path} claims to be made from a record that is not in the ledger",))
    if not seen:
        return Comparison(found, EQUAL, ())
    more = f" and {len(seen) - 3} more" if len(seen) > 3 else ""
    what = f"{path} says otherwise than the ledger that it sums up, on {', '.join(seen[:3])}{more}"
    return Comparison(found, DIFFERS, (f"{what}: `ccdr status` was not to be believed",))


def _wrong(known: Histories) -> list[str]:
    """Records that cannot be so, by the places that they are about."""
    found = []
    for key, history in known.items():
        count, last = history.passed_over.get(WRONG, (0, 0))
        if count:
            more = f" and {so_many(count - 1, 'more')} about the same" if count > 1 else ""
            about = "/".join(part for part in key if part) or "this host"
            found.append(f"record {last}, about {about}, cannot be understood: no ccdr wrote it so{more}")
    return found[:MOST_RECORDED]


def _differing(kept: Histories, known: Histories) -> list[str]:
    """Assets (or, of upkeep, plans) whose history is not the same, the order of open runs included."""
    wrong = []
    for key in sorted(kept.keys() | known.keys(), key=str):
        one, other = kept.get(key), known.get(key)
        if one is None or other is None or one != other or list(one.open_runs) != list(other.open_runs):
            wrong.append("/".join(part for part in key if part) or "this host")
    return wrong


def _kept_mark(services: Services) -> list[str]:
    """Is the record of the last verification still there? It is not where the ledger was begun anew, which says so."""
    try:
        mark = Mark(**json.loads(_path(services.state).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return []
    lineage = services.lineage()
    if services.ledger.at(mark) is not None or lineage.lost or lineage.past:
        return []
    return [f"record {mark.seq}, of the last verification, is not in the ledger any more: it was cut off or rewritten"]


def newest(lineage: Lineage) -> Finding | None:
    """What the newest verification in the ledger found; None where there is none."""
    last = lineage.verified
    if last is None:
        return None
    return Finding(utc(last.at), last.records, last.result, last.summary, last.problems, last.seq, last.index)


def daily(services: Services, index: Callable[[Services], dict[str, str]] | None = None) -> tuple[Finding | None, bool]:
    """Verify, if that is due; what the newest verification found, and whether that is bad news. A ledger that is less
    than a day old is let be. `index` makes that of a ledger that holds (digests of its files, by name). CcdrError where
    it cannot be read or written."""
    lineage, now = services.lineage(), services.clock.now()
    last = newest(lineage)
    if not _due(last, services.ledger, now) and (lineage.changed is None or (last and not last.ok)):
        return last, False
    with services.state.turn("verify") as mine:
        if not mine:
            return last, False
        with meanwhile(partial(index, services)) if index else nullcontext(dict[str, str]) as made:
            found = compare(services)
            files = made() or {}
        if found.summary == DIFFERS:
            services.state.summary.unlink(missing_ok=True)  # it is made anew from the ledger
            if last is not None and last.result == BROKEN:  # made while the ledger was not as it is
                found = Comparison(found.ledger, NONE, ())
        _record(services, found, files)
        if found.ledger.ok:
            keep(services.state, services.ledger, anew=found.summary == DIFFERS)
    after = newest(services.lineage())
    before = () if last is None or last.ok else last.problems
    return after, after is not None and not after.ok and after.problems != before


def _due(last: Finding | None, ledger: Ledger, now: datetime) -> bool:
    if last is None:
        first = next(iter(ledger.records()), None)
        return first is not None and not now - EVERY < utc(first["time"]) <= now + SET_BACK
    return not now - (EVERY if last.ok else AFTER_A_FINDING) < last.at <= now + SET_BACK


def _record(services: Services, found: Comparison, index: dict[str, str]) -> None:
    problems = found.problems[:MOST_RECORDED]
    body = {
        "result": HOLDS if found.ledger.ok else BROKEN,
        "reason": "; ".join(problems) or None,
        "records": found.ledger.records,
        "head": found.ledger.head,
        "summary": found.summary,
        "problems": list(problems),
        "index": index if found.ledger.ok else {},
    }
    ref = services.ledger.append(VERIFIED, plan=None, asset=None, run=None, body=body)
    mark = services.ledger.mark_of(ref)
    if mark is not None:
        write_durably(_path(services.state), json.dumps(asdict(mark)) + "\n")


def _path(state: State) -> Path:
    return state.root / "verified.json"
