"""Which ledger this is, and what became of the one before it.

A ledger's first record, `ledger.begin`, holds a random id; `STATE/ledger/id` repeats it. A ledger from before there
were ids gets one at its next record, which says from where on. `STATE/chain.json` keeps, away from the ledger, its id
and a mark in it: what is not there any more was cut off, rewritten, or is another's. A ledger that is gone is begun
anew by a record that names the lost one: LEDGER_LOST stands until somebody answers for it (`acknowledge`), or it was
brought back.

`STATE/ledgers/ID/` holds other ledgers, read-only: lost ones that were brought back, and other hosts'.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr.evidence.ledger import BEGIN, BEGINNING, RECOVERED, Beginning, Ledger, Mark
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records import newer
from ccdr.host.state import State, write_durably
from ccdr.model.errors import LedgerBroken, UsageProblem
from ccdr.model.values import RecordRef, so_many, utc

LOST = "ledger.lost"  # the repository tells of a ledger of this installation's that this one does not follow
ACKNOWLEDGED = "ledger.acknowledged"  # somebody answers for it that it is gone
LINKED = "ledger.linked"  # it was brought back, and lies beside this one
COLLECTED = "ledger.collected"  # another host's was taken in, and lies beside this one
COMPARED = "ledger.compared"  # what a repository says of it
VERIFIED = "ledger.verified"  # what a walk over all of it has found
LEDGERS = "ledgers"  # below STATE: other ledgers, by their ids
MOST_WORDS = 500  # characters of a person's reason
TOLD_FOR = timedelta(days=366)  # how long a report tells of a ledger that was lost, whatever became of it
FORMAT = 4
AGREES, DIFFERS = "AGREES", "DIFFERS"
LOOKS = 5  # at what is kept, while others write it
KEPT_WITHIN = 500  # tries of a fiftieth of a second
_ID = re.compile(r"[0-9a-f]{32}")
_KINDS = frozenset((BEGIN, LOST, ACKNOWLEDGED, LINKED, COLLECTED, COMPARED, VERIFIED, RECOVERED))


class Standing(StrEnum):
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
    unattested: int
    newest: int
    problems: tuple[str, ...] = ()
    vanished: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by asset, as it was last looked for
    whole: bool | None = None  # were all of its snapshots looked at, not the newest alone? Older records do not tell
    wholly: str | None = None  # when that was recorded last

    def as_json(self) -> dict[str, object]:
        return {
            "compared": self.at,
            "ok": self.result == AGREES,
            "snapshots": self.snapshots,
            "unattested": self.unattested,
            "newest": self.newest,
            "problems": list(self.problems),
        }


@dataclass(frozen=True)
class Verified:
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
class Beside:
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
    beside: Mapping[str, Beside] = field(default_factory=dict)  # all that lie beside it, by their ids, as last taken in
    compared: Mapping[str, Compared] = field(default_factory=dict)  # by plan
    verified: Verified | None = None
    answers: Mapping[str, int] = field(default_factory=dict)  # by the lost ledger's id
    spoilt: tuple[Spoilt, ...] = ()
    kept: Standing = Standing.HOLDS
    problem: str | None = None  # what was kept of the ledger, and is not so: a sentence, where that is no loss
    changed: str | None = None  # … or what is kept of it in its place says otherwise than its records: a sentence
    gone: tuple[Beside, ...] = ()
    astray: tuple[tuple[str, str], ...] = ()  # by id: a sentence

    @property
    def as_json(self) -> dict[str, object]:
        return {
            "id": self.ledger,
            "begun": self.begun,
            "lost": [asdict(one) for one in self.lost],
            "past": [{**asdict(one), "answered": at, "by": kind} for one, at, kind in self.past],
            "spoilt": [asdict(one) for one in self.spoilt],
            "repositories": {plan: found.as_json() for plan, found in self.compared.items()},
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
        if kind == LOST:
            return replace(
                self, lost=(*(one for one in self.lost if one.ledger != record["ledger"]), _lost(record, at))
            )
        if kind == RECOVERED:
            line = Spoilt(int(record["seq"]), at, str(record["file"]))
            return replace(self, spoilt=(*self.spoilt, line)) if record.get("spoilt") is True else self
        if kind in (ACKNOWLEDGED, LINKED):
            seen = frozenset(record.get("spoilt") or ())
            spoilt = tuple(
                replace(line, answer=int(record["seq"]), answered=at) if line.seq in seen and not line.answer else line
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
                answers={**self.answers, **{one.ledger: int(record["seq"]) for one in answered}},
                beside=beside,
                spoilt=spoilt,
            )
        if kind == VERIFIED:
            return replace(self, verified=_verified_of(record))
        if kind == COLLECTED:
            one = _beside(record["ledger"], record)
            return replace(self, beside={**self.beside, one.ledger: one})
        if kind == COMPARED:
            before, looked = self.compared.get(str(record["plan"])), _by_asset(record.get("vanished"))
            whole = record.get("whole")
            found = Compared(
                at,
                str(record["result"]),
                int(record["snapshots"]),
                int(record["unattested"]),
                int(record["newest"]),
                tuple(map(str, record["problems"])),
                {**before.vanished, **looked} if before else looked,
                whole,
                at if whole is True else before.wholly if before else None,
            )
            return replace(self, compared={**self.compared, str(record["plan"]): found})
        return self

    @property
    def loss(self) -> str | None:
        """What LEDGER_LOST says; None where there is no such trouble."""
        if self.kept is Standing.GONE and self.problem:
            return self.problem
        told = []
        if self.lost:
            named = ", ".join(map(str, self.lost))
            told.append(f"the ledger of this host is lost, and was begun anew: {named}; nobody has answered for it yet")
        for one in self.gone:
            told.append(f"the ledger {_named(one)}, which lay beside this one, is not in {LEDGERS}/ any more")
        return "; ".join(told) or None

    def excuses(self, ledger: Ledger, seq: int, prev: str | None) -> bool:
        """Was the line of this number in `ledger`, which says this of itself, changed, and has somebody answered for
        it that it is lost? Then what attests it as it was says nothing else, but that it followed the record of the
        hash `prev`: all before it is to be as it was. What does not tell that hash is not answered for."""
        answered = any(one.seq == seq and one.answer for one in self.spoilt)
        return answered and prev is not None and ledger.lacks(seq, prev)

    def told(self, until: datetime, covers: tuple[datetime, datetime] | None = None) -> list[tuple[str | None, str]]:
        """What a report tells of ledgers that were lost in the year before, and of lines that were changed then, or
        within what it `covers`: sentences, each with the ledger that it is about, where that was lost."""
        found: list[tuple[str | None, str]] = []
        for line in self.spoilt:
            within = covers is not None and covers[0] <= utc(line.at) < covers[1]
            if line.answer and (within or utc(line.answered) > until - TOLD_FOR):
                told = f"and acknowledged as lost by record {line.answer} at {line.answered}"
                found.append(
                    (None, f"a line that had been changed stood where {line}, {told}: what it told is not known")
                )
        for one, at, kind in self.past:
            if utc(at) > until - TOLD_FOR:
                how, there = "acknowledged as lost", self.beside.get(one.ledger)
                if kind == LINKED:
                    back = one.of_these(there.records) if there else "all that was stored of it"
                    how = f"brought back beside this one ({back})"
                found.append((one.ledger, f"the ledger {one}, was lost before {one.since} and {how} at {at}"))
        return found


def _lost(body: Mapping[str, Any], at: str) -> Lost:
    return Lost(str(body["ledger"]), int(body["last_seq"]), str(body["last_head"]), at)


def _by_asset(vanished: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    return {str(asset): tuple(map(str, ids)) for asset, ids in (vanished or {}).items()}


def _verified_of(record: Mapping[str, Any]) -> Verified:
    said = (str(record["time"]), int(record["records"]), str(record["result"]), str(record["summary"]))
    index = {str(name): str(digest) for name, digest in (record.get("index") or {}).items()}
    return Verified(*said, tuple(map(str, record["problems"])), int(record["seq"]), index)


def _beside(ledger: str, record: Mapping[str, Any]) -> Beside:
    apart = tuple(map(str, record.get("apart") or ()))
    linked = record["kind"] == LINKED
    return Beside(str(ledger), int(record["records"]), str(record["head"]), str(record["time"]), apart, linked)


def _named(one: Beside) -> str:
    return f"{one.ledger[:8]}…, of {so_many(one.records, 'record')}"


def installation(state: State, host: str) -> str:
    """Names this state directory on this host, without telling its path: whose ledger a snapshot attests."""
    return sha256(f"{host}\0{state.id}".encode("utf-8", "surrogateescape")).hexdigest()[:12]


def directory_of(state: State, ledger: str) -> Path:
    """Where another ledger lies, if it does."""
    return state.root / LEDGERS / ledger


def new_of(directory: Path) -> Path:
    """Where a copy lies until our ledger tells of it."""
    return directory.with_name(f".{directory.name}.new")


def found_at(state: State, one: Beside) -> Path:
    """Where it lies as it was taken in: who told of it may have been killed before it came to its place."""
    place = directory_of(state, one.ledger)
    return next((path for path in (place, new_of(place)) if _ends_so(path, one)), place)


def _ends_so(directory: Path, one: Beside) -> bool:
    with contextlib.suppress(LedgerBroken):
        return directory.is_dir() and reader(directory).head() == RecordRef(one.records, one.head)
    return False


def beginning(state: State, host: str) -> Beginning:
    """What a `Ledger` asks before each record: has it said which one it is?"""

    def begin(last: RecordRef, write: Callable[[Mapping[str, object]], RecordRef]) -> RecordRef:
        named = read_id(state.ledger)
        if named is not None and last.seq:
            return last
        if last.seq and (found := id_in(state.ledger)) is not None:
            _write_id(state.ledger, found)  # the file was lost, or a crash came before it
            return last
        kept = _read(state)
        before = _predecessor(kept, named)
        new = secrets.token_hex(16)
        body = {"ledger": new, "from": last.seq + 1, "installation": installation(state, host), "predecessor": before}
        ref = write(body)
        _write_id(state.ledger, new)
        return ref

    return begin


def _predecessor(kept: _Kept | None, named: str | None) -> dict[str, object] | None:
    """The ledger that was here and is not any more, as far as the state tells."""
    if kept is not None and kept.lineage.ledger is not None:
        return {"ledger": kept.lineage.ledger, "last_seq": kept.mark.seq, "last_head": kept.mark.hash}
    return None if named is None else {"ledger": named, "last_seq": 0, "last_head": BEGINNING.hash}


def read_id(directory: Path) -> str | None:
    """What `id` beside a ledger says; None where there is none that could be one."""
    with contextlib.suppress(OSError, ValueError):
        text = (directory / "id").read_text("ascii").strip()
        return text if _ID.fullmatch(text) else None
    return None


def _write_id(directory: Path, ledger: str) -> None:
    write_durably(directory / "id", f"{ledger}\n")


def id_in(directory: Path) -> str | None:
    """Which ledger it is by its own records, the newest of which counts; None for one from before there were ids."""
    return itself(directory).ledger


def itself(directory: Path) -> Lineage:
    """What a ledger's own records say of it. CcdrError where they cannot be read."""
    return fold(reader(directory).of_itself(BEGINNING))


