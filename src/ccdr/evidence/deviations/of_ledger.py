"""What the ledger finds about itself: which records of that open a deviation, and which end one. Pure."""

from __future__ import annotations

from ccdr.evidence.deviations.spans import Kept, Record, opened, settled
from ccdr.evidence.history.kinds import COMPARED, RECOVERED
from ccdr.evidence.history.places import Histories, history_at
from ccdr.evidence.lineage.values import ACKNOWLEDGED, DIFFERS, LINKED, LOST, VERIFIED
from ccdr.model.trouble import Trouble
from ccdr.model.values import TOLD_BY, number_of

OF_LEDGER = frozenset((VERIFIED, COMPARED, LOST, "ledger.begin", ACKNOWLEDGED, LINKED, RECOVERED))


def take_of_ledger(histories: Histories, record: Record) -> None:
    """What another ledger's records say of that is its host's to answer for."""
    if TOLD_BY in record:
        return
    kind = record["kind"]
    own = history_at(histories, (record["plan"] if kind == COMPARED else None, None)).deviations
    if kind == COMPARED:
        _compared(own, record)
    elif kind == VERIFIED:
        _verified(own, record)
    elif kind in (LOST, "ledger.begin"):
        lost = record if kind == LOST else record.get("predecessor")
        if lost is not None:
            opened(own, Trouble.LEDGER_LOST.name, record, {}, what=str(lost["ledger"]))
    elif kind == RECOVERED:
        if record.get("spoilt") is True:
            opened(own, Trouble.LEDGER_SPOILT.name, record, {}, what=str(number_of(record)))
    else:
        for ledger in record.get("ledgers") or ():
            settled(own, Trouble.LEDGER_LOST.name, record, str(ledger))
        for seq in record.get("spoilt") or ():
            settled(own, Trouble.LEDGER_SPOILT.name, record, str(seq))


def _verified(own: Kept, record: Record) -> None:
    if record["result"] == "HOLDS":
        settled(own, Trouble.LEDGER_BROKEN.name, record)
    else:
        opened(own, Trouble.LEDGER_BROKEN.name, record, {})
    if record.get("summary") == DIFFERS:
        opened(own, Trouble.SUMMARY_WRONG.name, record, {})
    elif record.get("summary") == "EQUAL":
        settled(own, Trouble.SUMMARY_WRONG.name, record)


def _compared(own: Kept, record: Record) -> None:
    """Who looked at the newest snapshots alone takes back nothing that a look at all of them has found."""
    whole = record.get("whole") is not False
    if record["result"] == DIFFERS:
        opened(own, Trouble.LEDGER_CONTRADICTED.name, record, {}, detail=whole, together=max)
    else:
        settled(own, Trouble.LEDGER_CONTRADICTED.name, record, good=lambda then: whole or not then)
