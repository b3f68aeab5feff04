"""Tuning: Optuna asks, one owner tells; every arm gets the same budget on validation data.

Trial 0 is the configuration as given, trials 1 to 4 are log-spaced rates around it, later ones
are Optuna's. The rate is `train.lr`: recurrent models solve recall in a narrow window of rates
only (arXiv:2508.19029), so every contrast carries a learning-rate curve per arm.

Trials are proposed in waves of a fixed size, each from the record of the waves before it: so what
is proposed depends neither on how many trials run at once nor on which of them ends first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.experiment import Experiment, Result
from sweeps.results import merit
from sweeps.space import Space, distribution, including, rounded
from zoo.spec import Range, ranges, replace_at, walk

if TYPE_CHECKING:
    import optuna

TUNING_SEED = 10_000  # tuning seeds are numbered from here: disjoint from the reported ones
RATE = "train.lr"
CURVE = 4  # log-spaced rates around the given one
WAVE = 8  # trials that are proposed together


@dataclass(frozen=True)
class Trial:
    """One tuned configuration and what it scored on validation data."""

    number: int
    parameters: dict[str, Any]  # by dotted path
    seed: int
    value: float  # what the task leads with, negated where less is better
    state: str  # finished | diverged | failed
    loss: float | None = None  # decides between equal values: no answer is whole at first


@dataclass(frozen=True)
class Tuned:
    """What the tuning of one arm chose."""

    experiment: Experiment
    trial: int | None = None
    trials: tuple[Trial, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A trial to be run."""

    number: int
    parameters: dict[str, Any]
    experiment: Experiment


def rates_tried(experiment: Experiment) -> tuple[float, float]:
    """The lowest and the highest rate that the first trials try."""
    rates = curve_of_rates(experiment)
    return min(rates), max(rates)


def curve_of_rates(experiment: Experiment) -> list[float]:
    """The given rate first, then four around it: a third and two thirds of the way, in log
    distance, to each end of the range that the field carries.
    """
    given, mark = experiment.train.lr, ranges(experiment)[RATE]
    assert isinstance(mark, Range)
    down, up = min(1.0, mark.low / given), max(1.0, mark.high / given)
    around = [given * down ** (2 / 3), given * down ** (1 / 3)]
    around += [given * up ** (1 / 3), given * up ** (2 / 3)]
    distinct = [rate for rate in around if abs(rate / given - 1) > 1e-9]
    return [given, *(float(f"{rate:.3g}") for rate in distinct)]


def rate_only(experiment: Experiment) -> Space:
    """The space of a contrast: the rate, over its range and what the first trials try."""
    return {RATE: including(ranges(experiment)[RATE], *curve_of_rates(experiment))}


def with_parameters(experiment: Experiment, parameters: Mapping[str, Any]) -> Experiment:
    """The experiment with these fields."""
    for path, value in parameters.items():
        experiment = replace_at(experiment, path, value)
    return experiment


def trial_experiment(experiment: Experiment, lr: float) -> Experiment:
    """A trial of this rate."""
    return _as_trial(experiment.with_train(lr=lr))


