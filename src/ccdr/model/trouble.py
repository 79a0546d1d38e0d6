"""Ways in which something is not as the plan wants it, and what to do about each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from ccdr.model.values import Verb, rfc3339


class Level(IntEnum):
    """How bad something is for whoever needs the service back; the greater the worse."""

    FINE = 0
    NOTE = 1  # something is not as the plan wants, and the service can be brought back
    NEAR = 2  # it can be brought back, but not where its disk or its machine is lost
    LATE = 3  # it can be brought back, and not within its objectives
    UNPROVEN = 4  # nobody has shown that it can
    LOST = 5  # it cannot


class Worse(StrEnum):
    """Which way a problem has become worse, by its `values`."""

    MORE = "more"  # one of them is greater
    ANY = "any"  # one of them is another: which way is worse, only who found it knows


class Trouble(StrEnum):
    """Ways in which something is not as the plan wants it. People are told once of each, and once when it is over."""

    LEDGER_BROKEN = "ledger_broken"
    LEDGER_LOST = "ledger_lost"  # it is gone, and was begun anew: until somebody answers for it
    LEDGER_SPOILT = "ledger_spoilt"  # a line of it was changed, and what it told is lost: until somebody answers for it
    LEDGER_CONTRADICTED = "ledger_contradicted"  # what snapshots, or this host's state, attest of it is not so
    SUMMARY_WRONG = "summary_wrong"  # what is kept of the ledger, and read in its place, was not what it says
    ANCHOR_OVERDUE = "anchor_overdue"  # nobody else has held a checkpoint of the ledger for too long
    RECORDS_UNKNOWN = "records_unknown"  # of a version or a kind that is not read: what they say is not known here
    RECORDS_WRONG = "records_wrong"  # no ccdr wrote them so: nothing is taken from them
    CATALOGUE_WRONG = "catalogue_wrong"  # what the state says of a snapshot is not what the ledger says
    PLAN_FILES_GONE = "plan_files_gone"  # of a recorded version: what its digest stands for
    PLAN_NOT_STORED = "plan_not_stored"  # the newest version of a plan is not in its repository
    PLAN_ELSEWHERE = "plan_elsewhere"  # what is known here of it is of another repository, which bears the same name
    PLAN_UNAPPROVED = "plan_unapproved"  # this version of it, where it is to be approved
    PLAN_REVIEW = "plan_review"  # its approval is past the day on which it was to be looked at again
    ACCESS_BROKEN = "access_broken"  # a role's credential may do more than its role, as it was last tried
    ACCESS_REVIEW = "access_review"  # who has access was looked at too long ago, or is to be changed
    ACCESS_REVIEW_ENDS = "access_review_ends"  # … and is to be again within a month: no finding
    BREAK_GLASS = "break_glass"  # what needs another person's approval was done without, and nobody has reviewed it
    PLAN_WRONG = "plan_wrong"  # the file of another plan: nobody can be told by that one
    CONTROL_PASSED = "control_passed"  # a copy that was damaged on purpose passed its restore test: tests prove nothing
    TEST_FAILED = "test_failed"
    LOG_FAILED = "log_failed"  # the shipped log is bad, or led to something bad, whatever its base is
    NEWER_FAILED = "newer_failed"  # the restore test is FAIL, and what it restored is good
    BACKUP_FAILED = "backup_failed"
    SOURCE_AWAY = "source_away"  # nobody answers where the source is to be
    REPOSITORY_AWAY = "repository_away"  # it was not to be had when it was last asked
    REPOSITORY_DAMAGED = "repository_damaged"
    REPOSITORY_NEAR = "repository_near"  # it lies where its source is, as the plan wants it: nothing is wrong by that
    SNAPSHOT_VANISHED = "snapshot_vanished"  # gone from the repository, and no retention has removed it
    SNAPSHOT_SUSPECT = "snapshot_suspect"  # it looks as if somebody had encrypted its data: until somebody has looked
    OTHER_CLUSTER = "other_cluster"  # the newest backup is of another server than those before, by its own number
    BREACH_RPO = "breach_rpo"
    BREACH_RTO = "breach_rto"
    RTO_UNMEASURED = "rto_unmeasured"  # with the server settings that the plan asks for
    NEVER_SUCCEEDED = "never_succeeded"
    NOT_BEGUN = "not_begun"  # what was due could not even begin
    BACKUP_LATE = "backup_late"
    TEST_LATE = "test_late"
    LOG_LATE = "log_late"
    LOG_GAP = "log_gap"
    FINDING = "finding"
    GROUP_INCOMPLETE = "group_incomplete"  # assets that belong together have no snapshots that do
    NO_LONGER_CHECKED = "no_longer_checked"  # what failed, and passed by fewer or weaker checks
    TEST_INCONCLUSIVE = "test_inconclusive"
    NEVER_TESTED = "never_tested"
    CONTROL_INCONCLUSIVE = "control_inconclusive"
    CONTROL_LATE = "control_late"
    NOT_KNOWN_HERE = "not_known_here"  # another host answers for it: neither well nor a finding
    RESTORE_CRASHED = "restore_crashed"
    ERASED_RETURNED = "erased_returned"  # handed over though erased people may be in it: until somebody has reviewed it
    RUNBOOK_STANDS = "runbook_stands"  # it was begun, has not ended, and goes on no further by itself
    RECOVERY_UNFINISHED = "recovery_unfinished"  # of the plan: it crashed, was stopped, or a step of it failed
    PRUNE_FAILED = "prune_failed"
    PRUNE_LATE = "prune_late"
    CHECK_INCONCLUSIVE = "check_inconclusive"
    CHECK_LATE = "check_late"
    LOCK_SHORT = "lock_short"  # what is in use can be removed sooner than the plan wants: Object Lock
    OBJECTS_OVERWRITTEN = "objects_overwritten"  # what restic never writes twice was written again
    ACCESS_UNUSUAL = "access_unusual"  # a new host, user or key, or a recovery that nobody announced
    COPY_FAILED = "copy_failed"  # the last copying to one of the plan's copies, or some of it
    COPY_LATE = "copy_late"
    COPY_VANISHED = "copy_vanished"  # gone from a copy, and no retention has removed it
    COPY_DAMAGED = "copy_damaged"  # a check has found a copy's repository so
    COPY_TEST_FAILED = "copy_test_failed"  # a restore test that fetched from a copy
    COPY_UNTESTED = "copy_untested"
    COPY_UPKEEP = "copy_upkeep"  # its prune or its check failed, or is overdue
    FETCH_LIMIT = "fetch_limit"  # restore tests fetched most of what the plan allows in a month, or more
    PAUSED = "paused"  # by somebody, for a while: no finding
    DUTIES = "duties"  # what this host answers for has changed
    ATTESTATION_STALE = "attestation_stale"  # what somebody has attested, and its time is up
    ATTESTATION_ENDS = "attestation_ends"  # within a month: no finding
    INCIDENT_OVERDUE = "incident_overdue"  # a notification that nobody has recorded as filed, past its time
    INCIDENT_DUE = "incident_due"  # a notification that is due soon: no finding
    DEVIATION_OVERDUE = "deviation_overdue"  # what went wrong was to be over by a day, and that is past
    MISSED = "missed"
    UNTOLD = "untold"  # an address that could not be reached


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: a sentence, and since when where that is known. `about` tells two troubles of the
    same kind apart, and stays the same for as long as this one lasts. `verb` is whose work it is about: a host that
    does no such work can only know what is long over."""

    trouble: Trouble
    text: str
    since: datetime | None = None
    about: str = ""
    verb: Verb | None = None
    step: str | None = None  # what to do next, where more is known than `next_step` says
    as_bad_as: Level | None = None  # where this one is worse, or better, than others of its kind
    acknowledged: datetime | None = None  # until when, where a person has taken note of it
    cause: str = ""  # why, where it may stand for another cause later: who acknowledges the one has not seen the other
    # How bad it is, by the code's `Worse`: who acknowledges it has seen no more than that.
    values: tuple[float, ...] = ()
    lasting: float | None = (
        None  # of what stands since then: it is the same one for as long as this is, though it grows
    )
    run: str | None = None  # which it became of
    why: str = ""  # in few words, for a subject, where the record tells
    because: Trouble | None = None  # what it only follows from: mended with that, by the same next step
    private: tuple[str, ...] = ()  # files where it is told in programs' own words, for a person's eyes

    @property
    def level(self) -> Level:
        return self.as_bad_as or _LEVELS.get(self.trouble, Level.NOTE)

    @property
    def worse(self) -> Worse:
        return _WORSE.get(self.trouble, Worse.ANY)

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.trouble.name,
            "level": self.level.name,
            "text": self.text,
            "since": self.since and rfc3339(self.since),
            "next_step": self.step,
            "because": self.because and self.because.name,
            "acknowledged": self.acknowledged is not None,
            "until": self.acknowledged and rfc3339(self.acknowledged),
        }


