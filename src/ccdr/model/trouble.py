"""Ways in which something is not as the plan wants it: one row each, which everything else asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Literal

from ccdr.model.errors import Exit
from ccdr.model.values import Verb, rfc3339


class Level(IntEnum):
    """How bad something is for whoever needs the service back; the greater the worse."""

    FINE = 0
    NOTE = 1  # something is not as the plan wants, and the service can be brought back
    NEAR = 2  # it can be brought back, but not where its disk or its machine is lost
    LATE = 3  # it can be brought back, and not within its objectives
    UNPROVEN = 4  # nobody has shown that it can
    LOST = 5  # it cannot


class Ending(StrEnum):
    """How one ends that nobody may acknowledge for a while."""

    NEVER = "never"  # only by being mended
    TAMPERED = "tampered"  # so too; evidence that was changed is nothing to get used to
    REVIEW = "review"  # by a record of its own (a review, what was filed), and by nothing else
    PASSING = "passing"  # told once, and over: nothing of it stands


@dataclass(frozen=True)
class NoAck:
    """Why nobody acknowledges it, as `ccdr ack` says it behind the code; and what to do in its place."""

    end: Ending
    why: str
    hint: str


Severity = Literal["critical", "major", "minor"]  # of a deviation, the worst first


@dataclass(frozen=True)
class Row:
    """All that is known of a trouble by its code. Other codes are named here by their names."""

    code: str  # as state files write it
    heading: str  # in a message's subject
    means: str  # and until when: for the reference, in Markdown
    step: str | None = None  # what to do next: {plan}, {asset} are filled in, {of_asset} where it is about one asset
    level: Level = Level.NOTE
    jitter: float = 1.0  # by which factor its values may grow, and it is no worse
    causes: tuple[str, ...] = ()  # what it may only follow from, at the same asset: the first of these that there is
    replaced_by: tuple[str, ...] = ()  # where one of these stands, it is not "fixed" though it is over
    no_ack: NoAck | None = None  # somebody may acknowledge it for a while, unless this says why not
    # Of a command that shows it, unless it is acknowledged: a finding; 3 where nobody can tell here (no finding, and no
    # proof either); 0 where another host answers for it, somebody has decided it for a while, or it will end: told.
    exit: Exit = Exit.FINDING
    severity: Severity | None = None  # where it is a deviation, and unless its plan says otherwise
    acceptable: bool = True  # may somebody accept it as a risk?
    ended_by: Verb | None = None  # what ends it where it goes well: who took note of it has not seen the next one
    run_fails: bool = True  # while it is open, has a run not gone well, whatever was due in it?
    at_copy: str | None = None  # what it is called where a plan's own repository has it, and a copy


_TAMPERED = NoAck(
    Ending.TAMPERED,
    "cannot be acknowledged: it may be that the evidence was changed",
    "`ccdr ledger verify` says what is wrong; keep the state directory, and find out who wrote to it",
)
# A restore test that finds nothing: whatever else it says is worth nothing until that is mended.
_BLIND = NoAck(
    Ending.NEVER,
    "cannot be acknowledged: its restore tests have passed what was damaged on purpose",
    "mend its checks; `ccdr test PLAN --asset ASSET --negative-control` then shows that they find it",
)
_FILED = NoAck(
    Ending.REVIEW,
    "is not acknowledged: it is over once somebody has recorded that it was filed, or is not due",
    "`ccdr incident note ID --filed CLOCK --receipt FILE`, or --not-due CLOCK; docs/how-to/incidents.md",
)
_REVIEWED = "is not acknowledged: somebody reviews it, and answers for that"
_ERASURE_REVIEW = NoAck(
    Ending.REVIEW, _REVIEWED, '`ccdr erasure review PLAN --why "…"` does it, once somebody has looked'
)
_APPROVAL_REVIEW = NoAck(Ending.REVIEW, _REVIEWED, "`ccdr approval review PLAN` says what is to be signed")
_STATED_ANEW = NoAck(Ending.REVIEW, "is not acknowledged: somebody states it anew", "docs/how-to/approve.md")
_PASSING = NoAck(
    Ending.PASSING, "is nothing that stands: it is told once, and stays in reports", "`ccdr status` says what stands"
)

_NO_BACKUP = ("SOURCE_AWAY", "REPOSITORY_AWAY", "NOT_BEGUN", "BACKUP_FAILED")
_NO_TEST = ("REPOSITORY_AWAY", "NOT_BEGUN", "TEST_INCONCLUSIVE")
_FAILED_TESTS = ("TEST_FAILED", "LOG_FAILED", "NEWER_FAILED")


class Trouble(StrEnum):
    """Ways in which something is not as the plan wants it, the worst first. People are told once of each, and once
    when it is over."""

    row: Row

    def __new__(cls, row: Row) -> Trouble:
        made = str.__new__(cls, row.code)
        made._value_, made.row = row.code, row
        return made

    @property
    def causes(self) -> tuple[Trouble, ...]:
        return tuple(Trouble[name] for name in self.row.causes)

    @property
    def tampering(self) -> bool:
        """May it be that evidence was changed?"""
        return self.row.no_ack is not None and self.row.no_ack.end is Ending.TAMPERED

    LEDGER_BROKEN = Row(
        "ledger_broken",
        "ledger does NOT VERIFY",
        means="somebody changed a record, or nobody can read it; until all of it verifies again",
        step="ccdr ledger verify   lists all damage; keep the directory as evidence",
        no_ack=_TAMPERED,
        severity="critical",
        acceptable=False,
    )
    LEDGER_LOST = Row(
        "ledger_lost",
        "ledger LOST",
        means=(
            "the ledger is gone, and ccdr began a new one; until somebody has answered for it, or brought it back "
            "([Evidence](../explanation/evidence.md#a-ledger-that-is-lost))"
        ),
        step=(
            "ccdr ledger recover   brings it back from a repository, as a read-only copy; ccdr ack LEDGER_LOST --why "
            '"…"   records that it cannot come back'
        ),
        severity="critical",
        acceptable=False,
    )
    LEDGER_SPOILT = Row(
        "ledger_spoilt",
        "a line of the ledger was CHANGED",
        means=(
            "somebody changed a whole line of the ledger, the last one of its time, so that it is no record; until "
            "somebody has answered for it"
        ),
        step=(
            "keep a copy of the state directory as evidence, and find out who wrote there, or whether the disk is "
            'bad; ccdr ack LEDGER_SPOILT --why "…"   records that the line is lost'
        ),
        no_ack=_TAMPERED,
        severity="critical",
        acceptable=False,
    )
    LEDGER_CONTRADICTED = Row(
        "ledger_contradicted",
        "ledger does NOT match the snapshots",
        means=(
            "somebody cut the ledger off or rewrote it, or another one lies in its place: snapshots say so, or this "
            "host's state; until it agrees again"
        ),
        step=(
            "ccdr ledger verify --repository   lists every contradiction; keep the state directory as evidence; "
            "docs/explanation/evidence.md"
        ),
        no_ack=_TAMPERED,
        severity="critical",
        acceptable=False,
    )
    SUMMARY_WRONG = Row(
        "summary_wrong",
        "status did NOT match the ledger",
        means=(
            "somebody changed what is kept of the ledger and read in its place. ccdr makes it anew at once; over "
            "when the next look finds it true"
        ),
        step=(
            "find out who wrote to the state directory; ccdr run   builds the summary again from the ledger; until "
            "then, `ccdr status` reads the ledger itself"
        ),
        no_ack=_TAMPERED,
        severity="critical",
        acceptable=False,
    )
    ANCHOR_OVERDUE = Row(
        "anchor_overdue",
        "an anchor of the ledger is OVERDUE",
        means=(
            "an anchor of anchors.yaml holds no checkpoint of newer records, for longer than twice its `every` and "
            "an hour; no key signs the ledger though anchors are configured; or anchors.yaml is wrong. Until it "
            "holds one ([Checkpoints](../how-to/checkpoints.md))"
        ),
        step="ccdr ledger checkpoint   tries each anchor now, and says why not; docs/how-to/checkpoints.md",
        run_fails=False,
    )
    RECORDS_UNKNOWN = Row(
        "records_unknown",
        "records of ANOTHER ccdr",
        means=(
            "there are records of a version or a kind that this ccdr does not read; until this host runs one that does"
        ),
        step="install on this host the ccdr that wrote them, or a later one: docs/how-to/upgrade.md",
        level=Level.UNPROVEN,
        exit=Exit.NOT_CARRIED_OUT,
    )
    RECORDS_WRONG = Row(
        "records_wrong",
        "records that NO ccdr wrote",
        means="there are records that no ccdr can have written; ccdr takes nothing from them",
        step="ccdr ledger verify   lists all damage; keep the directory as evidence, and find out who wrote to it",
        level=Level.UNPROVEN,
        no_ack=_TAMPERED,
    )
    CATALOGUE_WRONG = Row(
        "catalogue_wrong",
        "the stored facts of a snapshot are NOT as recorded",
        means="what the state says of a snapshot is not what the ledger says",
        step=(
            "find out who changed it, then remove it from STATE/catalogue/{plan}/{asset}: the next restore test "
            "reads it from the repository again"
        ),
        level=Level.UNPROVEN,
        no_ack=_TAMPERED,
    )
    PLAN_FILES_GONE = Row(
        "plan_files_gone",
        "a recorded version of the plan is MISSING",
        means="the kept files of a recorded version of the plan are gone or changed",
        step=(
            "find out who removed them, and put them back from the repository, which holds each version: "
            "docs/explanation/evidence.md, A plan's files"
        ),
    )
    PLAN_GONE = Row(
        "plan_gone",
        "a plan's file is GONE",
        means=(
            "the ledger knows a plan that no file names any more: nothing backs it up or tests it here; until its file "
            "is back, or somebody has accepted that it is gone"
        ),
        step='put its file back, or ccdr ack PLAN_GONE --until 90d --why "…"   while it is to be gone',
        level=Level.UNPROVEN,
        run_fails=False,
    )
    PLAN_NOT_STORED = Row(
        "plan_not_stored",
        "the plan is NOT IN ITS REPOSITORY",
        means=(
            "the newest version of the plan and its restore tests is not in the plan's repository, so `ccdr "
            "bootstrap` would bring an older one back; until it was stored there"
        ),
        step="ccdr backup {plan}   stores the plan with the backup, and says why it could not",
        run_fails=False,
    )
    PLAN_ELSEWHERE = Row(
        "plan_elsewhere",
        "what is known of the plan is of ANOTHER REPOSITORY",
        means=(
            "the plan came from a repository (`ccdr bootstrap`), and the state directory knows a plan of that name "
            "in another one: its backups and tests are not this plan's; until the plan was stored in its own"
        ),
        step=(
            "name with --state DIR a state directory of this plan alone, or ccdr backup {plan}   begins in its own "
            "repository"
        ),
    )
    PLAN_UNAPPROVED = Row(
        "plan_unapproved",
        "the plan is NOT APPROVED",
        means=(
            "the plan has an `approval:` block, and nobody has approved this version of it; or an approved one had "
            "the block, and it was taken out. Backups and restore tests go on, and nothing is pruned; until somebody "
            "signs it ([Approve](../how-to/approve.md))"
        ),
        step="ccdr plan approve {plan}   says what is to be signed, and how; docs/how-to/approve.md",
        run_fails=False,
    )
    PLAN_REVIEW = Row(
        "plan_review",
        "the plan's review is OVERDUE",
        means="the day has passed on which the approved plan was to be looked at again; until somebody signs it anew",
        step=(
            "read the plan again, change what is not so any more, then ccdr plan approve {plan}   has it signed; "
            "docs/how-to/approve.md"
        ),
        run_fails=False,
    )
    ACCESS_BROKEN = Row(
        "access_broken",
        "a credential may do MORE than its role",
        means=(
            "when the roles' credentials were last tried at the store, one of them could do more than its role; "
            "until `ccdr access test` finds that none can ([Access](../how-to/access.md))"
        ),
        step=(
            "attach to each role's user the policy that `ccdr access policies {plan}` prints, then ccdr access test "
            "{plan}; docs/how-to/access.md"
        ),
        run_fails=False,
    )
    ACCESS_REVIEW = Row(
        "access_review",
        "the review of access is OVERDUE",
        means=(
            "who has access was last looked at more than three months ago, or something was found that is to be "
            "changed; until somebody looks again, and records it "
            "([Access](../how-to/access.md#review-who-has-access))"
        ),
        step=(
            "ccdr access review {plan} --out FILE   asks the systems anew; look at it, then have it recorded: "
            "docs/how-to/access.md"
        ),
        run_fails=False,
    )
    ACCESS_REVIEW_ENDS = Row(
        "access_review_ends",
        "a review of access is due soon",
        means="a review of access is three months old within a month; no finding",
        step=(
            "ccdr access review {plan} --out FILE   asks the systems anew; look at it, then have it recorded before "
            "then: docs/how-to/access.md"
        ),
        exit=Exit.OK,
        run_fails=False,
    )
    BREAK_GLASS = Row(
        "break_glass",
        "BREAK-GLASS: done without approval",
        means=(
            "somebody did without an approval what needs one, and gave a reason; until somebody who may approve has "
            "reviewed it, and signed that ([Break glass](../how-to/approve.md#break-glass))"
        ),
        step=(
            "somebody who may approve looks at why, then ccdr approval review {plan}   has it signed; "
            "docs/how-to/approve.md"
        ),
        no_ack=_APPROVAL_REVIEW,
    )
    PLAN_WRONG = Row(
        "plan_wrong",
        "another plan's file is WRONG",
        means="the file of another plan is wrong, so that plan can tell nobody",
        step="ccdr plan check   lists its mistakes",
        no_ack=_PASSING,
    )
    CONTROL_PASSED = Row(
        "control_passed",
        "a DAMAGED copy PASSED its restore test",
        means=(
            "a copy that ccdr had damaged on purpose passed all checks ([Negative "
            "controls](../how-to/negative-controls.md)); until the same damage is found"
        ),
        step=(
            "add the check `identical` to its restore test; then ccdr test {plan} --asset {asset} "
            "--negative-control   does the same damage again, which must be found"
        ),
        level=Level.UNPROVEN,
        no_ack=_BLIND,
        severity="critical",
        acceptable=False,
    )
    TEST_FAILED = Row(
        "test_failed",
        "restore test FAILED",
        means="the newest conclusive restore test is FAIL; one that breaks after it does not take that back",
        step=(
            "ccdr backup {plan} --asset {asset} && ccdr test {plan} --asset {asset}   ends this trouble once it "
            "passes; ccdr snapshots {plan}   says which older ones came back"
        ),
        level=Level.LOST,
        severity="critical",
        ended_by=Verb.TEST,
    )
    LOG_FAILED = Row(
        "log_failed",
        "recovery by the log FAILED",
        means=(
            "the shipped log is bad, or led to something bad, whatever its base is; until a recovery that goes as "
            "far, or to `latest`, has passed"
        ),
        step=(
            "ccdr backup {plan} --asset {asset}   takes a new base; when more log is stored after it, ccdr test "
            "{plan} --asset {asset} --at latest"
        ),
        level=Level.LOST,
        severity="critical",
    )
    NEWER_FAILED = Row(
        "newer_failed",
        "newest backup FAILED, the one before is good",
        means="the newest restore test is FAIL for a newer backup that failed; what it restored passed",
        step="ccdr backup {plan} --asset {asset}   tries again now; the snapshot before it can be restored",
        level=Level.LATE,
        causes=(*_NO_BACKUP, "SNAPSHOT_VANISHED"),
        replaced_by=("TEST_FAILED",),
        severity="major",
        ended_by=Verb.TEST,
    )
    BACKUP_FAILED = Row(
        "backup_failed",
        "backup FAILED",
        means="a backup failed or crashed since the last good one",
        step="`ccdr doctor {plan}` looks for the cause; then `ccdr backup {plan} --asset {asset}`",
        causes=("REPOSITORY_AWAY",),
        severity="major",
        ended_by=Verb.BACKUP,
    )
    SOURCE_AWAY = Row(
        "source_away",
        "source GONE",
        means=(
            "no server answers where the source is to be, or has the database, or no file is there that can be read, "
            "says the newest backup, or what ships its log; until one is stored, or its log is again"
        ),
        step=(
            "ccdr runbook run {plan}   begins with whether it is really dead; if it is down for work, ccdr pause "
            '{plan} --for 4h --why "…"'
        ),
        ended_by=Verb.BACKUP,
    )
    REPOSITORY_AWAY = Row(
        "repository_away",
        "repository NOT THERE",
        means="the repository did not answer, or did not open, when ccdr last asked it",
        step="ccdr doctor {plan}   looks at the repository; then ccdr test {plan}",
        level=Level.LOST,
    )
    REPOSITORY_DAMAGED = Row(
        "repository_damaged",
        "repository DAMAGED",
        means="a check found damage; until a test has passed since (asset), or a check read that part clean (plan)",
        step=(
            "ccdr test {plan}{of_asset} --snapshot latest   shows whether the newest snapshot is whole; then read "
            "docs/how-to/recover.md, A damaged repository"
        ),
        level=Level.UNPROVEN,
        severity="critical",
        at_copy="COPY_DAMAGED",
    )
    REPOSITORY_NEAR = Row(
        "repository_near",
        "repository beside its source",
        means="all copies lie on the disk or machine of the source, as the plan wants it",
        step="set `repository: url` in the plan to a place on another machine: docs/reference/plan.md",
        level=Level.NEAR,
        run_fails=False,
    )
    SNAPSHOT_VANISHED = Row(
        "snapshot_vanished",
        "snapshot VANISHED",
        means=(
            "a snapshot is gone from the repository, and no retention removed it ([what to "
            "do](../how-to/recover.md#a-snapshot-that-vanished)); once a newer one has passed a test, only a note"
        ),
        step=(
            "find out who removed it, and who has the right to: docs/how-to/recover.md, A snapshot that vanished; "
            'ccdr ack SNAPSHOT_VANISHED {plan}{of_asset} --until 30d --why "…"   once you know'
        ),
        level=Level.LATE,
    )
    SNAPSHOT_SUSPECT = Row(
        "snapshot_suspect",
        "a snapshot looks ENCRYPTED or EMPTIED",
        means=(
            "a snapshot looks as if somebody had encrypted or emptied what it is of, or a canary has changed ([Leaps "
            "and canaries](../how-to/leaps-and-canaries.md)); neither it nor a newer one counts until somebody "
            "acknowledges it, which answers for it for good"
        ),
        step=(
            "look at the source, and at who was there: docs/how-to/leaps-and-canaries.md; ccdr ack SNAPSHOT_SUSPECT "
            '{plan}{of_asset} --until 30d --why "…"   if it is as it should be'
        ),
        level=Level.LATE,
    )
    OTHER_CLUSTER = Row(
        "other_cluster",
        "ANOTHER SERVER at the source's address",
        means=(
            "the newest backup is of another PostgreSQL server than those before it, by its system identifier "
            "([which server it is](postgres.md#which-server-it-is)); until somebody acknowledges it, which agrees to "
            "that server for good, or until the known one is backed up again"
        ),
        step=(
            "find out why another server answers at the source's address: a wrong address in the plan is mended "
            'there; ccdr ack OTHER_CLUSTER {plan}{of_asset} --until 30d --why "…"   if the plan means that server '
            "from now on"
        ),
        level=Level.UNPROVEN,
    )
    BREACH_RPO = Row(
        "breach_rpo",
        "RPO BREACHED",
        means="more of the newest data would be lost now than the objective allows",
        step="ccdr backup {plan} --asset {asset}   takes one now",
        level=Level.LATE,
        causes=(
            "SOURCE_AWAY",
            "REPOSITORY_AWAY",
            "REPOSITORY_DAMAGED",
            *_NO_BACKUP,
            "TEST_FAILED",
            "LOG_FAILED",
            "LOG_LATE",
            "LOG_GAP",
            "SNAPSHOT_SUSPECT",
            "SNAPSHOT_VANISHED",
            "BACKUP_LATE",
        ),
        severity="major",
    )
    BREACH_RTO = Row(
        "breach_rto",
        "RTO BREACHED",
        means="the newest conclusive restore test took longer than the objective allows",
        step=(
            "restore faster (more processors, memory, a nearer repository), or set a realistic RTO; then ccdr test "
            "{plan} --asset {asset}   measures it again, phase by phase"
        ),
        level=Level.LATE,
        jitter=1.1,
        severity="major",
    )
    RTO_UNMEASURED = Row(
        "rto_unmeasured",
        "RTO not measured",
        means="no test measured the RTO with the server settings that the plan asks for",
        step="ccdr test {plan} --asset {asset}   measures it",
        level=Level.LATE,
        run_fails=False,
    )
    NEVER_SUCCEEDED = Row(
        "never_succeeded",
        "never backed up",
        means=(
            "there is no good backup yet; until the first one. After the loss of a ledger that nobody has answered "
            "for, ccdr does not know of earlier ones: then nobody has shown that it can be brought back"
        ),
        step="ccdr backup {plan} --asset {asset}   takes the first one now",
        level=Level.LOST,
        causes=_NO_BACKUP,
    )
    NOT_BEGUN = Row(
        "not_begun",
        "could not start",
        means="what was due could not even begin: a secret or a file is missing; until it has begun",
        step="ccdr plan check {plan}; ccdr doctor {plan}",
        at_copy="COPY_UPKEEP",
    )
    BACKUP_LATE = Row(
        "backup_late",
        "backup OVERDUE",
        means="a backup came due twice and did not happen",
        step="ccdr run --dry-run   on its host shows what is due; check that cron calls `ccdr run` often enough",
        causes=_NO_BACKUP,
        replaced_by=("BACKUP_FAILED",),
        ended_by=Verb.BACKUP,
    )
    TEST_LATE = Row(
        "test_late",
        "restore test OVERDUE",
        means="a restore test came due twice and did not happen",
        step="ccdr run --dry-run   on its host shows what is due; check that cron calls `ccdr run` often enough",
        level=Level.UNPROVEN,
        causes=_NO_TEST,
        replaced_by=(*_FAILED_TESTS, "TEST_INCONCLUSIVE"),
        ended_by=Verb.TEST,
    )
    LOG_LATE = Row(
        "log_late",
        "log NOT SHIPPED",
        means="the plan wants the log shipped, and it is not",
        step=(
            "ccdr ship {plan} --asset {asset}   on its host shows why; if the source is gone, read "
            "docs/how-to/ship-logs.md, Restoring to a point"
        ),
        replaced_by=("LOG_LATE",),
    )
    LOG_GAP = Row(
        "log_gap",
        "log has a GAP",
        means="log is missing since the newest base; until there is a new base",
        step="ccdr backup {plan} --asset {asset}   takes a new base; the log continues from there",
    )
    FINDING = Row(
        "finding",
        "finding",
        means="what else `ccdr status` lists",
        step="ccdr status {plan}",
        run_fails=False,
    )
    GROUP_INCOMPLETE = Row(
        "group_incomplete",
        "group INCOMPLETE",
        means="assets that belong together have no snapshots that do",
        step="ccdr doctor {plan}   looks for the cause; then ccdr backup {plan}   captures the whole group",
        replaced_by=("BACKUP_FAILED",),
        run_fails=False,
    )
    NO_LONGER_CHECKED = Row(
        "no_longer_checked",
        "a check that FAILED is gone or weaker",
        means="a restore test failed, and only fewer or weaker checks have passed since",
        step="put the checks back into its restore test, then ccdr test {plan} --asset {asset}   tests it again",
        level=Level.UNPROVEN,
    )
    TEST_INCONCLUSIVE = Row(
        "test_inconclusive",
        "restore test INCONCLUSIVE",
        means="the newest restore test broke, and proves nothing",
        step="ccdr doctor {plan}; ccdr test {plan} --asset {asset}   once doctor finds nothing wrong",
        causes=("REPOSITORY_AWAY",),
        replaced_by=(*_FAILED_TESTS, "TEST_INCONCLUSIVE"),
        severity="major",
        run_fails=False,
        ended_by=Verb.TEST,
    )
    NEVER_TESTED = Row(
        "never_tested",
        "never tested",
        means="no restore test has been conclusive yet; until the first one",
        step="ccdr test {plan} --asset {asset}   tests it now; check that the plan has a `restore_test:` for it",
        level=Level.UNPROVEN,
        causes=(*_NO_TEST, "NEVER_SUCCEEDED"),
        replaced_by=(*_FAILED_TESTS, "TEST_INCONCLUSIVE"),
        run_fails=False,
    )
    CONTROL_INCONCLUSIVE = Row(
        "control_inconclusive",
        "damage test INCONCLUSIVE",
        means="the newest damage test broke, or the copy that nobody damaged did not pass; it shows nothing",
        step=(
            "ccdr test {plan} --asset {asset}   must pass first; then ccdr test {plan} --asset {asset} "
            "--negative-control"
        ),
        replaced_by=("CONTROL_INCONCLUSIVE", "CONTROL_PASSED"),
        severity="major",
        run_fails=False,
    )
    CONTROL_LATE = Row(
        "control_late",
        "damage test OVERDUE",
        means="a damage test came due twice and did not happen",
        step=(
            "ccdr test {plan} --asset {asset} --negative-control   does it now; check that cron calls `ccdr run` here"
        ),
        replaced_by=("CONTROL_INCONCLUSIVE", "CONTROL_PASSED"),
    )
    NOT_KNOWN_HERE = Row(
        "not_known_here",
        "not known here",
        means="another host answers for it: neither well nor a finding here",
        step="ccdr ledger collect DIR   adds that host's ledger, from a copy of its state directory",
        level=Level.UNPROVEN,
        exit=Exit.OK,
        run_fails=False,
    )
    RESTORE_CRASHED = Row(
        "restore_crashed",
        "restore CRASHED",
        means="somebody killed a restore for real, and it left no end; for a week, or until a later one has ended",
        step="remove what it left, and do not use it; then ccdr restore {plan} --asset {asset} --to …   starts again",
        run_fails=False,
    )
    ERASED_RETURNED = Row(
        "erased_returned",
        "erased people may be BACK",
        means=(
            "somebody broke the glass and had what was restored handed over, though people who were erased may be in "
            "it ([Erase a person](../how-to/erase.md#break-the-glass)); until `ccdr erasure review`"
        ),
        step=(
            "erase them where it stands: docs/how-to/erase.md, Break the glass; then ccdr erasure review "
            '{plan}{of_asset} --why "…"'
        ),
        no_ack=_ERASURE_REVIEW,
    )
    RUNBOOK_STANDS = Row(
        "runbook_stands",
        "runbook WAITS",
        means=(
            "a runbook was begun and has not ended, and nobody is at it: a step failed, waits for a person, or ccdr "
            "was stopped; until it goes on"
        ),
        step="ccdr runbook status {plan}   shows how far it is; ccdr runbook resume {plan}   goes on",
    )
    RECOVERY_UNFINISHED = Row(
        "recovery_unfinished",
        "recovery NOT FINISHED",
        means=(
            "`ccdr recover` was stopped or killed, or a step of it failed, and nobody has gone on; for a week, or "
            "until a later one has ended"
        ),
        step="ccdr recover --resume {plan}   goes on, and repeats nothing that is done",
        run_fails=False,
    )
    PRUNE_FAILED = Row(
        "prune_failed",
        "prune FAILED",
        means="the newest prune failed",
        step="ccdr doctor {plan}; ccdr upkeep {plan} --prune",
        replaced_by=("PRUNE_FAILED",),
        severity="minor",
        at_copy="COPY_UPKEEP",
        ended_by=Verb.PRUNE,
    )
    PRUNE_LATE = Row(
        "prune_late",
        "prune OVERDUE",
        means=(
            "a prune came due twice since the last try, or since it became this host's to do; only where the plan "
            "states `retention:`"
        ),
        step="ccdr upkeep {plan} --prune   does it now; check that cron calls `ccdr run` here",
        replaced_by=("PRUNE_FAILED",),
        at_copy="COPY_UPKEEP",
        ended_by=Verb.PRUNE,
    )
    CHECK_INCONCLUSIVE = Row(
        "check_inconclusive",
        "check INCONCLUSIVE",
        means="the newest check of the repository broke, and proves nothing",
        step="ccdr doctor {plan}; ccdr upkeep {plan} --check",
        replaced_by=("CHECK_INCONCLUSIVE", "REPOSITORY_DAMAGED"),
        severity="minor",
        run_fails=False,
        at_copy="COPY_UPKEEP",
        ended_by=Verb.CHECK,
    )
    CHECK_LATE = Row(
        "check_late",
        "check OVERDUE",
        means="a check of the repository came due twice since the last try, or since it became this host's to do",
        step="ccdr upkeep {plan} --check   does it now; check that cron calls `ccdr run` here",
        replaced_by=("CHECK_INCONCLUSIVE", "REPOSITORY_DAMAGED"),
        at_copy="COPY_UPKEEP",
        ended_by=Verb.CHECK,
    )
    PACKAGE_LATE = Row(
        "package_late",
        "the package for a group is LATE",
        means=(
            "the newest try at the package that the plan has written for a Unix group (`package:`) failed, or two "
            "nights passed without one; until one is written ([Verify a package](../how-to/verify-a-package.md))"
        ),
        step="ccdr plan check {plan}   says whether its directory and its group will do; a later run tries again",
        run_fails=False,
    )
    LOCK_SHORT = Row(
        "lock_short",
        "locks of backups end TOO SOON",
        means=(
            "what is in use in a bucket can be removed sooner than `lock: keep` of the plan wants, or ccdr could not "
            "push its Object Lock forward; until it did ([Keys and locks](../how-to/keys.md))"
        ),
        step=(
            "ccdr doctor {plan}   looks at the bucket; then ccdr lock extend {plan}   on the host that has its "
            "credential; docs/how-to/keys.md"
        ),
    )
    OBJECTS_OVERWRITTEN = Row(
        "objects_overwritten",
        "stored objects were OVERWRITTEN",
        means=(
            "an object of a repository has another version, with other contents: somebody overwrote it. The oldest "
            "version is locked ([what to do](../how-to/keys.md#somebody-wrote-over-it)); until there is one version "
            "again"
        ),
        step=(
            "find out who wrote there, and withdraw that credential; the oldest version is the true one: "
            "docs/how-to/keys.md, Somebody wrote over it"
        ),
    )
    ACCESS_UNUSUAL = Row(
        "access_unusual",
        "UNUSUAL ACCESS to backups",
        means=(
            "a host or a user did something for the plan, or stored a snapshot of it, for the first time; a key that "
            "was not there before opens its repository (one that a rotation put there is none); or its data was "
            "brought back outside of a pause, a runbook or an incident. Not in a plan's first week; until somebody "
            "acknowledges it, which answers for it for good"
        ),
        step=(
            "ccdr ledger show   says who and from where; find out whether they should have; ccdr ack ACCESS_UNUSUAL "
            '{plan} --until 30d --why "…"   once you know'
        ),
    )
    COPY_FAILED = Row(
        "copy_failed",
        "copying FAILED",
        means=(
            "the newest copying to one of the plan's `copies:` failed, crashed or could not start, or some of it "
            "could not be copied ([A second copy](../how-to/second-copy.md)); until one has gone well"
        ),
        step=(
            "ccdr doctor {plan}   looks at the copy's repository, too; then ccdr copy {plan}   goes on from where it "
            "was"
        ),
        replaced_by=("COPY_FAILED",),
        severity="major",
    )
    COPY_LATE = Row(
        "copy_late",
        "copying OVERDUE",
        means="copying came due twice since the last try, or since it became this host's to do",
        step="ccdr copy {plan}   copies now; check that cron calls `ccdr run` here",
        replaced_by=("COPY_FAILED",),
    )
    COPY_VANISHED = Row(
        "copy_vanished",
        "a snapshot VANISHED from a copy",
        means=(
            "when a copy was last filled, snapshots that had been there were gone, and no retention had removed "
            "them; until the next copying finds all that it had left"
        ),
        step=(
            "find out who removed it there, and who has the right to; then ccdr copy {plan}   copies it again, where "
            "the plan's own repository has it"
        ),
    )
    COPY_DAMAGED = Row(
        "copy_damaged",
        "a copy is DAMAGED",
        means="a check found some of a copy's data damaged; until the same part is read and found clean",
        step=(
            "ccdr test {plan} --from COPY   shows whether its newest snapshots are whole; then read "
            "docs/how-to/second-copy.md, A damaged copy"
        ),
        severity="major",
    )
    COPY_TEST_FAILED = Row(
        "copy_test_failed",
        "restore test of a copy FAILED",
        means="a restore test that fetched from a copy failed; until one from there has passed",
        step=(
            "docs/how-to/second-copy.md, A damaged copy, tells a bad copy from a bad backup; then ccdr test {plan} "
            "--from COPY   tests it again"
        ),
        severity="major",
    )
    COPY_UNTESTED = Row(
        "copy_untested",
        "a copy is not tested",
        means=(
            "an asset that a copy holds was never restored from there; or a restore test that fetched from there "
            "broke; or the asset had more than twice as many tests as `test_every:` says since it was last restored "
            "from there"
        ),
        step="ccdr doctor {plan}; then ccdr test {plan} --from COPY   restores from there",
        replaced_by=("COPY_TEST_FAILED",),
        run_fails=False,
    )
    COPY_UPKEEP = Row(
        "copy_upkeep",
        "a copy is not looked after",
        means="the newest prune or check of a copy failed or broke, or is overdue",
        step="ccdr doctor {plan}; then ccdr upkeep {plan} --from COPY   does it now",
        run_fails=False,
    )
    FETCH_LIMIT = Row(
        "fetch_limit",
        "restore tests fetched most of a month's limit",
        means=(
            "restore tests have fetched 80 % or more of `limits: {fetch_per_month: …}`; until the month is over "
            "(UTC). An acknowledgement from before the limit was reached ends when it is"
        ),
        step="test less often, or smaller snapshots; or raise `fetch_per_month` in the `limits:` of {plan}",
        run_fails=False,
    )
    PAUSED = Row(
        "paused",
        "PAUSED",
        means="somebody has paused the plan (`ccdr pause`): no finding, and what is due is let be until then",
        step="ccdr pause {plan} --end   when it is to go on before that; it ends by itself",
        exit=Exit.OK,
        run_fails=False,
    )
    DUTIES = Row(
        "duties",
        "other work than before",
        means=(
            "what this host answers for has changed ([Who tells what](../how-to/tell-people.md#who-tells-what)); "
            "told once"
        ),
        step="check the crontab (or timers) of this host; `ccdr run` without --only does all of the work",
        no_ack=_PASSING,
        run_fails=False,
    )
    STATEMENT_REFUSED = Row(
        "statement_refused",
        "a statement is NOBODY'S",
        means=(
            "a declaration, or a review of access, bears a signature that is not by the person whom it names, or not "
            "of its text, by the file of who may sign: it counts for nothing; until somebody states it anew, or their "
            "line is back in that file ([Approve](../how-to/approve.md#whose-a-statement-is))"
        ),
        step=(
            "ccdr ledger verify --signers FILE   names every such record: find out who wrote it; where who signed has "
            "left, put their line back, with valid-before: docs/how-to/approve.md"
        ),
        no_ack=_STATED_ANEW,
        run_fails=False,
    )
    ATTESTATION_STALE = Row(
        "attestation_stale",
        "a declaration is STALE",
        means=(
            "what somebody has declared held until a day that has passed; until it is declared anew, or ended "
            "([Attest](../how-to/attest.md))"
        ),
        step="ccdr attest --list   shows it; have it declared anew: docs/how-to/attest.md",
        run_fails=False,
    )
    ATTESTATION_ENDS = Row(
        "attestation_ends",
        "a declaration ends soon",
        means="a declaration ends within a month; no finding",
        step="ccdr attest --list   shows it; have it declared anew before then: docs/how-to/attest.md",
        exit=Exit.OK,
        run_fails=False,
    )
    INCIDENT_OVERDUE = Row(
        "incident_overdue",
        "a notification is OVERDUE",
        means=(
            "an incident has to be notified, the time for that has passed, and nobody has recorded that it was "
            "filed; until somebody does, or says that it is not due ([Incidents](../how-to/incidents.md))"
        ),
        step="ccdr incident list {plan}   shows what is overdue; file it, then record that: docs/how-to/incidents.md",
        no_ack=_FILED,
    )
    INCIDENT_DUE = Row(
        "incident_due",
        "a notification is due soon",
        means="an incident has to be notified within a quarter of the time that there is for it; no finding",
        step=(
            "ccdr incident list {plan}   shows what is due; ccdr incident draft   writes a draft: "
            "docs/how-to/incidents.md"
        ),
        exit=Exit.OK,
        run_fails=False,
    )
    DEVIATION_OVERDUE = Row(
        "deviation_overdue",
        "a finding is OVERDUE",
        means=(
            "something that went wrong, or that the plan promises no more, was to be over by a day, and that has "
            "passed; until a retest ends it, somebody gives it another day, or its risk is accepted "
            "([Deviations](../how-to/deviations.md))"
        ),
        step="ccdr deviation list {plan}   shows what is overdue, and who answers for it; docs/how-to/deviations.md",
        run_fails=False,
    )
    MISSED = Row(
        "missed",
        "MISSED",
        means="due times passed without a try; told once, and never over",
        no_ack=_PASSING,
        severity="major",
        run_fails=False,
    )
    UNTOLD = Row(
        "untold",
        "an address took no message",
        means="an address did not take a message ([When telling fails](../how-to/tell-people.md#when-telling-fails))",
        step="ccdr notify test {plan}   tries every address",
        no_ack=_PASSING,
        run_fails=False,
    )


FAILED_TESTS = frozenset(Trouble[name] for name in _FAILED_TESTS)
# Nor has a test anything to restore then: its failure says nothing of a backup.
NOTHING_TO_TEST = tuple(Trouble[name] for name in (*_NO_BACKUP, "NEVER_SUCCEEDED", "SNAPSHOT_VANISHED"))


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
    # How bad it is, the greater the worse: who acknowledges it has seen no more than that.
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
        return self.as_bad_as or self.trouble.row.level

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


def next_step(trouble: Trouble, plan: str, asset: str | None) -> str | None:
    step, of_asset = trouble.row.step, f" --asset {asset}" if asset else ""
    return step and step.format(plan=plan, asset=asset or "ASSET", of_asset=of_asset)
