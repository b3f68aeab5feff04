"""Learning curves: the validation outcome over training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from reports.contrast import Analysis
from reports.factors import diverged
from reports.figure import MUTED, label, legend_below, new_figure, step_ticks, style, venue
from reports.lines import draw_line, each, keep_in_view, lineup
from reports.stats import Estimate, mean_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 1.95  # inches of axes, before the legend


@dataclass(frozen=True)
class Band:
    """Mean and t interval over seeds at each step; NaN where there is none."""

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def learning_curves(analysis: Analysis) -> Figure | None:
    """Validation outcome over steps: mean and t interval across each arm's seeds."""
    lines = lineup(analysis)
    bands = [band_of(analysis, line.arm) for line in lines]
    if not any(len(band.steps) for band in bands):
        return None
    with style():
        figure = new_figure(HEIGHT * venue().stretch)
        axes = figure.add_subplot()
        draw_chance(axes, analysis.chance)
        for i, line in each(lines):
            band = bands[i]
            if len(band.steps):
                bounds = np.array([band.mean, band.low, band.high])
                draw_line(axes, line, band.steps, bounds, position=i, crowd=len(lines))
        axes.margins(x=0.02)
        keep_in_view(axes, [float(y) for band in bands for y in band.mean], analysis.chance,
                     metric=analysis.outcome.metric)  # fmt: skip
        step_ticks(axes)
        axes.set_xlabel("step")
        axes.set_ylabel(f"validation {label(analysis.outcome.metric)}")
        legend_below(figure, axes)
        return figure


def draw_chance(axes: Axes, chance: float | None) -> None:
    """A dotted line at what is scored by guessing."""
    if chance is not None:
        axes.axhline(chance, color=MUTED, linewidth=0.8, linestyle=":")
        axes.annotate("chance", (1, chance), xycoords=("axes fraction", "data"),
                      ha="right", va="bottom", color=MUTED, fontsize=venue().small)  # fmt: skip


def bounds_of(estimates: Sequence[Estimate]) -> np.ndarray:
    """mean, low, high of each, NaN where there is none: (3, N)."""
    rows = [[np.nan if v is None else v for v in (e.mean, e.low, e.high)] for e in estimates]
    return np.array(rows, dtype=np.float64).reshape(len(estimates), 3).T


def band_of(analysis: Analysis, arm: str) -> Band:
    """An arm's curve. A finished run keeps its last value, a diverged one falls to chance.

    Where all of an arm's runs diverged, they are at chance for as long as any arm has a curve.
    """
    every = analysis.study.curves.filter(
        (pl.col("split") == "validation")
        & (pl.col("metric") == analysis.outcome.metric)
        & (pl.col("slice") == "all")
    )
    rows = every.filter(pl.col("arm") == arm).unique(("seed", "step"), keep="last")
    lost = _at_chance(analysis, arm)
    grid = every if lost and lost.issuperset(rows["seed"]) else rows
    steps = np.array(sorted(grid["step"].unique()), dtype=np.int64)
    status = dict(analysis.study.runs.filter(pl.col("arm") == arm).select("seed", "status").rows())
    by_seed: dict[int, dict[int, float]] = {seed: {} for seed in sorted(lost) if len(steps)}
    for seed, step, value in rows.select("seed", "step", "value").sort("seed").iter_rows():
        by_seed.setdefault(seed, {})[step] = value
    curves = [_on_grid(own, steps, status.get(seed), analysis) for seed, own in by_seed.items()]
    columns = np.array(curves).reshape(len(curves), len(steps)).T
    found = [mean_interval(column[np.isfinite(column)]) for column in columns]
    mean, low, high = bounds_of(found)
    return Band(steps, mean, low, high)


def _at_chance(analysis: Analysis, arm: str) -> set[int]:
    """The planned seeds of an arm that diverged, where it is known what is scored by guessing."""
    if analysis.chance is None:
        return set()
    return set(diverged(analysis, arm)).intersection(analysis.study.plan["seeds"])


def _on_grid(
    own: dict[int, float], steps: np.ndarray, status: str | None, analysis: Analysis
) -> np.ndarray:
    values = np.array([own.get(step, np.nan) for step in steps.tolist()], dtype=np.float64)
    last = max(own, default=-1)
    later = steps > last
    if status == "finished":
        values[later] = own[last]
    elif status == "diverged" and analysis.chance is not None:
        values[later | ~np.isfinite(values)] = analysis.chance
    return values
