"""What may go side by side, and how long that takes: never against an order, nor beyond what there is."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccdr.model.order import circle_of, in_order
from ccdr.model.side_by_side import Means, Task, at_once, may_begin, pace, schedule

NAMES = [f"asset-{n}" for n in range(6)]
tasks = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.floats(0.1, 1000), st.integers(0, 10), st.lists(st.sampled_from(NAMES), max_size=2, unique=True)),
    min_size=1,
    max_size=6,
)


def longest_chain(tasks: Iterable[Task]) -> float:
    """Seconds of the longest way through what depends on each other."""
    known = {task.name: task for task in tasks}
    found: dict[str, float] = {}

    def until(name: str) -> float:
        if name not in found:
            task = known[name]
            found[name] = task.seconds + max((until(need) for need in task.needs if need in known), default=0.0)
        return found[name]

    return max(map(until, known), default=0.0)


def ordered(drawn: dict[str, tuple[float, int, list[str]]]) -> list[Task] | None:
    needs = {name: [n for n in of[2] if n != name] for name, of in drawn.items()}
    if circle_of(needs):
        return None
    return [Task(n, drawn[n][0], drawn[n][1], tuple(needs[n])) for n in in_order(needs, {})]


@given(tasks, st.integers(1, 6), st.integers(1, 4), st.integers(1, 20), st.floats(0.5, 1.5))
def test_it_takes_no_less_than_the_longest_chain_nor_than_the_work_divided(
    drawn: dict[str, tuple[float, int, list[str]]], workers: int, processors: int, memory: int, shared: float
) -> None:
    if (of := ordered(drawn)) is None:
        return
    found, work = schedule(of, Means(workers, memory, processors), shared), sum(task.seconds for task in of)
    assert found.seconds >= longest_chain(of) - 1e-6
    assert found.seconds >= work / workers - 1e-6
    assert found.seconds <= work / min(1.0, shared) + 1e-6, "never longer than one by one at the slower pace"
    if len(of) > 1:
        assert found.seconds >= work / max(1.0, shared * processors) - 1e-6, "nor faster than the processors together"
    spans, known = found.spans, {task.name: task for task in of}
    assert set(spans) == set(known)
    for task in of:
        assert all(spans[need][1] <= spans[task.name][0] + 1e-9 for need in task.needs if need in spans)
    for begin, _ in spans.values():
        together = [name for name, (b, e) in spans.items() if b <= begin < e - 1e-9]
        assert len(together) <= workers
        in_use = sum(known[name].memory for name in together)
        assert in_use <= memory or len(together) == 1, "what needs more than there is goes alone"


def test_independent_ones_go_side_by_side_and_what_depends_waits() -> None:
    two = [Task("a", 10), Task("b", 10)]
    assert schedule(two, Means(2, 0), shared=1.0).seconds == 10
    assert schedule(two, Means(1, 0), shared=1.0).seconds == 20
    assert schedule([Task("a", 10), Task("b", 10, needs=("a",))], Means(2, 0), shared=1.0).seconds == 20
    assert schedule(two, Means(2, 0), shared=0.5).seconds == 20


def test_more_than_there_are_processors_share_these() -> None:
    four = [Task(name, 10) for name in "abcd"]
    assert schedule(four, Means(4, 0, 2), shared=1.0).seconds == pytest.approx(20)
    assert schedule(four, Means(4, 0, 4), shared=1.0).seconds == pytest.approx(10)
    assert schedule(four[:2], Means(4, 0, 2), shared=1.0).seconds == pytest.approx(10)
    assert [pace(n, 2, 1.0) for n in (0, 1, 2, 4)] == [1, 1, 1, 0.5]


def test_what_waits_leaves_the_processors_to_others() -> None:
    assert [at_once(n) for n in (1, 2, 4, 16)] == [4, 5, 9, 33]


def test_one_that_waits_for_memory_is_not_overtaken_for_ever() -> None:
    of = [Task("small", 1, 4), Task("large", 1, 8), Task("late", 1, 4)]
    assert may_begin(of, Means(3, 10), [], []) == ["small"]
    assert may_begin(of, Means(3, 10), ["small"], []) == ["large"]
    assert may_begin(of, Means(3, 16), [], []) == ["small", "large", "late"]


def test_what_failed_does_not_begin_again_and_nothing_that_needs_it_does() -> None:
    of = [Task("a", 1), Task("b", 1, needs=("a",)), Task("c", 1)]
    assert may_begin(of, Means(2, 1), [], [], begun=["a"]) == ["c"]
    assert may_begin(of, Means(2, 1), ["a"], []) == ["b", "c"]


def test_a_circle_is_no_schedule() -> None:
    with pytest.raises(ValueError, match="circle"):
        schedule([Task("a", 1, needs=("b",)), Task("b", 1, needs=("a",))], Means(2, 1))
