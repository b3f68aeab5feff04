"""Ray core: a run is a task, on the cluster that is there, else on one of this machine's own.

    RAY_ADDRESS=host:port   that cluster (RAY_AUTH_MODE=token where it wants a token); `local`: a
                            new one of this machine, whatever else is there
    without it              the cluster that `ray start` left on this machine, else a new local one

Every node has to see the code and the output folder at the same paths. A lost task is not retried
by Ray but by the crew, who counts; the run goes on from its checkpoint either way.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweeps.engine import Engine, Size, WorkerLost, environment
from sweeps.train import Watcher, pick_device
from sweeps.words import WordError
from sweeps.worker import Order, Outcome, work_for_scheduler

LOOK_EVERY = 0.5  # seconds between looks at the stop file, while a task waits for its node
GRACE = 5.0  # seconds that a run may be late, before its worker is killed
STORE = 80 * 2**20  # bytes for objects, of which there are none: Ray's least
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


class Cluster:
    """A driver's connection to Ray. One thread waits for each task.

    Args:
        size: how many at once.
        task: `_task`, as Ray knows it.
        undo: closes the connection, and ends the cluster where it is ours.
    """

    def __init__(self, size: Size, task: Any, undo: ExitStack) -> None:
        self.slots = size.jobs
        self._task, self._undo = task, undo
        self._waiting = ThreadPoolExecutor(size.jobs, "ray")
        self._streams: set[Any] = set()

    def submit(self, order: Order, watcher: Watcher) -> Future[Outcome]:
        """Begin as soon as a node has room; what hangs past its time is killed."""
        return self._waiting.submit(self._work, order)

    def close(self) -> None:
        """End what still works, and the connection."""
        for stream in list(self._streams):
            _kill(stream)
        self._waiting.shutdown(cancel_futures=True)
        self._undo.close()

    def _work(self, order: Order) -> Outcome:
        from ray.exceptions import RayError, RayTaskError  # pyright: ignore[reportMissingImports]

        stream = self._task.remote(placed(order), os.getcwd())
        self._streams.add(stream)
        try:
            return _follow(stream, order)
        except RayTaskError as error:  # the run's own: what would end any study
            raise error.cause from None
        except RayError as error:
            raise WorkerLost(_first_line(error)) from None
        finally:
            self._streams.discard(stream)


def _task(order: Order, folder: str) -> Iterator[Outcome | None]:
    """In a worker of Ray: says that it has begun, for a task may wait long; then how it ended."""
    yield None
    os.chdir(folder)  # of the driver: paths of files and of output are told as it sees them
    yield work_for_scheduler(order)


def placed(order: Order) -> Order:
    """On a GPU worker the one that Ray gave it is the only one to be seen."""
    gpu = pick_device(order.device).startswith("cuda")
    return replace(order, device="cuda" if gpu else "cpu")


def _follow(stream: Any, order: Order) -> Outcome:
    """Wait for the task's place, then for its end."""
    import ray  # pyright: ignore[reportMissingImports]

    while not _said(stream, LOOK_EVERY):
        if order.stopped:
            _kill(stream)
            return Outcome("interrupted", reason="stopped before it began")
    ray.get(next(stream))
    if not _said(stream, None if order.timeout is None else order.timeout + GRACE):
        _kill(stream)
        return Outcome("timeout", reason=f"longer than timeout={order.timeout:g} s")
    outcome: Any = ray.get(next(stream))
    return outcome


def _said(stream: Any, seconds: float | None) -> bool:
    """Whether the task says something, or ends, within that time."""
    import ray  # pyright: ignore[reportMissingImports]

    return bool(ray.wait([stream], timeout=seconds)[0])


def _kill(stream: Any) -> None:
    import ray  # pyright: ignore[reportMissingImports]

    ray.cancel(stream, force=True)
    _said(stream, GRACE)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]


