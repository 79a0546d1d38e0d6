"""What is kept of a ledger outside of it, so that one that was cut, or is gone, is noticed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ccdr.evidence.ledger.places import Mark
from ccdr.evidence.lineage.own_records import Lineage, by_asset
from ccdr.evidence.lineage.values import Beside, Compared, Lost, Spoilt, Verified
from ccdr.host.files import write_durably
from ccdr.host.state import State

FORMAT = 4


@dataclass(frozen=True)
class Kept:
    """What is kept; not `whole`: of an older format, which tells less. `prev` is the hash of the record before the
    mark's."""

    mark: Mark
    lineage: Lineage
    whole: bool = True
    prev: str | None = None


def kept_file(state: State) -> Path:
    return state.root / "chain.json"


def read_kept(state: State) -> Kept | None:
    try:
        body = json.loads(kept_file(state).read_text("utf-8"))
        if body["format"] not in range(1, FORMAT + 1):
            return None
        said = body["lineage"]
        lineage = Lineage(
            ledger=said["ledger"],
            begun=said["begun"],
            since=said["since"],
            installation=said["installation"],
            lost=tuple(Lost(**one) for one in said["lost"]),
            past=tuple((Lost(**one), str(at), str(kind)) for one, at, kind in said["past"]),
            linked=tuple(said["linked"]),
            beside={
                key: Beside(**{**one, "apart": tuple(one["apart"])}) for key, one in said.get("beside", {}).items()
            },
            compared={
                plan: Compared(**{**one, "problems": tuple(one["problems"]), "vanished": by_asset(one.get("vanished"))})
                for plan, one in said["compared"].items()
            },
            verified=_verified(said.get("verified")),
            answers=said.get("answers", {}),
            spoilt=tuple(Spoilt(**one) for one in said.get("spoilt", ())),
        )
        return Kept(Mark(**body["mark"]), lineage, body["format"] == FORMAT, body.get("prev"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _verified(said: Mapping[str, Any] | None) -> Verified | None:
    return None if said is None else Verified(**{**said, "problems": tuple(said["problems"])})


def write_kept(state: State, mark: Mark, lineage: Lineage, prev: str | None = None) -> None:
    said = asdict(lineage)
    del said["kept"], said["problem"], said["changed"], said["gone"], said["astray"]
    body = {"format": FORMAT, "mark": asdict(mark), "prev": prev, "lineage": said}
    write_durably(kept_file(state), json.dumps(body, separators=(",", ":")) + "\n")
