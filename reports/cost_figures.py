"""What a result costs: recall against the state that inference keeps, parameters against length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reports.contrast import Analysis
from reports.curve_figures import HEIGHT, bounds_of
from reports.factors import task_of
from reports.figure import MUTED, label, legend_below, letters, new_figure, style, venue
from reports.lines import Line, each, lineup
from reports.measures import bits_recalled
from reports.stats import Estimate
from reports.ticks import powers_of_two, ticks_at
from reports.tuning import trials_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STATE = "state_bytes"
AROUND = 0.6  # inches beside the axes


@dataclass(frozen=True)
class Point:
    """A result at a size of the state."""

    state_bytes: float
    result: Estimate


Series = tuple[Line, tuple[Point, ...]]  # of one arm, over studies perhaps


def recall_by_state(analysis: Analysis) -> Figure | None:
    """Each arm's outcome over its state, and that of a search's trials."""
    convert = in_bits(analysis)
    lines = {line.arm: line for line in lineup(analysis)}
    series = [
        (lines[arm.name], (Point(arm.state_bytes, converted(arm.estimate, convert)),))
        for arm in analysis.arms
        if arm.state_bytes and arm.estimate.mean is not None
    ]
    tried = [(x, convert(y) if convert else y) for x, y in trials_by_state(analysis)]
    name = "bits recalled" if convert else label(str(analysis.outcome))
    return state_figure(series, name, tried)


def state_figure(
    series: Sequence[Series], name: str, tried: Sequence[tuple[float, float]] = ()
) -> Figure | None:
    """Points over state sizes, joined where a series has several. None of fewer than two sizes.

    name: what is up; tried: sizes and scores of trials, on the validation split
    """
    sizes = {p.state_bytes for _, points in series for p in points} | {x for x, _ in tried}
    if len(sizes) < 2:
        return None
    with style():
        figure = new_figure(HEIGHT * venue().stretch)
        axes = figure.add_subplot()
        if tried:
            axes.plot(*zip(*tried, strict=True), ".", color=MUTED, alpha=0.6, zorder=1,
                      label="trials (validation)")  # fmt: skip
        for _, (line, points) in each_of(series):
            _draw_series(axes, line, points)
        axes.set_xscale("log", base=2)
        axes.margins(x=0.08)
        axes.autoscale_view()
        places = sorted(sizes)
        ticks_at(axes, places, [f"{place:,.0f}" for place in places], _room(figure))
        axes.set_xlabel("bytes of state per sequence")
        axes.set_ylabel(name)
        legend_below(figure, axes)
        return figure


def _room(figure: Figure) -> float:
    """Letters that fit below the axes."""
    return letters(figure.get_figwidth() - AROUND, venue().small)


def each_of(series: Sequence[Series]) -> list[tuple[int, Series]]:
    """Those in grey first."""
    order = [i for i, _ in each([line for line, _ in series])]
    return [(i, series[i]) for i in order]


def _draw_series(axes: Axes, line: Line, points: Sequence[Point]) -> None:
    points = sorted(points, key=lambda p: p.state_bytes)
    x = np.array([p.state_bytes for p in points])
    mean, low, high = bounds_of([p.result for p in points])
    look = {**line.look, "marker": line.look["marker"] or "."}
    if len(set(x)) == 1:
        look["linestyle"] = ""
    axes.vlines(x, low, high, color=look["color"], linewidth=1.0, alpha=0.7)
    axes.plot(x, mean, label=line.name or None, **look)


def trials_by_state(analysis: Analysis) -> list[tuple[float, float]]:
    """(bytes, score) of the trials that know their state; the score as the outcome is counted."""
    said = (analysis.study.plan.get("search") or {}).get("objectives") or []
    if not said or said[0] != analysis.outcome.metric:
        return []
    sign = -1 if analysis.outcome.lower_is_better else 1
    trials = [one for arm in analysis.arms for one in trials_of(analysis.study, arm.name)]
    return [
        (o.costs[STATE], sign * (o.value or 0.0)) for o in trials if o.whole and STATE in o.costs
    ]


def in_bits(analysis: Analysis) -> Callable[[float], float] | None:
    """From accuracy to bits recalled, where the task is recall of pairs with uniform values."""
    task = task_of(analysis)
    task = task["inner"] if isinstance(task.get("inner"), Mapping) else task
    chance, pairs = analysis.chance, task.get("num_pairs")
    if (
        task.get("kind") != "mqar"
        or analysis.outcome.metric != "accuracy"
        or not (chance and pairs)
    ):
        return None
    return lambda accuracy: bits_recalled(pairs, round(1 / chance), accuracy, chance)


def converted(estimate: Estimate, convert: Callable[[float], float] | None) -> Estimate:
    """The estimate in another unit, that rises with the first."""
    if convert is None:
        return estimate
    bounds = (estimate.mean, estimate.low, estimate.high)
    return Estimate(estimate.n, *(None if v is None else convert(v) for v in bounds))


# ------------------------------------------------------------------------------------ parameters


def parameters_by_length(analysis: Analysis) -> Figure | None:
    """What kernels have to learn, over the length of sequences; arms that agree share a line."""
    groups = growth(analysis)
    if not groups:
        return None
    lines = {line.arm: line for line in lineup(analysis)}
    with style():
        figure = new_figure(HEIGHT * venue().stretch)
        axes = figure.add_subplot()
        for arms, counts in groups:
            own = [lines[arm] for arm in arms if lines[arm].own]
            look = (own or [lines[arms[0]]])[0].look
            axes.plot(list(counts), list(counts.values()), label=_together(arms), **look)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.margins(x=0.04, y=0.1)
        axes.autoscale_view()
        places = sorted({length for _, counts in groups for length in counts})
        ticks_at(axes, places, [f"{place:,}" for place in places], _room(figure))
        powers_of_two(axes)
        axes.set_xlabel("sequence length L")
        axes.set_ylabel("parameters of kernels")
        legend_below(figure, axes)
        return figure


def growth(analysis: Analysis) -> list[tuple[list[str], dict[int, int]]]:
    """(arms, {length: parameters of their kernels}), arms with the same numbers together."""
    found: dict[str, tuple[list[str], dict[int, int]]] = {}
    for entry in analysis.study.plan["arms"]:
        given = entry.get("parameters_by_length") or {}
        counts = {int(length): n for length, n in given.items() if n}
        if counts:
            counts = dict(sorted(counts.items()))
            found.setdefault(str(counts), ([], counts))[0].append(entry["name"])
    return list(found.values())


def _together(arms: Sequence[str]) -> str:
    first, more = label(arms[0]), len(arms) - 1
    return f"{first} and {more} other{'s' * (more > 1)}" if more else first
