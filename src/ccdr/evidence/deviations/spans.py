"""What is kept of deviations as records come: those that are open, and those that ended. Pure.

A span may wait for several things (`pending`): for a backup and a restore test that were both missed, for each check
that a plan's new version dropped. It ends by the record that settles the last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.deviations.values import Entry, Span
from ccdr.model.values import ledger_of, number_of, rfc3339, utc
from ccdr.plans.deviation_rules import due_within, severity_of

Record = Mapping[str, Any]
JOINED = timedelta(days=7)
MOST_ENDED = 50  # of an asset, the newest that a summary keeps: a report reads those of its period


@dataclass(slots=True)
class Kept:
    """Of an asset, or of a plan's or the host's own."""

    spans: list[Span] = field(default_factory=list)  # that are open …
    ended: list[Span] = field(default_factory=list)  # … and those that ended, the newest last
    # By verb: how often in a row it proved nothing, and since when; by kind: the newest start, its time and base.
    rows: dict[str, list[Any]] = field(default_factory=dict)
    begun: dict[str, list[Any]] = field(default_factory=dict)
    # Of an asset: the newest point that it can be restored to, since when it can be, the base of the record that tells,
    # whether its log leads on from there.
    point: list[Any] = field(default_factory=list)
    promised: dict[str, Any] = field(default_factory=dict)  # of a plan: facts of versions that spans are measured by
    said: dict[str, Entry] = field(default_factory=dict)  # of a plan: what people have said, by the deviation's id
    owners: list[list[Any]] = field(default_factory=list)  # of a plan: since when its versions name which owner

    def owner_at(self, began: datetime) -> str | None:
        """Of what began then: whom the plan's version in force before it names; None where none does, or did then."""
        return next((owner for since, owner in reversed(self.owners) if utc(since) < began), None)


def base_of(record: Record) -> list[Any]:
    """What tells this record from all others: its number, and the hash of the one before it."""
    return [number_of(record), str(record.get("prev") or "")]


def standing(place: Kept, code: str, asset: str | None) -> Span | None:
    return next((one for one in place.spans if (one["code"], one["asset"]) == (code, asset)), None)


def opened(
    place: Kept,
    code: str,
    record: Record,
    rules: Mapping[str, Any],
    *,
    what: str = "",
    detail: Any = None,
    asset: str | None = None,
    since: datetime | None = None,
    base: list[Any] | None = None,
    times: int = 1,
    together: Callable[[Any, Any], Any] | None = None,
) -> Span:
    """It is seen by this record: a span is open, or goes on. `asset` where that is not the record's own, `base` where
    another record tells the span from others, `rules` are the plan's, as its facts have them. `together`: what it waits
    for that was seen before asking for one `detail`, and is now for another; None: for the first."""
    of = asset if asset is not None else record["asset"]
    time = str(record["time"])
    span = standing(place, code, of)
    if span is None:
        severity = severity_of(code, rules.get("severity") or {})
        span = {
            "code": code,
            "asset": of,
            "base": _unused(place, code, of, base) or base_of(record),
            "seq": number_of(record),
            "ledger": ledger_of(record),
            "since": time if since is None else rfc3339(since),
            "opened": time,
            "times": 0,
            "severity": severity,
            "within": due_within(severity, rules.get("due") or {}),
            "pending": {},
            "retest": None,
            "unchecked": None,
        }
        place.spans.append(span)
    span["times"] += times
    span["last"] = time
    if since is not None:
        span["since"] = min(span["since"], rfc3339(since))
    if together is not None and what in span["pending"]:
        detail = together(span["pending"][what], detail)
        span["pending"][what] = detail
    span["pending"].setdefault(what, detail)
    return span


def _unused(place: Kept, code: str, asset: str | None, base: list[Any] | None) -> list[Any] | None:
    """No two spans are known by the same."""
    taken = any((one["code"], one["asset"], one["base"]) == (code, asset, base) for one in place.ended)
    return None if taken else base


def settled(
    place: Kept,
    code: str,
    record: Record,
    what: str | None = "",
    good: Callable[[Any], bool] = lambda _: True,
    *,
    asset: str | None = None,
) -> None:
    """This record took back `what` it waits for (None: all of it), where that is `good` enough for it."""
    if not place.spans:  # as a rule
        return
    span = standing(place, code, asset if asset is not None else record["asset"])
    if span is None:
        return
    wanted = list(span["pending"]) if what is None else [what]
    for one in wanted:
        if one in span["pending"]:
            if good(span["pending"][one]):
                del span["pending"][one]
            else:
                span["unchecked"] = [number_of(record), str(record["time"])]
    if not span["pending"]:
        end(place, span, record)


def end(place: Kept, span: Span, record: Record) -> None:
    span["retest"], span["unchecked"] = [number_of(record), str(record["time"])], None
    place.spans.remove(span)
    place.ended.append(span)


def reopened(place: Kept, span: Span) -> None:
    """It had not ended: what shows that was recorded after its end. Where one is open meanwhile, that goes on."""
    if standing(place, span["code"], span["asset"]) is None:
        place.ended.remove(span)
        place.spans.append(span | {"retest": None})


def forget_oldest(place: Kept) -> None:
    """Of those that ended: a report reads those of its period."""
    place.ended = place.ended[-MOST_ENDED:]


def forget_ended(place: Kept, before: datetime) -> None:
    """What ended before a time, no period that begins later asks for; up to `JOINED` later a record may go on with."""
    place.ended = [one for one in place.ended if utc(one["retest"][1]) >= before - JOINED]
