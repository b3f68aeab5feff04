"""Curves over factors show the means and intervals of the slices, at the right places."""

import math

import numpy as np
import pytest
import scipy.stats

from reports.factor_curves import curves
from reports.factor_figures import factor_figures
from reports.factors import CODES, factors, place_of
from tasks.task import Task
from zoo.spec import import_components

VALUES = {2: (0.9, 0.8, 0.85), 4: (0.7, 0.75, 0.6), 16: (0.4, 0.3, 0.5)}


def test_a_line_runs_through_the_means_and_a_band_is_the_t_interval(sliced, rows_of, line_of):
    (picture,) = factor_figures(sliced(rows_of(VALUES)))
    assert picture.name == "factor-gap"
    line = line_of(picture.figure, "baseline")
    assert list(line.get_xdata()) == [2, 4, 16]
    assert list(line.get_ydata()) == pytest.approx([np.mean(v) for v in VALUES.values()])
    band = picture.figure.axes[0].collections[0].get_paths()[0].vertices
    for x, values in VALUES.items():
        low, high = scipy.stats.t.interval(0.95, 2, np.mean(values), scipy.stats.sem(values))
        own = band[band[:, 0] == x][:, 1]
        assert (own.min(), own.max()) == pytest.approx((low, high))


def test_what_doubles_has_a_logarithmic_axis_with_its_own_numbers(sliced, rows_of):
    (picture,) = factor_figures(sliced(rows_of(VALUES)))
    axes = picture.figure.axes[0]
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "4", "16"]
    assert axes.get_xlabel() == "gap"
    assert axes.get_ylabel() == "test accuracy"


def test_what_has_zero_or_a_small_span_has_not(sliced, rows_of):
    for places in ((0, 2, 16), (3, 4, 6)):
        rows = rows_of(dict(zip(places, VALUES.values(), strict=True)))
        (picture,) = factor_figures(sliced(rows, name=f"s{places[0]}"))
        assert picture.figure.axes[0].get_xscale() == "linear"


def test_a_range_lies_at_its_middle_in_octaves(sliced, rows_of, line_of):
    assert place_of("8..15").number == pytest.approx(2**3.5)
    assert place_of("0..1").number == pytest.approx(2**0.5)
    assert place_of("8..15").name == "8–15"
    rows = rows_of(dict(zip(("8..15", "16..31"), VALUES.values(), strict=False)))
    (picture,) = factor_figures(sliced(rows))
    assert list(line_of(picture.figure, "baseline").get_xdata()) == pytest.approx([2**3.5, 2**4.5])
    assert picture.figure.axes[0].get_xscale() == "log"


def test_a_run_that_diverged_counts_with_chance_at_every_place(sliced, rows_of):
    values = {place: row[:2] for place, row in VALUES.items()}
    analysis = sliced(rows_of(values), status={("baseline", 2): "diverged"})
    (factor,) = factors(analysis)
    means = [estimate.mean for estimate in factor.estimates["baseline"]]
    assert means == pytest.approx([(sum(row) + 0.1) / 3 for row in values.values()])
    assert [estimate.n for estimate in factor.estimates["baseline"]] == [3, 3, 3]


def test_what_was_killed_or_is_no_number_is_left_out(sliced, rows_of):
    rows = rows_of({2: (0.5, 0.7), 4: (0.5, math.nan), 8: (0.5, None)})
    (factor,) = factors(sliced(rows, status={("baseline", 2): "killed"}))
    assert [estimate.n for estimate in factor.estimates["baseline"]] == [2, 1, 1]
    assert [estimate.low is None for estimate in factor.estimates["baseline"]] == [
        False,
        True,
        True,
    ]


