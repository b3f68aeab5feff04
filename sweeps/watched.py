"""One run of a study, as the crew asks for it: shown, tracked, and its end told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sweeps.experiment import Result, Score
from sweeps.progress import Display, Shown
from sweeps.provenance import identity
from sweeps.rundir import RunDirectory
from sweeps.tally import NOT_OVER, PAUSED
from sweeps.track import TrackedRun, Tracker
from sweeps.train import pick_device
from sweeps.words import WordError
from sweeps.worker import Order, Outcome, finished


class WatchedRun:
    """A `sweeps.crew.Request`. `then` hears of the end, once, when the run is over."""

    def __init__(
        self,
        order: Order,
        label: str,
        arm: str,
        told: tuple[Display, Tracker],
        then: Callable[[Outcome], None],
    ) -> None:
        self.order = order
        self._label, self._arm, self._told, self._then = label, arm, told, then
        self._watcher: _Watcher | None = None

    def begin(self) -> _Watcher:
        """It is about to run: for the first time, or again."""
        experiment, (display, tracker) = self.order.experiment, self._told
        tracked = tracker.start_run(
            self._label,
            experiment.fingerprint,
            identity=_identity(self.order),
            steps=experiment.train.steps,
            config=experiment.to_dict(),
            tags={
                "arm": self._arm,
                "seed": experiment.seed,
                "splits": "+".join(self.order.splits),
            },
        )
        self._watcher = _Watcher(display.start(self._label, experiment, self._arm), tracked)
        return self._watcher

    def end(self, outcome: Outcome) -> None:
        """It has stopped, for now or for good."""
        assert self._watcher is not None
        self._watcher.ended(outcome, self.order.run)
        if outcome.status != NOT_OVER:
            self._then(outcome)


class _Watcher:
    """Tells the display and the tracker, and passes on the wish to stop."""

    def __init__(self, shown: Shown, tracked: TrackedRun) -> None:
        self._shown, self._tracked = shown, tracked
        self.step, self.stopping = shown.step, shown.stopping

    def scored(self, step: int, scores: Sequence[Score]) -> None:
        """After every evaluation."""
        self._shown.scored(step, scores)
        for score in scores:
            if score.value is not None:
                self._tracked.metric(step, f"{score.split}/{score.metric}", score.value)

    def ended(self, outcome: Outcome, run: RunDirectory) -> None:
        """The last of it. What a worker said too late to be heard is in the run's curve."""
        if outcome.result is None:
            left = outcome.status in (NOT_OVER, PAUSED)
            self._tracked.finish("killed" if left else outcome.status)
            line = f"{outcome.status} ({outcome.reason})"
            self._shown.finish(line, outcome.status, outcome.reason)
            return
        for step, split, _, metric, value in _curve(run):
            if value is not None:
                self._tracked.metric(step, f"{split}/{metric}", value)
        self._tracked.finish(outcome.status, _metrics(outcome.result))
        self._shown.scored(outcome.result.steps, outcome.result.scores)
        self._shown.finish(_line(outcome.result), outcome.status)


def _identity(order: Order) -> dict[str, Any]:
    """What its result depends on: of the result that stands for it, whoever made that."""
    found = finished(order) if order.any_code else None
    if found is None or found.result is None:
        return identity(pick_device(order.device))
    return found.result.identity


def _curve(run: RunDirectory) -> Iterator[tuple[Any, ...]]:
    with contextlib.suppress(WordError):  # it is only shown: a damaged one is done without
        yield from run.curve()


def _metrics(result: Result) -> dict[str, float]:
    return {
        f"{s.split}/{s.metric}": s.value
        for s in result.scores
        if s.slice == "all" and s.value is not None
    }


def _line(result: Result) -> str:
    """`test accuracy 0.912 in 8 s`."""
    for split in ("test", "validation"):
        for metric in ("accuracy", "loss"):
            value = result.score(split, metric)
            if value is not None:
                status = "" if result.status == "finished" else f" ({result.status})"
                return f"{split} {metric} {value:.3f}{status} in {result.seconds:.1f} s"
    return result.status