def misnamed(directory: Path) -> list[str]:
    """Does the file beside it name another ledger than its records? CcdrError where they cannot be read."""
    said, own = read_id(directory), id_in(directory)
    if said is None or said == own:
        return []
    return [f"id names the ledger {said[:8]}…, its records {f'{own[:8]}…' if own else 'none'}: one of them was changed"]


def fold(records: Iterable[Mapping[str, Any]], known: Lineage | None = None) -> Lineage:
    """What they say of their ledger; what cannot be understood is left out, the verification tells of it."""
    found = known or Lineage()
    for record in records:
        if record["kind"] in _KINDS and not newer(record):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                found = found.take(record)
    return found


def read(state: State, ledger: Ledger) -> Lineage:
    """Where the ledger stands, by itself and by what is kept of it, and what lies beside it. Changes nothing; CcdrError
    where it cannot be read."""
    found = _by_what_is_kept(state, ledger)
    return found if not found.beside else _with_what_lies_beside(state, found)


def _with_what_lies_beside(state: State, found: Lineage) -> Lineage:
    """Each of these ledgers ends as it did when it was taken in; that all of it is so, a verification shows."""
    gone, astray = [], []
    for key, one in found.beside.items():
        directory = found_at(state, one)
        if not directory.is_dir():
            gone.append(one)
        elif not _ends_so(directory, one):
            astray.append((key, f"the ledger {_named(one)}, which was put beside this one, is not as it was taken in"))
    return replace(found, gone=tuple(gone), astray=tuple(astray))


