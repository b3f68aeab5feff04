"""How long the report of a large study takes: 10,000 runs with 20 metrics each, by default.

    python benchmarks/reports.py [runs=10000] [arms=50] [metrics=20] [profile=yes]

The study is made of random numbers, as a run would leave it on disk. Read, judged, described and
written are timed apart; the bound is on tables and page together, figures drawn.
"""

from __future__ import annotations

import cProfile
import hashlib
import json
import pstats
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reports.build import make_report
from reports.writing import contents, write_files
from sweeps.results import SCHEMA, read_study, write_curve, write_results

BOUND = 10.0  # seconds
STEPS = range(100, 1001, 100)


def make(root: Path, *, runs: int, arms: int, metrics: int) -> Path:
    """A study below root, and its runs."""
    rng = np.random.default_rng(0)
    names = ["baseline", *(f"decay.fast={i}" for i in range(1, arms))]
    seeds = range(runs // arms)
    directory = root / "large"
    directory.mkdir(parents=True)
    values = rng.uniform(0.2, 0.9, (arms, len(seeds)))
    prints = [[_print(name, seed) for seed in seeds] for name in names]
    _write_plan(directory / "plan.json", names, list(seeds))
    _write_rows(directory / "results.parquet", names, values, prints, metrics)
    curve = [
        {"step": step, "split": "validation", "slice": "all", "metric": "accuracy", "value": 0.5}
        for step in STEPS
    ]
    first: Path | None = None
    for row in prints:
        for name in row:
            folder = root / "runs" / name
            folder.mkdir(parents=True)
            result = {"status": "finished", "still_improving": False, "resumed_from": []}
            (folder / "result.json").write_text(json.dumps(result))
            if first is None:
                write_curve(folder / "curve.parquet", curve)
                first = folder / "curve.parquet"
            else:
                (folder / "curve.parquet").write_bytes(first.read_bytes())
    return directory


def _print(name: str, seed: int) -> str:
    return hashlib.sha256(f"{name} {seed}".encode()).hexdigest()[:16]


def _write_plan(path: Path, names: list[str], seeds: list[int]) -> None:
    train = {"lr": 0.003, "batch_size": 32, "steps": 1000, "weight_decay": 0.01}
    experiment = {"task": {"kind": "mqar"}, "model": {"depth": 2}, "train": train}
    arms = [
        {"name": name, "changed": [], "parameters": 1000, "state_bytes": 64}
        | {"treatment_strength": None, "experiment": experiment}
        for name in names
    ]
    plan = {
        "schema": 1, "study": "large", "command": "benchmarks/reports.py", "base": "all-on",
        "task": "mqar", "primary": {"metric": "accuracy", "split": "test", "slice": "all"},
        "chance": 0.1, "seeds": seeds, "trials": 0, "notes": [], "arms": arms,
    }  # fmt: skip
    path.write_text(json.dumps(plan))


def _write_rows(
    path: Path, names: list[str], values: np.ndarray, prints: list[list[str]], metrics: int
) -> None:
    num_arms, num_seeds = values.shape
    measured = ["accuracy", *(f"metric_{i}" for i in range(1, metrics))]
    runs = pl.DataFrame(
        {
            "arm": np.repeat(names, num_seeds),
            "seed": np.tile(np.arange(num_seeds), num_arms),
            "value": values.ravel(),
            "fingerprint": [name for row in prints for name in row],
        }
    )
    fixed = {
        "study": "large", "base": "all-on", "changed": "", "settings": "", "trial": None,
        "lr": 0.003, "task": "mqar", "split": "test", "slice": "all", "status": "finished",
        "parameters": 1000, "state_bytes": 64, "steps": 1000, "seconds": 4.0, "device": "cpu",
    }  # fmt: skip
    rows = runs.join(pl.DataFrame({"metric": measured}), how="cross").with_columns(
        pl.lit(value).alias(name) for name, value in fixed.items()
    )
    write_results(path, rows.select(*SCHEMA))


@contextmanager
def timed(what: str, times: dict[str, float]) -> Iterator[None]:
    """Seconds of what happens inside: the clock's or the processor's, whichever is fewer."""
    start, busy = time.perf_counter(), time.process_time()
    yield
    clock, used = time.perf_counter() - start, time.process_time() - busy
    times[what] = min(clock, used)  # a machine that others use too takes longer
    print(f"{what:<24} {clock:7.2f} s, {used:7.2f} s of a processor", flush=True)


def main(words: list[str]) -> int:
    """0 if tables and page were there in time."""
    given = dict(word.split("=", 1) for word in words)
    sizes = {name: int(given.get(name, n)) for name, n in
             (("runs", 10_000), ("arms", 50), ("metrics", 20))}  # fmt: skip
    times: dict[str, float] = {}
    profiler = cProfile.Profile() if given.get("profile") == "yes" else None
    with tempfile.TemporaryDirectory() as folder:
        directory = make(Path(folder), **sizes)
        if profiler:
            profiler.enable()
        with timed("read", times):
            study = read_study(directory)
        with timed("judge, describe, draw", times):
            report = make_report(study)
        with timed("tables and page", times):
            files = contents(report, ("markdown", "html", "latex", "csv"))
        with timed("write", times):
            write_files(directory, files)
        if profiler:
            profiler.disable()
        size = len(files["report.html"]) / 2**20
    total = sum(times.values())
    print(f"{'total':<24} {total:7.2f} s  (bound {BOUND:g} s)")
    print(f"report.html {size:.1f} MiB, {sizes['runs']:,} runs x {sizes['metrics']} metrics in "
          f"{sizes['arms']} arms")  # fmt: skip
    if profiler:
        pstats.Stats(profiler).sort_stats("cumtime").print_stats(60)
    return int(total > BOUND)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
