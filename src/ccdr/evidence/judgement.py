"""What is wrong with each asset, and with the care of each repository: one set of rules, for whatever tells of it.

Values in, values out: what the ledger says (`history.py`) and what else is known at one moment become an `AssetStatus`,
its troubles with their codes. `status`, the report, metrics and messages put that into words and numbers, and have no
rule of their own; so the same records give the same judgement, whoever looks.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ccdr.evidence.acknowledged import acknowledged, counts, harm, steady, unacknowledged
from ccdr.evidence.history import CHECKED, FAILED, INCONCLUSIVE, PRUNED, STOPPED, AssetHistory, Elsewhere, Histories
from ccdr.evidence.ledger import NEWER, WRONG
from ccdr.evidence.log_standing import Standing
from ccdr.evidence.verdicts import Record, blames_the_log, misfits
from ccdr.host.nearby import WORDS as NEAR_WORDS
from ccdr.model import measure
from ccdr.model import parents as chain
from ccdr.model.groups import Together
from ccdr.model.measure import Point
from ccdr.model.schedule import second_due
from ccdr.model.trouble import (
    CAUSES,
    NOTHING_TO_TEST,
    Level,
    Missing,
    Problem,
    Trouble,
    after_vanishing,
    mend_first,
    next_step,
    ship_again,
    where_it_can_be_done,
)
from ccdr.model.values import (
    TOLD_BY,
    Achieved,
    ObjectiveVerdict,
    Snapshot,
    Verb,
    Verdict,
    as_written,
    human_seconds,
    of_another_host,
    other_source,
    rfc3339,
    so_many,
    to_the_second,
    utc,
)
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.storage.catalogue import CLOCK_TOLERANCE, dated_in_future, of_source

TESTED, UNTESTED, STALE = "tested", "untested", "stale"
LATE_INTERVALS, LATE_GRACE = 3, 60.0  # a log's point may be this many intervals, and seconds, old
MOST_NAMED = 2  # snapshots that do not count; `ccdr snapshots` has them all
DOUBT = "doubt"  # what a problem with snapshots in a damaged repository is about
ENVELOPE = ("seq", "prev", "time", "host", "actor", "kind")

# Why the repository could not be had, by how records call it: in words, and is what is in it lost?
_NO_REPOSITORY = {
    "missing": ("it was not there", Level.LOST),
    "closed": ("it did not open with the plan's password", Level.LOST),
    "unavailable": ("it did not answer", Level.UNPROVEN),
    "damaged": ("it did not open, for what opens it is damaged", Level.LOST),
}


# What is said of records that nothing is taken from, by why.
_PASSED_OVER = {
    NEWER: "a later ccdr wrote what stands there, and what it tells is not known to this one",
    WRONG: "no ccdr has written what stands there, and nothing is taken from it",
}


Disproved = Callable[[Snapshot], bool]


def _no_log(_: Sequence[Snapshot], __: Disproved) -> Sequence[Point]:
    return ()


def _good(_: Snapshot) -> bool:
    """Of a base: whatever was found of the log that leads on from it."""
    return False


@dataclass(frozen=True)
class Seen:
    """What is known of an asset at one moment beside its history: its snapshots, oldest first; how far the log leads
    on from some of them whose log is not disproved (`logged`), and how this host's shipping of it stands; whether a
    backup of it, or a shipper, is at work. Of a moment that is past, what is not in the
    ledger is not known: as by default."""

    snapshots: Sequence[Snapshot]
    logged: Callable[[Sequence[Snapshot], Disproved], Sequence[Point]] = _no_log
    standing: Standing | None = None
    ships: bool = False  # is what this host knows of its shipping of the log to be judged?
    backing_up: bool = False
    shipping: bool = False
    changed: tuple[Problem, ...] = ()  # what the catalogue says of them, and the ledger does not
    by_records: bool = False  # does the catalogue know of none of them?


@dataclass(frozen=True)
class AssetStatus:
    """One asset's line. `rto` is from its newest conclusive test."""

    plan: str
    asset: str
    rpo: Achieved
    rto: Achieved
    last_backup: Record | None  # the last that was tried, here
    good: Snapshot | None  # the newest that counts, whichever host took it
    failed: bool  # a backup was tried since, and stored nothing
    last_test: Record | None
    coverage: str
    wrong: tuple[Problem, ...]
    # By how its snapshot was selected: the last conclusive test's time and verdict; None where the plan names a rule
    # that has had none.
    by_rule: Mapping[str, tuple[str, str] | None] = field(default_factory=dict)
    counting: tuple[Snapshot, ...] = ()  # those that count as backups, oldest first
    usable: tuple[Snapshot, ...] = ()  # those that would where the repository is whole
    group: Together | None = None  # the newest of its group's captures that it has a snapshot of
    breaches: tuple[Problem, ...] = ()  # objectives that are not met
    near: tuple[Problem, ...] = ()  # that its copies lie where it does, as the plan wants it: told, and nothing wrong
    near_known: bool = True  # does anybody here know whether they do? Only who backs it up can look
    backs_up: bool = True  # is that this host's to do?
    private: tuple[str, ...] = ()  # where programs' own words on its last runs are kept, for a person's eyes

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, as sentences."""
        return tuple(p.text for p in self.wrong)

    @property
    def troubles(self) -> tuple[Problem, ...]:
        """All that is wrong, objectives that are not met among it."""
        return (*self.wrong, *self.breaches)

    @property
    def away(self) -> bool:
        """Was its repository not to be had when it was last asked?"""
        return any(p.trouble is Trouble.REPOSITORY_AWAY for p in self.wrong)

    @property
    def unreachable(self) -> bool:
        """Was it not there, or did it not answer? Then nobody knows where it lies now."""
        return any(p.trouble is Trouble.REPOSITORY_AWAY and p.about in ("missing", "unavailable") for p in self.wrong)

    @property
    def proven(self) -> bool:
        """A restore test has passed and is not stale, nothing is wrong, and no objective is breached. Where another
        host backs up, exposure is for that one to know."""
        met = self.rto.verdict is ObjectiveVerdict.MET and self.rpo.verdict is not ObjectiveVerdict.BREACHED
        return self.coverage == TESTED and not self.wrong and met

    @property
    def not_known_here(self) -> bool:
        """Does another host test it, and does nobody here know all that is to be known of that?"""
        return any(p.trouble is Trouble.NOT_KNOWN_HERE for p in self.wrong)

    def _good(self) -> dict[str, object] | None:
        if self.good is None:
            return None
        snapshot = {"id": self.good.id, "consistent_point": rfc3339(self.good.consistent_point)}
        return {"time": rfc3339(self.good.usable_at), "snapshot": snapshot}

    @property
    def finding(self) -> bool:
        """Is something wrong that nobody has acknowledged?"""
        return bool(unacknowledged(self.troubles))

    def as_json(self) -> dict[str, object]:
        return {
            "asset": self.asset,
            "rpo": self.rpo.as_json(),
            "rto": self.rto.as_json(),
            "last_backup": _shown(self.last_backup),
            "last_good_backup": self._good(),
            "last_test": _shown(self.last_test),
            "coverage": self.coverage,
            "tested_by_rule": {
                rule: said and {"time": said[0], "verdict": said[1]} for rule, said in self.by_rule.items()
            },
            "group": self.group and self.group.as_json(),
            "problems": list(self.problems),
            "troubles": [p.as_json() for p in self.troubles],
            "near": [p.as_json() for p in self.near],
            "near_known": self.near_known,
            "private": list(self.private),
        }


def _why_not(snapshot: Snapshot, known: Sequence[Snapshot], history: AssetHistory, now: datetime) -> str:
    """Why one that is there cannot be counted on."""
    if dated_in_future(snapshot, now):
        date = max(snapshot.consistent_point, snapshot.usable_at)
        return f"which bears a future date, {to_the_second(date)}"
    if snapshot.note is not None:
        return f"which restic stored with a warning: {snapshot.note}"
    if said := chain.lacks(snapshot, known):
        return f"without what it needs: {said}"
    if history.disproved(snapshot):
        own = history.proven.get(snapshot.id) == Verdict.FAIL
        return f"which {'failed its last restore test' if own else 'builds upon one that failed its restore test'}"
    return "which builds upon one that restic stored with a warning"


def why_not_counting(
    found: AssetStatus, job: Job, history: AssetHistory, known: Sequence[Snapshot], now: datetime
) -> dict[str, str | None]:
    """Of each snapshot that is `known`, by id: why it does not count for the RPO; None where it does."""

    def why(s: Snapshot) -> str | None:
        if s in found.counting:
            return None
        if not of_source(s, job.engine.source_name):
            return "is of something else than the plan now names"
        if s in found.usable:
            return "the repository was found damaged, and nothing as new has passed a test since"
        if s.note is not None and not dated_in_future(s, now):
            return f"restic stored it with a warning: {s.note}"
        return _why_not(s, known, history, now).removeprefix("which ")

    return {s.id: why(s) for s in known}


def judge(job: Job, history: AssetHistory, upkeep: AssetHistory, seen: Seen, now: datetime) -> AssetStatus:
    """Where one asset stands at `now`, by what the ledger says of it and of its plan's `upkeep`, and what else is
    `seen`."""
    gone = set(history.vanished)
    known = [s for s in seen.snapshots if s.id not in gone]
    source = job.engine.source_name
    ours = [s for s in known if of_source(s, source)]
    usable = chain.usable([s for s in ours if not dated_in_future(s, now)], known, history.disproved)
    counting = history.counting(usable, upkeep)
    points = [
        *(Point(s.consistent_point, s.usable_at) for s in counting),
        *seen.logged(counting, history.log_disproved),
    ]
    newest = usable[-1] if usable else None
    tested = coverage(job, history, now)
    backer, tester = upkeep.elsewhere(Verb.BACKUP), upkeep.elsewhere(Verb.TEST)
    ours_to_do = history.backs_up(upkeep, known=bool(ours))
    rpo = measure.judge(job.objectives.rpo, measure.exposure(now, points))
    if not ours_to_do:
        rpo = _elsewhere(job, history, [*points, *_told(job, history, upkeep, seen, usable)], now, backer)
    known_here = ours_to_do or backer is not None or history.last_test is not None
    # That one failed its test, or vanished, says what is wrong: it was backed up.
    never = known_here and not any(map(history.disproved, ours)) and len(known) == len(seen.snapshots)
    wrong = [*_away(job, history, upkeep), *_problems(job, history, usable, now, never=never)]
    # One that a newer good one has made up for is history, not a finding for ever.
    bad = [s for s in ours if newest is None or s.consistent_point > newest.consistent_point]
    if bad:
        count = so_many(len(bad), "newer snapshot does", "newer snapshots do")
        told = [f"{s.short}, {_why_not(s, known, history, now)}" for s in reversed(bad[-MOST_NAMED:])]
        rest = [f"and {len(bad) - MOST_NAMED} more"] if len(bad) > MOST_NAMED else []
        which = " ".join(sorted(s.short for s in bad))
        text = f"{count} not count: {'; '.join([*told, *rest])}"
        lacks = Trouble.SNAPSHOT_VANISHED if all(gone & {n.id for n in s.upon} for s in bad) else None
        wrong.append(Problem(Trouble.FINDING, text, about="newer", cause=which, because=lacks))
    if known[-1:] != ours[-1:]:
        text = "its newest snapshot is of something else than the plan now names"
        wrong.append(Problem(Trouble.FINDING, text, about="source"))
    mend = mend_first(job.plan, job.asset) if history.newest_met_damage else None
    if damage := history.damage_since(upkeep):
        since = utc(upkeep.last_damage["time"]) if upkeep.last_damage else None
        wrong.append(Problem(Trouble.REPOSITORY_DAMAGED, damage, since, step=mend))
    if doubted := len(usable) - len(counting):
        count = so_many(doubted, "newer snapshot does", "newer snapshots do")
        text = f"{count} not count until one has passed a test: the repository was found damaged"
        wrong.append(Problem(Trouble.REPOSITORY_DAMAGED, text, about=DOUBT, step=mend))
    if ours_to_do or backer is not None:
        at = now if ours_to_do or backer is None else min(now, backer.until)
        wrong += _backup_late(job, history, newest, at, backing_up=seen.backing_up)
    if tested == STALE:
        wrong += _test_late(job, history, now)
    if not upkeep.answers_for(Verb.TEST):
        wrong = list(_as_far_as_known(wrong, job, history, now, tester))
    if seen.ships:
        wrong += _shipping(job, history, seen, usable, now)
    wrong += _incomplete(job, upkeep)
    wrong += [*passed_over(history), *seen.changed, *_settling(job)]
    made_up = _made_up_for([s for s in seen.snapshots if s.id in gone], newest, history)
    wrong += _vanished(job, [s for s in seen.snapshots if s.id in gone], gone - {s.id for s in seen.snapshots}, made_up)
    wrong = list(_told_once(wrong, gone))
    found = AssetStatus(
        plan=job.plan,
        asset=job.asset,
        rpo=rpo,
        rto=_rto_known(_rto(job, history), wrong),
        last_backup=history.last_backup,
        good=counting[-1] if counting else None,
        failed=any(p.trouble is Trouble.BACKUP_FAILED for p in wrong),
        last_test=history.last_test,
        coverage=tested,
        wrong=_because(placed := _placed(wrong, job, history, now, backs_up=ours_to_do), placed, history, made_up),
        by_rule=_by_rule(job, history),
        counting=tuple(counting),
        usable=tuple(usable),
        backs_up=ours_to_do,
    )
    near = () if found.unreachable else _placed(_near(history), job, history, now, backs_up=True)
    found = replace(found, near=near, near_known="beside_source" in (history.last_good_backup or {}))
    breaches = _placed(_breaches(job, history, found, now), job, history, now, backs_up=ours_to_do)
    return replace(found, breaches=_because(breaches, placed, history, made_up))


def _breaches(job: Job, history: AssetHistory, found: AssetStatus, now: datetime) -> Iterator[Problem]:
    """Objectives that are not met; an asset that never had a backup is told as that."""
    never = any(p.trouble is Trouble.NEVER_SUCCEEDED for p in found.wrong)
    rpo, rto = found.rpo, found.rto
    if rpo.verdict is ObjectiveVerdict.BREACHED and not never:
        achieved = math.inf if rpo.achieved_s is None else rpo.achieved_s
        since, level = None, Level.LOST
        text = f"RPO breached: there is no snapshot that counts, {_objective(rpo)}"
        if math.isfinite(achieved):
            since, level = now - timedelta(seconds=achieved - rpo.objective_s), Level.LATE
            text = f"RPO breached: {human_seconds(achieved)} of data would be lost, {_objective(rpo)}"
        some, point = math.isfinite(achieved), now.timestamp() - achieved
        yield Problem(
            Trouble.BREACH_RPO,
            text,
            since,
            verb=Verb.BACKUP,
            as_bad_as=level,
            cause="" if some else "none",
            values=(achieved,) if some else (),
            lasting=point if some else None,
        )
    last = _conclusive(job, history)
    if rto.verdict is ObjectiveVerdict.BREACHED:
        text = f"RTO breached: its last restore took {human_seconds(rto.achieved_s)}, {_objective(rto)}"
        why = f"{human_seconds(rto.achieved_s)} of {human_seconds(rto.objective_s)}"
        yield Problem(Trouble.BREACH_RTO, text, verb=Verb.TEST, why=why, values=(rto.achieved_s or 0.0,))
    elif rto.verdict is ObjectiveVerdict.NOT_MEASURED and last is not None and last["verdict"] == "PASS":
        text = f"its RTO was not measured with {job.engine.settings} settings, which its plan asks for"
        yield Problem(Trouble.RTO_UNMEASURED, text, verb=Verb.TEST)
    elif rto.verdict is ObjectiveVerdict.NOT_MEASURED and not any(p.verb is Verb.TEST for p in found.wrong):
        text = "its RTO was not measured by its last restore test that came to a verdict"
        yield Problem(Trouble.RTO_UNMEASURED, text, verb=Verb.TEST)


def _objective(achieved: Achieved) -> str:
    return f"the objective is {human_seconds(achieved.objective_s)}"


def _away(job: Job, history: AssetHistory, upkeep: AssetHistory) -> Iterator[Problem]:
    """The newest backup or test met no repository, and nobody has read it since: whatever was proven before, none of it
    can be had."""
    newest = max(filter(None, (history.last_backup, history.last_test)), key=lambda r: float(r["seq"]), default=None)
    how = (newest or {}).get("repository")
    if newest is None or how not in _NO_REPOSITORY or upkeep.last_check_read > newest["seq"]:
        return
    said, level = _NO_REPOSITORY[how]
    yield Problem(
        Trouble.REPOSITORY_AWAY,
        f"when its repository was last asked, {to_the_second(newest['time'])}, {said}: {newest.get('reason')}",
        utc(newest["time"]),
        about=how,
        as_bad_as=level,
    )


def _near(history: AssetHistory) -> Iterator[Problem]:
    """By the newest good backup: where all copies lie."""
    beside = (history.last_good_backup or {}).get("beside_source")
    if isinstance(beside, str) and beside in NEAR_WORDS:
        yield Problem(Trouble.REPOSITORY_NEAR, f"its repository lies {NEAR_WORDS[beside]}", cause=str(beside))


def _placed(
    problems: Iterable[Problem], job: Job, history: AssetHistory, now: datetime, *, backs_up: bool
) -> tuple[Problem, ...]:
    """The same, told apart, with where their next steps can be taken, and marked where they are acknowledged."""
    return tuple(acknowledged((_where(p, job, backs_up=backs_up) for p in _apart(problems)), history.acks, now))


def _apart(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Two that are there at once are two, though code and subject are the same: else one would hide the other."""
    seen: Counter[tuple[Trouble, str]] = Counter()
    for p in problems:
        seen[key := (p.trouble, p.about)] += 1
        yield p if seen[key] == 1 else replace(p, about=f"{p.about} ({seen[key]})")