def _by_what_is_kept(state: State, ledger: Ledger) -> Lineage:
    """Nothing is wrong only because another process wrote between our look at what is kept and that at the ledger."""
    kept = _read(state)
    for _ in range(LOOKS):
        found = _judged(kept, state, ledger)
        before, kept = kept, _read(state) if found.changed or found.problem else kept
        if kept == before:
            break
    return found


def _judged(kept: _Kept | None, state: State, ledger: Ledger) -> Lineage:
    if kept is not None and kept.whole and ledger.holds(kept.mark):
        if _stands(kept, ledger):
            return fold(ledger.of_itself(kept.mark), kept.lineage)
        said = f"{_path(state).name} says otherwise than the ledger of what became of it: it was changed"
        return replace(fold(ledger.of_itself(BEGINNING)), changed=said)
    found = fold(ledger.of_itself(BEGINNING))
    if kept is None and found.compared:  # it was written before the first of these
        said = f"{_path(state).name} is gone, or no longer what ccdr wrote: it tells whether the ledger was cut"
        return replace(found, changed=said)
    if kept is None or kept.lineage.ledger is None or ledger.holds(kept.mark):
        return found
    return _against(kept, found, ledger)


def _stands(kept: _Kept, ledger: Ledger) -> bool:
    """Does what is kept say what the records say, as far as the newest two segments go, and the records that it goes
    by? Whatever is older, the daily verification compares."""
    said, since = kept.lineage, ledger.recently()
    there = fold(record for record in ledger.of_itself(since) if record["seq"] <= kept.mark.seq)
    if since == BEGINNING:
        return there == said

    def begun() -> bool:
        record = ledger.numbered(said.since)
        if record is None or (record["kind"], record.get("ledger"), record["time"]) != (BEGIN, said.ledger, said.begun):
            return False
        before = record.get("predecessor")
        return record.get("installation") == said.installation and (before is None or before["ledger"] in said.known)

    def answered(one: Lost, at: str, kind: str) -> bool:
        record = ledger.numbered(said.answers.get(one.ledger, 0))
        about = () if record is None else (record["kind"], record["time"])
        return about == (kind, at) and one.ledger in (record or {}).get("ledgers", ())

    def answered_spoilt(one: Spoilt) -> bool:
        record = ledger.numbered(one.answer) or {"kind": None, "time": None}
        return (record["kind"], record["time"]) == (ACKNOWLEDGED, one.answered) and one.seq in record.get("spoilt", ())

    def found() -> bool:
        record = ledger.numbered(said.verified.seq) if said.verified else None
        return said.verified is None if record is None else _verified_of(record) == said.verified

    return (
        (begun() if there.ledger is None else (there.ledger, there.since) == (said.ledger, said.since))
        and (found() if there.verified is None else there.verified == said.verified)
        and there.beside.items() <= said.beside.items()
        and there.compared.items() <= said.compared.items()
        and {one.ledger for one in there.lost} <= {one.ledger for one in said.lost}
        and all(answered(*one) for one in said.past)
        and {one for one in there.spoilt if one.answer} <= set(said.spoilt)
        and all(answered_spoilt(one) for one in said.spoilt if one.answer)
    )


