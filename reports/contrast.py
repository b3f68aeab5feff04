"""What a study found: each arm's outcome, and its contrast with the baseline, paired by seed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from reports import stats
from reports.stats import Estimate
from sweeps.results import LOWER_IS_BETTER, Study

WEAK = 0.10  # treatment strength below which a switch is too weak to test
NEAR = 1e-6  # relative: a rate this close to an end of its range is at the end
MEASURES = ("effective_length", "roughness", "decay_exponent", "decay_rate")
Pair = tuple[float | None, float | None]


@dataclass(frozen=True)
class Outcome:
    """Which rows of the results are judged."""

    metric: str = "accuracy"
    split: str = "test"
    slice: str = "all"

    def __str__(self) -> str:
        where = "" if self.slice == "all" else f" on {self.slice}"
        return f"{self.split} {self.metric}{where}"

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value is the better one."""
        return self.metric in LOWER_IS_BETTER

    @property
    def tuning_score(self) -> str:
        """What tuning maximises on the validation split."""
        return f"{'minus ' if self.lower_is_better else ''}validation {self.metric}"

    def rows(self, results: pl.DataFrame) -> pl.DataFrame:
        """The rows about this outcome."""
        return results.filter(
            (pl.col("metric") == self.metric)
            & (pl.col("split") == self.split)
            & (pl.col("slice") == self.slice)
        )


@dataclass(frozen=True)
class Contrast:
    """An arm against the baseline, over the seeds that both have."""

    difference: Estimate
    p: float | None = None
    p_holm: float | None = None
    effect: float | None = None  # d_z
    correlation: float | None = None
    underpowered: bool = True
    identical: bool = False  # every pair exactly equal

    @property
    def significant(self) -> bool:
        """Whether the test says so after Holm; an underpowered one says nothing."""
        return not self.underpowered and self.p_holm is not None and self.p_holm < stats.ALPHA


@dataclass(frozen=True)
class Arm:
    """One row of the tables."""

    name: str
    changed: tuple[str, ...]
    values: dict[int, float]  # seed -> primary outcome
    planned: int
    diverged: int
    estimate: Estimate
    parameters: int | None
    extra_parameters: float | None  # share above (below) the baseline's
    state_bytes: int | None
    lr: float | None
    lr_at_edge: bool
    strength: float | None
    still_improving: int
    seconds: float | None  # mean of a run
    measured: dict[str, Pair]  # initial, final
    contrast: Contrast | None = None  # None: the baseline

    @property
    def missing(self) -> int:
        """Planned runs without a value: not run, out of memory, killed."""
        return self.planned - self.estimate.n

    @property
    def weak(self) -> bool:
        """Whether the switch moved the kernel too little to test anything."""
        return self.strength is not None and self.strength < WEAK


@dataclass(frozen=True)
class Analysis:
    """A study, judged."""

    study: Study
    outcome: Outcome
    arms: tuple[Arm, ...]
    chance: float | None
    floors: dict[str, float] = field(default_factory=dict)  # of shortcuts, by name

    @property
    def unsolved(self) -> dict[str, float]:
        """What is scored without solving the task, by what does: the best of them last."""
        by_chance = {} if self.chance is None else {"chance": self.chance}
        return dict(sorted({**by_chance, **self.floors}.items(), key=lambda item: item[1]))

    @property
    def baseline(self) -> Arm:
        return next(arm for arm in self.arms if arm.contrast is None)

    @property
    def others(self) -> tuple[Arm, ...]:
        """The arms that are compared with the baseline, in the plan's order."""
        return tuple(arm for arm in self.arms if arm.contrast is not None)

    @property
    def underpowered(self) -> bool:
        """Whether some contrast has too few pairs for its test."""
        return any(arm.contrast and arm.contrast.underpowered for arm in self.arms)


def analyse(study: Study) -> Analysis:
    """Estimates of every arm, contrasts with the baseline, Holm over the primary outcome's tests.

    An arm without a p counts in Holm as p = 1: the family is what was planned, not what finished.
    """
    plan = study.plan
    outcome = Outcome(**plan["primary"])
    names = [arm["name"] for arm in plan["arms"]]
    base = plan["arms"][names.index("baseline") if "baseline" in names else 0]
    arms = [_arm(study, entry, base, outcome) for entry in plan["arms"]]
    reference = next(arm for arm in arms if arm.name == base["name"])
    others = [arm for arm in arms if arm is not reference]
    contrasts = [_contrast(arm.values, reference.values, len(others)) for arm in others]
    adjusted = stats.holm([1.0 if c.p is None else c.p for c in contrasts])
    found = {
        arm.name: replace(contrast, p_holm=None if contrast.p is None else p)
        for arm, contrast, p in zip(others, contrasts, adjusted, strict=True)
    }
    chance = plan.get("chance")
    return Analysis(
        study=study,
        outcome=outcome,
        arms=tuple(replace(arm, contrast=found.get(arm.name)) for arm in arms),
        chance=None if chance is None else float(chance),
        floors=plan.get("floors") or {},
    )


