"""Nothing lies outside of a figure, and no label on another, whatever arms are called."""

import itertools

import pytest

from reports.figure import columns_for, style
from reports.study_figures import learning_curves, pictures
from reports.ticks import apart
from reports.venues import LEAST

LONG = [f"mixers.0.kernel.parameterization=multiscale width={16 * i}" for i in range(1, 8)]
HOSTILE = ["_hidden", "$x_a$ ^{", "<script>&\"'--", "多字", "line\nbreak\x00", "x" * 200, "#%\\"]
MANY = [f"arm.width={8 * i}" for i in range(1, 40)]


def drawn_texts(figure, monkeypatch):
    """(text, size, box) of all that is written, in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    seen, draw = [], Text.draw

    def spy(text, renderer):
        if text.get_visible() and text.get_text().strip():
            seen.append((text.get_text(), text.get_fontsize(), text.get_window_extent(renderer)))
        return draw(text, renderer)

    with style(figure.get_label()), monkeypatch.context() as patch:
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw_without_rendering()
        patch.setattr(Text, "draw", spy)
        figure.draw(renderer)
    return seen


def check(picture, monkeypatch):
    """Every text is inside and large enough, and none lies on another but what marks chance."""
    page = picture.figure.bbox
    seen = drawn_texts(picture.figure, monkeypatch)
    assert seen
    for text, size, box in seen:
        assert size >= LEAST, (picture.name, text)
        beyond = (page.x0 - box.x0, box.x1 - page.x1, page.y0 - box.y0, box.y1 - page.y1)
        assert max(beyond) <= 1, (picture.name, text, beyond)
    for (a, _, first), (b, _, second) in itertools.combinations(seen, 2):
        overlap = 0 if "chance" in (a, b) else _overlap(first, second)
        assert overlap <= 1.5, (picture.name, a, b, overlap)


def _overlap(a, b):
    """The smaller side of what two boxes share, in pixels."""
    wide = min(a.x1, b.x1) - max(a.x0, b.x0)
    high = min(a.y1, b.y1) - max(a.y0, b.y0)
    return min(wide, high) if wide > 0 and high > 0 else 0.0


def test_labels_of_long_names(drawn, monkeypatch):
    for picture in drawn("icml").values():  # the narrowest column
        check(picture, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("look", ["plain", "neurips", "icml"])
@pytest.mark.parametrize("arms", [[], LONG, HOSTILE, MANY], ids=["one", "long", "hostile", "many"])
def test_labels_of_any_arms(full_study, look, arms, monkeypatch):
    for picture in pictures(full_study(["baseline", *arms], num_seeds=2), look):
        check(picture, monkeypatch)


def test_of_forty_arms_those_that_differ_most_have_a_line(full_study):
    analysis = full_study(["baseline", *MANY])
    figure = learning_curves(analysis)
    assert figure is not None
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert len(legend) == 14
    assert legend[0] == "baseline"
    assert legend[-1] == "27 other arms"
    sizes = {arm.name: abs(arm.contrast.difference.mean) for arm in analysis.others}
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:12]
    assert set(legend[1:-1]) == set(largest)
    assert len(figure.axes[0].lines) == 40 + 1  # and chance


@pytest.mark.parametrize(
    ("names", "room", "columns"),
    [
        (["a"], 1, 1),
        (["a", "b", "c"], 27, 3),
        (["a", "b", "c"], 26, 2),
        (["x" * 50, "y", "z", "w"], 67, 2),  # x y over z w: 58 + 9
        (["x" * 50, "y", "z", "w"], 66, 1),
    ],
)
def test_a_legend_has_as_many_columns_as_fit(names, room, columns):
    assert columns_for(names, room) == columns


def test_names_at_an_axis_leave_a_gap():
    assert apart([0, 1, 2, 30], [1, 1, 1, 2]) == [0, 3]
    assert apart([0, 10, 20], [4, 4, 4]) == [0, 1, 2]
    assert apart([0, 5, 10, 15, 20], [4] * 5) == [0, 2, 4]
