"""report.md: everything that Markdown can hold; and the part of it that a terminal shows."""

from __future__ import annotations

from collections.abc import Sequence

from reports.document import Chapter, Document, Report, chapter_of, document_of, opening
from reports.origin import diff_of, origin
from reports.report import make_report
from reports.table import Table, escape_markdown, to_bullet, to_markdown
from sweeps.results import Study

IN_TERMINAL = ("outcome", "reported", "arms", "kernels")


def markdown(study: Study) -> str:
    """What a terminal shows: the findings and the main tables."""
    report = make_report(study, draw=False)
    return join(_head(document_of(report)), _findings(chapter_of(report)), *main_tables(report))


def main_tables(report: Report) -> list[str]:
    """The few tables that are read first."""
    return [to_markdown(table) for table in report.tables if table.name in IN_TERMINAL]


def to_report(document: Document) -> str:
    """report.md"""
    several = len(document.chapters) > 1
    chapters = [_chapter(one, "###" if several else "##") for one in document.chapters]
    titles = [f"## {escape_markdown(one.title)}" if several else "" for one in document.chapters]
    return join(
        _head(document),
        *(join(title, text) for title, text in zip(titles, chapters, strict=True)),
        *_provenance(document.sources),
    )


def _chapter(chapter: Chapter, level: str) -> str:
    figures = [f"![{escape_markdown(p.caption)}](figures/{p.name}.svg)" for p in chapter.pictures]
    noted = dict.fromkeys(str(n) for s in chapter.studies for n in s.plan.get("notes") or ())
    notes = [to_bullet(note) for note in noted]
    methods = escape_markdown(chapter.methods)
    return join(
        _findings(chapter),
        *_blocks(chapter.tables),
        *([f"{level} Figures", *figures] if figures else []),
        *([f"{level} Notes of the plan", "\n".join(notes)] if notes else []),
        *([f"{level} Methods", methods] if methods else []),
    )


def _head(document: Document) -> str:
    commands = [" ".join(str(s.plan.get("command", "")).split()) for s in document.sources]
    return join(
        f"# {escape_markdown(document.title)}",
        "\n".join(f"    {command}" for command in commands if command),
        *(escape_markdown(text) for text in document.words),
    )


def _findings(chapter: Chapter) -> str:
    return "\n".join(to_bullet(text) for text in (*chapter.found, *chapter.limits))


def _blocks(tables: Sequence[Table]) -> list[str]:
    return [to_markdown(opening(table)) for table in tables]


def _provenance(sources: Sequence[Study]) -> list[str]:
    parts = ["## Provenance"]
    for study in sources:
        parts.append("\n".join(to_bullet(f"{name}: {value}") for name, value in origin(study)))
        if diff_of(study):
            parts.append("The uncommitted changes to the code are in report.html.")
    return parts


def join(*parts: str) -> str:
    """Paragraphs; empty ones are left out."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
