"""What a search says once it is over: which fields mattered, which trials no other beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweeps.space import Space, contains, distribution
from sweeps.trial import Trial

FEWEST = 10  # trials: the importance of fewer is a throw of dice


def verdict(space: Space, trials: Sequence[Trial]) -> dict[str, Any]:
    """Of one arm, for search.json."""
    return {
        "space": {name: str(axis) for name, axis in space.items()},
        "importance": importance(space, trials),
        "front": front(trials),
    }


def front(trials: Sequence[Trial]) -> list[int]:
    """The finished trials that no other one beats: better in one objective, in none worse.

    Of equals the first. By number of the trial; the best score first.
    """
    found = [trial for trial in trials if trial.state == "finished"]
    best: list[Trial] = []
    for trial in sorted(found, key=lambda t: (-t.value, t.costs, t.number)):
        if not any(_no_worse(other, trial) for other in best):
            best.append(trial)
    return [trial.number for trial in best]


def _no_worse(one: Trial, other: Trial) -> bool:
    pairs = zip(one.costs, other.costs, strict=True)
    return one.value >= other.value and all(a <= b for a, b in pairs)


def importance(space: Space, trials: Sequence[Trial]) -> dict[str, float] | None:
    """Share of each axis in what tells the best tenth from all trials (PED-ANOVA).

    None where one axis was searched, or where too few trials ran whole.
    Source: Watanabe et al. 2023, arXiv:2304.10255.
    """
    told = [t for t in trials if t.state == "finished" and _inside(space, t)]
    if len(space) < 2 or len(told) < FEWEST:
        return None
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

    study = optuna.create_study(direction="maximize")
    fields = {name: distribution(axis.mark) for name, axis in space.items()}
    for trial in told:
        kept = {name: trial.parameters[name] for name in space}
        study.add_trial(
            optuna.trial.create_trial(params=kept, distributions=fields, value=trial.value)
        )
    found = PedAnovaImportanceEvaluator().evaluate(study)
    total = sum(found.values())
    return {name: found.get(name, 0.0) / total for name in space} if total else None


def _inside(space: Space, trial: Trial) -> bool:
    return all(contains(axis.mark, trial.parameters[name]) for name, axis in space.items())
