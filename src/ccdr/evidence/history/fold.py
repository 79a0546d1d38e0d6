"""What the ledger says of each asset so far: one pass over the records, carried on from where the last one ended. A
record that has not what the fold goes by tells nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from ccdr.evidence.deviations import derive
from ccdr.evidence.history.accesses import ACCESSES, take_access, take_strangers
from ccdr.evidence.history.asset_history import AssetHistory, Histories, history_at, place_of
from ccdr.evidence.history.kinds import (
    ACCESS_REVIEWED,
    ACCESS_TESTED,
    ANSWERED,
    BACKUP_END,
    CAUGHT,
    CHECKED,
    CLEAN,
    COMPARED,
    CONTROLLED,
    COPIED,
    DAMAGED,
    DONE,
    DUTIES,
    ERASURES,
    EXAMINED,
    FAILED,
    GROUP,
    INCONCLUSIVE,
    KEY_ADDED,
    KEY_REMOVED,
    KEY_SWITCHED,
    LOCK_EXTENDED,
    LOGS,
    MADE_BY_CCDR,
    MISSED,
    NOT_BEGUN,
    PASSED,
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
    STORED,
    TEST_END,
    TEST_START,
    VERDICTS,
)
from ccdr.evidence.incidents import KINDS as INCIDENTS
from ccdr.evidence.ledger.ledger import PASSED_OVER, WRONG
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.statements import GLASS_BROKEN
from ccdr.evidence.verdicts import (
    Record,
    does_not_open,
)
from ccdr.model.values import (
    TOLD_BY,
    ledger_of,
    number_of,
    of_another_host,
    utc,
)
from ccdr.plans.versions import PLAN_STORED, PLAN_VERSION

# Has a record what the fold goes by, of the right type? What has not tells nothing.

_NEEDED: dict[str, dict[str, type | tuple[str, ...]]] = {
    BACKUP_END: {"result": (STORED, FAILED)},
    TEST_END: {"verdict": (*VERDICTS, "SKIPPED")},
    CONTROLLED: {"result": (CAUGHT, PASSED, INCONCLUSIVE)},
    RESTORE_END: {"result": ("RESTORED", FAILED, "REFUSED")},
    RECOVER_END: {"state": ("done", "paused_by_failed_step", "failed")},
    PRUNED: {"result": (DONE, FAILED)},
    CHECKED: {"result": (CLEAN, DAMAGED, INCONCLUSIVE), "part": int, "parts": int},
    MISSED: {"count": int},
    NOT_BEGUN: {"verb": str},
    GROUP: {"group": str, "missing": list},
    DUTIES: {"verbs": list},
}


def understood(record: Record) -> bool:
    """Has it what the fold goes by, of the right type? What has not tells nothing, and no ccdr has written it so."""

    needed = _NEEDED.get(record["kind"])
    if needed is not None:
        for key, of in needed.items():
            value = record.get(key)
            if not (value in of if isinstance(of, tuple) else isinstance(value, of)):
                return False
    return True


FORMAT = 68  # of the summary: raised when the fold comes to something else, or keeps it otherwise
UNENDED = timedelta(days=3)  # before another ledger's last record: what began then may have ended after it

Beside = list[list[object]]  # ledgers that are read with ours, as `Population.key` has them
_WANTED = STARTS | {
    BACKUP_END, TEST_END, CONTROLLED, RESTORE_END, MISSED, NOT_BEGUN, PRUNED, CHECKED, DUTIES, GROUP, PLAN_VERSION,
    RECOVER_END, RECOVERED, COMPARED, LOGS, PLAN_STORED, COPIED,
    *STATED, GLASS_BROKEN, EXAMINED, ACCESS_TESTED, KEY_ADDED, KEY_REMOVED, KEY_SWITCHED, MADE_BY_CCDR, LOCK_EXTENDED,
    *ERASURES, *RUNBOOKS, *INCIDENTS,
}  # fmt: skip
_OF_THE_LEDGER = frozenset((RECOVERED, ANSWERED, COMPARED))
_FOR_REAL = frozenset((RECOVER_START, RUNBOOK_START, RESTORE_START, RESTORE_END))
# Of which only this host's own count here.
_OWN = frozenset((
    DUTIES, EXAMINED, PLAN_VERSION, PLAN_STORED, *STATED - {ACCESS_REVIEWED}, GLASS_BROKEN,
    LOGS, MADE_BY_CCDR, *ERASURES, *RUNBOOKS, *INCIDENTS,
))  # fmt: skip


def _checks_of(plan: AssetHistory | None, asset: str, test: Record) -> list[Any] | None:
    """What the plan's version in force checks of an asset, as its record has it: on the host of the test."""
    if plan and TOLD_BY in test and of_another_host(test):
        theirs: list[Any] | None = plan.others[test[TOLD_BY]["ledger"]]["checks"].get(asset)
        return theirs
    version = plan.newest.get(PLAN_VERSION) if plan else None
    of = ((version.get("facts") or {}).get("assets") or {}).get(asset) if version else None
    return list(of["checks"]) if of else None


