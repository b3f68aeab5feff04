"""The lines of a picture: which arms have one of their own, and how means and bands are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.contrast import Analysis, Arm
from reports.equivalence import SHARES
from reports.figure import MUTED, label, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LINES = 13  # the baseline and twelve more: beyond, nobody tells them apart
MAX_MARKS = 8  # of a line
FEW = 5  # lines whose bands may cover each other
REST: dict[str, Any] = {"color": MUTED, "linestyle": "-", "marker": "", "zorder": 1}
MARGIN = 0.05  # beyond 0 and 1


@dataclass(frozen=True)
class Line:
    """An arm in a picture: grey and without a band where there are too many."""

    arm: str
    name: str  # in the legend; "" for none
    look: dict[str, Any]
    own: bool = True  # whether it is one of those that are told apart


def lineup(analysis: Analysis) -> tuple[Line, ...]:
    """Every arm. Of many, those that differ most from the baseline have a look of their own."""
    chosen = [arm.name for arm in _chosen(analysis)]
    rest = [arm.name for arm in analysis.arms if arm.name not in chosen]
    said = f"{len(rest)} other arm{'s' * (len(rest) > 1)}"
    found = []
    for arm in analysis.arms:
        if arm.name in chosen:
            line = look(chosen.index(arm.name))
            found.append(Line(arm.name, label(arm.name), line))
        else:
            found.append(Line(arm.name, said if arm.name == rest[0] else "", REST, own=False))
    return tuple(found)


def _chosen(analysis: Analysis) -> list[Arm]:
    """In the plan's order, the baseline first."""
    most = sorted(analysis.others, key=_size, reverse=True)[: MAX_LINES - 1]
    return [analysis.baseline, *(arm for arm in analysis.others if arm in most)]


def _size(arm: Arm) -> float:
    mean = arm.contrast.difference.mean if arm.contrast else None
    return abs(mean) if mean is not None and math.isfinite(mean) else -1.0


def told_apart(analysis: Analysis) -> str:
    """What a caption adds where some arms are grey."""
    if len(analysis.arms) <= MAX_LINES:
        return ""
    return f" In colour: the {MAX_LINES - 1} arms that differ most from the baseline."


def each(lines: Sequence[Line]) -> Iterator[tuple[int, Line]]:
    """Those in grey first, so that they lie below; with their position."""
    yield from sorted(enumerate(lines), key=lambda pair: pair[1].own)


def keep_in_view(
    axes: Axes, means: Sequence[float], chance: float | None = None, *, metric: str = ""
) -> None:
    """An interval of two seeds may be huge: the axis goes no farther than the means do, twice.

    That of a metric between 0 and 1 does not leave them by more than a margin.
    """
    finite = [y for y in (*means, chance) if y is not None and math.isfinite(y)]
    if finite:
        low, high = min(finite), max(finite)
        room = (high - low) or abs(high) or 1.0
        bottom, top = axes.get_ylim()
        least, most = (-MARGIN, 1 + MARGIN) if metric in SHARES else (-math.inf, math.inf)
        axes.set_ylim(max(bottom, low - room / 2, least), min(top, high + room / 2, most))


def draw_line(
    axes: Axes,
    line: Line,
    x: np.ndarray,
    bounds: np.ndarray,
    *,
    position: int = 0,
    crowd: int = 1,
) -> None:
    """A mean and its interval: a band, or a bar where nothing is beside it.

    bounds: mean, low, high, NaN where there is none (3, N). Marks of lines lie apart.
    """
    mean, low, high = bounds
    colour = line.look["color"]
    if line.own:
        alpha = 0.18 if crowd <= FEW else 0.09
        axes.fill_between(x, low, high, color=colour, alpha=alpha, linewidth=0)
    stride = max(1, -(-len(x) // MAX_MARKS))
    width = None if line.own else 0.7
    axes.plot(x, mean, label=line.name or None, linewidth=width,
              markevery=(position % stride, stride), **line.look)  # fmt: skip
