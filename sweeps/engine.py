"""Where runs are worked on. An engine takes an order and promises an outcome; it knows no study.

    serial      here, one after the other
    processes   pebble: a dead, stuck or greedy worker costs one run, not the pool
    ray         a Ray cluster, this machine if there is none               (extra `ray`)
    slurm       submitit: Slurm, this machine if there is none             (extra `slurm`)

The same orders give the same results on each, bit for bit on CPUs at an equal number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from sweeps.train import Watcher
from sweeps.words import WordError
from sweeps.worker import Order, Outcome, attempt

MODULES: Mapping[str, str] = MappingProxyType(
    {
        "processes": "sweeps.engine_processes",
        "ray": "sweeps.engine_ray",
        "slurm": "sweeps.engine_slurm",
    }
)
NAMES = ("serial", *MODULES)
CODE = Path(__file__).resolve().parents[1]  # where the packages are
PASSED_ON = ("SEQZOO_", "OMP_", "MKL_", "CUBLAS_")  # environment that decides bits, or caches


class WorkerLost(Exception):
    """A worker died with its run: the run can be begun again, from its checkpoint."""


class Engine(Protocol):
    """A `concurrent.futures` executor of orders.

    A future holds an Outcome, or raises WorkerLost, or what ends the whole study.
    """

    slots: int  # orders that it works on at once

    def submit(self, order: Order, watcher: Watcher) -> Future[Outcome]:
        """Begin. Only an engine that works here tells the watcher; others leave a file to read."""
        ...

    def close(self) -> None:
        """End the workers; those that still work on something are ended too."""


@dataclass(frozen=True)
class Size:
    """How many runs at once, on what, and where they write."""

    jobs: int = 1
    device: str = "cpu"
    threads: int = 1
    timeout: float | None = None  # seconds of a run
    memory: float | None = None  # GB of a run
    root: Path = Path("out")


class Serial:
    """In this process, and done when `submit` returns."""

    slots = 1

    def submit(self, order: Order, watcher: Watcher) -> Future[Outcome]:
        """Run it now."""
        future: Future[Outcome] = Future()
        try:
            future.set_result(attempt(order, watcher))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Nothing to end."""


def make_engine(name: str, size: Size) -> Engine:
    """An engine by name.

    Raises: WordError where what it needs is not installed.
    """
    if name == "serial":
        return Serial()
    try:
        make: Callable[[Size], Engine] = import_module(MODULES[name]).make
        return make(size)
    except ModuleNotFoundError as error:
        raise WordError(
            f"engine={name}: {error.name} is not installed; pip install 'seqzoo[{name}]'"
        ) from None


def environment(threads: int) -> dict[str, str]:
    """Variables for workers that do not inherit the driver's: the same code, the same bits."""
    same = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    path = os.pathsep.join(filter(None, (str(CODE), os.environ.get("PYTHONPATH"))))
    return {"OMP_NUM_THREADS": str(threads), **same, "PYTHONPATH": path}
