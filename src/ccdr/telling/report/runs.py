"""One row of the report's population: a run with its end, or one record that is none; and the words for each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from sys import intern

from ccdr.evidence.pauses import PAUSED
from ccdr.evidence.records import (
    BackupEnd,
    CheckEnd,
    CopyEnd,
    NegativeControlEnd,
    PruneEnd,
    Record,
    RecoverEnd,
    RestoreEnd,
    RunbookEnd,
    TestEnd,
)
from ccdr.evidence.records.restores import RestoredSnapshot, TestedSnapshot
from ccdr.evidence.records.values import RecordedTrigger, RecordedUser, RecordOrigin
from ccdr.model.values import PRIMARY, RULES

# As the commands are called.
BACKUP, TEST, CONTROL, PRUNE, CHECK = "backup", "test", "negative_control", "prune", "check"
COPY, RESTORE, RECOVER, RUNBOOK = "copy", "restore", "recover", "runbook"
VERBS = (BACKUP, TEST, CONTROL, PRUNE, CHECK, COPY, RESTORE, RECOVER, RUNBOOK)  # in the order in which they are told
GOOD = frozenset(("STORED", "PASS", "CAUGHT", "DONE", "CLEAN", "RESTORED"))
CRASHED, RUNNING, MISSED, SKIPPED, NOTED = "CRASHED", "RUNNING", "MISSED", "SKIPPED", "NOTED"
TEST_KIND = "restore_test"  # as the ledger's records call it
NO_RUN = frozenset((MISSED, SKIPPED, NOTED))
RunKey = tuple[str, str | None, str | None, str | None]  # verb, plan, asset and run
WHOLE = frozenset(
    (TEST, CONTROL, PRUNE, CHECK, COPY, RESTORE, RECOVER, RUNBOOK)
)  # verbs whose records are told in full


@dataclass(slots=True)
class RecordedRun:
    """One row of the population: a run with its end, if it had one, or a single record such as `missed`.

    `seq` is its first record's place among all that are read, `number` its number in its own ledger, and `since` its
    time as it stands there; `end_number` and `until` are its last one's; `due` and `count` are those of what was
    missed; `body` is the last record of one of the period, where it is told in full.
    """

    seq: float
    number: int
    verb: str
    plan: str | None
    asset: str | None
    run: str | None
    host: str
    actor: str
    started: datetime
    since: datetime
    by: str = ""
    due: datetime | None = None
    ended: datetime | None = None
    until: datetime | None = None
    end_number: int | None = None
    outcome: str = CRASHED
    reason: str | None = None
    count: int = 1
    snapshot: str | None = None
    consistent: datetime | None = None
    rule: str | None = None  # by which a test's snapshot was to be chosen, or its id
    selected: str | None = None
    bytes: int | None = None
    added: int | None = None
    seconds: float | None = None
    findings: int = 0
    body: Record | None = None  # never in the index, which knows no period
    left_out: tuple[str, ...] = ()  # of the asset, as the plan said: nothing of it comes back
    origin: RecordOrigin | None = None  # the ledger beside ours that tells of it
    who: RecordedUser | None = None  # began it: as its first record has it
    tenant: str | None = None
    attempt: int | None = None
    copy: str | None = None  # of the data; and where that lies
    site: str | None = None
    proof: str | None = None  # of a test: how far it got
    restored: int | None = None  # bytes that were written for it

    @property
    def ledger(self) -> str | None:
        """Whose records they are, where that is not ours."""
        return self.origin.ledger if self.origin else None

    @property
    def place(self) -> str:
        """Its number for people: `17@1a2b3c4d` where that ledger is not ours."""
        return f"{self.number}@{self.ledger[:8]}" if self.ledger else str(self.number)

    @property
    def at_copy(self) -> bool:
        """Is it about one of the plan's copies, and not about its own repository?"""
        return self.copy not in (None, PRIMARY)

    @property
    def let_be(self) -> bool:
        """It came due while the plan was paused: nothing was begun."""
        return self.outcome == SKIPPED and self.reason == PAUSED

    @property
    def good(self) -> bool:
        return self.outcome in GOOD


Ended = (
    BackupEnd | TestEnd | NegativeControlEnd | RestoreEnd | RecoverEnd | RunbookEnd | PruneEnd | CheckEnd | CopyEnd
)  # a run's last record