def _because(
    problems: Iterable[Problem], among: Sequence[Problem], history: AssetHistory, made_up: Missing
) -> tuple[Problem, ...]:
    """The same, those that only follow from another `among` these marked: that one's next step mends them, too."""

    def accounts(q: Problem, p: Problem) -> bool:
        if q.trouble is Trouble.NOT_BEGUN:
            return q.verb is p.verb
        if q.trouble is Trouble.SNAPSHOT_VANISHED and p.because is None:
            by_then = Missing.STORED if p.verb is Verb.TEST else Missing.NOTHING
            return made_up <= by_then
        # In a damaged repository another backup would not count either.
        return q.trouble is not Trouble.REPOSITORY_DAMAGED or q.about == DOUBT

    def cause_of(p: Problem) -> Problem | None:
        known = (p.because,) if p.because else CAUSES.get(p.trouble, ())
        tests, tested = (Trouble.TEST_FAILED, Trouble.TEST_INCONCLUSIVE), (history.last_test or {}).get("snapshot")
        if p.trouble in tests and not tested:
            known = NOTHING_TO_TEST
        return next((q for code in known for q in among if q.trouble is code and accounts(q, p)), None)

    def marked(p: Problem) -> Problem:
        found = root = cause_of(p)
        while root is not None:
            found, root = root, cause_of(root)
        return p if found is None else replace(p, because=found.trouble, step=found.step)

    return tuple(map(marked, problems))


