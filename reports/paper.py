r"""A directory for a paper: tables and figures for \input, and a main.tex of all that compiles.

main.tex            compiles with pdflatex; booktabs and graphicx are all it needs
findings.tex        what was found, as a list
methods.tex         a paragraph on what was run
tables/NAME.tex     a float, and tables/NAME.csv with its numbers
figures/NAME.tex    a float that shows figures/NAME.pdf
provenance.json     where the numbers come from
README.md           what is what
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reports.document import Chapter, Document
from reports.figure import render
from reports.study_figures import Picture
from reports.table import (
    Table,
    apart_csv,
    escape_latex,
    escape_markdown,
    to_bullet,
    to_csv,
    to_latex,
)

MARK = "written by python -m reports.build paper=; it is replaced when that is run again"
LONGEST = 40  # rows: a longer table does not fit on a page, and is there as CSV only
BETWEEN = 16  # floats after which those that wait are printed: TeX keeps few of them
GAP = 0.02  # inches: as wide as the column, but for rounding


@dataclass(frozen=True)
class Sheet:
    """The page of main.tex, in inches: where a style file is not at hand, its widths."""

    name: str
    text: float
    column: float
    options: str = "10pt"
    said: str = ""


SHEETS = (
    Sheet("plain", 6.9, 6.9),
    Sheet(
        "neurips",
        5.5,
        5.5,
        said="The widths are those of NeurIPS; its class file is not here: put it in.",
    ),
    Sheet(
        "icml",
        6.75,
        3.25,
        "10pt,twocolumn",
        said="The widths are those of ICML; its class file is not here: put it in.",
    ),
)


def sheet_of(name: str) -> Sheet:
    """By the name of a style."""
    return next(sheet for sheet in SHEETS if sheet.name == name)


def refuse_foreign(directory: Path) -> None:
    """Raise ValueError where main.tex or another file of these names is somebody else's."""
    for name in ("main.tex", "README.md", "methods.tex", "findings.tex"):
        path = directory / name
        if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
            raise ValueError(f"paper={directory}: {name} is not by this program; name another")


def paper(document: Document, sheet: Sheet) -> dict[str, bytes]:
    """The files by name, relative to the directory; all but provenance.json."""
    files: dict[str, str | bytes] = {"main.tex": main_tex(document, sheet)}
    files["findings.tex"] = _marked(_findings(document))
    files["methods.tex"] = _marked(_methods(document))
    files["README.md"] = _readme(document, sheet)
    for table in document.tables:
        files[f"tables/{table.name}.csv"] = to_csv(table)
        if published := apart_csv(table):
            files[f"tables/{table.name}-published.csv"] = published
        if is_printed(table):
            files[f"tables/{table.name}.tex"] = fitting(to_latex(table))
    for picture in document.pictures:
        files[f"figures/{picture.name}.tex"] = _figure(picture, sheet)
        files[f"figures/{picture.name}.pdf"] = render(picture.figure, "pdf")
    return {name: d.encode() if isinstance(d, str) else d for name, d in files.items()}


def is_printed(table: Table) -> bool:
    """Whether it fits on a page."""
    return len(table.frame) <= LONGEST


def fitting(latex: str) -> str:
    """The float with its tabular made smaller where it is wider than the text."""
    smaller = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    latex = latex.replace(r"% needs \usepackage{booktabs}", r"% needs booktabs and graphicx", 1)
    latex = re.sub(r"( *)(\\begin\{tabular\})", lambda m: f"{m[1]}{smaller}\n{m[1]}{m[2]}", latex)
    return latex.replace(r"\end{tabular}", "\\end{tabular}%\n  }")


# --------------------------------------------------------------------------------------- main.tex


