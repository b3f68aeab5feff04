"""The plan of a study: what will be trained, tuned and compared, written down before training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sweeps.atomic import slug
from sweeps.axes import RATE
from sweeps.experiment import Experiment
from sweeps.growth import parameters_by_length
from sweeps.search import rates_tried, space_of
from sweeps.trial import DEFAULT, TUNING_SEED, Method

SCHEMA = 1
ALPHA = 0.05
BASELINE = "baseline"


@dataclass(frozen=True)
class PlannedArm:
    """One arm: its experiment (seed and tuned fields still to come) and what it changes."""

    name: str
    experiment: Experiment
    changed: tuple[str, ...] = ()
    parameters: int = 0
    state_bytes: int = 0
    strength: float | None = None  # treatment strength; None where no kernel is changed

    def to_dict(self) -> dict[str, Any]:
        """The arm in plan.json."""
        model, length = self.experiment.model, self.experiment.task.context.length
        return {
            "name": self.name,
            "changed": list(self.changed),
            "parameters": self.parameters,
            "state_bytes": self.state_bytes,
            "treatment_strength": self.strength,
            "parameters_by_length": parameters_by_length(model, length),
            "experiment": self.experiment.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A study before it runs. The first arm is the baseline."""

    command: str
    words: tuple[str, ...]  # those that decide what runs
    base: str
    task: str
    settings: tuple[str, ...]
    arms: tuple[PlannedArm, ...]
    seeds: tuple[int, ...]
    trials: int
    gain: str = "keep"
    match: str = "none"
    method: Method = DEFAULT
    notes: tuple[str, ...] = field(default=())
    suite: dict[str, Any] | None = None  # whose question it is, and what was reported on it
    margin: float | None = None  # named before training: a difference within it is none

    @property
    def primary(self) -> dict[str, str]:
        """The one outcome that is tested."""
        metric = self.arms[0].experiment.task.metric
        return {"metric": metric, "split": "test", "slice": "all"}

    @property
    def name(self) -> str:
        """Slug of the words and 8 hex digits of the plan: the same command, the same study."""
        identity = {
            "arms": [[arm.name, arm.experiment.canonical()] for arm in self.arms],
            "seeds": list(self.seeds),
            "trials": self.trials,
            **self._search_identity(),
            **self._margin(),
        }
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        return f"{slug('-'.join(self.words).replace('=', '-') or self.base)[:60]}-{digest[:8]}"

    def _search_identity(self) -> dict[str, Any]:
        """What a search adds to a tuning of the rate alone."""
        method = self.method
        if method == DEFAULT:
            return {}
        points = {name: axis.points for name, axis in (method.space or {}).items()}
        return {"search": [method.to_dict(), points]}

    def _margin(self) -> dict[str, float]:
        return {} if self.margin is None else {"margin": self.margin}

    @property
    def smallest_p(self) -> float:
        """The smallest two-sided p that n paired seeds can reach: 2^(1 - n)."""
        return 2.0 ** (1 - len(self.seeds))

    def noting(self, *notes: str) -> StudyPlan:
        """The plan with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def to_dict(self) -> dict[str, Any]:
        """plan.json."""
        baseline = self.arms[0].experiment
        return {
            "schema": SCHEMA,
            "study": self.name,
            "command": self.command,
            "words": list(self.words),
            "base": self.base,
            "task": self.task,
            "settings": list(self.settings),
            **({} if self.suite is None else {"suite": self.suite}),
            "primary": {**self.primary, **self._margin()},
            "chance": baseline.task.chance_of(baseline.task.metric),
            "floors": baseline.task.floors if baseline.task.metric == "accuracy" else {},
            "seeds": list(self.seeds),
            "trials": self.trials,
            **self._tuning(),
            "gain": self.gain,
            "match": self.match,
            "smallest_p": self.smallest_p,
            "notes": list(self.notes),
            "arms": [arm.to_dict() for arm in self.arms],
        }

    def _tuning(self) -> dict[str, Any]:
        """How every arm is tuned: the same budget for each."""
        if not self.trials:
            return {"tuning_seeds": [], "tuning_steps": None, "lr_range": None}
        experiment, method = self.arms[0].experiment, self.method
        space = space_of(experiment, method)
        found = {
            "tuning_seeds": [TUNING_SEED + seed for seed in range(method.seeds)],
            "tuning_steps": max(1, experiment.train.steps // 2),
            "lr_range": list(rates_tried(experiment, space[RATE])) if RATE in space else None,
        }
        return found if method == DEFAULT else {**found, "search": method.to_dict()}


def decided(content: dict[str, Any]) -> dict[str, Any]:
    """What of a plan.json the study's name stands for; the rest is said about it."""
    arms = [{name: arm[name] for name in ("name", "experiment")} for arm in content["arms"]]
    for arm in arms:
        arm["experiment"]["task"].pop("path", None)
    margin = content.get("primary", {}).get("margin")
    named = {} if margin is None else {"margin": margin}
    return {"seeds": content["seeds"], "trials": content["trials"], **named, "arms": arms}


def seeds_for(num_arms: int) -> int:
    """The fewest seeds n with arms * 2^(1 - n) < 0.05: below, Holm can find nothing."""
    n = 2
    while num_arms * 2.0 ** (1 - n) >= ALPHA:
        n += 1
    return n


def underpowered(num_arms: int, seeds: Sequence[int]) -> bool:
    """Whether no arm could reach significance however large its effect."""
    return num_arms * 2.0 ** (1 - len(seeds)) >= ALPHA
