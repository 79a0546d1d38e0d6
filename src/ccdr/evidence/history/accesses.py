"""Who and what has come near a plan's data so far, and what of that was new: hosts, users, repository keys, recoveries.

In the first week of a plan everything is new, and nothing is told. What is told stands until somebody acknowledges it,
which answers for it for good. Whether a recovery was expected (in a pause, later in an incident) is asked when it is
judged: what explains it may be recorded after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ccdr.evidence.acknowledged import known_by
from ccdr.evidence.history.kinds import (
    EXAMINED,
    KEY_ADDED,
    KEY_REMOVED,
    KEY_SWITCHED,
    LOGS,
    RECOVER_START,
    RESTORE_START,
    STARTS,
)
from ccdr.evidence.verdicts import Record
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import number_of, utc

if TYPE_CHECKING:
    from ccdr.evidence.history.folded import FoldedRecords

ACCESS_UNUSUAL = Trouble.ACCESS_UNUSUAL.name
HOST, USER, KEY, RECOVERY, WRITER = "host", "user", "key", "recovery", "writer"
A_CONTAINER, _RANDOM = "in a container", re.compile(r"[0-9a-f]{12}", re.ASCII)
LEARNED = timedelta(days=7)  # since the first access: who comes later was not there when it was set up
MOST_KNOWN, MOST_UNUSUAL = 200, 50  # of each kind; of a plan
ACCESSES = STARTS | {LOGS, EXAMINED, KEY_ADDED, KEY_REMOVED, KEY_SWITCHED}

Unusual = Sequence[Any]  # what, its name, when, and the record's number


def about(unusual: Unusual) -> str:
    """By which an acknowledgement names it."""
    what, name, _, number = unusual
    return f"{what} {name} {number}"


def keys_at(repository: str) -> str:
    """What the keys of a repository are kept as."""
    return f"{KEY} {repository}"


def take_access(plan: FoldedRecords, record: Record) -> None:
    """Of a plan: one more record of somebody who was there."""
    if plan.access_since is None:
        plan.access_since = str(record["time"])
    known, (host, actor) = plan.accesses, (record["host"], record["actor"])
    if host not in known.get(HOST, ()) or actor not in known.get(USER, ()):  # not so, as a rule
        _see(plan, HOST, _host(str(host)), record)
        _see(plan, USER, str(actor), record)
    kind = record["kind"]
    if kind == EXAMINED:
        for name, of in record["repositories"].items():
            if ids := of.get("key_ids"):
                first = keys_at(name) not in plan.accesses  # what it had when it was first looked at is its own
                for key in ids:
                    _see(plan, keys_at(name), str(key), record, usual=first)
    elif kind == KEY_ADDED:
        name = f"{record['repository']}.log" if record["of_log"] else str(record["repository"])
        _see(plan, keys_at(name), str(record["key"]), record, usual=record["why"] in ("rotation", "fast"))
    elif kind in (RESTORE_START, RECOVER_START):
        _recovery(plan, record)


def take_strangers(plan: FoldedRecords, compared: Record) -> None:
    """Of a plan: ledgers that its snapshots attest, and that nobody knows here: other hosts write there. What a first
    look sees is as it is to be."""
    if not isinstance(ids := compared.get("strangers"), list):
        return
    first = WRITER not in plan.accesses
    plan.accesses.setdefault(WRITER, [])
    for ledger in ids:
        _see(plan, WRITER, str(ledger), compared, usual=first)


def _host(name: str) -> str:
    """Each container has a name of its own, made at random: they are one."""
    return A_CONTAINER if _RANDOM.fullmatch(name) else name


def answer_access(plan: FoldedRecords, trouble: Mapping[str, Any]) -> None:
    """Somebody has looked at what stood then."""
    if trouble["code"] == ACCESS_UNUSUAL:
        of = set(trouble["known_by"])
        plan.unusual = [one for one in plan.unusual if _known_by(one) not in of]


def _known_by(unusual: Unusual) -> str:
    return known_by(Problem(Trouble.ACCESS_UNUSUAL, "", about=about(unusual)))


def _see(plan: FoldedRecords, what: str, name: str, record: Record, *, usual: bool = False) -> None:
    known = plan.accesses.setdefault(what, [])
    if name in known:
        return
    known.append(name)
    del known[:-MOST_KNOWN]
    of = what.partition(" ")[0]
    if not usual and not _learning(plan, record) and (of in (KEY, WRITER) or len(known) > 1):
        _note(plan, of, name, record)


def _recovery(plan: FoldedRecords, record: Record) -> None:
    """Customers' data is brought out of the repository. Not told: a part of a recovery, one that goes on, a step of a
    runbook that somebody has begun."""
    within = any(run != record["run"] and of["kind"] == RECOVER_START for run, of in plan.open_runs.items())
    if not (within or record.get("resumes") or plan.runbook or _learning(plan, record)):
        _note(plan, RECOVERY, str(record["run"]), record)


def _learning(plan: FoldedRecords, record: Record) -> bool:
    return plan.access_since is None or utc(record["time"]) - utc(plan.access_since) < LEARNED


def _note(plan: FoldedRecords, what: str, name: str, record: Record) -> None:
    plan.unusual = [*plan.unusual, [what, name, str(record["time"]), number_of(record)]][-MOST_UNUSUAL:]
