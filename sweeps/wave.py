"""Trials that were proposed together, on their way through the stages of a pruner."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweeps.experiment import Experiment
from sweeps.pruners import Pruner, Stage
from sweeps.trial import TUNING_SEED, Asked, Seen, Trial, mean_seen


@dataclass(frozen=True)
class Told:
    """What one run showed."""

    seen: Seen
    diverged: bool = False
    costs: tuple[float, ...] = ()
    steps: int = 0
    seconds: float = 0.0


@dataclass
class Candidate:
    """A trial of the wave that is not over."""

    number: int
    parameters: dict[str, Any]
    experiment: Experiment  # with the first tuning seed
    told: dict[tuple[int, int | None], Told | None] = field(default_factory=dict)  # seed, step
    reason: str = ""

    def told_at(self, stage: Stage) -> list[Told | None] | None:
        """What the runs of a stage showed, by seed; None while one of them is out."""
        keys = [(seed, stage.step) for seed in range(stage.seeds)]
        return [self.told[key] for key in keys] if all(k in self.told for k in keys) else None


class Wave:
    """Asks for the runs of a stage; when all are told, for those of the next.

    Args:
        stages: how far the trials are trained, look by look.
        pruner: says which go on.
        before: the trials of earlier waves.
        finish: is told every trial that is over.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        pruner: Pruner,
        before: Sequence[Trial],
        finish: Callable[[Trial], None],
    ) -> None:
        self._stages, self._pruner, self._before, self._finish = stages, pruner, before, finish
        self._stage = 0
        self._alive: dict[int, Candidate] = {}
        self._shown: dict[int, list[tuple[Seen, ...]]] = {}
        self._out: set[tuple[int, int, int | None]] = set()

    @property
    def is_out(self) -> bool:
        """Whether a run was asked for and is not told."""
        return bool(self._out)

    def add(self, candidate: Candidate) -> None:
        """A trial that has not been run, or not whole."""
        self._alive[candidate.number], self._shown[candidate.number] = candidate, []

    def add_over(self, trial: Trial) -> None:
        """A trial that an earlier command has ended: the others are compared with it."""
        self._shown[trial.number] = list(trial.shown)

    def ask(self) -> list[Asked]:
        """The runs of this stage that have not been made."""
        stage = self._stages[self._stage]
        asked = [
            Asked(c.number, c.parameters, c.experiment.with_seed(TUNING_SEED + seed), stage.step)
            for c in self._alive.values()
            for seed in range(stage.seeds)
            if (seed, stage.step) not in c.told
        ]
        self._out |= {(a.number, a.experiment.seed, a.until) for a in asked}
        return asked

    def tell(self, asked: Asked, told: Told | None, reason: str = "") -> None:
        """How a run ended; None: it could not."""
        self._out.remove((asked.number, asked.experiment.seed, asked.until))
        candidate = self._alive[asked.number]
        candidate.told[asked.experiment.seed - TUNING_SEED, asked.until] = told
        candidate.reason = candidate.reason or reason
        stage = self._stages[self._stage]
        found = candidate.told_at(stage)
        if found is not None:
            self._look(candidate, found)
        if not self._out:
            self._end_stage()

    def _look(self, candidate: Candidate, found: Sequence[Told | None]) -> None:
        """All runs of a trial have come so far."""
        whole = [told for told in found if told is not None]
        if len(whole) < len(found):
            self._over(candidate, whole, "failed")
            return
        self._shown[candidate.number].append(tuple(told.seen for told in whole))
        if any(told.diverged for told in whole):
            self._over(candidate, whole, "diverged")
        elif self._stage == len(self._stages) - 1:
            self._over(candidate, whole, "finished")

    def _end_stage(self) -> None:
        """All that are left have come so far: who goes on?"""
        if not self._alive:
            return
        reached = {n: shown[self._stage] for n, shown in self._shown.items() if self._has(shown)}
        kept = self._pruner.kept(self._stage, reached, self._before)
        stage = self._stages[self._stage]
        for candidate in [c for n, c in self._alive.items() if n not in kept]:
            found = candidate.told_at(stage) or ()
            self._over(candidate, [told for told in found if told is not None], "pruned")
        self._stage += 1

    def _has(self, shown: Sequence[object]) -> bool:
        return len(shown) > self._stage

    def _over(self, candidate: Candidate, told: Sequence[Told], state: str) -> None:
        del self._alive[candidate.number]
        shown = tuple(self._shown[candidate.number])
        value, loss = mean_seen(shown[-1]) if shown else (-math.inf, math.inf)
        trial = Trial(
            candidate.number,
            candidate.parameters,
            TUNING_SEED,
            value,
            state,
            loss if math.isfinite(loss) else None,
            shown=shown,
            costs=told[-1].costs if told else (),
            steps=sum(one.steps for one in told),
            seconds=sum(one.seconds for one in told),
            reason=candidate.reason,
        )
        self._finish(trial)
