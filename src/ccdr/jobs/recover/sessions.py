"""How long nothing was at work on a recovery: between the processes that worked on it. Seconds, by a clock that never
jumps where both saw the same start of the machine; else only the wall's can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

BACK = 2.0  # seconds by which a wall clock may go back between two looks without having been set


@dataclass(frozen=True)
class Moment:
    """One instant, as the wall's clock has it, and `mono` by the other one, which counts from the machine's start
    `boot`; None where whoever wrote it did not say."""

    at: datetime
    mono: float | None = None
    boot: str | None = None


@dataclass(frozen=True)
class Session:
    """One process: `seconds` of the recovery that lay behind when it was last heard of."""

    began: Moment
    heard: Moment
    seconds: float = 0.0


@dataclass(frozen=True)
class Away:
    """`unknown`: a clock was set back meanwhile, and no other one tells how long it really was."""

    seconds: float = 0.0
    unknown: bool = False


def away(sessions: Sequence[Session], now: Moment) -> Away:
    """From each process to the next, and from the last one until now."""
    between = [(one.heard, other.began) for one, other in pairwise(sessions)]
    between += [(sessions[-1].heard, now)] if sessions else []
    gaps = [_gap(earlier, later) for earlier, later in between]
    return Away(sum(max(0.0, gap) for gap in gaps), any(gap < -BACK for gap in gaps))


def _gap(earlier: Moment, later: Moment) -> float:
    if earlier.boot and earlier.boot == later.boot and earlier.mono is not None and later.mono is not None:
        return later.mono - earlier.mono
    return (later.at - earlier.at).total_seconds()
