"""Tables in LaTeX, with booktabs alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from reports.description import Column, Rows, Shown, Strong, Table, headings, plain
from reports.layout import Layout, layout

WIDE, VERY_WIDE, WIDEST = 60, 80, 116  # characters: a column, a page, a page in smaller letters
MOST_LINES = 50  # of a float: what a page holds
EM = 0.47  # of a character, about
LEAST_NOTES = 40  # characters of a line of notes

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
    "…": r"\ldots{}",
}
_SIGNS = {"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta"}
_SIGNS |= {"η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu"}
_SIGNS |= {"ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "υ": "upsilon"}
_SIGNS |= {"φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta"}
_SIGNS |= {"Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi"}
_SIGNS |= {"Ψ": "Psi", "Ω": "Omega"}
_SIGNS |= {"±": "pm", "×": "times", "·": "cdot", "≥": "geq", "≤": "leq", "≈": "approx"}
_SIGNS |= {"→": "rightarrow", "←": "leftarrow", "↑": "uparrow", "↓": "downarrow"}
_SIGNS |= {"†": "dagger", "∞": "infty", "≠": "neq"}
_LATEX |= {sign: rf"$\{name}$" for sign, name in _SIGNS.items()} | {"−": "$-$"}
_MAY_ACT = re.compile(r"[^ -~]|[\\&%$#_{}~^<>|\"\[\]*`-]")


def escape_latex(text: str) -> str:
    """Text that LaTeX sets as it is, with no package; what its fonts lack becomes `?`."""
    if not _MAY_ACT.search(text):
        return text
    text = re.sub(r"(?<![\w.)\]-])-(?=\.?\d)", "−", plain(text))  # a negative number
    text = text.replace("--", "-\u200b-")  # not a dash
    return "".join(_LATEX.get(c) or (c if _has_glyph(c) else "?") for c in text)


def _has_glyph(character: str) -> bool:
    """ASCII, and the Latin-1 letters that are a letter with an accent."""
    accented = "À" <= character <= "ÿ" and len(unicodedata.normalize("NFD", character)) == 2
    return character.isascii() or accented


def to_latex(table: Table) -> str:
    """A float with rules by booktabs and the notes below; a wide table spans both columns.

    A table that is too wide has its long texts wrapped, then its columns in several parts below
    each other; one that is too long for a page, several floats.
    """
    cells = table.cells()
    plan = layout(table, cells, WIDEST)
    tabulars = _tabulars(table, cells, plan)
    floats = _pack(tabulars)
    kind = "table*" if plan.total > WIDE else "table"  # in one column the two are the same
    size = r"\scriptsize" if plan.total > VERY_WIDE else r"\footnotesize"
    lines = [r"% needs \usepackage{booktabs}"]
    for i, several in enumerate(floats):
        last = i == len(floats) - 1
        part = f" ({i + 1} of {len(floats)})" if len(floats) > 1 else ""
        lines += [
            rf"\begin{{{kind}}}" + ("[p]" if part else ""),
            rf"  \centering{size}\setlength{{\tabcolsep}}{{3pt}}",
            r"  \setlength{\belowcaptionskip}{4pt}",
            rf"  \caption{{{escape_latex(table.caption + part)}}}",
            *([rf"  \label{{tab:{table.name}}}"] if i == 0 else []),
            *r"  \par\medskip".join("\n".join(each) + "\n" for each in several).splitlines(),
            *(_notes(table, plan) if last else []),
            rf"\end{{{kind}}}",
            *([r"\clearpage"] if part else []),
        ]
    return "\n".join(lines) + "\n"


def _notes(table: Table, plan: Layout) -> list[str]:
    """Below a narrow table in lines about as long as its own."""
    if not table.notes:
        return []
    notes = r" \\ ".join(map(escape_latex, table.notes))
    narrow = plan.total < WIDE
    width = f"{EM * max(LEAST_NOTES, plan.total):.1f}em" if narrow else r"\linewidth"
    return [rf"  \par\smallskip\parbox{{{width}}}{{\scriptsize {notes}}}"]


def _pack(tabulars: list[list[str]]) -> list[list[list[str]]]:
    """Tabulars below each other as far as a page holds them."""
    floats, used = [], 0
    for lines in tabulars:
        if not floats or used + len(lines) > MOST_LINES + 8:  # its own rules and titles beside
            floats.append([])
            used = 0
        floats[-1].append(lines)
        used += len(lines)
    return floats


def _tabulars(table: Table, cells: Rows, plan: Layout) -> list[list[str]]:
    """Of each part of the columns, each page of rows; those apart end the last one."""
    found = []
    for part in plan.parts:
        columns = tuple(table.columns[i] for i in part)
        wrapped = [plan.wrapped.get(i) for i in part]
        lines = [_line([row[i] for i in part], wrapped) for row in cells]
        apart = _apart(table, part, wrapped)
        starts = range(0, max(1, len(lines)), MOST_LINES)
        for start in starts:
            own = lines[start : start + MOST_LINES]
            found.append(_tabular(columns, wrapped, own, apart if start == starts[-1] else []))
    return found


def _tabular(
    columns: tuple[Column, ...], wrapped: Sequence[int | None], body: list[str], apart: list[str]
) -> list[str]:
    kinds = (_kind(c, characters) for c, characters in zip(columns, wrapped, strict=True))
    return [
        r"  \makebox[\linewidth][c]{%",  # what is too wide sticks out on both sides
        rf"  \begin{{tabular}}{{@{{}}{''.join(kinds)}@{{}}}}",
        r"    \toprule",
        *_groups(columns),
        _line([column.title for column in columns], [None] * len(columns)),
        r"    \midrule",
        *body,
        *apart,
        r"    \bottomrule",
        r"  \end{tabular}}",
    ]


def _kind(column: Column, characters: int | None) -> str:
    return column.align[0] if characters is None else f"p{{{EM * characters:.1f}em}}"


def _groups(columns: tuple[Column, ...]) -> list[str]:
    groups = headings(columns)
    if not groups:
        return []
    cells, rules = [], []
    for title, first, count in groups:
        if title:
            cells.append(rf"\multicolumn{{{count}}}{{c}}{{{escape_latex(title)}}}")
            rules.append(rf"\cmidrule(lr){{{first + 1}-{first + count}}}")
        else:
            cells += [""] * count
    return ["    " + " & ".join(cells) + r" \\", "    " + " ".join(rules)]


def _apart(table: Table, part: tuple[int, ...], wrapped: Sequence[int | None]) -> list[str]:
    if not table.apart:
        return []
    title = (
        rf"\multicolumn{{{len(part)}}}{{@{{}}l@{{}}}}{{\emph{{{escape_latex(table.apart_title)}}}}}"
    )
    heading = [rf"    {title} \\"] if table.apart_title else []
    rows = [_line([row[i] for i in part], wrapped) for row in table.apart]
    return [r"    \midrule", *heading, *rows]


def _line(row: Sequence[Shown], wrapped: Sequence[int | None]) -> str:
    cells = (_cell(cell, width) for cell, width in zip(row, wrapped, strict=True))
    return "    " + " & ".join(cells) + r" \\"


def _cell(cell: Shown, width: int | None = None) -> str:
    if isinstance(cell, Strong):
        return rf"\textbf{{{escape_latex(cell.text)}}}"
    return escape_latex(cell) if width is None or len(cell) <= width else _breakable(cell)


def _breakable(text: str) -> str:
    r"""Lines may end after signs within a word; \\ still ends the row."""
    pieces = map(escape_latex, re.split(r"(?<=[:=+,/_])(?=\w)", text))
    return r"\raggedright\let\\\tabularnewline " + r"\allowbreak{}".join(pieces)
