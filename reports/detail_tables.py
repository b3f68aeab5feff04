"""The tables behind the main ones: every metric, slice, learning rate and run."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from reports.contrast import Analysis, by_seed, chosen_trial, learning_rates
from reports.formats import DASH, count, fixed, mean_and_half, short
from reports.stats import Estimate, mean_interval
from reports.study_tables import Row, bounds, name_column
from reports.table import Column, Shown, Table
from reports.tuning import rate_curve, score_name


def metrics_table(analysis: Analysis) -> Table:
    """Every other metric over whole splits."""
    results = analysis.study.results.filter(
        (pl.col("slice") == "all") & (pl.col("split") != "kernel")
    )
    return _by_arm(analysis, results, "metrics", "All metrics, over whole splits.")


def slices_table(analysis: Analysis) -> Table:
    """Metrics by a factor of the data."""
    results = analysis.study.results.filter(
        (pl.col("slice") != "all") & (pl.col("split") != "kernel")
    )
    return _by_arm(analysis, results, "slices", "Metrics by slice of the data.")


def _by_arm(analysis: Analysis, results: pl.DataFrame, name: str, caption: str) -> Table:
    """One row per (split, slice, metric), one column per arm."""
    arms = [arm.name for arm in analysis.arms]
    groups = results.partition_by("split", "slice", "metric", as_dict=True)
    rows = []
    for key in sorted(groups, key=lambda key: [natural(str(part)) for part in key]):
        row: Row = dict(zip(("split", "slice", "metric"), key, strict=True))
        for i, arm in enumerate(arms):
            values = by_seed(groups[key].filter(pl.col("arm") == arm))
            estimate = mean_interval(list(values.values()))
            row |= {f"{i} n": estimate.n, **bounds(estimate, f"{i} mean", f"{i} ")}
        if any(row[f"{i} n"] for i in range(len(arms))):
            rows.append(row)
    frame = pl.DataFrame(rows, infer_schema_length=None)
    titles = [Column(arm, _estimate_of(i), "right") for i, arm in enumerate(arms)]
    what = ("split", "metric") if name == "metrics" else ("split", "slice", "metric")
    return Table(
        name=name,
        caption=caption,
        frame=frame.rename({c: _csv_name(c, arms) for c in frame.columns if c[0].isdigit()}),
        columns=(*(Column(w, lambda r, w=w: r[w], "left") for w in what), *titles),
        notes=("mean ± half of the 95 % t interval over seeds. Descriptive: no tests.",),
    )


def _csv_name(column: str, arms: list[str]) -> str:
    number, _, what = column.partition(" ")
    return f"{arms[int(number)]} {what}"


def _estimate_of(position: int):
    """Show the position-th arm's estimate; four columns per arm follow the three of the key."""

    def show(row: Row) -> Shown:
        n, mean, low, high = list(row.values())[3 + 4 * position : 7 + 4 * position]
        return mean_and_half(Estimate(n, mean, low, high))

    return show


def rates_table(analysis: Analysis) -> Table:
    """The tuning: what every rate gave, and which was chosen."""
    schema = {"arm": pl.String, "trial": pl.Int64, "lr": pl.Float64, "value": pl.Float64}
    rows = []
    for arm in analysis.arms:
        chosen = chosen_trial(analysis.study, arm.name)
        curve = {tried.number for tried in rate_curve(analysis.study, arm.name)}
        tried = learning_rates(analysis.study, arm.name).filter(pl.col("number").is_in(curve))
        for r in tried.iter_rows(named=True):
            own = {"arm": arm.name, "trial": r["number"], "lr": r["lr"], "value": r["value"]}
            rows.append({**own, "state": r["state"], "chosen": r["number"] == chosen})
    return Table(
        name="learning-rates",
        caption="Learning rates tried, by arm, all else equal; the chosen one is marked.",
        frame=pl.DataFrame(rows, schema={**schema, "state": pl.String, "chosen": pl.Boolean}),
        columns=(
            name_column(),
            Column("trial", lambda r: str(r["trial"])),
            Column("lr", lambda r: short(r["lr"])),
            Column(score_name(analysis), lambda r: fixed(r["value"])),
            Column("state", lambda r: str(r["state"] or DASH).lower(), "left"),
            Column("chosen", lambda r: "×" if r["chosen"] else "", "center"),
        ),
        notes=("On tuning seeds, not the reported ones.",),
    )


def runs_table(analysis: Analysis) -> Table:
    """Every run, whatever became of it."""
    schema: dict[str, Any] = {"arm": pl.String, "seed": pl.Int64, "value": pl.Float64}
    schema |= {"status": pl.String, "lr": pl.Float64, "steps": pl.Int64, "seconds": pl.Float64}
    schema |= {"still_improving": pl.Boolean, "resumed_from": pl.String, "fingerprint": pl.String}
    order = {arm.name: i for i, arm in enumerate(analysis.arms)}
    primary = analysis.outcome.rows(analysis.study.results).select("arm", "seed", "value")
    lr = analysis.study.results.select("arm", "seed", "lr").unique(("arm", "seed"))
    runs = (
        analysis.study.runs.join(primary, on=("arm", "seed"), how="left")
        .join(lr, on=("arm", "seed"), how="left")
        .sort(pl.col("arm").replace_strict(order, return_dtype=pl.Int64), "seed")
        .select(*schema)
    )
    return Table(
        name="runs",
        caption="Every run.",
        frame=runs,
        columns=(
            name_column(),
            Column("seed", lambda r: str(r["seed"])),
            Column(str(analysis.outcome), lambda r: fixed(r["value"])),
            Column("status", lambda r: r["status"] or DASH, "left"),
            Column("lr", lambda r: short(r["lr"])),
            Column("steps", lambda r: count(r["steps"])),
            Column("s", lambda r: short(r["seconds"])),
            Column("resumed from", lambda r: r["resumed_from"] or DASH, "left"),
            Column("fingerprint", lambda r: r["fingerprint"] or DASH, "left"),
        ),
    )


def natural(text: str) -> list[tuple[int, float, str]]:
    """A sort key by which gap=2 comes before gap=10."""
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return [(0, float(p), "") if p[:1].isdigit() else (1, 0.0, p) for p in parts if p]
