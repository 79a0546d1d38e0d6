"""Which ledger this is, what is kept of it outside of it, which others lie beside it, what became of the one before it,
and who answers for that.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import structs

from ccdr.evidence.ledger.ledger import BEGINNING, Beginning, Ledger, Mark
from ccdr.evidence.lineage.own_records import (
    DIFFERS,
    LEDGERS,
    LastAnchored,
    LedgerBeside,
    LedgerStanding,
    Lineage,
    Lost,
    Spoilt,
    fold,
    installation,
    named_in,
    verified_of,
)
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records import LedgerAnchored, LedgerAnchors, LedgerBegin, LedgerLinked, LedgerVerified
from ccdr.evidence.records.lineage import PredecessorLedger
from ccdr.evidence.records.statements import LostRecords, SignedBy, Statement, StatementRecord, kind_of
from ccdr.evidence.records.values import recorded_user
from ccdr.evidence.statements import nonce
from ccdr.host.files import write_durably
from ccdr.host.state import State
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.model.errors import LedgerBroken, UsageProblem
from ccdr.model.values import RecordRef, rfc3339, so_many, stamped

# What is kept of a ledger outside of it, so that one that was cut, or is gone, is noticed.


class KeptLineage(StateFile, frozen=True, tag_field="format", tag=7):
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


# Ledgers of other hosts, or of this one before, that lie beside ours: where, and which each is.

_ID = re.compile(r"[0-9a-f]{32}")


def directory_of(state: State, ledger: str) -> Path:
    """Where another ledger lies, if it does."""
    return state.root / LEDGERS / ledger


def new_of(directory: Path) -> Path:
    """Where a copy lies until our ledger tells of it."""
    return directory.with_name(f".{directory.name}.new")


def lies_at(state: State, one: LedgerBeside) -> Path:
    """Where it lies as it was taken in: who told of it may have been killed before it came to its place."""
    place = directory_of(state, one.ledger)
    return next((path for path in (place, new_of(place)) if _ends_so(path, one)), place)


def _ends_so(directory: Path, one: LedgerBeside) -> bool:
    with contextlib.suppress(LedgerBroken):
        return directory.is_dir() and reader(directory).head() == RecordRef(one.records, one.head)
    return False


def read_id(directory: Path) -> str | None:
    """What `id` beside a ledger says; None where there is none that could be one."""
    with contextlib.suppress(OSError, ValueError):
        text = (directory / "id").read_text("ascii").strip()
        return text if is_id(text) else None
    return None


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def write_id(directory: Path, ledger: str) -> None:
    write_durably(directory / "id", f"{ledger}\n")


def id_in(directory: Path) -> str | None:
    """Which ledger it is by its own records, the newest of which counts; None where none says so."""
    return itself(directory).ledger


def itself(directory: Path) -> Lineage:
    """What a ledger's own records say of it. CcdrError where they cannot be read."""
    return fold(reader(directory).of_itself(BEGINNING))


def misnamed(directory: Path) -> list[str]:
    """Does the file beside it name another ledger than its records? CcdrError where they cannot be read."""
    named, own = read_id(directory), id_in(directory)
    if named is None or named == own:
        return []
    return [
        f"id names the ledger {named[:8]}…, its records {f'{own[:8]}…' if own else 'none'}: one of them was changed"
    ]


def with_what_lies_beside(state: State, lineage: Lineage) -> Lineage:
    """Each of these ledgers ends as it did when it was taken in; that all of it is so, a verification shows."""
    gone, astray = [], []
    for key, one in lineage.beside.items():
        directory = lies_at(state, one)
        if not directory.is_dir():
            gone.append(one)
        elif not _ends_so(directory, one):
            astray.append(
                (key, f"the ledger {named_in(one)}, which was put beside this one, is not as it was taken in")
            )
    return replace(lineage, gone=tuple(gone), astray=tuple(astray))


class _Never:
    """The clock of what is only read."""

    def now(self) -> datetime:
        raise AssertionError("another ledger is only read")

    def monotonic(self) -> float:
        raise AssertionError("another ledger is only read")


