"""Capacity and reach: what is read from curves is marked where it is."""

import math

import pytest

from reports.factor_figures import factor_figures
from reports.factors import factors
from reports.reach_figures import capacity_of, reach, trained_length

PAIRS = {4: (1.0, 0.98), 8: (0.96, 0.94), 16: (0.82, 0.78), 32: (0.4, 0.6)}
# 0.95 at 8 and 0.80 at 16: a third of the way, in octaves
CAPACITY = 2 ** (3 + (0.95 - 0.9) / (0.95 - 0.8))


def entry_of(task):
    return {"entries": {"baseline": {"experiment": {"task": task}}}}


def test_the_capacity_is_marked_where_the_mean_falls_below(sliced, rows_of, line_of):
    rows = rows_of(PAIRS, "num_pairs") + rows_of(dict.fromkeys(PAIRS, (1.0, 1.0)), "num_pairs", "b")
    rows += rows_of(dict.fromkeys(PAIRS, (0.5, 0.4)), "num_pairs", "c")
    analysis = sliced(rows, seeds=2)
    (factor,) = factors(analysis)
    assert capacity_of(factor, "baseline").value == pytest.approx(CAPACITY)
    (picture,) = factor_figures(analysis)
    assert picture.name == "capacity-num-pairs"
    axes = picture.figure.axes[0]
    (mark,) = [line for line in axes.lines if line.get_marker() == "|"]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == pytest.approx((CAPACITY, 0.9))
    assert mark.get_color() == line_of(picture.figure, "baseline: 10.1").get_color()
    names = [text.get_text() for text in picture.figure.legends[0].get_texts()]
    assert names == ["baseline: 10.1", "b: ≥ 32", "c: < 4"]
    assert "0.9" in picture.caption


def test_more_is_no_capacity_of_a_loss(sliced, rows_of):
    plan = {"primary": {"metric": "loss", "split": "test", "slice": "all"}}
    analysis = sliced(rows_of(PAIRS, "num_pairs", metric="loss"), seeds=2, plan=plan)
    assert [picture.name for picture in factor_figures(analysis)] == ["factor-num-pairs"]


LENGTHS = {32: (1.0, 1.0), 128: (0.995, 0.995), 256: (0.9, 1.0), 512: (0.3, 0.3)}
SUITE = {"kind": "length-suite", "inner": {"kind": "mqar", "length": 64}, "lengths": [128]}


def test_a_suite_s_own_length_is_the_whole_split(sliced, rows_of, line_of):
    analysis = sliced(rows_of(LENGTHS, "length"), seeds=2, **entry_of(SUITE))
    (picture,) = factor_figures(analysis)
    assert picture.name == "extrapolation-length"
    line = line_of(picture.figure, "baseline: ×0")  # 0.6 at 64: its own length is not solved
    assert list(line.get_xdata()) == [32, 64, 128, 256, 512]
    assert list(line.get_ydata()) == pytest.approx([1.0, 0.6, 0.995, 0.95, 0.3])
    (upright,) = [each for each in picture.figure.axes[0].lines if len(set(each.get_xdata())) == 1]
    assert list(upright.get_xdata()) == [64, 64]


def test_the_reach_is_the_longest_solved_length_over_that_of_training(sliced, rows_of):
    analysis = sliced(rows_of(LENGTHS, "length"), seeds=2)
    (factor,) = factors(analysis)
    assert reach(factor, "baseline", 64) == 128 / 64
    assert math.isclose(reach(factor, "baseline", 50), 2.56)


@pytest.mark.parametrize(
    ("task", "length"),
    [
        (SUITE, 64),
        ({"kind": "mixture", "parts": [{"length": 64}, {"length": 128}]}, 128),
        ({"kind": "parity", "length": 40, "test_length": 500}, 40),
        ({"kind": "parity", "length": 40, "test_length": 0}, None),
        ({"kind": "mqar", "length": 64}, None),
        ({}, None),
    ],
)
def test_the_length_of_training(sliced, rows_of, task, length):
    analysis = sliced(rows_of(LENGTHS, "length"), seeds=2, **entry_of(task))
    assert trained_length(analysis) == length


def test_lengths_within_training_are_a_factor_as_any(sliced, rows_of):
    task = {"kind": "parity", "length": 600, "test_length": 600}
    analysis = sliced(rows_of(LENGTHS, "length"), seeds=2, **entry_of(task))
    assert [picture.name for picture in factor_figures(analysis)] == ["factor-length"]
