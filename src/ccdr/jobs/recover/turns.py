"""What of a recovery may be done next. Pure: the work is done elsewhere, and told of here.

Of each asset: it is brought (with its own checks); then what compares it with another, or another with it, is done, as
soon as both are there; then it gets its final name. Whoever depends on it waits for its checks. One that failed stops
what depends on it, and what would have been compared with it is done without.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ccdr.model.order import ready


class Work(StrEnum):
    BRING = "bring"
    COMPARE = "compare"
    FINISH = "finish"
    OPEN = "open"


@dataclass(frozen=True)
class Turn:
    work: Work
    asset: str


@dataclass
class Turns:
    """`after` says what each depends on, `beside` whom it is compared with, by itself; `order` is in which order they
    are begun. Names in `whole` were brought and named before; those in `opens` are opened once they are named. Those in
    `uncompared` are of `whole`, and nobody has compared them well."""

    order: Sequence[str]
    after: Mapping[str, Collection[str]]
    beside: Mapping[str, Collection[str]]
    whole: Collection[str] = ()
    opens: Collection[str] = ()
    uncompared: Collection[str] = ()
    running: dict[str, Work] = field(default_factory=dict)
    brought: set[str] = field(default_factory=set)
    compared: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    stopped: dict[str, str] = field(default_factory=dict)  # never begun, by what they depend on and failed

    def __post_init__(self) -> None:
        for name in self.whole:
            self.brought.add(name)
            self.finished.add(name)
        self.compared |= set(self.whole) - set(self.uncompared)

    def take(self, turn: Turn) -> None:
        self.running[turn.asset] = turn.work

    def done(self, turn: Turn, *, well: bool) -> None:
        del self.running[turn.asset]
        if not well:
            self.failed.add(turn.asset)
            self._stop()
            return
        {
            Work.BRING: self.brought,
            Work.COMPARE: self.compared,
            Work.FINISH: self.finished,
            Work.OPEN: self.opened,
        }[turn.work].add(turn.asset)

    def _stop(self) -> None:
        """All that depends on a failed one, directly or not."""
        more = True
        while more:
            more = False
            for name in self.order:
                bad = [other for other in self.after[name] if other in self.failed or other in self.stopped]
                if bad and name not in self._begun and name not in self.stopped:
                    self.stopped[name], more = bad[0], True

    @property
    def _begun(self) -> set[str]:
        return self.brought | self.failed | self.running.keys()

    def next(self) -> Iterator[Turn]:
        """All that may be done now, what ends work before what begins more of it."""
        for name in self.order:
            if name in self.running or name in self.failed or name not in self.brought:
                continue
            if name not in self.compared and self._comparable(name):
                yield Turn(Work.COMPARE, name)
            elif name in self.compared and name not in self.finished and self._free(name):
                yield Turn(Work.FINISH, name)
            elif name in self.compared & self.finished and name in self.opens and name not in self.opened:
                yield Turn(Work.OPEN, name)
        for name in ready(self.after, self.order, self.brought, {*self._begun, *self.stopped}):
            yield Turn(Work.BRING, name)

    def _comparable(self, name: str) -> bool:
        """Those that it is compared with are there, and nothing else is done with them; or will never be."""
        return all(
            other not in self.running and (other in self.brought or self._lost(other)) for other in self.beside[name]
        )

    def _lost(self, name: str) -> bool:
        return name in self.failed or name in self.stopped or name not in self.after

    def _free(self, name: str) -> bool:
        """Nobody will look at it any more, before it has its final name."""
        return not any(
            name in others and other not in self.compared and not self._lost(other)
            for other, others in self.beside.items()
        )

    @property
    def over(self) -> bool:
        return not self.running and not any(True for _ in self.next())
