"""Build reports of studies: `python -m reports.build out/STUDY format=latex,html`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from reports.document import Document, Report, document_of
from reports.writing import DEFAULT, FORMATS, check_formats, contents

if TYPE_CHECKING:  # `--help` imports none of this
    from reports.paper import Sheet
    from reports.venues import Name
    from sweeps.results import Study

__all__ = ["DEFAULT", "FORMATS", "Document", "Report", "build_study", "contents", "make_report"]
__all__ += ["markdown"]

STYLES = ("plain", "neurips", "icml")
WORDS = ("format", "style", "paper", "into", "compare", "each", "memory")
HELP = f"""usage: python -m reports.build out/STUDY [out/STUDY ...] [WORD ...]

Writes the report of a study into its own directory, from the results that are there; that of
several studies into a new directory beside the first, as one report:

  further arms or seeds of one task   pooled, every run once
  the same base and arms, other tasks a chapter for each task, after one on all together
  compare=out/OTHER                   two studies side by side, with what differs in their
                                      configurations; descriptive
  each=yes                            not as one: the report of each into its own directory
Studies that do not go together are one line and exit code 2.

  into=DIR     another directory for the report
  format=A,B   of {", ".join(FORMATS)} (default: all but typst)
                 markdown  report.md
                 html      report.html, one self-contained page
                 latex     tables/*.tex (booktabs), of up to 500 rows
                 typst     tables/*.typ, likewise
                 csv       tables/*.csv
                 figures   figures/*.pdf, *.svg, *.png
  paper=DIR    only this, unless format= is there too: a directory for a paper, with tables and
               figures for \\input, methods.tex, the numbers as CSV, where they come from, and a
               main.tex of all that compiles with booktabs and graphicx
  style=plain  or neurips, icml: widths and fonts of figures, and the width of main.tex
  memory=yes   shows published figures that are quoted from memory too, marked
"""


@dataclass(frozen=True)
class Order:
    """What was asked for."""

    directories: tuple[str, ...]
    formats: tuple[str, ...] = DEFAULT
    style: Name = "plain"
    paper: str = ""
    into: str = ""
    compare: str = ""
    each: bool = False
    memory: bool = False

    @property
    def together(self) -> bool:
        """Whether the report is not that of one study in its own directory."""
        return not self.each and (len(self.directories) > 1 or bool(self.compare or self.into))


def make_report(
    study: Study, *, draw: bool = True, look: Name = "plain", memory: bool = False
) -> Report:
    """Judge a study and describe what was found; writes nothing."""
    from reports.report import make_report as make

    return make(study, draw=draw, look=look, memory=memory)


def markdown(study: Study) -> str:
    """What a terminal shows: the findings and the main tables."""
    from reports.report_markdown import markdown as make

    return make(study)


def build_study(
    directory: str | os.PathLike[str],
    formats: Sequence[str] = DEFAULT,
    *,
    look: Name = "plain",
    memory: bool = False,
) -> Report:
    """Write the report of a study into its directory, each file whole or not at all.

    Raises: ValueError on an unknown format or a directory that holds no study.
    """
    from reports.writing import write_files
    from sweeps.results import read_study

    check_formats(formats)
    study = read_study(directory)
    draw = "figures" in formats or "html" in formats
    report = make_report(study, draw=draw, look=look, memory=memory)
    return replace(report, files=write_files(study.directory, contents(report, formats)))


def build(order: Order, command: str = "") -> tuple[Path, ...]:
    """Write all that was asked for, and say which files those are.

    Raises: ValueError, one line, on what the user can mend.
    """
    written: list[Path] = []
    if not order.together and order.formats:
        for directory in order.directories:
            report = build_study(directory, order.formats, look=order.style, memory=order.memory)
            written += report.files
    if not order.together and not order.paper:
        return tuple(written)
    document = gather(order)
    if order.together and order.formats:
        written += _write_together(document, order, command)
    if order.paper:
        written += _write_paper(document, order, command)
    return tuple(written)


def gather(order: Order) -> Document:
    """The document on all the studies, and nothing written."""
    from sweeps.results import read_study

    draw = bool(order.paper) or "figures" in order.formats or "html" in order.formats
    make = partial(make_report, draw=draw, look=order.style, memory=order.memory)
    studies = [read_study(directory) for directory in order.directories]
    if order.compare:
        from reports.side_by_side import side_by_side

        return side_by_side(studies[0], read_study(order.compare), make)
    if len(studies) > 1:
        from reports.merging import merged

        return merged(studies, make, draw=draw, look=order.style)
    return document_of(make(studies[0]))


def _write_together(document: Document, order: Order, command: str) -> tuple[Path, ...]:
    from reports.writing import new_directory, provenance_file, refuse_taken, write_files

    directory = Path(order.into) if order.into else new_directory(document, order.compare)
    refuse_taken(directory)
    files = contents(document, order.formats)
    return write_files(directory, files | {"provenance.json": provenance_file(document, command)})


def _write_paper(document: Document, order: Order, command: str) -> tuple[Path, ...]:
    from reports.paper import paper, refuse_foreign, sheet_of
    from reports.writing import provenance_file, write_files

    directory = Path(order.paper)
    sheet: Sheet = sheet_of(order.style)
    refuse_foreign(directory)
    files = paper(document, sheet)
    return write_files(directory, files | {"provenance.json": provenance_file(document, command)})


# --------------------------------------------------------------------------------- the program


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: 0, or 2 with one line on what the user can mend."""
    from zoo._guard import guard

    guard()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or {"--help", "-h", "help"} & set(words):
        sys.stdout.write(HELP)
        return 0 if words else 2
    try:
        written = build(parse(words), "python -m reports.build " + " ".join(words))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 2
    sys.stdout.write("".join(f"{path}\n" for path in written))
    return 0


def parse(words: Sequence[str]) -> Order:
    """The words as an order. Raises: ValueError, one line, on a word that cannot be used."""
    from sweeps.words import nearest, split

    directories = [word for word in words if "=" not in word or Path(word).is_dir()]
    given = {word.key: word.value for word in split(w for w in words if w not in directories)}
    for key in given:
        if key not in WORDS:
            raise ValueError(f"unknown word {key!r}; {nearest(key, WORDS)}")
    formats = tuple(dict.fromkeys(given["format"].split(","))) if "format" in given else None
    check_formats(formats or ())
    if len({Path(directory).resolve() for directory in directories}) < len(directories):
        raise ValueError("a study is named twice")
    if not directories:
        raise ValueError("name the directory of a study: python -m reports.build out/STUDY")
    order = Order(
        directories=tuple(directories),
        formats=(() if "paper" in given else DEFAULT) if formats is None else formats,
        style=cast("Name", _one_of("style", given, STYLES)),
        paper=given.get("paper", ""),
        into=given.get("into", ""),
        compare=given.get("compare", ""),
        each=_one_of("each", given, ("no", "yes")) == "yes",
        memory=_one_of("memory", given, ("no", "yes")) == "yes",
    )
    _refuse_contradictions(order)
    return order


def _one_of(key: str, given: Mapping[str, str], known: Sequence[str]) -> str:
    value = given.get(key, known[0])
    if value not in known:
        raise ValueError(f"{key}={value}: choose from {', '.join(known)}")
    return value


def _refuse_contradictions(order: Order) -> None:
    rules: tuple[tuple[Callable[[Order], bool], str], ...] = (
        (
            lambda o: o.each and bool(o.compare or o.into or o.paper),
            "each=yes writes into the studies' own directories: without compare=, into=, paper=",
        ),
        (
            lambda o: bool(o.compare) and len(o.directories) > 1,
            "compare= sets one study beside another: name one directory and compare=OTHER",
        ),
    )
    for broken, message in rules:
        if broken(order):
            raise ValueError(message)


if __name__ == "__main__":
    sys.exit(main())