def reader(directory: Path) -> Ledger:
    """Another ledger, to be read."""
    return Ledger(directory, _Never())


# A ledger's first record, `ledger.begin`, holds a random id; `STATE/ledger/id` repeats it. Where a crash had torn that
# one, the next record says so, and from where on. `STATE/chain.json` keeps, away from the ledger, its
# id and a mark in it: what is not there any more was cut off, rewritten, or is another's. A ledger that is gone is
# begun anew by a record that names the lost one: LEDGER_LOST stands until somebody answers for it (`acknowledge`), or
# it was brought back.
#
# `STATE/ledgers/ID/` holds other ledgers, read-only: lost ones that were brought back, and other hosts'.

LOOKS = 5  # at what is kept, while others write it
KEPT_WITHIN = 500  # tries of a fiftieth of a second


def beginning(state: State, host: str) -> Beginning:
    """What a `Ledger` asks before each record: has it said which one it is?"""

    def begin(last: RecordRef, write: Callable[[LedgerBegin], RecordRef]) -> RecordRef:
        named = read_id(state.ledger)
        if named is not None and last.seq:
            return last
        if last.seq and (own_id := id_in(state.ledger)) is not None:
            write_id(state.ledger, own_id)  # the file was lost, or a crash came before it
            return last
        kept = read_kept(state)
        before = _predecessor(kept, named)
        new = secrets.token_hex(16)
        own = installation(state, host)
        ref = write(LedgerBegin(ledger=new, since=last.seq + 1, installation=own, predecessor=before))
        write_id(state.ledger, new)
        return ref

    return begin


def _predecessor(kept: KeptLineage | None, named: str | None) -> PredecessorLedger | None:
    """The ledger that was here and is not any more, as far as the state tells."""
    if kept is not None and kept.lineage.ledger is not None:
        return PredecessorLedger(ledger=kept.lineage.ledger, last_seq=kept.mark.seq, last_head=kept.mark.hash)
    return None if named is None else PredecessorLedger(ledger=named, last_seq=0, last_head=BEGINNING.hash)


def read(state: State, ledger: Ledger) -> Lineage:
    """Where the ledger stands, by itself and by what is kept of it, and what lies beside it. Changes nothing; CcdrError
    where it cannot be read."""
    lineage = _by_what_is_kept(state, ledger)
    return lineage if not lineage.beside else with_what_lies_beside(state, lineage)


def _by_what_is_kept(state: State, ledger: Ledger) -> Lineage:
    """Nothing is wrong only because another process wrote between our look at what is kept and that at the ledger."""
    kept = read_kept(state)
    for _ in range(LOOKS):
        lineage = _judged(kept, state, ledger)
        before, kept = kept, read_kept(state) if lineage.changed or lineage.problem else kept
        if kept == before:
            break
    return lineage


def _judged(kept: KeptLineage | None, state: State, ledger: Ledger) -> Lineage:
    if kept is not None and ledger.holds(kept.mark):
        if _stands(kept, ledger):
            return fold(ledger.of_itself(kept.mark), kept.lineage)
        changed = f"{kept_file(state).name} says otherwise than the ledger of what became of it: it was changed"
        return replace(fold(ledger.of_itself(BEGINNING)), changed=changed)
    lineage = fold(ledger.of_itself(BEGINNING))
    if kept is None and lineage.compared:  # it was written before the first of these
        changed = f"{kept_file(state).name} is gone, or no longer what ccdr wrote: it tells whether the ledger was cut"
        return replace(lineage, changed=changed)
    if kept is None or kept.lineage.ledger is None or ledger.holds(kept.mark):
        return lineage
    return _against(kept, lineage, ledger)