def read_history(records: Iterable[Record], known: Histories | None = None) -> Histories:
    """By (plan, asset); a plan's upkeep by (plan, None). Goes on from `known`, which it changes."""
    history: Histories = {} if known is None else known
    for record in records:
        take_record(history, record)
    return history


def take_record(history: Histories, record: Record) -> None:
    """Take one more, and forget what retention removed by it."""
    if follow(history, record) and record["kind"] == PRUNED:
        for gone in record.get("removed") or ():
            of_it = history_at(history, (place_of(record), gone["asset"]))
            of_it.forget(gone["id"], ours=not of_another_host(record))


def follow(history: Histories, record: Record) -> bool:
    """Take one more record; was there anything to be taken from it? Nothing of what retention removed is forgotten for
    it. One that cannot be counted on is counted, and passed over: it must not change what the others say."""
    kind = kind_of(record)
    if kind in derive.OF_STARTS:
        was = None
    elif kind in derive.WANTED:
        was = derive.before(history, record)
    else:
        return _follow(history, record)
    if not _follow(history, record):
        return False
    try:  # as below: for millions of records, what `contextlib.suppress` costs shows
        if was is None:
            derive.take_start(history, record)
        else:
            derive.take(history, record, was)
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    return True


def _follow(history: Histories, record: Record) -> bool:
    if why := record.get(PASSED_OVER):
        _pass_over(history, str(why), record)
        return False
    kind = kind_of(record)
    if kind not in _WANTED:
        return True
    if kind in _OF_THE_LEDGER:
        _take_of_ledger(history, record)
        return True
    plan, asset, place = record["plan"], record["asset"], place_of(record)
    if not understood(record) or (kind in START_OF and _strays(history, record)):
        _pass_over(history, WRONG, record)
        return False
    # What is of another hand, or damaged, may hold anything below its envelope: the verification tells of it.
    if plan is not None and kind in ACCESSES:
        try:  # for millions of records; what `contextlib.suppress` costs shows
            own = history_at(history, (plan, None))
            take_access(own, record)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass
    try:
        other = TOLD_BY in record and of_another_host(record)
        if other and plan is not None:
            history_at(history, (plan, None)).take_another_host(record)
        if other and kind in _OWN:
            return True
        of_test = kind in (TEST_START, TEST_END)
        checks = _checks_of(history.get((plan, None)), asset, record) if of_test else None
        history_at(history, (place, asset)).take(record, checks)
        if kind in _FOR_REAL and not other:
            _take_real(history, record)
        if kind == TEST_END:
            _take_capture(history, record)
            if place != plan and record["verdict"] in ("PASS", "FAIL"):
                history[place, asset].tests_then = history_at(history, (plan, asset)).tests
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    if kind == RECOVER_END and not of_another_host(record):
        _take_recovered(history, record)
    if does_not_open(record):
        history_at(history, (place, None)).last_damage = record
    return True