def read_again(damaged: RecordedRun, clean: RecordedRun) -> bool:
    """Was what one check found damaged read by another, which found it clean?"""
    bad, good = damaged.body, clean.body
    if not isinstance(bad, CheckEnd) or not isinstance(good, CheckEnd):
        return True
    whole = good.full_since is not None and good.full_since >= damaged.started  # since then all was read at least once
    return whole or (bad.part, bad.parts) == (good.part, good.parts)


def newer_run(held: dict[str, RecordedRun], run: RecordedRun) -> None:
    """By the ledger's own order: crashes are concluded last, whenever they began."""
    before = held.get(run.verb)
    if before is None or before.seq < run.seq:
        held[run.verb] = run


@lru_cache(100)
def verb_of(kind: str) -> str:
    """As the commands call what records of this kind are about."""
    verb = kind.rpartition(".")[0]
    return TEST if verb == TEST_KIND else verb


def key_of(record: Record) -> RunKey:
    return verb_of(record.kind), record.plan, record.asset, record.run


def begun_as(verb: str, record: Record, time: datetime) -> RecordedRun:
    trigger: RecordedTrigger | None = getattr(record, "trigger", None)
    return RecordedRun(
        record.order,
        record.seq,
        verb,
        record.plan and intern(record.plan),  # names are kept once, for millions of records
        record.asset and intern(record.asset),
        record.run,
        intern(record.host),
        intern(record.actor),
        time,
        record.time,
        trigger.by if trigger else "",
        trigger.due if trigger else None,
        rule=getattr(record, "selection", None),
        origin=record.origin,
        who=getattr(record, "who", None),
        tenant=getattr(record, "tenant", None),
        attempt=getattr(record, "attempt", None),
        copy=getattr(record, "copy", None),
    )


def take_end(run: RecordedRun, record: Ended, time: datetime) -> None:
    """What its last record says of it."""
    run.ended, run.until, run.end_number = time, record.time, record.seq
    run.outcome, run.seconds, run.reason = _outcome(record), _seconds(record), record.reason
    run.tenant, run.attempt, run.copy, run.site = record.tenant, record.attempt, record.copy, record.site
    if not isinstance(record, NegativeControlEnd | RunbookEnd):
        run.findings = len(record.findings)
    if isinstance(record, BackupEnd | TestEnd | NegativeControlEnd | RestoreEnd):
        _take_snapshot(run, record)
    if isinstance(record, BackupEnd | TestEnd):
        run.left_out = tuple(record.left_out)
    if isinstance(record, TestEnd | NegativeControlEnd):
        run.restored = record.bytes_restored
    if isinstance(record, BackupEnd):
        run.added = record.added_bytes
    elif isinstance(record, TestEnd):
        run.proof = record.proof


def _take_snapshot(run: RecordedRun, record: BackupEnd | TestEnd | NegativeControlEnd | RestoreEnd) -> None:
    """How it was chosen; where there was none, by what rule one was to be."""
    of = record.snapshot
    if of is None:
        run.selected = run.rule if run.rule in RULES else None
        return
    run.snapshot, run.consistent, run.bytes = of.id, of.consistent_point, of.bytes
    if isinstance(of, TestedSnapshot | RestoredSnapshot):
        run.selected = of.selected


def _outcome(record: Ended) -> str:
    match record:
        case TestEnd():
            return record.verdict
        case RecoverEnd():  # what was stopped, or failed in a part of it, is one that failed
            return "DONE" if record.state == "done" else "FAILED"
    return record.result


def _seconds(record: Ended) -> float | None:
    match record:
        case BackupEnd() | TestEnd() | NegativeControlEnd() | RestoreEnd():
            return float(sum(record.phases.values())) if record.phases else None
        case RecoverEnd():
            return record.rto.machine_s or None
        case RunbookEnd():
            return record.elapsed_s or None
        case CheckEnd() | CopyEnd():
            return record.seconds or None
    return None


def who_began(who: RecordedUser | None) -> tuple[int | None, int | None, str | None, str | None, str | None]:
    """User id, login user id, terminal, what has started it (these by the kernel, and by names), and who is claimed to
    have called sudo."""
    if who is None:
        return None, None, None, None, None
    return who.uid, who.login_uid, who.terminal, who.started_by, who.claims.sudo_user
