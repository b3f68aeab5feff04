"""Numbers from curves, against curves whose number is known."""

from __future__ import annotations

import math

import pytest

from reports.measures import (
    Reached,
    area_over_log_size,
    bits_recalled,
    capacity,
    extrapolation,
    median,
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


def test_a_median_with_runs_that_never_arrived() -> None:
    fast, slow, never = (
        Reached(10.0, censored=False),
        Reached(90.0, censored=False),
        Reached(50.0, censored=True),
    )
    assert median([never, fast, slow]) == slow
    assert median([never, never, fast]) == never
    assert median([fast, slow]) == slow
    with pytest.raises(ValueError, match="no values"):
        median([])


def test_extrapolation_stops_at_the_first_gap() -> None:
    lengths, accuracies = [64, 128, 256, 512], [1.0, 0.995, 0.95, 1.0]
    assert extrapolation(lengths, accuracies, 64) == 2
    assert extrapolation(lengths, accuracies, 64, least=0.9) == 8
    assert extrapolation(lengths, [0.9, 1, 1, 1], 64) == 0


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
