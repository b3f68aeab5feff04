"""How every figure looks and is written: one column wide, safe for colour-blind readers, and the
same bytes for the same numbers. matplotlib is imported inside functions only.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from reports.table import escape_html, plain
from reports.ticks import log_ticks, step_ticks
from reports.venues import INK, MUTED, VENUES, Name, Venue, settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "INK",
    "KINDS",
    "MUTED",
    "WIDTH",
    "inline_svg",
    "label",
    "legend_below",
    "log_ticks",
    "look",
    "new_figure",
    "render",
    "step_ticks",
    "style",
    "venue",
]

WIDTH = VENUES["plain"].column
# Okabe and Ito, in an order in which neighbours can be told apart whatever a reader's eyes lack
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7")
MARKERS = "osD^vPX"
DASHES = ("-", ":", "-.")  # "--" is the baseline's
KINDS = ("pdf", "svg", "png")
LABEL_LENGTH = 32
ROW = 1.55  # height of a row of a legend, in the size of its letters
HANDLE = 8  # room that a line and its margins take in a legend, in letters
POINTS = 72  # in an inch
NO_DATE: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "ModDate": None},
    "svg": {"Date": None},
    "png": {},
}
_active: ContextVar[Name] = ContextVar("style", default="plain")


@contextlib.contextmanager
def style(name: Name | None = None) -> Iterator[None]:
    """Everything that draws or saves happens inside: the reader's own settings do not leak in.

    Without a name: as it is around, plain at the outermost.  Raises: ValueError on another name.
    """
    import matplotlib as mpl

    chosen = _active.get() if name is None else name
    if chosen not in VENUES:
        raise ValueError(f"style={chosen}: choose from {', '.join(VENUES)}")
    token = _active.set(chosen)
    try:
        with warnings.catch_warnings(), mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(cast(Any, settings(VENUES[chosen])))
            warnings.filterwarnings("ignore", message="Glyph .* missing from")  # drawn as a box
            yield
    finally:
        _active.reset(token)


def venue() -> Venue:
    """The widths and sizes of the style that is active."""
    return VENUES[_active.get()]


def new_figure(height: float, width: float | None = None) -> Figure:
    """An empty figure that no window and no global list knows of. Call inside `style()`.

    Inches; as wide as a column of the active style unless said otherwise.
    """
    from matplotlib.figure import Figure

    size = (venue().column if width is None else width, height)
    figure = Figure(figsize=size, layout="constrained")
    figure.set_label(_active.get())  # which style it is saved in
    return figure


def render(figure: Figure, kind: str, *, transparent: bool = False) -> bytes:
    """The figure as a file, in the style that it was made in: the same bytes each time."""
    made = str(figure.get_label())
    with style(cast(Name, made) if made in VENUES else None):
        if figure.get_constrained_layout():  # once, not for every format
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        patches = [figure.patch, *(axes.patch for axes in figure.axes)] if transparent else []
        shown = [patch.get_visible() for patch in patches]
        for patch in patches:
            patch.set_visible(False)
        try:
            return _printed(figure, kind)
        finally:
            for patch, visible in zip(patches, shown, strict=True):
                patch.set_visible(visible)


def _printed(figure: Figure, kind: str) -> bytes:
    """What savefig writes, without the drawing for nothing that it begins with."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer, canvas, dpi = io.BytesIO(), figure.canvas, figure.dpi
    try:
        if kind == "png":
            FigureCanvasAgg(figure).print_png(buffer, metadata=NO_DATE[kind])
        elif kind == "pdf":
            FigureCanvasPdf(figure).print_pdf(buffer, metadata=NO_DATE[kind])
        else:
            FigureCanvasSVG(figure).print_svg(buffer, metadata=NO_DATE[kind])
    finally:
        figure.set_canvas(canvas)
        figure.dpi = dpi
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


def label(text: str, most: int = LABEL_LENGTH) -> str:
    """A name that fits into a legend and that matplotlib does not read as a command."""
    text = plain(text)
    if len(text) > most:  # names of arms differ at either end
        text = f"{text[: most // 2 - 1]}…{text[-most // 2 :]}"
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


def letters(width: float, size: float) -> float:
    """How many letters of a size, in points, fit into a width in inches."""
    return width * POINTS / (venue().em * size)


def legend_below(figure: Figure, axes: Axes) -> None:
    """All labelled lines in rows below the axes, where they cover no data; the figure grows.

    What lies at the bottom (zorder 1), such as the arms in grey, comes last.
    """
    pairs = list(zip(*axes.get_legend_handles_labels(), strict=True))
    pairs.sort(key=lambda pair: pair[0].get_zorder() <= 1)
    if pairs:
        names, size = [str(name) for _, name in pairs], venue().legend
        columns = columns_for(names, letters(figure.get_figwidth(), size))
        rows = -(-len(names) // columns)
        figure.set_figheight(figure.get_figheight() + rows * ROW * size / POINTS)
        handles = [handle for handle, _ in pairs]
        figure.legend(handles, names, loc="outside lower center", ncols=columns)


def columns_for(names: Sequence[str], room: float) -> int:
    """The most columns of a legend that fit, filled one after the other; room in letters."""
    for columns in range(len(names), 1, -1):
        rows, longer = divmod(len(names), columns)
        widths, start = 0, 0
        for i in range(columns):  # the first ones take what is left over
            end = start + rows + (i < longer)
            widths += HANDLE + max(map(len, names[start:end]))
            start = end
        if widths <= room:
            return columns
    return 1