_LEVELS = {
    Trouble.NEVER_SUCCEEDED: Level.LOST,
    Trouble.TEST_FAILED: Level.LOST,
    Trouble.LOG_FAILED: Level.LOST,
    Trouble.REPOSITORY_AWAY: Level.LOST,
    Trouble.CONTROL_PASSED: Level.UNPROVEN,
    Trouble.NEVER_TESTED: Level.UNPROVEN,
    Trouble.NOT_KNOWN_HERE: Level.UNPROVEN,
    Trouble.TEST_LATE: Level.UNPROVEN,
    Trouble.NO_LONGER_CHECKED: Level.UNPROVEN,
    Trouble.RECORDS_UNKNOWN: Level.UNPROVEN,
    Trouble.RECORDS_WRONG: Level.UNPROVEN,
    Trouble.CATALOGUE_WRONG: Level.UNPROVEN,
    Trouble.OTHER_CLUSTER: Level.UNPROVEN,
    Trouble.REPOSITORY_DAMAGED: Level.UNPROVEN,
    Trouble.REPOSITORY_NEAR: Level.NEAR,
    Trouble.NEWER_FAILED: Level.LATE,
    Trouble.SNAPSHOT_VANISHED: Level.LATE,
    Trouble.SNAPSHOT_SUSPECT: Level.LATE,
    Trouble.BREACH_RPO: Level.LATE,
    Trouble.BREACH_RTO: Level.LATE,
    Trouble.RTO_UNMEASURED: Level.LATE,
}

