"""One description of a table; Markdown, LaTeX (booktabs), CSV and HTML are made of it.

A table is a frame of plain numbers and, per printed column, how one of its rows is shown.
CSV holds the frame itself, so that nobody has to parse "0.51 [0.43, 0.59]".
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

WIDE, VERY_WIDE = 60, 80  # characters: one column of a paper, and a page
Align = Literal["left", "right", "center"]


@dataclass(frozen=True)
class Strong:
    """A text in bold."""

    text: str


Shown = str | Strong


@dataclass(frozen=True)
class Column:
    """A printed column: its title, and what it shows of a row of the frame."""

    title: str
    show: Callable[[dict[str, Any]], Shown]
    align: Align = "right"


@dataclass(frozen=True)
class Table:
    """Numbers, and how they are printed."""

    name: str  # of its files: [a-z-]+
    caption: str
    frame: pl.DataFrame
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()

    def cells(self) -> list[list[Shown]]:
        """The body, row by row, as it is printed and not yet escaped."""
        rows = self.frame.iter_rows(named=True)
        return [[column.show(row) for column in self.columns] for row in rows]


def plain(text: str) -> str:
    """One line without control characters (a name may hold anything)."""
    return "".join(c if c.isprintable() else " " for c in text)


# ------------------------------------------------------------------------------------ Markdown

_MARKDOWN = (  # only what Markdown would act on: a terminal shows these texts too
    (r"&(?=#?\w+;)", "&amp;"),
    (r"<(?=[A-Za-z/!?])", "&lt;"),  # what could open a tag
    (r"([\\|*`$])", r"\\\1"),
    (r"\](?=[(\[:])", r"\\]"),  # a link
    (r"(?<![^\W_])_|_(?![^\W_])", r"\\_"),  # state_bytes stays; _this_ would be emphasis
    (r"(?<=\b(?:http|ftps))://|(?<=\bhttps)://|(?<=\bftp)://", r"\\://"),
    (r"\bwww\.", r"www\\."),
)


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, in a cell or within a line."""
    text = plain(text)
    for pattern, replacement in _MARKDOWN:
        text = re.sub(pattern, replacement, text)
    return text


def to_bullet(text: str) -> str:
    """One item of a Markdown list, whatever the text begins with."""
    return "- " + re.sub(r"^(?=[#+>~=-]|\d+[.)])", r"\\", escape_markdown(text))