def _where(problem: Problem, job: Job, *, backs_up: bool) -> Problem:
    """With what to do next, if that is anything but to read this."""
    if problem.trouble is Trouble.FINDING:
        return problem
    step = problem.step or next_step(problem.trouble, job.plan, job.asset)
    return replace(problem, step=step and where_it_can_be_done(step, backs_up=backs_up))


def _told(
    job: Job, history: AssetHistory, upkeep: AssetHistory, seen: Seen, usable: Sequence[Snapshot]
) -> Iterator[Point]:
    """Backups that the ledger of whoever takes them tells of, and that the catalogue has not learned of yet."""
    until = history.counts_until(((s.id, s.consistent_point) for s in usable), upkeep)
    told = history.told_of(job.engine.source_name, [s.id for s in seen.snapshots])
    return (Point(consistent, at) for consistent, at in told if consistent <= until)


def _elsewhere(
    job: Job, history: AssetHistory, points: Sequence[measure.Point], now: datetime, backer: Elsewhere | None
) -> Achieved:
    """Exposure where another host backs up, and ships the log: what there is was last seen by a restore test, and what
    that measured counts, too; or it is told by that host's own ledger, as far as that goes. A breach that was seen
    stands while nothing newer is known."""
    last, known = history.last_test or {}, list(points)
    rpo = last.get("rpo") or {}
    if backer is not None and job.engine.shipping is None and (not rpo or utc(last["time"]) <= backer.until):
        until = min(now, backer.until)
        seen = 0.0 if any(p.usable > until for p in known) else measure.exposure(until, known)
        return measure.judge_elsewhere(job.objectives.rpo, measure.exposure(now, known), seen)
    if not rpo:  # never looked, or it did not come to that: whether it is met or not is not known
        return measure.judge_elsewhere(job.objectives.rpo, measure.exposure(now, known), 0.0)
    at, achieved = utc(last["time"]), rpo.get("achieved_s")
    seen = math.inf if achieved is None else float(achieved)
    if math.isfinite(seen):
        known.append(measure.Point(at - timedelta(seconds=seen), at))
    if any(p.usable > at for p in known):  # something else has looked since
        seen = 0.0
    return measure.judge_elsewhere(job.objectives.rpo, measure.exposure(now, known), seen)


