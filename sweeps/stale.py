"""Results never outlive the code that made them: which finished runs are of other code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from sweeps.atomic import inside
from sweeps.experiment import Experiment
from sweeps.plan import StudyPlan
from sweeps.provenance import identity
from sweeps.rundir import RunDirectory
from sweeps.search import first_trials
from sweeps.train import pick_device


@dataclass(frozen=True)
class Stale:
    """Finished runs that other code (or torch, threads, hardware) made."""

    count: int
    difference: str


def find_stale(plan: StudyPlan, root: Path, device: str) -> Stale | None:
    """Finished runs of this plan that cannot be told to be what this code would find."""
    here = identity(pick_device(device))
    differing = [
        result.identity
        for experiment in _known_runs(plan, root)
        if (result := RunDirectory(root, experiment).result()) and result.identity != here
    ]
    if not differing:
        return None
    old = differing[0]
    key = next(k for k in (*here, *old) if here.get(k) != old.get(k))
    short = (str(old.get(key))[:12], str(here.get(key))[:12])
    return Stale(len(differing), f"other {key} ({short[0]} -> {short[1]})")


def _known_runs(plan: StudyPlan, root: Path) -> list[Experiment]:
    """Every run that the plan may read: trials, and seeds at the rates an earlier pass chose."""
    known = []
    chosen = _rates_of_record(inside(root, plan.name))
    for arm in plan.arms:
        known += first_trials(arm.experiment, plan.trials)
        rates = {arm.experiment.train.lr, *chosen.get(arm.name, ())}
        known += [
            arm.experiment.with_train(lr=lr).with_seed(seed) for lr in rates for seed in plan.seeds
        ]
    return known


def _rates_of_record(directory: Path) -> dict[str, set[float]]:
    path = directory / "results.parquet"
    if not path.exists():
        return {}
    rows = pl.read_parquet(path).select("arm", "lr").unique().iter_rows()
    found: dict[str, set[float]] = {}
    for arm, lr in rows:
        found.setdefault(arm, set()).add(lr)
    return found