def _take_of_ledger(history: Histories, record: Record) -> None:
    """What the ledger tells of itself."""
    if record["kind"] == COMPARED:
        _take_vanished(history, record)
    elif record["kind"] == RECOVERED:
        if record.get("spoilt") is True:
            history_at(history, (None, None)).spoilt.append((ledger_of(record), number_of(record)))
    else:
        host, seen = history.get((None, None)), record["about"].get("spoilt", ())
        if host is not None:
            host.spoilt = [one for one in host.spoilt if one[0] != ledger_of(record) or one[1] not in seen]


def _take_capture(history: Histories, test: Record) -> None:
    """A snapshot that came as it was stored, and failed, was captured badly: that is so at each copy of it, and each
    must show otherwise for itself. That a repository could not give it back says nothing of another one."""
    tested, plan, asset = test.get("snapshot") or {}, test["plan"], test["asset"]
    one, failed = str(tested.get("id")), tested.get("verdict") == "FAIL"
    if tested.get("verdict") == "PASS" or (failed and test.get("damaged") is not True):
        history_at(history, (plan, asset)).take_capture(one, bad=failed)
        for (name, of), place in history.items() if failed else ():
            if of == asset and name is not None and name.partition("@")[0] == plan:
                place.proven.pop(one, None)
                place.proven[one] = "FAIL"


def _take_recovered(history: Histories, record: Record) -> None:
    """What was brought back onto a server, or as one, is another source from now on."""
    with contextlib.suppress(KeyError, TypeError, AttributeError):
        for one in record["assets"]:
            if one["state"] == "done" and one["target"]["kind"] in ("server", "new_server"):
                history_at(history, (record["plan"], str(one["asset"]))).renew(str(record["time"]))


def _take_real(history: Histories, record: Record) -> None:
    """What brings data back for real belongs to an incident of its plan; each asset's restore within a recovery, or
    within a runbook, to that one's. A restore that was refused has done nothing."""
    kind, plan = record["kind"], record["plan"]
    if plan is None:
        return
    of_plan = history_at(history, (plan, None))
    if kind == RESTORE_END:
        if record["result"] == "REFUSED":
            of_plan.nothing_done(record["run"])
        return
    if kind == RECOVER_START and record.get("resumes"):
        of_plan.nothing_done(record["resumes"])  # it goes on as this one
    if kind != RESTORE_START or not any(at.recovering for at in (of_plan, history.get((place_of(record), None))) if at):
        of_plan.take_recovery(record)


def _take_vanished(history: Histories, record: Record) -> None:
    """What was found gone of each asset that was looked for, by this host."""
    gone = record.get("vanished")
    if of_another_host(record):
        return
    own = history_at(history, (record["plan"], None))
    own.newest[COMPARED] = record
    take_strangers(own, record)
    if isinstance(gone, dict):
        for asset, ids in gone.items():
            of = history_at(history, (record["plan"], str(asset)))
            of.vanished = {one: of.vanished.get(one, str(record["time"])) for one in map(str, ids)}


def _pass_over(history: Histories, why: str, record: Record) -> None:
    place, run = history_at(history, (place_of(record), record["asset"])), str(record["run"])
    place.pass_over(why, number_of(record))
    if run in place.open_runs and record["kind"] == place.open_runs[run]["kind"].replace(".start", ".end"):
        del place.open_runs[run]  # it has ended, whatever came of it


def _strays(history: Histories, record: Record) -> bool:
    """Does it end a run that began as another: of another plan or asset, or as other work?"""
    begins, run = START_OF[record["kind"]], record["run"]
    if run is None:
        return False
    own = history.get((place_of(record), record["asset"]))
    if own is not None and run in own.open_runs:
        return bool(own.open_runs[run]["kind"] != begins)
    return any(run in other.open_runs for other in history.values())


def may_have_ended(begun: Record) -> bool:
    """Of a run that has no end in a ledger that lies beside ours: was it begun just before that ends? Then nobody here
    knows what became of it."""
    return utc(begun[TOLD_BY]["until"]) - utc(begun["time"]) < UNENDED