def main_tex(document: Document, sheet: Sheet) -> str:
    """The whole document, to be read or to be taken apart."""
    lines = [
        f"% {MARK}",
        *([f"% {sheet.said}"] if sheet.said else []),
        rf"\documentclass[{sheet.options}]{{article}}",
        r"\usepackage{booktabs}",
        r"\usepackage{graphicx}",
        r"\graphicspath{{figures/}}",
        *_geometry(sheet),
        rf"\title{{\Large {_breakable(document.title)}}}",
        r"\author{}",
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
        *_commands(document),
        *(_breakable(text) + "\n" for text in document.words),
        r"\section{Findings}",
        r"\input{findings}",
        r"\section{Methods}",
        r"\input{methods}",
        r"\section{Tables and figures}",
        *_floats(document),
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


def _geometry(sheet: Sheet) -> Iterator[str]:
    """A letter page with the text in its middle."""
    yield rf"\setlength{{\textwidth}}{{{sheet.text}in}}"
    yield rf"\setlength{{\oddsidemargin}}{{{(8.5 - sheet.text) / 2 - 1:.3f}in}}"
    yield r"\setlength{\evensidemargin}{\oddsidemargin}"
    yield r"\setlength{\topmargin}{-0.5in}\setlength{\headheight}{0pt}\setlength{\headsep}{0pt}"
    yield r"\setlength{\textheight}{9.2in}"
    yield r"\setlength{\paperwidth}{8.5in}\setlength{\paperheight}{11in}"
    yield r"\pdfpagewidth=\paperwidth \pdfpageheight=\paperheight"
    if sheet.column < sheet.text:
        yield rf"\setlength{{\columnsep}}{{{sheet.text - 2 * sheet.column:g}in}}"
    yield r"\setlength{\emergencystretch}{4em}"
    yield r"\makeatletter\def\fps@table{!htbp}\def\fps@figure{!htbp}\makeatother"
    yield r"\renewcommand{\topfraction}{0.95}\renewcommand{\bottomfraction}{0.9}"
    yield r"\renewcommand{\dbltopfraction}{0.95}\renewcommand{\textfraction}{0.05}"
    yield r"\renewcommand{\floatpagefraction}{0.6}\renewcommand{\dblfloatpagefraction}{0.6}"


def _commands(document: Document) -> Iterator[str]:
    commands = [str(study.plan.get("command", "")) for study in document.sources]
    shown = [_breakable(" ".join(c.split())) for c in commands if c.strip()]
    if shown:
        lines = "\\par\n".join(shown)
        yield rf"{{\raggedright\footnotesize\ttfamily {lines}\par}}"


def _floats(document: Document) -> Iterator[str]:
    """Chapter by chapter; LaTeX keeps few floats waiting, so now and then all are printed."""
    several = len(document.chapters) > 1
    for position, chapter in enumerate(document.chapters):
        if several:
            yield r"\clearpage" if position else ""
            yield rf"\subsection{{{_breakable(chapter.title)}}}"
        names = [f"tables/{table.name}" for table in chapter.tables if is_printed(table)]
        names[1:1] = [f"figures/{picture.name}" for picture in chapter.pictures]
        for i, name in enumerate(names, 1):
            yield rf"\input{{{name}}}"
            if i % BETWEEN == 0:
                yield r"\clearpage"
    yield r"\clearpage"


# -------------------------------------------------------------------------------------- the parts


def _marked(text: str) -> str:
    return f"% {MARK}\n{text}\n"


def _findings(document: Document) -> str:
    parts = []
    for chapter in document.chapters:
        items = [
            rf"  \item[$\bullet$] {_breakable(text)}" for text in (*chapter.found, *chapter.limits)
        ]
        if items:
            parts += _titled(document, chapter)
            parts.append("\n".join((r"\begin{itemize}", *items, r"\end{itemize}")))
    return "\n\n".join(parts)


def _methods(document: Document) -> str:
    parts = []
    for chapter in document.chapters:
        if chapter.methods:
            parts += _titled(document, chapter)
            parts.append(_breakable(chapter.methods))
    return "\n\n".join(parts)


def _titled(document: Document, chapter: Chapter) -> list[str]:
    if len(document.chapters) < 2:
        return []
    return [rf"\paragraph{{{_breakable(chapter.title)}.}}"]


def _figure(picture: Picture, sheet: Sheet) -> str:
    wide = picture.figure.get_figwidth() > sheet.column + GAP
    kind = "figure*" if wide and sheet.column < sheet.text else "figure"
    width = r"\ifdim\width>\linewidth\linewidth\else\width\fi"
    lines = (
        r"% needs \usepackage{graphicx} and \graphicspath{{DIRECTORY/figures/}}",
        rf"\begin{{{kind}}}",
        r"  \centering",
        rf"  \resizebox{{{width}}}{{!}}{{\includegraphics{{{picture.name}.pdf}}}}",
        rf"  \caption{{{_breakable(picture.caption)}}}",
        rf"  \label{{fig:{picture.name}}}",
        rf"\end{{{kind}}}",
    )
    return "\n".join(lines) + "\n"


def _breakable(text: str) -> str:
    """Escaped, and free to break within `a.b_c=d`, which is one word to LaTeX."""
    return re.sub(r"(?<=\w)(\\_|[.=/,])(?=[\w{\\])(?!\d)", r"\1\\allowbreak{}", escape_latex(text))


def _readme(document: Document, sheet: Sheet) -> str:
    listed = [to_bullet(f"{name}: {what}") for name, what in _listed(document)]
    return "\n\n".join(
        part
        for part in (
            f"<!-- {MARK} -->",
            f"# {escape_markdown(document.title)}",
            "`pdflatex main.tex` makes the whole. To take parts of it into a paper, put "
            "`\\usepackage{booktabs,graphicx}` and `\\graphicspath{{DIRECTORY/figures/}}` into its "
            "preamble, and `\\input{DIRECTORY/tables/NAME}` or `\\input{DIRECTORY/figures/NAME}` "
            "where a float belongs. A CSV file holds the numbers of its table in full.",
            sheet.said,
            "\n".join(listed),
        )
        if part
    )


def _listed(document: Document) -> Iterator[tuple[str, str]]:
    yield "main.tex", "all of it, as one document"
    yield "findings.tex", "what was found"
    yield "methods.tex", "what was run, and how it was judged"
    for table in document.tables:
        name = f"tables/{table.name}"
        if is_printed(table):
            yield f"{name}.tex, .csv", table.caption
        else:
            yield f"{name}.csv", f"{table.caption} ({len(table.frame):,} rows: not in main.tex)"
        if table.apart:
            yield f"{name}-published.csv", f"The published rows of {table.name}."
    for picture in document.pictures:
        yield f"figures/{picture.name}.tex, .pdf", picture.caption
    yield "provenance.json", "commands, code, versions, machine, seeds"
