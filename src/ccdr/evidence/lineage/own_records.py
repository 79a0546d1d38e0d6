"""The fold of a ledger's records of itself, its `Lineage`: what was lost, compared, verified, put beside it or spoilt,
and which anchors it has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce
from hashlib import sha256

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.records import (
    LedgerAnchored,
    LedgerAnchors,
    LedgerBegin,
    LedgerCollected,
    LedgerCompared,
    LedgerKey,
    LedgerLinked,
    LedgerLost,
    LedgerRecovered,
    LedgerVerified,
    Record,
    StatementRecord,
)
from ccdr.evidence.records.lineage import PredecessorLedger
from ccdr.evidence.records.statements import ANSWER_LEDGER, LostRecords, kind_of
from ccdr.host.state import State
from ccdr.model.values import rfc3339, so_many, stamped, utc

# What a ledger says of itself, as values: what was lost, compared, verified, put beside it, or spoilt.

LOST = "ledger.lost"  # the repository tells of a ledger of this installation's that this one does not follow
ACKNOWLEDGED = ANSWER_LEDGER.kind  # somebody answers for it that it is gone
LINKED = "ledger.linked"  # it was brought back, and lies beside this one
COMPARED = "ledger.compared"  # what a repository says of it
VERIFIED = "ledger.verified"  # what a walk over all of it has found
LEDGERS = "ledgers"  # below STATE: other ledgers, by their ids
TOLD_FOR = timedelta(days=366)  # how long a report tells of a ledger that was lost, whatever became of it
AGREES, DIFFERS = "AGREES", "DIFFERS"


class LedgerStanding(StrEnum):
    """How what was kept of the ledger compares with it."""

    HOLDS = "holds"
    GONE = "gone"  # nothing is there, or it says that it was begun anew
    OTHER = "other"  # another one is in its place
    CUT = "cut"  # it is shorter
    REWRITTEN = "rewritten"


@dataclass(frozen=True)
class Lost:
    """A ledger of this installation's that is gone: its id, and the last record of it that is known of. Whoever tells
    how many it had tells that number, and beside it, once it was brought back, how many of them that brought."""

    ledger: str
    seq: int
    head: str
    since: str  # when that was found

    def __str__(self) -> str:
        return f"{self.ledger[:8]}…, of {f'at least {self.seq}' if self.seq else 'an unknown number of'} records"

    def of_these(self, records: int) -> str:
        """How many of them were brought back."""
        if records < self.seq:
            return f"{so_many(records, 'record')} of at least {self.seq}"
        more = f", where at least {self.seq} were known of" if self.seq and records > self.seq else ""
        return f"{so_many(records, 'record')}{more}"


@dataclass(frozen=True)
class Compared:
    """What the last comparison with a plan's repository found; `problems` are sentences. `newest` is the greatest
    record number that a snapshot there attests."""

    at: str
    result: str
    snapshots: int
    newest: int
    problems: tuple[str, ...] = ()
    vanished: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by asset, as it was last looked for
    whole: bool = True  # were all of its snapshots looked at, not the newest alone?
    wholly: str | None = None  # when that was recorded last

    def as_json(self) -> dict[str, object]:
        return {
            "compared": self.at,
            "ok": self.result == AGREES,
            "snapshots": self.snapshots,
            "newest": self.newest,
            "problems": list(self.problems),
        }


@dataclass(frozen=True)
class RecordedVerification:
    """The newest verification of the whole ledger, as its record (number `seq`) has it; `problems` are sentences,
    `index` has the digests of the files that a report may begin from."""

    at: str
    records: int
    result: str
    summary: str
    problems: tuple[str, ...]
    seq: int
    index: Mapping[str, str]


@dataclass(frozen=True)
class LedgerBeside:
    """A ledger that was put beside this one, as it was then: how many records it had, and the last one's hash. `at` is
    when this one's record of it was written."""

    ledger: str
    records: int
    head: str
    at: str
    apart: tuple[str, ...] = ()  # plans of it that are others than ours of that name
    linked: bool = False  # it was this host's, and `ledger recover` has brought it back


