"""A plan that is paused: by whom, and until when. Values in, values out.

A pause is a statement; it is over once the time that it was given has passed, or with a statement that ends it: so one
that ended by itself needs no record. Of one that began since this machine started its own clock of elapsed
seconds tells how much is left, and how long it was, whatever was done to the other clock meanwhile; of any other the
times tell. None reaches back before what was recorded before it, which its statement says and the verification holds
it to: what was missed by then stays missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import Struct

from ccdr.evidence.records.statements import END_PAUSE, PAUSE_SCHEDULE, ScheduleRef, StatementRecord
from ccdr.model.errors import UsageProblem
from ccdr.model.schema import parse_duration
from ccdr.model.values import AHEAD, human_seconds, rfc3339

PAUSE, PAUSE_END = PAUSE_SCHEDULE.kind, END_PAUSE.kind
PAUSED = "paused"  # the reason of what is skipped
TURNED = timedelta(seconds=5)  # by less than that, no clock was set
MOST, ALL = 50, 1 << 31  # pauses of a plan that are kept

Window = tuple[datetime, datetime]


class PausedSpan(Struct):
    """A pause as it is kept: what its statement says, and when another one ended it."""

    begun: datetime
    until: datetime
    after: datetime
    actor: str
    host: str
    words_sha256: str | None
    boot: str | None
    elapsed_s: float
    seq: int
    ended: datetime | None = None


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


def take_pause(spans: list[PausedSpan], record: StatementRecord, most: int = MOST) -> None:
    """Take a pause, or an end: that ends all that go on. The newest `most` are kept."""
    about = record.about
    assert isinstance(about, ScheduleRef)
    if record.row is END_PAUSE:
        for span in spans:
            if span.ended is None:
                _end_by(span, record.time, about)
        return
    assert record.until is not None
    whose = record.actor, record.host, record.words_sha256
    clock = about.boot, about.elapsed_s
    spans.append(PausedSpan(record.time, record.until, about.after or record.time, *whose, *clock, record.seq))
    del spans[:-most]


def _end_by(span: PausedSpan, ended: datetime, about: ScheduleRef) -> None:
    """What passed between its begin and its end is as long as it was: where a clock was set meanwhile, it lies before
    the end, whatever time its begin bears."""
    if about.boot is not None and about.boot == span.boot:
        begun = ended - timedelta(seconds=max(0.0, about.elapsed_s - span.elapsed_s))
        _turn(span, begun - span.begun)
    span.ended = ended


def _turn(span: PausedSpan, turned: timedelta) -> None:
    if abs(turned) > TURNED:
        span.until, span.begun = _end(span) + turned, span.begun + turned


def in_force(spans: Sequence[PausedSpan], now: datetime) -> Pause | None:
    """Of several the one that lasts longest."""
    there = (_pause(span) for span in spans if span.ended is None)
    lasting = (pause for pause in there if pause.begun <= now + AHEAD and now < pause.until)
    return max(lasting, key=lambda pause: pause.until, default=None)


def windows(spans: Iterable[PausedSpan]) -> tuple[Window, ...]:
    """From when to when each of them was, or is to be."""
    return tuple((max(span.begun, span.after), _end(span)) for span in spans)


def within(moment: datetime, paused: Iterable[Window]) -> bool:
    """Did it come due while the plan was paused?"""
    return any(begun <= moment < end for begun, end in paused)


def let_be_until(spans: Iterable[PausedSpan], now: datetime) -> datetime | None:
    """Up to when what came due was let be, last: `now`, while the plan is paused."""
    return max((min(end, now) for begun, end in windows(spans) if begun < end and begun <= now + AHEAD), default=None)


def by_elapsed(spans: Iterable[PausedSpan], now: datetime, elapsed: float, boot: str | None) -> None:
    """Where this machine's clock was set since one began, its times are told by what the clock says now."""
    for span in spans:
        if span.ended is not None or boot is None or span.boot != boot:
            continue
        turned = now - timedelta(seconds=elapsed - span.elapsed_s) - span.begun
        if turned < -TURNED:  # by a clock that is behind now, so was what came before it
            span.after += turned
        _turn(span, turned)


def _end(span: PausedSpan) -> datetime:
    """Whoever wrote it, it lasts no longer than one may."""
    end = PAUSE_SCHEDULE.end_of(span.until, span.begun)
    return min(end, span.ended) if span.ended else end


def _pause(span: PausedSpan) -> Pause:
    return Pause(span.begun, _end(span), span.actor, span.host, span.words_sha256, span.seq)


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
