"""Hashing ahead: while one batch of files is hashed, the next is looked at, so that neither waits for the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ccdr.model import FileDigest

BATCH = 8000  # entries looked at together: bounds memory, not speed

T = TypeVar("T")


def hashed_ahead(
    items: Iterator[T], hash_of: Callable[[list[T]], Mapping[str, FileDigest]]
) -> Iterator[tuple[list[T], Mapping[str, FileDigest]]]:
    """Batch by batch, in order, each with what `hash_of` says of it."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        before = None
        while batch := list(itertools.islice(items, BATCH)):
            hashing = pool.submit(hash_of, batch)
            if before is not None:
                yield before[0], before[1].result()
            before = batch, hashing
        if before is not None:
            yield before[0], before[1].result()
