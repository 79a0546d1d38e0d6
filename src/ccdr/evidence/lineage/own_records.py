"""The fold of a ledger's records of itself: its `Lineage`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from ccdr.evidence.ledger.ledger import BEGIN, RECOVERED, Ledger
from ccdr.evidence.lineage.anchored import OF_ANCHORING, Anchoring
from ccdr.evidence.lineage.values import (
    ACKNOWLEDGED,
    COLLECTED,
    COMPARED,
    LEDGERS,
    LINKED,
    LOST,
    TOLD_FOR,
    VERIFIED,
    Compared,
    LedgerBeside,
    LedgerStanding,
    Lost,
    RecordedVerification,
    Spoilt,
)
from ccdr.evidence.records import unknown
from ccdr.host.state import State
from ccdr.model.values import so_many, utc

_KINDS = frozenset((BEGIN, LOST, ACKNOWLEDGED, LINKED, COLLECTED, COMPARED, VERIFIED, RECOVERED, *OF_ANCHORING))


@dataclass(frozen=True)
class Lineage:
    """What a ledger says of itself. `lost` is nobody's answer yet; `past` are those that somebody has answered for, and
    `answers` has the numbers of the records that say so; `astray` are those `beside` it that are not there any more as
    they were taken in, `gone` not at all."""

    ledger: str | None = None
    begun: str | None = None  # when
    since: int = 0  # the number of the record that says so
    installation: str | None = None  # whose it was then
    lost: tuple[Lost, ...] = ()
    past: tuple[tuple[Lost, str, str], ...] = ()  # … when, and by which kind of record
    linked: tuple[str, ...] = ()  # those that were brought back
    beside: Mapping[str, LedgerBeside] = field(
        default_factory=dict
    )  # all that lie beside it, by their ids, as last taken in
    compared: Mapping[str, Compared] = field(default_factory=dict)  # by plan
    verified: RecordedVerification | None = None
    answers: Mapping[str, int] = field(default_factory=dict)  # by the lost ledger's id
    spoilt: tuple[Spoilt, ...] = ()
    anchoring: Anchoring = field(default_factory=Anchoring)  # its key, and who else holds its checkpoints
    kept: LedgerStanding = LedgerStanding.HOLDS
    problem: str | None = None  # what was kept of the ledger, and is not so: a sentence, where that is no loss
    changed: str | None = None  # … or what is kept of it in its place says otherwise than its records: a sentence
    gone: tuple[LedgerBeside, ...] = ()
    astray: tuple[tuple[str, str], ...] = ()  # by id: a sentence

    @property
    def as_json(self) -> dict[str, object]:
        return {
            "id": self.ledger,
            "begun": self.begun,
            "lost": [asdict(one) for one in self.lost],
            "past": [{**asdict(one), "answered": at, "by": kind} for one, at, kind in self.past],
            "spoilt": [asdict(one) for one in self.spoilt],
            "repositories": {plan: compared.as_json() for plan, compared in self.compared.items()},
        }

    @property
    def known(self) -> frozenset[str]:
        """Ids of ledgers that this one follows, or has answered for."""
        own = {self.ledger} if self.ledger else set()
        return frozenset(own | {one.ledger for one in self.lost} | {one.ledger for one, _, _ in self.past})

    def take(self, record: Mapping[str, Any]) -> Lineage:
        """With one record more. KeyError, TypeError or ValueError where it is none of ours."""
        kind, at = record["kind"], str(record["time"])
        if kind == BEGIN:
            return self._begin(record, at)
        if kind == LOST:
            return replace(
                self, lost=(*(one for one in self.lost if one.ledger != record["ledger"]), _lost(record, at))
            )
        if kind == RECOVERED:
            line = Spoilt(int(record["seq"]), at, str(record["file"]))
            return replace(self, spoilt=(*self.spoilt, line)) if record.get("spoilt") is True else self
        if kind in (ACKNOWLEDGED, LINKED):
            return self._answer(record, at)
        if kind == VERIFIED:
            return replace(self, verified=verified_of(record))
        if kind in OF_ANCHORING:
            return replace(self, anchoring=self.anchoring.take(record))
        if kind == COLLECTED:
            one = _beside(record["ledger"], record)
            return replace(self, beside={**self.beside, one.ledger: one})
        return self._compare(record, at) if kind == COMPARED else self

    def _begin(self, record: Mapping[str, Any], at: str) -> Lineage:
        before = record["predecessor"]
        gone = () if before is None else (_lost(before, at),)
        return replace(
            self,
            ledger=str(record["ledger"]),
            begun=at,
            since=int(record["seq"]),
            installation=str(record["installation"]),
            lost=(*self.lost, *gone),
        )

    def _answer(self, record: Mapping[str, Any], at: str) -> Lineage:
        """Somebody answers for ledgers that were lost, and for lines that were changed; or has brought them back."""
        kind, seq, seen = record["kind"], int(record["seq"]), frozenset(record.get("spoilt") or ())
        spoilt = tuple(
            replace(line, answer=seq, answered=at) if line.seq in seen and not line.answer else line
            for line in self.spoilt
        )
        answered = [one for one in self.lost if one.ledger in record["ledgers"]]
        beside = {key: one for key, one in self.beside.items() if key not in record["ledgers"]}
        if kind == LINKED and "head" in record:
            beside |= {key: _beside(key, record) for key in record["ledgers"]}
        return replace(
            self,
            lost=tuple(one for one in self.lost if one not in answered),
            past=(*self.past, *((one, at, kind) for one in answered)),
            linked=(*self.linked, *record["ledgers"]) if kind == LINKED else self.linked,
            answers={**self.answers, **{one.ledger: seq for one in answered}},
            beside=beside,
            spoilt=spoilt,
        )

    def _compare(self, record: Mapping[str, Any], at: str) -> Lineage:
        """With what a plan's repository has said of it."""
        plan, whole, vanished = str(record["plan"]), record.get("whole"), by_asset(record.get("vanished"))
        before = self.compared.get(plan)
        compared = Compared(
            at,
            str(record["result"]),
            int(record["snapshots"]),
            int(record["unattested"]),
            int(record["newest"]),
            tuple(map(str, record["problems"])),
            {**before.vanished, **vanished} if before else vanished,
            whole,
            at if whole is True else before.wholly if before else None,
        )
        return replace(self, compared={**self.compared, plan: compared})

    @property
    def loss(self) -> str | None:
        """What LEDGER_LOST says; None where there is no such trouble."""
        if self.kept is LedgerStanding.GONE and self.problem:
            return self.problem
        sentences = []
        if self.lost:
            named = ", ".join(map(str, self.lost))
            sentences.append(
                f"the ledger of this host is lost, and was begun anew: {named}; nobody has answered for it yet"
            )
        for one in self.gone:
            sentences.append(f"the ledger {named_in(one)}, which lay beside this one, is not in {LEDGERS}/ any more")
        return "; ".join(sentences) or None

    def excuses(self, ledger: Ledger, seq: int, prev: str | None) -> bool:
        """Was the line of this number in `ledger`, which says this of itself, changed, and has somebody answered for
        it that it is lost? Then what attests it as it was says nothing else, but that it followed the record of the
        hash `prev`: all before it is to be as it was. What does not tell that hash is not answered for."""
        answered = any(one.seq == seq and one.answer for one in self.spoilt)
        return answered and prev is not None and ledger.lacks(seq, prev)

    def past_losses(
        self, until: datetime, covers: tuple[datetime, datetime] | None = None
    ) -> list[tuple[str | None, str]]:
        """What a report tells of ledgers that were lost in the year before, and of lines that were changed then, or
        within what it `covers`: sentences, each with the ledger that it is about, where that was lost."""
        sentences: list[tuple[str | None, str]] = []
        for line in self.spoilt:
            within = covers is not None and covers[0] <= utc(line.at) < covers[1]
            if line.answer and (within or utc(line.answered) > until - TOLD_FOR):
                acknowledged = f"and acknowledged as lost by record {line.answer} at {line.answered}"
                sentences.append(
                    (
                        None,
                        f"a line that had been changed stood where {line}, {acknowledged}: what it told is not known",
                    )
                )
        for one, at, kind in self.past:
            if utc(at) > until - TOLD_FOR:
                how, there = "acknowledged as lost", self.beside.get(one.ledger)
                if kind == LINKED:
                    back = one.of_these(there.records) if there else "all that was stored of it"
                    how = f"brought back beside this one ({back})"
                sentences.append((one.ledger, f"the ledger {one}, was lost before {one.since} and {how} at {at}"))
        return sentences


