"""What is wrong with this host's own records, and is about none of its plans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.places import Histories
from ccdr.evidence.judgement.troubles import MOST_NAMED, passed_over
from ccdr.model.trouble import (
    Problem,
    Trouble,
)
from ccdr.plans import LoadedPlan


def _spoilt(host: AssetHistory) -> Iterator[Problem]:
    """Lines of the ledger, or of one beside it, that were changed, until somebody has answered for them."""
    if host.spoilt:
        named = [f"record {seq} of {f'ledger {ledger[:8]}' if ledger else 'the ledger'}" for ledger, seq in host.spoilt]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        where = ", ".join(named[-MOST_NAMED:]) + more
        text = f"somebody changed a line of the ledger, in the place of {where}: its content is lost"
        yield Problem(Trouble.LEDGER_SPOILT, text, about=" ".join(str(seq) for _, seq in host.spoilt))


def judge_host(plans: Sequence[LoadedPlan], histories: Histories) -> tuple[Problem, ...]:
    """The same of what is about none of these plans."""
    shown = {loaded.plan.plan for loaded in plans}
    of_none = [history for (plan, _), history in histories.items() if plan not in shown]
    return (*passed_over(*of_none), *_spoilt(histories.get((None, None), AssetHistory())))
