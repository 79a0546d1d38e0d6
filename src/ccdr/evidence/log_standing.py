"""How far an asset's log is stored, as the host that ships it wrote it down: STATE/shipping/PLAN/ASSET/standing.json.
For `status` and `ccdr run`, which ask no repository; the repository itself is the truth.

The ledger is told of it each hour: what this says of any later time, no host of ours has written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from ccdr.host.state import State
from ccdr.host.state_files import state_or_none, write_state
from ccdr.model.finding import Finding
from ccdr.model.forks import Fork
from ccdr.model.instant import Instant
from ccdr.model.measure import Point

UNRECORDED = timedelta(hours=2)  # that log may have been stored before a record tells of it


@dataclass(frozen=True)
class LogStanding:
    """`since` is the first segment of the log that has no gap up to `position`; `point` and `usable` are of the newest
    stored snapshot, `server` whose log it is. `trouble` is why the log is not shipped now, and `troubled` since when;
    `findings` threaten it. `anew`: when the source was found to have gone back behind its own log, last; bases from
    before then are of another history."""

    since: str | None = None
    point: Instant | None = None
    usable: Instant | None = None
    position: str | None = None
    trouble: str | None = None
    troubled: Instant | None = None
    away: bool = False  # and that is so since nobody answers where the source is to be
    pending: tuple[Point, ...] = ()  # what was stored since the last record of it
    findings: tuple[Finding, ...] = ()
    gap: str | None = None
    server: str | None = None
    anew: Instant | None = None
    branch: int | None = None  # of the log, that `position` is of
    forks: tuple[Fork, ...] = ()  # where those began that are known
    running: bool = False  # a process ships it, which has not ended as it should
    claimed: Instant | None = None  # up to when it says that it is stored, where that is not believed; never written

    @property
    def newest(self) -> Point | None:
        return Point(self.point, self.usable) if self.point and self.usable else None


def as_recorded(standing: LogStanding | None, recorded: datetime | None, newest: Point | None) -> LogStanding | None:
    """What is believed of it: what was stored within `UNRECORDED` of the last record of its log; else what that and
    those before it tell, the `newest` point of which is given."""
    if standing is None or standing.point is None:
        return standing
    if recorded is not None and max(standing.point, standing.usable or standing.point) <= recorded + UNRECORDED:
        return standing
    recorded_point = {"point": newest and newest.consistent, "usable": newest and newest.usable}
    return replace(standing, **recorded_point, pending=(), claimed=standing.point)  # type: ignore[arg-type]


def directory(state: State, plan: str, asset: str) -> Path:
    return state.directory("shipping", plan, asset)


def write_standing(path: Path, standing: LogStanding) -> None:
    write_state(path / "standing.json", replace(standing, claimed=None))


def read_standing(state: State, plan: str, asset: str) -> LogStanding | None:
    """None where this host has never shipped it, or what it wrote cannot be read."""
    return state_or_none(Path(f"{state.root}/shipping/{plan}/{asset}/standing.json"), LogStanding)
