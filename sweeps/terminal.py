"""Words and numbers for a terminal: short, and harmless whatever a name holds."""

from __future__ import annotations

import sys

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

TAIL = 9  # characters of a label that are always kept: " seed 12"
SECONDS, MINUTES = 100, 6000  # up to here durations are given in seconds, in minutes


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.4 h`."""
    if seconds < SECONDS:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < MINUTES else f"{seconds / 3600:.1f} h"


def speed(count: float, seconds: float, of: str = "step") -> str:
    """`21 steps/s`, `34 runs/h`; nothing where there is nothing to tell yet."""
    if count <= 0 or seconds <= 0:
        return ""
    each, unit = (count / seconds, "s") if of == "step" else (count / seconds * 3600, "h")
    return f"{each:.3g} {of}s/{unit}" if each < SECONDS else f"{each:,.0f} {of}s/{unit}"


def printable(text: object) -> str:
    """The text on one line, without what moves a cursor or turns the direction of writing."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def cell(text: object, style: str = "") -> Text:
    """The text as it is: brackets are no markup, and what is too long ends in an ellipsis."""
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")


class Label:
    """A run's label in a table: shortened before its end, as the end tells seeds apart."""

    def __init__(self, text: str) -> None:
        self._text = printable(text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """All of it if it fits."""
        whole, width = cell(self._text), options.max_width
        if whole.cell_len > width > 2 * TAIL:
            tail = cell(self._text[-TAIL:])
            whole.truncate(width - tail.cell_len, overflow="ellipsis")
            whole.append_text(tail)
        yield whole

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as it likes, and no wider than there is room."""
        return Measurement(1, min(options.max_width, cell(self._text).cell_len))


def standard_error() -> Console:
    """A terminal only where there is one, whatever the environment says of colours."""
    return Console(stderr=True, force_terminal=sys.stderr.isatty())
