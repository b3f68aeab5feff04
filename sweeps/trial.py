"""A trial of a search, and its row in the record."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from sweeps.experiment import Experiment
from sweeps.space import Space

TUNING_SEED = 10_000  # tuning seeds are numbered from here: disjoint from the reported ones
Seen = tuple[float, float]  # what it is judged by, and the loss that decides between equals


@dataclass(frozen=True)
class Method:
    """By which means configurations are searched, and what for."""

    sampler: str = "tpe"
    pruner: str = "none"
    objectives: tuple[str, ...] = ()  # the first is the score; none: what the task leads with
    seeds: int = 1  # that a trial is trained with
    space: Space | None = None  # None: the rate, over the range that its field carries

    def to_dict(self) -> dict[str, Any]:
        """What a plan says of it."""
        axes = {name: str(axis) for name, axis in (self.space or {}).items()}
        return {
            "sampler": self.sampler,
            "pruner": self.pruner,
            "objectives": list(self.objectives),
            "seeds": self.seeds,
            "space": axes,
        }

    @property
    def costs(self) -> tuple[str, ...]:
        """What is to be small beside a good score."""
        return self.objectives[1:]


DEFAULT = Method()


@dataclass(frozen=True)
class Trial:
    """One tuned configuration and what it scored on validation data."""

    number: int
    parameters: dict[str, Any]  # by the name of their axis
    seed: int  # the first
    value: float  # what the task leads with, negated where less is better; its mean over seeds
    state: str  # finished | diverged | pruned | infeasible | failed
    loss: float | None = None  # decides between equal values: no answer is whole at first
    shown: tuple[tuple[Seen, ...], ...] = ()  # by stage and seed
    costs: tuple[float, ...] = ()
    steps: int | None = None
    seconds: float | None = None
    reason: str = ""

    def dump(self) -> str:
        """JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Trial:
        """The inverse of `dump`."""
        fields = json.loads(text)
        shown = tuple(tuple((v, loss) for v, loss in stage) for stage in fields["shown"])
        return cls(**{**fields, "shown": shown, "costs": tuple(fields["costs"])})


@dataclass(frozen=True)
class Tuned:
    """What the tuning of one arm chose."""

    experiment: Experiment
    trial: int | None = None
    trials: tuple[Trial, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A run to be made: a trial, with one of its seeds, to its end or to a step on the way."""

    number: int
    parameters: dict[str, Any]
    experiment: Experiment
    until: int | None = None


def rank(trial: Trial) -> tuple[bool, float, tuple[float, ...], float, int]:
    """The larger the better: a trial that ended, its score, less cost, less loss, tried earlier."""
    loss = math.inf if trial.loss is None else trial.loss
    costs = tuple(-cost for cost in trial.costs)
    return trial.state == "finished", trial.value, costs, -loss, -trial.number


def mean_seen(seen: Sequence[Seen]) -> Seen:
    """Over seeds."""
    return fmean(value for value, _ in seen), fmean(loss for _, loss in seen)


def trial_rows(arm: str, trial: Trial, costs: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rows of trials.parquet: one for each seed of a trial."""
    common = {
        "arm": arm,
        "number": trial.number,
        "parameters": json.dumps(trial.parameters),
        "state": trial.state,
        "costs": json.dumps(dict(zip(costs, trial.costs, strict=False))),
        "steps": trial.steps,
        "seconds": trial.seconds,
        "reason": trial.reason,
    }
    values = [value for value, _ in trial.shown[-1]] if trial.shown else [trial.value]
    return [{**common, "seed": trial.seed + i, "value": v} for i, v in enumerate(values)]