_WORSE = {
    Trouble.BREACH_RPO: Worse.MORE,  # seconds
    Trouble.BREACH_RTO: Worse.MORE,  # seconds
    Trouble.FINDING: Worse.MORE,  # what its sentence says there is of something: acknowledged.harm
    Trouble.TEST_FAILED: Worse.ANY,  # what its checks have counted: rows that match, files that do not
    Trouble.LOG_FAILED: Worse.ANY,
    Trouble.NEWER_FAILED: Worse.ANY,
}

_NO_BACKUP = (Trouble.SOURCE_AWAY, Trouble.REPOSITORY_AWAY, Trouble.NOT_BEGUN, Trouble.BACKUP_FAILED)
_NO_TEST = (Trouble.REPOSITORY_AWAY, Trouble.NOT_BEGUN, Trouble.TEST_INCONCLUSIVE)
# What each may be but a consequence of, at the same asset: the first of these that there is.
CAUSES: dict[Trouble, tuple[Trouble, ...]] = {
    Trouble.BACKUP_FAILED: (Trouble.REPOSITORY_AWAY,),
    Trouble.BACKUP_LATE: _NO_BACKUP,
    Trouble.NEVER_SUCCEEDED: _NO_BACKUP,
    Trouble.NEWER_FAILED: (*_NO_BACKUP, Trouble.SNAPSHOT_VANISHED),
    Trouble.TEST_INCONCLUSIVE: (Trouble.REPOSITORY_AWAY,),
    Trouble.TEST_LATE: _NO_TEST,
    Trouble.NEVER_TESTED: (*_NO_TEST, Trouble.NEVER_SUCCEEDED),
    Trouble.BREACH_RPO: (
        Trouble.SOURCE_AWAY,
        Trouble.REPOSITORY_AWAY,
        Trouble.REPOSITORY_DAMAGED,
        *_NO_BACKUP,
        Trouble.TEST_FAILED,
        Trouble.LOG_FAILED,
        Trouble.LOG_LATE,
        Trouble.LOG_GAP,
        Trouble.SNAPSHOT_SUSPECT,
        Trouble.SNAPSHOT_VANISHED,
        Trouble.BACKUP_LATE,
    ),
}
# Nor has a test anything to restore then: its failure says nothing of a backup.
NOTHING_TO_TEST = (*_NO_BACKUP, Trouble.NEVER_SUCCEEDED, Trouble.SNAPSHOT_VANISHED)

