"""Results never outlive the code that made them: which finished runs are of other code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sweeps.atomic import inside
from sweeps.experiment import Experiment
from sweeps.plan import StudyPlan
from sweeps.provenance import identity
from sweeps.rundir import RunDirectory
from sweeps.search import as_trial, first_trials, space_of, with_parameters
from sweeps.study_files import UNREADABLE
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
    """Every run that the plan may read: first trials, those of an earlier pass, and their seeds."""
    known = []
    tried = _trials_of_record(inside(root, plan.name))
    for arm in plan.arms:
        given, space = arm.experiment, space_of(arm.experiment, plan.method)
        found = [*first_trials(given, space, plan.trials), *tried.get(arm.name, ())]
        made = [with_parameters(given, space, each) for each in found if set(each) == set(space)]
        seeds = range(plan.method.seeds)
        known += [as_trial(each, seed) for each in made for seed in seeds]
        known += [each.with_seed(seed) for each in (given, *made) for seed in plan.seeds]
    return list({each.fingerprint: each for each in known}.values())


def _trials_of_record(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """Parameters of trials that were trained, by arm; a table that cannot be read has none."""
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        rows = pl.read_parquet(directory / "trials.parquet").filter(pl.col("state") != "infeasible")
        for arm, parameters in rows.select("arm", "parameters").unique().iter_rows():
            found.setdefault(arm, []).append(json.loads(parameters))
    except (*UNREADABLE, ValueError, TypeError):
        return {}
    return found
