"""Hashing ahead: while one batch of files is hashed, the next is looked at, so that neither waits for the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import TypeVar

from ccdr.host.interrupts import threads
from ccdr.model.values import FileDigest

BATCH = 8000  # entries looked at together: bounds memory, not speed

T = TypeVar("T")


Digests = Mapping[str, FileDigest]


def hashed_ahead(
    items: Iterator[T], name_of: Callable[[T], str | None], digest: Callable[[list[str]], Digests]
) -> Iterator[tuple[list[T], Digests]]:
    """Batch by batch, in order, each with the digests of those that have a name to hash."""
    with threads(1) as pool:
        before: tuple[list[T], Future[Digests] | None] = [], None
        while batch := list(itertools.islice(items, BATCH)):
            names = [name for item in batch if (name := name_of(item)) is not None]
            hashing = pool.submit(digest, names) if names else None
            yield _with_result(*before)
            before = batch, hashing
        yield _with_result(*before)


def _with_result(batch: list[T], hashing: Future[Digests] | None) -> tuple[list[T], Digests]:
    return batch, {} if hashing is None else hashing.result()
