"""Worker processes on this machine: pebble's pool, started by spawn, kept warm between runs."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool

from pebble import ProcessExpired, ProcessPool

from sweeps.engine import Engine, Size, WorkerLost
from sweeps.train import Watcher
from sweeps.worker import Order, Outcome, take_signals, work

PATIENCE = 20.0  # seconds that workers have to end by themselves


class Processes:
    """`jobs` processes."""

    def __init__(self, size: Size) -> None:
        self.slots = size.jobs
        # Before a worker imports torch: its pool of threads is made once.
        os.environ.setdefault("OMP_NUM_THREADS", str(size.threads))
        self._pool = self._new()

    def _new(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self.slots,
            context=multiprocessing.get_context("spawn"),  # pyright: ignore[reportArgumentType]
            initializer=take_signals,
        )

    def submit(self, order: Order, watcher: Watcher) -> Future[Outcome]:
        """Begin as soon as a worker is free; what hangs past its time is killed."""
        promised: Future[Outcome] = Future()
        if not self._pool.active:  # all workers died at once, one of them between two runs
            self._pool.join()
            self._pool = self._new()
        inner = self._pool.schedule(work, args=[order], timeout=order.timeout)
        inner.add_done_callback(lambda done: _settle(promised, done, order))
        return promised

    def close(self) -> None:
        """End all workers; one that is still starting is let start first, or it complains."""
        self._pool.close()
        try:
            self._pool.join(timeout=PATIENCE)
        except FutureTimeout:
            self._pool.stop()
            self._pool.join()


def _settle(promised: Future[Outcome], done: Future[Outcome], order: Order) -> None:
    """Pebble's ends, in our words."""
    error = done.exception()
    if error is None:
        promised.set_result(done.result())
    elif isinstance(error, FutureTimeout):
        reason = f"longer than timeout={order.timeout:g} s"
        promised.set_result(Outcome("timeout", reason=reason))
    elif isinstance(error, ProcessExpired):
        promised.set_exception(WorkerLost(f"its worker ended with exit code {error.exitcode}"))
    elif isinstance(error, BrokenProcessPool):
        promised.set_exception(WorkerLost("all workers ended"))
    else:
        promised.set_exception(error)


def make(size: Size) -> Engine:
    """The engine."""
    return Processes(size)
