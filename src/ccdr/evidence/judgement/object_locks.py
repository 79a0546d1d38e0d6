"""Is what a plan's repositories are made of locked for as long as the plan says? By records alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.acknowledged import steady
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import EXAMINED, LOCK_EXTENDED
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import PRIMARY, human_seconds, so_many, to_the_second, utc
from ccdr.plans import LoadedPlan
from ccdr.plans.copies import kept_locked

NEW = timedelta(days=2)  # a host that has had the credential for so long has run once


def locks_of(loaded: LoadedPlan, history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """Of each repository that has `lock:`, as far as this host's records, or those beside them, tell."""
    for name, settings in kept_locked(loaded).items():
        assert settings.lock is not None
        newest, done = (history.newest.get(f"{LOCK_EXTENDED}.{name}{end}") for end in ("", ".done"))
        if newest is None:
            yield from _never(history, name, now)
            continue
        if newest["overwritten"]:
            count = so_many(newest["overwritten"], "object")
            at = to_the_second(newest["time"])
            text = f"somebody wrote {count} of {name} again, with other contents, as seen at {at}: restic never does"
            yield Problem(Trouble.OBJECTS_OVERWRITTEN, text, utc(newest["time"]), about=name, cause=count, why=count)
        yield from _short(name, settings.lock.keep, newest, done, now)


def _never(history: AssetHistory, name: str, now: datetime) -> Iterator[Problem]:
    """Nobody else can know whether another host does it."""
    last = history.newest.get(EXAMINED) or {}
    place = f"{'repository' if name == PRIMARY else f'copies.{name}'}.lock.env_file"
    here = any(secret["place"] == place and secret["there"] for secret in last.get("secrets") or ())
    if here and history.first is not None and now - utc(history.first) > NEW:
        text = f"nobody has pushed the locks of {name} forward, though this host holds the credential for it"
        yield Problem(Trouble.LOCK_SHORT, text, utc(history.first), about=name, why="never done")


def _short(
    name: str, keep: float, newest: Mapping[str, Any], done: Mapping[str, Any] | None, now: datetime
) -> Iterator[Problem]:
    ends = done and done["objects"] and done.get("holds_until")
    at = utc(newest["time"])
    if newest["result"] == "FAILED":
        why = str(newest.get("reason") or "")
        text = f"the locks of {name} were not pushed forward: {why}"
        yield Problem(Trouble.LOCK_SHORT, text, at, about=name, cause=steady(why), why=why)
    elif ends and utc(ends) - now < timedelta(seconds=keep):
        wants = human_seconds(keep)
        end = f"ends at {to_the_second(ends)}"
        text = f"the first lock of what {name} is made of {end}, and the plan wants {wants} from now"
        yield Problem(Trouble.LOCK_SHORT, text, at, about=name, why=end)
