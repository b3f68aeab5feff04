"""Published figures below the outcome of a suite, and a table of those on a study's task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from reports.captions import arrow, with_arrow
from reports.contrast import Analysis
from reports.formats import DASH, signed
from reports.published import PublishedRow, picks, rows
from reports.table import PUBLISHED, Column, Shown, Table

DIFFERENCE = "difference"  # the column of differences from the baseline
ALIKE = {"percent", "fraction"}  # units that are the same score


@dataclass(frozen=True)
class Below:
    """Rows of another origin, one cell per column of a table, and where they are from."""

    rows: tuple[tuple[Shown, ...], ...] = ()
    notes: tuple[str, ...] = ()


def published_below(analysis: Analysis, titles: Sequence[str], *, memory: bool = False) -> Below:
    """What was published on the suite of a study, in the outcome's metric; nothing without one.

    The difference is from the published baseline. What was not published is a dash.

    titles  of the columns that stand there
    """
    suite = analysis.study.plan.get("suite") or {}
    named = "" if suite.get("reported") else suite.get("name", "")  # it has a table of its own
    found, notes = [], []
    for pick in picks(named, memory=memory):
        own = [row for row in pick.rows if _is_comparable(row, analysis)]
        found += [_cells(row, pick.baseline, analysis, titles) for row in own]
        notes += [f"{row.about_what}; {row.source}." for row in own]
    return Below(tuple(found), tuple(f"Published: {note}" for note in dict.fromkeys(notes)))


def _is_comparable(row: PublishedRow, analysis: Analysis) -> bool:
    return row.metric == analysis.outcome.metric and row.unit in ALIKE


def _cells(
    row: PublishedRow, baseline: PublishedRow | None, analysis: Analysis, titles: Sequence[str]
) -> tuple[Shown, ...]:
    """The row under each title."""
    known = {titles[0]: row.label, with_arrow(analysis.outcome): row.shown}
    if baseline is not None and baseline != row:
        digits = max(_digits(row), _digits(baseline))
        known[DIFFERENCE] = signed(row.scaled - baseline.scaled, digits)
    return tuple(known.get(title, DASH) for title in titles)


def _digits(row: PublishedRow) -> int:
    return len(row.shown.partition(".")[2])


def published_table(analysis: Analysis, *, memory: bool = False) -> Table:
    """Every published figure on the study's task; without rows where there is none.

    memory  also figures from memory, each marked as not confirmed
    """
    found = rows(task=str(analysis.study.plan.get("task")), memory=memory)
    fields = ("system", "variant", "setting", "metric", "value", "unit", "paper", "where", "status")
    records = [
        {**{name: getattr(row, name) for name in fields}, "label": row.label, "shown": row.shown}
        for row in found
    ]
    texts = dict.fromkeys((*fields, "label", "shown"), pl.String)
    sources = dict.fromkeys(f"{row.source}." for row in found)
    return Table(
        name="published",
        caption=f"Published figures on this task; {PUBLISHED.partition(': ')[2]}.",
        frame=pl.DataFrame(records, schema={**texts, "value": pl.Float64}),
        columns=(
            Column("system", lambda r: r["label"], "left"),
            Column("setting", lambda r: r["setting"] or DASH, "left"),
            Column("metric", lambda r: f"{r['metric']} {arrow(r['metric'])}", "left"),
            Column("value", lambda r: r["shown"]),
            Column("source", lambda r: r["paper"], "left"),
        ),
        notes=tuple(sources),
    )
