"""The rows of a study's record: what one run, finished or missing, adds to the tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import torch

from sweeps.experiment import Score
from sweeps.plan import PlannedArm, StudyPlan
from sweeps.program import say
from sweeps.results import Rows
from sweeps.rundir import RunDirectory
from sweeps.study_files import UNREADABLE
from sweeps.trial import Tuned
from sweeps.words import WordError
from sweeps.worker import Outcome
from zoo.measure import summary

EVERY = 1.0  # seconds between two writings of a table
SHARE = 0.05  # of the time is what writing may take
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
    scores = [*result.scores, *kernel_scores(RunDirectory(root, experiment))]
    return [{**common, **score._asdict()} for score in scores]


class Table:
    """A table of the record: replaced when a run has ended, but at most once a second.

    A long one is replaced less often. Before the end it is never replaced by a shorter one: a kill
    may come between.
    """

    def __init__(self, path: Path, write: Callable[[Path, Rows], None]) -> None:
        self._path, self._write = path, write
        self._least = _height(path)
        self._waiting: Callable[[], Sequence[dict[str, Any]]] | None = None
        self._due = 0.0

    def put(self, rows: Callable[[], Sequence[dict[str, Any]]], *, last: bool) -> None:
        """There are new rows."""
        self._waiting = rows
        if last or time.monotonic() >= self._due:
            self.flush(last=last)

    def flush(self, *, last: bool = False) -> None:
        """Write what is waiting."""
        began = time.monotonic()
        rows = [] if self._waiting is None else self._waiting()
        if rows and (last or len(rows) >= self._least):
            self._write(self._path, rows)
            self._least = len(rows)
        over = time.monotonic()
        self._waiting, self._due = None, over + max(EVERY, (over - began) / SHARE)


def _height(path: Path) -> int:
    """Rows of a table; none where it cannot be read: it is written again."""
    try:
        return pl.read_parquet(path).height
    except UNREADABLE:
        return 0


def kernel_scores(run: RunDirectory) -> list[Score]:
    """Measured properties of a run's kernels: the median over channels, then over kernels."""
    try:
        kernels = {name: torch.from_numpy(k) for name, k in run.kernels().items()}
    except WordError as error:
        say(str(error))  # its scores count without
        return []
    found = []
    for when in ("initial", "final"):
        measured = [summary(k) for name, k in kernels.items() if name.startswith(f"{when}/")]
        for metric in MEASURES if measured else ():
            finite = [m[metric] for m in measured if np.isfinite(m[metric])]
            found.append(Score("kernel", when, metric, median(finite) if finite else None))
    return found
