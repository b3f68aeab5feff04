"""The driver's side of the work: what is begun, who is told, what is tried again, when to stop."""

from __future__ import annotations

import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sweeps.engine import Engine, Serial, WorkerLost
from sweeps.progress_file import Follower
from sweeps.train import Interrupted, Watcher
from sweeps.worker import Order, Outcome, finished

LOOK_EVERY = 0.25  # seconds
AGAIN = 2  # times that a run is begun again after its worker was lost


class Request(Protocol):
    """A run that somebody wants."""

    order: Order

    def begin(self) -> Watcher:
        """It is about to run, perhaps again: who looks on?"""
        ...

    def end(self, outcome: Outcome) -> None:
        """How it ended; `interrupted`: it will be gone on with."""


@dataclass(frozen=True)
class _Running:
    request: Request
    device: str
    lost: int  # workers
    follower: Follower | None


class Crew:
    """Works off requests on an engine. Use as a context.

    Args:
        engine: where; its slots are how many at once.
        devices: one for each slot.
        folder: of the study; the file that stops workers is made there.
        stopping: whether a stop was asked for.
    """

    def __init__(
        self, engine: Engine, devices: Sequence[str], folder: Path, stopping: Callable[[], bool]
    ) -> None:
        assert len(devices) == engine.slots
        self._engine, self._stopping = engine, stopping
        self._free = deque(devices)
        self._stop = folder / f".stop-{secrets.token_hex(8)}"
        self._running: dict[Future[Outcome], _Running] = {}
        self._again: deque[tuple[Request, int]] = deque()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()
        self._stop.unlink(missing_ok=True)

    def work_off(self, take: Callable[[], Request | None]) -> None:
        """Run what `take` hands out, until it has nothing and nothing runs.

        Raises:
            Interrupted: a stop was asked for, and every run has been saved.
            Exception: what ends a study, out of any run: a full disk, a damaged file.
        """
        try:
            while self._fill(take) or self._running:
                self._look()
        except BaseException:
            self._save_all()
            raise
        if self._stopping():
            raise Interrupted("stopped; the same command goes on from here")

    def _fill(self, take: Callable[[], Request | None]) -> bool:
        """Begin as many as there are slots for; whether any was begun."""
        begun = False
        while self._free and not self._stopping():
            request, lost = self._again.popleft() if self._again else (take(), 0)
            if request is None:
                break
            self._begin(request, lost)
            begun = True
        return begun

    def _begin(self, request: Request, lost: int) -> None:
        outcome = finished(request.order)
        if outcome is not None:
            request.begin()
            request.end(outcome)
            return
        device = self._free.popleft()
        order, watcher = replace(request.order, device=device, stop=self._stop), request.begin()
        here = isinstance(self._engine, Serial)  # tells the watcher itself
        follower = None if here else Follower(order.run.path, watcher)
        future = self._engine.submit(order, watcher)
        self._running[future] = _Running(request, device, lost, follower)

    def _look(self) -> None:
        """Wait a little for an end, and pass on what the others say."""
        done, _ = wait(self._running, LOOK_EVERY, FIRST_COMPLETED)
        for running in self._running.values():
            if running.follower is not None:
                running.follower.look()
        if self._stopping():
            self._stop.touch()
        for future in done:
            self._end(future, self._running.pop(future))

    def _end(self, future: Future[Outcome], running: _Running) -> None:
        self._free.append(running.device)
        try:
            outcome = future.result()
        except WorkerLost as error:
            outcome = Outcome("killed", reason=str(error))
        lost = outcome.status in ("killed", "interrupted")
        if lost and (running.lost < AGAIN or self._stopping()):
            outcome = Outcome("interrupted", reason=outcome.reason)
            self._again.append((running.request, running.lost + 1))
        elif lost:
            outcome = Outcome("killed", reason=f"{outcome.reason}, {1 + AGAIN} times")
        running.request.end(outcome)

    def _save_all(self) -> None:
        """Have every worker save and stop, before what went wrong is told."""
        with contextlib.suppress(OSError):
            self._stop.touch()
        wait(self._running)
