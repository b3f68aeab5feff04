"""What to try next, each time from the record of earlier waves alone.

    tpe      tree-structured Parzen estimators: the default, many fields or few
    gp       a Gaussian process: few fields, few trials
    cmaes    covariance matrix adaptation: numbers, many trials; two fields at least
    qmc      a scrambled Sobol sequence: even coverage, whatever is found
    random   independent draws
    grid     every cell once

A sampler is made anew for every wave and shown the record, so it keeps no state of its own: the
same wave is proposed however often it is asked for, by whom, and in whichever order trials ended.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweeps.archive import directions
from sweeps.cube import Evolution, sobol
from sweeps.pruners import WAVE
from sweeps.space import Space, cells, contains, distribution, rounded
from sweeps.trial import Method, Trial

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

BLIND = ("qmc", "random", "grid")  # what they propose depends on no score
AHEAD = 64  # trials of a wave that nothing is learned from: many may run at once
Parameters = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """What a proposal may depend on: the trials of earlier waves, by number."""

    known: Sequence[Parameters]  # what the first wave tried, beforehand
    waves: Sequence[range]  # those after it
    trials: Sequence[Trial]

    def scores(self, trial: Trial) -> list[float] | None:
        """Its score and its costs; what could not be built has the worst that was seen.

        None where nothing is known: it failed, and will be tried again, or nothing ran yet.
        """
        if trial.state == "failed":
            return None
        if trial.state != "infeasible":
            return [trial.value, *trial.costs]
        ran = [each for each in self.trials if each.state not in ("failed", "infeasible")]
        if not ran:
            return None
        least = min([trial.value, *(each.value for each in ran)])
        return [least, *(max(costs) for costs in zip(*(each.costs for each in ran), strict=True))]


def propose(method: Method, space: Space, record: Record, wave: range) -> list[Parameters]:
    """The parameters of a wave."""
    propose_by: dict[str, Callable[[], list[Parameters]]] = {
        "grid": lambda: cells(space)[wave.start : wave.stop],
        "qmc": lambda: sobol(space, wave.start - len(record.known), len(wave)),
        "cmaes": lambda: _evolved(space, record, wave),
    }
    return propose_by.get(method.sampler, lambda: _by_optuna(method, space, record, wave))()


def _evolved(space: Space, record: Record, wave: range) -> list[Parameters]:
    """Its earlier proposals again, what became of them, and the next."""
    evolution = Evolution(space, record.known[0])
    for earlier in record.waves:
        evolution.ask(len(earlier))
        found = [record.scores(record.trials[number]) for number in earlier]
        evolution.tell([None if scores is None else scores[0] for scores in found])
    return evolution.ask(len(wave))


def _by_optuna(method: Method, space: Space, record: Record, wave: range) -> list[Parameters]:
    """A study in memory that holds the record; it is asked for a wave."""
    import optuna

    fields = {name: distribution(axis.mark) for name, axis in space.items()}
    with _quiet():
        aims = directions(len(method.costs))
        sampler = _sampler(method.sampler, wave.start, _startup(space, record))
        study = optuna.create_study(directions=aims, sampler=sampler)
        for trial in record.trials:
            scores, tried = record.scores(trial), trial.parameters
            if scores is None or not all(contains(a.mark, tried[n]) for n, a in space.items()):
                continue  # a value outside of its range says nothing to it
            study.add_trial(
                optuna.trial.create_trial(params=tried, distributions=fields, values=scores)
            )
        found = [study.ask(fields).params for _ in wave]
    return [
        {name: rounded(each[name], axis.mark) for name, axis in space.items()} for each in found
    ]


def _startup(space: Space, record: Record) -> int:
    """Random trials to begin with; the known ones are enough where one line is searched."""
    return len(record.known) + (WAVE if len(space) > 1 else 0)


def _sampler(kind: str, seed: int, startup: int) -> BaseSampler:
    from optuna import samplers

    if kind == "random":
        return samplers.RandomSampler(seed=seed)
    if kind == "gp":
        return samplers.GPSampler(seed=seed, n_startup_trials=startup)
    return samplers.TPESampler(
        seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna says of most of its samplers that they are experimental, each time one is made."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
    optuna.logging.set_verbosity(before)