def differs(state: State, ledger: Ledger) -> bool:
    """The same of all of it: whatever the ledger's age."""
    kept = _read(state)
    if kept is None or not kept.whole or not ledger.holds(kept.mark):
        return False
    return fold(r for r in ledger.of_itself(BEGINNING) if r["seq"] <= kept.mark.seq) != kept.lineage


def _against(kept: _Kept, found: Lineage, ledger: Ledger) -> Lineage:
    """What was kept does not stand in the ledger any more."""
    was, seq, head = kept.lineage.ledger, kept.mark.seq, ledger.head()
    assert was is not None
    if found.ledger == was and found.excuses(ledger, seq, kept.prev):
        return found
    if not head.seq:
        said = f"the ledger of this host is gone: it was {was[:8]}…, of at least {so_many(seq, 'record')}"
        return replace(found, kept=Standing.GONE, problem=said)
    if found.ledger != was:
        if was in found.known:
            return found  # it says so itself
        named = "which does not say which one it is" if found.ledger is None else f"{found.ledger[:8]}…"
        said = f"another ledger, {named}, lies where this host's was, {was[:8]}…"
        return replace(found, kept=Standing.OTHER, problem=said)
    if head.seq < seq:
        said = f"the ledger was cut: it ends with record {head.seq}, and held at least {seq}"
        return replace(found, kept=Standing.CUT, problem=said)
    said = f"the ledger was rewritten: its record {seq} is not the one that it held"
    return replace(found, kept=Standing.REWRITTEN, problem=said)


