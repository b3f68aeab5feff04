"""Slices of the test split as curves: accuracy over a factor of the data, `gap=2`, `gap=4..7`.

A slice is named by one field or by several, `length=128 num_pairs=32`; a curve varies one of them.

Axes: N places of a curve, S seeds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from reports.contrast import Analysis, by_seed
from reports.stats import Estimate, mean_interval

# Numbers of things that have no order: a line between them would say what is not so.
CODES = frozenset({"root", "part", "first_attribute"})
METRICS = ("accuracy", "loss")  # of slices that were not scored by the outcome's own
NAMED = re.compile(r"[\w.-]+=\S*(?: [\w.-]+=\S*)*")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
RANGE = re.compile(r"(\d+)\.\.(\d+)")
LOGARITHMIC = 8  # ratio of the largest place to the smallest that asks for a logarithmic axis
Fields = tuple[tuple[str, str], ...]  # of a slice: name and value


@dataclass(frozen=True)
class Place:
    """A value of a factor: what it is called, and where it is drawn."""

    text: str
    number: float | None  # None where it is no number

    @property
    def name(self) -> str:
        return RANGE.sub(r"\1–\2", self.text)


@dataclass(frozen=True)
class Factor:
    """A metric over the values of one field, all else equal, for every arm."""

    name: str
    metric: str
    places: tuple[Place, ...]  # rising where they are numbers
    values: Mapping[str, tuple[Mapping[int, float], ...]]  # arm -> at each place: by seed
    within: str = ""  # what else these slices have in common, `length=128`

    @property
    def numeric(self) -> bool:
        """Whether the places have an order and a distance."""
        return self.name not in CODES and all(p.number is not None for p in self.places)

    @property
    def numbers(self) -> tuple[float, ...]:
        """Where each place is on the axis: of a range its middle in log2."""
        return tuple(float(p.number or 0.0) for p in self.places)

    @property
    def logarithmic(self) -> bool:
        """Whether the places are told apart better by their ratios: ranges, and what doubles."""
        low = self.numbers[0]
        if low <= 0 or len(self.places) < 2:
            return False
        ranged = all(RANGE.fullmatch(place.text) for place in self.places)
        return ranged or self.numbers[-1] / low >= LOGARITHMIC

    @cached_property
    def estimates(self) -> Mapping[str, tuple[Estimate, ...]]:
        """Arm -> mean and t interval over seeds at each place."""
        return {
            arm: tuple(mean_interval(list(one.values())) for one in row)
            for arm, row in self.values.items()
        }

    def means(self, arm: str) -> list[tuple[float, float]]:
        """The arm's curve, (place, mean), where it has a value."""
        pairs = zip(self.numbers, self.estimates[arm], strict=True)
        return [(x, e.mean) for x, e in pairs if e.mean is not None]


def factors(analysis: Analysis) -> tuple[Factor, ...]:
    """Every field that the slices of the test split vary, by name; numbers first."""
    rows = analysis.study.results.filter((pl.col("split") == "test") & (pl.col("slice") != "all"))
    metric = _metric(analysis, rows)
    if metric is None:
        return ()
    parts = rows.filter(pl.col("metric") == metric).partition_by("slice", as_dict=True)
    by_names: dict[tuple[str, ...], dict[Fields, pl.DataFrame]] = {}
    for (name,), frame in parts.items():
        fields = _fields(str(name))
        if fields:
            by_names.setdefault(tuple(n for n, _ in fields), {})[fields] = frame
    found = [f for group in by_names.values() for f in _vary(analysis, metric, group)]
    return tuple(sorted(found, key=lambda f: (not f.numeric, f.name, _setting(f.within))))


def _setting(within: str) -> list[tuple[bool, float, str]]:
    """A key that sorts `length=64` before `length=128`."""
    return [_order(place_of(part.partition("=")[2])) for part in within.split(" ")]


def _metric(analysis: Analysis, rows: pl.DataFrame) -> str | None:
    had = set(rows["metric"].unique())
    wanted = dict.fromkeys((analysis.outcome.metric, *METRICS))
    return next((metric for metric in wanted if metric in had), None)


def _fields(name: str) -> Fields:
    """(("gap", "2"),) of "gap=2"; nothing where a name is of another kind."""
    if not NAMED.fullmatch(name):
        return ()
    pairs = [part.partition("=") for part in name.split(" ")]
    return tuple((field, value) for field, _, value in pairs)


def _vary(
    analysis: Analysis, metric: str, group: Mapping[Fields, pl.DataFrame]
) -> Iterator[Factor]:
    """The curves of slices that are named by the same fields, one for each field that varies."""
    names = [name for name, _ in next(iter(group))]
    for i, name in enumerate(names):
        rest: dict[str, dict[str, pl.DataFrame]] = {}
        for fields, frame in group.items():
            others = " ".join(f"{n}={v}" for n, v in fields if n != name)
            rest.setdefault(others, {})[fields[i][1]] = frame
        values = [value for frames in rest.values() for value in frames]
        if len(names) > 1 and len(set(values)) == len(values):  # all vary together
            rest = {"": {v: frame for frames in rest.values() for v, frame in frames.items()}}
        for within, frames in rest.items():
            if len(frames) > 1:
                yield _factor(analysis, metric, name, frames, within)


def _factor(
    analysis: Analysis, metric: str, name: str, frames: Mapping[str, pl.DataFrame], within: str
) -> Factor:
    places = sorted((place_of(text) for text in frames), key=_order)
    values = {
        arm.name: tuple(_seeds(analysis, metric, arm.name, frames[p.text]) for p in places)
        for arm in analysis.arms
    }
    return Factor(name, metric, tuple(places), values, within)


def place_of(text: str) -> Place:
    """A number is its own place, `16..31` lies at the middle of [16, 32) in log2."""
    if found := RANGE.fullmatch(text):
        low, high = (int(part) for part in found.groups())
        return Place(text, math.sqrt(max(low, 1) * (high + 1)))
    return Place(text, float(text) if NUMBER.fullmatch(text) else None)


def _order(place: Place) -> tuple[bool, float, str]:
    return place.number is None, place.number or 0.0, place.text


def _seeds(analysis: Analysis, metric: str, arm: str, frame: pl.DataFrame) -> dict[int, float]:
    """By seed. A run that diverged was not scored by slice: it counts with the chance score."""
    planned = set(analysis.study.plan["seeds"])
    found = by_seed(frame.filter((pl.col("arm") == arm) & pl.col("seed").is_in(planned)))
    if metric != analysis.outcome.metric or analysis.chance is None:
        return found
    lost = set(diverged(analysis, arm)) & planned
    return dict(sorted((dict.fromkeys(lost, analysis.chance) | found).items()))


def diverged(analysis: Analysis, arm: str) -> Sequence[int]:
    """The seeds of an arm whose runs diverged."""
    runs = analysis.study.runs
    rows = runs.filter((pl.col("arm") == arm) & (pl.col("status") == "diverged"))
    return sorted(rows["seed"])


def task_of(analysis: Analysis) -> Mapping[str, Any]:
    """The baseline's task, as the plan has it; empty where it has none."""
    arms = {entry["name"]: entry for entry in analysis.study.plan["arms"]}
    return (arms[analysis.baseline.name].get("experiment") or {}).get("task") or {}
