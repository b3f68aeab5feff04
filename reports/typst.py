"""Tables in typst's markup, without packages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.description import Column, Rows, Shown, Strong, Table, headings, plain
from reports.layout import Layout, layout

WIDE, WIDEST = 130, 155  # characters: a page, and a page in smaller letters
_ACTS = (  # what markup acts on within a line
    (re.compile(r"(?<![\w.)\]-])-(?=\.?\d)"), "−"),  # a negative number
    (re.compile(r"""([\\#$*_<>@\[\]`"'~])"""), r"\\\1"),
    (re.compile(r"-(?=[-?\d])|(?<=-)-|^-"), r"\\-"),  # dashes, a soft hyphen, a minus, a list
    (re.compile(r"\.(?=\.)"), r"\\."),  # an ellipsis
    (re.compile(r"/(?=[/*])|(?<=\*)/|^/"), r"\\/"),  # comments, an address, a term
    (re.compile(r"^([=+])"), r"\\\1"),  # a heading, a list
    (re.compile(r"^(\d+)\.(?=\s|$)"), r"\1\\."),
)
_MAY_ACT = re.compile(r"""[\\#$*_<>@\[\]`"'~/=+-]|\.\.|^\d+\.(?:\s|$)""")


def escape_typst(text: str) -> str:
    """Text that typst sets as it is, in [content] or in a line of markup."""
    text = plain(text).strip()
    if _MAY_ACT.search(text):
        for pattern, replacement in _ACTS:
            text = pattern.sub(replacement, text)
    return text


def to_typst(table: Table) -> str:
    """A figure of kind table, labelled, its notes below; one too wide has its columns in parts.

    It breaks over pages where the document says `#show figure: set block(breakable: true)`.
    """
    cells = table.cells()
    plan = layout(table, cells, WIDEST)
    size = "7pt" if plan.total > WIDE else "8pt"
    tables = [_table(table, cells, plan, part) for part in plan.parts]
    notes = [f"    #set text(size: 7pt)\n    {n}" for n in [_notes(table)] if n]
    return "\n".join(
        (
            "#figure(",
            "  kind: table,",
            f"  caption: figure.caption(position: top)[{escape_typst(table.caption)}],",
            f"  [\n    #set text(size: {size})",
            *tables,
            *notes,
            f"  ],\n) <tab:{table.name}>\n",
        )
    )


def _notes(table: Table) -> str:
    return (
        "#align(left)[" + r" \ ".join(map(escape_typst, table.notes)) + "]" if table.notes else ""
    )


def _table(table: Table, cells: Rows, plan: Layout, part: tuple[int, ...]) -> str:
    columns = tuple(table.columns[i] for i in part)
    sizes = ["1fr" if i in plan.wrapped else "auto" for i in part]
    body = [_line([row[i] for i in part]) for row in cells]
    lines = (
        "#table(",
        f"  columns: ({', '.join(sizes)},),",
        f"  align: ({', '.join(column.align for column in columns)},),",
        "  stroke: none,",
        "  inset: (x: 3pt, y: 2.5pt),",
        "  table.hline(stroke: 0.8pt),",
        *_header(columns),
        "  table.hline(stroke: 0.5pt),",
        *body,
        *_apart(table, part),
        "  table.hline(stroke: 0.8pt),",
        ")",
    )
    return "\n".join(f"    {line}" for line in lines)


def _header(columns: tuple[Column, ...]) -> list[str]:
    """The titles, which a table that breaks repeats; groups above them."""
    titles = ", ".join(f"[{escape_typst(column.title)}]" for column in columns)
    groups, rules = [], []
    for title, first, count in headings(columns):
        if title:
            inner = f"align: center)[{escape_typst(title)}]"
            groups.append(f"table.cell(colspan: {count}, {inner}")
            rules.append(f"table.hline(start: {first}, end: {first + count}, stroke: 0.4pt)")
        else:
            groups += ["[]"] * count
    above = [f"    {', '.join(line)}," for line in (groups, rules) if line]
    return ["  table.header(", *above, f"    {titles},", "  ),"]


def _apart(table: Table, part: tuple[int, ...]) -> list[str]:
    if not table.apart:
        return []
    title = f"[#emph[{escape_typst(table.apart_title)}]]"
    span = f"  table.cell(colspan: {len(part)}, align: left){title},"
    heading = [span] if table.apart_title else []
    rows = [_line([row[i] for i in part]) for row in table.apart]
    return ["  table.hline(stroke: 0.5pt),", *heading, *rows]


def _line(row: Sequence[Shown]) -> str:
    return f"  {', '.join(map(_cell, row))},"


def _cell(cell: Shown) -> str:
    if isinstance(cell, Strong):
        return f"[#strong[{escape_typst(cell.text)}]]"
    return f"[{escape_typst(cell)}]"
