"""What is wrong with a plan and the care of its repository: prunes, checks, copies, object locks, its approval, and who
may do what.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from ccdr.evidence.access import HOLDS, Review
from ccdr.evidence.acknowledged import acknowledged, steady
from ccdr.evidence.history.accesses import HOST, KEY, RECOVERY, USER, WRITER
from ccdr.evidence.history.asset_history import NEVER, AssetHistory, Histories
from ccdr.evidence.history.asset_history import seen_from as history_at
from ccdr.evidence.history.kinds import (
    COPY_START,
    DONE,
    FAILED,
    INCONCLUSIVE,
)
from ccdr.evidence.judgement.statements import refusal, refused
from ccdr.evidence.judgement.troubles import as_problem, distinct, findings_of, not_begun, passed_over
from ccdr.evidence.pauses import told, windows, within
from ccdr.evidence.records import AccessTested, CopyEnd, LockExtended, RecoverEnd, StatementRecord
from ccdr.evidence.records.statements import APPROVE_PLAN, VersionOfPlan
from ccdr.evidence.whose import UNREADABLE, whose
from ccdr.model.access import OF_ROLE, SAYS, Promise, RoleState
from ccdr.model.fetched import Fetched, month_of
from ccdr.model.schedule import second_due
from ccdr.model.trouble import (
    Problem,
    Trouble,
    next_step,
)
from ccdr.model.values import (
    AHEAD,
    PRIMARY,
    Verb,
    at_copy,
    duty_of,
    human_bytes,
    human_seconds,
    rfc3339,
    so_many,
    to_the_second,
)
from ccdr.plans import LoadedPlan
from ccdr.plans.copies import kept_locked, seen_from
from ccdr.plans.model import NIGHTLY, Copy
from ccdr.plans.trust import origin_of
from ccdr.plans.versions import PlanRevision, digest_of, files_of
from ccdr.storage.removals import CLOCK_TOLERANCE

# What is wrong with who may do what: a role's credential that may do more than its role, a review that is too old.


def tried(loaded: LoadedPlan, history: AssetHistory) -> AccessTested | None:
    """The newest trial of the roles' credentials; none counts that was of another repository."""
    last = history.trial
    return last if last is not None and last.repository == loaded.facts.repository.location else None


def broken(loaded: LoadedPlan, history: AssetHistory) -> dict[Promise, AccessTested]:
    """The promises that did not hold when somebody could last try them at this repository, each with that trial: that
    it cannot be tried any more, here or with what lies here, mends nothing."""
    if (last := tried(loaded, history)) is None:
        return {}
    named = {promise for promise in Promise if last.roles.get(OF_ROLE.get(promise, "")) != RoleState.NOT_NAMED.value}
    return {
        promise: record
        for promise in Promise
        if promise in named and (record := history.broken_promises.get(promise.value)) is not None
        if record.repository == last.repository
    }


def _said(promise: Promise, record: AccessTested) -> str:
    why = next(one.why for one in record.promises if one.promise == promise.value)
    return f"that {SAYS[promise]}: {why}"


def too_old(record: AccessTested, now: datetime) -> bool:
    return not -AHEAD <= now - record.time <= HOLDS


