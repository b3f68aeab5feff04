"""The gallery prints what was measured."""

import statistics

from reports.kernel_figures import kernel_gallery, measured, shown_of


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
            n, exponent, rate = (numbers[sign] for sign in "nar")
            assert text == f"n = {n:.3g}  a = {exponent:.2g}  r = {rate:.2g}"
    assert shown[0][0] == "baseline"
    assert shown[1][0] == ""  # the right-hand panel has no name


def test_what_was_not_measured_is_not_printed(full_study):
    bare = full_study(["baseline"], rows=[])
    figure = kernel_gallery(bare)
    assert figure is not None
    assert measured(bare.arms[0], 0) == ""
    assert titles(figure)[0] == ["baseline", ""]


def test_the_caption_says_how_many_arms_are_not_shown(full_study, drawn):
    many = full_study(["baseline", *(f"arm{i}" for i in range(9))], num_seeds=1)
    figure = kernel_gallery(many)
    assert figure is not None
    assert len(figure.axes) == 2 * 8
    assert shown_of(many) == " 8 of 10 arms."
    assert drawn("plain")["kernels"].caption.endswith("exp(-r lag).")
