"""The gallery prints what was measured."""

import statistics

import pytest

from reports.kernel_figures import kernel_gallery, measured


def titles(figure):
    return [axes.get_title(loc="left").split("\n") for axes in figure.axes]


def test_the_measures_above_each_panel_are_the_means_over_seeds(analysis, drawn):
    rows = analysis.study.results
    shown = titles(drawn("plain")["kernels"].figure)
    for a, arm in enumerate(analysis.arms):
        for i, when in enumerate(("initial", "final")):
            numbers = {}
            for sign, metric in zip(
                "nar", ("effective_length", "decay_exponent", "decay_rate"), strict=True
            ):
                own = rows.filter(
                    (rows["arm"] == arm.name)
                    & (rows["split"] == "kernel")
                    & (rows["slice"] == when)
                    & (rows["metric"] == metric)
                )
                numbers[sign] = statistics.fmean(own["value"])
            text = shown[2 * a + i][1]
            found = dict(part.split(" = ") for part in text.split("  "))
            assert {k: float(v) for k, v in found.items()} == pytest.approx(numbers, rel=5e-3)
    assert shown[0][0] == "baseline"
    assert shown[1][0] == ""  # the right-hand panel has no name


def test_what_was_not_measured_is_not_printed(full_study):
    bare = full_study(["baseline"], rows=[])
    figure = kernel_gallery(bare)
    assert figure is not None
    assert measured(bare.arms[0], 0) == ""
    assert titles(figure)[0] == ["baseline", ""]