def passed_over(*histories: AssetHistory) -> Iterator[Problem]:
    """Records that nothing was taken from. What a later ccdr wrote may say anything; what none wrote says nothing."""
    for why, said in _PASSED_OVER.items():
        found = [history.passed_over[why] for history in histories if why in history.passed_over]
        if not found:
            continue
        count, last = sum(n for n, _ in found), max(seq for _, seq in found)
        which = f"record {last} of the ledger" if count == 1 else f"{count} records of the ledger, the last one {last}"
        trouble = Trouble.RECORDS_NEWER if why == NEWER else Trouble.RECORDS_WRONG
        yield Problem(trouble, f"{which}: {said}", about=f"{why} {last}")


def _spoilt(host: AssetHistory) -> Iterator[Problem]:
    """Lines of the ledger, or of one beside it, that were changed, until somebody has answered for them."""
    if host.spoilt:
        named = [f"record {seq} of {f'ledger {ledger[:8]}' if ledger else 'the ledger'}" for ledger, seq in host.spoilt]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        where = ", ".join(named[-MOST_NAMED:]) + more
        text = f"where {where} should stand, a line had been changed: what it told is lost"
        yield Problem(Trouble.LEDGER_SPOILT, text, about=" ".join(str(seq) for _, seq in host.spoilt))


