"""How a metric over a factor is drawn: lines where its values are numbers, dots where names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reports.contrast import Analysis
from reports.curve_figures import HEIGHT, bounds_of, draw_chance
from reports.factors import Factor, Place
from reports.figure import MUTED, label, legend_below, letters, new_figure, style, venue
from reports.lines import Line, draw_line, each, keep_in_view, lineup
from reports.ticks import ticks_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOT = 0.075  # inches per arm of a group of dots
AROUND = 0.6  # inches beside the axes


def curves(
    analysis: Analysis,
    panels: Sequence[Factor],
    said: Sequence[Mapping[str, str]] = (),
    marked: Mapping[str, float] | None = None,
) -> Figure:
    """Lines with bands, one panel for each factor.

    said: for each panel, what the legend adds to an arm's name; of several panels the first
    marked: places of the axis that have a line, by their names
    """
    lines = lineup(analysis)
    lines = tuple(_saying(line, said[0] if len(said) == 1 else {}) for line in lines)
    with style():
        figure = new_figure(
            HEIGHT * venue().stretch * (1 if len(panels) == 1 else 0.8 * len(panels))
        )
        grid = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, panel in zip(grid, panels, strict=True):
            _draw_panel(axes, analysis, panel, lines)
            for name, place in (marked or {}).items():
                _mark(axes, place, name)
        union = Factor(panels[0].name, panels[0].metric, _places(panels), {})
        _scale(grid[-1], union)
        grid[-1].set_xlabel(label(panels[0].name))
        legend_below(figure, grid[0])
        return figure


def _places(panels: Sequence[Factor]) -> tuple[Place, ...]:
    """Those of all panels, rising."""
    every = {place.number or 0.0: place for panel in panels for place in panel.places}
    return tuple(every[number] for number in sorted(every))


def _saying(line: Line, said: Mapping[str, str]) -> Line:
    more = said.get(line.arm, "")
    return replace(line, name=f"{line.name}: {more}") if more and line.own else line


def _draw_panel(axes: Axes, analysis: Analysis, factor: Factor, lines: Sequence[Line]) -> None:
    chance = analysis.chance if factor.metric == analysis.outcome.metric else None
    draw_chance(axes, chance)
    x = np.array(factor.numbers)
    for i, line in each(lines):
        bounds = bounds_of(factor.estimates[line.arm])
        if np.isfinite(bounds[0]).any():
            draw_line(axes, line, x, bounds, position=i, crowd=len(lines))
    keep_in_view(axes, [y for line in lines for _, y in factor.means(line.arm)], chance,
                 metric=factor.metric)  # fmt: skip
    axes.set_ylabel(f"test {label(factor.metric)}")
    if factor.within:
        axes.set_title(label(factor.within), loc="left", pad=3)


def _scale(axes: Axes, factor: Factor) -> None:
    """A tick at every place, on a log2 axis where they double."""
    if factor.logarithmic:
        axes.set_xscale("log", base=2)
    axes.margins(x=0.04)
    axes.autoscale_view()
    names = [place.name for place in factor.places]
    room = letters(axes.figure.get_figwidth() - AROUND, venue().small)  # pyright: ignore
    ticks_at(axes, factor.numbers, names, room)


def _mark(axes: Axes, place: float, name: str) -> None:
    axes.axvline(place, color=MUTED, linewidth=0.8, linestyle="--")
    axes.annotate(name, (place, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom",
                  color=MUTED, fontsize=venue().small)  # fmt: skip


def dots(analysis: Analysis, panels: Sequence[Factor]) -> Figure:
    """A row for every value, in it a dot for every arm with its interval."""
    lines = [line for line in lineup(analysis) if line.own]
    rows = sum(len(panel.places) for panel in panels)
    with style():
        figure = new_figure(0.4 + rows * (0.12 + DOT * len(lines)))
        ratios = [len(panel.places) for panel in panels]
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=ratios)
        for axes, panel in zip(grid[:, 0], panels, strict=True):
            for i, line in enumerate(lines):
                _draw_dots(axes, panel, line, (i - (len(lines) - 1) / 2) / (len(lines) + 1.5))
            axes.set_yticks(range(len(panel.places)), [label(p.name) for p in panel.places])
            axes.set_ylim(len(panel.places) - 0.5, -0.5)
            axes.set_ylabel(label(panel.name))
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
            if panel.within:
                axes.set_title(label(panel.within), loc="left", pad=3)
        grid[-1, 0].set_xlabel(f"test {label(panels[0].metric)}")
        legend_below(figure, grid[0, 0])
        return figure


def _draw_dots(axes: Axes, factor: Factor, line: Line, shift: float) -> None:
    mean, low, high = bounds_of(factor.estimates[line.arm])
    y = np.arange(len(mean)) + shift
    colour = line.look["color"]
    axes.hlines(y, low, high, color=colour, linewidth=1.2)
    axes.plot(mean, y, line.look["marker"], color=colour, label=line.name)
