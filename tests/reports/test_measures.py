"""Numbers from curves, against curves whose number is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from reports.measures import (
    Reached,
    area_over_log_size,
    bits_recalled,
    capacity,
    extrapolation,
    median,
    median_interval,
    state_efficiency,
    time_to,
)


def test_capacity_is_between_the_sizes_that_do_and_do_not() -> None:
    assert capacity([4, 8, 16], [1.0, 0.95, 0.85]) == Reached(pytest.approx(2**3.5), censored=False)
    assert capacity([4, 8], [1.0, 0.9]) == Reached(8.0, censored=True)
    assert capacity([4, 8], [0.5, 1.0]) == Reached(0.0, censored=False)
    assert capacity([4, 8, 16, 32], [1.0, 0.9, 0.8, 1.0]).value == pytest.approx(8.0)
    assert str(capacity([4, 8], [1.0, 1.0])) == "> 8"


def test_area_of_a_line_over_log_size() -> None:
    sizes = [2**i for i in range(5)]
    assert area_over_log_size(sizes, [1 - i / 4 for i in range(5)]) == pytest.approx(0.5)
    assert area_over_log_size([1, 2, 16], [1.0, 0.0, 0.0]) == pytest.approx(0.125)
    assert area_over_log_size([7], [0.25]) == 0.25


def test_time_needs_two_in_a_row() -> None:
    times = [10, 20, 30, 40, 50]
    assert time_to(times, [0.5, 0.995, 0.5, 0.99, 1.0]) == Reached(40.0, censored=False)
    assert time_to(times, [0.5, 0.995, 0.5, 0.98, 1.0]) == Reached(50.0, censored=True)
    assert time_to(times, [0.5, 0.995, 0.5, 0.98, 1.0], in_a_row=1).value == 20
    assert time_to(times, [0.995, math.nan, 1.0, math.nan, 1.0]) == at_least(50)


def test_a_run_that_was_stopped_because_it_arrived_has_arrived() -> None:
    assert time_to([10, 20, 30], [0.5, 0.6, 0.99]) == at_least(30)
    assert time_to([10, 20, 30], [0.5, 0.6, 0.99], stopped=True) == at(30)
    assert time_to([10, 20, 30], [0.5, 0.99, 0.99], in_a_row=3, stopped=True) == at(20)
    assert time_to([10, 20, 30], [0.5, 0.99, 0.6], stopped=True) == at_least(30)


def at(value: float) -> Reached:
    return Reached(float(value), censored=False)


def at_least(value: float) -> Reached:
    return Reached(float(value), censored=True)


def test_a_median_with_runs_that_never_arrived() -> None:
    fast, slow, never = at(10), at(90), at_least(100)
    assert median([never, fast, slow]) == slow
    assert median([never, never, fast]) == never
    assert median([fast, slow]) == slow
    assert median([fast, fast, slow, never]) == slow
    assert median([fast, slow, never, never]) == never
    with pytest.raises(ValueError, match="no values"):
        median([])


def test_a_run_censored_early_leaves_the_median_open_only_if_it_could_move_it() -> None:
    """One of a shorter budget may have arrived before the slow ones, or after."""
    assert median([at(10), at_least(50), at(90)]) == at_least(50)
    assert median([at(10), at(20), at_least(50)]) == at(20)
    assert median([at(10), at(20), at(30), at_least(15), at_least(99)]) == at_least(20)
    assert median([at(10), at(60), at(70), at_least(50), at_least(55)]) == at_least(55)


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=9), st.data())
@settings(max_examples=200, deadline=None)
def test_what_is_said_of_a_median_and_its_interval_holds_however_long_they_took(rows, data) -> None:
    values = [Reached(float(v), censored) for v, censored in rows]
    later = data.draw(st.lists(st.integers(0, 9), min_size=len(rows), max_size=len(rows)))
    took = sorted(v + more * censored for (v, censored), more in zip(rows, later, strict=True))
    said, true = median(values), took[len(took) // 2]
    assert true >= said.value if said.censored else true == said.value
    if len(rows) < 6:
        return
    low, high = median_interval(values)
    k = {6: 1, 7: 1, 8: 1, 9: 2}[len(rows)]
    assert low.value <= took[k - 1]
    assert took[-k] >= high.value if high.censored else took[-k] <= high.value


@pytest.mark.parametrize(("count", "k"), [(6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (20, 6)])
def test_the_interval_of_a_median_is_the_sign_test_s(count: int, k: int) -> None:
    """The places of the tables, and scipy's test of a share of one half on either side."""
    values = [at(v) for v in range(1, count + 1)]
    assert median_interval(values) == (at(k), at(count + 1 - k))
    assert binomtest(k - 1, count).pvalue <= 0.05 < binomtest(k, count).pvalue


def test_the_interval_of_a_median_covers_and_may_be_open() -> None:
    assert median_interval([at(1), at(2), *[at_least(9)] * 5]) == (at(1), at_least(9))
    assert str(median_interval([at(1)] * 6 + [at_least(9)])[1]) == "> 9"
    with pytest.raises(ValueError, match="5 values: an interval of the median takes at least 6"):
        median_interval([at(1)] * 5)
    times = np.random.default_rng(0).exponential(10, (1000, 12))
    found = [median_interval([at(t) if t < 25 else at_least(25) for t in row]) for row in times]
    truth = 10 * math.log(2)
    covered = np.mean([low.value <= truth <= (math.inf if high.censored else high.value)
                       for low, high in found])  # fmt: skip
    assert 0.94 < covered < 0.98  # 1 - 2 P(Bin(12, 1/2) < 3) = 0.961


def test_extrapolation_stops_at_the_first_gap() -> None:
    lengths, accuracies = [64, 128, 256, 512], [1.0, 0.995, 0.95, 1.0]
    assert extrapolation(lengths, accuracies, 64) == 2
    assert extrapolation(lengths, accuracies, 64, least=0.9) == 8
    assert extrapolation(lengths, [0.9, 1, 1, 1], 64) == 0
    assert extrapolation([32, 64, 128], [1.0, 0.9, 1.0], 64) == 0
    assert extrapolation([128, 256], [1.0, 0.9], 64) == 2


def test_bits_above_chance() -> None:
    assert bits_recalled(8, 16, 1.0, 1 / 16) == 32
    assert bits_recalled(8, 16, 1 / 16, 1 / 16) == 0
    assert bits_recalled(8, 16, 0.0, 1 / 16) == 0
    assert bits_recalled(4, 4, 0.625, 0.25) == pytest.approx(4)
    assert state_efficiency(32, 4) == 1
    with pytest.raises(ValueError, match="state_bytes=0"):
        state_efficiency(1, 0)


@pytest.mark.parametrize("sizes", [[], [4, 4], [8, 4], [1, 2, 3]])
def test_what_is_no_curve_is_refused(sizes: list[float]) -> None:
    for measure in (capacity, area_over_log_size):
        with pytest.raises(ValueError, match=r"sizes"):
            measure(sizes, [0.5, math.nan])


def test_a_curve_with_a_hole_is_refused() -> None:
    """Nothing is at least nan, and nothing below it: a comparison would have let it pass."""
    for measure in (capacity, area_over_log_size, lambda *curve: extrapolation(*curve, 64)):
        with pytest.raises(ValueError, match="accuracies must be numbers"):
            measure([64, 128], [1.0, math.nan])