def _made_up_for(gone: Sequence[Snapshot], newest: Snapshot | None, history: AssetHistory) -> Missing:
    """Of what vanished: is there a newer one, and has one passed a test? Where it is the last that was stored, none."""
    last, passed = ((r or {}).get("snapshot") or {} for r in (history.last_good_backup, history.last_latest_pass))
    latest = max((s.consistent_point for s in gone), default=None)
    if last.get("id") in history.vanished or (latest and (newest is None or newest.consistent_point <= latest)):
        return Missing.NOTHING
    shown = passed.get("consistent_point")
    return Missing.SHOWN if latest is None or (shown and utc(shown) > latest) else Missing.STORED


def _told_once(problems: Iterable[Problem], gone: Collection[str]) -> Iterator[Problem]:
    """Without what a run found of snapshots that vanished alone: SNAPSHOT_VANISHED tells it. What it found of others
    and of these follows from that."""
    lost = {one[:8] for one in gone}
    for p in problems:
        named = {one[:8] for one in p.cause.split()} if p.trouble is Trouble.FINDING and lost else set()
        if not named & lost:
            yield p
        elif named - lost:
            yield replace(p, because=Trouble.SNAPSHOT_VANISHED)


def _vanished(job: Job, snapshots: Sequence[Snapshot], besides: Collection[str], made_up: Missing) -> Iterator[Problem]:
    """What was removed from the repository, and not by retention: it counts no more. `besides` are those that the
    ledger alone knows of."""
    every = [f"{s.short} of {rfc3339(s.consistent_point)}" for s in reversed(snapshots)]
    every += [f"{one[:8]}, which the catalogue has not either" for one in sorted(besides)]
    if not every:
        return
    named = ", ".join(every[:MOST_NAMED])
    more = f" and {len(every) - MOST_NAMED} more" if len(every) > MOST_NAMED else ""
    is_gone = "snapshot is" if len(every) == 1 else "snapshots are"
    text = f"{len(every)} {is_gone} gone from its repository, and no retention has removed that: {named}{more}"
    shorts = sorted([*(s.short for s in snapshots), *(one[:8] for one in besides)])
    step = after_vanishing(job.plan, job.asset, made_up, retained=job.loaded.plan.retention is not None)
    yield Problem(Trouble.SNAPSHOT_VANISHED, text, cause=" ".join(shorts), step=step)


def _settling(job: Job) -> Iterator[Problem]:
    """Of files in use the newest are in no snapshot, however new that is."""
    settle, wanted = job.engine.settle_time, job.objectives.rpo
    if settle is not None and settle > wanted:
        text = f"what has changed within {human_seconds(settle)} is in no backup"
        text += f", so that its RPO of {human_seconds(wanted)} cannot be met"
        yield Problem(Trouble.FINDING, text, about=f"settle {settle:g}", verb=Verb.BACKUP)


def judge_host(plans: Sequence[LoadedPlan], histories: Histories) -> tuple[Problem, ...]:
    """The same of what is about none of these plans."""
    shown = {loaded.plan.plan for loaded in plans}
    of_none = [history for (plan, _), history in histories.items() if plan not in shown]
    return (*passed_over(*of_none), *_spoilt(histories.get((None, None), AssetHistory())))


def _incomplete(job: Job, plan: AssetHistory) -> Iterator[Problem]:
    """Told of those whose own backup is good: why another's is not, its own problem says."""
    last = plan.captured_together(str(job.engine.group)) if job.grouped else None
    if last is None or job.asset in last["missing"]:
        return
    if missing := [asset for asset in last["missing"] if asset in job.grouped]:
        why = f"there is no snapshot of {', '.join(missing)}"
        text = f"its group {job.engine.group} was not captured whole: {why} with it"
        at = utc(last["time"])
        yield Problem(Trouble.GROUP_INCOMPLETE, text, at, verb=Verb.BACKUP, why=why, cause=" ".join(missing))


def _rto(job: Job, history: AssetHistory) -> Achieved:
    last = _conclusive(job, history)
    rto = (last or {}).get("rto") or {}
    same_basis = rto.get("basis") == job.engine.settings  # throwaway and durable are never mixed
    return measure.judge(job.objectives.rto, rto.get("achieved_s") if same_basis else None)


def _problems(
    job: Job, history: AssetHistory, usable: Sequence[Snapshot], now: datetime, *, never: bool
) -> Iterator[Problem]:
    """`never`: where there is no snapshot, that is known to be so."""
    newest = usable[-1] if usable else None
    if newest is None and history.last_good_backup is None and never:
        yield Problem(Trouble.NEVER_SUCCEEDED, "never backed up successfully yet", verb=Verb.BACKUP)
    since = newest.usable_at if newest else datetime.min.replace(tzinfo=now.tzinfo)
    known = newest.id if newest else None
    # That the last that was stored does not count any more has reasons of its own.
    if failed := history.failed_since(since, snapshot=known, mended=history.last_stored):
        step = failed.step(job.plan, job.asset)
        cause = steady(failed.why)
        yield Problem(
            Trouble.BACKUP_FAILED, failed.text, verb=Verb.BACKUP, step=step, run=failed.run, why=failed.why, cause=cause
        )
    if crashed := history.crashed_test:
        text = f"the restore test of {to_the_second(crashed['time'])} crashed: its run {crashed['run']} has no end"
        began = utc(crashed["time"])
        yield Problem(Trouble.TEST_INCONCLUSIVE, text, began, about="crash", verb=Verb.TEST, why="it crashed")
    if begun := history.crashed_restore(now):
        into = (begun.get("target") or {}).get("name")
        where = f" into {into}" if into else ""
        text = f"the restore of {to_the_second(begun['time'])}{where} crashed: its run {begun['run']} has no end"
        yield Problem(Trouble.RESTORE_CRASHED, text, utc(begun["time"]))
    yield from _findings(history.last_good_backup, Verb.BACKUP)
    yield from _tested(job, history, usable)
    planned = {Verb.BACKUP: job.engine.backup, Verb.TEST: job.engine.restore_test}
    ends = {Verb.BACKUP: history.last_backup, Verb.TEST: history.last_test}
    yield from _not_begun(history, {verb: last for verb, last in ends.items() if planned[verb]})


