import itertools
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import scipy.stats

from reports.contrast import analyse
from reports.figure import (
    COLOURS,
    INK,
    WIDTH,
    inline_svg,
    label,
    log_ticks,
    look,
    new_figure,
    render,
    style,
)
from reports.study_figures import (
    band_of,
    effects,
    kernel_gallery,
    learning_curves,
    pictures,
    rate_curves,
)
from sweeps.results import read_study


@pytest.fixture(scope="module")
def analysis(tmp_path_factory, rich_writer):
    return analyse(read_study(rich_writer(tmp_path_factory.mktemp("rich") / "out")))


@pytest.fixture(scope="module")
def drawn(analysis):
    return {picture.name: picture for picture in pictures(analysis)}


def test_all_figures_that_the_study_has_data_for_are_drawn(drawn):
    names = ["effects", "learning-curves", "factor-gap", "learning-rates", "kernels"]
    assert list(drawn) == names
    assert all(picture.figure.get_figwidth() == WIDTH for picture in drawn.values())


def test_the_same_numbers_give_the_same_bytes(analysis):
    for kind in ("pdf", "svg", "png"):
        first, second = (render(effects(analysis), kind) for _ in range(2))
        assert first == second
        assert b"20260" not in first  # a date


def test_another_process_and_another_user_give_the_same_bytes(rich_study, tmp_path):
    """Hash seed, time zone and the user's own matplotlib settings change nothing."""
    (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.grid: False\nsvg.fonttype: none\n")
    code = (
        "import sys, hashlib; from reports.contrast import analyse; from sweeps.results import "
        "read_study; from reports.study_figures import learning_curves; from reports.figure import "
        "render; f = learning_curves(analyse(read_study(sys.argv[1]))); "
        "print([hashlib.sha256(render(f, k)).hexdigest() for k in ('pdf', 'svg')])"
    )
    environment = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rich_study)],
            env={**environment, **variables},
            stdout=subprocess.PIPE,
        )
        for variables in (
            {"PYTHONHASHSEED": "1", "TZ": "UTC"},
            {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "MATPLOTLIBRC": str(tmp_path)},
        )
    ]
    outputs = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert outputs[0] == outputs[1]


def test_fonts_are_truetype_and_one_column_wide(drawn):
    pdf = render(drawn["effects"].figure, "pdf")
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf
    png = render(drawn["effects"].figure, "png")
    assert int.from_bytes(png[16:20], "big") == WIDTH * 200


def test_text_stays_inside_every_figure(drawn):
    for picture in drawn.values():
        figure = picture.figure
        figure.draw_without_rendering()
        box, page = figure.get_tightbbox(), figure.get_size_inches()
        assert box.x0 > -0.02, picture.name
        assert box.y0 > -0.02, picture.name
        assert box.x1 < page[0] + 0.02, picture.name
        assert box.y1 < page[1] + 0.02, picture.name


def test_the_forest_plot_shows_the_intervals(analysis):
    axes = effects(analysis).axes[0]
    bars = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2][1:]
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    for arm, bar, mark in zip(analysis.others, bars, marks, strict=True):
        d = arm.contrast.difference
        assert list(bar) == [d.low, d.high]
        assert list(mark.get_xdata()) == [d.mean]
        assert (mark.get_markerfacecolor() != "none") is arm.contrast.significant
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [arm.name for arm in analysis.others]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first arm on top


def test_bands_are_t_intervals_across_seeds(analysis):
    rows = analysis.study.curves.filter(
        (analysis.study.curves["arm"] == "decay=off") & (analysis.study.curves["step"] == 300)
    )
    values = rows["value"].to_numpy()
    low, high = scipy.stats.t.interval(0.95, 7, values.mean(), scipy.stats.sem(values))
    band = band_of(analysis, "decay=off")
    i = list(band.steps).index(300)
    assert (band.mean[i], band.low[i], band.high[i]) == pytest.approx((values.mean(), low, high))


def curves_of(make_study, curves, status=()):
    arms = {"baseline": [0.5] * 3}
    status = {("baseline", seed): s for seed, s in status}
    curves = {("baseline", seed): c for seed, c in curves.items()}
    return band_of(analyse(make_study(arms, curves=curves, status=status)), "baseline")


def test_a_diverged_run_falls_to_chance_a_finished_one_keeps_its_value(make_study):
    full = [(1, 0.2), (2, 0.4), (3, 0.6)]
    band = curves_of(make_study, {0: full, 1: full[:2], 2: full[:1]}, [(2, "diverged")])
    assert band.mean == pytest.approx([0.2, (0.4 + 0.4 + 0.1) / 3, (0.6 + 0.4 + 0.1) / 3])


def test_a_run_that_diverged_before_its_first_evaluation_counts_with_chance(make_study):
    full = [(1, 0.2), (2, 0.4)]
    band = curves_of(make_study, {0: full, 1: full}, [(2, "diverged")])
    assert band.mean == pytest.approx([(0.2 + 0.2 + 0.1) / 3, (0.4 + 0.4 + 0.1) / 3])


def test_a_diverged_run_of_no_planned_seed_or_without_chance_has_no_curve(make_study):
    full, status = [(1, 0.2), (2, 0.4)], {("baseline", 2): "diverged"}
    for name, plan in (("a", {"seeds": [0, 1]}), ("b", {"chance": None})):
        curves = {("baseline", seed): full for seed in (0, 1)}
        fields = {"name": name, "plan": plan, "curves": curves, "status": status}
        band = band_of(analyse(make_study({"baseline": [0.5] * 3}, **fields)), "baseline")
        assert band.mean == pytest.approx([0.2, 0.4])


