"""The tables behind the main ones: every metric, slice, learning rate and run."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from scipy.special import stdtrit

from reports.captions import UP, arrow, seeds, task, trial_budget, with_arrow
from reports.contrast import SCORED, Analysis, chosen_trial, learning_rates
from reports.formats import DASH, count, digits_of, fixed, mean_and_half, short
from reports.stats import LEVEL, ROUNDING, Estimate
from reports.study_tables import Row, bounds, name_column
from reports.table import Column, Shown, Table
from reports.tuning import rate_curve, score_name


def metrics_table(analysis: Analysis) -> Table:
    """Every other metric over whole splits."""
    results = analysis.study.results.filter(
        (pl.col("slice") == "all") & (pl.col("split") != "kernel")
    )
    return _by_arm(analysis, results, "metrics", "All metrics, over whole splits")


def slices_table(analysis: Analysis) -> Table:
    """Metrics by a factor of the data."""
    results = analysis.study.results.filter(
        (pl.col("slice") != "all") & (pl.col("split") != "kernel")
    )
    return _by_arm(analysis, results, "slices", "Metrics by slice of the data")


def _by_arm(analysis: Analysis, results: pl.DataFrame, name: str, caption: str) -> Table:
    """One row per (split, slice, metric), one column per arm."""
    arms = [arm.name for arm in analysis.arms]
    results, notes = _with_diverged(analysis, _scored(analysis, results))
    found = _estimates(results)
    keys = sorted({key for key, _ in found}, key=lambda key: [natural(part) for part in key])
    rows = []
    for key in keys:
        row: Row = dict(zip(("split", "slice", "metric"), key, strict=True))
        for arm in arms:
            estimate = found.get((key, arm), NOTHING)
            row |= {f"{arm} n": estimate.n, **bounds(estimate, f"{arm} mean", f"{arm} ")}
        rows.append(row)
    digits = {key: digits_of(found.get((key, arm), NOTHING) for arm in arms) for key in keys}
    what = ("split",) if name == "metrics" else ("split", "slice")
    return Table(
        name=name,
        caption=f"{caption}{task(analysis)}, {seeds(analysis)}.",
        frame=pl.DataFrame(rows, infer_schema_length=None),
        columns=(
            *(Column(w, lambda r, w=w: r[w], "left") for w in what),
            Column("metric", lambda r: f"{r['metric']} {arrow(r['metric'])}", "left"),
            *(Column(arm, _estimate_of(arm, digits)) for arm in arms),
        ),
        notes=(
            "Mean ± half of the 95 % t interval over seeds; the arrow: which way is better. "
            "Descriptive: no tests.",
            *notes,
        ),
    )


NOTHING = Estimate(0)
Key = tuple[str, str, str]  # split, slice, metric
KEY = ("split", "slice", "metric")
RUN = ("arm", "seed")


def _scored(analysis: Analysis, results: pl.DataFrame) -> pl.DataFrame:
    """The finite values of planned runs that ended: (KEY, RUN, value)."""
    return results.filter(
        pl.col("status").is_in(SCORED)
        & pl.col("seed").is_in(analysis.study.plan["seeds"])
        & pl.col("value").is_finite()
    ).select(*KEY, *RUN, "value")


def _with_diverged(
    analysis: Analysis, values: pl.DataFrame
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The values with those of runs that diverged, and what is to be said of such runs.

    They were not scored by metric and slice: in the outcome's metric on the test split they count
    with the chance score, as they do in the outcome.
    """
    runs = analysis.study.runs.filter(
        (pl.col("status") == "diverged") & pl.col("seed").is_in(analysis.study.plan["seeds"])
    )
    lost = runs.select(RUN).unique(maintain_order=True)
    keys = values.select(KEY).unique(maintain_order=True)
    lacking = keys.join(lost, how="cross").join(values, on=[*KEY, *RUN], how="anti")
    outcome = (pl.col("split") == "test") & (pl.col("metric") == analysis.outcome.metric)
    known = outcome & pl.lit(analysis.chance is not None)
    guessed = lacking.filter(known).with_columns(value=pl.lit(analysis.chance, pl.Float64))
    notes: tuple[str, ...] = ()
    if len(guessed):
        metric = analysis.outcome.metric
        notes = (f"In test {metric} a run that diverged counts with the chance score.",)
    without = _without(analysis, lacking.filter(~known))
    return pl.concat([values, guessed.select(values.columns)]), (*notes, *without)


