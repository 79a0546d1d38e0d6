"""Years of a ledger verified and folded in one go: the histories, due times for which nothing was begun, and where a
summary came to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from ccdr.evidence.deviations.derive import OF_LEDGER
from ccdr.evidence.deviations.values import forget_oldest
from ccdr.evidence.due_gaps import DueRuns
from ccdr.evidence.history.asset_history import NEVER, Histories, place_of
from ccdr.evidence.history.fold import FORMAT, take_record
from ccdr.evidence.history.kinds import ANSWERED, COMPARED, RECOVERED, START_OF
from ccdr.evidence.ledger.ledger import BEGINNING, Extent, Mark, extent_of
from ccdr.evidence.ledger.verification import Verification, verify
from ccdr.evidence.reading import Reached, fold, meanwhile, read_verified, worth_another
from ccdr.evidence.records import Record, decode
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.records.values import WRONG

# A summary while it is made, and whether it comes to what one that was kept says.

Place = tuple[str | None, str | None]  # (plan, asset), as `Histories` has them


def head_of(mark: Mark, beside: list[list[Any]], latest: datetime, count: int) -> bytes:
    """How a file begins that was made up to there, and holds so many histories."""
    head = {"format": FORMAT, "mark": mark, "beside": beside, "latest": latest, "histories": []}
    return msgspec.msgpack.encode(head)[:-1] + b"\xdd" + count.to_bytes(4, "big")  # the list comes last


@dataclass
class Summing:
    """A summary while it is made. `beside`: the key of the ledgers that lie beside ours."""

    beside: list[list[Any]] = field(default_factory=list)
    known: Histories = field(default_factory=dict)
    latest: datetime = NEVER  # time of a record of ours

    def take(self, record: Record, *, ours: bool = True) -> None:
        take_record(self.known, record)
        if ours:
            self.latest = max(self.latest, record.time)

    def up_to(self, mark: Mark, others: Mapping[Place, bytes] | None = None) -> Iterator[bytes]:
        """What a file holds that was made up to there, in pieces; `others` are histories that another process has
        encoded."""
        yield head_of(mark, self.beside, self.latest, len(self.known) + len(others or {}))
        yield from (encoded for _, encoded in self.each_encoded())
        yield from (others or {}).values()

    def encoded(self) -> dict[Place, bytes]:
        return dict(self.each_encoded())

    def each_encoded(self) -> Iterator[tuple[Place, bytes]]:
        """Each history as a file holds it; one at a time, as all of them are tens of megabytes."""
        encode = msgspec.msgpack.Encoder().encode
        for (plan, asset), history in self.known.items():
            forget_oldest(history.deviations)
            yield (plan, asset), encode((plan, asset, history))


@dataclass(frozen=True)
class Expected:
    """What a summary that was kept says, as far as it need be known to compare another with it: the SHA-256 of each
    history. None is as one that is not `sound`: no ccdr has made it so."""

    mark: Mark
    latest: datetime
    histories: Mapping[Place, bytes]
    sound: bool = True

    def alike(self, summing: Summing) -> int | None:
        """How many histories that has, where each is as it is here; None where one is not."""
        count = 0
        for place, encoded in summing.each_encoded():
            if self.histories.get(place) != sha256(encoded).digest():
                return None
            count += 1
        return count

    def is_of(self, summing: Summing) -> bool:
        return self.says(self.alike(summing), summing.latest)

    def says(self, alike: int | None, latest: datetime) -> bool:
        """Is it what came to so many histories that are alike, and to this latest time?"""
        return self.sound and (alike, latest) == (len(self.histories), self.latest)


# Of a large ledger one process verifies, and two fold what some of the plans tell each: no plan's records change what
# is known of another. What was folded counts only where the verification took the very lines that were folded, each a
# record that is as its kind is defined; and where there is none in which another plan's records have a say: the end
# of a run that has not begun at its own place, what the ledger tells of itself under the name of a plan. In any other
# case it is folded again as a whole.

PARTS = 2  # as many fold; more would share no more processors than two
OF_ITSELF = (OF_LEDGER | {RECOVERED, ANSWERED}) - {COMPARED}  # what the ledger tells of itself, and of no plan
_PLAN = b'"plan":'


@dataclass
class _Part:
    """What one process has folded, as it tells another."""

    reached: tuple[int, str] | None  # number of the lines that it has read, and the hash of the last one
    latest: datetime
    then: tuple[int | None, datetime] | None  # at the mark: histories that are alike, and the latest time
    places: frozenset[Place]
    wrong: dict[Place, tuple[int, int]]
    of_plans: Histories
    due: DueRuns
    encoded: dict[Place, bytes]


@dataclass
class Fold:
    """A ledger folded from its beginning to its end. `keeps`: is it to be kept as a file, too?"""

    expected: Expected | None = None
    keeps: bool = False
    summing: Summing = field(default_factory=Summing)
    due: DueRuns = field(default_factory=DueRuns)
    others: dict[Place, bytes] = field(default_factory=dict)  # what another process has folded
    _then: tuple[int | None, datetime] | None = None
    _wrong: dict[Place, tuple[int, int]] = field(default_factory=dict)
    _of_plans: Histories = field(default_factory=dict)

    def take(self, record: Record) -> None:
        self.summing.take(record)
        self.due.take(record)

    @property
    def at(self) -> Reached | None:
        return None if self.expected is None else (self.expected.mark, self.compare)

    def compare(self) -> None:
        """It has come to the mark up to which the summary was made that was kept."""
        assert self.expected is not None
        self._then = self.expected.alike(self.summing), self.summing.latest

    @property
    def alike(self) -> bool:
        """Does it come to what was kept?"""
        return self.expected is not None and self._then is not None and self.expected.says(*self._then)

    @property
    def of_plans(self) -> Histories:
        """Histories of the plans themselves, not of their assets."""
        return {place: one for place, one in self.summing.known.items() if place[1] is None} | self._of_plans

    @property
    def wrong(self) -> dict[Place, tuple[int, int]]:
        """By place, how many records are such as no ccdr wrote, and where the last one stands."""
        passed = ((place, one.passed_over.get(WRONG)) for place, one in self.summing.known.items())
        return {place: of for place, of in passed if of} | self._wrong

    def up_to(self, mark: Mark) -> Iterator[bytes]:
        return self.summing.up_to(mark, self.others)

    def as_part(self, reached: tuple[int, str] | None) -> _Part:
        encoded = self.summing.encoded() if self.keeps else {}
        places = frozenset(self.summing.known)
        return _Part(reached, self.summing.latest, self._then, places, self.wrong, self.of_plans, self.due, encoded)

    def join(self, part: _Part) -> None:
        """What another process has folded of other plans."""
        self.summing.latest = max(self.summing.latest, part.latest)
        if self._then and part.then:
            counts = self._then[0], part.then[0]
            alike = None if None in counts else sum(count for count in counts if count is not None)
            self._then = alike, max(self._then[1], part.then[1])
        else:
            self._then = None
        self._wrong, self._of_plans, self.others = part.wrong, part.of_plans, part.encoded
        self.due.join(part.due)


def read_folded(directory: Path, expected: Expected | None, *, keeps: bool) -> tuple[Verification, Fold]:
    """Verify the ledger in `directory`, and fold all of it. CcdrError where it cannot be read."""
    extent = extent_of(directory)
    if worth_another(extent):
        whole = _by_parts(directory, extent, partial(Fold, expected, keeps))
        if whole is not None:
            return whole
    made = list[Fold]()

    def anew() -> Callable[[Record], None]:
        made[:] = [Fold(expected, keeps)]
        return made[0].take

    at = None if expected is None else (expected.mark, lambda: made[0].compare())
    verification = read_verified(directory, anew, at=at, crashes=True)
    return verification, made[0]


def _by_parts(directory: Path, extent: Extent, anew: Callable[[], Fold]) -> tuple[Verification, Fold] | None:
    """None where it cannot be said in parts."""

    def part(number: int) -> tuple[Fold, tuple[int, str] | None]:
        one = anew()
        return one, fold(directory, extent, _of_part(number, one), BEGINNING, one.at)

    def another() -> _Part:
        one, reached = part(1)
        return one.as_part(reached)

    with meanwhile(partial(verify, directory, extent=extent)) as verified, meanwhile(another) as theirs:
        ours, reached = part(0)
        other, verification = theirs(), verified()
    if verification is None or other is None or verification.unlike or verification.strays:
        return None
    if not reached == other.reached == (verification.records, verification.head):
        return None
    if not other.places.isdisjoint(ours.summing.known):
        return None
    ours.join(other)
    return verification, ours


def _of_part(number: int, of: Fold) -> Callable[[bytes], None]:
    """Takes a line if its plan is of this part: each plan in turn, as they appear, so that who reads the same lines
    parts them in the same way. What is of no plan is of the first part. ValueError where what a line seems to be of is
    not what it is of, and where it cannot be said without the other part what it comes to."""
    known = of.summing.known
    by_text = dict[bytes, int]()
    by_plan: dict[str | None, int] = {None: 0}

    def one(line: bytes) -> None:
        at = line.find(_PLAN) + len(_PLAN)  # the envelope's own: no object stands before it
        if line[at : at + 1] != b'"':
            part = 0
        else:
            text = line[at + 1 : line.find(b'"', at + 1)]
            part = by_text.get(text, -1)
            if part < 0:
                if b"@" in text:
                    raise ValueError("its name is that of a copy of another plan")
                part = by_text[text] = by_plan[text.decode()] = len(by_text) % PARTS
        if part == number:
            record = decode(line)
            plan, kind = record.plan, kind_of(record)
            if by_plan.get(plan) != number:
                raise ValueError("a record of a plan that its line does not seem to be of")
            if kind in START_OF:
                own = known.get((place_of(record), record.asset))
                if own is None or record.run not in own.open_runs:
                    raise ValueError("it may end a run of another plan")
            elif kind in OF_ITSELF and plan is not None:
                raise ValueError("what the ledger tells of itself is of no plan")
            of.take(record)

    return one
