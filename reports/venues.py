"""What places that print figures ask for: widths, fonts and their sizes, as data.

Source:  NeurIPS 2024 style: one text block, 5.5 inches wide, Times; ICML 2024 style: two columns
         of 3.25 inches with 0.25 between them, Times.
Differs: STIX stands for Times, because it comes with matplotlib and so is the same on every
         machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Name = Literal["plain", "neurips", "icml"]
LEAST = 6.5  # points: no text of a figure is smaller
INK = "#1b1b1c"  # text and the baseline; in a page it follows the page's own text colour
MUTED = "#8a8a8b"  # readable on white and on black


@dataclass(frozen=True)
class Venue:
    """Widths are inches, sizes are points: those that are seen where nothing scales a figure."""

    column: float
    wide: float
    fonts: tuple[str, ...]  # the first that has a sign draws it
    maths: str
    text: float
    small: float  # numbers at the axes
    legend: float
    em: float  # mean width of a sign, in its size
    stretch: float = 1.0  # of the height of axes, where the column is wide


VENUES: dict[str, Venue] = {
    "plain": Venue(3.4, 6.9, ("DejaVu Sans",), "dejavusans", 7.5, LEAST, 7, 0.6),
    "neurips": Venue(5.5, 5.5, ("STIXGeneral", "DejaVu Sans"), "stix", 9, 8, 8.5, 0.5, 1.2),
    "icml": Venue(3.25, 6.75, ("STIXGeneral", "DejaVu Sans"), "stix", 8, 7, 7.5, 0.5),
}
ALWAYS: dict[str, Any] = {
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": MUTED,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.4,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,  # a `$` in a name is a `$`
    "pdf.fonttype": 42,  # TrueType: publishers refuse type 3
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "seqzoo",
    "path.simplify": True,
}


def settings(venue: Venue) -> dict[str, Any]:
    """The venue in matplotlib's own words."""
    return ALWAYS | {
        "font.family": list(venue.fonts),  # they come with matplotlib
        "mathtext.fontset": venue.maths,
        "font.size": venue.text,
        "axes.titlesize": venue.text,
        "axes.labelsize": venue.text,
        "figure.labelsize": venue.text,
        "legend.fontsize": venue.legend,
        "xtick.labelsize": venue.small,
        "ytick.labelsize": venue.small,
    }