def access_of(loaded: LoadedPlan, history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """By the newest trial, and by the newest review. What was never tried, or never reviewed, is told by `controls`."""
    if wrong := broken(loaded, history):
        first = min(record.time for record in wrong.values())
        said = "; nor ".join(_said(*one) for one in wrong.items())
        about = ",".join(promise.value for promise in wrong)
        text = f"tried at {to_the_second(first)}, it does not hold {said}"
        yield Problem(Trouble.ACCESS_BROKEN, text, first, about=about)
    if history.review is not None:
        yield from _review(Review.of(history.review), now)


def _review(review: Review, now: datetime) -> Iterator[Problem]:
    until, about = to_the_second(rfc3339(review.valid_until)), rfc3339(review.valid_until)
    said = f"who has access was last looked at by {review.by} (record {review.seq})"
    if not review.holds(now):
        yield Problem(Trouble.ACCESS_REVIEW, f"{said}, and that held until {until}", review.valid_until, about=about)
    elif not review.in_order:
        yield Problem(
            Trouble.ACCESS_REVIEW, f"{said}, who found something that is to be changed", review.made, about=about
        )
    elif review.ends_soon(now):
        yield Problem(Trouble.ACCESS_REVIEW_ENDS, f"{said}, and that holds until {until}", about=about)


# Is the version of a plan that is in force approved, and when is it to be looked at again? By records, with what
# became of their signatures (`ccdr.jobs.approvals`).


def approval_of(loaded: LoadedPlan, history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """What is wrong with a plan's approvals. Asked where it has an `approval:` block, or had one when it was approved
    last: to take it out is a change like any other."""
    yield from _broken_glass(history)
    approved, block = history.approval, loaded.plan.approval
    refused = any(one.row is APPROVE_PLAN for one in history.refused)
    if block is None and not refused and not (approved and asks(approved)):
        return
    if why := unapproved(loaded, history, now):
        since = history.version.time if history.version is not None else None
        yield Problem(Trouble.PLAN_UNAPPROVED, why, since, about=in_force(loaded, history)[:16])
        return
    assert approved is not None
    due = review_by(loaded, approved)
    if due <= now:
        text = f"its review was due on {due:%Y-%m-%d}: {whose(approved).name} approved it at "
        text += to_the_second(approved.time)
        yield Problem(Trouble.PLAN_REVIEW, text, due, about=rfc3339(due))


def _broken_glass(history: AssetHistory) -> Iterator[Problem]:
    """Judged whatever the plan says now: else it would be over by taking the block out."""
    for nonce, record in history.broken_glass.items():
        text = (
            f"{record.operation} was carried out without an approval, at {to_the_second(record.time)} by "
            f"{record.actor} (record {record.seq}), and nobody has reviewed it"
        )
        why = f"{record.operation} by {record.actor}"
        yield Problem(Trouble.BREAK_GLASS, text, record.time, about=nonce[:16], why=why)


def in_force(loaded: LoadedPlan, history: AssetHistory) -> str:
    """The digest of the version: as recorded, or of its file where nobody has acted by it yet."""
    return history.version.digest if history.version is not None else digest_of(files_of(loaded))


def version_approved(approved: StatementRecord) -> VersionOfPlan:
    assert isinstance(approved.about, VersionOfPlan)
    return approved.about


def asks(approved: StatementRecord) -> bool:
    """Had the version that was approved an `approval:` block? Then the next one needs an approval, too."""
    return version_approved(approved).asks


def unapproved(loaded: LoadedPlan, history: AssetHistory, now: datetime) -> str | None:
    """Why the version in force is not approved; None where it is."""
    approved, digest = history.approval, in_force(loaded, history)
    which = f"version {digest[:8]} of the plan"
    refused = (one for one in history.refused if one.row is APPROVE_PLAN)
    said = next((one for one in refused if version_approved(one).digest == digest), None)
    if said is not None:
        return f"nobody has approved {which}: {refusal(said)}"
    if approved is None:
        return f"nobody has approved {which}, and it is to be approved (`approval:`)"
    by = whose(approved)
    if (before := version_approved(approved).digest) != digest:
        gone = "; it has no `approval:` any more, which that one had" if loaded.plan.approval is None else ""
        then = f"{by.name} has approved version {before[:8]}"
        return f"nobody has approved {which}: {then}, at {to_the_second(approved.time)}{gone}"
    if approved.time > now + AHEAD:
        return f"the approval of {which} is dated in the future: {to_the_second(approved.time)}"
    block = loaded.plan.approval
    if block is not None and block.second_factor and not user_verified(approved):
        return f"{which} is to be approved by a second factor, and {by.name} signed without one"
    return f"the approval of {which}, by {by}, could not be verified: {by.why}" if by.state == UNREADABLE else None


@dataclass(frozen=True)
class ApprovalGiven:
    """What counts of a plan's approval for how long its versions were in force without one."""

    at: datetime
    digest: str
    asks: bool  # the version that it was given to has an `approval:` block
    second_factor: bool

    @classmethod
    def of(cls, record: StatementRecord, at: datetime) -> ApprovalGiven:
        version = version_approved(record)
        return cls(at, version.digest, version.asks, user_verified(record))

    def approves(self, version: PlanRevision) -> bool:
        block = version.facts.approval
        return self.digest == version.digest and (self.second_factor or block is None or not block.second_factor)


def seconds_unapproved(
    given: Sequence[ApprovalGiven], version: PlanRevision, since: datetime, until: datetime
) -> float | None:
    """Of the time from `since` to `until`, in which it was in force: for how long the newest approval was of another
    one, or there was none. None: nobody was to approve it. By records alone, as above: whether a signature held is not
    asked."""
    block, asked, seconds = version.facts.approval, False, 0.0
    starts = accumulate((min(max(one.at, since), until) for one in given), max, initial=since)
    for newest, (at, then) in zip((None, *given), pairwise((*starts, until)), strict=True):
        if then > at and (block is not None or (newest is not None and newest.asks)):
            asked = True
            seconds += 0.0 if newest is not None and newest.approves(version) else (then - at).total_seconds()
    return seconds if asked and not version.gone else None


def user_verified(record: StatementRecord) -> bool:
    """Did a security key sign that knew its user?"""
    return record.by is not None and record.by.user_verified is True


def review_by(loaded: LoadedPlan, approved: StatementRecord) -> datetime:
    """No later than the plan says, whatever was signed."""
    signed, block = approved.until, loaded.plan.approval
    assert signed is not None
    return signed if block is None else min(signed, block.review_by(approved.time))


# Is what a plan's repositories are made of locked for as long as the plan says? By records alone.

NEW = timedelta(days=2)  # a host that has had the credential for so long has run once


def locks_of(loaded: LoadedPlan, history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """Of each repository that has `lock:`, as far as this host's records, or those beside them, tell."""
    for name, settings in kept_locked(loaded).items():
        assert settings.lock is not None
        newest, done = history.locks.get(name), history.locks_done.get(name)
        if newest is None:
            yield from _never(history, name, now)
            continue
        if newest.overwritten:
            count = so_many(newest.overwritten, "object")
            at = to_the_second(newest.time)
            text = f"somebody wrote {count} of {name} again, with other contents, as seen at {at}: restic never does"
            yield Problem(Trouble.OBJECTS_OVERWRITTEN, text, newest.time, about=name, cause=count, why=count)
        yield from _short(name, settings.lock.keep, newest, done, now)


def _never(history: AssetHistory, name: str, now: datetime) -> Iterator[Problem]:
    """Nobody else can know whether another host does it."""
    secrets = history.examined.secrets if history.examined else ()
    place = f"{'repository' if name == PRIMARY else f'copies.{name}'}.lock.env_file"
    here = any(secret.place == place and secret.there for secret in secrets)
    if here and history.first is not None and now - history.first > NEW:
        text = f"nobody has pushed the locks of {name} forward, though this host holds the credential for it"
        yield Problem(Trouble.LOCK_SHORT, text, history.first, about=name, why="never done")


def _short(name: str, keep: float, newest: LockExtended, done: LockExtended | None, now: datetime) -> Iterator[Problem]:
    ends = done.holds_until if done is not None and done.objects else None
    at = newest.time
    if newest.result == "FAILED":
        why = newest.reason or ""
        text = f"the locks of {name} were not pushed forward: {why}"
        yield Problem(Trouble.LOCK_SHORT, text, at, about=name, cause=steady(why), why=why)
    elif ends and ends - now < timedelta(seconds=keep):
        wants = human_seconds(keep)
        end = f"ends at {to_the_second(ends)}"
        text = f"the first lock of what {name} is made of {end}, and the plan wants {wants} from now"
        yield Problem(Trouble.LOCK_SHORT, text, at, about=name, why=end)


def package_of(loaded: LoadedPlan, history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """Of what the plan has written each night for a Unix group, where that is this host's to do: the newest try failed,
    or it came due twice since. One that is new counts from the version that is in force."""
    if loaded.plan.package is None or not history.answers_for(Verb.PACKAGE):
        return
    last, version, what = history.packaged, history.version, "the package for a group"
    if last is not None and last.result == FAILED:
        why = last.reason or ""
        text = f"{what} was not written at {to_the_second(last.time)}: {why}"
        yield Problem(Trouble.PACKAGE_LATE, text, last.time, verb=Verb.PACKAGE, why=why, cause=steady(why))
    elif last is not None or version is not None:
        since = version.time if last is None and version is not None else None
        if late := late_since(loaded, history, history, Verb.PACKAGE, NIGHTLY, since, now):
            then = f"is of {to_the_second(last.time)}" if last is not None else "was never written"
            yield Problem(Trouble.PACKAGE_LATE, f"{what} {then}", late, verb=Verb.PACKAGE)


# Access to a plan's data that is not usual, until somebody has looked at it. By records alone.

_SAID = {
    HOST: ("the host {name} did something for this plan for the first time", "new host {name}"),
    USER: ("{name} did something for this plan for the first time", "new user {name}"),
    KEY: ("a key that was not there before opens a repository of it: {name}", "new key {name}"),
    WRITER: ("another host, of the ledger {name}, stored a snapshot of this plan for the first time", "new writer"),
    RECOVERY: ("its data was brought back (run {name}) outside of a pause or an incident", "recovery {name}"),
}


def unusual_of(history: AssetHistory) -> Iterator[Problem]:
    """`history` is the plan's."""
    for one in history.unusual:
        if one.what == RECOVERY and expected(history, one.time):
            continue
        name = one.name[:16] if one.what in (KEY, WRITER) else one.name
        text, why = (said.format(name=name) for said in _SAID[one.what])
        text = f"{text}, at {to_the_second(one.time)} (record {one.seq})"
        yield Problem(Trouble.ACCESS_UNUSUAL, text, one.time, about=one.about, why=why)


def expected(history: AssetHistory, at: datetime) -> bool:
    """Did people say that they were at work on the plan then? What else says so (an incident that is open) joins
    here."""
    return within(at, windows(history.pauses))


UNSTORED = timedelta(days=1)  # that a plan may wait for its repository, where nothing was backed up since


def judge_upkeep(
    loaded: LoadedPlan, histories: Histories, now: datetime, *, at_work: bool = False
) -> tuple[Problem, ...]:
    """What is wrong with the care of a plan's repository, by its newest prune and its newest check. `at_work`: one of
    them is, so that none is overdue."""
    name = loaded.plan.plan
    history = histories.get((name, None), AssetHistory())
    told = {one[:8] for asset in loaded.plan.assets for one in histories.get((name, asset), AssetHistory()).vanished}
    known = judge_repository(loaded, histories, now, at_work=at_work)
    found = (p for p in known if not _of_these_alone(p, told))
    troubles = (
        *_fetched(loaded, histories, now),
        *_unstored(loaded, histories, now),
        *elsewhere(loaded, history),
        *approval_of(loaded, history, now),
        *access_of(loaded, history, now),
        *refused(history),
        *locks_of(loaded, history, now),
        *package_of(loaded, history, now),
        *unusual_of(history),
        *_paused(history, now),
        *_recovery(history, now),
    )
    wrong = distinct((*found, *troubles))
    problems = (
        p if p.trouble is Trouble.FINDING else replace(p, step=next_step(p.trouble, name, None))
        for p in (*wrong, *passed_over(history, *_of_no_asset(loaded, histories)))
    )
    return tuple(acknowledged(problems, history.acks, now))


def judge_repository(loaded: LoadedPlan, histories: Histories, now: datetime, *, at_work: bool) -> Iterator[Problem]:
    """By its newest prune and its newest check alone."""
    name = loaded.plan.plan
    history = histories.get((name, None), AssetHistory())
    first = min((h.first for (plan, _), h in histories.items() if plan == name and h.first), default=None)
    yield from _upkeep(history)
    if not at_work:
        yield from _upkeep_late(loaded, history, first, now)


def judge_runbook(plan: str, history: AssetHistory, now: datetime) -> tuple[Problem, ...]:
    """Of a runbook that was begun, has not ended, and that no process goes on with: each step that waits for a person
    or failed; or that nobody is at it."""
    of = history.runbook
    if of is None:
        return ()
    begun = f"the runbook that was begun at {to_the_second(of.begun)}"
    standing = [step for step in of.steps.values() if step.result in ("WAITING", "FAILED")]
    problems = [
        Problem(
            Trouble.RUNBOOK_STANDS,
            f"{begun} {'waits for a person' if one.result == 'WAITING' else 'stands'}: its step {one.step} "
            + (f"failed: {one.reason}" if one.result == "FAILED" else "is to be answered"),
            one.at,
            about=one.step,
            why=f"{one.step} {'failed' if one.result == 'FAILED' else 'is to be answered'}",
            cause=one.result,
            step=_runbook_step(plan, one.step, failed=one.result == "FAILED"),
        )
        for one in standing
    ] or [Problem(Trouble.RUNBOOK_STANDS, f"{begun} has not ended, and nobody is at it", of.begun)]
    told = (p if p.step else replace(p, step=next_step(p.trouble, plan, None)) for p in problems)
    return tuple(acknowledged(told, history.acks, now))


def _runbook_step(plan: str, step: str, *, failed: bool) -> str:
    if failed:
        return f"ccdr runbook retry {plan} {step}   tries it again; ccdr runbook status {plan}   shows the rest"
    return f"ccdr runbook resume {plan}   asks, and goes on; ccdr runbook status {plan}   shows the rest"


def _paused(history: AssetHistory, now: datetime) -> Iterator[Problem]:
    if pause := history.pause(now):
        text = f"it is {told(pause, now)}: what is due waits, no log is shipped; what is due twice is skipped"
        yield Problem(Trouble.PAUSED, text, pause.begun, about=str(pause.seq), why=str(pause))


def _recovery(history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """One that was begun, and that nobody has brought to an end."""
    if (last := history.unfinished_recovery(now)) is None:
        return
    how, missing = f"crashed: its run {last.run} never recorded an end", list[str]()
    if isinstance(last, RecoverEnd):
        how, missing = f"was not finished (run {last.run})", [a.asset for a in last.assets if a.state != "done"]
    what = f"; not brought back: {', '.join(missing)}" if missing else ""
    text = f"the recovery of {to_the_second(last.time)} {how}{what}"
    yield Problem(Trouble.RECOVERY_UNFINISHED, text, last.time, about=last.run, run=last.run)


def _of_these_alone(problem: Problem, told: Collection[str]) -> bool:
    """Is it what a prune found of snapshots that vanished? Their assets' SNAPSHOT_VANISHED tells it, which somebody may
    have acknowledged."""
    named = {one[:8] for one in problem.cause.split()} if problem.trouble is Trouble.FINDING else set()
    return bool(named) and named.issubset(told)


def _of_no_asset(loaded: LoadedPlan, histories: Histories) -> list[AssetHistory]:
    """What records tell of a plan's assets that it does not name."""
    name, assets = loaded.plan.plan, loaded.plan.assets
    return [h for (plan, asset), h in histories.items() if plan == name and asset not in (None, *assets)]


def _fetched(loaded: LoadedPlan, histories: Histories, now: datetime) -> Iterator[Problem]:
    """Told before the limit is reached. What was fetched for an asset that the plan names no more counts too."""
    name, month = loaded.plan.plan, month_of(now)
    size = sum(history.fetched.get(month, 0) for (plan, _), history in histories.items() if plan == name)
    of_tests = Fetched({month: size}, limit=loaded.plan.limits.fetch_per_month)
    if of_tests.limit is not None and of_tests.near(now):
        text = f"its restore tests fetched {human_bytes(size)} of the {human_bytes(of_tests.limit)} allowed this month"
        reached = "reached" if size >= of_tests.limit else "near"
        yield Problem(Trouble.FETCH_LIMIT, text, about=month, verb=Verb.TEST, why=f"limit {reached}", cause=reached)


def _unstored(loaded: LoadedPlan, histories: Histories, now: datetime) -> Iterator[Problem]:
    """Is the plan that is in force in its repository? Asked once there is a backup that it would lead to: of the host
    that takes them, which stores it with the next one, and within a day."""
    name = loaded.plan.plan
    history = histories.get((name, None), AssetHistory())
    version, stored = history.version, history.files_stored
    if version is None or not version.files or not history.answers_for(Verb.BACKUP):
        return
    if stored is not None and stored.digest == version.digest:
        return
    origin = origin_of(loaded)
    if origin is not None and not origin.made and origin.version == version.digest:
        return  # it came from there
    since = version.time
    backups = (histories.get((name, asset), AssetHistory()).last_good_backup for asset in loaded.plan.assets)
    times = [backup.time for backup in backups if backup is not None and not backup.foreign]
    if times and (max(times) > since + CLOCK_TOLERANCE or now - since > UNSTORED):
        text = f"the plan of {to_the_second(since)} (record {version.seq}) is not in its repository"
        yield Problem(Trouble.PLAN_NOT_STORED, text, since, about=version.digest[:16], verb=Verb.BACKUP)


def elsewhere(loaded: LoadedPlan, history: AssetHistory) -> Iterator[Problem]:
    """By the file of a plan that was brought back from a repository: is the state of another one that bears its name?
    Backups and tests of that say nothing of this. A plan that a person edits here is judged by its version in force."""
    origin, facts = origin_of(loaded), loaded.facts.repository
    if origin is None:
        return
    known = [history.facts.repository.location] if history.facts else []
    if not origin.made and history.files_stored:  # a made one is never stored
        known.append(history.files_stored.repository)
    other = next((where for where in known if where != facts.location), None)
    if other is not None:
        text = "what is known here of the plan is of another repository than it came from: nothing of it counts"
        step = next_step(Trouble.PLAN_ELSEWHERE, loaded.plan.plan, None)
        yield Problem(Trouble.PLAN_ELSEWHERE, text, about=other[:16], step=step)


def _upkeep(history: AssetHistory) -> Iterator[Problem]:
    pruned, checked = history.pruned, history.checked
    yield from not_begun(history, {Verb.PRUNE: pruned, Verb.CHECK: checked})
    crashed = history.crashed_upkeep()
    if crashed is not None:
        what = Verb(crashed.kind.removesuffix(".start"))
        text = f"the {what} of {to_the_second(crashed.time)} crashed: its run {crashed.run} never recorded an end"
        trouble = Trouble.PRUNE_FAILED if what is Verb.PRUNE else Trouble.CHECK_INCONCLUSIVE
        yield Problem(trouble, text, crashed.time, about="crash", verb=what, why="it crashed")
    if pruned is not None:
        if pruned.result == FAILED:
            text = f"its last prune FAILED: {pruned.reason}"
            why, at, run = pruned.reason or "", pruned.time, pruned.run
            yield Problem(Trouble.PRUNE_FAILED, text, at, verb=Verb.PRUNE, run=run, why=why, cause=steady(why))
        yield from findings_of(pruned, Verb.PRUNE)
    if damaged := history.damaged_parts:  # until the same part is read again and found clean
        text = f"a check found part {', '.join(damaged)} of {history.parts} of the repository's data DAMAGED"
        if len(damaged) == history.parts:
            text = "a check that read all of the repository's data found some of it DAMAGED"
        earliest = min(history.read[part].time for part in damaged)
        yield Problem(Trouble.REPOSITORY_DAMAGED, text, earliest, cause=" ".join(damaged))
    if (before := history.damaged_before) is not None:
        text = (
            f"a check found part {before.parts} of {before.of} of the repository's data DAMAGED; since then it is "
            f"read in {history.parts} parts, and not all of them were found clean yet"
        )
        yield Problem(Trouble.REPOSITORY_DAMAGED, text, before.since, about="before")
    if checked is not None and checked.result == INCONCLUSIVE:
        text = f"its last check is INCONCLUSIVE: {checked.reason}"
        why, at, run = checked.reason or "", checked.time, checked.run
        yield Problem(Trouble.CHECK_INCONCLUSIVE, text, at, verb=Verb.CHECK, run=run, why=why, cause=steady(why))


def _upkeep_late(loaded: LoadedPlan, history: AssetHistory, first: datetime | None, now: datetime) -> Iterator[Problem]:
    """What has come due twice since it was last tried, or since it became this host's to do; what was tried in vain is
    a problem of its own. `first` is the time of the plan's first record."""
    plan = loaded.plan
    planned = {Verb.PRUNE: plan.upkeep.prune, Verb.CHECK: plan.upkeep.check}
    if plan.retention is None:
        del planned[Verb.PRUNE]  # it would remove nothing
    for verb, schedule in planned.items():
        if (due := late_since(loaded, history, history, verb, schedule, first, now)) is None:
            continue
        tried = history.upkeep_tried(verb)
        what = "its prune is overdue" if verb is Verb.PRUNE else "its check is overdue"
        last = (
            f"the last one was at {to_the_second(tried)}"
            if tried
            else f"it never ran, and is due since {to_the_second(due)}"
        )
        trouble = Trouble.PRUNE_LATE if verb is Verb.PRUNE else Trouble.CHECK_LATE
        yield Problem(trouble, f"{what}: {last}", due, verb=verb)


def late_since(
    loaded: LoadedPlan,
    history: AssetHistory,
    duties: AssetHistory,
    verb: Verb,
    schedule: str,
    first: datetime | None,
    now: datetime,
) -> datetime | None:
    """Since when such work is overdue: it has come due twice since it was last tried, or since it became this host's
    to do, as the plan's own history (`duties`) tells."""
    at, asked = now, (duties.duties or {}).get(duty_of(verb)) or first
    if not duties.answers_for(verb):
        if (other := duties.elsewhere(verb)) is None:
            return None
        at, asked = min(now, other.until), other.since or first
    # By a clock that was wrong: when it was, nobody knows, and nothing is put off by it until that has come.
    times = (history.upkeep_tried(verb), asked, first)
    known = [when for when in times if when and when <= now + CLOCK_TOLERANCE]
    let_be = duties.let_be(now) if duties.answers_for(verb) else NEVER
    return second_due(schedule, loaded.plan.timezone, max(*known, let_be) if known else at, at)


# What is wrong with a plan's copies: each by what was done at it. None of it says anything of the plan's own
# repository, and nothing there makes up for what is wrong here.

_NAMED = 3  # assets, or ids


def of_copies(loaded: LoadedPlan, histories: Histories, now: datetime, *, at_work: bool = False) -> tuple[Problem, ...]:
    """The same, told apart, and marked where they are acknowledged."""
    acks = histories.get((loaded.plan.plan, None), AssetHistory()).acks
    return tuple(acknowledged(distinct(judge_copies(loaded, histories, now, at_work=at_work)), acks, now))


def judge_copies(loaded: LoadedPlan, histories: Histories, now: datetime, *, at_work: bool) -> Iterator[Problem]:
    """Of each copy that the plan names. `at_work`: a copying, prune or check is, so that none of these is overdue."""
    plan = loaded.plan.plan
    for name, copy in loaded.plan.copies.items():
        history = histories.get((at_copy(plan, name), None), AssetHistory())
        where = f"the copy {name}" + (f" ({copy.site})" if copy.site else "")
        for p in _of_copy(loaded, name, copy, history, histories, now, at_work=at_work):
            step = p.step or (next_step(p.trouble, plan, None) or "").replace("--from COPY", f"--from {name}")
            text, about = f"{where}: {p.text}", f"{name} {p.about}".strip()
            yield replace(p, text=text, about=about, step=step or None, cause=f"{name} {p.cause}".strip())


def _of_copy(
    loaded: LoadedPlan,
    name: str,
    copy: Copy,
    history: AssetHistory,
    histories: Histories,
    now: datetime,
    *,
    at_work: bool,
) -> Iterator[Problem]:
    last = history.copied
    plan, own = loaded.plan.plan, histories.get((loaded.plan.plan, None), AssetHistory())
    yield from _copying(history)
    if not at_work:
        seen = replace(history, duties=own.duties, others=own.others, pauses=own.pauses)
        if late := late_since(loaded, seen, own, Verb.COPY, copy.schedule, _first(loaded, histories), now):
            last_one = f"the last one was at {to_the_second(last.time)}" if last else "nothing was ever copied there"
            yield Problem(Trouble.COPY_LATE, f"copying is overdue: {last_one}", late, verb=Verb.COPY)
    view, there = seen_from(loaded, name), history_at(histories, plan, name)
    if history.last_copy is None:
        return
    for p in judge_repository(view, there, now, at_work=at_work):
        if (code := p.trouble.row.at_copy) is not None:
            yield replace(p, trouble=Trouble[code], about=f"{p.trouble} {p.about}".strip(), step=None)
    for asset in loaded.plan.assets:
        yield from _tests(loaded, name, copy, asset, histories)


def _first(loaded: LoadedPlan, histories: Histories) -> datetime | None:
    times = (h.first for (plan, _), h in histories.items() if plan == loaded.plan.plan and h.first)
    return min(times, default=None)


def _copying(history: AssetHistory) -> Iterator[Problem]:
    last, told = history.copied, history.last_copy
    if (begun := history.could_not_begin(Verb.COPY, last)) is not None:
        why = str(begun.reason)
        yield Problem(Trouble.COPY_FAILED, f"copying could not start: {why}", begun.time, "begin", Verb.COPY, why=why)
    if (crashed := history.crashed(COPY_START)) and (last is None or crashed.order > last.order):
        text = f"the copying of {to_the_second(crashed.time)} crashed: its run never recorded an end"
        yield Problem(Trouble.COPY_FAILED, text, crashed.time, "crash", Verb.COPY, why="it crashed")
    if last is not None and last.result != DONE:
        why = last.reason or "some of it could not be copied"
        held = f"; what it holds is of {_newest(told)}" if told else "; nothing was ever copied there"
        text = f"the last copying, {to_the_second(last.time)}, failed: {why}{held}"
        about = last.repository or ""
        yield Problem(Trouble.COPY_FAILED, text, last.time, about, Verb.COPY, run=last.run, why=why, cause=steady(why))
    if told is None:
        return
    if gone := {one: asset for asset, ids in told.vanished.items() for one in ids}:
        which = ", ".join(f"{one[:8]} ({asset})" for one, asset in list(gone.items())[:_NAMED])
        text = f"{so_many(len(gone), 'snapshot')} had vanished when it was last asked: {which}"
        yield Problem(Trouble.COPY_VANISHED, text, told.time, verb=Verb.COPY, cause=" ".join(sorted(gone)))
    yield from (as_problem(one, Verb.COPY, Trouble.COPY_FAILED) for one in told.findings)


def _newest(told: CopyEnd) -> str:
    return to_the_second(min(told.newest.values())) if told.newest else "nothing that counts"


def _tests(loaded: LoadedPlan, name: str, copy: Copy, asset: str, histories: Histories) -> Iterator[Problem]:
    plan = loaded.plan.plan
    here = histories.get((at_copy(plan, name), asset), AssetHistory())
    filled = histories.get((at_copy(plan, name), None), AssetHistory()).last_copy
    held = (filled.there if filled else None) or {}
    own = histories.get((plan, asset), AssetHistory())
    last = here.last_test
    step = f"ccdr test {plan} --asset {asset} --from {name}   tests it again"
    if (failed := here.failure) is not None:
        text = f"the restore test of {asset} from there, {to_the_second(failed.time)}, is FAIL: {failed.reason}"
        why = failed.reason or ""
        yield Problem(
            Trouble.COPY_TEST_FAILED, text, failed.time, asset, Verb.TEST, step=step, run=failed.run,
            why=why, cause=steady(why),
        )  # fmt: skip
    elif last is not None and last.verdict == "INCONCLUSIVE":
        why = last.reason or ""
        text = f"the restore test of {asset} from there, {to_the_second(last.time)}, is INCONCLUSIVE: {why}"
        yield Problem(
            Trouble.COPY_UNTESTED, text, last.time, asset, Verb.TEST, step=step, run=last.run, why=why,
            cause=steady(why),
        )  # fmt: skip
    elif loaded.plan.assets[asset].restore_test and _tested_here(histories.get((plan, None)), own):
        text = None
        if last is None and held.get(asset):
            text = f"{asset} was never restored from there"
        elif last is not None and own.tests - here.tests_then > 2 * copy.test_every:
            count = so_many(own.tests - here.tests_then, "restore test")
            text = f"{asset} was not restored from there for {count} of it, one in {copy.test_every} should be"
        if text is not None:
            yield Problem(Trouble.COPY_UNTESTED, text, about=asset, verb=Verb.TEST, step=step)


def _tested_here(of_plan: AssetHistory | None, own: AssetHistory) -> bool:
    """Does this host test it, or know of such tests? Another host's alone know whether it was restored from there."""
    return own.tests > 0 or (of_plan or AssetHistory()).answers_for(Verb.TEST)