def _not_begun(history: AssetHistory, newest: Mapping[Verb, Record | None]) -> Iterator[Problem]:
    for verb, last in newest.items():
        if found := history.not_begun(verb, last):
            why = str(found.get("reason"))
            text = f"its {verb} could not begin: {why}"
            yield Problem(Trouble.NOT_BEGUN, text, utc(found["time"]), about=verb, verb=verb, why=why)


def _tested(job: Job, history: AssetHistory, usable: Sequence[Snapshot]) -> Iterator[Problem]:
    newest = usable[-1] if usable else None
    last, failure = history.last_test, history.older_failure
    planned = job.engine.restore_test is not None
    if last is None:
        text = "never tested" if planned else "never tested, and its plan has no restore test for it"
        yield Problem(Trouble.NEVER_TESTED, text, verb=Verb.TEST)
    elif last["verdict"] != "PASS" and not history.made_good(last, newest):
        trouble = _failed(last) if last["verdict"] == "FAIL" else Trouble.TEST_INCONCLUSIVE
        alone = " for a newer backup alone" if trouble is Trouble.NEWER_FAILED else ""
        text = f"its last restore test is {last['verdict']}{alone}: {last.get('reason')}"
        # The one of a newer snapshot, or of log that goes further, keeps its name: it was told before.
        stands = history.older_log_failure if trouble is Trouble.LOG_FAILED else failure
        yield _of_test(last, trouble, text, job, usable, history, about="newest test" if stands else "")
    # A test that broke does not take the failure before it back, nor does one of an older snapshot.
    if failure is not None and not history.made_good(failure, newest):
        when = to_the_second(failure["time"])
        text = f"its restore test of {when} is FAIL, and no newer snapshot has passed: {failure.get('reason')}"
        yield _of_test(failure, _failed(failure), text, job, usable, history)
    if (failed := history.unchecked) is not None:
        text = (
            f"its restore test of {to_the_second(failed['time'])} is FAIL, and what has passed since had fewer or "
            f"weaker checks: what failed is no longer checked: {failed.get('reason')}"
        )
        why, run = str(failed.get("reason") or ""), str(failed["run"])
        at = utc(failed["time"])
        yield Problem(Trouble.NO_LONGER_CHECKED, text, at, verb=Verb.TEST, cause=run, why=why)
    if (failure := history.older_log_failure) is not None and job.engine.shipping is not None:
        text = (
            f"its recovery by the log of {to_the_second(failure['time'])} is FAIL, and none that goes as far has "
            f"passed: {failure.get('reason')}"
        )
        yield _of_test(failure, Trouble.LOG_FAILED, text, job, usable, history)
    if last is not None and history.last_conclusive_test is None:
        text = "no restore test of it has ever come to a verdict"
        text = text if planned else f"{text}, and its plan has none for it"
        yield Problem(Trouble.NEVER_TESTED, text, about="verdict", verb=Verb.TEST)
    if history.last_conclusive_test is not None and _conclusive(job, history) is None:
        text = "its last restore test was of something else than the plan now names"
        yield Problem(Trouble.NEVER_TESTED, text, about="source", verb=Verb.TEST)
    yield from _findings(last, Verb.TEST)


def _of_test(
    test: Record,
    trouble: Trouble,
    text: str,
    job: Job,
    usable: Sequence[Snapshot],
    history: AssetHistory,
    about: str = "",
) -> Problem:
    """What is wrong by a test that did not pass. What to do then: is there another snapshot to be found good?"""
    tested = (test.get("snapshot") or {}).get("id")
    # restic stores nothing that is there already: another backup would stand on what is damaged.
    todo = Trouble.REPOSITORY_DAMAGED if test.get("damaged") is True else trouble
    step = next_step(todo, job.plan, job.asset, alone=all(s.id == tested for s in usable))
    if todo is Trouble.REPOSITORY_DAMAGED and history.newest_met_damage:
        step = mend_first(job.plan, job.asset)
    checks = sorted(
        (c for c in test.get("checks") or () if c.get("status") == "FAIL"), key=lambda c: str(c.get("name"))
    )
    failed = [str(check.get("name")) for check in checks]
    cause = " ".join(failed) or steady(test.get("reason"))
    why = "; ".join(failed) or str(test.get("reason") or "")
    values = tuple(value for check in checks for value in _how_bad(check))
    kind = {"verb": Verb.TEST, "step": step, "run": test["run"]}
    return Problem(trouble, text, utc(test["time"]), about=about, cause=cause, why=why, values=values, **kind)


def _how_bad(check: Record) -> tuple[float, ...]:
    """The numbers that a check which failed has found."""
    return counts(str(check.get("actual") or ""))


def _failed(test: Record) -> Trouble:
    """The log that is bad; or a snapshot, or what it does not fit; or one that is good, and not the newest backup that
    was tried."""
    if blames_the_log(test):
        return Trouble.LOG_FAILED
    good = (test.get("snapshot") or {}).get("verdict") == "PASS" and not misfits(test)
    return Trouble.NEWER_FAILED if good else Trouble.TEST_FAILED


def judge_upkeep(
    loaded: LoadedPlan, histories: Histories, now: datetime, *, at_work: bool = False
) -> tuple[Problem, ...]:
    """What is wrong with the care of a plan's repository, by its newest prune and its newest check. `at_work`: one of
    them is, so that none is overdue."""
    name = loaded.plan.plan
    history = histories.get((name, None), AssetHistory())
    first = min((h.first for (plan, _), h in histories.items() if plan == name and h.first), default=None)
    late = () if at_work else _upkeep_late(loaded, history, first, now)
    found = (
        p if p.trouble is Trouble.FINDING else replace(p, step=next_step(p.trouble, name, None))
        for p in (*_apart((*_upkeep(history), *late)), *passed_over(history, *_of_no_asset(loaded, histories)))
    )
    return tuple(acknowledged(found, history.acks, now))


