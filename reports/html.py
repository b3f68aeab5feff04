"""Tables in HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from reports.description import Column, Shown, Strong, Table, headings, parted, plain


def escape_html(text: str) -> str:
    """Text that HTML shows as it is, in elements and in quoted attributes."""
    return html.escape(plain(text), quote=True)


def to_html(table: Table) -> str:
    """A <table> in a scrolling <figure>, its notes below; rows apart are a <tbody> of their own."""
    notes = [f"<li>{escape_html(note)}</li>" for note in table.notes]
    return "\n".join(
        (
            f'<figure class="table" id="table-{escape_html(table.name)}">',
            f"<figcaption>{_caption(table.caption)}</figcaption>",
            f'<div class="scroll" tabindex="0"><table><thead>{_head(table.columns)}</thead>',
            "<tbody>",
            *_rows(table.columns, table.cells()),
            "</tbody>",
            *_apart(table),
            "</table></div>",
            *(["<ul>", *notes, "</ul>"] if notes else []),
            "</figure>\n",
        )
    )


def _caption(text: str) -> str:
    """What the table is of stands out."""
    what, rest = parted(text)
    return f"<strong>{escape_html(what)}</strong> {escape_html(rest)}".rstrip()


def _head(columns: tuple[Column, ...]) -> str:
    """One row of titles, or two: groups above the titles of their columns."""
    groups = headings(columns)
    if not groups:
        return f"<tr>{''.join(map(_title, columns))}</tr>"
    upper, lower = [], []
    for title, first, count in groups:
        own = columns[first : first + count]
        if title:
            span = f'scope="colgroup" colspan="{count}" class="center group"'
            upper.append(f"<th {span}>{escape_html(title)}</th>")
            lower += map(_title, own)
        else:
            upper += [_title(column, ' rowspan="2"') for column in own]
    return f"<tr>{''.join(upper)}</tr><tr>{''.join(lower)}</tr>"


def _title(column: Column, span: str = "") -> str:
    return f'<th scope="col"{span} class="{column.align}">{escape_html(column.title)}</th>'


def _rows(columns: tuple[Column, ...], rows: Iterable[Sequence[Shown]]) -> list[str]:
    """Each row as a <tr>; its first cell names it."""
    opening = [f'<td class="{column.align}">' for column in columns]
    closing = ["</td>"] * len(columns)
    if columns:
        opening[0], closing[0] = f'<th scope="row" class="{columns[0].align}">', "</th>"
    tags = list(zip(opening, closing, strict=True))
    return [
        f"<tr>{''.join([o + _cell(cell) + c for cell, (o, c) in zip(row, tags, strict=True)])}</tr>"
        for row in rows
    ]


def _cell(cell: Shown) -> str:
    if isinstance(cell, Strong):
        return f"<strong>{escape_html(cell.text)}</strong>"
    return escape_html(cell)


def _apart(table: Table) -> list[str]:
    if not table.apart:
        return []
    span = f'scope="rowgroup" colspan="{len(table.columns)}" class="left"'
    title = f"<tr><th {span}>{escape_html(table.apart_title)}</th></tr>"
    heading = [title] if table.apart_title else []
    return ['<tbody class="apart">', *heading, *_rows(table.columns, table.apart), "</tbody>"]
