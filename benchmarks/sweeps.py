"""What a study costs besides training: overhead of a run, two workers against one, resuming.

    python benchmarks/sweeps.py

Times are differences between a longer and a shorter study of the same runs, so that what a program
pays once (imports, opening MLflow's database, starting workers) is not in them. Every result is
first checked to be the same on every engine. MLflow is the default, sqlite beside the runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("MLFLOW_TRACKING_URI", None)

import torch

from sweeps.configuration import make_plan
from sweeps.experiment import Experiment
from sweeps.launch import launch
from sweeps.rundir import RunDirectory
from sweeps.study import Done
from sweeps.sync import main as sync
from sweeps.track import Tracker
from sweeps.train import NoWatcher, run_experiment

SMALL = ["base=hyena", "task=mqar", "width=16", "depth=1", "train.num_eval=64"]
LONG = ["base=hyena", "task=mqar", "width=64", "train.num_eval=64", "steps=300"]
REPEATS = 3
RUNS = 1000  # of the study that is resumed
ENGINES = {"serial": ["jobs=1"], "processes": ["engine=processes", "jobs=1"]}


def study(out: Path, seeds: int, *words: str) -> tuple[float, Done]:
    """Seconds that a study takes, all in all."""
    plan, options = make_plan([*words, f"seeds={seeds}", f"out={out}"], "benchmark")
    began = time.perf_counter()
    with quiet():
        done = launch(plan, options)
    return time.perf_counter() - began, done


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the progress of every run."""
    with (
        Path(os.devnull).open("w") as nothing,
        contextlib.redirect_stderr(nothing),
        contextlib.redirect_stdout(nothing),
    ):
        yield


def results(out: Path) -> dict[str, dict]:
    """By fingerprint."""
    found = [json.loads(path.read_text()) for path in out.glob("runs/*/result.json")]
    return {each["fingerprint"]: each for each in found}


def marginal(few: int, many: int, *words: str) -> tuple[float, float, dict[str, str]]:
    """(seconds a run, seconds of it in training, weights by fingerprint)."""
    with tempfile.TemporaryDirectory() as folder:
        short, _ = study(Path(folder, "few"), few, *words)
        long, _ = study(Path(folder, "many"), many, *words)
        found = results(Path(folder, "many"))
    training = statistics.mean(each["seconds"] for each in found.values())
    weights = {name: each["weights"] for name, each in found.items()}
    return (long - short) / (many - few), training, weights


def overhead() -> None:
    """Of a run of 20 steps, in milliseconds."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        study(Path(folder), 1, *SMALL, "steps=2")  # what this process imports, once
    found: dict[str, list[float]] = {name: [] for name in ENGINES}
    same: dict[str, str] | None = None
    for _ in range(REPEATS):
        for name, words in ENGINES.items():
            each, training, weights = marginal(4, 24, *SMALL, "steps=20", *words)
            found[name].append(1e3 * (each - training))
            assert same in (None, weights), "engines differ"
            same = weights
    print("| engine | overhead of a run, ms | goal |")
    print("|---|---:|---:|")
    for name, goal in (("serial", 100), ("processes", 300)):
        print(f"| {name} | {statistics.median(found[name]):.0f} | {goal} |", flush=True)


def throughput() -> None:
    """Runs of some seconds, one thread each: two workers against one."""
    ratios, same = [], None
    for _ in range(REPEATS):
        took = []
        for jobs in (1, 2):
            each, _, weights = marginal(2, 6, *LONG, "engine=processes", f"jobs={jobs}")
            took.append(each)
            assert same in (None, weights), "jobs differ"
            same = weights
        ratios.append(took[0] / took[1])
    print()
    print(f"Two workers do {statistics.median(ratios):.2f} times as many runs as one (goal 1.6).")


def resuming() -> None:
    """The command of a study whose 1,000 runs are finished, typed again."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        out = Path(folder)
        study(out, 1, *SMALL, "steps=2")
        plan, _ = make_plan([*SMALL, "steps=2", "seeds=1", f"out={out}"], "benchmark")
        copy_runs(out, plan.arms[0].experiment)
        study(out, RUNS, *SMALL, "steps=2")  # MLflow hears of the copies
        with quiet():
            sync([str(out)])  # and of those that it had no time for
        with watching() as seen:
            whole, _ = study(out, RUNS, *SMALL, "steps=2")
    print()
    print(
        f"{RUNS:,} finished runs are found finished in {seen[0]:.2f} s (goal 1 s); the whole "
        f"command, with its tables and MLflow, takes {whole:.1f} s."
    )


def copy_runs(out: Path, experiment: Experiment) -> None:
    """The run of seed 0, as that of every other seed."""
    origin = RunDirectory(out, experiment).path
    result = json.loads((origin / "result.json").read_text())
    for seed in range(1, RUNS):
        other = experiment.with_seed(seed)
        target = RunDirectory(out, other).path
        shutil.copytree(origin, target, ignore=shutil.ignore_patterns("checkpoint"))
        (target / "experiment.json").write_text(json.dumps(other.to_dict()))
        named = {**result, "fingerprint": other.fingerprint}
        (target / "result.json").write_text(json.dumps(named))


@contextlib.contextmanager
def watching() -> Iterator[list[float]]:
    """How long the driver looks for finished runs, all together."""
    from sweeps import crew

    plain, seen = crew.finished, [0.0]

    def finished(*words):
        began = time.perf_counter()
        found = plain(*words)
        seen[0] += time.perf_counter() - began
        return found

    crew.finished = finished
    try:
        yield seen
    finally:
        crew.finished = plain


def tracking() -> None:
    """A training loop that says everything to MLflow, against one that says nothing."""
    plan, _ = make_plan([*LONG, "seeds=1"], "benchmark")
    experiment = plan.arms[0].experiment
    torch.set_num_threads(1)  # as a study of models of this size does
    ratios = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, quiet():
        with Tracker(folder, "first") as tracker:
            tracker.start_study({}, {})  # makes the database, once for a folder
        for number in range(2 * REPEATS):
            silent = _training(experiment.with_seed(number), Path(folder, "silent"), tracked=False)
            tracked = _training(experiment.with_seed(number), Path(folder), tracked=True)
            ratios.append(tracked / silent)
    print()
    print(
        f"MLflow makes the training loop {statistics.median(ratios):.3f} times as long (goal 1.01)."
    )


def _training(experiment: Experiment, root: Path, *, tracked: bool) -> float:
    if not tracked:
        return run_experiment(experiment, root=root).seconds
    with Tracker(root, "study") as tracker:
        tracker.start_study({}, {})
        run = tracker.start_run(
            "run",
            experiment.fingerprint,
            identity={"code": "0"},
            steps=experiment.train.steps,
            config=experiment.to_dict(),
        )
        watcher = NoWatcher()
        watcher.scored = lambda step, scores: [
            run.metric(step, f"{s.split}/{s.metric}", s.value) for s in scores
        ]
        return run_experiment(experiment, root=root, watcher=watcher).seconds


if __name__ == "__main__":
    overhead()
    throughput()
    resuming()
    tracking()