def to_markdown(table: Table) -> str:
    """A pipe table padded to equal widths, its caption above and its notes below."""
    titles = [escape_markdown(column.title) for column in table.columns]
    body = [[_markdown_cell(cell) for cell in row] for row in table.cells()]
    widths = [max(3, *(len(row[i]) for row in [titles, *body])) for i in range(len(titles))]
    rules = [_markdown_rule(c.align, w) for c, w in zip(table.columns, widths, strict=True)]

    def line(row: list[str]) -> str:
        columns = zip(row, table.columns, widths, strict=True)
        return "| " + " | ".join(_pad(text, c.align, w) for text, c, w in columns) + " |"

    lines = [line(titles), "|" + "|".join(rules) + "|", *(line(row) for row in body)]
    notes = [to_bullet(note) for note in table.notes]
    parts = [f"**{escape_markdown(table.caption)}**", "\n".join(lines), "\n".join(notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_cell(cell: Shown) -> str:
    return (
        f"**{escape_markdown(cell.text)}**" if isinstance(cell, Strong) else escape_markdown(cell)
    )


def _markdown_rule(align: Align, width: int) -> str:
    left, right = align == "center", align != "left"
    return ":" * left + "-" * (width + 2 - left - right) + ":" * right


def _pad(text: str, align: Align, width: int) -> str:
    return {"left": text.ljust, "right": text.rjust, "center": text.center}[align](width)


# --------------------------------------------------------------------------------------- LaTeX

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",  # after a row's \\ it would be read as a distance
    "]": "{]}",
    "*": "{*}",
    "`": r"\textasciigrave{}",
    "\u200b": "{}",
    "–": "--",
    "—": "---",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "†": r"$\dagger$",
    "…": r"\ldots{}",
}


def escape_latex(text: str) -> str:
    """Text that LaTeX sets as it is, with no package; what its fonts lack becomes `?`."""
    text = re.sub(r"(?<![\w.)\]-])-(?=\.?\d)", "−", plain(text))  # a negative number
    text = text.replace("--", "-\u200b-")  # not a dash
    return "".join(_LATEX.get(c) or (c if _has_glyph(c) else "?") for c in text)


def _has_glyph(character: str) -> bool:
    """ASCII, and the Latin-1 letters that are a letter with an accent."""
    accented = "À" <= character <= "ÿ" and len(unicodedata.normalize("NFD", character)) == 2
    return character.isascii() or accented


def to_latex(table: Table) -> str:
    """A float with rules by booktabs and the notes below; a wide table spans both columns."""
    columns = "".join(column.align[0] for column in table.columns)
    body = [" & ".join(map(_latex_cell, row)) + r" \\" for row in table.cells()]
    head = " & ".join(escape_latex(column.title) for column in table.columns) + r" \\"
    notes = r" \\ ".join(escape_latex(note) for note in table.notes)
    characters = _printed_width(table)
    kind = "table*" if characters > WIDE else "table"  # in one column the two are the same
    size = r"\scriptsize" if characters > VERY_WIDE else r"\footnotesize"
    lines = [
        r"% needs \usepackage{booktabs}",
        rf"\begin{{{kind}}}",
        rf"  \centering{size}\setlength{{\tabcolsep}}{{3pt}}",
        rf"  \caption{{{escape_latex(table.caption)}}}",
        rf"  \label{{tab:{table.name}}}",
        rf"  \begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"    \toprule",
        f"    {head}",
        r"    \midrule",
        *(f"    {line}" for line in body),
        r"    \bottomrule",
        r"  \end{tabular}",
        *([rf"  \par\smallskip\parbox{{\linewidth}}{{\scriptsize {notes}}}"] if notes else []),
        rf"\end{{{kind}}}",
    ]
    return "\n".join(lines) + "\n"


def _printed_width(table: Table) -> int:
    """Characters of the widest row, with the space between columns."""
    titles: list[Shown] = [column.title for column in table.columns]
    rows = [titles, *table.cells()]
    texts = [[c.text if isinstance(c, Strong) else c for c in row] for row in rows]
    return sum(2 + max(len(row[i]) for row in texts) for i in range(len(titles)))


def _latex_cell(cell: Shown) -> str:
    return (
        rf"\textbf{{{escape_latex(cell.text)}}}" if isinstance(cell, Strong) else escape_latex(cell)
    )


# --------------------------------------------------------------------------------- CSV and HTML


def to_csv(table: Table) -> str:
    """The numbers behind the table at full precision; an empty field is a missing value."""
    return table.frame.write_csv()


def escape_html(text: str) -> str:
    """Text that HTML shows as it is, in elements and in quoted attributes."""
    return html.escape(plain(text), quote=True)


def to_html(table: Table) -> str:
    """A <table> in a scrolling <figure>, its notes below."""
    heads = [
        f'<th scope="col" class="{column.align}">{escape_html(column.title)}</th>'
        for column in table.columns
    ]
    rows = [f"<tr>{''.join(_html_cells(table, row))}</tr>" for row in table.cells()]
    notes = [f"<li>{escape_html(note)}</li>" for note in table.notes]
    return "\n".join(
        (
            f'<figure class="table" id="table-{escape_html(table.name)}">',
            f"<figcaption>{escape_html(table.caption)}</figcaption>",
            f'<div class="scroll" tabindex="0"><table><thead><tr>{"".join(heads)}</tr></thead>',
            "<tbody>",
            *rows,
            "</tbody></table></div>",
            *(["<ul>", *notes, "</ul>"] if notes else []),
            "</figure>\n",
        )
    )


def _html_cells(table: Table, row: list[Shown]) -> list[str]:
    cells = []
    for i, (cell, column) in enumerate(zip(row, table.columns, strict=True)):
        bold = isinstance(cell, Strong)
        text = escape_html(cell.text) if bold else escape_html(cell)
        tag, scope = ("th", ' scope="row"') if i == 0 else ("td", "")
        inner = f"<strong>{text}</strong>" if bold else text
        cells.append(f'<{tag}{scope} class="{column.align}">{inner}</{tag}>')
    return cells