@dataclass(frozen=True)
class Spoilt:
    """A whole line that was changed, and set aside in `file` by record `seq`, in whose place it had stood. Somebody has
    answered for it by the record `answer`, at `answered`; 0 where nobody has."""

    seq: int
    at: str
    file: str
    answer: int = 0
    answered: str = ""

    def __str__(self) -> str:
        return f"record {self.seq} of the ledger, set aside in {self.file} at {self.at}"


# What a ledger says of itself of its key and of its anchors: which are configured, what became of that, and when each
# last held.

KEY = "ledger.key"
ANCHORS = "ledger.anchors"  # those that are configured, where that changed
ANCHORED = "ledger.anchored"  # a checkpoint, by one of them


@dataclass(frozen=True)
class ConfiguredAnchor:
    """One of anchors.yaml: how often it is to be made at most, in seconds, and a digest of what it leads to."""

    name: str
    kind: str
    where_sha256: str
    every: float


@dataclass(frozen=True)
class LastAnchored:
    """The newest checkpoint that an anchor holds, of `size` records: `at`, by its own clock where it tells. Record
    `seq` says so."""

    name: str
    kind: str
    size: int
    at: str
    seq: int
    where_sha256: str  # of what it led to then, as far as the record of the configuration tells; else empty


@dataclass(frozen=True)
class AnchorChange:
    """Record `seq`, of the time `at`, says that other anchors are configured. The names of those that are `gone`,
    that are made less often, and that lead elsewhere (or are of another kind): each of them is less evidence."""

    seq: int
    at: str
    gone: tuple[str, ...] = ()
    rarer: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        return [
            *(f"the anchor {name} of the ledger is not configured any more" for name in self.gone),
            *(f"the anchor {name} of the ledger is made less often" for name in self.rarer),
            *(f"the anchor {name} of the ledger leads elsewhere" for name in self.elsewhere),
        ]


@dataclass(frozen=True)
class Anchoring:
    """`key`: the newest record of a key, as it stands. `configured`: since when (null: never was one), by record
    `configured_by`. `loosened`: the changes that left less, oldest first."""

    key: LedgerKey | None = None
    configured: tuple[ConfiguredAnchor, ...] = ()
    configured_since: str | None = None
    configured_by: int = 0
    last: Mapping[str, LastAnchored] = field(default_factory=dict)  # by name
    loosened: tuple[AnchorChange, ...] = ()

    def take(self, record: LedgerKey | LedgerAnchors | LedgerAnchored) -> Anchoring:
        """With one record more."""
        if isinstance(record, LedgerKey):
            return replace(self, key=record)
        if isinstance(record, LedgerAnchors):
            return self._configured(record)
        name = record.name
        where = next((one.where_sha256 for one in self.configured if one.name == name), "")
        last = LastAnchored(name, record.anchor, record.size, rfc3339(record.at), record.seq, where)
        return replace(self, last={**self.last, name: last})

    def _configured(self, record: LedgerAnchors) -> Anchoring:
        now = tuple(ConfiguredAnchor(one.name, one.kind, one.where_sha256, one.every) for one in record.anchors)
        at = stamped(record.time)
        change = compared(self.configured, now, record.seq, at)
        return replace(
            self,
            configured=now,
            configured_since=at,
            configured_by=record.seq,
            loosened=(*self.loosened, change) if change.sentences else self.loosened,
        )


