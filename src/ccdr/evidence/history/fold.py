"""What the ledger says of each asset so far: one pass over the records, carried on from where the last one ended. A
record that has not what the fold goes by tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from ccdr.evidence.deviations import derive
from ccdr.evidence.history.accesses import ACCESSES, take_access, take_strangers
from ccdr.evidence.history.asset_history import AssetHistory, Histories, history_at, place_of
from ccdr.evidence.history.folded import damage
from ccdr.evidence.history.kinds import (
    ACCESS_REVIEWED,
    ACCESS_TESTED,
    ANSWERED,
    BACKUP_END,
    CHECKED,
    COMPARED,
    CONTROLLED,
    COPIED,
    DUTIES,
    ERASURES,
    EXAMINED,
    GROUP,
    KEY_ADDED,
    KEY_REMOVED,
    KEY_SWITCHED,
    LOCK_EXTENDED,
    LOGS,
    MADE_BY_CCDR,
    MISSED,
    NOT_BEGUN,
    PACKAGED,
    PRUNED,
    RECOVER_END,
    RECOVER_START,
    RECOVERED,
    RESTORE_END,
    RESTORE_START,
    RUNBOOK_START,
    RUNBOOKS,
    START_OF,
    STARTS,
    STATED,
    TEST_END,
    TEST_START,
)
from ccdr.evidence.incidents import KINDS as INCIDENTS
from ccdr.evidence.records import (
    LedgerCompared,
    LedgerRecovered,
    PruneEnd,
    Record,
    RecoverEnd,
    RecoverStart,
    RestoreEnd,
    RestoreStart,
    StatementRecord,
    TestEnd,
    Unread,
)
from ccdr.evidence.records.statements import LostRecords, kind_of
from ccdr.evidence.records.values import WRONG, RecordOrigin, Start
from ccdr.evidence.statements import GLASS_BROKEN
from ccdr.evidence.verdicts import does_not_open
from ccdr.plans.facts import CheckFacts
from ccdr.plans.versions import PLAN_STORED, PLAN_VERSION

FORMAT = 72  # of the summary: raised when the fold comes to something else, or keeps it otherwise
UNENDED = timedelta(days=3)  # before another ledger's last record: what began then may have ended after it

Beside = list[list[object]]  # ledgers that are read with ours, as `Population.key` has them
_WANTED = STARTS | {
    BACKUP_END, TEST_END, CONTROLLED, RESTORE_END, MISSED, NOT_BEGUN, PRUNED, CHECKED, DUTIES, GROUP, PLAN_VERSION,
    RECOVER_END, RECOVERED, COMPARED, LOGS, PLAN_STORED, COPIED, PACKAGED,
    *STATED, GLASS_BROKEN, EXAMINED, ACCESS_TESTED, KEY_ADDED, KEY_REMOVED, KEY_SWITCHED, MADE_BY_CCDR, LOCK_EXTENDED,
    *ERASURES, *RUNBOOKS, *INCIDENTS,
}  # fmt: skip
_OF_THE_LEDGER = frozenset((RECOVERED, ANSWERED, COMPARED))
_FOR_REAL = frozenset((RECOVER_START, RUNBOOK_START, RESTORE_START, RESTORE_END))
# Of which only this host's own count here.
_OWN = frozenset((
    DUTIES, EXAMINED, PLAN_VERSION, PLAN_STORED, PACKAGED, *STATED - {ACCESS_REVIEWED}, GLASS_BROKEN,
    LOGS, MADE_BY_CCDR, *ERASURES, *RUNBOOKS, *INCIDENTS,
))  # fmt: skip


def _checks_of(plan: AssetHistory | None, test: Record) -> tuple[CheckFacts, ...] | None:
    """What the plan's version in force checks of an asset, as its record has it: on the host of the test."""
    if plan is None or test.asset is None:
        return None
    if test.origin is not None and test.foreign:
        return plan.others[test.origin.ledger].checks.get(test.asset)
    return plan.facts.checks_of(test.asset) if plan.facts else None


def read_history(records: Iterable[Record], known: Histories | None = None) -> Histories:
    """By (plan, asset); a plan's upkeep by (plan, None). Goes on from `known`, which it changes."""
    history: Histories = {} if known is None else known
    for record in records:
        take_record(history, record)
    return history


def take_record(history: Histories, record: Record) -> None:
    """Take one more, and forget what retention removed by it."""
    if follow(history, record) and isinstance(record, PruneEnd):
        for gone in record.removed:
            history_at(history, (place_of(record), gone.asset)).forget(gone.id, ours=not record.foreign)


def follow(history: Histories, record: Record) -> bool:
    """Take one more record; was there anything to be taken from it? Nothing of what retention removed is forgotten for
    it. One that cannot be counted on is counted, and passed over: it must not change what the others say."""
    kind = kind_of(record)
    starts, was = kind in derive.OF_STARTS, None
    if kind in derive.WANTED and not starts:
        was = derive.before(history, record)
    if not _follow(history, record, kind):
        return False
    if was is not None:
        derive.take(history, record, was)
    elif starts and isinstance(record, Start):
        derive.take_start(history, record)
    return True


