"""Words and numbers for a terminal: short, and harmless whatever a name holds."""

from __future__ import annotations

from collections.abc import Sequence

SECONDS, MINUTES = 100, 6000  # up to here durations are given in seconds, in minutes
TAIL = 9  # characters of a label that are always kept: " seed 12"


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
    found = str(text)
    if found.isprintable():
        return found
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in found)


def shortened(label: str, width: int) -> str:
    """At most so wide: cut before the end, as the end tells seeds apart."""
    if len(label) <= width:
        return label
    tail = label[-TAIL:] if width > 2 * TAIL else ""
    return f"{label[: max(0, width - len(tail) - 1)]}…{tail}"


def aligned(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Rows as lines: the first column to the left, the others to the right.

    Args:
        rows: texts; the first row is the heading.
        width: that the first column is shortened for; None: as wide as it takes.
    """
    rows = [[printable(text) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is not None:
        widths[0] = max(TAIL, min(widths[0], width - sum(widths[1:]) - 2 * len(widths[1:])))
    lines = []
    for first, *others in rows:
        cells = [f"{text:>{room}}" for text, room in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([f"{shortened(first, widths[0]):<{widths[0]}}", *cells]))
    return lines
