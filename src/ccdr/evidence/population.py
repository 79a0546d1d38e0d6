"""Ledgers beside ours are read with it as one population: lost ones of this host's that were brought back, and other
hosts' that were collected (`STATE/ledgers/ID`).

Which they are, our own ledger says: a record of it tells of each that was taken in, how many records it had and the
last one's hash. Whatever else lies there is not read; what is not as it was taken in is told, and not read either.

Their records come between ours by their times, each ledger in its own order whatever its clock did, and none later than
our record of it. What was written while a clock was ahead, or behind, goes by the record before it. So the order is the
same for whoever reads, today and later, as long as our clock is not set back. Ours keep their numbers; one of another
ledger gets as its `seq` a number that lies between, by which it can be compared, and `told_by` says which record of
which ledger it is.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from operator import le
from pathlib import Path
from typing import TypeVar

from msgspec import structs

from ccdr.evidence.ledger.ledger import BEGINNING, Extent, Ledger, extent_of, lines
from ccdr.evidence.ledger.verification import Verification, verify
from ccdr.evidence.lineage.comparison import lies_at, reader
from ccdr.evidence.lineage.own_records import LEDGERS, LedgerBeside, Lineage
from ccdr.evidence.reading import Take, meanwhile
from ccdr.evidence.records import Record, TestEnd, decode
from ccdr.evidence.records.values import RecordOrigin
from ccdr.host.state import State
from ccdr.model.errors import CcdrError
from ccdr.model.values import so_many, stamped, to_the_second, utc

STEP = 2.0**-28  # between two records of other ledgers that lie between the same two of ours: any sum of it is exact

T = TypeVar("T")


@dataclass(frozen=True)
class Chain:
    """A ledger that lies beside ours: with so many records, the last of this hash, as it was `taken` in. `ours`: it was
    this host's, and lost. `host` wrote its last record, at `until`: beyond that it tells nothing."""

    ledger: str
    directory: Path
    records: int
    head: str
    taken: str
    ours: bool
    host: str
    until: str
    apart: tuple[str, ...] = ()  # plans that are others than ours of that name: nothing of them is read

    @property
    def reader(self) -> Ledger:
        return reader(self.directory)

    def placed(self, record: Record, at: float) -> Record:
        """A record of it as it is read with ours, at this place."""
        origin = RecordOrigin(
            ledger=self.ledger,
            host=self.host,
            until=utc(self.until),
            ours=self.ours,
            taken=utc(self.taken),
            order=at,
        )
        if isinstance(record, TestEnd) and record.newer is not None:
            # The number is of a record of its own ledger: its time tells the same.
            return structs.replace(record, told_by=origin, newer=structs.replace(record.newer, seq=None))
        return structs.replace(record, told_by=origin)

    def __str__(self) -> str:
        whose = "this host's, which was lost" if self.ours else f"of {self.host}"
        sentence = (
            f"ledger {self.ledger[:8]} {whose}, {so_many(self.records, 'record')}, up to {to_the_second(self.until)}"
        )
        other = (
            f"; but for {', '.join(self.apart)}: it knows no snapshot of a plan of that name here, it is another one"
        )
        return sentence + (other if self.apart else "")

    def as_json(self) -> dict[str, object]:
        return {
            "ledger": self.ledger,
            "host": self.host,
            "records": self.records,
            "known_until": self.until,
            "lost_here": self.ours,
            "apart": list(self.apart),
        }

    @property
    def key(self) -> list[object]:
        """All that its records' places, and what is read of them, go by."""
        return [self.ledger, self.records, self.head, self.ours, list(self.apart), self.taken]

    def problems(self) -> list[str]:
        """What a verification of all of it finds: sentences that name it."""
        return [f"ledger {self.ledger[:8]}…: {problem}" for problem in self._problems()]

    def _problems(self) -> Iterator[str]:
        try:
            verification = verify(self.directory, crashes=False)
        except CcdrError as error:
            yield str(error)
            return
        yield from verification.problems
        if verification.ok and (verification.records, verification.head) != (self.records, self.head):
            yield "it is not as it was taken in: records of it were added, removed or rewritten"


@dataclass(frozen=True)
class Unsound:
    """A ledger that lies beside ours, and is not what it was: `problems` are sentences that name it."""

    ledger: str
    problems: tuple[str, ...]

    def __str__(self) -> str:
        more = f", and {so_many(len(self.problems) - 1, 'problem')} more" if len(self.problems) > 1 else ""
        return f"{self.problems[0]}{more}; it lies beside this one, and nothing of it is read"


@dataclass(frozen=True)
class Population:
    """The ledgers that are read with ours, if any."""

    chains: tuple[Chain, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.chains)

    @property
    def key(self) -> list[list[object]]:
        """Tells two populations apart."""
        return [chain.key for chain in self.chains]

    def problems(self) -> list[str]:
        return [problem for chain in self.chains for problem in chain.problems()]

    def examined(self) -> tuple[Population, tuple[Unsound, ...]]:
        """Without those that do not verify: nothing of them is believed; and which those are."""
        of_each = [(chain, chain.problems()) for chain in self.chains]
        sound = Population(tuple(chain for chain, wrong in of_each if not wrong))
        return sound, tuple(Unsound(chain.ledger, tuple(wrong)) for chain, wrong in of_each if wrong)

    def sound(self) -> Population:
        return self.examined()[0]


