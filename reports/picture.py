"""A figure with its name and caption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure and what a reader who cannot see it is told."""

    name: str
    caption: str
    figure: Figure