# What to do next; {plan} and {asset} are filled in, and {of_asset} where it is about one asset.
_NEXT = {
    Trouble.LEDGER_BROKEN: "ccdr ledger verify   lists all damage; keep the directory as evidence",
    Trouble.LEDGER_LOST: "ccdr ledger recover   brings it back from a repository, as a read-only copy; "
    'ccdr ack LEDGER_LOST --why "…"   records that it cannot come back',
    Trouble.LEDGER_SPOILT: "keep a copy of the state directory as evidence, and find out who wrote there, or whether "
    'the disk is bad; ccdr ack LEDGER_SPOILT --why "…"   records that the line is lost',
    Trouble.LEDGER_CONTRADICTED: (
        "ccdr ledger verify --repository   lists every contradiction; keep the state directory as evidence; "
        "docs/explanation/evidence.md"
    ),
    Trouble.SUMMARY_WRONG: (
        "find out who wrote to the state directory; ccdr run   builds the summary again from the ledger; until "
        "then, `ccdr status` reads the ledger itself"
    ),
    Trouble.ANCHOR_OVERDUE: "ccdr ledger checkpoint   tries each anchor now, and says why not; "
    "docs/how-to/checkpoints.md",
    Trouble.RECORDS_UNKNOWN: "install on this host the ccdr that wrote them, or a later one: docs/how-to/upgrade.md",
    Trouble.RECORDS_WRONG: "ccdr ledger verify   lists all damage; keep the directory as evidence, and find out who "
    "wrote to it",
    Trouble.CATALOGUE_WRONG: "find out who changed it, then remove it from STATE/catalogue/{plan}/{asset}: the next "
    "restore test reads it from the repository again",
    Trouble.PLAN_FILES_GONE: "find out who removed them, and put them back from the repository, which holds each "
    "version: docs/explanation/evidence.md, A plan's files",
    Trouble.PLAN_NOT_STORED: "ccdr backup {plan}   stores the plan with the backup, and says why it could not",
    Trouble.PLAN_ELSEWHERE: "name with --state DIR a state directory of this plan alone, or ccdr backup {plan}   "
    "begins in its own repository",
    Trouble.PLAN_UNAPPROVED: "ccdr plan approve {plan}   says what is to be signed, and how; docs/how-to/approve.md",
    Trouble.PLAN_REVIEW: "read the plan again, change what is not so any more, then ccdr plan approve {plan}   has it "
    "signed; docs/how-to/approve.md",
    Trouble.BREAK_GLASS: "somebody who may approve looks at why, then ccdr approval review {plan}   has it signed; "
    "docs/how-to/approve.md",
    Trouble.ACCESS_BROKEN: "attach to each role's user the policy that `ccdr access policies {plan}` prints, then "
    "ccdr access test {plan}; docs/how-to/access.md",
    Trouble.ACCESS_REVIEW: "ccdr access review {plan} --out FILE   asks the systems anew; look at it, then have it "
    "recorded: docs/how-to/access.md",
    Trouble.ACCESS_REVIEW_ENDS: "ccdr access review {plan} --out FILE   asks the systems anew; look at it, then have "
    "it recorded before then: docs/how-to/access.md",
    Trouble.PLAN_WRONG: "ccdr plan check   lists its mistakes",
    Trouble.CONTROL_PASSED: (
        "add the check `identical` to its restore test; then ccdr test {plan} --asset {asset} --negative-control   "
        "does the same damage again, which must be found"
    ),
    Trouble.CONTROL_INCONCLUSIVE: "ccdr test {plan} --asset {asset}   must pass first; then ccdr test {plan} --asset "
    "{asset} --negative-control",
    Trouble.CONTROL_LATE: "ccdr test {plan} --asset {asset} --negative-control   does it now; check that cron calls "
    "`ccdr run` here",
    Trouble.TEST_FAILED: (
        "ccdr snapshots {plan}; ccdr test {plan} --asset {asset} --snapshot ID   tests an older one; a new backup "
        "that passes its test ends this trouble"
    ),
    Trouble.LOG_FAILED: (
        "ccdr backup {plan} --asset {asset}   takes a new base; when more log is stored after it, "
        "ccdr test {plan} --asset {asset} --at latest"
    ),
    Trouble.NEWER_FAILED: "ccdr backup {plan} --asset {asset}   tries again now; the snapshot before it can be "
    "restored",
    Trouble.BACKUP_FAILED: "`ccdr doctor {plan}` looks for the cause; then `ccdr backup {plan} --asset {asset}`",
    Trouble.REPOSITORY_DAMAGED: (
        "ccdr test {plan}{of_asset} --snapshot latest   shows whether the newest snapshot is whole; then read "
        "docs/how-to/recover.md, A damaged repository"
    ),
    Trouble.REPOSITORY_NEAR: "set `repository: url` in the plan to a place on another machine: docs/reference/plan.md",
    Trouble.SNAPSHOT_VANISHED: (
        "find out who removed it, and who has the right to: docs/how-to/recover.md, A snapshot that vanished; "
        'ccdr ack SNAPSHOT_VANISHED {plan}{of_asset} --until 30d --why "…"   once you know'
    ),
    Trouble.SNAPSHOT_SUSPECT: (
        "look at the source, and at who was there: docs/how-to/leaps-and-canaries.md; "
        'ccdr ack SNAPSHOT_SUSPECT {plan}{of_asset} --until 30d --why "…"   if it is as it should be'
    ),
    Trouble.OTHER_CLUSTER: (
        "find out why another server answers at the source's address: a wrong address in the plan is mended there; "
        'ccdr ack OTHER_CLUSTER {plan}{of_asset} --until 30d --why "…"   if the plan means that server from now on'
    ),
    Trouble.SOURCE_AWAY: "ccdr runbook run {plan}   begins with whether it is really dead; if it is down for "
    'work, ccdr pause {plan} --for 4h --why "…"',
    Trouble.REPOSITORY_AWAY: "ccdr doctor {plan}   looks at the repository; then ccdr test {plan}",
    Trouble.RTO_UNMEASURED: "ccdr test {plan} --asset {asset}   measures it",
    Trouble.BREACH_RPO: "ccdr backup {plan} --asset {asset}   takes one now",
    Trouble.BREACH_RTO: (
        "restore faster (more processors, memory, a nearer repository), or set a realistic RTO; then "
        "ccdr test {plan} --asset {asset}   measures it again, phase by phase"
    ),
    Trouble.NEVER_SUCCEEDED: "ccdr backup {plan} --asset {asset}   takes the first one now",
    Trouble.NOT_BEGUN: "ccdr plan check {plan}; ccdr doctor {plan}",
    Trouble.BACKUP_LATE: "ccdr run --dry-run   on its host shows what is due; check that cron calls `ccdr run` "
    "often enough",
    Trouble.TEST_LATE: "ccdr run --dry-run   on its host shows what is due; check that cron calls `ccdr run` often "
    "enough",
    Trouble.LOG_LATE: (
        "ccdr ship {plan} --asset {asset}   on its host shows why; if the source is gone, read "
        "docs/how-to/ship-logs.md, Restoring to a point"
    ),
    Trouble.LOG_GAP: "ccdr backup {plan} --asset {asset}   takes a new base; the log continues from there",
    Trouble.FINDING: "ccdr status {plan}",
    Trouble.GROUP_INCOMPLETE: "ccdr doctor {plan}   looks for the cause; then ccdr backup {plan}   captures the "
    "whole group",
    Trouble.TEST_INCONCLUSIVE: "ccdr doctor {plan}; ccdr test {plan} --asset {asset}   once doctor finds nothing wrong",
    Trouble.NO_LONGER_CHECKED: (
        "put the checks back into its restore test, then ccdr test {plan} --asset {asset}   tests it again"
    ),
    Trouble.NEVER_TESTED: "ccdr test {plan} --asset {asset}   tests it now; check that the plan has a "
    "`restore_test:` for it",
    Trouble.NOT_KNOWN_HERE: "ccdr ledger collect DIR   adds that host's ledger, from a copy of its state directory",
    Trouble.RESTORE_CRASHED: (
        "remove what it left, and do not use it; then ccdr restore {plan} --asset {asset} --to …   starts again"
    ),
    Trouble.ERASED_RETURNED: "erase them where it stands: docs/how-to/erase.md, Break the glass; then "
    'ccdr erasure review {plan}{of_asset} --why "…"',
    Trouble.RUNBOOK_STANDS: "ccdr runbook status {plan}   shows how far it is; ccdr runbook resume {plan}   goes on",
    Trouble.RECOVERY_UNFINISHED: "ccdr recover --resume {plan}   goes on, and repeats nothing that is done",
    Trouble.PRUNE_FAILED: "ccdr doctor {plan}; ccdr upkeep {plan} --prune",
    Trouble.PRUNE_LATE: "ccdr upkeep {plan} --prune   does it now; check that cron calls `ccdr run` here",
    Trouble.CHECK_INCONCLUSIVE: "ccdr doctor {plan}; ccdr upkeep {plan} --check",
    Trouble.CHECK_LATE: "ccdr upkeep {plan} --check   does it now; check that cron calls `ccdr run` here",
    Trouble.LOCK_SHORT: "ccdr doctor {plan}   looks at the bucket; then ccdr lock extend {plan}   on the host that has "
    "its credential; docs/how-to/keys.md",
    Trouble.OBJECTS_OVERWRITTEN: "find out who wrote there, and withdraw that credential; the oldest version is the "
    "true one: docs/how-to/keys.md, Somebody wrote over it",
    Trouble.ACCESS_UNUSUAL: "ccdr ledger show   says who and from where; find out whether they should have; "
    'ccdr ack ACCESS_UNUSUAL {plan} --until 30d --why "…"   once you know',
    Trouble.COPY_FAILED: "ccdr doctor {plan}   looks at the copy's repository, too; then ccdr copy {plan}   goes on "
    "from where it was",
    Trouble.COPY_LATE: "ccdr copy {plan}   copies now; check that cron calls `ccdr run` here",
    Trouble.COPY_VANISHED: "find out who removed it there, and who has the right to; then ccdr copy {plan}   copies it "
    "again, where the plan's own repository has it",
    Trouble.COPY_DAMAGED: "ccdr test {plan} --from COPY   shows whether its newest snapshots are whole; then read "
    "docs/how-to/second-copy.md, A damaged copy",
    Trouble.COPY_TEST_FAILED: "docs/how-to/second-copy.md, A damaged copy, tells a bad copy from a bad backup; then "
    "ccdr test {plan} --from COPY   tests it again",
    Trouble.COPY_UNTESTED: "ccdr doctor {plan}; then ccdr test {plan} --from COPY   restores from there",
    Trouble.COPY_UPKEEP: "ccdr doctor {plan}; then ccdr upkeep {plan} --from COPY   does it now",
    Trouble.FETCH_LIMIT: "test less often, or smaller snapshots; or raise `fetch_per_month` in the `limits:` of {plan}",
    Trouble.PAUSED: "ccdr pause {plan} --end   when it is to go on before that; it ends by itself",
    Trouble.ATTESTATION_STALE: "ccdr attest --list   shows it; have it attested anew: docs/how-to/attest.md",
    Trouble.ATTESTATION_ENDS: "ccdr attest --list   shows it; have it attested anew before then: docs/how-to/attest.md",
    Trouble.INCIDENT_OVERDUE: "ccdr incident list {plan}   shows what is overdue; file it, then record that: "
    "docs/how-to/incidents.md",
    Trouble.INCIDENT_DUE: "ccdr incident list {plan}   shows what is due; ccdr incident draft   writes a draft: "
    "docs/how-to/incidents.md",
    Trouble.DEVIATION_OVERDUE: "ccdr deviation list {plan}   shows what is overdue, and who answers for it; "
    "docs/how-to/deviations.md",
    Trouble.DUTIES: "check the crontab (or timers) of this host; `ccdr run` without --only does all of the work",
    Trouble.UNTOLD: "ccdr notify test {plan}   tries every address",
}


