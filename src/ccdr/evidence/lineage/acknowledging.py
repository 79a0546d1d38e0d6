"""Somebody answers for a ledger that was lost, or for lines that were changed; recorded."""

from __future__ import annotations

from typing import Any

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.comparing import keep, read
from ccdr.evidence.lineage.kept import read_kept
from ccdr.evidence.lineage.values import LedgerStanding, Lost, Spoilt
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.lineage import LedgerAcknowledged
from ccdr.host.state import State
from ccdr.model.errors import UsageProblem
from ccdr.model.values import RecordRef

MOST_WORDS = 500  # characters of a person's reason


def acknowledge(state: State, ledger: Ledger, why: str) -> RecordRef:
    """Record that somebody answers for what was lost: LEDGER_LOST is over by it. `why` is kept apart from the ledger
    (payloads.py). UsageProblem where nothing was lost, or nothing is said."""
    lost = waiting(state, ledger)
    if not lost:
        raise UsageProblem("no ledger was lost here: there is nothing to acknowledge")
    return _answered(state, ledger, why, ledgers=[one.ledger for one in lost])


def answer_for_spoilt(state: State, ledger: Ledger, why: str) -> list[int]:
    """Record that somebody answers for what lines of this ledger told that were changed: LEDGER_SPOILT is over by it.
    The numbers that they bore. UsageProblem where there is none, where nothing shows that there was one, or where
    nothing is said."""
    spoilt = spoilt_of(state, ledger)
    if not spoilt:
        if unanswered := _unanswered(state, ledger):
            raise UsageProblem(
                f"nothing shows that there was a line where {unanswered[-1]}: that file is not there as it was set "
                "aside",
                hint="put the file back from a copy; if there is none, `ccdr ledger verify` says what is wrong",
            )
        raise UsageProblem("no line of the ledger was changed: there is nothing to acknowledge")
    _answered(state, ledger, why, ledgers=[], spoilt=spoilt)
    return spoilt


def _answered(state: State, ledger: Ledger, why: str, **what: Any) -> RecordRef:
    if not why.strip() or len(why) > MOST_WORDS:
        raise UsageProblem(f"a reason of up to {MOST_WORDS} characters is needed", hint='--why "…"')
    ref = ledger.write(LedgerAcknowledged(why_sha256=keep_payload(state, why), **what))
    keep(state, ledger)
    return ref


def spoilt_of(state: State, ledger: Ledger) -> list[int]:
    """The numbers of lines that were changed, and nobody has answered for: the last one's, too, which the next record
    sets aside."""
    waits = [ledger.head().seq + 1] if ledger.spoilt() else []
    return [*(one.seq for one in _unanswered(state, ledger) if _shown(ledger, one.seq)), *waits]


def _unanswered(state: State, ledger: Ledger) -> list[Spoilt]:
    return [one for one in read(state, ledger).spoilt if not one.answer]


def _shown(ledger: Ledger, seq: int) -> bool:
    """Is there anything to show for it that there was such a line?"""
    return ledger.lacks(seq, str((ledger.numbered(seq) or {}).get("prev")))


def waiting(state: State, ledger: Ledger) -> list[Lost]:
    """What was lost, and nobody has answered for. CcdrError where the ledger cannot be read."""
    lineage, kept = read(state, ledger), read_kept(state)
    if lineage.kept is not LedgerStanding.GONE or kept is None or kept.lineage.ledger is None:
        return [*lineage.lost, *(Lost(one.ledger, one.records, one.head, one.at) for one in lineage.gone)]
    return [*kept.lineage.lost, Lost(kept.lineage.ledger, kept.mark.seq, kept.mark.hash, "")]