def by_seed(rows: pl.DataFrame) -> dict[int, float]:
    """Seed -> value where there is a finite one, by ascending seed."""
    pairs = rows.select("seed", "value").sort("seed").iter_rows()
    return {seed: value for seed, value in pairs if value is not None and math.isfinite(value)}


def _contrast(arm: Mapping[int, float], base: Mapping[int, float], num_arms: int) -> Contrast:
    seeds = sorted(set(arm) & set(base))
    a, b = [arm[s] for s in seeds], [base[s] for s in seeds]
    return Contrast(
        difference=stats.paired_difference(a, b),
        p=stats.permutation_p(a, b) if len(seeds) > 1 else None,
        effect=stats.effect_size(a, b),
        correlation=stats.seed_correlation(a, b),
        underpowered=stats.is_underpowered(len(seeds), num_arms),
        identical=bool(seeds) and a == b,
    )


def _arm(study: Study, entry: dict[str, Any], base: dict[str, Any], outcome: Outcome) -> Arm:
    rows = study.results.filter(
        (pl.col("arm") == entry["name"]) & pl.col("seed").is_in(study.plan["seeds"])
    )
    values = by_seed(outcome.rows(rows))
    runs = rows.unique("seed", maintain_order=True)
    improving = study.runs.filter(
        (pl.col("arm") == entry["name"]) & pl.col("still_improving").fill_null(value=False)
    )
    lr = _chosen_lr(rows, entry)
    searched = rows if study.plan.get("search") else rows.clear()
    own, reference = _of_runs(searched, "parameters", entry), base.get("parameters")
    return Arm(
        name=entry["name"],
        changed=tuple(entry.get("changed") or ()),
        values=values,
        planned=len(study.plan["seeds"]),
        diverged=runs.filter(pl.col("status") == "diverged").height,
        estimate=stats.mean_interval(list(values.values())),
        parameters=own,
        extra_parameters=own / reference - 1 if own and reference else None,
        state_bytes=_of_runs(searched, "state_bytes", entry),
        lr=lr,
        lr_at_edge=_is_at_edge(study, entry["name"], lr),
        strength=entry.get("treatment_strength"),
        still_improving=improving.height,
        seconds=_mean(runs["seconds"]),
        measured={name: _measured(rows, name) for name in MEASURES},
    )


def _of_runs(rows: pl.DataFrame, column: str, entry: dict[str, Any]) -> int | None:
    """What the runs have, where a search may have changed what was planned."""
    found = rows[column].drop_nulls()
    return found[0] if len(found) else entry.get(column)


def _chosen_lr(rows: pl.DataFrame, entry: dict[str, Any]) -> float | None:
    used = rows["lr"].drop_nulls()
    if len(used):
        return used[0]
    return entry.get("experiment", {}).get("train", {}).get("lr")


def learning_rates(study: Study, arm: str) -> pl.DataFrame:
    """The tuning of an arm, by rate: number lr value state.

    value is the tuning score (the larger the better), its mean if there are several tuning seeds.
    """
    rows = study.trials.filter(pl.col("arm") == arm)
    rates = [json.loads(text or "{}").get("train.lr") for text in rows["parameters"]]
    rows = rows.with_columns(
        pl.Series("lr", rates, dtype=pl.Float64),
        pl.when(pl.col("value").is_finite()).then("value").alias("value"),
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


def _is_at_edge(study: Study, arm: str, lr: float | None) -> bool:
    """Whether no rate beyond the chosen one was tried, on one of its sides."""
    tried = learning_rates(study, arm)["lr"].unique().sort()
    ends = (tried[0], tried[-1]) if len(tried) > 1 else study.plan.get("lr_range")
    if lr is None or not ends or not study.plan.get("trials"):
        return False
    return lr <= ends[0] * (1 + NEAR) or lr >= ends[1] * (1 - NEAR)


def _measured(rows: pl.DataFrame, metric: str) -> Pair:
    """Mean over seeds at initialisation and at the end."""
    kernel = rows.filter((pl.col("split") == "kernel") & (pl.col("metric") == metric))
    initial, final = (
        _mean(kernel.filter(pl.col("slice") == when)["value"]) for when in ("initial", "final")
    )
    return initial, final


def _mean(values: pl.Series) -> float | None:
    finite = [v for v in values if v is not None and math.isfinite(v)]
    return math.fsum(finite) / len(finite) if finite else None
