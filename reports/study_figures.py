"""The figures of an ablation study. Each returns None where the study has no data for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from reports.contrast import Analysis, Arm
from reports.figure import (
    MUTED,
    label,
    legend_below,
    look,
    new_figure,
    step_ticks,
    style,
)
from reports.stats import mean_interval
from reports.tuning import score_name
from reports.tuning_figures import front_plot, importance_bars, rate_curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUM_CHANNELS = 3  # of the kernels that are drawn
NUM_TAPS = 400
MAX_KERNEL_ARMS = 8
ROW = 0.24  # inches per arm of the forest plot


@dataclass(frozen=True)
class Picture:
    """A figure and what a reader who cannot see it is told."""

    name: str
    caption: str
    figure: Figure


def pictures(analysis: Analysis) -> tuple[Picture, ...]:
    """All figures that the study has data for."""
    outcome = analysis.outcome
    plans: tuple[tuple[str, str, Callable[[Analysis], Figure | None]], ...] = (
        (
            "effects",
            f"Difference in {outcome} to the baseline, paired by seed, with 95 % t intervals. "
            "Filled: p (Holm) < 0.05.",
            effects,
        ),
        (
            "learning-curves",
            f"Validation {outcome.metric} over training: mean over seeds and 95 % t interval. "
            "A run that diverged counts with the chance score from then on.",
            learning_curves,
        ),
        (
            "learning-rates",
            f"Tuning score ({score_name(analysis)}) by learning rate, all else equal; upright "
            "bars: as given, large marks: chosen. Dots: trials that differ in more.",
            rate_curves,
        ),
        (
            "importance",
            "Share of each field in what tells the best tenth of the trials from all (PED-ANOVA).",
            importance_bars,
        ),
        (
            "front",
            f"Trials by {score_name(analysis)} and cost; the line: those that no other one beats; "
            "the large mark: the one that was trained in full.",
            front_plot,
        ),
        (
            "kernels",
            "Kernels of the first layer at initialisation (left) and after training (right): "
            f"{NUM_CHANNELS} channels each, divided by the largest absolute value of their panel.",
            kernel_gallery,
        ),
    )
    drawn = ((name, caption, draw(analysis)) for name, caption, draw in plans)
    return tuple(Picture(name, caption, fig) for name, caption, fig in drawn if fig is not None)


# --------------------------------------------------------------------------------------- effects


def effects(analysis: Analysis) -> Figure | None:
    """A forest plot: one row per arm, the difference and its interval, a line at 0."""
    from matplotlib.ticker import MaxNLocator

    arms = [a for a in analysis.others if a.contrast and a.contrast.difference.mean is not None]
    if not arms:
        return None
    with style():
        figure = new_figure(0.55 + ROW * len(arms))
        axes = figure.add_subplot()
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for row, arm in enumerate(arms):
            _draw_effect(axes, row, arm, 1 + analysis.others.index(arm))
        axes.set_yticks(range(len(arms)), [label(arm.name) for arm in arms])
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(5))  # "-0.035" is wide at one column
        figure.supxlabel(f"difference in {label(str(analysis.outcome))} (arm − baseline)")
        return figure


def _draw_effect(axes: Axes, row: int, arm: Arm, position: int) -> None:
    assert arm.contrast is not None
    d, colour = arm.contrast.difference, look(position)["color"]
    if d.low is not None and d.high is not None:
        axes.plot([d.low, d.high], [row, row], color=colour, solid_capstyle="butt", linewidth=1.4)
    fill = colour if arm.contrast.significant else "none"
    axes.plot([d.mean or 0.0], [row], "o", color=colour, markerfacecolor=fill, markersize=4)


# --------------------------------------------------------------------------------------- curves


@dataclass(frozen=True)
class Band:
    """Mean and t interval over seeds at each step; NaN where there is none."""

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def learning_curves(analysis: Analysis) -> Figure | None:
    """Validation outcome over steps: mean and t interval across each arm's seeds."""
    bands = [band_of(analysis, arm.name) for arm in analysis.arms]
    if not any(len(band.steps) for band in bands):
        return None
    metric = analysis.outcome.metric
    with style():
        figure = new_figure(2.05)
        axes = figure.add_subplot()
        if analysis.chance is not None:
            axes.axhline(analysis.chance, color=MUTED, linewidth=0.8, linestyle=":")
            axes.annotate("chance", (1, analysis.chance), xycoords=("axes fraction", "data"),
                          ha="right", va="bottom", color=MUTED, fontsize=6.5)  # fmt: skip
        for i, (arm, band) in enumerate(zip(analysis.arms, bands, strict=True)):
            if not len(band.steps):
                continue
            line = {k: v for k, v in look(i).items() if k != "marker"}
            axes.fill_between(
                band.steps, band.low, band.high, color=line["color"], alpha=0.18, lw=0
            )
            axes.plot(band.steps, band.mean, label=label(arm.name), **line)
        axes.margins(x=0.02)
        step_ticks(axes)
        axes.set_xlabel("step")
        axes.set_ylabel(f"validation {label(metric)}")
        legend_below(figure, axes)
        return figure


