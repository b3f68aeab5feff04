"""The figures of a tuning: score over rate, what mattered, and what a good score costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.contrast import Analysis, chosen_trial
from reports.figure import (
    COLOURS,
    MUTED,
    label,
    legend_below,
    log_ticks,
    new_figure,
    style,
    venue,
)
from reports.lines import Line, each, lineup
from reports.tuning import costs_of, rate_curve, score_name, searched, trials_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAR = 0.17  # inches per bar
WIDE = 20  # ratio of the largest cost to the smallest that asks for a logarithmic axis


def rate_curves(analysis: Analysis) -> Figure | None:
    """The tuning score by learning rate, per arm; the given rate and the chosen one are marked."""
    tried = [rate_curve(analysis.study, arm.name) for arm in analysis.arms]
    if not any(one.value is not None for curve in tried for one in curve):
        return None
    with style():
        figure = new_figure(1.95 * venue().stretch)
        axes = figure.add_subplot()
        for _, line in each(lineup(analysis)):
            _draw_rates(axes, analysis, line)
        axes.margins(y=0.12)  # large marks are whole
        log_ticks(axes)
        axes.set_xlabel("learning rate")
        axes.set_ylabel(label(score_name(analysis)))
        legend_below(figure, axes)
        return figure


def _draw_rates(axes: Axes, analysis: Analysis, of: Line) -> None:
    arm, line = of.arm, of.look
    curve = [one for one in rate_curve(analysis.study, arm) if one.whole]
    if not curve:
        return
    chosen = chosen_trial(analysis.study, arm)
    numbers = {one.number for one in curve}
    rest = [o for o in trials_of(analysis.study, arm) if o.number not in numbers and o.lr]
    others = [one for one in rest if one.value is not None]
    axes.plot([one.lr or 0.0 for one in others], [one.value or 0.0 for one in others], ".",
              color=line["color"], alpha=0.35, markersize=3)  # fmt: skip
    axes.plot([o.lr or 0.0 for o in curve], [o.value or 0.0 for o in curve],
              label=of.name or None, **line)  # fmt: skip
    for one in (*curve, *others) if of.own else ():
        if one.number == chosen:
            axes.plot([one.lr or 0.0], [one.value or 0.0], line["marker"], color=line["color"],
                      markersize=8, markerfacecolor="none")  # fmt: skip
        if one.number == 0:
            axes.plot([one.lr or 0.0], [one.value or 0.0], "|", color=line["color"],
                      markersize=11)  # fmt: skip


def importance_bars(analysis: Analysis) -> Figure | None:
    """The importance of every field, the largest first; a panel for each arm."""
    found = {a: s["importance"] for a, s in searched(analysis).items() if s.get("importance")}
    if not found:
        return None
    most = max(len(shares) for shares in found.values())
    with style():
        figure = new_figure((0.5 + BAR * most) * len(found))
        panels = figure.subplots(len(found), 1, squeeze=False)[:, 0]
        for axes, (arm, shares) in zip(panels, found.items(), strict=True):
            order = sorted(shares, key=lambda name: shares[name])
            axes.barh(range(len(order)), [100 * shares[n] for n in order], color=COLOURS[0])
            axes.set_yticks(range(len(order)), [label(name) for name in order])
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
            axes.margins(y=0.01)
            if len(found) > 1:
                axes.set_title(label(arm), loc="left")
        panels[-1].set_xlabel("importance (%)")
        return figure


def front_plot(analysis: Analysis) -> Figure | None:
    """Score against each cost: all trials, and those that no other one beats."""
    costs = costs_of(analysis)
    if not costs or not any(said.get("front") for said in analysis.study.searched.values()):
        return None
    with style():
        figure = new_figure(1.95 * venue().stretch * len(costs))
        panels = figure.subplots(len(costs), 1, squeeze=False)[:, 0]
        for axes, cost in zip(panels, costs, strict=True):
            for _, line in each(lineup(analysis)):
                _draw_front(axes, analysis, line, cost)
            axes.set_xlabel(label(cost.replace("_", " ")))
            axes.set_ylabel(label(score_name(analysis)))
        legend_below(figure, panels[-1])
        return figure


def _draw_front(axes: Axes, analysis: Analysis, of: Line, cost: str) -> None:
    arm = of.arm
    tried = {o.number: o for o in trials_of(analysis.study, arm) if o.whole and cost in o.costs}
    front = [tried[n] for n in analysis.study.searched.get(arm, {}).get("front", ()) if n in tried]
    if not front:
        return
    sizes = [one.costs[cost] for one in tried.values()]
    axes.plot(sizes, [one.value or 0.0 for one in tried.values()], ".", color=MUTED, alpha=0.6)
    if max(sizes) > WIDE * max(1.0, min(sizes)):
        log_ticks(axes, "{:,.0f}".format)
    front.sort(key=lambda one: (one.costs[cost], one.value or 0.0))
    name = "no trial beats them" if len(analysis.arms) == 1 else of.name or None
    line = {**of.look, "linestyle": "-"}
    axes.plot([one.costs[cost] for one in front], [one.value or 0.0 for one in front],
              drawstyle="steps-post", label=name, **line)  # fmt: skip
    chosen = tried.get(chosen_trial(analysis.study, arm) or 0)
    if chosen is not None:
        axes.plot([chosen.costs[cost]], [chosen.value or 0.0], line["marker"],
                  color=line["color"], markersize=8, markerfacecolor="none")  # fmt: skip
