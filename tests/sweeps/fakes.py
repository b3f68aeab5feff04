"""Searches whose trials have made-up scores: what a sampler or a pruner does, without training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from sweeps.experiment import Experiment, Result, Score
from sweeps.pruners import WAVE
from sweeps.samplers import Record, propose
from sweeps.searched import Searched, Taken, read_space
from sweeps.space import Space
from sweeps.trial import TUNING_SEED, Method, Trial
from sweeps.words import Sorted, split
from zoo.spec import Choice

Scores = Callable[[Mapping[str, Any]], tuple[float, ...] | None]  # None: cannot be built


def fake_result(
    made: Experiment,
    value: float | None = None,
    status: Any = "finished",
    parameters: int = 1,
    state_bytes: int = 1,
    **metrics: float,
) -> Result:
    """A run's result on the validation split."""
    metrics = {"accuracy": value} if value is not None else metrics
    return Result(
        fingerprint=made.fingerprint,
        status=status,
        scores=tuple(Score("validation", "all", *one) for one in metrics.items()),
        parameters=parameters,
        state_bytes=state_bytes,
        steps=1,
        seconds=1.0,
        weights="",
        identity={},
    )


def searching(made: Experiment, *words: str, search: str = "", fix: str = "") -> Searched:
    """What these ranges in the place of values make of an experiment."""
    nothing = Sorted({}, (), (), (), ())
    names = [tuple(filter(None, text.split(","))) for text in (search, fix)]
    return read_space(made, Taken(nothing, tuple(split(words))), *names)


def simulate(method: Method, space: Space, scores: Scores, trials: int) -> list[Trial]:
    """A search without experiments: wave after wave, from the middle of the space."""
    known = [] if method.sampler == "grid" else [first_of(space)]
    found: list[Trial] = []
    waves: list[range] = []
    for start in count(len(known), WAVE):
        wave = range(start, min(start + WAVE, trials))
        if not found and known:
            found = [trial_of(0, known[0], scores)]
        if not wave:
            return found
        proposed = propose(method, space, Record(known, waves, found), wave)
        if method.sampler != "gp":  # slow; the same is asserted of whole searches
            assert proposed == propose(method, space, Record(known, waves, found), wave)
        found += [trial_of(n, p, scores) for n, p in zip(wave, proposed, strict=True)]
        waves.append(wave)
    raise AssertionError


def first_of(space: Space) -> dict[str, Any]:
    """The lowest value of each axis."""
    marks = {name: axis.mark for name, axis in space.items()}
    return {n: m.values[0] if isinstance(m, Choice) else m.low for n, m in marks.items()}


def trial_of(number: int, parameters: dict[str, Any], scores: Scores) -> Trial:
    """A trial with what these parameters score, and cost."""
    got = scores(parameters)
    if got is None:
        return Trial(number, parameters, TUNING_SEED, 0.0, "infeasible")
    value, *costs = got
    return Trial(number, parameters, TUNING_SEED, value, "finished", costs=tuple(costs))
