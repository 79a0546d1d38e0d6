"""Where the anchors of the ledger stand: which are configured, when each last held, which is overdue, and up to where a
change of a record would show to whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ccdr.evidence.lineage.own_records import Anchoring, LastAnchored
from ccdr.model.trouble import Problem, Trouble, next_step
from ccdr.model.values import rfc3339, so_many, utc

FOR_WHOM = {
    "rfc3161": "whoever has the certificate of the authority's CA",
    "told": "whoever keeps that message",
    "object_lock": "whoever may list that bucket",
}
_NO_KEY = "ccdr ledger key create   makes the key; give its public half to your auditor: docs/how-to/checkpoints.md"


@dataclass(frozen=True)
class AnchorAsked:
    """One that is configured: how often it is to be made, and how long it may take."""

    name: str
    kind: str
    every: timedelta
    overdue_after: timedelta
    where_sha256: str


@dataclass(frozen=True)
class AnchorNow:
    """`size`, `at`: the newest checkpoint that it holds, and since when; None: none. `overdue`: since when it is.
    `tries`: how often in vain since it last held."""

    name: str
    kind: str
    every: timedelta
    size: int | None = None
    at: datetime | None = None
    overdue: datetime | None = None
    tries: int = 0

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "kind": self.kind,
            "every_s": self.every.total_seconds(),
            "records": self.size,
            "at": self.at and rfc3339(self.at),
            "overdue": self.overdue is not None,
            "tried_in_vain": self.tries,
            "independent_for": FOR_WHOM[self.kind],
        }

    def __str__(self) -> str:
        held = "never yet" if self.at is None else f"last at {_minute(self.at)}, of {so_many(self.size or 0, 'record')}"
        late = "; OVERDUE" if self.overdue else ""
        vain = f"; tried {self.tries} times in vain since" if self.tries > 1 else "; tried in vain since"
        return f"{self.name} ({self.kind}): {held}{late}{vain if self.tries else ''}"


@dataclass(frozen=True)
class AnchorBoundary:
    """A change before record `record` shows to `whom`, by what the anchor `name` held at `at`."""

    record: int
    name: str
    kind: str
    at: datetime

    @property
    def whom(self) -> str:
        return FOR_WHOM[self.kind]

    def as_json(self) -> dict[str, object]:
        return {
            "record": self.record,
            "anchor": self.name,
            "kind": self.kind,
            "at": rfc3339(self.at),
            "independent_for": self.whom,
        }

    def __str__(self) -> str:
        when = _minute(self.at)
        return f"a change before record {self.record} shows to {self.whom}, by {self.name} ({self.kind}), {when}"


@dataclass(frozen=True)
class AnchorsStanding:
    """`boundaries`: the newest of each kind, the furthest first. `mistake`: why anchors.yaml cannot be read, one
    sentence; then what was recorded stands in its place."""

    anchors: Sequence[AnchorNow]
    boundaries: Sequence[AnchorBoundary]
    signed: bool  # does a key sign this ledger?
    mistake: str | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "signed": self.signed,
            "configured": [one.as_json() for one in self.anchors],
            "boundary": self.boundaries[0].as_json() if self.boundaries else None,
            "boundaries": [one.as_json() for one in self.boundaries],
            "mistake": self.mistake,
        }

    def lines(self) -> list[str]:
        """For people; the last one is the boundary."""
        if not self.anchors:
            none = "no anchor is configured: whoever is root here can write all of the ledger anew, and nobody sees it"
            return [none, *map(str, self.boundaries)]
        shown = [f"anchor {one}" for one in self.anchors]
        return [*shown, *([str(one) for one in self.boundaries] or ["no anchor holds a checkpoint yet"])]

    def problems(self) -> Iterator[Problem]:
        code = Trouble.ANCHOR_OVERDUE
        if self.mistake is not None:
            yield Problem(
                code,
                self.mistake,
                about="anchors.yaml",
                step="correct it, beside the plans: docs/how-to/checkpoints.md",
            )
        if self.anchors and not self.signed:
            text = "anchors of the ledger are configured, and no key signs its checkpoints: nothing is anchored"
            yield Problem(code, text, about="key", step=_NO_KEY)
            return
        for one in self.anchors:
            if one.overdue:
                held = "has never held one" if one.at is None else f"last held one at {_minute(one.at)}"
                vain = f", and was tried in vain {so_many(one.tries, 'time')} since" if one.tries else ""
                text = f"the anchor {one.name} of the ledger is overdue: it {held}{vain}"
                yield Problem(code, text, one.overdue, about=one.name, step=next_step(code, "PLAN", None))


def standing(
    asked: Iterable[AnchorAsked],
    known: Anchoring,
    now: datetime,
    since: dict[str, datetime | None],
    tries: dict[str, int] | None = None,
) -> AnchorsStanding:
    """`since`, by name: of when the first record is that it does not hold yet; None: it holds all."""
    anchors = [_now(one, known, now, since.get(one.name), (tries or {}).get(one.name, 0)) for one in asked]
    return AnchorsStanding(anchors, boundaries(known.last.values()), known.key is not None)


def _now(asked: AnchorAsked, known: Anchoring, now: datetime, waits: datetime | None, tries: int) -> AnchorNow:
    last = known.last.get(asked.name)
    led_there = last is not None and last.where_sha256 in ("", asked.where_sha256)
    held = last if led_there else None
    one = AnchorNow(asked.name, asked.kind, asked.every, tries=tries)
    began = utc(known.configured_since) if known.configured_since else now
    if held is not None:
        one = replace(one, size=held.size, at=utc(held.at))
        began = utc(held.at)
    if waits is not None:
        late = max(began, waits) + asked.overdue_after
        one = replace(one, overdue=late if late <= now else None)
    return one


def boundaries(held: Iterable[LastAnchored]) -> list[AnchorBoundary]:
    by_kind = dict[str, LastAnchored]()
    for one in held:
        if one.kind in FOR_WHOM and (one.kind not in by_kind or one.size > by_kind[one.kind].size):
            by_kind[one.kind] = one
    newest = sorted(by_kind.values(), key=lambda one: -one.size)
    return [AnchorBoundary(one.size, one.name, one.kind, utc(one.at)) for one in newest]


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
