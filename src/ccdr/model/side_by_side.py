"""Work that depends on other work, side by side within processors and memory: what may begin, and how long all of it
takes. Pure: what is foretold, and who carries it out, go by the same rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

# How many full speeds each processor gives, where more than one is at work: four restore tests side by side on two of
# them were 1.65 times as fast as one by one (docs/explanation/benchmarks.md), and not twice.
SHARED = 1.65 / 2
FEWEST = 4


def at_once(processors: int) -> int:
    """How many are at work side by side: each waits (for its store, for a server that starts or ends) about as long as
    it computes."""
    return max(FEWEST, 2 * processors + 1)


def pace(running: int, processors: int, shared: float = SHARED) -> float:
    """At which part of its own speed each of so many goes."""
    return 1.0 if running <= 1 else min(1.0, shared * processors / running)


@dataclass(frozen=True)
class Task:
    """Seconds that it takes by itself, bytes of memory that it needs meanwhile, and what must be done before it."""

    name: str
    seconds: float
    memory: int = 0
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Means:
    """How many are at work at once, the memory that they share, in bytes, and the processors (0: one for each)."""

    workers: int
    memory: int
    processors: int = 0


def may_begin(
    tasks: Sequence[Task], means: Means, done: Collection[str], running: Collection[str], begun: Collection[str] = ()
) -> list[str]:
    """Of these, in their order, those that may begin now. What needs more memory than there is at all begins alone. One
    that has to wait for memory is not overtaken for ever: what comes after it begins only where that is enough for
    both. `begun` are those that have ended otherwise: they do not begin again, and what needs them never does."""
    known = {task.name: task for task in tasks}
    free = means.memory - sum(known[name].memory for name in running if name in known)
    slots = means.workers - len(running)
    now: list[str] = []
    for task in tasks:
        if slots <= len(now):
            break
        if task.name in done or task.name in running or task.name in begun:
            continue
        if any(need not in done and need in known for need in task.needs):
            continue
        if task.memory <= free or not (running or now):
            now.append(task.name)
        # Its memory is kept for it, also where it has to wait.
        free -= task.memory
    return now


@dataclass(frozen=True)
class Schedule:
    """When each begins and ends (seconds from the start), and the most memory that was in use at once."""

    spans: Mapping[str, tuple[float, float]]
    memory: int

    @property
    def seconds(self) -> float:
        return max((end for _, end in self.spans.values()), default=0.0)


def schedule(tasks: Sequence[Task], means: Means, shared: float = SHARED) -> Schedule:
    """`shared` is how many full speeds each processor gives. ValueError where they go in a circle."""
    left = {task.name: task.seconds for task in tasks}
    memory = {task.name: task.memory for task in tasks}
    began: dict[str, float] = {}
    spans: dict[str, tuple[float, float]] = {}
    now, most = 0.0, 0
    while len(spans) < len(tasks):
        running = [name for name in began if name not in spans]
        for name in may_begin(tasks, means, spans, running):
            began[name] = now
            running.append(name)
        if not running:
            raise ValueError("a circle")
        most = max(most, sum(memory[name] for name in running))
        speed = pace(len(running), means.processors or means.workers, shared)
        step = min(left[name] for name in running)
        now += step / speed
        for name in running:
            left[name] -= step
            if left[name] <= 1e-9:
                spans[name] = began[name], now
    return Schedule(spans, most)