def _lost(body: Mapping[str, Any], at: str) -> Lost:
    return Lost(str(body["ledger"]), int(body["last_seq"]), str(body["last_head"]), at)


def by_asset(vanished: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    return {str(asset): tuple(map(str, ids)) for asset, ids in (vanished or {}).items()}


def verified_of(record: Mapping[str, Any]) -> RecordedVerification:
    facts = (str(record["time"]), int(record["records"]), str(record["result"]), str(record["summary"]))
    index = {str(name): str(digest) for name, digest in (record.get("index") or {}).items()}
    return RecordedVerification(*facts, tuple(map(str, record["problems"])), int(record["seq"]), index)


def _beside(ledger: str, record: Mapping[str, Any]) -> LedgerBeside:
    apart = tuple(map(str, record.get("apart") or ()))
    linked = record["kind"] == LINKED
    return LedgerBeside(str(ledger), int(record["records"]), str(record["head"]), str(record["time"]), apart, linked)


def named_in(one: LedgerBeside) -> str:
    return f"{one.ledger[:8]}…, of {so_many(one.records, 'record')}"


def installation(state: State, host: str) -> str:
    """Names this state directory on this host, without telling its path: whose ledger a snapshot attests."""
    return sha256(f"{host}\0{state.id}".encode("utf-8", "surrogateescape")).hexdigest()[:12]


def fold(records: Iterable[Mapping[str, Any]], known: Lineage | None = None) -> Lineage:
    """What they say of their ledger; what cannot be understood is left out, the verification tells of it."""
    lineage = known or Lineage()
    for record in records:
        if record["kind"] in _KINDS and not unknown(record):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                lineage = lineage.take(record)
    return lineage