def _follow(history: Histories, record: Record, kind: str) -> bool:
    if isinstance(record, Unread):
        _pass_over(history, record.why, record)
        return False
    if kind not in _WANTED:
        return True
    if kind in _OF_THE_LEDGER:
        _take_of_ledger(history, record)
        return True
    if kind in START_OF and _strays(history, record):
        _pass_over(history, WRONG, record)
        return False
    plan, place = record.plan, place_of(record)
    if plan is not None and kind in ACCESSES:
        take_access(history_at(history, (plan, None)), record)
    if record.origin is not None and record.foreign:
        if plan is not None:
            history_at(history, (plan, None)).take_another_host(record, record.origin)
        if kind in _OWN:
            return True
    of_test = kind in (TEST_START, TEST_END)
    checks = _checks_of(history.get((plan, None)), record) if of_test else None
    history_at(history, (place, record.asset)).take(record, checks)
    if kind in _FOR_REAL and not record.foreign:
        _take_real(history, record)
    if isinstance(record, TestEnd):
        _take_capture(history, record)
        if place != plan and record.verdict in ("PASS", "FAIL"):
            history[place, record.asset].tests_then = history_at(history, (plan, record.asset)).tests
    elif isinstance(record, RecoverEnd) and not record.foreign:
        _take_recovered(history, record)
    if does_not_open(record):
        history_at(history, (place, None)).last_damage = damage(record, closes=True)
    return True


def _take_of_ledger(history: Histories, record: Record) -> None:
    """What the ledger tells of itself."""
    match record:
        case LedgerCompared():
            _take_vanished(history, record)
        case LedgerRecovered():
            if record.spoilt:
                history_at(history, (None, None)).spoilt.append((record.of_ledger, record.seq))
        case StatementRecord(about=LostRecords() as about):
            if (host := history.get((None, None))) is not None:
                answered = {(record.of_ledger, seq) for seq in about.spoilt}
                host.spoilt = [one for one in host.spoilt if one not in answered]


def _take_capture(history: Histories, test: TestEnd) -> None:
    """A snapshot that came as it was stored, and failed, was captured badly: that is so at each copy of it, and each
    must show otherwise for itself. That a repository could not give it back says nothing of another one."""
    tested, plan, asset = test.snapshot, test.plan, test.asset
    failed = tested is not None and tested.verdict == "FAIL"
    if tested is not None and (tested.verdict == "PASS" or (failed and not test.damaged)):
        history_at(history, (plan, asset)).take_capture(tested.id, bad=failed)
        for (name, of), place in history.items() if failed else ():
            if of == asset and name is not None and name.partition("@")[0] == plan:
                place.proven.pop(tested.id, None)
                place.proven[tested.id] = "FAIL"


def _take_recovered(history: Histories, record: RecoverEnd) -> None:
    """What was brought back onto a server, or as one, is another source from now on."""
    for one in record.assets:
        if one.state == "done" and one.target.kind in ("server", "new_server"):
            history_at(history, (record.plan, one.asset)).renew(record.time)


def _take_real(history: Histories, record: Record) -> None:
    """What brings data back for real belongs to an incident of its plan; each asset's restore within a recovery, or
    within a runbook, to that one's. A restore that was refused has done nothing."""
    of_plan = history_at(history, (record.plan, None))
    match record:
        case RestoreEnd():
            if record.result == "REFUSED":
                of_plan.nothing_done(record.run)
        case RecoverStart(resumes=str(run)):
            of_plan.nothing_done(run)  # it goes on as this one
            of_plan.take_recovery(record)
        case RestoreStart() if any(
            at.recovering for at in (of_plan, history.get((place_of(record), None))) if at is not None
        ):
            pass
        case Start():
            of_plan.take_recovery(record)


def _take_vanished(history: Histories, record: LedgerCompared) -> None:
    """What was found gone of each asset that was looked for, by this host."""
    if record.foreign:
        return
    own = history_at(history, (record.plan, None))
    own.compared = record
    take_strangers(own, record)
    for asset, ids in (record.vanished or {}).items():
        of = history_at(history, (record.plan, asset))
        of.vanished = {one: of.vanished.get(one, record.time) for one in ids}


def _pass_over(history: Histories, why: str, record: Record) -> None:
    place, run = history_at(history, (place_of(record), record.asset)), str(record.run)
    place.pass_over(why, record.seq)
    if run in place.open_runs and record.kind == place.open_runs[run].kind.replace(".start", ".end"):
        del place.open_runs[run]  # it has ended, whatever came of it


def _strays(history: Histories, record: Record) -> bool:
    """Does it end a run that began as another: of another plan or asset, or as other work?"""
    begins, run = START_OF[record.kind], record.run
    if run is None:
        return False
    own = history.get((place_of(record), record.asset))
    if own is not None and run in own.open_runs:
        return own.open_runs[run].kind != begins
    return any(run in other.open_runs for other in history.values())


def may_have_ended(begun: datetime, origin: RecordOrigin | None) -> bool:
    """Of a run that has no end in a ledger that lies beside ours: was it begun just before that ends? Then nobody here
    knows what became of it."""
    return origin is not None and origin.until - begun < UNENDED
