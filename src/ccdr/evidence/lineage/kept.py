"""What is kept of a ledger outside of it, so that one that was cut, or is gone, is noticed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ccdr.evidence.ledger.places import Mark
from ccdr.evidence.lineage.anchored import Anchoring
from ccdr.evidence.lineage.own_records import Lineage, by_asset
from ccdr.evidence.lineage.values import Compared, LedgerBeside, Lost, RecordedVerification, Spoilt
from ccdr.host.files import write_durably
from ccdr.host.state import State

FORMAT = 6


@dataclass(frozen=True)
class KeptLineage:
    """What is kept. `prev` is the hash of the record before the mark's."""

    mark: Mark
    lineage: Lineage
    prev: str | None = None


def kept_file(state: State) -> Path:
    return state.root / "chain.json"


def read_kept(state: State) -> KeptLineage | None:
    try:
        body = json.loads(kept_file(state).read_text("utf-8"))
        if body["format"] != FORMAT:
            return None
        fields = body["lineage"]
        lineage = Lineage(
            ledger=fields["ledger"],
            begun=fields["begun"],
            since=fields["since"],
            installation=fields["installation"],
            lost=tuple(Lost(**one) for one in fields["lost"]),
            past=tuple((Lost(**one), str(at), str(kind)) for one, at, kind in fields["past"]),
            linked=tuple(fields["linked"]),
            beside={
                key: LedgerBeside(**{**one, "apart": tuple(one["apart"])}) for key, one in fields["beside"].items()
            },
            compared={
                plan: Compared(**{**one, "problems": tuple(one["problems"]), "vanished": by_asset(one["vanished"])})
                for plan, one in fields["compared"].items()
            },
            verified=_verified(fields["verified"]),
            answers=fields["answers"],
            spoilt=tuple(Spoilt(**one) for one in fields["spoilt"]),
            anchoring=Anchoring.of(fields["anchoring"]),
        )
        return KeptLineage(Mark(**body["mark"]), lineage, body["prev"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _verified(fields: Mapping[str, Any] | None) -> RecordedVerification | None:
    return None if fields is None else RecordedVerification(**{**fields, "problems": tuple(fields["problems"])})


def write_kept(state: State, mark: Mark, lineage: Lineage, prev: str | None = None) -> None:
    fields = asdict(lineage)
    del fields["kept"], fields["problem"], fields["changed"], fields["gone"], fields["astray"]
    body = {"format": FORMAT, "mark": asdict(mark), "prev": prev, "lineage": fields}
    write_durably(kept_file(state), json.dumps(body, separators=(",", ":")) + "\n")
