"""Who and what has come near a plan's data so far, and what of that was new: hosts, users, repository keys, recoveries.

In the first week of a plan everything is new, and nothing is told. What is told stands until somebody acknowledges it,
which answers for it for good. Whether a recovery was expected (in a pause, later in an incident) is asked when it is
judged: what explains it may be recorded after it.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from ccdr.evidence.acknowledged import known_by
from ccdr.evidence.history.kinds import EXAMINED, KEY_ADDED, KEY_REMOVED, KEY_SWITCHED, LOGS, STARTS
from ccdr.evidence.records import KeyAdded, LedgerCompared, PlanExamined, Record, RecoverStart, RestoreStart
from ccdr.evidence.records.statements import TroubleRef
from ccdr.model.trouble import Problem, Trouble

if TYPE_CHECKING:
    from ccdr.evidence.history.folded import FoldedRecords

ACCESS_UNUSUAL = Trouble.ACCESS_UNUSUAL.name
HOST, USER, KEY, RECOVERY, WRITER = "host", "user", "key", "recovery", "writer"
A_CONTAINER, _RANDOM = "in a container", re.compile(r"[0-9a-f]{12}", re.ASCII)
LEARNED = timedelta(days=7)  # since the first access: who comes later was not there when it was set up
MOST_KNOWN, MOST_UNUSUAL = 200, 50  # of each kind; of a plan
ACCESSES = STARTS | {LOGS, EXAMINED, KEY_ADDED, KEY_REMOVED, KEY_SWITCHED}


class Unusual(Struct, frozen=True):
    """What was new, its name, when, and by which record."""

    what: str
    name: str
    time: datetime
    seq: int

    @property
    def about(self) -> str:
        """By which an acknowledgement names it."""
        return f"{self.what} {self.name} {self.seq}"


def keys_at(repository: str) -> str:
    """What the keys of a repository are kept as."""
    return f"{KEY} {repository}"


def take_access(plan: FoldedRecords, record: Record) -> None:
    """Of a plan: one more record of somebody who was there."""
    if plan.access_since is None:
        plan.access_since = record.time
    known = plan.accesses
    if record.host not in known.get(HOST, ()) or record.actor not in known.get(USER, ()):  # not so, as a rule
        _see(plan, HOST, _host(record.host), record)
        _see(plan, USER, record.actor, record)
    if isinstance(record, PlanExamined):
        for name, of in record.repositories.items():
            if of.key_ids:
                first = keys_at(name) not in plan.accesses  # what it had when it was first looked at is its own
                for key in of.key_ids:
                    _see(plan, keys_at(name), key, record, usual=first)
    elif isinstance(record, KeyAdded):
        name = f"{record.repository}.log" if record.of_log else record.repository
        _see(plan, keys_at(name), record.key, record, usual=record.why in ("rotation", "fast"))
    elif isinstance(record, RestoreStart | RecoverStart):
        _recovery(plan, record)


def take_strangers(plan: FoldedRecords, compared: LedgerCompared) -> None:
    """Of a plan: ledgers that its snapshots attest, and that nobody knows here: other hosts write there. What a first
    look sees is as it is to be."""
    if compared.strangers is None:
        return
    first = WRITER not in plan.accesses
    plan.accesses.setdefault(WRITER, [])
    for ledger in compared.strangers:
        _see(plan, WRITER, ledger, compared, usual=first)


def _host(name: str) -> str:
    """Each container has a name of its own, made at random: they are one."""
    return A_CONTAINER if _RANDOM.fullmatch(name) else name


def answer_access(plan: FoldedRecords, trouble: TroubleRef) -> None:
    """Somebody has looked at what stood then."""
    if trouble.code == ACCESS_UNUSUAL:
        plan.unusual = [one for one in plan.unusual if _known_by(one) not in trouble.known_by]


def _known_by(unusual: Unusual) -> str:
    return known_by(Problem(Trouble.ACCESS_UNUSUAL, "", about=unusual.about))


def _see(plan: FoldedRecords, what: str, name: str, record: Record, *, usual: bool = False) -> None:
    known = plan.accesses.setdefault(what, [])
    if name in known:
        return
    known.append(name)
    del known[:-MOST_KNOWN]
    of = what.partition(" ")[0]
    if not usual and not _learning(plan, record) and (of in (KEY, WRITER) or len(known) > 1):
        _note(plan, of, name, record)


def _recovery(plan: FoldedRecords, record: RestoreStart | RecoverStart) -> None:
    """Customers' data is brought out of the repository. Not told: a part of a recovery, one that goes on, a step of a
    runbook that somebody has begun."""
    within = any(run != record.run and of.recovery is not None for run, of in plan.open_runs.items())
    resumes = isinstance(record, RecoverStart) and record.resumes
    if not (within or resumes or plan.runbook or _learning(plan, record)):
        _note(plan, RECOVERY, record.run, record)


def _learning(plan: FoldedRecords, record: Record) -> bool:
    return plan.access_since is None or record.time - plan.access_since < LEARNED


def _note(plan: FoldedRecords, what: str, name: str, record: Record) -> None:
    plan.unusual = [*plan.unusual, Unusual(what, name, record.time, record.seq)][-MOST_UNUSUAL:]
