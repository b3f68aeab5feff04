"""What to try next: Optuna's samplers, each from the record of earlier waves alone.

    tpe      tree-structured Parzen estimators: the default, many fields or few
    gp       a Gaussian process: few fields, few trials
    cmaes    covariance matrix adaptation: real numbers, many trials; two fields at least
    qmc      a scrambled Sobol sequence: even coverage, whatever is found
    random   independent draws
    grid     every cell once

A sampler is made anew for every wave and shown the record, so it keeps no state of its own; where
it would (qmc counts, cmaes adapts), its earlier proposals are replayed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweeps.archive import directions
from sweeps.pruners import WAVE
from sweeps.space import Space, cells, contains, distribution, moved_into, rounded
from sweeps.trial import Method, Trial
from zoo.spec import Choice, Range

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler

REPLAYED = ("qmc", "cmaes")
BLIND = ("qmc", "random", "grid")  # what they propose depends on no score
AHEAD = 64  # trials of a wave that nothing is learned from: many may run at once
SEED = 0
Parameters = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """What a proposal may depend on: trials by number, and how they came in waves."""

    known: Sequence[Parameters]  # the first wave
    waves: Sequence[range]  # those before, without the first
    trials: Sequence[Trial]


def propose(method: Method, space: Space, record: Record, wave: range) -> list[Parameters]:
    """The parameters of a wave: the same however often it is asked."""
    if method.sampler == "grid":
        return cells(space)[wave.start : wave.stop]
    with _quiet():
        return _Proposer(method, space, record).next(wave)


class _Proposer:
    """An Optuna study in memory, brought to where a wave begins."""

    def __init__(self, method: Method, space: Space, record: Record) -> None:
        self._method, self._space, self._record = method, space, record
        self._ordinal = method.sampler in REPLAYED  # they know numbers only
        self._fields = {name: distribution(self._mark(name)) for name in space}

    def next(self, wave: range) -> list[Parameters]:
        """Ask for a wave."""
        import optuna

        aims = directions(len(self._method.costs))
        study = optuna.create_study(directions=aims, sampler=self._sampler(wave.start))
        self._tell_record(study)
        found = [self._decoded(study.ask(self._fields).params) for _ in wave]
        return [
            {name: rounded(each[name], axis.mark) for name, axis in self._space.items()}
            for each in found
        ]

    def _sampler(self, start: int) -> BaseSampler:
        """Optuna's; the first proposals are random where more than a line is to be searched."""
        from optuna import samplers

        first = len(self._record.known) + (WAVE if len(self._space) > 1 else 0)
        kind = self._method.sampler
        if kind == "gp":
            return samplers.GPSampler(seed=start, n_startup_trials=first)
        if kind == "cmaes":
            return samplers.CmaEsSampler(
                seed=SEED, popsize=WAVE, x0=self._start(), with_margin=True, n_startup_trials=0
            )
        if kind == "qmc":
            return samplers.QMCSampler(seed=SEED, scramble=True)
        if kind == "random":
            return samplers.RandomSampler(seed=start)
        return samplers.TPESampler(
            seed=start, n_startup_trials=first, multivariate=True, constant_liar=True
        )

    def _tell_record(self, study: optuna.Study) -> None:
        replayed = self._record.waves if self._method.sampler in REPLAYED else ()
        told = {number for wave in replayed for number in wave}
        for trial in self._record.trials:
            if trial.number not in told:
                self._add(study, trial)
        for wave in replayed:
            self._replay(study, wave)

    def _add(self, study: optuna.Study, trial: Trial) -> None:
        """A trial of the record; one that failed, or lies outside of the ranges, says nothing."""
        import optuna

        inside = all(contains(axis.mark, trial.parameters[n]) for n, axis in self._space.items())
        if trial.state == "failed" or not inside:
            return
        old = optuna.trial.create_trial(
            params=self._encoded(trial.parameters),
            distributions=self._fields,
            values=self._values(trial),
        )
        study.add_trial(old)

    def _replay(self, study: optuna.Study, wave: range) -> None:
        """Ask for an earlier wave again, and tell what became of it."""
        from optuna.trial import TrialState

        by_number = {trial.number: trial for trial in self._record.trials}
        asked = [study.ask(self._fields) for _ in wave]
        for number, again in zip(wave, asked, strict=True):
            if by_number[number].state == "failed":
                study.tell(again, state=TrialState.FAIL)
            else:
                study.tell(again, self._values(by_number[number]))

    def _values(self, trial: Trial) -> list[float]:
        """Its score and its costs; what could not be built has the worst of all that was seen."""
        told = [t for t in self._record.trials if t.state not in ("failed", "infeasible")]
        if trial.state != "infeasible":
            return [trial.value, *trial.costs]
        worst = [max(costs) for costs in zip(*(t.costs for t in told), strict=True)]
        least = min([trial.value, *(t.value for t in told)])
        return [least, *(worst or [0.0] * len(self._method.costs))]

    def _start(self) -> Parameters:
        given = self._record.known[0] if self._record.known else {}
        inside = {n: moved_into(axis.mark, given.get(n)) for n, axis in self._space.items()}
        return self._encoded(inside)

    def _mark(self, name: str) -> Range | Choice:
        mark = self._space[name].mark
        if self._ordinal and isinstance(mark, Choice):
            return Range(0, len(mark.values) - 1)
        return mark

    def _encoded(self, parameters: Mapping[str, Any]) -> Parameters:
        return {
            name: axis.mark.values.index(parameters[name])
            if self._ordinal and isinstance(axis.mark, Choice)
            else parameters[name]
            for name, axis in self._space.items()
        }

    def _decoded(self, parameters: Mapping[str, Any]) -> Parameters:
        return {
            name: axis.mark.values[parameters[name]]
            if self._ordinal and isinstance(axis.mark, Choice)
            else parameters[name]
            for name, axis in self._space.items()
        }


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna warns that most of its samplers are experimental, each time that one is made."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
