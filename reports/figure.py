"""How every figure looks and is written: one column wide, safe for colour-blind readers, and the
same bytes for the same numbers. matplotlib is imported inside functions only.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from reports.table import escape_html, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 3.4  # inches: one column of a two-column paper
INK = "#1b1b1c"  # text and the baseline; in a page it follows the page's own text colour
MUTED = "#8a8a8b"  # readable on white and on black
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito
MARKERS = "osD^vPX"
DASHES = ("-", ":", "-.")  # "--" is the baseline's
KINDS = ("pdf", "svg", "png")
LABEL_LENGTH = 32
LEGEND_ROW = 0.15  # inches
STYLE: dict[str, Any] = {
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "figure.labelsize": 7.5,
    "legend.fontsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
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
    "legend.handlelength": 2.2,
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
NO_DATE: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "ModDate": None},
    "svg": {"Date": None},
    "png": {},
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Everything that draws or saves happens inside: the reader's own settings do not leak in."""
    import matplotlib as mpl

    with warnings.catch_warnings(), mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast(Any, STYLE))
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # drawn as a box
        yield


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure that no window and no global list knows of. Call inside `style()`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def render(figure: Figure, kind: str, *, transparent: bool = False) -> bytes:
    """The figure as a file: the same bytes each time."""
    buffer = io.BytesIO()
    with style():
        if figure.get_layout_engine() is not None:  # once, not for every format
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        figure.savefig(buffer, format=kind, metadata=NO_DATE[kind], transparent=transparent)
    return buffer.getvalue()


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """An <svg> element for a page: its ids begin with `name`, its ink is the page's text colour."""
    text = render(figure, "svg", transparent=True).decode()
    text = re.sub(
        r"<!--.*?-->|<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S
    )
    text = re.sub(r'(\bid=")', rf"\1{name}-", text)
    text = re.sub(r'(href="#|url\(#)', rf"\1{name}-", text)
    text = text.replace(INK, "currentColor")
    label = f'<svg role="img" aria-label="{escape_html(description)}" '
    return re.sub(r"\s*\n\s*", "\n", text.replace("<svg ", label, 1)).strip()


def label(text: str) -> str:
    """A name that fits into a legend and that matplotlib does not read as a command."""
    text = plain(text)
    if len(text) > LABEL_LENGTH:  # names of arms differ at either end
        text = f"{text[: LABEL_LENGTH // 2 - 1]}…{text[-LABEL_LENGTH // 2 :]}"
    return f" {text}" if text.startswith("_") else text  # a leading _ would hide it from the legend


def look(position: int) -> dict[str, Any]:
    """Colour, dash and marker of the position-th arm; 0 is the baseline."""
    if position == 0:
        # dashed and on top: an arm that equals it shows through
        return {"color": INK, "linestyle": "--", "marker": MARKERS[0], "zorder": 3}
    i = position - 1
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": DASHES[i // len(COLOURS) % len(DASHES)],
        "marker": MARKERS[(1 + i) % len(MARKERS)],
    }


def legend_columns(names: Sequence[str]) -> int:
    """How many names of this length fit side by side."""
    longest = max((len(name) for name in names), default=0)
    return max(1, min(len(names), int(56 // (longest + 8))))


def legend_below(figure: Figure, axes: Axes) -> None:
    """All labelled lines in rows below the axes, where they cover no data; the figure grows."""
    handles, names = axes.get_legend_handles_labels()
    if names:
        columns = legend_columns(names)
        figure.set_figheight(figure.get_figheight() + LEGEND_ROW * -(-len(names) // columns))
        figure.legend(handles, names, loc="outside lower center", ncols=columns)


def log_ticks(axes: Axes, number: Callable[[float], str] = "{:.2g}".format) -> None:
    """A logarithmic axis with few and plain numbers: of learning rates unless said otherwise."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    wide = high / low > 30
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def step_ticks(axes: Axes) -> None:
    """An axis of training steps: whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
