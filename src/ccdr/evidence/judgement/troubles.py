"""Troubles of one asset, repository or host side by side: told apart, by their causes, with where
their next step is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ccdr.evidence.acknowledged import acknowledged
from ccdr.evidence.deviations.values import Deviation
from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.records import BackupEnd, CopyEnd, PruneEnd, Record, TestEnd
from ccdr.evidence.records.values import UNKNOWN, WRONG
from ccdr.host.nearby import WORDS as NEAR_WORDS
from ccdr.model.finding import Finding
from ccdr.model.next_steps import Missing, by_a_copy, mend_first, where_it_can_be_done
from ccdr.model.trouble import NOTHING_TO_TEST, Level, Problem, Trouble, next_step
from ccdr.model.values import (
    Verb,
    so_many,
    to_the_second,
)
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job

MOST_NAMED = 2  # snapshots that do not count; `ccdr snapshots` has them all
DOUBT = "doubt"  # what a problem with snapshots in a damaged repository is about
# Why the repository could not be had, by how records call it: in words, and is what is in it lost?
_NO_REPOSITORY = {
    "missing": ("it was not there", Level.LOST),
    "closed": ("it did not open with the plan's password", Level.LOST),
    "unavailable": ("it did not answer", Level.UNPROVEN),
    "damaged": ("it did not open: its keys or its config are damaged", Level.LOST),
}

# What is said of records that nothing is taken from, by why.
_PASSED_OVER = {
    UNKNOWN: "of a version or kind that this ccdr does not read",
    WRONG: "no ccdr wrote it, and ccdr takes nothing from it",
}


def repository_away(job: Job, history: AssetHistory, upkeep: AssetHistory) -> Iterator[Problem]:
    """The newest backup or test met no repository, and nobody has read it since: whatever was proven before, none of it
    can be had."""
    runs: list[BackupEnd | TestEnd] = [r for r in (history.last_backup, history.last_test) if r is not None]
    newest = max(runs, key=lambda r: r.order, default=None)
    if newest is None or newest.repository is None or upkeep.last_check_read > newest.order:
        return
    sentence, level = _NO_REPOSITORY[newest.repository]
    # By this host's own backups none has made it yet: that they fail is what is wrong.
    made = history.last_good_backup is not None or history.last_backup in (None, newest)
    never_made = newest.repository == "missing" and not made
    yield Problem(
        Trouble.REPOSITORY_AWAY,
        f"when its repository was last asked, {to_the_second(newest.time)}, {sentence}: {newest.reason}",
        newest.time,
        about=newest.repository,
        as_bad_as=level,
        step=by_a_copy(job.plan, job.asset, list(job.loaded.plan.copies)),
        because=Trouble.NEVER_SUCCEEDED if never_made else None,
    )


def _met(record: BackupEnd | TestEnd | None) -> bool:
    """Was it the repository that could not be had, by this record?"""
    return record is not None and record.repository is not None


def copies_near(history: AssetHistory) -> Iterator[Problem]:
    """By the newest good backup: where all copies lie."""
    last = history.last_good_backup
    if last is not None and (beside := last.beside_source) is not None:
        yield Problem(Trouble.REPOSITORY_NEAR, f"its repository is {NEAR_WORDS[beside]}", cause=beside)


def repository_damaged(job: Job, history: AssetHistory, upkeep: AssetHistory, doubted: int) -> Iterator[Problem]:
    """`doubted`: how many newer snapshots do not count for it."""
    mend = mend_first(job.plan, job.asset) if history.newest_met_damage else None
    if damage := history.damage_since(upkeep):
        since = upkeep.last_damage.time if upkeep.last_damage else None
        yield Problem(Trouble.REPOSITORY_DAMAGED, damage, since, step=mend)
    if doubted:
        snapshots = so_many(doubted, "newer snapshot does", "newer snapshots do")
        text = f"{snapshots} not count until one has passed a test: the repository was found damaged"
        yield Problem(Trouble.REPOSITORY_DAMAGED, text, about=DOUBT, step=mend)


def with_places(
    problems: Iterable[Problem], job: Job, history: AssetHistory, now: datetime, *, backs_up: bool
) -> tuple[Problem, ...]:
    """The same, told apart, with where their next steps can be taken, and marked where they are acknowledged."""
    return tuple(acknowledged((_where(p, job, backs_up=backs_up) for p in distinct(problems)), history.acks, now))


def distinct(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Two that are there at once are two, though code and subject are the same: else one would hide the other."""
    seen: Counter[tuple[Trouble, str]] = Counter()
    for p in problems:
        seen[key := (p.trouble, p.about)] += 1
        yield p if seen[key] == 1 else replace(p, about=f"{p.about} ({seen[key]})")


