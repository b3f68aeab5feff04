"""What is running, how well, and how long it will take: a live table, or plain lines in a file.

A step only counts: a thread draws the table, and leaves `out/<study>/running.json` for others.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sweeps.atomic import write_json
from sweeps.live import parts_of, view
from sweeps.tally import RUNNING, Going, Tally
from sweeps.terminal import duration, printable

if TYPE_CHECKING:
    from sweeps.experiment import Experiment, Score

__all__ = ["Display", "Shown", "duration"]

PLAIN_EVERY = 10.0  # seconds between plain lines
REDRAW_EVERY = 0.1
WRITE_EVERY = 1.0
SHARE = 0.005  # of the time is what drawing may take: with the counting below a hundredth


class Display:
    """The progress of a study on standard error. Use as a context.

    Args:
        total: training steps of the whole study.
        stopping: whether a stop was asked for; seen by every run.
        runs: of the whole study.
        folder: of the study; the file for others is there while it is worked on.
        console: where; by default standard error.
    """

    def __init__(
        self,
        total: int,
        stopping: Callable[[], bool],
        *,
        runs: int = 0,
        folder: Path | None = None,
        console: Console | None = None,
    ) -> None:
        self.stopping, self.tally = stopping, Tally(total, runs)
        console = console or Console(stderr=True, force_terminal=sys.stderr.isatty())
        self._console = console
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = _live(console, self.tally)
        self._file = None if folder is None else folder / RUNNING
        self._written = True
        self._line_due = time.monotonic() + PLAIN_EVERY
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tend, name="display", daemon=True)

    @property
    def trained(self) -> int:
        """Steps that were taken, not read."""
        return self.tally.trained

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.stop()
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def start(self, label: str, experiment: Experiment, arm: str = "") -> Shown:
        """A run begins."""
        metric, steps = experiment.task.metric, experiment.train.steps
        run = Going(label, arm, experiment.fingerprint, metric, steps)
        self.tally.going[run] = None
        self._written = False
        return Shown(self, run)

    def moved(self, run: Going, steps: int) -> None:
        """A run took steps."""
        if self.tally.began is None:
            self._written = False
        self.tally.took(run, steps)
        if self._live is None and time.monotonic() >= self._line_due:
            self._line_due = time.monotonic() + PLAIN_EVERY
            others = len(self.tally.going) - (run in self.tally.going)
            more = f", {others} more running" if others else ""
            line = f"{run.label} step {run.step}/{run.steps} {run.score}".rstrip()
            self._say(f"{line}{more}")

    def ended(self, run: Going, line: str, status: str, reason: str) -> None:
        """A run has ended, for now or for good; `line` says how."""
        self.tally.ended(run, status, reason)
        self._written = False
        self._say(f"{run.label}: {line}")

    def _say(self, text: str) -> None:
        """A line that stays. A terminal that has gone is no reason to stop."""
        with contextlib.suppress(OSError):
            if self._live is not None:
                self._console.print(Text(printable(text)))
                return
            *rest, remaining = parts_of(self.tally)
            told = ", ".join(filter(None, [*rest, *self._record(), remaining]))
            sys.stderr.write(f"{printable(text)}  [{told}]\n")
            sys.stderr.flush()

    def _record(self) -> list[str]:
        best = self.tally.leaders()[:1]
        failed = [f"{self.tally.failed} failed"] if self.tally.failed else []
        return [f"best {found.value:.3f} {printable(arm)}" for arm, found in best] + failed

    def _tend(self) -> None:
        """Draw and write, from now and then to the end."""
        pause, write_due = REDRAW_EVERY, 0.0
        while not self._over.wait(pause):
            began = time.thread_time()
            if self._live is not None:
                with contextlib.suppress(OSError):
                    self._live.refresh()
            if not self._written and time.monotonic() >= write_due:
                write_due = time.monotonic() + WRITE_EVERY
                self._write()
            pause = max(REDRAW_EVERY, (time.thread_time() - began) / SHARE)

    def _write(self) -> None:
        self._written = True  # first: what changes meanwhile is written the next time
        if self._file is not None:
            with contextlib.suppress(OSError):
                write_json(self._file, self.tally.to_dict())


class Shown:
    """One run on the display."""

    def __init__(self, display: Display, run: Going) -> None:
        self._display, self._run = display, run
        self._heard = False
        self.stopping = display.stopping

    def step(self, step: int) -> None:
        """It is at this step; a resumed run begins in the middle."""
        run = self._run
        taken = max(0, step - run.step) if self._heard else 1
        self._heard, run.step = True, step
        self._display.moved(run, taken)

    def scored(self, step: int, scores: Sequence[Score]) -> None:
        """After every evaluation: the task's own score, or the nearest to it."""
        found = {
            score.metric: score.value
            for score in scores
            if (score.split, score.slice) == ("validation", "all") and score.value is not None
        }
        for metric in (self._run.metric, "accuracy", "loss"):
            if metric in found:
                self._run.scored, self._run.value = metric, found[metric]
                return

    def finish(self, line: str, status: str = "finished", reason: str = "") -> None:
        """It has ended; `line` says how."""
        self._display.ended(self._run, line, status, reason)


def _live(console: Console, tally: Tally) -> Live:
    """Drawn when told; what others print to this terminal appears above."""
    return Live(
        console=console,
        get_renderable=lambda: view(tally, console.width, console.height),
        auto_refresh=False,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )
