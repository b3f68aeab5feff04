"""How far a run is, told through a file: every engine has that, and `sweeps.status` reads it too.

    out/runs/<fingerprint>/progress.jsonl      {"step": 120, "at": ..., "pid": ..., ...}
                                               {"step": 100, "scores": [[split, slice, ...], ...]}

It is there while the run is worked on. Nothing depends on it: what counts is in the checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from sweeps.experiment import Score
    from sweeps.train import Watcher

NAME = "progress.jsonl"
EVERY = 0.5  # seconds between lines


class Reporter:
    """A watcher that writes the file, and passes everything on. Use as a context."""

    def __init__(self, run: Path, watcher: Watcher) -> None:
        self._path, self._watcher = run / NAME, watcher
        self._file: TextIO | None = None
        self._due = 0.0
        self.stopping: Callable[[], bool] = watcher.stopping

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._path.unlink(missing_ok=True)

    def step(self, step: int) -> None:
        """After every step."""
        self._watcher.step(step)
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + EVERY
            self._write({"step": step, "at": time.time()})

    def scored(self, step: int, scores: Sequence[Score]) -> None:
        """After every evaluation."""
        self._watcher.scored(step, scores)
        self._write({"step": step, "scores": [list(score) for score in scores]})

    def _write(self, line: dict[str, Any]) -> None:
        """A line, whole when it is read: a reader waits for its end. A full disk is no reason."""
        with contextlib.suppress(OSError):
            if self._file is None:
                self._file = self._path.open("w", buffering=1)
                line |= {"pid": os.getpid(), "host": socket.gethostname(), "began": time.time()}
            self._file.write(json.dumps(line) + "\n")


class Follower:
    """Reads the file as it grows, and tells a watcher.

    Make it before the run is begun: what is in the file by then is of a worker that died. The first
    line says whose a file is.
    """

    def __init__(self, run: Path, watcher: Watcher) -> None:
        self._path, self._watcher = run / NAME, watcher
        self._first, self._at = b"", 0
        self._lines()

    def look(self) -> None:
        """Tell what is new."""
        from sweeps.experiment import Score

        for line in self._lines():
            if "scores" in line:
                self._watcher.scored(line["step"], [Score(*score) for score in line["scores"]])
            else:
                self._watcher.step(line["step"])

    def _lines(self) -> list[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                first = file.readline()
                if first != self._first:  # begun anew: another worker has it
                    self._first, self._at = first, 0
                file.seek(self._at)
                text = file.read()
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        return [line for row in whole.splitlines() if isinstance(line := parsed(row), dict)]


def parsed(row: bytes) -> Any:
    """A line of the file; None if it is none."""
    with contextlib.suppress(ValueError):
        return json.loads(row)
    return None
