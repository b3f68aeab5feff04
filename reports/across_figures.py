"""Several tasks in one picture: every arm on every task, profiles, and curves over their sizes.

The statistics are `reports.across`'s: what is drawn here comes as plain numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from reports.contrast import Analysis
from reports.cost_figures import Point, converted, in_bits, state_figure
from reports.curve_figures import HEIGHT
from reports.factor_curves import curves
from reports.factor_figures import SIZES
from reports.factors import Factor, Place, task_of
from reports.figure import label, legend_below, letters, new_figure, style, venue
from reports.lines import Line, draw_line, each, lineup
from reports.picture import Picture
from reports.reach_figures import ENOUGH, capacity_curve
from reports.venues import Name
from sweeps.results import LOWER_IS_BETTER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL = 0.2  # inches of a row of the overview
NAME = 30  # letters of a task's name, which stands upright
MEAN = "mean over seeds and 95 % t interval"
ONE_SCALE = "Scores of all tasks are on one scale."


class Profile(Protocol):
    """The share of an arm's runs above each threshold, and its band: `reports.across.Profile`."""

    @property
    def arm(self) -> str: ...
    @property
    def taus(self) -> Sequence[float]: ...
    @property
    def shares(self) -> Sequence[float]: ...
    @property
    def low(self) -> Sequence[float]: ...
    @property
    def high(self) -> Sequence[float]: ...


def pictures_across(
    analyses: Sequence[Analysis],
    tasks: Sequence[str],
    profiles: Sequence[Profile] = (),
    look: Name = "plain",
) -> tuple[Picture, ...]:
    """All figures of several tasks, each left out where it would show nothing.

    Args:    analyses  one for each task, with the same arms and outcome
             tasks     their names
             profiles  of the arms, over all tasks
    """
    with style(look):
        found = [_overview(analyses, tasks)]
        if profiles:
            found.append(_profiles(analyses[0], profiles))
        found += [*_by_size(analyses), *_by_state(analyses)]
        return tuple(found)


# ---------------------------------------------------------------------------------- overview


def _overview(analyses: Sequence[Analysis], tasks: Sequence[str]) -> Picture:
    arms = [arm.name for arm in analyses[0].arms]
    means = [{arm.name: arm.estimate.mean for arm in one.arms} for one in analyses]
    values = np.array([[m.get(arm) for m in means] for arm in arms], dtype=np.float64)
    outcome = analyses[0].outcome
    caption = f"{str(outcome).capitalize()} of every arm on every task, mean over seeds"
    turned = ", the darker the better" if outcome.lower_is_better else ""
    figure = overview(arms, tasks, values, lower_is_better=outcome.lower_is_better)
    return Picture("overview", f"{caption}{turned}.", figure)


def overview(
    arms: Sequence[str],
    tasks: Sequence[str],
    values: np.ndarray,
    *,
    lower_is_better: bool = False,
) -> Figure:
    """A cell for every arm and task with its number, the better the darker. values: (arms, tasks)

    What is missing has no cell.  Shares are coloured between 0 and 1, others between the least and
    the most.
    """
    import matplotlib as mpl

    known = values[np.isfinite(values)]
    shares = bool(len(known)) and not lower_is_better and known.min() >= 0 and known.max() <= 1
    low, high = (0.0, 1.0) if shares or not len(known) else (known.min(), known.max())
    darkness = np.clip((values - low) / ((high - low) or 1.0), 0, 1)
    darkness = 1 - darkness if lower_is_better else darkness
    with style():
        longest = max(len(label(name, NAME)) for name in tasks)
        head = longest / letters(1.0, venue().small)
        wide = venue().wide if len(tasks) > 6 else venue().column
        figure = new_figure(0.3 + head + CELL * venue().text / 7.5 * len(arms), wide)
        axes = figure.add_subplot()
        colours = mpl.colormaps["Blues"](0.05 + 0.85 * darkness)
        colours[~np.isfinite(values)] = (0, 0, 0, 0)
        axes.imshow(colours, aspect="auto", interpolation="nearest")
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                ink = ink_on(colours[row, column])
                axes.text(column, row, _cell(value), ha="center", va="center", color=ink,
                          fontsize=venue().small)  # fmt: skip
        _frame(axes, arms, tasks)
        return figure


def ink_on(colour: np.ndarray) -> str:
    """Black or white, whichever has the greater contrast with an sRGB colour. (3,) or (4,)

    Source:  relative luminance of WCAG 2.1; at 0.179 both have a contrast of 4.6 to 1.
    """
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return "#ffffff" if float(linear[:3] @ [0.2126, 0.7152, 0.0722]) < 0.179 else "#000000"


def _cell(value: float) -> str:
    """.62, 1.00, 12.3: short, for many stand side by side."""
    text = f"{value:.2f}" if abs(value) < 10 else f"{value:.3g}"
    return text[1:] if text.startswith("0.") else text


def _frame(axes: Axes, arms: Sequence[str], tasks: Sequence[str]) -> None:
    axes.set_yticks(range(len(arms)), [label(name) for name in arms])
    names = [label(name, NAME) for name in tasks]
    axes.set_xticks(range(len(tasks)), names, rotation=90)
    axes.xaxis.tick_top()
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


# ---------------------------------------------------------------------------------- profiles


