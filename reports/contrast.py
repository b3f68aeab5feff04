"""What a study found: each arm's outcome, and its contrast with the baseline, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from reports import stats
from reports.comparison import Contrast, contrasts
from reports.equivalence import default_margin
from reports.rates import chosen_trial, is_at_edge, learning_rates
from reports.stats import Estimate
from sweeps.results import LOWER_IS_BETTER, Study

__all__ = [
    "Analysis",
    "Arm",
    "Contrast",
    "Outcome",
    "analyse",
    "baseline_entry",
    "by_seed",
    "chosen_trial",
    "learning_rates",
]
WEAK = 0.10  # treatment strength below which a switch is too weak to test
SCORED = ("finished", "diverged")  # runs that have a value; of others it would be half a run's
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
    margin: float | None = None  # of equivalence; None: not tested
    margin_named: bool = False  # by the plan; else it is the tool's default

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

    Raises: ValueError for a margin in the plan that is no positive number.
    """
    plan = study.plan
    given = dict(plan["primary"])
    named = given.pop("margin", None)
    outcome = Outcome(**given)
    margin = default_margin(outcome.metric) if named is None else _margin(study, named)
    chance = None if plan.get("chance") is None else float(plan["chance"])
    base = plan["arms"].index(baseline_entry(study))
    rows = _by_arm(study.results, plan["seeds"])
    improving = pl.col("still_improving").fill_null(value=False)
    late = _by_arm(study.runs.filter(improving), plan["seeds"])
    arms = [
        replace(
            _arm(study, entry, rows.get(entry["name"], study.results.clear()), outcome, chance),
            still_improving=len(late.get(entry["name"], ())),
        )
        for entry in plan["arms"]
    ]
    others = [arm for arm in arms if arm is not arms[base]]
    guessed = [arm.name for arm in others if arm.diverged or arms[base].diverged]
    found = contrasts(
        {arm.name: arm.values for arm in others}, arms[base].values, margin=margin, guessed=guessed
    )
    return Analysis(
        study=study,
        outcome=outcome,
        arms=tuple(
            replace(
                arm,
                extra_parameters=_extra(arm.parameters, arms[base].parameters),
                contrast=found.get(arm.name),
            )
            for arm in arms
        ),
        chance=chance,
        floors=plan.get("floors") or {},
        margin=margin,
        margin_named=named is not None,
    )


def baseline_entry(study: Study) -> dict[str, Any]:
    """The plan's entry of the arm that the others are compared with: `baseline`, or the first."""
    arms = study.plan["arms"]
    return next((arm for arm in arms if arm["name"] == "baseline"), arms[0])


def _margin(study: Study, named: Any) -> float:
    number = isinstance(named, int | float) and not isinstance(named, bool)
    if not number or not 0 < named < math.inf:
        raise ValueError(
            f"{study.directory / 'plan.json'}: primary.margin={named!r}: expected a positive number"
        )
    return float(named)


def _extra(own: int | None, reference: int | None) -> float | None:
    return own / reference - 1 if own and reference else None


def by_seed(rows: pl.DataFrame) -> dict[int, float]:
    """Seed -> value where there is a finite one, by ascending seed."""
    pairs = rows.select("seed", "value").sort("seed").iter_rows()
    return {seed: value for seed, value in pairs if value is not None and math.isfinite(value)}


def _by_arm(rows: pl.DataFrame, seeds: Sequence[int]) -> dict[str, pl.DataFrame]:
    """Those of planned seeds."""
    parts = rows.filter(pl.col("seed").is_in(seeds)).partition_by("arm", as_dict=True)
    return {str(key[0]): part for key, part in parts.items()}


def _arm(
    study: Study,
    entry: dict[str, Any],
    rows: pl.DataFrame,
    outcome: Outcome,
    chance: float | None,
) -> Arm:
    """What an arm's own rows say: all but its contrast, its relative size and `still_improving`."""
    runs = rows.unique("seed", maintain_order=True)
    diverged = runs.filter(pl.col("status") == "diverged")
    values = by_seed(outcome.rows(rows.filter(pl.col("status").is_in(SCORED))))
    if chance is not None:  # a slice, or a metric, that a diverged run has no row of
        values = dict.fromkeys(diverged["seed"], chance) | values
    values = dict(sorted(values.items()))
    kernel = rows.filter(pl.col("split") == "kernel")
    lr = _chosen_lr(rows, entry)
    searched = rows if study.plan.get("search") else rows.clear()
    return Arm(
        name=entry["name"],
        changed=tuple(entry.get("changed") or ()),
        values=values,
        planned=len(entry.get("seeds") or study.plan["seeds"]),  # its own in a pool of studies
        diverged=diverged.height,
        estimate=stats.mean_interval(list(values.values())),
        parameters=_of_runs(searched, "parameters", entry),
        extra_parameters=None,
        state_bytes=_of_runs(searched, "state_bytes", entry),
        lr=lr,
        lr_at_edge=is_at_edge(study, entry["name"], lr),
        strength=entry.get("treatment_strength"),
        still_improving=0,
        seconds=_mean(runs["seconds"]),
        measured={name: _measured(kernel, name) for name in MEASURES},
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


def _measured(rows: pl.DataFrame, metric: str) -> Pair:
    """Mean over seeds at initialisation and at the end, of rows about kernels."""
    rows = rows.filter(pl.col("metric") == metric) if len(rows) else rows
    initial, final = (
        _mean(rows.filter(pl.col("slice") == when)["value"]) if len(rows) else None
        for when in ("initial", "final")
    )
    return initial, final


def _mean(values: pl.Series) -> float | None:
    finite = [v for v in values if v is not None and math.isfinite(v)]
    return math.fsum(finite) / len(finite) if finite else None
