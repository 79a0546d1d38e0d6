"""One row of the report's population: a run with its end, or one record that is none; and the words for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ccdr.evidence.mappings import mapping, moment_of, text, whole
from ccdr.evidence.pauses import PAUSED
from ccdr.evidence.verdicts import Record
from ccdr.model.values import PRIMARY, TOLD_BY

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

    `seq` and `since` are its first record's place and that record's time as it stands there, `end_seq` and `until` its
    last one's; `due` and `count` are those of what was missed; `body` is the end's record where it is told in full.
    """

    seq: int | float
    verb: str
    plan: str | None
    asset: str | None
    run: str | None
    host: str
    actor: str
    started: datetime
    since: str
    by: str = ""
    due: str = ""
    ended: datetime | None = None
    until: str | None = None
    end_seq: int | float | None = None
    outcome: str = CRASHED
    reason: str | None = None
    count: int = 1
    snapshot: str | None = None
    consistent: str | None = None
    selected: str | None = None
    bytes: int | None = None
    added: int | None = None
    seconds: float | None = None
    findings: int = 0
    body: Record | None = None
    left_out: tuple[str, ...] = ()  # of the asset, as the plan said: nothing of it comes back
    origin: Mapping[str, Any] | None = None  # of a ledger beside ours: which record of which
    end_origin: Mapping[str, Any] | None = None  # … and of the last one
    who: Record | None = None  # began it: as its first record has it
    tenant: str | None = None
    attempt: int | None = None
    copy: str | None = None  # of the data; and where that lies
    site: str | None = None
    proof: str | None = None  # of a test: how far it got
    restored: int | None = None  # bytes that were written for it

    @property
    def ledger(self) -> str | None:
        """Whose records they are, where that is not ours."""
        return str(self.origin["ledger"]) if self.origin else None

    @property
    def number(self) -> int:
        """Its first record's number in its own ledger."""
        return int(self.origin["seq"] if self.origin else self.seq)

    @property
    def place(self) -> str:
        """The same for people: `17@1a2b3c4d` where that ledger is not ours."""
        return f"{self.number}@{self.ledger[:8]}" if self.ledger else str(self.number)

    @property
    def end_number(self) -> int | None:
        """Its last one's."""
        if self.end_seq is None:
            return None
        return int(self.end_origin["seq"] if self.end_origin else self.end_seq)

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


def read_again(damaged: RecordedRun, clean: RecordedRun) -> bool:
    """Was what one check found damaged read by another, which found it clean?"""
    bad, good = damaged.body or {}, clean.body or {}
    if (bad.get("part"), bad.get("parts")) == (good.get("part"), good.get("parts")):
        return True
    full = moment_of(good.get("full_since"))  # since then all of it was read at least once
    return full is not None and full >= damaged.started


def newer_run(held: dict[str, RecordedRun], run: RecordedRun) -> None:
    """By the ledger's own order: crashes are concluded last, whenever they began."""
    before = held.get(run.verb)
    if before is None or before.seq < run.seq:
        held[run.verb] = run


def begun_as(verb: str, record: Record, time: datetime) -> RecordedRun:
    trigger = record.get("trigger")
    by, due = (trigger.get("by"), trigger.get("due")) if type(trigger) is dict else (None, None)
    return RecordedRun(
        record["seq"],
        verb,
        record["plan"],
        record["asset"],
        record["run"],
        record["host"],
        record["actor"],
        time,
        record["time"],
        text(by) or "",
        text(due) or "",
        origin=record.get(TOLD_BY),
        who=record.get("who"),
        tenant=text(record.get("tenant")),
        attempt=whole(record.get("attempt")),
        copy=text(record.get("copy")),
    )


def sum_of(seconds: Iterable[Any]) -> float | None:
    try:
        total = sum(seconds)
    except TypeError:  # phases that are no numbers
        return None
    return float(total) if total < 1e12 else None


def who_began(who: Record | None) -> tuple[int | None, int | None, str | None, str | None, str | None]:
    """User id, login user id, terminal, what has started it (these by the kernel, and by names), and who is claimed to
    have called sudo."""
    fields = mapping(who)
    names = (
        text(fields.get("terminal")),
        text(fields.get("started_by")),
        text(mapping(fields.get("claims")).get("sudo_user")),
    )
    return whole(fields.get("uid")), whole(fields.get("login_uid")), *names
