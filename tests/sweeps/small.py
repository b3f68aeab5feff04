"""A small experiment, and ways to look at its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tasks
from sweeps.experiment import Experiment, TrainSpec
from sweeps.rundir import RunDirectory
from sweeps.search import Search
from sweeps.train import NoWatcher
from sweeps.trial import Tuned
from zoo.presets import preset
from zoo.spec import replace_all

TINY = (  # words of a program
    *("width=8", "depth=1", "steps=6", "train.eval_every=3", "train.num_eval=40"),
    *("batch_size=4", "task.length=16", "seeds=2"),
)
SHORT = TrainSpec(steps=12, batch_size=8, eval_every=4, num_eval=32, lr=1e-2, checkpoint_every=1e9)


def experiment(*, seed: int = 0, base: str = "all-on", **fields: Any) -> Experiment:
    model = replace_all(replace_all(preset(base), "width", 8), "depth", 1)
    task = tasks.make_task("selective-copying", length=16, num_tokens=4)
    made = Experiment(task=task, model=model, train=SHORT, seed=seed)
    return made.with_train(**fields) if fields else made


def tune(made: Experiment, arm: str, trials: int, storage: Path, run: Any, **more: Any) -> Tuned:
    """A search whose trials are run one after the other, each as soon as it is proposed."""
    search = Search(made, arm, trials, storage, **more)
    while wave := search.ask():
        for asked in wave:
            search.tell(asked, run(asked.experiment))
    return search.chosen


class StopAt(NoWatcher):
    """Asks to stop after one step number."""

    def __init__(self, *steps: int) -> None:
        self.steps, self.now = set(steps), 0

    def step(self, step: int) -> None:
        self.now = step

    def stopping(self) -> bool:
        return self.now in self.steps


def curve(root, made):
    import polars as pl

    return pl.read_parquet(RunDirectory(root, made).path / "curve.parquet")
