"""A study: tune every arm, train every arm with every seed, keep the record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import torch

from sweeps.atomic import inside, write_json
from sweeps.experiment import Experiment, Result, Score
from sweeps.plan import PlannedArm, StudyPlan
from sweeps.progress import Display
from sweeps.provenance import code_hash, identity, provenance
from sweeps.results import write_results, write_trials
from sweeps.rundir import RunDirectory
from sweeps.search import Tuned, first_trials, trial_rows, tune
from sweeps.track import TrackedRun, Tracker
from sweeps.train import Interrupted, pick_device, run_experiment
from zoo.measure import summary

MEASURES = ("effective_length", "roughness", "decay_exponent", "decay_rate")


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


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where and how a study runs; nothing here changes a number."""

    root: Path
    device: str = "auto"
    any_code: bool = False
    stopping: Callable[[], bool] = lambda: False


def run_study(plan: StudyPlan, around: Surroundings) -> Path:
    """Run what is not finished yet, and write the record after every run.

    Returns: the study's folder.
    Raises: Interrupted when a stop was asked for; the same call goes on from there.
    """
    directory = inside(around.root, plan.name)
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "plan.json", plan.to_dict())
    origin = provenance(pick_device(around.device))
    if not (directory / "provenance.json").exists():
        write_json(directory / "provenance.json", origin)
    steps = plan.arms[0].experiment.train.steps
    runs = len(plan.arms) * (len(plan.seeds) * steps + plan.trials * (steps // 2))
    if plan.trials:
        import_module("optuna")  # here, not while the tracker's thread imports what both need
    with (
        Tracker(around.root, plan.name) as tracker,
        Display(runs, around.stopping) as display,
    ):
        tracker.start_study(
            tags={"task": plan.task, "base": plan.base, "command": plan.command},
            params={"arms": len(plan.arms), "seeds": len(plan.seeds), "trials": plan.trials},
        )
        study = _Study(plan, directory, around, display, tracker)
        tuned = study.tune()
        study.train(tuned)
        if display.trained:  # not where everything was only read
            write_json(directory / "provenance.json", origin)
    return directory


class _Study:
    """The running of one plan."""

    def __init__(
        self,
        plan: StudyPlan,
        directory: Path,
        around: Surroundings,
        display: Display,
        tracker: Tracker,
    ) -> None:
        self.plan, self.directory, self.around = plan, directory, around
        self.display, self.tracker = display, tracker

    def tune(self) -> dict[str, Tuned]:
        """Every arm, the same budget; the record after every arm."""
        found: dict[str, Tuned] = {}
        rows: list[dict[str, Any]] = []
        for arm in self.plan.arms:

            def run(experiment: Experiment, name: str = arm.name) -> Result | None:
                label = f"tuning {name} lr={experiment.train.lr:g}"
                return self._run(experiment, label, name, ("validation",))

            storage = self.directory / "study.db"
            found[arm.name] = tune(
                arm.experiment, arm.name, self.plan.trials, storage, run, stamp=self._stamp()
            )
            rows += trial_rows(arm.name, found[arm.name].trials)
            self._record("trials.parquet", rows, write_trials, last=arm is self.plan.arms[-1])
        return found

    def _stamp(self) -> str:
        text = json.dumps(identity(pick_device(self.around.device)), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _record(
        self,
        name: str,
        rows: list[dict[str, Any]],
        write: Callable[[Path, list[dict[str, Any]]], None],
        *,
        last: bool,
    ) -> None:
        """Replace a table, but never by a shorter one before the end: a kill may come between."""
        path = self.directory / name
        if last or not path.exists() or len(rows) >= pl.read_parquet(path).height:
            write(path, rows)

    def train(self, tuned: dict[str, Tuned]) -> None:
        """Seed by seed, so that an unfinished study is paired as far as it goes."""
        rows: list[dict[str, Any]] = []
        for seed in self.plan.seeds:
            for arm in self.plan.arms:
                chosen = tuned[arm.name]
                experiment = arm.experiment.with_train(lr=chosen.lr).with_seed(seed)
                label = f"{arm.name} seed {seed}"
                result = self._run(experiment, label, arm.name, ("validation", "test"))
                rows += self._rows(arm, chosen, experiment, result)
                last = (seed, arm) == (self.plan.seeds[-1], self.plan.arms[-1])
                self._record("results.parquet", rows, write_results, last=last)

    def _run(
        self, experiment: Experiment, label: str, arm: str, splits: tuple[str, ...]
    ) -> Result | None:
        """One run, tracked; None if memory ran out."""
        self.display.start(label, experiment)
        tracked = self.tracker.start_run(
            label,
            experiment.fingerprint,
            code=code_hash(),
            steps=experiment.train.steps,
            config=experiment.to_dict(),
            tags={"arm": arm, "seed": experiment.seed, "splits": "+".join(splits)},
        )
        try:
            result = run_experiment(
                experiment,
                root=self.around.root,
                device=self.around.device,
                splits=splits,
                watcher=_Watcher(self.display, tracked),
                any_code=self.around.any_code,
            )
        except (MemoryError, torch.OutOfMemoryError) as error:
            tracked.finish("out-of-memory")
            self.display.finish(f"out of memory ({error})")
            return None
        except (Interrupted, KeyboardInterrupt):
            tracked.finish("killed")
            raise
        except BaseException:
            tracked.finish("failed")
            raise
        tracked.finish(result.status, _metrics(result))
        self.display.finish(_line(result))
        return result

    def _rows(
        self, arm: PlannedArm, chosen: Tuned, experiment: Experiment, result: Result | None
    ) -> list[dict[str, Any]]:
        """The rows of results.parquet for one run; a run that is missing has one, without value."""
        plan = self.plan
        common = {
            "study": plan.name,
            "base": plan.base,
            "arm": arm.name,
            "changed": "; ".join(arm.changed),
            "settings": " ".join(plan.settings),
            "trial": chosen.trial,
            "lr": chosen.lr,
            "seed": experiment.seed,
            "task": plan.task,
            "fingerprint": experiment.fingerprint,
            "parameters": arm.parameters,
            "state_bytes": arm.state_bytes,
            "steps": experiment.train.steps if result is None else result.steps,
            "seconds": None if result is None else result.seconds,
            "device": self.around.device if result is None else result.identity["device"],
            "status": "out-of-memory" if result is None else result.status,
        }
        if result is None:
            return [{**common, **Score(**{**plan.primary, "value": None})._asdict()}]
        scores = [*result.scores, *kernel_scores(RunDirectory(self.around.root, experiment).path)]
        return [{**common, **score._asdict()} for score in scores]


class _Watcher:
    """Tells the display and the tracker, and passes on the wish to stop."""

    def __init__(self, display: Display, tracked: TrackedRun) -> None:
        self._display, self._tracked = display, tracked
        self.step, self.stopping = display.step, display.stopping

    def scored(self, step: int, scores: Sequence[Score]) -> None:
        """After every evaluation."""
        self._display.scored(step, scores)
        for score in scores:
            if score.value is not None:
                self._tracked.metric(step, f"{score.split}/{score.metric}", score.value)


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


def _metrics(result: Result) -> dict[str, float]:
    return {
        f"{s.split}/{s.metric}": s.value
        for s in result.scores
        if s.slice == "all" and s.value is not None
    }


def _line(result: Result) -> str:
    """`test accuracy 0.912 in 8 s`."""
    for split in ("test", "validation"):
        for metric in ("accuracy", "loss"):
            value = result.score(split, metric)
            if value is not None:
                status = "" if result.status == "finished" else f" ({result.status})"
                return f"{split} {metric} {value:.3f}{status} in {result.seconds:.1f} s"
    return result.status
