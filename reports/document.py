"""What a report is made of, whatever it is written as: chapters about one study or several."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `--help` imports none of this
    from reports.contrast import Analysis
    from reports.study_figures import Picture
    from reports.table import Table
    from sweeps.results import Study

LONG = 500  # rows: a longer table is for machines, and whole in its CSV only
SHOWN = 200  # rows of such a table that are shown to people


@dataclass(frozen=True)
class Report:
    """A study's report, and the files that were written."""

    study: Study
    analysis: Analysis
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    found: tuple[str, ...]  # one sentence per arm
    limits: tuple[str, ...]  # caveats of the whole study
    methods: str
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Chapter:
    """A part of a document: what was found, tables, pictures, how it was done.

    `key` begins the names of its tables and pictures where a document has several chapters.
    """

    title: str
    key: str = ""
    found: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    methods: str = ""
    studies: tuple[Study, ...] = ()  # whose configurations and notes belong here

    def named_apart(self) -> Chapter:
        """Its tables and pictures with names that no other chapter's have."""
        if not self.key:
            return self
        tables = (replace(table, name=f"{self.key}-{table.name}") for table in self.tables)
        pictures = (replace(one, name=f"{self.key}-{one.name}") for one in self.pictures)
        return replace(self, tables=tuple(tables), pictures=tuple(pictures))


@dataclass(frozen=True)
class Document:
    """A whole report: of one study, of several that were merged, of two side by side."""

    title: str
    chapters: tuple[Chapter, ...]
    sources: tuple[Study, ...]  # as they were read
    words: tuple[str, ...] = field(default=())  # how several came together, in a sentence each

    @property
    def tables(self) -> tuple[Table, ...]:
        """Of all chapters."""
        return tuple(table for chapter in self.chapters for table in chapter.tables)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Of all chapters."""
        return tuple(picture for chapter in self.chapters for picture in chapter.pictures)


def opening(table: Table) -> Table:
    """The table, or the first rows of a long one, with a note on where all of them are."""
    rows = len(table.frame)
    if rows <= LONG:
        return table
    note = f"The first {SHOWN} of {rows:,} rows; all of them are in tables/{table.name}.csv."
    return replace(table, frame=table.frame.head(SHOWN), notes=(*table.notes, note))


def chapter_of(report: Report, title: str = "", key: str = "") -> Chapter:
    """A study's report as a chapter."""
    return Chapter(
        title=title or str(report.study.plan["study"]),
        key=key,
        found=report.found,
        limits=report.limits,
        tables=report.tables,
        pictures=report.pictures,
        methods=report.methods,
        studies=(report.study,),
    ).named_apart()


def document_of(report: Report) -> Document:
    """A study's report as a document of one chapter."""
    return Document(str(report.study.plan["study"]), (chapter_of(report),), (report.study,))