def _of_no_asset(loaded: LoadedPlan, histories: Histories) -> list[AssetHistory]:
    """What records tell of a plan's assets that it does not name."""
    name, assets = loaded.plan.plan, loaded.plan.assets
    return [h for (plan, asset), h in histories.items() if plan == name and asset not in (None, *assets)]


def _upkeep(history: AssetHistory) -> Iterator[Problem]:
    pruned, checked = history.newest.get(PRUNED), history.newest.get(CHECKED)
    yield from _not_begun(history, {Verb.PRUNE: pruned, Verb.CHECK: checked})
    crashed = history.crashed_upkeep()
    if crashed is not None:
        what = Verb(crashed["kind"].removesuffix(".start"))
        text = f"the {what} of {to_the_second(crashed['time'])} crashed: its run {crashed['run']} has no end"
        trouble = Trouble.PRUNE_FAILED if what is Verb.PRUNE else Trouble.CHECK_INCONCLUSIVE
        yield Problem(trouble, text, utc(crashed["time"]), about="crash", verb=what, why="it crashed")
    if pruned is not None:
        if pruned.get("result") == FAILED:
            text = f"its last prune FAILED: {pruned.get('reason')}"
            why, at, run = str(pruned.get("reason") or ""), utc(pruned["time"]), pruned["run"]
            yield Problem(Trouble.PRUNE_FAILED, text, at, verb=Verb.PRUNE, run=run, why=why, cause=steady(why))
        yield from _findings(pruned, Verb.PRUNE)
    if damaged := history.damaged_parts:  # until the same part is read again and found clean
        text = f"a check found part {', '.join(damaged)} of {history.parts} of the repository's data DAMAGED"
        if len(damaged) == history.parts:
            text = "a check that read all of the repository's data found some of it DAMAGED"
        found = min(utc(history.read[part][0]) for part in damaged)
        yield Problem(Trouble.REPOSITORY_DAMAGED, text, found, cause=" ".join(damaged))
    if history.damaged_before:
        part, parts, since = history.damaged_before
        text = (
            f"a check found part {part} of {parts} of the repository's data DAMAGED; since it is read in "
            f"{history.parts} parts, not all of them have been read and found clean"
        )
        yield Problem(Trouble.REPOSITORY_DAMAGED, text, utc(since), about="before")
    if checked is not None and checked.get("result") == INCONCLUSIVE:
        text = f"its last check is INCONCLUSIVE: {checked.get('reason')}"
        why, at, run = str(checked.get("reason") or ""), utc(checked["time"]), checked["run"]
        yield Problem(Trouble.CHECK_INCONCLUSIVE, text, at, verb=Verb.CHECK, run=run, why=why, cause=steady(why))


def _upkeep_late(loaded: LoadedPlan, history: AssetHistory, first: str | None, now: datetime) -> Iterator[Problem]:
    """What has come due twice since it was last tried, or since it became this host's to do; what was tried in vain is
    a problem of its own. `first` is the time of the plan's first record."""
    plan = loaded.plan
    planned = {Verb.PRUNE: plan.upkeep.prune, Verb.CHECK: plan.upkeep.check}
    if plan.retention is None:
        del planned[Verb.PRUNE]  # it would remove nothing
    for verb, schedule in planned.items():
        at, asked = now, (history.duties or {}).get(verb) or first
        if not history.answers_for(verb):
            if (other := history.elsewhere(verb)) is None:
                continue
            at, asked = min(now, other.until), other.since or first
        tried = history.upkeep_tried(verb)
        since = max((utc(moment) for moment in (tried, asked) if moment), default=at)
        if (due := second_due(schedule, plan.timezone, since, at)) is None:
            continue
        what = "what retention lets go is overdue to be removed" if verb is Verb.PRUNE else "its check is overdue"
        last = (
            f"the last one is of {to_the_second(tried)}"
            if tried
            else f"never done, though due since {to_the_second(due)}"
        )
        trouble = Trouble.PRUNE_LATE if verb is Verb.PRUNE else Trouble.CHECK_LATE
        yield Problem(trouble, f"{what}: {last}", due, verb=verb)


def _findings(record: Record | None, verb: Verb) -> Iterator[Problem]:
    """Sentences of a record. Their numbers change from one run to the next, though it is the same finding. What another
    host has found it says of what it could see there: here it may be known otherwise, and counts by that."""
    elsewhere = record is not None and TOLD_BY in record and of_another_host(record)
    where = f"on {record[TOLD_BY]['host']}, by its ledger: " if record is not None and elsewhere else ""
    for text in map(str, (record or {}).get("findings") or ()):
        named = " ".join(
            re.findall(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,64}\b", text)
        )  # snapshots, and what else has a digest
        about = re.sub(r"\b\d[\w.,:-]*", "#", text)
        yield Problem(Trouble.FINDING, f"{where}{text}", about=about, verb=verb, cause=named, values=harm(text))


def _as_far_as_known(
    wrong: Iterable[Problem], job: Job, history: AssetHistory, now: datetime, tester: Elsewhere | None
) -> Iterator[Problem]:
    """Where another host tests: what is late, or never was done, as far as that host's ledger tells. Beyond that it is
    not known here."""
    untold = Problem(
        Trouble.NOT_KNOWN_HERE,
        f"its restore tests are for another host to do, and not known here{f': {tester}' if tester else ''}",
        about=Verb.TEST,
        verb=Verb.TEST,
    )
    by_then = coverage(job, history, min(now, tester.until)) if tester else None
    for p in wrong:
        late, never = p.trouble is Trouble.TEST_LATE, p.trouble is Trouble.NEVER_TESTED and not p.about
        known = by_then == (STALE if late else UNTESTED)
        yield p if known or not (late or never) else untold


