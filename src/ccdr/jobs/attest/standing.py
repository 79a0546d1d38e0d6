"""What is wrong with the ledger as a whole, by itself, by what is kept of it, and by the last comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ccdr.evidence.lineage.own_records import DIFFERS, LedgerStanding, Lineage
from ccdr.evidence.population import Unsound
from ccdr.host.state import State
from ccdr.host.state_files import state_or_none, write_state
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import utc


def troubles(lineage: Lineage, unsound: Sequence[Unsound] = ()) -> tuple[Problem, ...]:
    """LEDGER_LOST until somebody has answered for it; LEDGER_CONTRADICTED, which nobody can acknowledge, until it
    agrees again. `unsound` are those beside it that were left out where all was read; a verification tells of them
    itself."""
    of_others = (Problem(Trouble.LEDGER_CONTRADICTED, str(one), about=one.ledger) for one in unsound)
    return (*_troubles(lineage), *of_others)


def by_what_is_known(contradiction: str | None) -> tuple[Problem, ...]:
    """LEDGER_CONTRADICTED by what `here` says."""
    return () if contradiction is None else (Problem(Trouble.LEDGER_CONTRADICTED, contradiction, about="known here"),)


def news(problems: Sequence[Problem], state: State) -> list[Problem]:
    """Those that no run has told of yet. CcdrError where that cannot be written down."""
    path = state.root / "told-ledger.json"
    announced = state_or_none(path, list[str]) or []
    keys = [f"{p.trouble.value} {p.about}" for p in problems]
    if announced != keys:
        write_state(path, keys)
    return [p for p, key in zip(problems, keys, strict=True) if key not in announced]


def _troubles(lineage: Lineage) -> Iterator[Problem]:
    if text := lineage.loss:
        since = utc(lineage.lost[0].since) if lineage.lost else None
        yield Problem(Trouble.LEDGER_LOST, text, since)
    if lineage.kept not in (LedgerStanding.HOLDS, LedgerStanding.GONE) and lineage.problem:
        yield Problem(Trouble.LEDGER_CONTRADICTED, lineage.problem, about=lineage.kept.value)
    if lineage.changed:
        yield Problem(Trouble.SUMMARY_WRONG, lineage.changed, about="chain")
    for ledger, text in lineage.astray:
        yield Problem(Trouble.LEDGER_CONTRADICTED, text, about=ledger)
    for plan, comparison in sorted(lineage.compared.items()):
        if comparison.result == DIFFERS:
            text = f"the repository of {plan}: {'; '.join(comparison.problems)}"
            yield Problem(Trouble.LEDGER_CONTRADICTED, text, utc(comparison.at), about=plan)