def _stands(kept: KeptLineage, ledger: Ledger) -> bool:
    """Does what is kept say what the records say, as far as the newest two segments go, and the records that it goes
    by? Whatever is older, the daily verification compares."""
    lineage, since = kept.lineage, ledger.recently()
    there = fold(record for record in ledger.of_itself(since) if record.seq <= kept.mark.seq)
    if since == BEGINNING:
        return there == lineage

    def begun() -> bool:
        record = ledger.numbered(lineage.since)
        if not isinstance(record, LedgerBegin):
            return False
        says = record.ledger, stamped(record.time), record.installation
        before = record.predecessor
        same = says == (lineage.ledger, lineage.begun, lineage.installation)
        return same and (before is None or before.ledger in lineage.known)

    def answered(one: Lost, at: str, kind: str) -> bool:
        record = ledger.numbered(lineage.answers.get(one.ledger, 0))
        if record is None or (kind_of(record), stamped(record.time)) != (kind, at):
            return False
        of = record.about if isinstance(record, StatementRecord) else record
        return isinstance(of, LostRecords | LedgerLinked) and one.ledger in of.ledgers

    def answered_spoilt(one: Spoilt) -> bool:
        match ledger.numbered(one.answer):
            case StatementRecord(about=LostRecords() as about, time=time):
                return stamped(time) == one.answered and one.seq in about.spoilt
        return False

    def verified() -> bool:
        record = ledger.numbered(lineage.verified.seq) if lineage.verified else None
        if record is None:
            return lineage.verified is None
        return isinstance(record, LedgerVerified) and verified_of(record) == lineage.verified

    def configured() -> bool:
        record = ledger.numbered(ours.configured_by)
        return isinstance(record, LedgerAnchors) and stamped(record.time) == ours.configured_since

    def anchored(one: LastAnchored) -> bool:
        record = ledger.numbered(one.seq)
        says = (record.name, record.size, rfc3339(record.at)) if isinstance(record, LedgerAnchored) else None
        return says == (one.name, one.size, one.at)

    ours, seen = lineage.anchoring, there.anchoring
    anchors = (
        (ours.key is None or ledger.numbered(ours.key.seq) == ours.key)
        and (seen.key is None or seen.key == ours.key)
        and (not ours.configured_by or configured())
        and (not seen.configured_by or (seen.configured_by, seen.configured) == (ours.configured_by, ours.configured))
        and all(map(anchored, ours.last.values()))
        and all(name in ours.last and ours.last[name].seq == one.seq for name, one in seen.last.items())
    )
    return (
        anchors
        and (begun() if there.ledger is None else (there.ledger, there.since) == (lineage.ledger, lineage.since))
        and (verified() if there.verified is None else there.verified == lineage.verified)
        and there.beside.items() <= lineage.beside.items()
        and there.compared.items() <= lineage.compared.items()
        and {one.ledger for one in there.lost} <= {one.ledger for one in lineage.lost}
        and all(answered(*one) for one in lineage.past)
        and {one for one in there.spoilt if one.answer} <= set(lineage.spoilt)
        and all(answered_spoilt(one) for one in lineage.spoilt if one.answer)
    )


def differs(state: State, ledger: Ledger) -> bool:
    """The same of all of it: whatever the ledger's age."""
    kept = read_kept(state)
    if kept is None or not ledger.holds(kept.mark):
        return False
    return fold(r for r in ledger.of_itself(BEGINNING) if r.seq <= kept.mark.seq) != kept.lineage


def _against(kept: KeptLineage, lineage: Lineage, ledger: Ledger) -> Lineage:
    """What was kept does not stand in the ledger any more."""
    was, seq, head = kept.lineage.ledger, kept.mark.seq, ledger.head()
    assert was is not None
    if lineage.ledger == was and lineage.excuses(ledger, seq, kept.prev):
        return lineage
    if not head.seq:
        problem = f"the ledger of this host is gone: it was {was[:8]}…, of at least {so_many(seq, 'record')}"
        return replace(lineage, kept=LedgerStanding.GONE, problem=problem)
    if lineage.ledger != was:
        if was in lineage.known:
            return lineage  # it says so itself
        named = "which does not say which one it is" if lineage.ledger is None else f"{lineage.ledger[:8]}…"
        problem = f"another ledger, {named}, lies where this host's was, {was[:8]}…"
        return replace(lineage, kept=LedgerStanding.OTHER, problem=problem)
    if head.seq < seq:
        problem = f"the ledger was cut: it ends with record {head.seq}, and held at least {seq}"
        return replace(lineage, kept=LedgerStanding.CUT, problem=problem)
    problem = f"the ledger was rewritten: its record {seq} is not the one that it held"
    return replace(lineage, kept=LedgerStanding.REWRITTEN, problem=problem)


