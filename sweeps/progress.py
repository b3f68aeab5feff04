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
        self._total, self._done = total, 0
        self.trained = 0  # steps that were taken, not read
        self._began = self._shown = time.monotonic()
        self._running: dict[Shown, None] = {}
        console = Console(stderr=True)
        self._live = console.is_terminal
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
        self._progress = Progress(*columns, console=console, transient=True)
        self._bar = self._progress.add_task("", total=max(1, total), left="")

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

    def start(self, label: str, experiment: Experiment) -> Shown:
        """A run begins."""
        shown = Shown(self, label, experiment.train.steps)
        self._running[shown] = None
        return shown

    def moved(self, shown: Shown, steps: int) -> None:
        """A run took steps."""
        self.trained += steps
        now = time.monotonic()
        if now - self._shown >= (REDRAW_EVERY if self._live else PLAIN_EVERY):
            self._shown = now
            self._draw(shown)

    def ended(self, shown: Shown, line: str) -> None:
        """A run has ended; `line` says how."""
        self._running.pop(shown, None)
        self._done += shown.steps
        text = f"{shown.label}: {line}  [{self._left()} left]"
        if self._live:
            self._progress.console.print(text, markup=False, highlight=False)
            self._draw(shown)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def _draw(self, shown: Shown) -> None:
        others = len(self._running) - (shown in self._running)
        text = f"{shown}" + (f", {others} more running" if others else "")
        if self._live:
            done = min(self._total, self._done + self._under_way())
            self._progress.update(self._bar, completed=done, description=text, left=self._left())
        else:
            sys.stderr.write(f"{text}  [{self._left()} left]\n")
            sys.stderr.flush()

    def _under_way(self) -> int:
        return sum(each.step_now for each in self._running)

    def _left(self) -> str:
        """Time left at the rate seen so far; runs that are only read cost nothing."""
        if not self.trained:
            return "?"
        rate = (time.monotonic() - self._began) / self.trained
        return duration(rate * max(0, self._total - self._done - self._under_way()))


class Shown:
    """One run on the display."""

    def __init__(self, display: Display, label: str, steps: int) -> None:
        self._display, self.label, self.steps = display, label, steps
        self.step_now, self.score = 0, ""
        self._heard = False
        self.stopping = display.stopping

    def __str__(self) -> str:
        return f"{self.label} step {self.step_now}/{self.steps} {self.score}".rstrip()

    def step(self, step: int) -> None:
        """It is at this step; a resumed run begins in the middle."""
        taken = max(0, step - self.step_now) if self._heard else 1
        self._heard, self.step_now = True, step
        self._display.moved(self, taken)

    def scored(self, step: int, scores: Sequence[Score]) -> None:
        """After every evaluation."""
        for score in scores:
            if score.split == "validation" and score.metric in ("accuracy", "loss"):
                self.score = f"{score.metric} {score.value:.3f}"
                if score.metric == "accuracy":
                    return

    def finish(self, line: str) -> None:
        """It has ended; `line` says how."""
        self.step_now = 0
        self._display.ended(self, line)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
