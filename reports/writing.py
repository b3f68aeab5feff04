"""A report as files: what each format consists of, and how it is put on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reports.document import LONG, Document, Report, document_of

FORMATS = ("markdown", "html", "latex", "typst", "csv", "figures")
DEFAULT = ("markdown", "html", "latex", "csv", "figures")
RECORD = ("plan.json", "result.json")  # of a study or a run: a report of several is not put there


def check_formats(formats: Sequence[str]) -> None:
    """Raise ValueError on a format that does not exist."""
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"format {name!r}: choose from {', '.join(FORMATS)}")


def contents(report: Report | Document, formats: Sequence[str] = DEFAULT) -> dict[str, bytes]:
    """The report's files by name, relative to its directory."""
    from reports.figure import KINDS, render
    from reports.page import page
    from reports.report_markdown import to_report
    from reports.table import apart_csv

    document = document_of(report) if isinstance(report, Report) else report
    files: dict[str, str | bytes] = {}
    if "markdown" in formats:
        files["report.md"] = to_report(document)
    if "html" in formats:
        files["report.html"] = page(document)
    for ending, write in _table_writers(formats).items():
        tables = [t for t in document.tables if ending == "csv" or len(t.frame) <= LONG]
        files |= {f"tables/{table.name}.{ending}": write(table) for table in tables}
    if "csv" in formats:
        apart = ((table.name, apart_csv(table)) for table in document.tables)
        files |= {f"tables/{name}-published.csv": text for name, text in apart if text}
    for picture in document.pictures if "figures" in formats else ():
        for kind in KINDS:
            files[f"figures/{picture.name}.{kind}"] = render(picture.figure, kind)
    return {name: d.encode() if isinstance(d, str) else d for name, d in files.items()}


def _table_writers(formats: Sequence[str]) -> Mapping[str, Callable[..., str]]:
    """How a table is written, by the ending of its file."""
    from reports.table import to_csv, to_latex

    found: dict[str, Callable[..., str]] = {}
    if "latex" in formats:
        found["tex"] = to_latex
    if "typst" in formats:
        from reports.typst import to_typst

        found["typ"] = to_typst
    if "csv" in formats:
        found["csv"] = to_csv
    return found


def write_files(directory: str | os.PathLike[str], files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Each file whole or not at all."""
    from sweeps.results import write_bytes

    written = []
    for name, data in files.items():
        path = Path(directory) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
        written.append(path)
    return tuple(written)


def provenance_file(document: Document, command: str) -> bytes:
    """provenance.json of a report that is not in its study's directory."""
    from reports.origin import record

    text = json.dumps(record(document.sources, command), indent=2, ensure_ascii=False, default=str)
    return f"{text}\n".encode()


def new_directory(document: Document, kind: str) -> Path:
    """Where a report of several studies goes: beside the first, named after all of them."""
    from sweeps.results import slug

    names = [str(study.plan["study"]) for study in document.sources]
    digest = hashlib.sha256("\0".join([kind, *names]).encode()).hexdigest()
    name = f"{slug(document.title)[:60]}-{digest[:8]}"
    return document.sources[0].directory.parent / name


def refuse_taken(directory: Path) -> None:
    """Raise ValueError where a report would be mixed with the record of a study or a run."""
    for name in RECORD:
        if (directory / name).exists():
            raise ValueError(f"into={directory}: {name} is there; name a new directory")
