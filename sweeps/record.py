"""The rows of a study's record: what one run, finished or missing, adds to the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import torch

from sweeps.experiment import Score
from sweeps.plan import PlannedArm, StudyPlan
from sweeps.rundir import RunDirectory
from sweeps.trial import Tuned
from sweeps.worker import Outcome
from zoo.measure import summary

MEASURES = ("effective_length", "roughness", "decay_exponent", "decay_rate")


def result_rows(
    plan: StudyPlan, arm: PlannedArm, tuned: Tuned, seed: int, root: Path, outcome: Outcome
) -> list[dict[str, Any]]:
    """The rows of results.parquet for one run; a run that is missing has one, without value."""
    experiment, result = tuned.experiment.with_seed(seed), outcome.result
    common = {
        "study": plan.name,
        "base": plan.base,
        "arm": arm.name,
        "changed": "; ".join(arm.changed),
        "settings": " ".join(plan.settings),
        "trial": tuned.trial,
        "lr": experiment.train.lr,
        "seed": seed,
        "task": plan.task,
        "fingerprint": experiment.fingerprint,
        "parameters": arm.parameters,
        "state_bytes": arm.state_bytes,
        "steps": experiment.train.steps if result is None else result.steps,
        "seconds": None if result is None else result.seconds,
        "device": None if result is None else result.identity["device"],
        "status": outcome.status,
    }
    if result is None:
        return [{**common, **Score(**{**plan.primary, "value": None})._asdict()}]
    common |= {"parameters": result.parameters, "state_bytes": result.state_bytes}
    scores = [*result.scores, *kernel_scores(RunDirectory(root, experiment).path)]
    return [{**common, **score._asdict()} for score in scores]


def replace_table(
    path: Path,
    rows: Sequence[dict[str, Any]],
    write: Callable[[Path, Sequence[dict[str, Any]]], None],
    *,
    last: bool,
) -> None:
    """Replace a table, but never by a shorter one before the end: a kill may come between."""
    if last or not path.exists() or len(rows) >= pl.read_parquet(path).height:
        write(path, rows)


def kernel_scores(run: Path) -> list[Score]:
    """Measured properties of a run's kernels: the median over channels, then over kernels."""
    path = run / "kernels.npz"
    if not path.exists():
        return []
    with np.load(path, allow_pickle=False) as arrays:
        kernels = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    found = []
    for when in ("initial", "final"):
        measured = [summary(k) for name, k in kernels.items() if name.startswith(f"{when}/")]
        for metric in MEASURES if measured else ():
            finite = [m[metric] for m in measured if np.isfinite(m[metric])]
            found.append(Score("kernel", when, metric, median(finite) if finite else None))
    return found
