"""What a study has done since its command was typed, in numbers; no terminal, no files."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sweeps.results import merit

DONE = ("finished", "diverged")
NOT_OVER = "interrupted"  # it will be gone on with
PAUSED = "paused"  # it may be
SOON = 1.0  # seconds after which a rate is worth telling
RUNNING = "running.json"  # in the folder of a study that is worked on


@dataclass(eq=False)
class Going:
    """A run that is worked on."""

    label: str
    arm: str
    fingerprint: str
    metric: str
    steps: int
    since: float = field(default_factory=time.time)
    step: int = 0
    taken: int = 0  # steps since then; a resumed run begins in the middle
    value: float | None = None  # the last validation score, of `scored`
    scored: str = ""

    @property
    def score(self) -> str:
        """`accuracy 0.912`."""
        return "" if self.value is None else f"{self.scored} {self.value:.3f}"

    def to_dict(self) -> dict[str, Any]:
        """For the file that others read."""
        names = ("label", "arm", "fingerprint", "steps", "since")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Best:
    """The best validation score of an arm, and whose it is."""

    value: float
    metric: str
    label: str

    @property
    def merit(self) -> float:
        """The larger the better."""
        return merit(self.metric, self.value)


@dataclass
class Tally:
    """Planned, done, going, failed, best.

    Args:
        steps: of all planned runs.
        runs: that are planned.
    """

    steps: int
    runs: int
    began: float | None = None  # the first step: workers that start take seconds before it
    done_steps: int = 0
    done_runs: int = 0
    trained: int = 0  # steps that were taken, not read
    trained_runs: int = 0
    diverged: int = 0
    going: dict[Going, None] = field(default_factory=dict)
    best: dict[str, Best] = field(default_factory=dict)  # by arm
    failed: int = 0
    fault: str = ""  # of the last that failed

    def ended(self, run: Going, status: str, reason: str = "") -> None:
        """A run has ended, for now or for good."""
        self.going.pop(run, None)
        if status in (NOT_OVER, PAUSED):
            return
        self.done_steps += run.steps
        self.done_runs += 1
        self.trained_runs += run.taken > 0
        if status not in DONE:
            self.failed += 1
            self.fault = f"{run.label}: {status} ({reason})"
            return
        self.diverged += status == "diverged"
        if run.value is not None and run.scored == run.metric:
            found, known = Best(run.value, run.metric, run.label), self.best.get(run.arm)
            if known is None or found.merit > known.merit:
                self.best[run.arm] = found

    @property
    def under_way(self) -> int:
        """Steps of the runs that are going."""
        return sum(run.step for run in list(self.going))

    def took(self, run: Going, steps: int) -> None:
        """A run took steps."""
        if self.began is None:
            self.began = time.time()
        run.taken += steps
        self.trained += steps

    @property
    def seconds(self) -> float:
        """Since the first step."""
        return 0.0 if self.began is None else time.time() - self.began

    @property
    def left(self) -> float | None:
        """Seconds left; None: not known."""
        return left(self.seconds, self.trained, self.steps - self.done_steps - self.under_way)

    def leaders(self) -> list[tuple[str, Best]]:
        """Arms and their best, the best first."""
        return sorted(self.best.items(), key=lambda item: -item[1].merit)

    def to_dict(self) -> dict[str, Any]:
        """What `sweeps.status` cannot know otherwise; steps of what is going are read elsewhere."""
        going = list(self.going)
        return {
            "began": self.began,
            "runs": self.runs,
            "steps": self.steps,
            "done_steps": self.done_steps,
            "trained": self.trained - sum(run.taken for run in going),
            "running": [run.to_dict() for run in going],
        }


def left(seconds: float, trained: int, missing: int) -> float | None:
    """Time left at the rate seen so far; runs that are only read cost nothing."""
    return seconds / trained * max(0, missing) if trained and seconds > SOON else None