def _rto_known(rto: Achieved, wrong: Sequence[Problem]) -> Achieved:
    unknown = any(p.trouble is Trouble.NOT_KNOWN_HERE and p.verb is Verb.TEST for p in wrong)
    if rto.verdict is ObjectiveVerdict.NOT_MEASURED and unknown:
        return replace(rto, verdict=ObjectiveVerdict.NOT_KNOWN_HERE)
    return rto


def _backup_late(
    job: Job, history: AssetHistory, newest: Snapshot | None, now: datetime, *, backing_up: bool
) -> Iterator[Problem]:
    """A backup has come due twice since it was last done; one that failed was tried, and is a problem of its own."""
    planned, last = job.engine.backup, history.last_backup
    if planned is not None and newest is not None and not backing_up:
        tried = max(newest.usable_at, utc(last["time"])) if last else newest.usable_at
        if due := second_due(planned.schedule, job.loaded.plan.timezone, tried, now):
            text = f"its backup is overdue: the last one is of {to_the_second(tried)}"
            yield Problem(Trouble.BACKUP_LATE, text, due, verb=Verb.BACKUP)


def _test_late(job: Job, history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """Another one has come due twice since the last one with a verdict."""
    last, planned = _conclusive(job, history), job.engine.restore_test
    if last is not None and planned is not None:
        of = utc(last["time"])
        due = second_due(planned.schedule, job.loaded.plan.timezone, of, now)
        text = f"its restore test is overdue: the last one with a verdict is of {to_the_second(of)}"
        yield Problem(Trouble.TEST_LATE, text, due, verb=Verb.TEST)


def _shipping(
    job: Job, history: AssetHistory, seen: Seen, usable: Sequence[Snapshot], now: datetime
) -> Iterator[Problem]:
    """Of the log that this host is to ship: it comes, without a gap since the newest base, and harms nobody."""
    newest = usable[-1] if usable else None
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
    anew = standing.anew
    begins = standing.point is None and anew is not None and newest is not None and newest.consistent_point >= anew
    since = newest.consistent_point if newest and begins else standing.point  # up to which nothing is missing
    why = "what ships it does not get on" if seen.shipping else "nothing ships it"
    who = why if seen.shipping else f"{why}: run `ccdr ship {job.plan}`"
    if standing.trouble is not None and standing.trouble != STOPPED:
        text, why = f"its log is not shipped: {standing.trouble}", standing.trouble
        step = ship_again(job.plan, job.asset)
        yield Problem(Trouble.LOG_LATE, text, standing.troubled, verb=Verb.BACKUP, why=why, step=step)
    elif standing.claimed is not None:
        told = f"its log is stored up to {to_the_second(since)} only" if since else "its log is not stored"
        claimed = f"that it is up to {to_the_second(standing.claimed)} the state directory says, and no record does"
        text = f"{told}, as records have it; {claimed}: {who}"
        yield Problem(Trouble.LOG_LATE, text, since, verb=Verb.BACKUP, why=why)
    elif standing.point is not None and standing.point > now + CLOCK_TOLERANCE:
        text = (
            f"its log is stored up to {to_the_second(standing.point)}, which is yet to come: a clock is, or was, wrong"
        )
        yield Problem(Trouble.LOG_LATE, text, verb=Verb.BACKUP)
    elif since is not None and now - since > late:
        text = (
            "no log is stored behind its new base" if begins else f"its log is stored up to {to_the_second(since)} only"
        )
        yield Problem(Trouble.LOG_LATE, f"{text}: {who}", since, verb=Verb.BACKUP, why=why)
    stored = standing.newest is not None or (anew is not None and not begins)  # else there need not be any yet
    if newest is not None and stored and not seen.logged([newest], _good):
        text = standing.gap or "its newest backup is no base that the log goes on from"
        meanwhile = "until then it can be restored as of its backups only"
        if standing.forks and seen.logged(usable, _good):
            text = "the source was recovered to before its newest backup: a new base backup is needed"
            meanwhile = "until then its log leads on from an older one"
        yield Problem(Trouble.LOG_GAP, f"{text}; {meanwhile}", verb=Verb.BACKUP)
    yield from _findings({"findings": standing.findings}, Verb.BACKUP)


def _conclusive(job: Job, history: AssetHistory) -> Record | None:
    """The newest conclusive test of what the plan names now."""
    last = history.last_conclusive_test
    return None if last is None or other_source(last, job.engine.source_name) else last


def coverage(job: Job, history: AssetHistory, now: datetime) -> str:
    """Stale: since the last conclusive test, another one has come due twice."""
    last = _conclusive(job, history)
    if last is None:
        return UNTESTED
    planned = job.engine.restore_test
    if planned is None:
        return TESTED
    if utc(last["time"]) > now + CLOCK_TOLERANCE:  # by a clock that was wrong: when it was, nobody knows
        return STALE
    return STALE if second_due(planned.schedule, job.loaded.plan.timezone, utc(last["time"]), now) else TESTED


def _by_rule(job: Job, history: AssetHistory) -> dict[str, tuple[str, str] | None]:
    """The plan's rules first, in its order."""
    found: dict[str, tuple[str, str] | None] = dict.fromkeys(job.rules)
    return found | {rule: (time, verdict) for rule, (time, verdict) in history.by_rule.items()}


def _shown(record: Record | None) -> Mapping[str, object] | None:
    """A record's body with its time and place in the ledger."""
    if record is None:
        return None
    shown = as_written(record)
    return {**{k: v for k, v in shown.items() if k not in ENVELOPE}, "time": record["time"], "seq": shown["seq"]}
