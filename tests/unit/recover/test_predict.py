"""How long it should take: by what was measured, honest about how sure that is."""

from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccdr.jobs.recover.prediction import DURABLE, THROWAWAY, MeasuredRun, Work, predicted

MIB = 2**20


def run(
    size: float, seconds: float, *, log: int = 0, applied: float = 0.0, basis: str = THROWAWAY, load: float = 0.5
) -> MeasuredRun:
    """Of which so much is the load."""
    phases = {"fetch": seconds * (1 - load) / 2, "load": seconds * load + applied, "check": seconds * (1 - load) / 2}
    return MeasuredRun(phases, int(size), log, basis)


def measured(
    sizes: list[float], fixed: float, rate: float, noise: float, seed: int, runs: int = 5
) -> list[MeasuredRun]:
    """`rate` is seconds a MiB; the noise is a part of the time."""
    rng = random.Random(seed)
    return [
        run(size * MIB, (fixed + rate * size) * (1 + rng.gauss(0, noise))) for size, _ in product(sizes, range(runs))
    ]


@settings(max_examples=60)
@given(st.floats(0.2, 5), st.floats(0.002, 0.2), st.integers(0, 10**6), st.sampled_from([20, 100, 1000]))
def test_three_sizes_of_five_runs_foretell_four_times_the_largest(
    fixed: float, rate: float, seed: int, base: int
) -> None:
    runs = measured([base, 2 * base, 3 * base], fixed, rate, 0.03, seed)
    found = predicted(runs, Work(12 * base * MIB))
    true = fixed + rate * 12 * base
    assert found is not None and abs(found.seconds / true - 1) < 0.2
    assert found.low <= found.seconds <= found.high and found.runs == 15 and not found.far


def test_the_interval_holds_nine_of_ten_and_is_no_wider_than_that_asks() -> None:
    covered, widths, rounds = 0, [], 300
    for seed in range(rounds):
        rng = random.Random(seed * 7 + 1)
        fixed, rate, noise = rng.uniform(0.3, 3), rng.uniform(0.005, 0.05), rng.uniform(0.02, 0.08)
        found = predicted(measured([100, 200, 300], fixed, rate, noise, seed), Work(400 * MIB))
        assert found is not None
        comes = (fixed + rate * 400) * (1 + rng.gauss(0, noise))
        covered += found.low <= comes <= found.high
        widths.append((found.high - found.low) / found.seconds)
    assert covered / rounds >= 0.88, covered / rounds
    assert sorted(widths)[rounds // 2] < 0.5, "so wide that it says nothing"


def test_one_run_that_was_disturbed_moves_nothing() -> None:
    runs = measured([100, 200, 300], 1.0, 0.02, 0.01, 3)
    disturbed = [*runs[:-1], run(runs[-1].bytes, 400.0)]
    one, other = predicted(runs, Work(1200 * MIB)), predicted(disturbed, Work(1200 * MIB))
    assert one is not None and other is not None
    assert abs(other.seconds / one.seconds - 1) < 0.1


@pytest.mark.parametrize("seed", range(20))
def test_tests_of_almost_nothing_do_not_foretell_hours(seed: int) -> None:
    """Some kilobytes, in which noise is larger than what the bytes cost: 10 GiB at 100 MiB/s are 100 s and a bit."""
    runs = measured([0.001, 0.002, 0.003], 1.0, 0.01, 0.1, seed)
    found = predicted(runs, Work(10 * 2**30))
    assert found is not None and found.far, "and it says that it is a guess"
    assert 60 < found.seconds < 1000
    assert found.low <= 103 <= found.high


def test_the_same_size_again_takes_what_it_took() -> None:
    """As in most plans: tests of what grows slowly."""
    rng = random.Random(1)
    runs = [run((1000 + n) * MIB, 30 * (1 + rng.gauss(0, 0.05))) for n in range(8)]
    found = predicted(runs, Work(1010 * MIB))
    assert found is not None and not found.far
    assert abs(found.seconds / 30 - 1) < 0.1 and found.low < 30 < found.high and found.high < 45
    assert set(found.phases) == {"fetch", "load", "check", "finish"}


def test_a_single_run_is_wide_and_none_is_no_number() -> None:
    found = predicted([run(100 * MIB, 10)], Work(400 * MIB))
    assert found is not None and found.low <= 10 and found.high >= 40 and found.runs == 1
    assert predicted([], Work(400 * MIB)) is None


def test_durable_settings_are_not_taken_for_throwaway_ones() -> None:
    throwaway = [run(1000 * MIB, 20, load=0.6) for _ in range(5)]
    durable = [run(1000 * MIB, 30, load=0.7, basis=DURABLE) for _ in range(3)]
    known = predicted([*throwaway, *durable], Work(1000 * MIB, durable=True))
    assert known is not None and known.basis is None and abs(known.seconds - 30) < 0.1
    guessed = predicted(throwaway, Work(1000 * MIB, durable=True))
    assert guessed is not None and guessed.basis == "measured on throwaway servers"
    assert 24 < guessed.seconds < 30 and guessed.high > 30
    twin = predicted(throwaway, Work(1000 * MIB, durable=False))
    assert twin is not None and abs(twin.seconds - 20) < 0.1


def test_log_that_is_applied_takes_its_own_time() -> None:
    base = [run(500 * MIB, 10) for _ in range(5)]
    by_log = [run(500 * MIB, 10, log=n * 100 * MIB, applied=n * 8.0) for n in (1, 2, 3)]
    none = predicted([*base, *by_log], Work(500 * MIB))
    some = predicted([*base, *by_log], Work(500 * MIB, log_bytes=1000 * MIB))
    assert none is not None and abs(none.seconds - 10) < 0.1
    assert some is not None and abs(some.seconds - 90) < 18 and some.low < 90 < some.high
    unknown = predicted(base, Work(500 * MIB, log_bytes=1000 * MIB))
    assert unknown is not None and unknown.high / unknown.seconds > some.high / some.seconds


def test_where_all_was_by_the_log_both_count_as_bytes() -> None:
    runs = [run(100 * MIB, 0.0, log=n * 100 * MIB, applied=2.0 + n) for n in (1, 2, 3, 1, 2, 3)]
    found = predicted(runs, Work(100 * MIB, log_bytes=400 * MIB))
    assert found is not None and abs(found.seconds - 6) < 0.6


@given(st.lists(st.tuples(st.integers(0, 10**12), st.floats(0, 10**5)), max_size=12), st.integers(0, 10**13))
def test_whatever_was_measured_it_is_a_number_between_its_bounds(runs: list[tuple[int, float]], size: int) -> None:
    found = predicted([run(s, t) for s, t in runs], Work(size))
    assert (found is None) == (not runs)
    if found is not None:
        assert 0 <= found.low <= found.seconds <= found.high < float("inf")
