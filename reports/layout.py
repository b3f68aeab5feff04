"""What of a table fits side by side: widths in characters, texts that wrap, columns in parts."""

from __future__ import annotations

from dataclasses import dataclass

from reports.description import Column, Rows, Table, headings, text_of

GAP = 2  # characters: the space between two columns
LONG, LEAST = 28, 18  # characters: a text that may wrap, and what of it stays on a line


@dataclass(frozen=True)
class Layout:
    """Widths of the columns (characters), those that wrap, and which stand side by side."""

    widths: tuple[int, ...]
    wrapped: dict[int, int]  # column -> characters of a line
    parts: tuple[tuple[int, ...], ...]  # of columns; those that name a row come in each

    @property
    def total(self) -> int:
        """Characters of the widest part."""
        width = {**dict(enumerate(self.widths)), **self.wrapped}
        return max(sum(width[i] + GAP for i in part) for part in self.parts)


def layout(table: Table, cells: Rows, most: int) -> Layout:
    """Side by side as they are; else with long texts wrapped; else in parts of `most` characters.

    cells   the body, as `table.cells()` gives it
    """
    widths = _widths(table, cells)
    wrapped = _wrapped(table.columns, widths, most)
    narrow = [wrapped.get(i, width) for i, width in enumerate(widths)]
    return Layout(tuple(widths), wrapped, _parts(table.columns, narrow, most))


def _widths(table: Table, cells: Rows) -> list[int]:
    rows = [*cells, *table.apart]
    found = [
        max(len(column.title), *(len(text_of(row[i])) for row in rows), 1)
        for i, column in enumerate(table.columns)
    ]
    for title, first, count in headings(table.columns):
        lack = len(title) - sum(found[first : first + count]) - GAP * (count - 1)
        found[first] += max(0, lack)
    return found


def _wrapped(columns: tuple[Column, ...], widths: list[int], most: int) -> dict[int, int]:
    """Long texts share what the other columns leave, where not all fits."""
    excess = sum(widths) + GAP * len(widths) - most
    long = [i for i, c in enumerate(columns) if c.align == "left" and widths[i] > LONG]
    if excess <= 0 or not long:
        return {}
    room = sum(widths[i] for i in long) - excess
    share = {i: max(LEAST, room * widths[i] // sum(widths[j] for j in long)) for i in long}
    return {i: width for i, width in share.items() if width < widths[i]}


def _parts(
    columns: tuple[Column, ...], widths: list[int], most: int
) -> tuple[tuple[int, ...], ...]:
    if sum(widths) + GAP * len(widths) <= most:
        return (tuple(range(len(columns))),)
    num_keys = next((i for i, c in enumerate(columns) if c.align != "left"), len(columns))
    keys = tuple(range(num_keys)) if num_keys < len(columns) else (0,)
    room = most - sum(widths[i] + GAP for i in keys)
    parts: list[list[int]] = [[]]
    used = 0
    for i in range(len(keys), len(columns)):
        if parts[-1] and used + widths[i] + GAP > room:
            parts.append([])
            used = 0
        parts[-1].append(i)
        used += widths[i] + GAP
    return tuple((*keys, *part) for part in parts)