def keep(state: State, ledger: Ledger, *, anew: bool = False) -> Lineage:
    """Note how far the ledger reaches now, unless it is not what was kept, or not what a repository attests: that
    stands until it is, and what was there before may be brought back. What was changed of what is kept stays so until
    that is in the ledger, and it is made `anew`. One after the other: who gets no turn leaves it to the next. As
    `read`."""
    with state.turn("chain", tries=KEPT_WITHIN) as mine:
        return _keep(state, ledger, anew=anew) if mine else read(state, ledger)


def _keep(state: State, ledger: Ledger, *, anew: bool) -> Lineage:
    mark, lineage = ledger.mark_of(ledger.head()), read(state, ledger)
    doubted = any(one.result == DIFFERS for one in lineage.compared.values())
    if lineage.kept is not LedgerStanding.HOLDS or doubted or mark is None or (lineage.changed and not anew):
        return lineage
    kept = read_kept(state)
    if anew or kept is None or not ledger.holds(kept.mark):
        kept = KeptLineage(BEGINNING, Lineage())
    if kept.mark.seq > mark.seq:
        return lineage
    # Not what others have written since: it would be passed over by whoever goes on from the mark.
    records, last = (one for one in ledger.of_itself(kept.mark) if one.seq <= mark.seq), ledger.at(mark)
    write_kept(state, mark, fold(records, kept.lineage), last.prev if last else None)
    return lineage


def keep_first(state: State, ledger: Ledger) -> None:
    """Before a repository's word is recorded for the first time: from then on, that nothing is kept is a finding."""
    if not kept_file(state).exists() and not read(state, ledger).changed:
        keep(state, ledger)


# Somebody answers for a ledger that was lost, or for lines that were changed; recorded.

MOST_WORDS = 500  # characters of a person's reason


Sign = Callable[[Statement[LostRecords]], SignedBy | None]


def acknowledge(state: State, ledger: Ledger, why: str, sign: Sign = lambda _: None) -> RecordRef:
    """Record that somebody answers for what was lost: LEDGER_LOST is over by it. `why` is kept apart from the ledger
    (payloads.py). UsageProblem where nothing was lost, or nothing is said."""
    lost = waiting(state, ledger)
    if not lost:
        raise UsageProblem("no ledger was lost here: there is nothing to acknowledge")
    return _answered(state, ledger, why, sign, ledgers=[one.ledger for one in lost])


def answer_for_spoilt(state: State, ledger: Ledger, why: str, sign: Sign = lambda _: None) -> list[int]:
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
    _answered(state, ledger, why, sign, ledgers=[], spoilt=spoilt)
    return spoilt


def _answered(state: State, ledger: Ledger, why: str, sign: Sign, **what: Any) -> RecordRef:
    if not why.strip() or len(why) > MOST_WORDS:
        raise UsageProblem(f"a reason of up to {MOST_WORDS} characters is needed", hint='--why "…"')
    about, words = LostRecords(**what), keep_payload(state, why)
    given = Statement(says="answer", about=about, words_sha256=words, made=ledger.clock.now(), nonce=nonce())
    ref = ledger.write(StatementRecord(**structs.asdict(given), by=sign(given), who=recorded_user()))
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
    record = ledger.numbered(seq)
    return record is not None and ledger.lacks(seq, record.prev)


def waiting(state: State, ledger: Ledger) -> list[Lost]:
    """What was lost, and nobody has answered for. CcdrError where the ledger cannot be read."""
    lineage, kept = read(state, ledger), read_kept(state)
    if lineage.kept is not LedgerStanding.GONE or kept is None or kept.lineage.ledger is None:
        return [*lineage.lost, *(Lost(one.ledger, one.records, one.head, one.at) for one in lineage.gone)]
    return [*kept.lineage.lost, Lost(kept.lineage.ledger, kept.mark.seq, kept.mark.hash, "")]
