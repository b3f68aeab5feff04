"""Build the report of a study: `python -m reports.build out/STUDY format=latex,html`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `--help` imports none of this
    from reports.contrast import Analysis
    from reports.study_figures import Picture
    from reports.table import Table
    from sweeps.results import Study

FORMATS = ("markdown", "html", "latex", "csv", "figures")
IN_TERMINAL = ("outcome", "reported", "arms", "kernels")
HELP = f"""usage: python -m reports.build out/STUDY [out/STUDY ...] [format=A,B]

Writes the report of a study into its own directory, from the results that are there.

  format=A,B   of {", ".join(FORMATS)} (default: all)
                 markdown  report.md
                 html      report.html, one self-contained page
                 latex     tables/*.tex (booktabs)
                 csv       tables/*.csv
                 figures   figures/*.pdf, *.svg, *.png
"""


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


def build_study(directory: str | os.PathLike[str], formats: Sequence[str] = FORMATS) -> Report:
    """Write the report of a study into its directory, each file whole or not at all.

    Raises: ValueError on an unknown format or a directory that holds no study.
    """
    from sweeps.results import read_study, write_bytes

    check_formats(formats)
    study = read_study(directory)
    report = make_report(study, draw="figures" in formats or "html" in formats)
    written = []
    for name, data in contents(report, formats).items():
        path = study.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
        written.append(path)
    return replace(report, files=tuple(written))


def check_formats(formats: Sequence[str]) -> None:
    """Raise ValueError on a format that does not exist."""
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"format {name!r}: choose from {', '.join(FORMATS)}")


def make_report(study: Study, *, draw: bool = True) -> Report:
    """Judge a study and describe what was found; writes nothing."""
    from reports.contrast import analyse
    from reports.findings import caveats, sentences
    from reports.methods import methods
    from reports.study_figures import pictures

    analysis = analyse(study)
    return Report(
        study=study,
        analysis=analysis,
        tables=_tables(analysis),
        pictures=pictures(analysis) if draw else (),
        found=sentences(analysis),
        limits=caveats(analysis),
        methods=methods(analysis),
    )


def _tables(analysis: Analysis) -> tuple[Table, ...]:
    """Every table that this study has data for, the primary outcome first."""
    from reports import detail_tables as detail
    from reports import study_tables as main
    from reports import tuning_tables as tuning
    from reports.reported import reported_table

    makers = (main.outcome_table, reported_table, main.arms_table, main.kernel_table)
    makers += (detail.metrics_table, detail.slices_table, tuning.search_table, tuning.front_table)
    makers += (tuning.sensitivity_table, detail.rates_table, tuning.trials_table)
    makers += (detail.runs_table,)
    made = (make(analysis) for make in makers)
    return tuple(table for table in made if len(table.frame))


def contents(report: Report, formats: Sequence[str] = FORMATS) -> dict[str, bytes]:
    """The report's files by name, relative to the study's directory."""
    from reports.figure import KINDS, render
    from reports.table import to_csv, to_latex

    files: dict[str, str | bytes] = {}
    if "markdown" in formats:
        files["report.md"] = to_report(report)
    if "html" in formats:
        files["report.html"] = to_page(report)
    for table in report.tables:
        if "latex" in formats:
            files[f"tables/{table.name}.tex"] = to_latex(table)
        if "csv" in formats:
            files[f"tables/{table.name}.csv"] = to_csv(table)
    for picture in report.pictures if "figures" in formats else ():
        for kind in KINDS:
            files[f"figures/{picture.name}.{kind}"] = render(picture.figure, kind)
    return {name: d.encode() if isinstance(d, str) else d for name, d in files.items()}


def to_page(report: Report) -> str:
    """report.html"""
    from reports.page import page

    return page(
        report.analysis,
        report.tables,
        report.pictures,
        found=report.found,
        limits=report.limits,
        methods=report.methods,
    )


def markdown(study: Study) -> str:
    """What a terminal shows: the findings and the main tables."""
    report = make_report(study, draw=False)
    shown = [table for table in report.tables if table.name in IN_TERMINAL]
    return _join(_head(report), *_blocks(shown))


def to_report(report: Report) -> str:
    """report.md: everything that Markdown can hold."""
    from reports.page import flatten
    from reports.table import escape_markdown, to_bullet

    figures = [f"![{escape_markdown(p.caption)}](figures/{p.name}.svg)" for p in report.pictures]
    notes = [to_bullet(str(note)) for note in report.study.plan.get("notes") or ()]
    provenance = [to_bullet(f"{key}: {value}") for key, value in flatten(report.study.provenance)]
    return _join(
        _head(report),
        *_blocks(report.tables),
        *(["## Figures", *figures] if figures else []),
        *(["## Notes of the plan", "\n".join(notes)] if notes else []),
        "## Methods",
        escape_markdown(report.methods),
        *(["## Provenance", "\n".join(provenance)] if provenance else []),
    )


def _head(report: Report) -> str:
    from reports.table import escape_markdown, to_bullet

    plan = report.study.plan
    command = " ".join(str(plan.get("command", "")).split())
    return _join(
        f"# {escape_markdown(str(plan['study']))}",
        f"    {command}" if command else "",
        "\n".join(to_bullet(text) for text in (*report.found, *report.limits)),
    )


def _blocks(tables: Sequence[Table]) -> list[str]:
    from reports.table import to_markdown

    return [to_markdown(table) for table in tables]


def _join(*parts: str) -> str:
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: 0, or 2 with one line on what the user can mend."""
    from zoo._guard import guard

    guard()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or {"--help", "-h", "help"} & set(words):
        sys.stdout.write(HELP)
        return 0 if words else 2
    try:
        directories, formats = _parse(words)
        for directory in directories:
            report = build_study(directory, formats)
            sys.stdout.write("".join(f"{path}\n" for path in report.files))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 2
    return 0


def _parse(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Directories, and the formats."""
    from sweeps.words import nearest, split

    directories = [word for word in words if "=" not in word or Path(word).is_dir()]
    formats = FORMATS
    for word in split(w for w in words if w not in directories):
        if word.key != "format":
            raise ValueError(f"unknown word {word.key!r}; {nearest(word.key, ['format'])}")
        formats = tuple(dict.fromkeys(word.values))
        check_formats(formats)
    if not directories:
        raise ValueError("name the directory of a study: python -m reports.build out/STUDY")
    return directories, formats


if __name__ == "__main__":
    sys.exit(main())