def test_names_and_codes_are_dots_and_no_line(sliced, rows_of, line_of):
    rows = rows_of({"skewed": (0.5, 0.7), "scaled": (0.2, 0.4)}, "shift")
    rows += rows_of({-1: (0.5, 0.7), 0: (0.3, 0.1), 1: (0.2, 0.2)}, "root")
    rows += rows_of({-1: (0.4, 0.6), 0: (0.2, 0.0), 1: (0.1, 0.1)}, "root", "decay=off")
    drawn = {picture.name: picture.figure for picture in factor_figures(sliced(rows, seeds=2))}
    axes = drawn["factor-root"].axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["-1", "0", "1"]
    base, arm = (line_of(drawn["factor-root"], name) for name in ("baseline", "decay=off"))
    assert base.get_linestyle() == arm.get_linestyle() == "None"
    assert list(base.get_xdata()) == pytest.approx([0.6, 0.2, 0.2])
    assert list(arm.get_xdata()) == pytest.approx([0.5, 0.1, 0.1])
    assert all(np.round(base.get_ydata()) == [0, 1, 2])
    assert all(np.round(arm.get_ydata()) == [0, 1, 2])
    assert all(base.get_ydata() < arm.get_ydata())  # one above the other, no row shared
    assert [t.get_text() for t in drawn["factor-shift"].axes[0].get_yticklabels()] == [
        "scaled",
        "skewed",
    ]


def factors_of(task):
    """None of a wrapped task: it has those of the task inside."""
    return task.factors if isinstance(task.factors, dict) else ()


def test_codes_are_factors_of_tasks():
    import_components("tasks")
    assert {name for task in Task.choices().values() for name in factors_of(task)} >= CODES


def test_fields_that_vary_together_are_curves_over_each(sliced, rows_of):
    values = {f"{n} num_pairs={n // 8}": (0.5, 0.1 * n / 64) for n in (64, 128, 256)}
    found = {f.name: f for f in factors(sliced(rows_of(values, "length"), seeds=2))}
    assert found["length"].numbers == (64, 128, 256)
    assert found["num_pairs"].numbers == (8, 16, 32)
    assert dict(found["num_pairs"].means("baseline")) == pytest.approx({8: 0.3, 16: 0.35, 32: 0.45})


def test_a_product_of_fields_is_a_panel_for_each_setting_of_the_others(sliced, rows_of):
    values = {f"{n} num_pairs={k}": (k / n, k / n) for n in (64, 128) for k in (4, 8, 32)}
    analysis = sliced(rows_of(values, "length"), seeds=2)
    found = [f for f in factors(analysis) if f.name == "num_pairs"]
    assert [f.within for f in found] == ["length=64", "length=128"]
    figure = curves(analysis, found)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["length=64", "length=128"]
    for axes, n in zip(figure.axes, (64, 128), strict=True):
        (line,) = [each for each in axes.lines if each.get_label() == "baseline"]
        assert list(line.get_ydata()) == pytest.approx([4 / n, 8 / n, 32 / n])


def test_slices_without_the_outcome_fall_back_on_accuracy(sliced, rows_of):
    plan = {"primary": {"metric": "valid", "split": "test", "slice": "all"}}
    rows = rows_of(VALUES) + rows_of(VALUES, metric="loss")
    (factor,) = factors(sliced(rows, plan=plan, status={("baseline", 1): "diverged"}))
    assert factor.metric == "accuracy"


@pytest.mark.parametrize("name", ["gap", "=", "gap=1 b", "../x=1", "", "a=1  b=2"])
def test_other_names_of_slices_are_passed_over(sliced, name, rows_of):
    rows = rows_of(VALUES)
    rows.append({**rows[0], "slice": name})
    found = factors(sliced(rows))
    assert [f.name for f in found] == ["gap"]
    assert len(found[0].places) == 3


def test_one_slice_is_no_curve_and_file_names_are_plain(sliced, rows_of):
    assert factors(sliced(rows_of({2: (0.5, 0.6)}), name="one")) == ()
    rows = rows_of(VALUES, "Gap_of-two") + rows_of(VALUES, "gap.of.two")
    names = [picture.name for picture in factor_figures(sliced(rows, name="two"))]
    assert names == ["factor-gap-of-two", "factor-gap-of-two-2"]


def test_a_huge_interval_does_not_squeeze_the_means(sliced, rows_of):
    rows = rows_of({2: (0.9, 0.9), 4: (0.9, 0.2), 8: (0.5, 0.5)})
    (picture,) = factor_figures(sliced(rows, seeds=2))
    low, high = picture.figure.axes[0].get_ylim()
    assert (low, high) == pytest.approx((-0.05, 1.05))  # of a share; the interval is far beyond
