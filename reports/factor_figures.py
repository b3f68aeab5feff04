"""Accuracy over what differs between examples: any factor, how much to hold, how long a sequence.

Each field that the slices of the test split vary is one picture: a curve where its values are
numbers, dots where they are names. The number of things to hold has a capacity, the length a reach.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from reports.contrast import Analysis
from reports.factor_curves import curves, dots
from reports.factors import Factor, factors
from reports.lines import told_apart
from reports.picture import Picture
from reports.reach_figures import (
    ENOUGH,
    SOLVED,
    capacity_curve,
    extrapolation_curve,
    trained_length,
)
from sweeps.results import LOWER_IS_BETTER

SIZES = (
    *("num_pairs", "num_tokens", "num_keys", "num_contexts", "num_shown", "num_nodes"),
    *("num_entries", "num_items", "num_people"),
)
MAX_PANELS = 4
DIVERGED = " A run that diverged counts with the chance score."
CAPACITY = f" Upright marks: the capacity, where the mean falls below {ENOUGH} (log2 interpolated)"
IN_LEGEND = "; its value is in the legend."
REACH = (
    " In the legend: the reach, the longest length up to which the mean stays at "
    f"{SOLVED} or more, over that length."
)


def factor_figures(analysis: Analysis) -> tuple[Picture, ...]:
    """One picture for each field that the slices vary."""
    found: dict[str, list[Factor]] = {}
    for factor in factors(analysis):
        found.setdefault(factor.name, []).append(factor)
    made, taken = [], set()
    for name, panels in found.items():
        picture = factor_figure(analysis, name, panels[:MAX_PANELS])
        while picture.name in taken:  # two names that are one where only letters count
            picture = replace(picture, name=f"{picture.name}-2")
        taken.add(picture.name)
        made.append(picture)
    return tuple(made)


def factor_figure(analysis: Analysis, name: str, panels: Sequence[Factor]) -> Picture:
    """The picture of one field; a panel for each setting of the others."""
    metric = panels[0].metric
    good = metric not in LOWER_IS_BETTER
    trained = trained_length(analysis) if name == "length" else None
    kind, more = "factor", ""
    if not all(panel.numeric for panel in panels):
        figure = dots(analysis, panels)
    elif name in SIZES and good:
        kind, figure = "capacity", capacity_curve(analysis, panels)
        more = CAPACITY + (IN_LEGEND if len(panels) == 1 else ".")
    elif trained and panels[0].numbers[-1] > trained:
        kind, figure = "extrapolation", extrapolation_curve(analysis, panels, trained)
        more = f" The upright line: the longest length of training, {trained:g}."
        more += REACH if good and len(panels) == 1 else ""
    else:
        figure = curves(analysis, panels)
    caption = f"Test {metric} over {name}: mean over seeds and 95 % t interval.{more}"
    if metric == analysis.outcome.metric and analysis.chance is not None:
        caption += DIVERGED
    caption += told_apart(analysis)
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return Picture(f"{kind}-{slug}", caption, figure)