ALONE = Population()


def population(state: State, lineage: Callable[[], Lineage]) -> Population:
    """What lies beside our ledger as it was taken in. CcdrError where ours cannot be read."""
    if not (state.root / LEDGERS).is_dir():
        return ALONE
    own = lineage()
    astray = {key for key, _ in own.astray} | {one.ledger for one in own.gone}
    there = [one for key, one in sorted(own.beside.items()) if key not in astray and one.records]
    return Population(tuple(_chain(state, one) for one in there))


def _chain(state: State, one: LedgerBeside) -> Chain:
    """Whoever's id it bears, it is ours only where it was brought back as ours: anybody may write such an id."""
    directory = lies_at(state, one)
    last = next(reader(directory).as_read(reverse=True))
    ours, host, until = one.linked, last.host, stamped(last.time)
    return Chain(one.ledger, directory, one.records, one.head, one.at, ours, host, until, one.apart)


def records_of(ledger: Ledger, beside: Population) -> Iterator[Record]:
    """All records as one population, as readers fold them, oldest first. Raises as `Ledger.records`."""
    if not beside:
        return ledger.as_read()
    return (record for _, record in merged(lambda: ledger.after(BEGINNING), beside))


def merged(own: Callable[[], Iterable[tuple[T, Record]]], beside: Population) -> Iterator[tuple[T | None, Record]]:
    """All records as one population; ours, which are read twice, with what they came with."""
    chains = [_among(number, chain, partial(_of, chain)) for number, chain in enumerate(beside.chains)]
    streams: list[Iterator[tuple[str, int, tuple[T | None, Record]]]] = [*chains, _among(len(chains), None, own)]
    before, since = 0, 0
    for _, number, (mark, record) in heapq.merge(*streams, key=lambda one: one[:2]):
        if number == len(chains):
            before, since = record.seq, 0
            yield mark, record
        else:
            since += 1
            yield None, beside.chains[number].placed(record, before + since * STEP)


def _among(
    number: int, chain: Chain | None, records: Callable[[], Iterable[tuple[T, Record]]]
) -> Iterator[tuple[str, int, tuple[T, Record]]]:
    """With what a record's place goes by. All times are written alike, so that their texts compare as they do."""
    places = in_order([stamped(record.time) for _, record in records()])
    for place, one in zip(places, records(), strict=False):  # what was written meanwhile is read by the next
        yield place if chain is None else min(place, chain.taken), number, one


def in_order(times: list[str]) -> list[str]:
    """Each record's place: its own time where that is one of the most that follow one another, else (the clock was
    ahead, or behind) the one of these before it. What is later than all of them changes no earlier one's place."""
    if all(map(le, times, islice(times, 1, None))):
        return times
    ends: list[str] = []  # of the records before, by how many follow one another up to there: the least …
    last: list[int] = []  # … and which record that is
    before: list[int] = []
    for number, time in enumerate(times):
        at = bisect_right(ends, time)
        before.append(last[at - 1] if at else -1)
        ends[at : at + 1], last[at : at + 1] = [time], [number]
    following, number = set[int](), last[-1]
    while number >= 0:
        following.add(number)
        number = before[number]
    place = times[min(following)]
    return [place := time if number in following else place for number, time in enumerate(times)]


def _of(chain: Chain) -> Iterator[tuple[None, Record]]:
    return ((None, record) for record in chain.reader.as_read() if record.plan not in chain.apart)


def read_population(directory: Path, beside: Population, anew: Callable[[], Take]) -> tuple[Verification, Population]:
    """As `reading.read_verified`, of all of them; and those beside ours that were believed. What is wrong with another
    is among the problems."""
    extent = extent_of(directory)

    def verified() -> tuple[Verification, list[list[str]]]:
        return verify(directory, crashes=False, extent=extent), [chain.problems() for chain in beside.chains]

    with meanwhile(verified) as verification:
        folded = _fold(directory, extent, beside, anew())
        result, of_each = verification() or verified()
    if any(of_each):
        beside = Population(tuple(chain for chain, wrong in zip(beside.chains, of_each, strict=True) if not wrong))
        folded = _fold(directory, extent, beside, anew())
    if not folded:  # some line is no record: what is, is taken as whoever verifies meets it
        own: list[tuple[None, Record]] = []
        verify(directory, lambda record: own.append((None, record)), crashes=False, extent=extent)
        take = anew()
        for _, record in merged(lambda: own, beside):
            take(record)
    return replace(result, problems=(*result.problems, *(problem for wrong in of_each for problem in wrong))), beside


def _fold(directory: Path, extent: Extent, beside: Population, take: Take) -> bool:
    """Could all of it be read?"""

    def own() -> Iterator[tuple[None, Record]]:
        return ((None, decode(line)) for line in lines(directory, extent))

    try:
        for _, record in merged(own, beside):
            take(record)
    except Exception:  # whatever it was, the verification tells
        return False
    return True
