"""What depends on each other: never in a circle, each after what it needs, the lowest priority number first."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccdr.model.order import circle_of, in_order, ready

NAMES = [f"asset-{n}" for n in range(6)]
graphs = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4), max_size=6)


@given(graphs, st.dictionaries(st.sampled_from(NAMES), st.integers(1, 999)))
def test_each_comes_once_and_after_all_that_it_needs_or_there_is_a_circle(
    needs: dict[str, list[str]], priority: dict[str, int]
) -> None:
    if circle := circle_of(needs):
        assert circle[0] == circle[-1] and all(b in needs[a] for a, b in itertools.pairwise(circle))
        with pytest.raises(ValueError, match="circle"):
            in_order(needs, priority)
        return
    ordered = in_order(needs, priority)
    assert sorted(ordered) == sorted(needs)
    for place, name in enumerate(ordered):
        assert set(needs[name]) & set(needs) <= set(ordered[:place])
    done: list[str] = []
    while left := ready(needs, ordered, done, done):  # it never gets stuck
        done.append(left[0])
    assert sorted(done) == sorted(needs)


def test_of_what_may_begin_the_lowest_number_is_first_then_as_written() -> None:
    needs: dict[str, list[str]] = {"a": [], "b": [], "c": ["b"], "d": []}
    assert in_order(needs, {"d": 1}) == ["d", "a", "b", "c"]
    assert in_order(needs, {"c": 1, "b": 2}) == ["b", "c", "a", "d"]
    assert ready(needs, ["d", "a", "b", "c"], done=["d"], begun=["d", "a"]) == ["b"]


def test_of_equal_numbers_the_longest_is_first_with_all_that_waits_for_it() -> None:
    needs: dict[str, list[str]] = {"a": [], "b": [], "c": ["b"], "d": []}
    assert in_order(needs, {}, {"a": 5, "b": 1, "c": 5, "d": 9}) == ["d", "b", "a", "c"]
    assert in_order(needs, {"a": 1, "d": 2}, {"a": 5, "b": 1, "c": 5, "d": 9}) == ["a", "d", "b", "c"], "what is asked"
    assert in_order({"a": ["not-here"], "b": []}, {}, {"a": 1, "b": 1}) == ["a", "b"], "alike: as written"
