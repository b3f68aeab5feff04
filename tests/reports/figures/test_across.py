"""Several tasks in one picture: numbers of the cells, profiles, curves over the tasks' sizes."""

from types import SimpleNamespace

import numpy as np
import pytest

from reports.across_figures import overview, pictures_across, profile_figure, task_factors
from reports.contrast import analyse
from reports.lines import lineup

ARMS = ("baseline", "decay=off")


def values_of(pairs):
    """By arm and seed: the baseline loses a tenth for every doubling of the pairs."""
    lost = 0.1 * np.log2(pairs / 4)
    return {"baseline": [0.97 - lost, 0.95 - lost], "decay=off": [1.0, 0.98]}


@pytest.fixture
def studies(make_study):
    def make(task=None, **fields):
        found = []
        for pairs in (16, 4, 8):
            own = {"kind": "mqar", "num_pairs": pairs, "length": 16 * pairs, "seed": pairs}
            entry = {"experiment": {"task": own | (task or {})}, "state_bytes": 64 * pairs}
            plan = {"chance": 1 / 64} | fields
            study = make_study(
                values_of(pairs), name=f"s{pairs}", plan=plan, entries=dict.fromkeys(ARMS, entry)
            )
            found.append(analyse(study))
        return found

    return make


def line_of(figure, name):
    (line,) = [x for x in figure.axes[0].lines if x.get_label().startswith(name)]
    return line


def test_the_pictures_of_several_tasks(studies):
    found = {p.name: p for p in pictures_across(studies(), ["a", "b", "c"])}
    assert list(found) == ["overview", "capacity-num-pairs", "recall-by-state"]
    line = line_of(found["capacity-num-pairs"].figure, "baseline")
    assert list(line.get_xdata()) == [4, 8, 16]
    assert list(line.get_ydata()) == pytest.approx([0.96, 0.86, 0.76])
    assert line.get_label() == f"baseline: {2 ** (2 + 0.6):.3g}"  # 0.06 of a loss of 0.1 an octave
    assert "length" in found["capacity-num-pairs"].caption


def test_state_of_several_tasks_is_a_line_through_bits(studies):
    (picture,) = [p for p in pictures_across(studies(), "abc") if p.name == "recall-by-state"]
    line = line_of(picture.figure, "decay=off")
    assert list(line.get_xdata()) == [256, 512, 1024]
    share = (0.99 - 1 / 64) / (1 - 1 / 64)
    assert list(line.get_ydata()) == pytest.approx([k * 6 * share for k in (4, 8, 16)])
    assert line.get_linestyle() == "-"


def test_tasks_of_several_kinds_are_on_no_common_axis(studies, make_study):
    analyses = studies()
    assert [factor.name for factor, _ in task_factors(analyses)] == ["num_pairs"]
    assert task_factors(analyses[:1]) == []
    other = {arm: {"experiment": {"task": {"kind": "copying", "num_pairs": 32}}} for arm in ARMS}
    copying = analyse(make_study(values_of(4), name="other", entries=other))
    assert task_factors([*analyses, copying]) == []
    assert [p.name for p in pictures_across([*analyses, copying], "abcd")][:1] == ["overview"]


def cells(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_overview_prints_every_mean(studies):
    values = np.array([[0.625, np.nan], [1.0, 0.049]])
    figure = overview(ARMS, ["task one", "two"], values)
    assert cells(figure) == [".62", "1.00", ".05"]
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == list(ARMS)
    assert [t.get_text() for t in axes.get_xticklabels()] == ["task one", "two"]
    colours = axes.images[0].get_array()
    brightness = colours[..., :3].sum(-1)
    assert brightness[1, 0] < brightness[0, 0] < brightness[1, 1]  # the better the darker
    assert colours[0, 1, 3] == 0  # no cell


def test_the_overview_of_a_loss_is_darkest_where_it_is_least():
    figure = overview(["a"], ["x", "y", "z"], np.array([[0.5, 2.0, 12.34]]), lower_is_better=True)
    assert cells(figure) == [".50", "2.00", "12.3"]
    brightness = figure.axes[0].images[0].get_array()[0, :, :3].sum(-1)
    assert brightness[0] < brightness[1] < brightness[2]


def test_numbers_can_be_read_on_their_cells():
    """At least 4.5 to 1, whatever the value: WCAG 2.1, 1.4.3."""
    values = np.linspace(0, 1, 41)
    figure = overview(["a"], [str(i) for i in range(41)], values[None])
    for text, cell in zip(
        figure.axes[0].texts, figure.axes[0].images[0].get_array()[0], strict=True
    ):
        ink = 1.0 if text.get_color() == "#ffffff" else 0.0
        linear = np.where(cell <= 0.04045, cell / 12.92, ((cell + 0.055) / 1.055) ** 2.4)[:3]
        back = float(linear @ [0.2126, 0.7152, 0.0722])
        ratio = (max(ink, back) + 0.05) / (min(ink, back) + 0.05)
        assert ratio >= 4.5, (text.get_text(), ratio)


def test_profiles_are_drawn_as_they_were_counted(studies):
    analyses = studies()
    taus = (0.0, 0.5, 1.0)
    profiles = [
        SimpleNamespace(arm=arm, taus=taus, shares=shares, low=(0.9, 0.1, 0), high=(1, 0.8, 0.2))
        for arm, shares in {"baseline": (1.0, 0.5, 0.0), "decay=off": (1.0, 0.75, 0.1)}.items()
    ]
    drawn = {p.name: p for p in pictures_across(analyses, "abc", profiles, look="icml")}
    figure = drawn["profiles"].figure
    assert figure.get_figwidth() == 3.25
    line = line_of(figure, "decay=off")
    assert list(line.get_xdata()) == list(taus)
    assert list(line.get_ydata()) == [1.0, 0.75, 0.1]
    again = profile_figure(
        lineup(analyses[0]), np.array(taus), {"baseline": np.array([1, 0.5, 0])}, metric="x"
    )
    assert len(again.axes[0].lines) == 1
