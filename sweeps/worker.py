"""One run, anywhere: a worker is told an order, holds no state, and answers how it ended.

What comes back is the same whoever works and however often: results are known by fingerprint, and
a run that was begun goes on from its checkpoint.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sweeps.atomic import write_text
from sweeps.experiment import Experiment, Result
from sweeps.progress_file import Reporter
from sweeps.provenance import identity
from sweeps.rundir import RunDirectory
from sweeps.state import read_state
from sweeps.tally import PAUSED
from sweeps.train import Interrupted, Watcher, pick_device, run_experiment
from sweeps.words import WordError

Points = Sequence[Sequence[Any]]  # of a curve: step, split, slice, metric, value
ERROR = "error.txt"  # in a run's folder: why it failed
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")  # in RuntimeErrors
LOOK_EVERY = 0.5  # seconds between looks at the stop file


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a worker is told. `stop` is a file: once it is there, save and stop.

    `until` is a step at which the run is looked at, and may be left: its checkpoint stays.
    """

    experiment: Experiment
    root: Path
    device: str
    splits: tuple[str, ...]
    any_code: bool = False
    until: int | None = None
    threads: int = 1
    stop: Path | None = None
    timeout: float | None = None  # seconds
    memory: float | None = None  # GB

    @property
    def run(self) -> RunDirectory:
        """Where it all is written."""
        return RunDirectory(self.root, self.experiment)

    @property
    def stopped(self) -> bool:
        """Whether the driver wants it to save and stop."""
        return self.stop is not None and self.stop.exists()


@dataclass(frozen=True)
class Outcome:
    """How a run ended: a status of the results table, `interrupted`, or `paused` where it was to.

    `curve` are its scores so far, of an order with `until`.
    """

    status: str
    result: Result | None = None
    reason: str = ""
    curve: Points = ()


class Pause:
    """A watcher that stops a run at the step where it is to be looked at."""

    def __init__(self, watcher: Watcher, until: int | None) -> None:
        self._watcher, self._until = watcher, until
        self.reached = False
        self.scored = watcher.scored

    def step(self, step: int) -> None:
        """After every step."""
        self.reached = self._until is not None and step >= self._until
        self._watcher.step(step)

    def stopping(self) -> bool:
        """Whether to save and stop."""
        return self.reached or self._watcher.stopping()


class TimeIsUp(Exception):
    """A run took longer than it may."""


def attempt(order: Order, watcher: Watcher) -> Outcome:
    """Run it here; what may happen to one run, and not to the next, becomes an outcome.

    Raises: what would happen to every run: OSError (a full disk), WordError, KeyboardInterrupt.
    """
    pause = Pause(watcher, order.until)
    try:
        with Reporter(order.run.path, pause) as reporter:
            result = run_experiment(
                order.experiment,
                root=order.root,
                device=order.device,
                splits=order.splits,
                watcher=reporter,
                any_code=order.any_code,
            )
    except Interrupted as error:
        if pause.reached:
            return _paused(order)
        return Outcome("interrupted", reason=str(error))
    except TimeIsUp:
        return Outcome("timeout", reason=f"longer than timeout={order.timeout:g} s")
    except (OSError, WordError):
        raise
    except Exception as error:
        return _failure(order, error)
    (order.run.path / ERROR).unlink(missing_ok=True)
    return Outcome(result.status, result, curve=_curve(order))


def finished(order: Order) -> Outcome | None:
    """The outcome where there is nothing left to do; None if the run has to be worked on."""
    found = order.run.result()
    if found is None or not RunDirectory.covers(found, order.splits):
        return _come_far(order)
    if not order.any_code and found.identity != identity(pick_device(order.device)):
        return None
    return Outcome(found.status, found, curve=_curve(order))


def _come_far(order: Order) -> Outcome | None:
    """The outcome where a checkpoint of this code is already at the step to be looked at."""
    if order.until is None:
        return None
    kept = read_state(order.run.checkpoints)
    here = identity(pick_device(order.device))
    if kept.get("identity") != here or kept.get("step", 0) < order.until:
        return None
    return _paused(order, kept["curve"])


def _paused(order: Order, curve: Points | None = None) -> Outcome:
    found = read_state(order.run.checkpoints)["curve"] if curve is None else curve
    where = f"at step {order.until} of {order.experiment.train.steps}"
    return Outcome(PAUSED, reason=where, curve=found)


def _curve(order: Order) -> Points:
    """The scores of a finished run, where they were asked for."""
    return () if order.until is None else order.run.curve()


def _failure(order: Order, error: Exception) -> Outcome:
    """Out of memory, or an error whose whole story goes into the run's folder."""
    text = " ".join(str(error).split())
    no_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(words in text for words in NO_MEMORY)
    )
    if no_memory:
        return Outcome("out-of-memory", reason=text[:200] or "out of memory")
    write_text(order.run.path / ERROR, traceback.format_exc())
    return Outcome("failed", reason=f"{type(error).__name__}: {text}"[:200])


def work(order: Order) -> Outcome:
    """The whole life of a run in a process that is not the driver's."""
    from sweeps.allocator import keep_large_blocks

    keep_large_blocks()
    torch.set_num_threads(order.threads)
    _limit_memory(order.memory)
    return attempt(order, Lookout(order))


def work_for_scheduler(order: Order) -> Outcome:
    """`work` where not only the driver ends workers, but also what placed them there.

    Asked by SIGTERM, the run is saved and the process leaves, as it would have without a handler:
    a scheduler that takes the place away, or a node that goes down, waits for just that.
    """
    before = signal.getsignal(signal.SIGTERM)
    take_signals()
    try:
        outcome = work(order)
    finally:
        signal.signal(signal.SIGTERM, before)
    if outcome.status == "interrupted" and not order.stopped:
        raise SystemExit(outcome.reason)
    return outcome


def _limit_memory(gigabytes: float | None) -> None:
    """Of private data: a CPU run that takes more gets a MemoryError, not the whole machine."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [hard] if gigabytes is None else [int(gigabytes * 1e9), hard]
    limit = min((each for each in limits if each != resource.RLIM_INFINITY), default=hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


class Lookout:
    """Watches for the stop file, for SIGTERM, and for a parent that is no more.

    The parent is who has the worker in its care: the driver, a Ray node, the control of a job.
    """

    def __init__(self, order: Order) -> None:
        self._order, self._parent = order, os.getppid()
        self._until = None if order.timeout is None else time.monotonic() + order.timeout
        self._next, self._asked = 0.0, False

    def step(self, step: int) -> None:
        """After every step: time is what may be up."""
        if self._until is not None and time.monotonic() > self._until:
            raise TimeIsUp

    def scored(self, step: int, scores: object) -> None:
        """Nothing."""

    def stopping(self) -> bool:
        """Whether to save and stop."""
        if not self._asked and time.monotonic() >= self._next:
            self._next = time.monotonic() + LOOK_EVERY
            self._asked = os.getppid() != self._parent or self._order.stopped
        return self._asked or _terminated()


_signals: list[int] = []


def _terminated() -> bool:
    return bool(_signals)


def take_signals() -> None:
    """In a worker process: ctrl-C is the driver's affair, SIGTERM asks to save and stop."""
    _signals.clear()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: _signals.append(number))
