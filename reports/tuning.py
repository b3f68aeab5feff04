"""What the tuning of an arm tried, read from its trials: the basis of tables and figures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from reports.contrast import Analysis, Outcome, chosen_trial
from reports.rates import WITHOUT_SCORE
from sweeps.results import Study

RATE = "train.lr"
CLOSE = 0.05  # of the best score: what still counts as good; relative where less is better


@dataclass(frozen=True)
class Tried:
    """One trial."""

    number: int
    parameters: dict[str, Any]
    value: float | None  # the larger the better; its mean over tuning seeds
    state: str
    costs: dict[str, float]
    reason: str

    @property
    def lr(self) -> float | None:
        """Its rate, where rates were searched."""
        return self.parameters.get(RATE)

    @property
    def whole(self) -> bool:
        """Whether it was trained to the end of a trial."""
        return self.value is not None and self.state != "pruned"


@dataclass(frozen=True)
class Sensitivity:
    """How an arm's score depends on its rate, all else equal."""

    given: Tried | None
    chosen: Tried | None  # where more than the rate was searched it may differ in more
    tried: tuple[Tried, ...]  # by rate
    good: tuple[float, float] | None  # rates about the best one that come close to it
    decades: float | None  # between those


def trials_of(study: Study, arm: str) -> list[Tried]:
    """All of an arm, by number."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in study.trials.filter(pl.col("arm") == arm).iter_rows(named=True):
        found.setdefault(row["number"], []).append(row)
    return [_tried(found[number]) for number in sorted(found)]


def _tried(rows: list[dict[str, Any]]) -> Tried:
    first = rows[0]
    values = [row["value"] for row in rows if row["value"] is not None]
    shown = first["state"] not in WITHOUT_SCORE and values and all(map(math.isfinite, values))
    return Tried(
        number=first["number"],
        parameters=json.loads(first["parameters"] or "{}"),
        value=math.fsum(values) / len(values) if shown else None,
        state=first["state"],
        costs=json.loads(first["costs"] or "{}"),
        reason=first["reason"] or "",
    )


def rate_curve(study: Study, arm: str) -> list[Tried]:
    """The trials that differ in their rate alone, by rate: the largest such set."""
    groups: dict[str, list[Tried]] = {}
    for tried in trials_of(study, arm):
        if tried.lr is not None:
            others = {name: v for name, v in tried.parameters.items() if name != RATE}
            groups.setdefault(json.dumps(others, sort_keys=True), []).append(tried)
    largest = max(groups.values(), key=len, default=[])
    return sorted(largest, key=lambda tried: (tried.lr or 0.0, tried.number))


def sensitivity(analysis: Analysis, arm: str) -> Sensitivity | None:
    """Of one arm; None where it has no curve over rates."""
    curve = [tried for tried in rate_curve(analysis.study, arm) if tried.whole]
    if len({tried.lr for tried in curve}) < 2:
        return None
    number = chosen_trial(analysis.study, arm)
    good = _good(curve, analysis.outcome)
    return Sensitivity(
        given=next((tried for tried in curve if tried.number == 0), None),
        chosen=next((o for o in trials_of(analysis.study, arm) if o.number == number), None),
        tried=tuple(curve),
        good=good,
        decades=math.log10(good[1] / good[0]) if good else None,
    )


def _good(curve: list[Tried], outcome: Outcome) -> tuple[float, float] | None:
    """The stretch of rates about the best one in which every score tried is close to its."""
    scores = [-math.inf if one.value is None else one.value for one in curve]
    best = max(range(len(curve)), key=scores.__getitem__)
    top = scores[best]
    bar = top - CLOSE * (abs(top) if outcome.lower_is_better else 1.0)
    low = high = best
    while low > 0 and scores[low - 1] >= bar:
        low -= 1
    while high < len(curve) - 1 and scores[high + 1] >= bar:
        high += 1
    ends = curve[low].lr, curve[high].lr
    return (ends[0], ends[1]) if ends[0] and ends[1] else None


def score_name(analysis: Analysis) -> str:
    """What trials are judged by."""
    objectives = (analysis.study.plan.get("search") or {}).get("objectives")
    return Outcome(objectives[0]).tuning_score if objectives else analysis.outcome.tuning_score


def costs_of(analysis: Analysis) -> list[str]:
    """What is to be small beside the score."""
    return list(((analysis.study.plan.get("search") or {}).get("objectives") or [])[1:])


def searched(analysis: Analysis) -> dict[str, Mapping[str, Any]]:
    """By arm: what search.json says, of arms in which more than the rate was searched."""
    found = analysis.study.searched
    return {arm: said for arm, said in found.items() if len(said.get("space") or {}) > 1}
