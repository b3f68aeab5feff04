"""Tables, lists and lines in Markdown, for GitHub and for a terminal."""

from __future__ import annotations

import re

from reports.description import Align, Column, Shown, Strong, Table, parted, plain

_ACTS = (  # only what Markdown would act on: a terminal shows these texts too
    (re.compile(r"&(?=#?\w+;)"), "&amp;"),
    (re.compile(r"<(?=[A-Za-z/!?])"), "&lt;"),  # what could open a tag
    (re.compile(r"([\\|*`$])"), r"\\\1"),
    (re.compile(r"\](?=[(\[:])"), r"\\]"),  # a link
    (re.compile(r"(?<![^\W_])_|_(?![^\W_])"), r"\\_"),  # state_bytes stays; _this_ is emphasis
    (re.compile(r"(?<=\b(?:http|ftps))://|(?<=\bhttps)://|(?<=\bftp)://"), r"\\://"),
    (re.compile(r"\bwww\."), r"www\\."),
)
_MAY_ACT = re.compile(r"[&<\\|*`$\]_/]|www")


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, in a cell or within a line."""
    text = plain(text)
    if _MAY_ACT.search(text):
        for pattern, replacement in _ACTS:
            text = pattern.sub(replacement, text)
    return text


def to_bullet(text: str) -> str:
    """One item of a Markdown list, whatever the text begins with."""
    return "- " + re.sub(r"^(?=[#+>~=-]|\d+[.)])", r"\\", escape_markdown(text))


def to_markdown(table: Table) -> str:
    """A pipe table padded to equal widths, its caption above and its notes below.

    A pipe table has one row of headings, so a group stands before the titles of its columns; and
    no rule within it, so rows apart are a table of their own, of the same widths.
    """
    titles = [escape_markdown(_title(column)) for column in table.columns]
    body = [[_cell(cell) for cell in row] for row in table.cells()]
    apart = [[_cell(cell) for cell in row] for row in table.apart]
    widths = [max(3, *map(len, column)) for column in zip(titles, *body, *apart, strict=True)]
    main = _pipes(table, titles, body, widths)
    other = [_emphasis(table.apart_title), _pipes(table, titles, apart, widths)] if apart else []
    notes = "\n".join(to_bullet(note) for note in table.notes)
    parts = [_caption(table.caption), main, *other, notes]
    return "\n\n".join(part for part in parts if part) + "\n"


def _caption(text: str) -> str:
    """Bold up to the first colon or full stop: what the table is of. The rest says how."""
    what, rest = parted(text)
    below = f" {escape_markdown(rest)}" if rest else ""
    return f"**{escape_markdown(what)}**{below}" if what else ""


def _title(column: Column) -> str:
    return f"{column.group}: {column.title}" if column.group else column.title


def _emphasis(text: str) -> str:
    return f"*{escape_markdown(text)}*" if text else ""


def _pipes(table: Table, titles: list[str], body: list[list[str]], widths: list[int]) -> str:
    pads = [_PAD[column.align] for column in table.columns]
    rules = [_rule(c.align, width) for c, width in zip(table.columns, widths, strict=True)]

    def line(row: list[str]) -> str:
        padded = (pad(text, w) for text, pad, w in zip(row, pads, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    return "\n".join((line(titles), f"|{'|'.join(rules)}|", *map(line, body)))


def _cell(cell: Shown) -> str:
    text = cell.text if isinstance(cell, Strong) else cell
    return f"**{escape_markdown(text)}**" if isinstance(cell, Strong) else escape_markdown(text)


def _rule(align: Align, width: int) -> str:
    left, right = align == "center", align != "left"
    return ":" * left + "-" * (width + 2 - left - right) + ":" * right


_PAD = {"left": str.ljust, "right": str.rjust, "center": str.center}