# After a test that failed, where no other snapshot may be good.
_ALONE = "ccdr backup {plan} --asset {asset}   takes a new one: there is no other snapshot that may be good"
_MEND = "docs/how-to/recover.md, A damaged repository, says how to repair it; another backup alone does not repair it"
NO_OLDER = "there is no older snapshot that may be good: "
# The advice of whoever finds a backup bad; to back up again is in what stands for it where there is no older one.
_TAKE_AN_OLDER = re.compile(r"restore an older snapshot( meanwhile)?(, and back up again)?")


def where_it_can_be_done(step: str, *, backs_up: bool) -> str:
    """The same on a host that takes no backups, nor could: it has no sources, and no credentials for them."""
    if backs_up or "ccdr backup" not in step:
        return step
    first, sign, then = step.partition(NO_OLDER)
    there = "on the host that backs it up"
    return f"{first}{sign}{there}, {then}" if sign else f"{there}: {step}"


def no_older(plan: str, asset: str) -> str:
    return f"{NO_OLDER}`ccdr backup {plan} --asset {asset}` takes a new one"


def without_an_older(hint: str, plan: str, asset: str, *, damaged: bool = False) -> str:
    """The hint of whoever found a backup bad, and could not know that there is no older one. In a `damaged` repository
    another backup would stand on what is damaged: restic stores nothing that is there already."""
    instead = f"{NO_OLDER}{_MEND}" if damaged else no_older(plan, asset)
    return _TAKE_AN_OLDER.sub(lambda _: instead, hint)


