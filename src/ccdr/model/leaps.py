"""Does a backup look as if somebody had encrypted, replaced or removed what it is of? By what restic counted. Pure.

What is stored new of a text compresses as the text did before; what was encrypted does not compress. Neither alone says
anything: recordings never compressed, and a bulk load stores much that is new. So each sign asks for more than one
thing, and each against what was usual for this asset. What cannot be told so is in docs/how-to/leaps-and-canaries.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from statistics import median

LEARNING = 3  # backups that must be known before any is judged by them
KNOWN = 30  # of the newest ones that are
LEAST = 64 * 2**10  # bytes that are stored new: of less, a ratio says nothing
MUCH = 0.3  # of what was read is stored new
KEPT = 0.5  # of what there was before is there no more, from here on
HARDER = 0.15, 1.4  # that what is stored new compresses worse than what was usual: by so much, and by this factor
INCOMPRESSIBLE = 0.9
FILES = 10  # that there must be, for shares of them to say anything
STEPS = 5  # backups over which an attack may be spread, and is told
NEARLY_NONE, ONCE_MUCH = 0.05, 2**20  # that is left, of so many bytes


class Sign(StrEnum):
    """The words of records."""

    INCOMPRESSIBLE = "incompressible"  # what there was is replaced by what compresses worse
    FILES_REPLACED = "files_replaced"  # most files are others than before, and none of these compresses
    SHRUNK = "shrunk"  # nearly nothing is left
    CANARY_CHANGED = "canary_changed"
    CANARY_GONE = "canary_gone"


WORDS = {
    Sign.INCOMPRESSIBLE: "most of its data was replaced by data that compresses far worse, as encryption does",
    Sign.FILES_REPLACED: "most of its files were replaced by others that do not compress, as encryption does",
    Sign.SHRUNK: "nearly all of its data is gone",
    Sign.CANARY_CHANGED: "a canary was changed",
    Sign.CANARY_GONE: "a canary is gone",
}


@dataclass(frozen=True)
class Growth:
    """What restic counted of one backup: bytes that were read; of these, bytes that no snapshot had, as they are and as
    they are stored; files, and of these new and changed ones."""

    processed: int
    added: int
    packed: int
    files: int
    new: int
    changed: int

    def beside(self, tree: Growth) -> Growth:
        """With what was stored of the same by itself before: what that added is counted here already."""
        mine = replace(self, processed=self.processed + tree.processed, files=self.files + tree.files)
        return replace(mine, new=self.new + tree.new, changed=self.changed + tree.changed)

    @property
    def ratio(self) -> float:
        return self.packed / self.added if self.added else 0.0

    def kept_of(self, before: Growth) -> float:
        """The share of what there was that is there still, whatever was added to it."""
        return max(0, self.processed - self.added) / before.processed if before.processed else 1.0

    def lost_of(self, before: Growth) -> float:
        """The share of the files that there were that are gone or changed."""
        return 1 - max(0, self.files - self.new - self.changed) / before.files if before.files else 0.0


Step = tuple[Growth, Growth]  # a backup, and the next one


def signs(now: Growth, before: Sequence[Growth], *, drains: bool = False) -> list[Sign]:
    """`before` are the newest good ones of the same source, in order. What `drains` may well be empty: a queue.

    Each sign is looked for in the newest step, and in the newest few together: an attack may go by halves."""
    found = set(_of_one_step(now, before, drains=drains))
    for count in range(2, STEPS + 1):
        known = before[: len(before) - count + 1]
        if len(known) < LEARNING:
            break
        found |= set(_of_steps([*pairwise([*before[-count:], now])], known, drains=drains))
    return [sign for sign in Sign if sign in found]


def _of_one_step(now: Growth, before: Sequence[Growth], *, drains: bool) -> Iterator[Sign]:
    if len(before) < LEARNING:
        return
    last, much = before[-1], now.added >= max(LEAST, MUCH * now.processed)
    if much and now.kept_of(last) <= KEPT and _harder(now, before):
        yield Sign.INCOMPRESSIBLE
    lost = now.lost_of(last)
    others = last.files >= FILES and lost >= KEPT and _usually(before) <= KEPT / 2 and _replaced((last, now))
    if others and much and now.ratio >= INCOMPRESSIBLE:
        yield Sign.FILES_REPLACED
    if not drains and _shrunk(now, before):
        yield Sign.SHRUNK


def _of_steps(steps: Sequence[Step], known: Sequence[Growth], *, drains: bool) -> Iterator[Sign]:
    """What those did of these steps that put in its place what compresses worse: so much more than such steps did
    before. A day on which much goes and nothing comes is none of them, nor is one on which much comes."""
    first, now, count = steps[0][0], steps[-1][1], len(steps)
    if sum(_worsened(steps, known)) - count * median(_worsened(list(pairwise(known)), known)) >= 1 - KEPT and any(
        _worsened(steps[-1:], known)
    ):
        yield Sign.INCOMPRESSIBLE
    lost = [now.lost_of(last) if now.ratio >= INCOMPRESSIBLE and _replaced((last, now)) else 0.0 for last, now in steps]
    if first.files >= FILES and lost[-1] and sum(lost) - count * _usually(known) >= KEPT:
        yield Sign.FILES_REPLACED
    if not drains and _shrunk(now, known) and not _shrunk(steps[-1][0], known):
        yield Sign.SHRUNK


def _worsened(steps: Sequence[Step], known: Sequence[Growth]) -> list[float]:
    """Of each step the share of the data that it replaced by what compresses worse than was known."""

    def share(last: Growth, now: Growth) -> float:
        lost = 1 - min(1.0, now.kept_of(last))
        replaced = now.added >= max(LEAST, KEPT * lost * last.processed)
        return lost if replaced and _harder(now, known) else 0.0

    return [share(last, now) for last, now in steps]


def _harder(now: Growth, before: Sequence[Growth]) -> bool:
    usual = sum(g.packed for g in before) / max(1, sum(g.added for g in before))
    more, factor = HARDER
    return now.ratio >= max(usual + more, usual * factor)


def _usually(before: Sequence[Growth]) -> float:
    """The share of the files that goes from one to the next."""
    return median(later.lost_of(earlier) for earlier, later in pairwise(before))


def _replaced(step: Step) -> bool:
    """Did about as many files come as went?"""
    last, now = step
    return now.new + now.changed >= KEPT * now.lost_of(last) * last.files


def _shrunk(now: Growth, before: Sequence[Growth]) -> bool:
    smallest = min(g.processed for g in before)
    return smallest >= ONCE_MUCH and now.processed <= NEARLY_NONE * smallest