def by_their_causes(
    problems: Iterable[Problem], among: Sequence[Problem], history: AssetHistory, made_up: Missing
) -> tuple[Problem, ...]:
    """The same, those that only follow from another `among` these marked: that one's next step mends them, too. Who has
    acknowledged that one has acknowledged the findings that tell of the same; not what grows by itself."""

    def accounts(q: Problem, p: Problem) -> bool:
        if q.trouble is Trouble.NOT_BEGUN:
            return q.verb is p.verb
        if q.trouble is Trouble.REPOSITORY_AWAY:  # what another attempt has met is no cause of this one
            test = p.verb is Verb.TEST and p.trouble is not Trouble.NEWER_FAILED
            made = q.because is None  # else that no backup has made it is no cause of why none has
            return _met(history.last_test if test else history.last_backup) and (test or made)
        if q.trouble is Trouble.SNAPSHOT_VANISHED and p.because is None:
            by_then = Missing.STORED if p.verb is Verb.TEST else Missing.NOTHING
            return made_up <= by_then
        # In a damaged repository another backup would not count either.
        return q.trouble is not Trouble.REPOSITORY_DAMAGED or q.about == DOUBT

    def cause_of(p: Problem) -> Problem | None:
        known = (p.because,) if p.because else p.trouble.causes
        tests = (Trouble.TEST_FAILED, Trouble.TEST_INCONCLUSIVE)
        if p.trouble in tests and (history.last_test is None or history.last_test.snapshot is None):
            known = NOTHING_TO_TEST
        return next((q for code in known for q in among if q.trouble is code and accounts(q, p)), None)

    def marked(p: Problem) -> Problem:
        cause = root = cause_of(p)
        while root is not None:
            cause, root = root, cause_of(root)
        if cause is None:
            return p if p.because is None else replace(p, because=None)
        noted = cause.acknowledged if p.trouble is Trouble.FINDING else None
        return replace(p, because=cause.trouble, step=cause.step, acknowledged=p.acknowledged or noted)

    return tuple(map(marked, problems))


def _where(problem: Problem, job: Job, *, backs_up: bool) -> Problem:
    """With what to do next, if that is anything but to read this."""
    if problem.trouble is Trouble.FINDING:
        return problem
    step = problem.step or next_step(problem.trouble, job.plan, job.asset)
    return replace(problem, step=step and where_it_can_be_done(step, backs_up=backs_up))


def passed_over(*histories: AssetHistory) -> Iterator[Problem]:
    """Records that nothing was taken from. Of another version it may say anything; what no ccdr wrote says nothing."""
    for why, sentence in _PASSED_OVER.items():
        counts = [history.passed_over[why] for history in histories if why in history.passed_over]
        if not counts:
            continue
        count, last = sum(n for n, _ in counts), max(seq for _, seq in counts)
        which = f"record {last} of the ledger" if count == 1 else f"{count} records of the ledger, the last one {last}"
        trouble = Trouble.RECORDS_UNKNOWN if why == UNKNOWN else Trouble.RECORDS_WRONG
        yield Problem(trouble, f"{which}: {sentence}", about=f"{why} {last}")


def not_begun(history: AssetHistory, newest: Mapping[Verb, Record | None]) -> Iterator[Problem]:
    for verb, last in newest.items():
        if record := history.could_not_begin(verb, last):
            why = str(record.reason)
            text = f"its {verb} could not start: {why}"
            yield Problem(Trouble.NOT_BEGUN, text, record.time, about=verb, verb=verb, why=why)


WithFindings = BackupEnd | TestEnd | PruneEnd | CopyEnd


def findings_of(record: WithFindings | None, verb: Verb) -> Iterator[Problem]:
    """Those of a record. What another host has found it says of what it could see there: here it may be known
    otherwise, and counts by that."""
    if record is None:
        return
    where = f"on {record.origin.host}, by its ledger: " if record.origin is not None and record.foreign else ""
    for one in record.findings:
        yield replace(as_problem(one, verb), text=f"{where}{one}")


def as_problem(one: Finding, verb: Verb, trouble: Trouble = Trouble.FINDING) -> Problem:
    return Problem(trouble, one.text, about=one.about, verb=verb, cause=one.cause, values=one.values)


# What is wrong with this host's own records, and is about none of its plans.


def _spoilt(host: AssetHistory) -> Iterator[Problem]:
    """Lines of the ledger, or of one beside it, that were changed, until somebody has answered for them."""
    if host.spoilt:
        named = [f"record {seq} of {f'ledger {ledger[:8]}' if ledger else 'the ledger'}" for ledger, seq in host.spoilt]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        where = ", ".join(named[-MOST_NAMED:]) + more
        text = f"somebody changed a line of the ledger, in the place of {where}: its content is lost"
        yield Problem(Trouble.LEDGER_SPOILT, text, about=" ".join(str(seq) for _, seq in host.spoilt))


def judge_host(plans: Sequence[LoadedPlan], histories: Histories) -> tuple[Problem, ...]:
    """The same of what is about none of these plans."""
    shown = {loaded.plan.plan for loaded in plans}
    of_none = [history for (plan, _), history in histories.items() if plan not in shown]
    return (*passed_over(*of_none), *_spoilt(histories.get((None, None), AssetHistory())))


# Which deviations are past the day by which they were to be over.


def judge_deviations(deviations: Iterable[Deviation], now: datetime) -> Iterator[Problem]:
    for one in deviations:
        if one.overdue(now):
            ended = "; the acceptance of its risk has ended" if one.accepted and not one.refused else ""
            refused = "; the acceptance of its risk is not signed by who may approve" if one.refused else ""
            whose = f", {one.owner}" if one.owner else ""
            text = (
                f"finding {one.id} of {one.where} ({one.code}, {one.severity}{whose}), open since "
                f"{to_the_second(one.since)}, was to be over by {to_the_second(one.due)}{ended}{refused}"
            )
            step = (
                f"ccdr deviation show {one.id}   tells of it; ccdr deviation assign {one.id} --owner NAME --due D   "
                "gives it another day; docs/how-to/deviations.md"
            )
            yield Problem(Trouble.DEVIATION_OVERDUE, text, one.due, about=one.id, step=step, why=one.code)
