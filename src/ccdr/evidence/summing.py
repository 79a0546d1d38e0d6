"""A summary while it is made, and whether it comes to what one that was kept says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec

from ccdr.evidence.deviations.spans import forget_oldest
from ccdr.evidence.history.fold import FORMAT, take_record
from ccdr.evidence.history.places import Histories
from ccdr.evidence.ledger.places import Mark
from ccdr.evidence.verdicts import Record

Place = tuple[str | None, str | None]  # (plan, asset), as `Histories` has them


def head_of(mark: Mark, beside: list[list[Any]], latest: str, count: int) -> bytes:
    """How a file begins that was made up to there, and holds so many histories."""
    head = {"format": FORMAT, "mark": mark, "beside": beside, "latest": latest, "histories": []}
    return msgspec.msgpack.encode(head)[:-1] + b"\xdd" + count.to_bytes(4, "big")  # the list comes last


@dataclass
class Summing:
    """A summary while it is made. `beside`: the key of the ledgers that lie beside ours."""

    beside: list[list[Any]] = field(default_factory=list)
    known: Histories = field(default_factory=dict)
    latest: str = ""  # time of a record of ours

    def take(self, record: Record, *, ours: bool = True) -> None:
        take_record(self.known, record)
        if ours and record["time"] > self.latest:
            self.latest = record["time"]

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
    latest: str
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

    def says(self, alike: int | None, latest: str) -> bool:
        """Is it what came to so many histories that are alike, and to this latest time?"""
        return self.sound and (alike, latest) == (len(self.histories), self.latest)