def _profiles(analysis: Analysis, profiles: Sequence[Profile]) -> Picture:
    taus = np.array(profiles[0].taus)
    shares = {one.arm: np.array(one.shares) for one in profiles}
    bands = {one.arm: (np.array(one.low), np.array(one.high)) for one in profiles}
    figure = profile_figure(lineup(analysis), taus, shares, bands, metric=str(analysis.outcome))
    caption = f"Performance profiles: the share of all runs with a {analysis.outcome} above tau, "
    caption += f"and its pointwise 95 % interval. {ONE_SCALE}"
    return Picture("profiles", caption, figure)


def profile_figure(
    lines: Sequence[Line],
    taus: np.ndarray,
    curves: Mapping[str, np.ndarray],
    bands: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    *,
    metric: str = "score",
) -> Figure:
    """A curve for each arm: how many of its runs are above a threshold. taus, curves[arm]: (T,)"""
    nothing = np.full(len(taus), np.nan)
    with style():
        figure = new_figure(HEIGHT * venue().stretch)
        axes = figure.add_subplot()
        for i, line in each(lines):
            if line.arm in curves:
                low, high = (bands or {}).get(line.arm, (nothing, nothing))
                bounds = np.array([curves[line.arm], low, high])
                draw_line(axes, line, taus, bounds, position=i, crowd=len(lines))
        axes.set_ylim(-0.03, 1.03)
        axes.margins(x=0.02)
        axes.set_xlabel(f"{label(metric)} τ")
        axes.set_ylabel("share of runs above τ")
        legend_below(figure, axes)
        return figure


# ------------------------------------------------------------------------------- sizes, states


def _by_size(analyses: Sequence[Analysis]) -> list[Picture]:
    """Curves over a field in which the tasks differ: capacity where it is a number of things."""
    chances = {one.chance for one in analyses}
    analysis = analyses[0] if len(chances) == 1 else replace(analyses[0], chance=None)
    outcome, found = str(analysis.outcome).capitalize(), []
    for factor, others in task_factors(analyses):
        caption = f"{outcome} of tasks by {factor.name}, each trained by itself: {MEAN}."
        caption += f" Also different: {', '.join(others)}." if others else ""
        if factor.name in SIZES and factor.metric not in LOWER_IS_BETTER:
            figure = capacity_curve(analysis, [factor])
            caption += f" In the legend, and marked: where the mean falls below {ENOUGH}."
            found.append(Picture(f"capacity-{_slug(factor.name)}", caption, figure))
        else:
            found.append(Picture(f"by-{_slug(factor.name)}", caption, curves(analysis, [factor])))
    return found


def _slug(name: str) -> str:
    return name.replace("_", "-").replace(".", "-").lower()


def task_factors(analyses: Sequence[Analysis]) -> list[tuple[Factor, list[str]]]:
    """Outcomes over the numeric field that has another value in every task, and what else differs.

    Of several such fields one: a number of things to hold, the length, or the first. Only of tasks
    of one kind.
    """
    tasks = [_flat(task_of(one)) for one in analyses]
    if len(analyses) < 2 or len({task.get("kind") for task in tasks}) > 1 or not tasks[0]:
        return []
    fields = [f for f in tasks[0] if len({str(task.get(f)) for task in tasks}) > 1]
    found = []
    for field in fields:
        values = [task.get(field) for task in tasks]
        numbers = [float(v) for v in values if isinstance(v, int | float)]
        if len(set(numbers)) == len(values):
            factor = _over(analyses, field, numbers)
            found.append((factor, [f for f in fields if f != field]))
    order = (*SIZES, "length")
    sizes = sorted(
        (one for one in found if one[0].name in order), key=lambda one: order.index(one[0].name)
    )
    return (sizes or found)[:1]


def _over(analyses: Sequence[Analysis], field: str, numbers: Sequence[float]) -> Factor:
    order = sorted(range(len(numbers)), key=lambda i: numbers[i])
    places = tuple(Place(f"{numbers[i]:g}", numbers[i]) for i in order)
    by_arm = [{arm.name: arm.values for arm in one.arms} for one in analyses]
    names = [arm.name for arm in analyses[0].arms]
    values = {name: tuple(by_arm[i].get(name, {}) for i in order) for name in names}
    return Factor(field.rpartition(".")[2], analyses[0].outcome.metric, places, values)


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{path}{name}.")
        elif name not in ("seed", "path"):
            found[f"{path}{name}"] = value
    return found


def _by_state(analyses: Sequence[Analysis]) -> list[Picture]:
    """Every arm's results over its state, which grows with the sequence for some."""
    converters = [in_bits(one) for one in analyses]
    bits = all(converters)
    series = []
    for line in lineup(analyses[0]):
        points = [
            Point(arm.state_bytes, converted(arm.estimate, convert if bits else None))
            for one, convert in zip(analyses, converters, strict=True)
            for arm in one.arms
            if arm.name == line.arm and arm.state_bytes and arm.estimate.mean is not None
        ]
        if points:
            series.append((line, tuple(points)))
    name = "bits recalled" if bits else label(str(analyses[0].outcome))
    figure = state_figure(series, name)
    what = name[:1].upper() + name[1:]
    caption = f"{what} over the bytes that inference keeps of a sequence, by task: {MEAN}."
    return [] if figure is None else [Picture("recall-by-state", caption, figure)]
