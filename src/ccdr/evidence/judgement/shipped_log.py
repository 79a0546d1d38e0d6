"""What is wrong with the log that this host is to ship."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import STOPPED
from ccdr.evidence.judgement.asset_status import Seen
from ccdr.evidence.judgement.troubles import as_problem
from ccdr.evidence.log_standing import LogStanding
from ccdr.model.next_steps import ship_again
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import (
    Snapshot,
    Verb,
    to_the_second,
)
from ccdr.plans.job import Job
from ccdr.storage.removals import CLOCK_TOLERANCE

LATE_INTERVALS, LATE_GRACE = 3, 60.0  # a log's point may be this many intervals, and seconds, old


def _good(_: Snapshot) -> bool:
    """Of a base: whatever was found of the log that leads on from it."""
    return False


def log_problems(
    job: Job, history: AssetHistory, seen: Seen, usable: Sequence[Snapshot], now: datetime, let_be: datetime
) -> Iterator[Problem]:
    """Of the log that this host is to ship: it comes, without a gap since the newest base, and harms nobody. While the
    plan is paused, up to `let_be`, it need not come."""
    settings, standing = job.engine.shipping, seen.standing
    if settings is None:
        return
    if standing is None:
        if history.last_backup is not None:  # else another host backs up, and ships
            yield Problem(
                Trouble.LOG_LATE,
                f"its log was never shipped: run `ccdr ship {job.plan}`, or `ccdr run`",
                about="never",
                verb=Verb.BACKUP,
            )
        return
    late = timedelta(seconds=LATE_INTERVALS * settings.interval + LATE_GRACE)
    lets = _Lets(now - late, let_be >= now, let_be > now - late)
    yield from _not_up_to_date(job, seen, standing, usable[-1] if usable else None, lets, now)
    yield from _leads_on_from_nothing(seen, standing, usable)
    yield from (as_problem(one, Verb.BACKUP) for one in standing.findings)


@dataclass(frozen=True)
class _Lets:
    """What goes up to before `late` only is late; not where the plan is paused, or was until just now."""

    late: datetime
    paused: bool
    grace: bool


def _begins_anew(standing: LogStanding, newest: Snapshot | None) -> bool:
    """Is its newest backup the first base of a new log, of which nothing need be stored yet?"""
    anew = standing.anew
    return standing.point is None and anew is not None and newest is not None and newest.consistent_point >= anew


def _not_up_to_date(
    job: Job, seen: Seen, standing: LogStanding, newest: Snapshot | None, lets: _Lets, now: datetime
) -> Iterator[Problem]:
    begins = _begins_anew(standing, newest)
    since = newest.consistent_point if newest and begins else standing.point  # up to which nothing is missing
    why = "the process that ships it makes no progress" if seen.shipping else "nothing ships it"
    who = why if seen.shipping else f"{why}: run `ccdr ship {job.plan}`"
    up_to = f"its log is stored only up to {to_the_second(since)}" if since else ""
    if standing.trouble is not None and standing.trouble != STOPPED and not lets.paused:
        text, why = f"its log is not shipped: {standing.trouble}", standing.trouble
        step = ship_again(job.plan, job.asset)
        away = Trouble.SOURCE_AWAY if standing.away else None
        yield Problem(Trouble.LOG_LATE, text, standing.troubled, verb=Verb.BACKUP, why=why, step=step, because=away)
    elif standing.claimed is not None:
        how_far = up_to if since else "its log is not stored"
        claimed = f"the state directory claims {to_the_second(standing.claimed)}, but no record confirms it"
        text = f"{how_far}, by the records; {claimed}: {who}"
        yield Problem(Trouble.LOG_LATE, text, since, verb=Verb.BACKUP, why=why)
    elif standing.point is not None and standing.point > now + CLOCK_TOLERANCE:
        text = (
            f"its log is stored up to {to_the_second(standing.point)}, which is in the future: a clock is or was wrong"
        )
        yield Problem(Trouble.LOG_LATE, text, verb=Verb.BACKUP)
    elif standing.running and not seen.shipping and not lets.paused:
        gone = "the process that shipped its log is gone"
        text = f"{gone}, and {up_to or 'nothing of it is stored'}: run `ccdr ship {job.plan}`, or `ccdr run`"
        yield Problem(Trouble.LOG_LATE, text, since, verb=Verb.BACKUP, why=gone)
    elif since is not None and since < lets.late and not lets.grace:
        text = "no log is stored after its new base" if begins else up_to
        yield Problem(Trouble.LOG_LATE, f"{text}: {who}", since, verb=Verb.BACKUP, why=why)


def _leads_on_from_nothing(seen: Seen, standing: LogStanding, usable: Sequence[Snapshot]) -> Iterator[Problem]:
    """Log is stored, and none of it goes on from the newest backup."""
    newest = usable[-1] if usable else None
    stored = standing.newest is not None or (standing.anew is not None and not _begins_anew(standing, newest))
    if newest is None or not stored or seen.logged([newest], _good):
        return
    text = standing.gap or "the log cannot continue from its newest backup"
    meanwhile = "until then it can be restored only to its backups, not to points between them"
    if standing.forks and seen.logged(usable, _good):
        text = "the source went back to a state before its newest backup: it needs a new base backup"
        meanwhile = "until then its log continues from an older base"
    yield Problem(Trouble.LOG_GAP, f"{text}; {meanwhile}", verb=Verb.BACKUP)
