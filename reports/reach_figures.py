"""How much an arm holds, and how far it reaches: curves with the number that is read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from reports.contrast import Analysis, by_seed
from reports.factor_curves import curves
from reports.factors import Factor, Place, task_of
from reports.figure import MUTED, style
from reports.formats import short
from reports.lines import lineup
from reports.measures import Reached, capacity, extrapolation
from sweeps.results import LOWER_IS_BETTER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENOUGH = 0.9  # the accuracy that a capacity is read at
SOLVED = 0.99  # the accuracy that a reach is read at


def capacity_curve(analysis: Analysis, panels: Sequence[Factor]) -> Figure:
    """Curves over the number of things to hold, with the place where each falls below ENOUGH."""
    found = [{a.name: capacity_of(panel, a.name) for a in analysis.arms} for panel in panels]
    said = [
        {arm: holds(panel, r) for arm, r in row.items() if r}
        for panel, row in zip(panels, found, strict=True)
    ]
    figure = curves(analysis, panels, said)
    with style():
        for axes, row in zip(figure.axes, found, strict=True):
            axes.axhline(ENOUGH, color=MUTED, linewidth=0.8, linestyle="--")
            for line in lineup(analysis):
                reached = row[line.arm]
                if line.own and reached and reached.value and not reached.censored:
                    axes.plot([reached.value], [ENOUGH], "|", color=line.look["color"],
                              markersize=9, markeredgewidth=1.2, zorder=4)  # fmt: skip
    return figure


def capacity_of(factor: Factor, arm: str) -> Reached | None:
    """Where the arm's mean falls below ENOUGH; None where it has no curve."""
    points = [(x, y) for x, y in factor.means(arm) if x > 0]
    return capacity(*zip(*points, strict=True), ENOUGH) if points else None  # pyright: ignore


def holds(factor: Factor, reached: Reached) -> str:
    """11.3, > 64 where no size was too much, < 4 where the first one was."""
    if not reached.value:
        return f"< {short(min(x for x in factor.numbers if x > 0))}"
    return f"≥ {short(reached.value)}" if reached.censored else short(reached.value)


# -------------------------------------------------------------------------------- reach


def extrapolation_curve(analysis: Analysis, panels: Sequence[Factor], trained: float) -> Figure:
    """Curves over length, beyond the one that was trained: its own score among them."""
    panels = [_with_own(analysis, panel, trained) for panel in panels]
    said: list[dict[str, str]] = []
    if panels[0].metric not in LOWER_IS_BETTER:
        said = [
            {a.name: f"×{short(reach(p, a.name, trained))}" for a in analysis.arms} for p in panels
        ]
    return curves(analysis, panels, said, {"trained": trained})


def reach(factor: Factor, arm: str, trained: float) -> float:
    """How many times the length of training the arm's mean stays at SOLVED."""
    points = factor.means(arm)
    if not points:
        return 0.0
    lengths, accuracies = zip(*points, strict=True)
    return extrapolation(lengths, accuracies, trained, SOLVED)


def _with_own(analysis: Analysis, factor: Factor, trained: float) -> Factor:
    """The factor with the whole test split, where that is the split at the trained length."""
    if factor.within or trained in factor.numbers or not _is_suite(analysis):
        return factor
    rows = analysis.study.results.filter(
        (pl.col("split") == "test")
        & (pl.col("slice") == "all")
        & (pl.col("metric") == factor.metric)
        & pl.col("seed").is_in(analysis.study.plan["seeds"])
    )
    i = sum(number < trained for number in factor.numbers)
    own = Place(f"{trained:g}", float(trained))
    values = {
        arm: (*row[:i], by_seed(rows.filter(pl.col("arm") == arm)), *row[i:])
        for arm, row in factor.values.items()
    }
    places = (*factor.places[:i], own, *factor.places[i:])
    return Factor(factor.name, factor.metric, places, values)


def trained_length(analysis: Analysis) -> float | None:
    """The longest length of training, where the test has lengths of its own."""
    task = task_of(analysis)
    if isinstance(task.get("inner"), Mapping):
        task = task["inner"]
    elif task.get("parts"):
        return max((part.get("length") or 0 for part in task["parts"]), default=0) or None
    elif not task.get("test_length"):
        return None
    return task.get("length")


def _is_suite(analysis: Analysis) -> bool:
    return isinstance(task_of(analysis).get("inner"), Mapping)
