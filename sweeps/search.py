"""Tuning: Optuna asks, one owner tells; every arm gets the same budget on validation data.

Trial 0 is the configuration as given; where the rate is searched, trials 1 to 4 are log-spaced
rates around it; later ones are a sampler's. The rate is `train.lr`: recurrent models solve recall
in a narrow window of rates only (arXiv:2508.19029), so every contrast carries a learning-rate curve
per arm.

Trials are proposed in waves of fixed sizes, each from the record of the waves before it, and given
up between stages of a wave: so what is tried depends neither on how many trials run at once nor on
which of them ends first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sweeps.archive import Archive
from sweeps.axes import RATE, with_values
from sweeps.compose import check
from sweeps.experiment import Experiment, Result
from sweeps.pruners import PRUNERS
from sweeps.results import merit
from sweeps.samplers import AHEAD, BLIND, Record, propose
from sweeps.space import Axis, Space, including
from sweeps.trial import DEFAULT, TUNING_SEED, Asked, Method, Trial, Tuned, rank
from sweeps.wave import Candidate, Told, Wave
from sweeps.worker import Points
from zoo.spec import Range, explain, ranges, walk

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

COSTS = ("parameters", "state_bytes")  # of a result


def rates_tried(experiment: Experiment, axis: Axis | None = None) -> tuple[float, float]:
    """The lowest and the highest rate that the first trials try."""
    rates = curve_of_rates(experiment, axis)
    return min(rates), max(rates)


def curve_of_rates(experiment: Experiment, axis: Axis | None = None) -> list[float]:
    """The given rate first, then four around it: a third and two thirds of the way, in log
    distance, to each end of the range that the field carries, or that is given.
    """
    given, mark = experiment.train.lr, axis.mark if axis else ranges(experiment)[RATE]
    if not isinstance(mark, Range):
        return [given, *(rate for rate in mark.values if rate != given)]
    down, up = min(1.0, mark.low / given), max(1.0, mark.high / given)
    around = [given * down ** (2 / 3), given * down ** (1 / 3)]
    around += [given * up ** (1 / 3), given * up ** (2 / 3)]
    distinct = [rate for rate in around if abs(rate / given - 1) > 1e-9]
    return [given, *(float(f"{rate:.3g}") for rate in distinct)]


def rate_only(experiment: Experiment) -> Space:
    """The space of a contrast: the rate, over its range and what the first trials try."""
    mark = including(ranges(experiment)[RATE], *curve_of_rates(experiment))
    return {RATE: Axis(mark, (RATE,))}


def space_of(experiment: Experiment, method: Method) -> Space:
    """What is searched."""
    return rate_only(experiment) if method.space is None else method.space


def with_parameters(
    experiment: Experiment, space: Space, parameters: Mapping[str, Any]
) -> Experiment:
    """The experiment with these values on the axes.

    Raises: ValueError where they do not go together.
    """
    fields = {path: v for name, v in parameters.items() for path in space[name].paths}
    return with_values(experiment, fields)


def as_trial(experiment: Experiment, seed: int = 0) -> Experiment:
    """Half the steps, a tuning seed, no look at the test split."""
    steps = max(1, experiment.train.steps // 2)
    return experiment.with_train(steps=steps).with_seed(TUNING_SEED + seed)


def trial_experiment(experiment: Experiment, lr: float) -> Experiment:
    """A trial of this rate."""
    return as_trial(experiment.with_train(lr=lr))


def first_trials(experiment: Experiment, space: Space, trials: int) -> list[dict[str, Any]]:
    """The parameters that are known beforehand: as given, then the rates around it."""
    fields = {path: value for path, _, _, value in walk(experiment)}
    given = {name: fields[axis.paths[0]] for name, axis in space.items()}
    rates = curve_of_rates(experiment, space[RATE])[1:] if RATE in space else []
    return [given, *({**given, RATE: rate} for rate in rates)][:trials]


class Search:
    """The tuning of one arm: what to try next, and what was found.

    Args:
        experiment: the arm as given.
        arm: its name; with the stamp, the Optuna study's name.
        trials: how many; 0 keeps everything as given.
        storage: of Optuna, or the path of an sqlite file.
        method: what is searched, and by which means.
        stamp: of the code and the machine: trials never outlive what made them.
    """

    def __init__(
        self,
        experiment: Experiment,
        arm: str,
        trials: int,
        storage: Path | BaseStorage,
        *,
        method: Method = DEFAULT,
        stamp: str = "",
    ) -> None:
        self.arm, self.method, self._given, self._trials = arm, method, experiment, trials
        self.space = space_of(experiment, method)
        self._pruner = PRUNERS[method.pruner]
        known = [] if method.sampler == "grid" else first_trials(experiment, self.space, trials)
        self._known, self._waves = known, list(self._all_waves(len(known)))
        self._done: dict[int, Trial] = {}
        self._wave: Wave | None = None
        if trials:
            name = f"{arm} [{stamp}]"
            self._archive = Archive(storage, name, self.space, len(method.costs))
            self._done = {n: t for n, t in self._archive.recall().items() if n < trials}

    @property
    def finished(self) -> bool:
        """Whether every trial has been run."""
        return len(self._done) == self._trials

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Those that have been run, by number."""
        return tuple(self._done[number] for number in sorted(self._done))

    @property
    def chosen(self) -> Tuned:
        """The best of all trials; everything as given where there were none."""
        if not self._trials:
            return Tuned(self._given)
        assert self.finished, "trials are still out"
        ran = [trial for trial in self.trials if trial.state != "infeasible"]
        if not ran:
            return Tuned(self._given, None, self.trials)
        best = max(ran, key=rank)
        chosen = with_parameters(self._given, self.space, best.parameters)
        return Tuned(chosen, best.number, self.trials)

    def ask(self) -> list[Asked]:
        """The runs of the next stage, or wave, that are not made; none while one is out."""
        while not self.finished:
            if self._wave is None:
                self._wave = self._next_wave()
            if self._wave.is_out:
                return []
            if asked := self._wave.ask():
                return asked
            self._wave = None
        return []

    def tell(
        self, asked: Asked, result: Result | None, curve: Points = (), reason: str = ""
    ) -> None:
        """How a run ended, and its scores on the way where it was to be looked at there.

        With neither it could not finish: the next command tries it again.
        """
        assert self._wave is not None
        told = None if result is None and not curve else self._told(asked, result, curve)
        self._wave.tell(asked, told, reason)

    def _all_waves(self, known: int) -> Iterator[range]:
        """The first wave is known beforehand; the others are the sampler's."""
        blind = self.method.sampler in BLIND and self.method.pruner == "none"
        sizes = cycle((AHEAD,) if blind else self._pruner.waves)
        start, stop = 0, min(known, self._trials)
        while start < self._trials:
            if stop > start:
                yield range(start, stop)
            start, stop = stop, min(stop + next(sizes), self._trials)

    def _next_wave(self) -> Wave:
        """The first with a trial that is not done."""
        turn, numbers = next(
            (turn, wave)
            for turn, wave in enumerate(self._waves)
            if any(number not in self._done for number in wave)
        )
        before = [self._done[number] for number in range(numbers.start)]
        first = len(self._waves[:1]) if self._known else 0
        if turn < first:
            proposed = self._known
        else:
            record = Record(self._known, self._waves[first:turn], before)
            proposed = propose(self.method, self.space, record, numbers)
        train = as_trial(self._given).train
        stages = self._pruner.stages(turn + 1 - first, self.method.seeds, train)
        wave = Wave(stages, self._pruner, before, self._finish)
        for number, parameters in zip(numbers, proposed, strict=True):
            self._enter(wave, number, parameters)
        return wave

    def _enter(self, wave: Wave, number: int, parameters: dict[str, Any]) -> None:
        """A trial joins its wave, or is over at once: it cannot be built."""
        if number in self._done:
            wave.add_over(self._done[number])
            return
        self._archive.begin(number, parameters)
        try:
            made = with_parameters(self._given, self.space, parameters)
            if any(
                path.startswith("model.") for axis in self.space.values() for path in axis.paths
            ):
                check(made)
        except ValueError as error:
            reason = explain(error) if isinstance(error, ValidationError) else str(error)
            trial = Trial(number, parameters, TUNING_SEED, self._guess, "infeasible", reason=reason)
            self._finish(trial)
        else:
            wave.add(Candidate(number, parameters, as_trial(made)))

    def _finish(self, trial: Trial) -> None:
        """Keep a trial; one that has shown nothing counts with what guessing scores."""
        if not math.isfinite(trial.value):
            trial = replace(trial, value=self._guess)
        self._done[trial.number] = trial
        self._archive.end(trial)

    @property
    def _metric(self) -> str:
        return next(iter(self.method.objectives), self._given.task.metric)

    @property
    def _guess(self) -> float:
        return merit(self._metric, self._given.task.chance_of(self._metric))

    def _told(self, asked: Asked, result: Result | None, curve: Points) -> Told:
        """What a run scored on validation data, at the step where it is looked at."""
        points = {} if asked.until is None else _at(curve, asked.until)
        if result is not None and (result.status == "diverged" or not points):
            value = result.score("validation", self._metric)
            loss = result.score("validation", "loss")
        else:
            value, loss = points.get(self._metric), points.get("loss")
        if value is None and result is not None and result.status == "diverged":
            value = self._given.task.chance_of(self._metric)
        assert value is not None, f"{self._given.task.kind}: no validation {self._metric}"
        seen = merit(self._metric, value), math.inf if loss is None else loss
        if result is None:
            return Told(seen, steps=asked.until or 0)
        costs = tuple(float(getattr(result, name)) for name in self.method.costs)
        diverged = result.status == "diverged"
        return Told(seen, diverged, costs, result.steps, result.seconds)


def _at(curve: Points, until: int) -> dict[str, float]:
    """The last validation scores at or before a step."""
    found = {}
    for step, split, part, metric, value in curve:
        if step <= until and (split, part) == ("validation", "all"):
            found[metric] = value
    return found