def share(jobs: int, gpus: int) -> float:
    """Of a GPU for each job: 1/k where k of them share one. Ray counts in ten-thousandths."""
    return math.floor(10_000 / math.ceil(jobs / gpus)) / 10_000


def demand(size: Size, nodes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What a task asks for: CPU, and where it applies GPU and bytes of memory.

    Args:
        size: of the study.
        nodes: what `ray.nodes()` says.

    Raises: WordError where no node has it: Ray would wait for ever.
    """
    found = [node["Resources"] for node in nodes if node["Alive"]]
    asked = {"CPU": float(size.threads)}
    if size.device.startswith("cuda"):
        gpus = sum(int(each.get("GPU", 0)) for each in found)
        if not gpus:
            raise WordError(f"device={size.device}: no node of the Ray cluster has a GPU")
        asked["GPU"] = share(size.jobs, gpus)
    if size.memory is not None:
        asked["memory"] = float(int(size.memory * 1e9))
    if not any(all(each.get(k, 0) >= v for k, v in asked.items()) for each in found):
        text = ", ".join(f"{name} {amount:g}" for name, amount in asked.items())
        raise WordError(f"engine=ray: no node of the cluster has what a run asks for ({text})")
    return asked


def options(size: Size, asked: Mapping[str, float]) -> dict[str, Any]:
    """How a task is submitted."""
    return {
        "num_cpus": asked["CPU"],
        "num_gpus": asked.get("GPU", 0),
        "memory": asked.get("memory"),
        "max_retries": 0,
        "num_returns": "streaming",
        "runtime_env": {"env_vars": environment(size.threads)},
    }


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError, ValueError):
        socket.create_connection((host, int(port)), timeout=5).close()
        return True
    return False


def _address() -> str | None:
    """Of the cluster to use; `local` for a new one, None for the one that Ray itself finds.

    Raises: WordError where RAY_ADDRESS leads nowhere.
    """
    given = os.environ.get("RAY_ADDRESS")
    if given:
        if given != "local" and not _answers(given):
            raise WordError(f"RAY_ADDRESS={given}: nobody answers there; write host:port")
        return given
    top = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # as Ray has it
    with contextlib.suppress(OSError):
        left = Path(top, "ray", "ray_current_cluster").read_text().strip()
        return None if _answers(left) else "local"
    return "local"


def _own(size: Size, undo: ExitStack) -> dict[str, Any]:
    """A cluster of this machine alone, that nobody else finds or may use."""
    short = os.environ.get("RAY_TMPDIR") or "/tmp"  # a path of sockets has 107 characters at most
    folder = tempfile.mkdtemp(prefix="seqzoo-ray-", dir=short)
    undo.callback(shutil.rmtree, folder, ignore_errors=True)
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # else Ray leaves one in the home
    return {
        "num_cpus": size.jobs * size.threads,
        "object_store_memory": STORE,
        "include_dashboard": False,
        "_temp_dir": folder,
    }


def _connect(size: Size) -> ExitStack:
    """What undoes it."""
    import ray  # pyright: ignore[reportMissingImports]

    undo, address = ExitStack(), _address()
    more = _own(size, undo) if address == "local" else {}
    undo.callback(ray.shutdown)
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **more)
    except (ConnectionError, RuntimeError, ValueError) as error:
        undo.close()
        raise WordError(f"engine=ray: {_first_line(error)}") from None
    finally:  # Ray takes SIGTERM, which asks a study to save and stop
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
    return undo


def make(size: Size) -> Engine:
    """The engine, connected; to what the process is connected already, if it is.

    Raises: WordError.
    """
    os.environ.update({k: v for k, v in QUIET.items() if k not in os.environ})
    import ray  # pyright: ignore[reportMissingImports]

    undo = ExitStack() if ray.is_initialized() else _connect(size)
    try:
        asked = demand(size, ray.nodes())
    except WordError:
        undo.close()
        raise
    return Cluster(size, ray.remote(**options(size, asked))(_task), undo)