# A test of the newest snapshot has met the damage: another one would, too, until it is mended.
_MEND_FIRST = (
    "docs/how-to/recover.md, A damaged repository, says how to repair it; then ccdr test {plan}{of_asset}   shows "
    "whether it is whole"
)
_WHO = "find out who removed it, and who has the right to: docs/how-to/recover.md, A snapshot that vanished"


# What ships the log says why it does not: the same command would say the same.
_SHIP_AGAIN = (
    "ccdr doctor {plan}   on its host looks for the cause; then ccdr ship {plan} --asset {asset}; if the source is "
    "gone, read "
    "docs/how-to/ship-logs.md, Restoring to a point"
)


def ship_again(plan: str, asset: str) -> str:
    return _SHIP_AGAIN.format(plan=plan, asset=asset)


def mend_first(plan: str, asset: str) -> str:
    return _MEND_FIRST.format(plan=plan, of_asset=f" --asset {asset}")


def by_a_copy(plan: str, asset: str, copies: Sequence[str]) -> str | None:
    """What leads on where the plan's own repository is away, and it has copies; else `next_step` does."""
    away = next_step(Trouble.REPOSITORY_AWAY, plan, asset)
    there = "; ".join(f"ccdr snapshots {plan} --from {name}   lists what the copy {name} holds" for name in copies)
    return f"{away}; if it is lost: {there}" if copies else None


