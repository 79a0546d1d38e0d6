"""What is kept of a ledger outside of it, so that one that was cut, or is gone, is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ccdr.evidence.ledger.places import Mark
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.evidence.lineage.values import LedgerStanding
from ccdr.host.state import State
from ccdr.host.state_files import StateFile, state_or_none, write_state


class KeptLineage(StateFile, frozen=True, tag_field="format", tag=6):
    """What is kept. `prev` is the hash of the record before the mark's."""

    mark: Mark
    lineage: Lineage
    prev: str | None = None


def kept_file(state: State) -> Path:
    return state.root / "chain.json"


def read_kept(state: State) -> KeptLineage | None:
    """None where it is lost, too: that is noticed by who reads the ledger."""
    return state_or_none(kept_file(state), KeptLineage)


def write_kept(state: State, mark: Mark, lineage: Lineage, prev: str | None = None) -> None:
    found_now = {"kept": LedgerStanding.HOLDS, "problem": None, "changed": None, "gone": (), "astray": ()}
    write_state(kept_file(state), KeptLineage(mark, replace(lineage, **found_now), prev))  # type: ignore[arg-type]