def keep(state: State, ledger: Ledger, *, anew: bool = False) -> Lineage:
    """Note how far the ledger reaches now, unless it is not what was kept, or not what a repository attests: that
    stands until it is, and what was there before may be brought back. What was changed of what is kept stays so until
    that is in the ledger, and it is made `anew`. One after the other: who gets no turn leaves it to the next. As
    `read`."""
    with state.turn("chain", tries=KEPT_WITHIN) as mine:
        return _keep(state, ledger, anew=anew) if mine else read(state, ledger)


def _keep(state: State, ledger: Ledger, *, anew: bool) -> Lineage:
    mark, found = ledger.mark_of(ledger.head()), read(state, ledger)
    doubted = any(one.result == DIFFERS for one in found.compared.values())
    if found.kept is not Standing.HOLDS or doubted or mark is None or (found.changed and not anew):
        return found
    kept = _read(state)
    if anew or kept is None or not kept.whole or not ledger.holds(kept.mark):
        kept = _Kept(BEGINNING, Lineage())
    if kept.mark.seq > mark.seq:  # an older ccdr, which takes no turns, has come by
        return found
    # Not what others have written since: it would be passed over by whoever goes on from the mark.
    records = (record for record in ledger.of_itself(kept.mark) if record["seq"] <= mark.seq)
    _write(state, mark, fold(records, kept.lineage), (ledger.at(mark) or {}).get("prev"))
    return found


def keep_first(state: State, ledger: Ledger) -> None:
    """Before a repository's word is recorded for the first time: from then on, that nothing is kept is a finding."""
    if not _path(state).exists() and not read(state, ledger).changed:
        keep(state, ledger)


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
        if said := _unanswered(state, ledger):
            raise UsageProblem(
                f"nothing shows that there was a line where {said[-1]}: that file is not there as it was set aside",
                hint="put the file back from a copy; if there is none, `ccdr ledger verify` says what is wrong",
            )
        raise UsageProblem("no line of the ledger was changed: there is nothing to acknowledge")
    _answered(state, ledger, why, ledgers=[], spoilt=spoilt)
    return spoilt


def _answered(state: State, ledger: Ledger, why: str, **what: object) -> RecordRef:
    if not why.strip() or len(why) > MOST_WORDS:
        raise UsageProblem(f"a reason of up to {MOST_WORDS} characters is needed", hint='--why "…"')
    body = {"why_sha256": keep_payload(state, why), **what}
    ref = ledger.append(ACKNOWLEDGED, plan=None, asset=None, run=None, body=body)
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
    found, kept = read(state, ledger), _read(state)
    if found.kept is not Standing.GONE or kept is None or kept.lineage.ledger is None:
        return [*found.lost, *(Lost(one.ledger, one.records, one.head, one.at) for one in found.gone)]
    return [*kept.lineage.lost, Lost(kept.lineage.ledger, kept.mark.seq, kept.mark.hash, "")]


@dataclass(frozen=True)
class _Kept:
    """What is kept; not `whole`: of an older format, which tells less. `prev` is the hash of the record before the
    mark's."""

    mark: Mark
    lineage: Lineage
    whole: bool = True
    prev: str | None = None


def _path(state: State) -> Path:
    return state.root / "chain.json"


def _read(state: State) -> _Kept | None:
    try:
        body = json.loads(_path(state).read_text("utf-8"))
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
                plan: Compared(
                    **{**one, "problems": tuple(one["problems"]), "vanished": _by_asset(one.get("vanished"))}
                )
                for plan, one in said["compared"].items()
            },
            verified=_verified(said.get("verified")),
            answers=said.get("answers", {}),
            spoilt=tuple(Spoilt(**one) for one in said.get("spoilt", ())),
        )
        return _Kept(Mark(**body["mark"]), lineage, body["format"] == FORMAT, body.get("prev"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _verified(said: Mapping[str, Any] | None) -> Verified | None:
    return None if said is None else Verified(**{**said, "problems": tuple(said["problems"])})


def _write(state: State, mark: Mark, lineage: Lineage, prev: str | None = None) -> None:
    said = asdict(lineage)
    del said["kept"], said["problem"], said["changed"], said["gone"], said["astray"]
    body = {"format": FORMAT, "mark": asdict(mark), "prev": prev, "lineage": said}
    write_durably(_path(state), json.dumps(body, separators=(",", ":")) + "\n")


class _Never:
    """The clock of what is only read."""

    def now(self) -> datetime:
        raise AssertionError("another ledger is only read")

    def monotonic(self) -> float:
        raise AssertionError("another ledger is only read")


def reader(directory: Path) -> Ledger:
    """Another ledger, to be read."""
    return Ledger(directory, _Never())
