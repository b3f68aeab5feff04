"""What a paper reports on the question of a suite, beside what was found here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from reports.contrast import Analysis, Arm
from reports.formats import DASH, fixed, short, signed
from reports.published import STATUSES
from reports.study_tables import name_column
from reports.table import Column, Table

Row = dict[str, Any]
SCHEMA: dict[str, Any] = {
    "reported_on": pl.Int64,
    "arm": pl.String,
    "reported": pl.Float64,
    "reported_difference": pl.Float64,
    "mean": pl.Float64,
    "difference": pl.Float64,
    "direction": pl.String,
    "metric": pl.String,
    "task": pl.String,
    "source": pl.String,
    "status": pl.String,
}
APART = (
    "Reported numbers are of other hardware, data and code: a direction can be compared, a size "
    "cannot. Direction: of the difference from the baseline; not shown: our 95 % interval has both "
    "signs."
)


def reported_table(analysis: Analysis, *, memory: bool = False) -> Table:
    """Reported values and differences beside ours, for the arms that both have.

    memory  also those that are quoted from memory, marked
    """
    suite = analysis.study.plan.get("suite") or {}
    reported = suite.get("reported") or []
    rows = [
        row
        for i, each in enumerate(reported)
        for row in _rows(analysis, each, i + 1)
        if memory or row["status"] != STATUSES["memory"]
    ]
    with_base = {row["reported_on"] for row in rows if row["arm"] == analysis.baseline.name}
    rows = [row for row in rows if row["reported_on"] in with_base]
    several = len({row["reported_on"] for row in rows}) > 1
    mark = (Column("of", lambda r: f"[{r['reported_on']}]"),) if several else ()
    return Table(
        name="reported",
        caption=f"Reported in the literature, and found here ({suite.get('name', '')}).",
        frame=pl.DataFrame(rows, schema=SCHEMA),
        columns=(
            *mark,
            name_column(),
            Column("reported", lambda r: short(r["reported"])),
            Column("difference", lambda r: _or_dash(r["reported_difference"], "{:+.4g}".format)),
            Column("here", lambda r: fixed(r["mean"])),
            Column("difference", lambda r: signed(r["difference"])),
            Column("direction", lambda r: r["direction"] or DASH, "left"),
        ),
        notes=(APART, *_sources(rows, several=several)),
    )


def _or_dash(value: float | None, shown: Any) -> str:
    return DASH if value is None else shown(value)


def _rows(analysis: Analysis, reported: Row, number: int) -> Iterator[Row]:
    """One for each arm of this table that was also run here; none without the paper's baseline."""
    values = {row["arm"]: row for row in reported["rows"]}
    base = values.get(analysis.baseline.name)
    for arm in analysis.arms:
        if base is None or arm.name not in values:
            continue
        row, ours = values[arm.name], arm.contrast
        difference = None if ours is None else row["value"] - base["value"]
        yield {
            "reported_on": number,
            "arm": arm.name,
            "reported": row["value"],
            "reported_difference": difference,
            "mean": arm.estimate.mean,
            "difference": None if ours is None else ours.difference.mean,
            "direction": _direction(analysis, reported, arm, difference),
            **{name: reported[name] for name in ("metric", "task", "source")},
            "status": STATUSES.get(row["status"], row["status"]),
        }


def _direction(analysis: Analysis, reported: Row, arm: Arm, difference: float | None) -> str | None:
    """`same`, `opposite`, or `not shown`."""
    if arm.contrast is None or not difference:
        return None
    low, high = arm.contrast.difference.low, arm.contrast.difference.high
    if low is None or high is None or low <= 0 <= high:
        return "not shown"
    theirs = (difference > 0) != bool(reported["lower_is_better"])
    ours = (low > 0) != analysis.outcome.lower_is_better
    return "same" if ours == theirs else "opposite"


def _sources(rows: list[Row], *, several: bool) -> Iterator[str]:
    """A line for each table that rows come from, with what is unsure about its numbers."""
    for number in dict.fromkeys(row["reported_on"] for row in rows):
        mine = [row for row in rows if row["reported_on"] == number]
        unsure: dict[str, list[str]] = {}
        for row in mine:
            unsure.setdefault(row["status"], []).append(row["arm"])
        read = "; ".join(
            status if len(unsure) == 1 else f"{', '.join(arms)}: {status}"
            for status, arms in unsure.items()
        )
        mark = f"[{number}] " if several else ""
        what = "; ".join(mine[0][name] for name in ("metric", "task", "source"))
        yield f"{mark}Reported: {what} ({read})."
