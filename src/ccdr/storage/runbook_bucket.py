"""A bucket in which runbooks' states lie: an object for each happening, written once, so that of two hosts only one
can go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ccdr.model.errors import CcdrError
from ccdr.storage.s3 import Bucket

E = TypeVar("E")


class WrittenBefore(Exception):
    """Somebody else has written that object first."""


@dataclass
class OnceOnly(Generic[E]):
    """Objects `PREFIX/plan/run/00000001.json`. All raise CcdrError where the store says no or does not answer."""

    bucket: Bucket
    prefix: str  # ends in a slash, or is empty
    plan: str
    encode: Callable[[str, E], bytes]  # of a run
    decode: Callable[[str, bytes, str], E]
    _kept: bool = field(default=False, init=False)  # does the store keep what was written first?

    def runs(self) -> list[str]:
        """Oldest first."""
        return sorted({key.removeprefix(self._below).partition("/")[0] for key in self.bucket.keys(self._below)})

    def numbered(self, run: str, after: int = 0) -> Iterator[E]:
        """Behind that number, as far as they go without a gap."""
        number = after + 1
        while (body := self.bucket.contents(key := self._key(run, number))) is not None:
            yield self.decode(run, body, key)
            number += 1

    def put(self, run: str, number: int, one: E) -> None:
        """WrittenBefore where somebody else was first."""
        key, body = self._key(run, number), self.encode(run, one)
        if not self.bucket.put_once(key, body) and self.bucket.contents(key) != body:
            raise WrittenBefore(key)
        if not self._kept:  # a store that knows no conditions would let the second one win
            self._kept = not self.bucket.put_once(key, body)
        if not self._kept:
            raise CcdrError(
                f"the store at {self.bucket.endpoint} knows no conditional writes (If-None-Match), so that it cannot "
                "keep two hosts apart",
                hint="name a bucket of a store that does in `runbook_state:`; until then the state is on this host",
            )

    @property
    def _below(self) -> str:
        return f"{self.prefix}runbook/{self.plan}/"

    def _key(self, run: str, number: int) -> str:
        return f"{self._below}{run}/{number:08}.json"
