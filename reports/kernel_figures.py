"""Kernels before and after training, with what was measured of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reports.contrast import Analysis, Arm
from reports.figure import MUTED, label, letters, new_figure, style, venue
from reports.formats import short
from reports.lines import Line, lineup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUM_CHANNELS = 3  # of the kernels that are drawn
NUM_TAPS = 400
MAX_KERNEL_ARMS = 8
WHEN = ("initial", "final")
SHOWN = (("effective_length", "n", 3), ("decay_exponent", "a", 2), ("decay_rate", "r", 2))
BESIDE = 0.25  # inches of half the width that numbers at the axis take
PANEL = 0.72  # inches of a row without its titles


def kernel_gallery(analysis: Analysis) -> Figure | None:
    """A few channels of each arm's first kernel, and measured length and decay of all of them."""
    kernels = analysis.study.kernels
    lines = [line for line in lineup(analysis) if _first_kernel(kernels.get(line.arm, {}))]
    lines = sorted(lines, key=lambda line: not line.own)[:MAX_KERNEL_ARMS]
    if not lines:
        return None
    arms = {arm.name: arm for arm in analysis.arms}
    with style():
        title = 2.6 * venue().text / 72
        figure = new_figure(0.35 + (PANEL * venue().stretch + title) * len(lines))
        grid = figure.subplots(len(lines), 2, sharex=True, sharey=True, squeeze=False)
        room = int(letters(figure.get_figwidth() / 2 - BESIDE, venue().small))
        for row, line in zip(grid, lines, strict=True):
            name = _first_kernel(kernels[line.arm])
            for i, (axes, when) in enumerate(zip(row, WHEN, strict=True)):
                _draw_kernel(axes, kernels[line.arm].get(f"{when}/{name}"), line)
                _title(axes, "" if i else label(line.arm, room), measured(arms[line.arm], i), line)
        for axes, when in zip(grid[-1], WHEN, strict=True):
            axes.set_xlabel(f"lag ({when})")
        return figure


def shown_of(analysis: Analysis) -> str:
    """What the caption adds where there are too many arms for a page."""
    num = sum(bool(_first_kernel(arrays)) for arrays in analysis.study.kernels.values())
    return f" {MAX_KERNEL_ARMS} of {num} arms." if num > MAX_KERNEL_ARMS else ""


def measured(arm: Arm, when: int) -> str:
    """`n = 12  a = 1.2  r = 0.11`: what was measured at initialisation (0) or at the end (1)."""
    found = [(sign, arm.measured.get(name, (None, None))[when], n) for name, sign, n in SHOWN]
    return "  ".join(f"{sign} = {short(v, n)}" for sign, v, n in found if v is not None)


def _title(axes: Axes, name: str, numbers: str, line: Line) -> None:
    """The arm's name, below it the numbers."""
    axes.set_title(f"{name}\n{numbers}", loc="left", color=line.look["color"], pad=2,
                   fontsize=venue().small, linespacing=1.1)  # fmt: skip


def _first_kernel(arrays: dict[str, np.ndarray]) -> str:
    """The module path of the first kernel, in the order of the model's layers."""
    names = [name.partition("/")[2] for name in arrays if name.startswith("final/")]
    names += [name.partition("/")[2] for name in arrays if name.startswith("initial/")]
    return names[0] if names else ""


def _draw_kernel(axes: Axes, kernel: np.ndarray | None, line: Line) -> None:
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
        style_of = {"color": line.look["color"], "linewidth": 0.9, "alpha": 1 - 0.28 * i}
        axes.plot(taps, values, marker="." if len(taps) < 12 else "", **style_of)
