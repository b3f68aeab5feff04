"""Numbers in a document, written by a tool: `python -m reports.markers README.md data=DIR`.

The text between `<!-- seqzoo:NAME -->` and `<!-- /seqzoo:NAME -->` is made from DIR/NAME.md
(as it is), DIR/NAME.csv (a table) or DIR/NAME/ (a study: its findings and its outcome).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

NAME = r"[a-z0-9]+(?:-[a-z0-9]+)*"
MARKER = re.compile(rf"<!-- (/?)seqzoo:({NAME}) -->")
HELP = """usage: python -m reports.markers DOCUMENT [DOCUMENT ...] data=DIR [check=yes]

Writes what DIR holds between the markers <!-- seqzoo:NAME --> and <!-- /seqzoo:NAME --> of each
document. check=yes writes nothing and exits 1 where a document is not up to date.
"""


def names(document: str) -> list[str]:
    """The names of the marked places, in order. Raises: ValueError on an unpaired marker."""
    found: list[str] = []
    opened = None
    for marker in MARKER.finditer(document):
        closing, name = marker[1] == "/", marker[2]
        if closing != (opened is not None) or (closing and name != opened):
            raise ValueError(f"marker {marker[0]} has no partner")
        if not closing and name in found:
            raise ValueError(f"marker {marker[0]} stands there twice")
        opened = None if closing else name
        found += [] if closing else [name]
    if opened is not None:
        raise ValueError(f"marker <!-- seqzoo:{opened} --> has no partner")
    return found


def fill(document: str, texts: Mapping[str, str]) -> str:
    """The document with every marked place holding the text of its name; the rest untouched."""
    for name in names(document):
        if name not in texts:
            raise ValueError(f"there is no data for the marker {name!r}")
        start, end = f"<!-- seqzoo:{name} -->", f"<!-- /seqzoo:{name} -->"
        if MARKER.search(texts[name]):
            raise ValueError(f"the text for {name!r} contains a marker")
        before, _, rest = document.partition(start)
        document = f"{before}{start}\n\n{texts[name].strip()}\n\n{end}{rest.partition(end)[2]}"
    return document


def text_of(name: str, data: str | os.PathLike[str]) -> str:
    """What the data directory says under a name. Raises: ValueError where it says nothing."""
    data = Path(data)
    if (data / f"{name}.md").exists():
        return (data / f"{name}.md").read_text(encoding="utf-8")
    if (data / f"{name}.csv").exists():
        return csv_table((data / f"{name}.csv").read_text(encoding="utf-8"))
    if (data / name / "plan.json").exists():
        return study_text(data / name)
    raise ValueError(f"{data}: no {name}.md, {name}.csv or study {name}/ for the marker {name!r}")


def csv_table(text: str) -> str:
    """A CSV file as a Markdown table; columns of numbers are aligned right, digits as written."""
    import csv

    from reports.table import escape_markdown

    rows = [[escape_markdown(cell) for cell in row] for row in csv.reader(text.splitlines()) if row]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError("a CSV file needs a header and rows of one length")
    numeric = [all(_is_number(row[i]) for row in rows[1:]) for i in range(len(rows[0]))]
    rule = ["--:" if right else "---" for right in numeric]
    return "".join(f"| {' | '.join(row)} |\n" for row in (rows[0], rule, *rows[1:]))


def study_text(directory: str | os.PathLike[str]) -> str:
    """The findings and the outcome table of a study that is kept beside the document."""
    from reports.build import make_report
    from reports.table import to_bullet, to_markdown
    from sweeps.results import read_study

    report = make_report(read_study(directory), draw=False)
    outcome = next(table for table in report.tables if table.name == "outcome")
    bullets = "\n".join(to_bullet(text) for text in (*report.found, *report.limits))
    return f"{to_markdown(outcome)}\n{bullets}\n"


def updated(document: str | os.PathLike[str], data: str | os.PathLike[str]) -> str:
    """The document's text as it should be."""
    text = Path(document).read_text(encoding="utf-8")
    return fill(text, {name: text_of(name, data) for name in names(text)})


def check(document: str | os.PathLike[str], data: str | os.PathLike[str]) -> bool:
    """Whether the document says what the data say."""
    return Path(document).read_text(encoding="utf-8") == updated(document, data)


def write(document: str | os.PathLike[str], data: str | os.PathLike[str]) -> None:
    """Bring the document up to date."""
    from sweeps.results import write_text

    write_text(document, updated(document, data))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?[\d,]*\.?\d+(e[+-]?\d+)?( ?[%×x])?|–|", text.strip()) is not None


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: 0; 1 where check=yes finds an old document; 2 where the user can mend it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or {"--help", "-h", "help"} & set(words):
        sys.stdout.write(HELP)
        return 0 if words else 2
    documents = [word for word in words if "=" not in word]
    options = dict(word.split("=", 1) for word in words if "=" in word)
    try:
        unknown = set(options) - {"data", "check"}
        if unknown or "data" not in options or not documents:
            raise ValueError(f"unknown word {min(unknown)!r}" if unknown else HELP.splitlines()[0])
        if options.get("check", "no") == "no":
            for document in documents:
                write(document, options["data"])
            return 0
        old = [document for document in documents if not check(document, options["data"])]
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 2
    sys.stderr.write("".join(f"{document}: not up to date\n" for document in old))
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
