"""A plan that is paused: by whom, and until when. Values in, values out.

A pause is a statement; it is over once the time that it was given has passed, or with a statement that ends it: so one
that ended by itself needs no record. Of one that began since this machine started its own clock of elapsed
seconds tells how much is left, and how long it was, whatever was done to the other clock meanwhile; of any other the
times tell. None reaches back before what was recorded before it, which its statement says and the verification holds
it to: what was missed by then stays missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.records.statements import END_PAUSE, PAUSE_SCHEDULE, kind_of
from ccdr.evidence.verdicts import Record
from ccdr.model.errors import UsageProblem
from ccdr.model.schema import parse_duration
from ccdr.model.values import AHEAD, human_seconds, number_of, rfc3339, utc

PAUSE, PAUSE_END = PAUSE_SCHEDULE.kind, END_PAUSE.kind
PAUSED = "paused"  # the reason of what is skipped
TURNED = timedelta(seconds=5)  # by less than that, no clock was set
MOST, ALL = 50, 1 << 31  # pauses of a plan that are kept

Entry = dict[str, Any]  # as it is kept: `begun`, `until` and `ended` as texts, and what its statement says
Window = tuple[datetime, datetime]


@dataclass(frozen=True)
class Pause:
    """One that is in force. `why` is the digest by which the words are kept, apart."""

    begun: datetime
    until: datetime
    actor: str
    host: str
    why: str | None
    seq: int

    def __str__(self) -> str:
        return f"paused until {rfc3339(self.until)[:16]}Z by {self.actor}"

    def as_json(self) -> dict[str, object]:
        return {
            "since": rfc3339(self.begun),
            "until": rfc3339(self.until),
            "by": self.actor,
            "host": self.host,
            "record": self.seq,
        }


def take_pause(entries: list[Entry], record: Record, most: int = MOST) -> None:
    """Take a pause, or an end: that ends all that go on. The newest `most` are kept."""
    if kind_of(record) == PAUSE_END:
        for entry in entries:
            if entry["ended"] is None:
                _end_by(entry, record)
        return
    entry = {key: record[key] for key in ("until", "actor", "host", "words_sha256")}
    about, begun = record["about"], str(record["time"])
    entry |= {"boot": about["boot"], "elapsed_s": about["elapsed_s"], "after": about.get("after") or begun}
    entries.append({**entry, "begun": begun, "seq": number_of(record), "ended": None})
    del entries[:-most]


def _end_by(entry: Entry, record: Record) -> None:
    """What passed between its begin and its end is as long as it was: where a clock was set meanwhile, it lies before
    the end, whatever time its begin bears."""
    ended, boot, elapsed = str(record["time"]), record["about"]["boot"], record["about"]["elapsed_s"]
    if boot is not None and boot == entry["boot"]:
        begun = utc(ended) - timedelta(seconds=max(0.0, elapsed - entry["elapsed_s"]))
        _turn(entry, begun - utc(entry["begun"]))
    entry["ended"] = ended


def _turn(entry: Entry, turned: timedelta) -> None:
    if abs(turned) > TURNED:
        entry.update(until=rfc3339(_end(entry) + turned), begun=rfc3339(utc(entry["begun"]) + turned))


def in_force(entries: Sequence[Entry], now: datetime) -> Pause | None:
    """Of several the one that lasts longest."""
    there = (_pause(entry) for entry in entries if entry["ended"] is None)
    lasting = (pause for pause in there if pause.begun <= now + AHEAD and now < pause.until)
    return max(lasting, key=lambda pause: pause.until, default=None)


def windows(entries: Iterable[Entry]) -> tuple[Window, ...]:
    """From when to when each of them was, or is to be."""
    return tuple((max(utc(entry["begun"]), utc(entry["after"])), _end(entry)) for entry in entries)


def within(moment: datetime, paused: Iterable[Window]) -> bool:
    """Did it come due while the plan was paused?"""
    return any(begun <= moment < end for begun, end in paused)


def let_be_until(entries: Iterable[Entry], now: datetime) -> datetime | None:
    """Up to when what came due was let be, last: `now`, while the plan is paused."""
    return max((min(end, now) for begun, end in windows(entries) if begun < end and begun <= now + AHEAD), default=None)


def by_elapsed(entries: Iterable[Entry], now: datetime, elapsed: float, boot: str | None) -> None:
    """Where this machine's clock was set since one began, its times are told by what the clock says now."""
    for entry in entries:
        if entry["ended"] is not None or boot is None or entry["boot"] != boot:
            continue
        turned = now - timedelta(seconds=elapsed - entry["elapsed_s"]) - utc(entry["begun"])
        if turned < -TURNED:  # by a clock that is behind now, so was what came before it
            entry["after"] = rfc3339(utc(entry["after"]) + turned)
        _turn(entry, turned)


def _end(entry: Mapping[str, Any]) -> datetime:
    """Whoever wrote it, it lasts no longer than one may."""
    end = PAUSE_SCHEDULE.end_of(utc(entry["until"]), utc(entry["begun"]))
    return min(end, utc(entry["ended"])) if entry["ended"] else end


def _pause(entry: Mapping[str, Any]) -> Pause:
    actor, host = str(entry["actor"]), str(entry["host"])
    return Pause(utc(entry["begun"]), _end(entry), actor, host, entry["words_sha256"], int(entry["seq"]))


def lasting(text: str) -> timedelta:
    """What `--for` says. UsageProblem where it is no duration, none at all, or too long."""
    try:
        seconds = parse_duration(text)
    except (ValueError, OverflowError):
        raise UsageProblem(f"--for {text[:40]!a} is no duration", hint="write 90m, 4h, or 24h at most") from None
    if seconds > PAUSE_SCHEDULE.longest.total_seconds():
        raise UsageProblem(
            f"--for {text[:40]} is longer than 24h",
            hint="write 24h at most: whoever needs longer pauses again, and says why again",
        )
    return timedelta(seconds=seconds)


def told(pause: Pause, now: datetime) -> str:
    """For people: until when, how long that is, and by whom."""
    left = human_seconds(max(0.0, (pause.until - now).total_seconds()))
    return f"{pause} on {pause.host}, for {left} more"
