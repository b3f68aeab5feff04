"""What is running, how well, and how long it will take: a live line, or plain lines in a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from sweeps.experiment import Experiment, Score

PLAIN_EVERY = 10.0  # seconds between plain lines
REDRAW_EVERY = 0.1


class Display:
    """The progress of a study on standard error. Use as a context.

    Args:
        total: training steps of the whole study.
        stopping: whether a stop was asked for; seen by every run.
    """

    def __init__(self, total: int, stopping: Callable[[], bool]) -> None:
        self.stopping = stopping
        self._total, self._done, self._trained = total, 0, 0
        self._began = self._shown = time.monotonic()
        self._label, self._accuracy, self._steps, self._step = "", "", 0, 0
        console = Console(stderr=True)
        self._live = console.is_terminal
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
        self._progress = Progress(*columns, console=console, transient=True)
        self._bar = self._progress.add_task("", total=max(1, total), left="")

    @property
    def trained(self) -> int:
        """Training steps that were taken, not read."""
        return self._trained

    def __enter__(self) -> Display:
        if self._live:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._live:
            self._progress.stop()

    def start(self, label: str, experiment: Experiment) -> None:
        """A run begins."""
        self._label, self._accuracy = label, ""
        self._step, self._steps = 0, experiment.train.steps

    def step(self, step: int) -> None:
        """After every training step."""
        self._trained += 1
        self._step = step
        now = time.monotonic()
        if now - self._shown >= (REDRAW_EVERY if self._live else PLAIN_EVERY):
            self._shown = now
            self._draw()

    def scored(self, step: int, scores: Sequence[Score]) -> None:
        """After every evaluation."""
        for score in scores:
            if score.split == "validation" and score.metric in ("accuracy", "loss"):
                self._accuracy = f"{score.metric} {score.value:.3f}"
                if score.metric == "accuracy":
                    return

    def finish(self, line: str) -> None:
        """A run has ended; `line` says how."""
        self._done += self._steps
        self._step = 0
        text = f"{self._label}: {line}  [{self._left()} left]"
        if self._live:
            self._progress.console.print(text, markup=False, highlight=False)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        self._draw(plain=False)

    def _draw(self, *, plain: bool = True) -> None:
        text = f"{self._label} step {self._step}/{self._steps} {self._accuracy}".rstrip()
        if self._live:
            done = min(self._total, self._done + self._step)
            self._progress.update(self._bar, completed=done, description=text, left=self._left())
        elif plain:
            sys.stderr.write(f"{text}  [{self._left()} left]\n")
            sys.stderr.flush()

    def _left(self) -> str:
        """Time left at the rate seen so far; runs that are only read cost nothing."""
        if not self._trained:
            return "?"
        rate = (time.monotonic() - self._began) / self._trained
        return duration(rate * max(0, self._total - self._done - self._step))


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