def _without(analysis: Analysis, lacking: pl.DataFrame) -> tuple[str, ...]:
    """How many runs of which arms are not in some row of the table, as they diverged."""
    counts = dict(lacking.select(RUN).unique().group_by("arm").len().iter_rows())
    told = [f"{arm.name}: {counts[arm.name]}" for arm in analysis.arms if arm.name in counts]
    if not told:
        return ()
    return (f"Without runs that diverged ({', '.join(told)}): they have no such score.",)


def _estimates(results: pl.DataFrame) -> dict[tuple[Key, str], Estimate]:
    """By key and arm: one pass over the results, whose values are finite."""
    key = (*KEY, "arm")
    groups = (
        results.sort("seed").group_by(key, maintain_order=True).agg("value", pl.len().alias("n"))
    )
    found = {}
    for same in groups.partition_by("n", maintain_order=True):
        estimates = mean_intervals(np.stack(same["value"].to_list()))
        for (*what, arm), estimate in zip(same.select(key).iter_rows(), estimates, strict=True):
            found[tuple(what), arm] = estimate
    return found


def mean_intervals(values: np.ndarray) -> list[Estimate]:
    """`stats.mean_interval` of each row.    (G, n)

    The formula stands here again because a table of 1,000 arms has 20,000 of them: n, mean and
    mean +- t_{n-1, 0.975} * s / sqrt(n), with s = 0 where the spread is rounding only.
    """
    n = values.shape[1]
    means = values.mean(axis=1)
    if n == 1:
        return [Estimate(1, mean) for mean in means.tolist()]
    s = values.std(axis=1, ddof=1)
    s[s <= ROUNDING * np.abs(values).max(axis=1)] = 0.0
    halves = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * s / math.sqrt(n)
    bounds = zip(means.tolist(), (means - halves).tolist(), (means + halves).tolist(), strict=True)
    return [Estimate(n, *each) for each in bounds]


def _estimate_of(arm: str, digits: dict[Key, int]):
    def show(row: Row) -> Shown:
        estimate = Estimate(*(row[f"{arm} {what}"] for what in ("n", "mean", "low", "high")))
        return mean_and_half(estimate, digits[row["split"], row["slice"], row["metric"]])

    return show


def rates_table(analysis: Analysis) -> Table:
    """The tuning: what every rate gave, and which was chosen."""
    schema = {"arm": pl.String, "trial": pl.Int64, "lr": pl.Float64, "value": pl.Float64}
    one_each = analysis.study.results.unique(("arm", "seed"), maintain_order=True)
    study, rows = replace(analysis.study, results=one_each), []
    tuned = set(study.trials["arm"])
    for arm in (arm for arm in analysis.arms if arm.name in tuned):
        chosen = chosen_trial(study, arm.name)
        curve = {tried.number for tried in rate_curve(study, arm.name)}
        tried = learning_rates(study, arm.name).filter(pl.col("number").is_in(curve))
        for r in tried.iter_rows(named=True):
            own = {"arm": arm.name, "trial": r["number"], "lr": r["lr"], "value": r["value"]}
            rows.append({**own, "state": r["state"], "chosen": r["number"] == chosen})
    return Table(
        name="learning-rates",
        caption=(
            f"Learning rates tried, all else equal{task(analysis)}: {trial_budget(analysis)}. "
            "The chosen one is marked."
        ),
        frame=pl.DataFrame(rows, schema={**schema, "state": pl.String, "chosen": pl.Boolean}),
        columns=(
            name_column(),
            Column("trial", lambda r: str(r["trial"])),
            Column("lr", lambda r: short(r["lr"])),
            Column(f"{score_name(analysis)} {UP}", lambda r: fixed(r["value"])),
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
        caption=f"Every run{task(analysis)}.",
        frame=runs,
        columns=(
            name_column(),
            Column("seed", lambda r: str(r["seed"])),
            Column(with_arrow(analysis.outcome), lambda r: fixed(r["value"])),
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
