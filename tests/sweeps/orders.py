"""Orders of small runs, and a crew that works them off while a test interferes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sweeps.crew import Crew
from sweeps.engine import Engine
from sweeps.experiment import Result
from sweeps.train import NoWatcher
from sweeps.whereabouts import whereabouts
from sweeps.worker import Order, Outcome
from tests.sweeps.small import experiment

SPLITS = ("validation", "test")
PACKAGES = {"ray": "ray", "slurm": "submitit"}


def require(name: str) -> None:
    """Skip where the extra is not installed; SEQZOO_REQUIRE may name it."""
    if name in PACKAGES:
        reason = f"{name}: {PACKAGES[name]} is not installed"
        pytest.importorskip(PACKAGES[name], reason=reason)


def order(root: Path, seed: int = 0, **fields: Any) -> Order:
    return Order(experiment=experiment(seed=seed, **fields), root=root, device="cpu", splits=SPLITS)


def long(root: Path, seed: int = 0) -> Order:
    """Some seconds, and every step is saved."""
    return order(root, seed, steps=120, checkpoint_every=0, eval_every=60)


@contextmanager
def one_thread() -> Iterator[None]:
    """As the workers have it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Wanted:
    """A `sweeps.crew.Request` that remembers."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.begun = 0
        self.outcomes: list[Outcome] = []

    def begin(self) -> NoWatcher:
        self.begun += 1
        return NoWatcher()

    def end(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Kept:
    """An engine that outlives its crew."""

    def __init__(self, engine: Engine) -> None:
        self.slots, self.submit = engine.slots, engine.submit

    def close(self) -> None:
        pass


def work_off(
    engine: Engine, orders: Sequence[Order], folder: Path, stopping: Callable[[], bool] = bool
) -> list[Wanted]:
    """All of them, by a crew on a CPU."""
    wanted = [Wanted(each) for each in orders]
    left = iter(wanted)
    with Crew(Kept(engine), ("cpu",) * engine.slots, folder, stopping) as crew:
        crew.work_off(lambda: next(left, None))
    return wanted


def wait_for_worker(order: Order, step: int = 1, seconds: float = 180) -> int:
    """The process that works on the run, once it has come to that step."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = whereabouts(order.run.path)
        if found.pid is not None and found.step >= step:
            return found.pid
        time.sleep(0.02)
    raise AssertionError(f"nobody works on {order.run.path}")


def ancestors(process: int) -> list[int]:
    """The process, its parent, and so on."""
    found = [process]
    while found[-1] > 1:
        try:
            text = Path(f"/proc/{found[-1]}/stat").read_text()
        except OSError:
            break
        found.append(int(text.rpartition(")")[2].split()[1]))
    return found


def descendants(process: int) -> list[int]:
    """All processes below one, whoever started them."""
    every = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return [each for each in every if each != process and process in ancestors(each)]


def as_if_at_once(found: Result, whole: Result) -> bool:
    """Whether two results differ in nothing but when they were begun."""
    apart = {"seconds": 0.0, "resumed_from": ()}
    return replace(found, **apart) == replace(whole, **apart)
