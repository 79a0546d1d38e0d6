"""How far an asset's log is stored, as the host that ships it wrote it down: STATE/shipping/PLAN/ASSET/standing.json.
For `status` and `ccdr run`, which ask no repository; the repository itself is the truth.

The ledger is told of it each hour: what this says of any later time, no host of ours has written."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import convert

from ccdr.host.files import write_durably
from ccdr.host.state import State
from ccdr.model.finding import Finding, recorded
from ccdr.model.forks import Fork, read, written
from ccdr.model.measure import Point
from ccdr.model.values import rfc3339, utc

UNRECORDED = timedelta(hours=2)  # that log may have been stored before a record tells of it


@dataclass(frozen=True)
class LogStanding:
    """`since` is the first segment of the log that has no gap up to `position`; `point` and `usable` are of the newest
    stored snapshot, `server` whose log it is. `trouble` is why the log is not shipped now, and `troubled` since when;
    `findings` threaten it. `anew`: when the source was found to have gone back behind its own log, last; bases from
    before then are of another history."""

    since: str | None = None
    point: datetime | None = None
    usable: datetime | None = None
    position: str | None = None
    trouble: str | None = None
    troubled: datetime | None = None
    away: bool = False  # and that is so since nobody answers where the source is to be
    pending: tuple[Point, ...] = ()  # what was stored since the last record of it
    findings: tuple[Finding, ...] = ()
    gap: str | None = None
    server: str | None = None
    anew: datetime | None = None
    branch: int | None = None  # of the log, that `position` is of
    forks: tuple[Fork, ...] = ()  # where those began that are known
    running: bool = False  # a process ships it, which has not ended as it should
    claimed: datetime | None = None  # up to when it says that it is stored, where that is not believed; never written

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
    body = asdict(standing)
    del body["claimed"]
    for key in ("point", "usable", "troubled", "anew"):
        body[key] = body[key] and rfc3339(body[key])
    body["findings"] = recorded(standing.findings)
    body["forks"] = written(standing.forks)
    body["pending"] = [[rfc3339(point), rfc3339(usable)] for point, usable in standing.pending]
    write_durably(path / "standing.json", json.dumps(body) + "\n")


def read_standing(state: State, plan: str, asset: str) -> LogStanding | None:
    """None where this host has never shipped it, or what it wrote cannot be read."""
    try:
        body = json.loads(Path(f"{state.root}/shipping/{plan}/{asset}/standing.json").read_text("utf-8"))
        for key in ("point", "usable", "troubled", "anew"):
            body[key] = body.get(key) and utc(body[key])
        body["pending"] = tuple(Point(utc(point), utc(usable)) for point, usable in body["pending"])
        body["forks"] = read(body.get("forks") or "")
        body["findings"] = convert(body["findings"], tuple[Finding, ...])
        return LogStanding(**body)
    except (OSError, ValueError, KeyError, TypeError):
        return None
