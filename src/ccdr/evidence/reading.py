"""Years of a ledger read and verified in little more than half the time: one process verifies, the other folds.

What was folded counts only where the verification took every one of the very lines that were folded for a record that
is as its kind is defined. In any other case all of it is read again by one process, which gives away nothing that
`verify` would not have.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from ccdr.evidence.ledger.ledger import BEGINNING, Extent, Mark, extent_of, lines
from ccdr.evidence.ledger.verification import Verification, VerifiedPart, verify
from ccdr.evidence.records import Record, decode

WORTH_IT = 8 * 1024**2  # bytes; a smaller ledger is read before a second process would have begun

T = TypeVar("T")
Take = Callable[[Record], None]
Reached = tuple[Mark, Callable[[], None]]  # a place in the ledger, and what to call once exactly that line was given


def read_verified(
    directory: Path,
    anew: Callable[[], Take],
    since: VerifiedPart | None = None,
    *,
    at: Reached | None = None,
    crashes: bool = False,
) -> Verification:
    """Verify the ledger in `directory`, and give each record to what `anew` returned last.

    `anew` begins a fold, and is called again where the first one cannot be used; `at` is as `verify` has it, and is
    called in each. Without `crashes` none are told: who folds follows runs itself. `since`: both begin behind what was
    verified before. Raises CcdrError where the directory cannot be read.
    """
    extent = extent_of(directory)
    if worth_another(extent, since):
        work = partial(verify, directory, crashes=crashes, extent=extent, since=since)
        verification = _by_two(directory, extent, lambda: _records(anew()), work, since, at)
        if verification is not None:
            return verification
    return verify(directory, anew(), at=at, crashes=crashes, extent=extent, since=since)


def _records(take: Take) -> Callable[[bytes], None]:
    return lambda line: take(decode(line))


@contextmanager
def another_walk(directory: Path, work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """A walk of its own over the ledger in this directory: of a large one in another process, while the block is
    carried out; else when it is asked for. CcdrError where the directory cannot be read."""
    if not worth_another(extent_of(directory)):
        yield work
        return
    with meanwhile(work) as answer:
        yield lambda: answer() or work()


def worth_another(extent: Extent, since: VerifiedPart | None = None) -> bool:
    """Is there so much to read that another process is worth to begin?"""
    first = since.mark if since else BEGINNING
    left = sum(size for name, size in extent.items() if name >= first.segment) - first.end
    return left >= WORTH_IT and several_processors()


def _by_two(
    directory: Path,
    extent: Extent,
    anew: Callable[[], Callable[[bytes], None]],
    verified: Callable[[], Verification],
    since: VerifiedPart | None,
    at: Reached | None,
) -> Verification | None:
    with meanwhile(verified) as verification:
        folded = fold(directory, extent, anew(), since.mark if since else BEGINNING, at)
        result = verification()
    usable = result is not None and not result.unlike and (result.records, result.head) == folded
    return result if usable else None


def several_processors() -> bool:
    return len(os.sched_getaffinity(0)) > 1


@contextmanager
def meanwhile(work: Callable[[], T]) -> Iterator[Callable[[], T | None]]:
    """Carry `work` out in another process, which shares all that is loaded. What it gave is had by calling what this
    yields, which waits for it: None where it was killed, or raised something."""
    context = multiprocessing.get_context("fork")  # it is there at once
    here, there = context.Pipe(duplex=False)
    worker = context.Process(target=_carry_out, args=(there, work), daemon=True)
    worker.start()
    there.close()

    def result() -> T | None:
        try:
            answer: T = here.recv()
        except (EOFError, OSError):
            return None
        return answer

    try:
        yield result
    finally:
        worker.kill()
        worker.join()
        here.close()


def _carry_out(there: Connection, work: Callable[[], object]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whoever ends all of a service ends this one, without a word
    with suppress(Exception):  # whoever waits does it himself, and meets it
        there.send(work())


def fold(
    directory: Path, extent: Extent, take: Callable[[bytes], None], since: Mark, at: Reached | None
) -> tuple[int, str] | None:
    """Number of the records that were taken, and the hash of the last one; None where they could not be. A line that
    is wrong in a way not seen here is seen by the verifier."""
    count, last = since.seq, b""
    mark, reached = at or (BEGINNING, lambda: None)
    meets = mark.seq  # only there it costs anything
    try:
        for name, size in extent.items():
            end = since.end if name == since.segment else 0
            for line in lines(directory, {name: size}, since):
                take(line)
                count, last, end = count + 1, line, end + len(line)
                if count == meets and mark == Mark(name, end - len(line), end, count, sha256(line).hexdigest()):
                    reached()
    except Exception:  # whatever it was: reading by one process meets it again, and says so
        return None
    return count, sha256(last).hexdigest() if last else since.hash
