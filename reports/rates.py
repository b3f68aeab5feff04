"""The learning rates that were tried, and the one that was chosen."""

from __future__ import annotations

import json

import polars as pl

from sweeps.results import Study

WITHOUT_SCORE = ("failed", "infeasible")  # they count with a guess, and show nothing
NEAR = 1e-6  # relative: a rate this close to an end of its range is at the end


def learning_rates(study: Study, arm: str) -> pl.DataFrame:
    """The tuning of an arm, by rate: number lr value state.

    value is the tuning score (the larger the better), its mean if there are several tuning seeds.
    """
    rows = study.trials.filter(pl.col("arm") == arm)
    rates = [json.loads(text or "{}").get("train.lr") for text in rows["parameters"]]
    rows = rows.with_columns(
        pl.Series("lr", rates, dtype=pl.Float64),
        pl.when(pl.col("value").is_finite() & ~pl.col("state").is_in(WITHOUT_SCORE))
        .then("value")
        .alias("value"),
    )
    means = rows.group_by("number", maintain_order=True).agg(
        pl.col("lr").first(), pl.col("value").mean(), pl.col("state").unique().sort().str.join(" ")
    )
    return means.filter(pl.col("lr").is_not_null()).sort("lr", "number")


def chosen_trial(study: Study, arm: str) -> int | None:
    """The number of the trial whose rate was used; where no run says so, the best one."""
    used = study.results.filter(pl.col("arm") == arm)["trial"].drop_nulls()
    if len(used):
        return used[0]
    tried = learning_rates(study, arm).drop_nulls("value").filter(pl.col("state") != "pruned")
    if not len(tried):
        return None
    return tried.sort("value", "number", descending=[True, False])["number"][0]


def is_at_edge(study: Study, arm: str, lr: float | None) -> bool:
    """Whether no rate beyond the chosen one was tried, on one of its sides."""
    if lr is None or not study.plan.get("trials"):
        return False
    tried = learning_rates(study, arm)["lr"].unique().sort()
    ends = (tried[0], tried[-1]) if len(tried) > 1 else study.plan.get("lr_range")
    if not ends:
        return False
    return lr <= ends[0] * (1 + NEAR) or lr >= ends[1] * (1 - NEAR)
