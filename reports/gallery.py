"""Every table and figure that there is, made of small studies: `python -m reports.gallery`.

docs/gallery/README.md shows each kind once. Its studies were trained by the commands that stand
there, and are kept in docs/data/gallery without what no report reads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `--help` imports none of this
    from reports.document import Document
    from reports.study_figures import Picture
    from reports.table import Table
    from sweeps.results import Study

ROWS = 12  # of a table that are shown
HELP = """usage: python -m reports.gallery [data=docs/data/gallery] [out=docs/gallery] [check=yes]

Writes a page that shows every kind of table and figure, made of the studies below DATA.
check=yes writes nothing and exits 1 where the page or a figure is not up to date.
"""
HEAD = """# Gallery

Every kind of table and figure that `python -m reports.build` makes, each once, from the results of
small studies. Nothing here is typed: `python -m reports.gallery` writes this page, and a test
compares. The models are tiny and were trained for seconds: what they show is what a report looks
like, and nothing about the models.
"""


def gallery(data: Path) -> dict[str, bytes]:
    """The files of the gallery by name.

    Raises: ValueError where there are no studies.
    """
    from reports.figure import render

    documents = list(_documents(_studies(data)))
    tables, pictures = _first_of_each(documents)
    text = page(documents, tables, pictures)
    files = {"README.md": text.encode()}
    for name, (picture, _) in pictures.items():
        files[f"{name}.svg"] = render(picture.figure, "svg")
    return files


def _studies(data: Path) -> list[Study]:
    from sweeps.results import read_study

    found = sorted(path.parent for path in data.glob("*/plan.json"))
    if not found:
        raise ValueError(f"data={data}: there are no studies")
    return [read_study(directory) for directory in found]


def _documents(studies: Sequence[Study]) -> Iterator[Document]:
    """What goes together as one, the rest each by itself, and two side by side."""
    from reports.document import document_of
    from reports.merging import merged
    from reports.report import make_report
    from reports.side_by_side import side_by_side

    groups: dict[tuple[str, ...], list[Study]] = {}
    for study in studies:
        arms = (str(study.plan["base"]), *(arm["name"] for arm in study.plan["arms"]))
        groups.setdefault(arms, []).append(study)
    for group in groups.values():
        yield merged(group, make_report) if len(group) > 1 else document_of(make_report(group[0]))
    for group in groups.values():
        if len(group) > 1:
            yield side_by_side(group[0], group[1], lambda s: make_report(s, draw=False))


Tables = Mapping[str, "tuple[Table, str]"]
Pictures = Mapping[str, "tuple[Picture, str]"]


def _first_of_each(documents: Sequence[Document]) -> tuple[Tables, Pictures]:
    """By kind: the first table and the first picture of each, and what it is about."""
    tables: dict[str, tuple[Table, str]] = {}
    pictures: dict[str, tuple[Picture, str]] = {}
    for document in documents:
        for chapter in document.chapters:
            about = chapter.title if chapter.title == document.title else (
                f"{document.title}: {chapter.title}")  # fmt: skip
            for table in chapter.tables:
                tables.setdefault(_kind(table.name, chapter.key), (table, about))
            for picture in chapter.pictures:
                pictures.setdefault(_kind(picture.name, chapter.key), (picture, about))
    return tables, pictures


def _kind(name: str, key: str) -> str:
    return name.removeprefix(f"{key}-") if key else name


# --------------------------------------------------------------------------------------- the page


def page(documents: Sequence[Document], tables: Tables, pictures: Pictures) -> str:
    """README.md"""
    from reports.report_markdown import join
    from reports.table import escape_markdown, to_bullet

    first = next(chapter for document in documents for chapter in document.chapters
                 if chapter.studies)  # fmt: skip
    sentences = "\n".join(to_bullet(text) for text in (*first.found, *first.limits))
    return join(
        HEAD,
        "The studies:",
        "\n".join(f"    {command}" for command in _commands(documents)),
        "## Figures",
        *(_shown(name, picture, about) for name, (picture, about) in pictures.items()),
        "## Tables",
        *(_table(name, table, about) for name, (table, about) in tables.items()),
        "## Sentences",
        f"What a report says of {escape_markdown(first.title)}:",
        sentences,
        "The paragraph on methods:",
        f"> {escape_markdown(first.methods)}",
    )


def _commands(documents: Sequence[Document]) -> list[str]:
    said = (str(s.plan.get("command", "")) for d in documents for s in d.sources)
    return list(dict.fromkeys(" ".join(command.split()) for command in said))


def _shown(name: str, picture: Picture, about: str) -> str:
    from reports.report_markdown import join
    from reports.table import escape_markdown

    return join(
        f"### {name}",
        f"![{name}]({name}.svg)",
        f"{escape_markdown(picture.caption)} ({escape_markdown(about)})",
    )


def _table(name: str, table: Table, about: str) -> str:
    from reports.report_markdown import join
    from reports.table import escape_markdown, to_markdown

    rows = len(table.frame)
    short = table
    if rows > ROWS:
        note = f"The first {ROWS} of {rows:,} rows."
        short = replace(table, frame=table.frame.head(ROWS), notes=(*table.notes, note))
    return join(f"### {name}", to_markdown(short), f"({escape_markdown(about)})")


# ------------------------------------------------------------------------------------ the program


def old(files: Mapping[str, bytes], out: Path) -> list[str]:
    """What is not as it should be: files that differ, are missing, or are left over."""
    there = {path.name for path in out.iterdir()} if out.is_dir() else set()
    differ = [name for name in files if name not in there
              or (out / name).read_bytes() != files[name]]  # fmt: skip
    return sorted([*differ, *(there - set(files))])


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: 0; 1 where check=yes finds something old; 2 where the user can mend it."""
    from zoo._guard import guard

    guard()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if {"--help", "-h", "help"} & set(words):
        sys.stdout.write(HELP)
        return 0
    given = {key: value for key, _, value in (word.partition("=") for word in words)}
    try:
        unknown = set(given) - {"data", "out", "check"}
        if unknown:
            raise ValueError(f"unknown word {min(unknown)!r}; known: check, data, out")
        out = Path(given.get("out", "docs/gallery"))
        files = gallery(Path(given.get("data", "docs/data/gallery")))
        stale = old(files, out)
        if given.get("check", "no") == "no":
            _write(files, stale, out)
            return 0
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 2
    sys.stderr.write("".join(f"{out / name}: not up to date\n" for name in stale))
    return 1 if stale else 0


def _write(files: Mapping[str, bytes], stale: Sequence[str], out: Path) -> None:
    from reports.writing import write_files

    write_files(out, files)
    for name in stale:
        if name not in files and name.endswith(".svg"):
            (out / name).unlink()


if __name__ == "__main__":
    sys.exit(main())
