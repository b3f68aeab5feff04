"""Slurm through submitit: a run is a job. Where there is no `sbatch`, jobs of this machine.

What a site asks for, Slurm's own variables say: SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_QOS.
Jobs are described, and leave their logs, in `out/.slurm`. They outlive a killed driver: the same
command waits for them, and takes their results.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

from sweeps.engine import Engine, Size, WorkerLost, environment
from sweeps.program import say
from sweeps.train import Watcher, pick_device
from sweeps.worker import Order, Outcome, TimeIsUp, work_for_scheduler

FOLDER = ".slurm"  # below the output folder
LOOK_EVERY = 0.5  # seconds between looks at a job
DAY = 24 * 3600.0  # seconds of a job without timeout=; one that needs more goes on in a next job
TIMES = 100  # that one goes on
WARNING = 90  # seconds between a job's warning and its end; 30 on this machine, by submitit
LATE = 60.0  # seconds that a run may be late, before its job is warned
PATIENCE = {"slurm": 15.0, "local": 0.0}  # seconds for a file to be seen on another machine
GRACE = 10.0  # seconds to save, before a job of this machine is killed
FILES = ("submitted_pickle", "result_pickle", "submission_file", "stdout", "stderr")


class Job:
    """What submitit runs in a job.

    Args:
        gpus: CUDA_VISIBLE_DEVICES as the driver has it, for submitit sets it on this machine, and
            "" for none; None: Slurm's.
    """

    def __init__(self, gpus: str | None) -> None:
        self.gpus, self._until = gpus, math.inf

    def __call__(self, order: Order) -> Outcome | Exception:
        """Run it. An exception is an answer: submitit would tell it as text only."""
        if self.gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus
            if not self.gpus:
                del os.environ["CUDA_VISIBLE_DEVICES"]
        if order.timeout is not None:
            self._until = time.monotonic() + order.timeout
        try:
            return work_for_scheduler(order)
        except Exception as error:
            return error

    def checkpoint(self, order: Order) -> Any:
        """The job is to end soon (preempted, or Slurm's time is up): into the queue again.

        Raises: TimeIsUp, into the run, where it has had the time that it may take.
        """
        from submitit.helpers import (  # pyright: ignore[reportMissingImports]
            DelayedSubmission,
        )

        if time.monotonic() > self._until:
            raise TimeIsUp
        return DelayedSubmission(Job(self.gpus), order)


class Queue:
    """At most `jobs` jobs in the queue; one thread looks after each."""

    def __init__(self, size: Size, executor: Any) -> None:
        self.slots = size.jobs
        self._executor, self._cluster = executor, executor.cluster
        self._lock = Lock()
        self._jobs: set[Any] = set()
        self._waiting = ThreadPoolExecutor(size.jobs, "slurm", initializer=_deaf)

    def submit(self, order: Order, watcher: Watcher) -> Future[Outcome]:
        """Into the queue."""
        return self._waiting.submit(self._work, order)

    def close(self) -> None:
        """Cancel what is still in the queue."""
        for job in list(self._jobs):
            self._cancel(job)
        self._waiting.shutdown(cancel_futures=True)

    def _work(self, order: Order) -> Outcome:
        here, began = self._cluster == "local", time.monotonic()
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "") if here else None
        with self._lock:
            job = self._executor.submit(Job(given), order if here else placed(order))
        self._jobs.add(job)
        try:
            while not job.done():
                if order.stopped and job.state == "PENDING":
                    self._cancel(job)
                    return Outcome("interrupted", reason="stopped before it began")
                time.sleep(LOOK_EVERY)
            return self._outcome(job, order, time.monotonic() - began)
        finally:
            self._jobs.discard(job)

    def _outcome(self, job: Any, order: Order, seconds: float) -> Outcome:
        """What it left, or why it left nothing."""
        found = _result(job, PATIENCE[self._cluster])
        if isinstance(found, Outcome):
            _tidy(job)
            return found
        if found is not None:
            raise found
        state = str(job.state)
        late = self._cluster == "local" and order.timeout is not None and seconds > order.timeout
        if state.startswith("TIMEOUT") or late:
            return Outcome("timeout", reason=f"longer than timeout={order.timeout or DAY:g} s")
        if state.startswith("OUT_OF_ME"):
            return Outcome("out-of-memory", reason=f"job {job.job_id}: more than its memory")
        raise WorkerLost(f"job {job.job_id} left no result ({state.lower()})")

    def _cancel(self, job: Any) -> None:
        if self._cluster == "local":
            _end_here(job)
        else:
            job.cancel(check=False)


def placed(order: Order) -> Order:
    """On a node of Slurm the GPU that the job was given is the only one to be seen."""
    gpu = pick_device(order.device).startswith("cuda")
    return replace(order, device="cuda" if gpu else "cpu")


def _deaf() -> None:
    """Of a thread, hence of the jobs that it starts here: ctrl-C is for the driver alone."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _result(job: Any, patience: float) -> Outcome | Exception | None:
    until = time.monotonic() + patience
    while not job.paths.result_pickle.exists():
        if time.monotonic() >= until:
            return None
        time.sleep(LOOK_EVERY)
    return job.result()


def _tidy(job: Any) -> None:
    """Nothing is left of a job that ended well."""
    for name in FILES:
        getattr(job.paths, name).unlink(missing_ok=True)


def _end_here(job: Any) -> None:
    """Its process passes SIGTERM on, and the run saves; one that hangs is killed."""
    process = int(job.job_id)
    children = _children(process)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    until = time.monotonic() + GRACE
    while not job.done() and time.monotonic() < until:
        time.sleep(0.1)
    if not job.done():
        for each in (*children, process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)


def _children(process: int) -> list[int]:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
        return [int(each) for each in text.split()]
    return []


def parameters(size: Size) -> dict[str, Any]:
    """What every job asks for."""
    seconds = DAY if size.timeout is None else size.timeout + LATE
    gpu = size.device.startswith("cuda")
    return {
        "name": "seqzoo",
        "cpus_per_task": size.threads,
        "gpus_per_node": 1 if gpu else None,
        "mem_gb": size.memory,
        "timeout_min": math.ceil((seconds + WARNING) / 60),
        "local_timeout_min": seconds / 60,
        "slurm_signal_delay_s": WARNING,
        "slurm_srun_args": [
            f"--cpus-per-task={size.threads}"
        ],  # srun has not asked sbatch since 22.05
    }


def make(size: Size) -> Engine:
    """The engine."""
    from submitit import AutoExecutor  # pyright: ignore[reportMissingImports]

    there = shutil.which("sbatch") is not None
    if not there:
        say("engine=slurm: there is no sbatch here; the jobs run on this machine")
    os.environ.update(environment(size.threads))  # jobs inherit it
    executor = AutoExecutor(
        size.root / FOLDER,
        cluster="slurm" if there else "local",
        slurm_max_num_timeout=TIMES,
        local_max_num_timeout=TIMES,
    )
    executor.update_parameters(**parameters(size))
    return Queue(size, executor)