def band_of(analysis: Analysis, arm: str) -> Band:
    """An arm's curve. A finished run keeps its last value, a diverged one falls to chance."""
    rows = analysis.study.curves.filter(
        (pl.col("arm") == arm)
        & (pl.col("split") == "validation")
        & (pl.col("metric") == analysis.outcome.metric)
        & (pl.col("slice") == "all")
    ).unique(("seed", "step"), keep="last")
    steps = np.array(sorted(rows["step"].unique()), dtype=np.int64)
    status = dict(analysis.study.runs.filter(pl.col("arm") == arm).select("seed", "status").rows())
    curves = [
        _on_grid(rows.filter(pl.col("seed") == seed), steps, status.get(seed), analysis)
        for seed in sorted(rows["seed"].unique())
    ]
    columns = np.array(curves).reshape(len(curves), len(steps)).T
    found = [mean_interval(column[np.isfinite(column)]) for column in columns]
    bounds = [[np.nan if v is None else v for v in (e.mean, e.low, e.high)] for e in found]
    mean, low, high = np.array(bounds, dtype=np.float64).reshape(len(steps), 3).T
    return Band(steps, mean, low, high)


def _on_grid(
    rows: pl.DataFrame, steps: np.ndarray, status: str | None, analysis: Analysis
) -> np.ndarray:
    own = dict(rows.select("step", "value").rows())
    values = np.array([own.get(step, np.nan) for step in steps.tolist()], dtype=np.float64)
    later = steps > max(own)
    if status == "finished":
        values[later] = own[max(own)]
    elif status == "diverged" and analysis.chance is not None:
        values[later | ~np.isfinite(values)] = analysis.chance
    return values


# --------------------------------------------------------------------------------------- kernels


def kernel_gallery(analysis: Analysis) -> Figure | None:
    """A few channels of each arm's first kernel, before and after training."""
    kernels = analysis.study.kernels
    arms = [arm for arm in analysis.arms if _first_kernel(kernels.get(arm.name, {}))]
    arms = arms[:MAX_KERNEL_ARMS]
    if not arms:
        return None
    with style():
        figure = new_figure(0.35 + 0.72 * len(arms))
        grid = figure.subplots(len(arms), 2, sharex=True, sharey=True, squeeze=False)
        for row, arm in zip(grid, arms, strict=True):
            name = _first_kernel(kernels[arm.name])
            colour = look(analysis.arms.index(arm))["color"]
            for axes, when in zip(row, ("initial", "final"), strict=True):
                _draw_kernel(axes, kernels[arm.name].get(f"{when}/{name}"), colour)
            row[0].set_title(label(arm.name), loc="left", color=colour, pad=2)
        for axes, when in zip(grid[-1], ("initial", "final"), strict=True):
            axes.set_xlabel(f"lag ({when})")
        return figure


def _first_kernel(arrays: dict[str, np.ndarray]) -> str:
    """The module path of the first kernel, in the order of the model's layers."""
    names = [name.partition("/")[2] for name in arrays if name.startswith("final/")]
    names += [name.partition("/")[2] for name in arrays if name.startswith("initial/")]
    return names[0] if names else ""


def _draw_kernel(axes: Axes, kernel: np.ndarray | None, colour: str) -> None:
    axes.axhline(0, color=MUTED, linewidth=0.5)
    axes.set_yticks([-1, 0, 1])
    axes.set_ylim(-1.15, 1.15)
    if kernel is None or kernel.ndim != 2 or not kernel.size:
        return
    channels = np.unique(np.linspace(0, len(kernel) - 1, NUM_CHANNELS).astype(int))
    taps = np.unique(np.linspace(0, kernel.shape[1] - 1, NUM_TAPS).astype(int))
    shown = kernel[channels][:, taps].astype(np.float64)
    shown = shown / (np.nanmax(np.abs(shown), initial=0.0) or 1.0)
    for i, values in enumerate(shown):
        style_of = {"color": colour, "linewidth": 0.9, "alpha": 1 - 0.28 * i}
        axes.plot(taps, values, marker="." if len(taps) < 12 else "", **style_of)