def after_a_crash(plan: str, asset: str, left: str) -> str:
    """What leads on from RESTORE_CRASHED, where it is known what to look for."""
    what = f"remove {left}, if it is still there, and do not use it"
    return f"{what}; then ccdr restore {plan} --asset {asset} --to …   starts again"


def after_coming_apart(plan: str, asset: str, when: str) -> str:
    """What leads on from TEST_FAILED, where the recovery of `when` brought two stores back apart."""
    return (
        f'ccdr ack TEST_FAILED {plan} --asset {asset} --until 14d --why "…"   once somebody has looked at which (`ccdr '
        f"status {plan}` names the file): the recovery of {when} brought its stores back apart, and no backup mends "
        "that; docs/how-to/recover.md, Stores that came back apart"
    )


def after_a_recovery(plan: str) -> str:
    """What leads on from SOURCE_AWAY, where the plan was recovered just now: it is not dead once more."""
    return (
        f"start the new servers (`ccdr recover check {plan} --opened` says which do not answer), or write their new "
        "addresses into `connection:`"
    )


class Missing(IntEnum):
    """What of a snapshot that vanished is made up for."""

    NOTHING = 0
    STORED = 1  # there is a newer one
    SHOWN = 2  # and one has passed a test


def after_vanishing(plan: str, asset: str, made_up: Missing, *, retained: bool) -> str:
    """What leads on from SNAPSHOT_VANISHED; `retained`: by a retention, which would let it go once."""
    test = f"ccdr test {plan} --asset {asset}   shows whether the newest snapshot can be restored; {_WHO}"
    if made_up is Missing.NOTHING:
        return f"ccdr backup {plan} --asset {asset}   takes a new one; then {test}"
    if made_up is Missing.STORED:
        return test
    itself = "; this trouble ends when retention would have removed the snapshot" if retained else ""
    return f'{_WHO}; ccdr ack SNAPSHOT_VANISHED {plan} --asset {asset} --until 30d --why "…"   once you know{itself}'


def next_step(trouble: Trouble, plan: str, asset: str | None, *, alone: bool = False) -> str | None:
    """`alone`: the asset has no other snapshot than the one that it is about."""
    step = _ALONE if alone and trouble is Trouble.TEST_FAILED else _NEXT.get(trouble)
    of_asset = f" --asset {asset}" if asset else ""
    return step and step.format(plan=plan, asset=asset or "ASSET", of_asset=of_asset)
