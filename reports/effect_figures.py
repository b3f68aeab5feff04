"""The forest plot: what every arm changes, and how surely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.contrast import Analysis, Arm
from reports.figure import MUTED, label, new_figure, style
from reports.lines import lineup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.24  # inches per arm


def effects(analysis: Analysis) -> Figure | None:
    """A forest plot: one row per arm, the difference and its interval, a line at 0."""
    from matplotlib.ticker import MaxNLocator

    arms = [a for a in analysis.others if a.contrast and a.contrast.difference.mean is not None]
    if not arms:
        return None
    looks = {line.arm: line.look for line in lineup(analysis)}
    with style():
        figure = new_figure(0.55 + ROW * len(arms))
        axes = figure.add_subplot()
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for row, arm in enumerate(arms):
            _draw_effect(axes, row, arm, looks[arm.name])
        axes.set_yticks(range(len(arms)), [label(arm.name) for arm in arms])
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(5))  # "-0.035" is wide at one column
        figure.supxlabel(f"difference in {label(str(analysis.outcome))} (arm − baseline)")
        return figure


def _draw_effect(axes: Axes, row: int, arm: Arm, look: dict[str, Any]) -> None:
    assert arm.contrast is not None
    d, colour = arm.contrast.difference, look["color"]
    if d.low is not None and d.high is not None:
        axes.plot([d.low, d.high], [row, row], color=colour, solid_capstyle="butt", linewidth=1.4)
    fill = colour if arm.contrast.significant else "none"
    axes.plot([d.mean or 0.0], [row], "o", color=colour, markerfacecolor=fill, markersize=4)
