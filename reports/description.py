"""One description of a table, from which every format is written.

A table is a frame of plain numbers and, per printed column, how one of its rows is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple

import polars as pl

Align = Literal["left", "right", "center"]
PUBLISHED = "published: other hardware, data and code"


@dataclass(frozen=True)
class Strong:
    """A text in bold."""

    text: str


Shown = str | Strong
Rows = list[list[Shown]]


@dataclass(frozen=True)
class Column:
    """A printed column: its title, and what it shows of a row of the frame."""

    title: str
    show: Callable[[dict[str, Any]], Shown]
    align: Align = "right"
    group: str = ""  # a heading above neighbouring columns that have the same one


@dataclass(frozen=True)
class Table:
    """Numbers, and how they are printed.

    apart       rows of another origin, one cell per column, below a rule of their own. They are
                texts, not numbers of the frame: what is not ours is not averaged with what is.
    apart_title the heading above them
    """

    name: str  # of its files: [a-z-]+
    caption: str
    frame: pl.DataFrame
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()
    apart: tuple[tuple[Shown, ...], ...] = ()
    apart_title: str = ""

    def __post_init__(self) -> None:
        for row in self.apart:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{self.name}: a row apart has {len(row)} cells, there are "
                    f"{len(self.columns)} columns"
                )

    def cells(self) -> Rows:
        """The body, row by row, as it is printed and not yet escaped."""
        rows = self.frame.iter_rows(named=True)
        shows = [column.show for column in self.columns]
        return [[show(row) for show in shows] for row in rows]


class Heading(NamedTuple):
    """A group of neighbouring columns: its heading, "" for none, and which they are."""

    title: str
    first: int
    span: int


def headings(columns: tuple[Column, ...]) -> list[Heading]:
    """The columns by group, in order; [] where no column has one."""
    if not any(column.group for column in columns):
        return []
    found, first = [], 0
    for title, members in groupby(columns, key=lambda column: column.group):
        span = len(list(members))
        found.append(Heading(title, first, span))
        first += span
    return found


def text_of(cell: Shown) -> str:
    """What a cell says, bold or not."""
    return cell.text if isinstance(cell, Strong) else cell


def plain(text: str) -> str:
    """One line without control characters (a name may hold anything)."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def parted(caption: str) -> tuple[str, str]:
    """What a table is of, up to the first colon or full stop; and how, which is the rest."""
    what = re.match(r".+?[.:](?=\s)", caption)
    end = what.end() if what else len(caption)
    return caption[:end], caption[end:].strip()