def _as_trial(experiment: Experiment) -> Experiment:
    """Half the steps, a tuning seed, no look at the test split."""
    steps = max(1, experiment.train.steps // 2)
    return experiment.with_train(steps=steps).with_seed(TUNING_SEED)


def first_trials(experiment: Experiment, trials: int) -> list[Experiment]:
    """The trials that are known before any has run."""
    return [trial_experiment(experiment, lr) for lr in curve_of_rates(experiment)[:trials]]


class Search:
    """The tuning of one arm: what to try next, and what was found.

    Args:
        experiment: the arm as given.
        arm: its name; with the stamp, the Optuna study's name.
        trials: how many; 0 keeps everything as given.
        storage: the sqlite file of the study's trials.
        space: what is searched; the rate unless said otherwise.
        stamp: of the code and the machine: trials never outlive what made them.
    """

    def __init__(
        self,
        experiment: Experiment,
        arm: str,
        trials: int,
        storage: Path,
        *,
        space: Space | None = None,
        stamp: str = "",
    ) -> None:
        self.arm, self._given, self._trials = arm, experiment, trials
        self._space = rate_only(experiment) if space is None else space
        self._done: dict[int, Trial] = {}
        self._asked: dict[int, optuna.Trial] = {}
        if trials:
            self._study = _open(storage, f"{arm} [{stamp}]")
            self._recall()

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
        found = self.trials
        best = max(found, key=_rank)
        return Tuned(with_parameters(self._given, best.parameters), best.number, found)

    def ask(self) -> list[Asked]:
        """The trials of the next wave that are not finished; none while one is out."""
        if self._asked or self.finished:
            return []
        wave = self._wave_of(next(n for n in range(self._trials) if n not in self._done))
        proposed = dict(zip(wave, self._proposed(wave), strict=True))
        return [self._begin(n, fields) for n, fields in proposed.items() if n not in self._done]

    def tell(self, asked: Asked, result: Result | None) -> Trial:
        """How a trial ended; None: it could not finish, and the next command tries it again."""
        from optuna.trial import TrialState

        trial = self._judge(asked, result)
        self._done[asked.number] = trial
        optuna_trial = self._asked.pop(asked.number)
        if result is None:
            self._study.tell(optuna_trial, state=TrialState.FAIL)
            return trial
        optuna_trial.set_user_attr("trial", json.dumps(trial.__dict__))
        self._study.tell(optuna_trial, trial.value)
        return trial

    def _wave_of(self, number: int) -> range:
        """The first wave is known beforehand; the others are Optuna's."""
        known = len(self._known())
        if number < known:
            return range(min(known, self._trials))
        start = number - (number - known) % WAVE
        return range(start, min(start + WAVE, self._trials))

    def _known(self) -> list[dict[str, Any]]:
        """As given, then the rates around it where the rate is searched."""
        fields = {path: value for path, _, _, value in walk(self._given)}
        given = {path: fields[path] for path in self._space}
        rates = curve_of_rates(self._given)[1:] if RATE in self._space else []
        return [given, *({**given, RATE: rate} for rate in rates)]

    def _recall(self) -> None:
        """What an earlier command finished, by our own number."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(deepcopy=False):
            if trial.state == TrialState.COMPLETE and "trial" in trial.user_attrs:
                kept = Trial(**json.loads(trial.user_attrs["trial"]))
                if kept.number < self._trials:
                    self._done[kept.number] = kept
            elif not trial.state.is_finished():  # its process is gone
                self._study.tell(trial.number, state=TrialState.FAIL)

    def _proposed(self, wave: range) -> list[dict[str, Any]]:
        """A wave, from the record of those before it alone: the same however often it is asked."""
        import optuna

        known = self._known()
        if wave.start < len(known):
            return [known[number] for number in wave]
        sampler = optuna.samplers.TPESampler(
            seed=wave.start, n_startup_trials=len(known), multivariate=True, constant_liar=True
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        fields = {path: distribution(mark) for path, mark in self._space.items()}
        for number in range(wave.start):
            if (trial := self._done[number]).state != "failed":
                old = optuna.trial.create_trial(
                    params=trial.parameters, distributions=fields, value=trial.value
                )
                study.add_trial(old)
        found = [study.ask(fields).params for _ in wave]
        space = self._space
        return [{path: rounded(each[path], mark) for path, mark in space.items()} for each in found]

    def _begin(self, number: int, parameters: dict[str, Any]) -> Asked:
        """Into the storage, where people look; then it is on its way."""
        self._study.enqueue_trial(parameters)
        fields = {path: distribution(mark) for path, mark in self._space.items()}
        self._asked[number] = self._study.ask(fields)
        return Asked(number, parameters, _as_trial(with_parameters(self._given, parameters)))

    def _judge(self, asked: Asked, result: Result | None) -> Trial:
        """What it scored on validation data; what guessing scores if it did not finish."""
        task, number, parameters = self._given.task, asked.number, asked.parameters
        if result is None:
            guess = merit(task.metric, task.chance_of(task.metric))
            return Trial(number, parameters, TUNING_SEED, guess, "failed")
        value = result.score("validation", task.metric)
        assert value is not None, f"{task.kind}: no validation {task.metric}"
        loss, worth = result.score("validation", "loss"), merit(task.metric, value)
        return Trial(number, parameters, TUNING_SEED, worth, result.status, loss)


def _rank(trial: Trial) -> tuple[bool, float, float, int]:
    loss = math.inf if trial.loss is None else trial.loss
    return trial.state == "finished", trial.value, -loss, -trial.number


def _open(storage: Path, name: str) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=f"sqlite:///{storage}",
        study_name=name,
        direction="maximize",
        load_if_exists=True,
    )


def trial_rows(arm: str, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """The rows of trials.parquet."""
    return [
        {
            "arm": arm,
            "number": t.number,
            "parameters": json.dumps(t.parameters),
            "seed": t.seed,
            "value": t.value,
            "state": t.state,
        }
        for t in trials
    ]