def compared(
    before: tuple[ConfiguredAnchor, ...], now: tuple[ConfiguredAnchor, ...], seq: int, at: str
) -> AnchorChange:
    """What is less of it now."""
    there = {one.name: one for one in now}
    stay = [(one, there[one.name]) for one in before if one.name in there]
    return AnchorChange(
        seq,
        at,
        tuple(one.name for one in before if one.name not in there),
        tuple(old.name for old, new in stay if new.every > old.every),
        tuple(old.name for old, new in stay if (new.kind, new.where_sha256) != (old.kind, old.where_sha256)),
    )


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

    def take(self, record: Record) -> Lineage:
        """With one record more."""
        at = stamped(record.time)
        match record:
            case LedgerBegin():
                return self._begin(record, at)
            case LedgerLost():
                others = (one for one in self.lost if one.ledger != record.ledger)
                return replace(self, lost=(*others, _lost(record, at)))
            case LedgerRecovered():
                line = Spoilt(record.seq, at, record.file)
                return replace(self, spoilt=(*self.spoilt, line)) if record.spoilt else self
            case LedgerLinked():
                linked = {key: _beside(key, record) for key in record.ledgers}
                answered = self._answer(record, record.ledgers, linked)
                return replace(answered, linked=(*self.linked, *record.ledgers))
            case StatementRecord(about=LostRecords() as about):
                return self._answer(record, about.ledgers, {}, about.spoilt)
            case LedgerVerified():
                return replace(self, verified=verified_of(record))
            case LedgerKey() | LedgerAnchors() | LedgerAnchored():
                return replace(self, anchoring=self.anchoring.take(record))
            case LedgerCollected():
                return replace(self, beside={**self.beside, record.ledger: _beside(record.ledger, record)})
            case LedgerCompared():
                return self._compare(record, at)
        return self

    def _begin(self, record: LedgerBegin, at: str) -> Lineage:
        gone = () if record.predecessor is None else (_lost(record.predecessor, at),)
        return replace(
            self,
            ledger=record.ledger,
            begun=at,
            since=record.seq,
            installation=record.installation,
            lost=(*self.lost, *gone),
        )

    def _answer(
        self,
        record: Record,
        ledgers: Collection[str],
        linked: Mapping[str, LedgerBeside],
        seen: Collection[int] = (),
    ) -> Lineage:
        """Somebody answers for ledgers that were lost, and for lines that were changed; or has brought them back."""
        at = stamped(record.time)
        spoilt = tuple(
            replace(line, answer=record.seq, answered=at) if line.seq in seen and not line.answer else line
            for line in self.spoilt
        )
        answered = [one for one in self.lost if one.ledger in ledgers]
        return replace(
            self,
            lost=tuple(one for one in self.lost if one not in answered),
            past=(*self.past, *((one, at, kind_of(record)) for one in answered)),
            answers={**self.answers, **{one.ledger: record.seq for one in answered}},
            beside={key: one for key, one in self.beside.items() if key not in ledgers} | {**linked},
            spoilt=spoilt,
        )

    def _compare(self, record: LedgerCompared, at: str) -> Lineage:
        """With what a plan's repository has said of it."""
        plan, vanished = str(record.plan), by_asset(record.vanished)
        before = self.compared.get(plan)
        compared = Compared(
            at,
            record.result,
            record.snapshots,
            record.newest or 0,
            tuple(record.problems),
            {**before.vanished, **vanished} if before else vanished,
            record.whole,
            at if record.whole else before.wholly if before else None,
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


def _lost(of: LedgerLost | PredecessorLedger, at: str) -> Lost:
    return Lost(of.ledger, of.last_seq, of.last_head, at)


def by_asset(vanished: Mapping[str, Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    return {asset: tuple(ids) for asset, ids in (vanished or {}).items()}


def verified_of(record: LedgerVerified) -> RecordedVerification:
    facts = stamped(record.time), record.records, record.result, record.summary
    return RecordedVerification(*facts, tuple(record.problems), record.seq, record.index)


def _beside(ledger: str, record: LedgerLinked | LedgerCollected) -> LedgerBeside:
    apart, linked = (tuple(record.apart), False) if isinstance(record, LedgerCollected) else ((), True)
    return LedgerBeside(ledger, record.records, record.head, stamped(record.time), apart, linked)


def named_in(one: LedgerBeside) -> str:
    return f"{one.ledger[:8]}…, of {so_many(one.records, 'record')}"


def installation(state: State, host: str) -> str:
    """Names this state directory on this host, without telling its path: whose ledger a snapshot attests."""
    return sha256(f"{host}\0{state.id}".encode("utf-8", "surrogateescape")).hexdigest()[:12]


def fold(records: Iterable[Record], known: Lineage | None = None) -> Lineage:
    """What they say of their ledger; what cannot be understood is left out, the verification tells of it."""
    return reduce(Lineage.take, records, known or Lineage())
