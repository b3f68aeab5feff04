"""Axes with few and plain numbers. matplotlib is imported inside functions only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def log_ticks(axes: Axes, number: Callable[[float], str] | None = None) -> None:
    """A logarithmic axis with few and plain numbers: of learning rates unless said otherwise."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    wide = high / low > 30
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: (number or rate)(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def rate(value: float) -> str:
    """0.001, 1e-5"""
    return f"{value:.2g}".replace("e-0", "e-")


def step_ticks(axes: Axes) -> None:
    """An axis of training steps: whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def ticks_at(axes: Axes, places: Sequence[float], names: Sequence[str], room: float) -> None:
    """A tick at every place, a name wherever it covers no other one.

    Call once the axis has its scale and limits. room: letters that fit beside each other on it.
    """
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    low, high = axes.transData.transform([(place, 0) for place in axes.get_xlim()])[:, 0]
    ends = axes.transData.transform([(place, 0) for place in places])[:, 0]
    centres = (ends - low) / (high - low) * room
    shown = apart([float(c) for c in centres], [len(name) for name in names])
    axes.set_xticks([places[i] for i in shown], [names[i] for i in shown])
    rest = [place for i, place in enumerate(places) if i not in shown]
    axes.xaxis.set_minor_locator(FixedLocator(rest) if rest else NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def apart(centres: Sequence[float], widths: Sequence[int], gap: float = 1.5) -> list[int]:
    """Which of the names in a row are written: from the left, each that leaves a gap. (N,)

    Centres, widths and the gap are in letters.
    """
    found: list[int] = []
    for i, (centre, width) in enumerate(zip(centres, widths, strict=True)):
        if not found or centre - centres[found[-1]] >= (width + widths[found[-1]]) / 2 + gap:
            found.append(i)
    return found


def powers_of_two(axes: Axes) -> None:
    """An upright axis that is logarithmic, of counts: 1,024 and not 2^10."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_ylim()
    octaves = max(1.0, math.log2(high / low))
    axes.yaxis.set_major_locator(LogLocator(base=2 ** math.ceil(octaves / 6)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