@pytest.mark.parametrize("own", [[], [(1, 0.3)]])
def test_an_arm_whose_runs_all_diverged_is_drawn_as_far_as_the_others(make_study, own):
    curves = {("baseline", seed): [(1, 0.2), (2, 0.4)] for seed in (0, 1)}
    curves |= {("b", seed): own for seed in (0, 1) if own}
    status = {("b", seed): "diverged" for seed in (0, 1)}
    arms = {"baseline": [0.5] * 2, "b": [0.1] * 2}
    band = band_of(analyse(make_study(arms, curves=curves, status=status)), "b")
    assert band.steps.tolist() == [1, 2]
    assert band.mean == pytest.approx([0.3 if own else 0.1, 0.1])


def test_a_study_without_any_curve_draws_none_for_what_diverged(make_study):
    study = make_study({"baseline": [0.1] * 2}, status={("baseline", 0): "diverged"})
    assert learning_curves(analyse(study)) is None


def test_a_run_that_was_killed_is_not_continued(make_study):
    full = [(1, 0.2), (2, 0.4)]
    band = curves_of(make_study, {0: full, 1: full[:1]}, [(1, "killed")])
    assert band.mean == pytest.approx([0.2, 0.4])
    assert np.isnan(band.low[1])  # one seed: no band


def test_not_a_number_in_a_curve_is_left_out(make_study):
    band = curves_of(make_study, {0: [(1, 0.2), (2, float("nan"))], 1: [(1, 0.4), (2, 0.5)]})
    assert band.mean == pytest.approx([0.3, 0.5])


def test_the_chosen_rate_is_marked(analysis):
    axes = rate_curves(analysis).axes[0]
    marked = [line.get_xdata()[0] for line in axes.lines if line.get_markersize() == 8]
    assert marked == [arm.lr for arm in analysis.arms]
    assert axes.get_xscale() == "log"


def test_the_gallery_shows_initial_and_final_kernels(analysis):
    figure = kernel_gallery(analysis)
    assert len(figure.axes) == 2 * len(analysis.arms)
    arrays = analysis.study.kernels["decay=off"]
    shown = figure.axes[3].lines[1].get_ydata()  # second row, final; the first line is the axis
    expected = arrays["final/blocks.0.mixer.kernel"]
    assert shown == pytest.approx(expected[0] / np.abs(expected[[0, 1, 3]]).max())


def test_what_a_study_lacks_is_not_drawn(make_study):
    bare = analyse(make_study({"baseline": [0.5, 0.6]}))
    assert pictures(bare) == ()
    two = analyse(make_study({"baseline": [0.5], "b": [0.6]}, name="two"))
    assert [p.name for p in pictures(two)] == ["effects"]
    assert learning_curves(two) is None


HOSTILE = ["_hidden", "$x_a$ ^{", "<script>&\"'--", "多字", "line\nbreak\x00", "x" * 200, "#%\\"]


def test_hostile_names_are_drawn_as_text(make_study, recwarn):
    arms = {"baseline": [0.5, 0.6]} | {name: [0.6, 0.7] for name in HOSTILE}
    curves = {(arm, 0): [(1, 0.1), (2, 0.3)] for arm in arms}
    study = make_study(arms, curves=curves)
    for picture in pictures(analyse(study)):
        svg = inline_svg(picture.figure, picture.name, picture.caption)
        ElementTree.fromstring(svg)
        assert "<script" not in svg
        assert render(picture.figure, "pdf").startswith(b"%PDF")
        assert render(picture.figure, "png").startswith(b"\x89PNG")
    legend = learning_curves(analyse(study)).legends[0]
    assert len(legend.get_texts()) == len(arms)
    assert not recwarn.list


def test_inline_svgs_share_no_ids_and_load_nothing(drawn):
    seen = set()
    for picture in drawn.values():
        svg = inline_svg(picture.figure, picture.name, 'a "caption" <b>')
        root = ElementTree.fromstring(svg)
        ids = {e.get("id") for e in root.iter() if e.get("id")}
        references = set(re.findall(r"(?:href=\"#|url\(#)([^\")]+)", svg))
        assert references <= ids
        assert not ids & seen
        seen |= ids
        assert not re.search(r"(?:href|src)=\"(?!#)", svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == 'a "caption" <b>'
        assert INK not in svg
        assert "currentColor" in svg


def test_arms_are_told_apart_by_more_than_hue():
    """Any two of thirteen arms differ in colour or dash, and neighbours in marker."""
    looks = [look(i) for i in range(13)]
    assert len({(x["color"], x["linestyle"]) for x in looks}) == 13
    assert all(a["marker"] != b["marker"] for a, b in itertools.pairwise(looks))


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_lines_can_be_seen_on_white_and_on_the_dark_page():
    for colour in COLOURS:
        y = luminance(colour)
        assert 1.05 / (y + 0.05) > 2, colour  # white
        assert (y + 0.05) / (luminance("#16171a") + 0.05) > 3, colour


def test_labels():
    assert label("decay=off") == "decay=off"
    assert label("_x") == " _x"
    assert label("a" * 40 + "b") == "a" * 15 + "…" + "a" * 15 + "b"


@pytest.mark.parametrize(
    ("span", "number", "shown"),
    [
        ((1e-4, 1e-1), None, {"0.0001", "0.001", "0.01", "0.1"}),
        ((2e4, 2e6), "{:,.0f}".format, {"100,000", "1,000,000"}),
    ],
)
def test_logarithmic_axes_have_plain_numbers(span, number, shown):
    with style():
        figure = new_figure(2.0)
        axes = figure.subplots()
        axes.plot(span, [0, 1])
        log_ticks(axes, *([] if number is None else [number]))
        figure.canvas.draw()
    labels = {tick.get_text() for tick in axes.get_xticklabels()}
    assert shown <= labels
    assert not any("$" in text for text in labels)
