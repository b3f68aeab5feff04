"""Tuning: Optuna asks, one owner tells; every arm gets the same budget on validation data.

Trial 0 is the configuration as given, trials 1 to 4 are log-spaced rates around it, later ones
are Optuna's. The rate is `train.lr`: recurrent models solve recall in a narrow window of rates
only (arXiv:2508.19029), so every contrast carries a learning-rate curve per arm.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.experiment import Experiment, Result
from sweeps.results import merit
from zoo.spec import Range, ranges

if TYPE_CHECKING:
    import optuna

TUNING_SEED = 10_000  # tuning seeds are numbered from here: disjoint from the reported ones
RATE = "train.lr"
CURVE = 4  # log-spaced rates around the given one


@dataclass(frozen=True)
class Trial:
    """One tuned configuration and what it scored on validation data."""

    number: int
    lr: float
    seed: int
    value: float  # what the task leads with, negated where less is better
    state: str  # finished | diverged
    loss: float | None = None  # decides between equal values: no answer is whole at first


@dataclass(frozen=True)
class Tuned:
    """What the tuning of one arm chose."""

    lr: float
    trial: int | None
    trials: tuple[Trial, ...]


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


def trial_experiment(experiment: Experiment, lr: float) -> Experiment:
    """A trial: this rate, half the steps, a tuning seed, no look at the test split."""
    steps = max(1, experiment.train.steps // 2)
    return experiment.with_train(lr=lr, steps=steps).with_seed(TUNING_SEED)


def first_trials(experiment: Experiment, trials: int) -> list[Experiment]:
    """The trials that are known before any has run."""
    return [trial_experiment(experiment, lr) for lr in curve_of_rates(experiment)[:trials]]


def tune(
    experiment: Experiment,
    arm: str,
    trials: int,
    storage: Path,
    run: Callable[[Experiment], Result | None],
    *,
    stamp: str = "",
) -> Tuned:
    """Run the trials of one arm and choose its rate.

    Args:
        experiment: the arm as given.
        arm: its name; with the stamp, the Optuna study's name.
        trials: how many; 0 keeps the rate as given.
        storage: the sqlite file of the study's trials.
        run: trains one trial; a finished one is only read; None if it could not finish.
        stamp: of the code and the machine: trials never outlive what made them.
    """
    if trials == 0:
        return Tuned(experiment.train.lr, None, ())
    study = _open(storage, f"{arm} [{stamp}]")
    done = _finished(study)
    for number in range(trials):
        if number not in done:
            done[number] = _one(study, experiment, number, run)
    found = tuple(done[number] for number in range(trials))
    best = max(found, key=_rank)
    return Tuned(best.lr, best.number, found)


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


def _finished(study: optuna.Study) -> dict[int, Trial]:
    """The trials that an earlier command finished, by our own number; others are closed."""
    from optuna.trial import TrialState

    found: dict[int, Trial] = {}
    for trial in study.get_trials(deepcopy=False):
        if trial.state == TrialState.COMPLETE and "trial" in trial.user_attrs:
            kept = Trial(**json.loads(trial.user_attrs["trial"]))
            found[kept.number] = kept
        elif not trial.state.is_finished():
            study.tell(trial.number, state=TrialState.FAIL)  # its process is gone
    return found


def _one(
    study: optuna.Study,
    experiment: Experiment,
    number: int,
    run: Callable[[Experiment], Result | None],
) -> Trial:
    import optuna

    mark = ranges(experiment)[RATE]
    assert isinstance(mark, Range)
    rates = curve_of_rates(experiment)
    low, high = min(mark.low, *rates), max(mark.high, *rates)
    # A sampler of its own per trial: what it proposes depends on the record, not on the process.
    study.sampler = optuna.samplers.TPESampler(seed=number, n_startup_trials=len(rates))
    if number < len(rates):
        study.enqueue_trial({RATE: rates[number]})
    asked = study.ask({RATE: optuna.distributions.FloatDistribution(low, high, log=True)})
    lr = rates[number] if number < len(rates) else float(f"{asked.params[RATE]:.3g}")
    result = run(trial_experiment(experiment, lr))
    trial = _judge(experiment, number, lr, result)
    if result is None:  # tried again by the next command
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
        return trial
    asked.set_user_attr("trial", json.dumps(trial.__dict__))
    study.tell(asked, trial.value)
    return trial


def _judge(experiment: Experiment, number: int, lr: float, result: Result | None) -> Trial:
    """What the trial scored on validation data; what guessing scores if it did not finish."""
    task = experiment.task
    if result is None:
        guess = task.chance_of(task.metric)
        return Trial(number, lr, TUNING_SEED, merit(task.metric, guess), "failed")
    value = result.score("validation", task.metric)
    assert value is not None, f"{task.kind}: no validation {task.metric}"
    loss = result.score("validation", "loss")
    return Trial(number, lr, TUNING_SEED, merit(task.metric, value), result.status, loss)


def trial_rows(arm: str, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """The rows of trials.parquet."""
    return [
        {
            "arm": arm,
            "number": t.number,
            "parameters": json.dumps({RATE: t.lr}),
            "seed": t.seed,
            "value": t.value,
            "state": t.state,
        }
        for t in trials
    ]
