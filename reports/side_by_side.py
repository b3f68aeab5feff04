"""Two studies side by side: what each found, by how much they differ, and in what they differ.

Descriptive throughout: the two were not planned as one comparison, and no seed pairs them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from reports.contrast import Analysis, Arm
from reports.document import Chapter, Document, Report, chapter_of
from reports.formats import digits_of, fixed, interval, signed
from reports.origin import flatten
from reports.pooling import configuration, differing, tuned
from reports.stats import Estimate
from reports.table import Column, Table
from reports.welch import mean_difference
from sweeps.results import Study

ALL = "all arms"
KEYS = ("first", "second")
PLANNED = ("base", "task", "trials", "tuning_seeds", "tuning_steps", "lr_range", "gain", "match")
MADE_BY = ("code", "git_commit", "device", "dtype", "threads", "torch", "cpu_convolution")
SCHEMA: dict[str, Any] = {"arm": pl.String} | {
    f"{name}{part}": pl.Float64
    for name in ("first", "second", "change", "first_difference", "second_difference", "twofold")
    for part in ("", "_low", "_high")
}


def side_by_side(first: Study, second: Study, make: Callable[[Study], Report]) -> Document:
    """One document: the comparison, then each study by itself.

    Raises: ValueError where the two have different primary outcomes, or no arm in common.
    """
    if first.plan["primary"] != second.plan["primary"]:
        outcomes = (" ".join(map(str, s.plan["primary"].values())) for s in (first, second))
        raise ValueError(f"compare: the primary outcomes differ: {' and '.join(outcomes)}")
    names = _names(first, second)
    arms = [{arm["name"] for arm in study.plan["arms"]} for study in (first, second)]
    if not arms[0] & arms[1]:
        raise ValueError(f"compare: {names[0]} and {names[1]} have no arm of one name")
    reports = [make(first), make(second)]
    chapters = [
        chapter_of(report, name, key)
        for report, name, key in zip(reports, names, KEYS, strict=True)
    ]
    title = f"{names[0]} and {names[1]}"
    comparison = compare(reports[0].analysis, reports[1].analysis, names)
    return Document(title, (comparison, *chapters), (first, second))


def compare(a: Analysis, b: Analysis, names: Sequence[str]) -> Chapter:
    """The chapter on both; names are those of a and b."""
    shared = [arm.name for arm in a.arms if any(other.name == arm.name for other in b.arms)]
    limits = [
        f"Only in {name}: {', '.join(alone)}."
        for name, one in zip(names, (a, b), strict=True)
        if (alone := [arm.name for arm in one.arms if arm.name not in shared])
    ]
    found = [
        f"{arm}: {sentence}" for arm in shared if (sentence := _sentence(_of(a, arm), _of(b, arm)))
    ]
    differences = config_table(a.study, b.study, shared, names)
    if not len(differences.frame):
        limits.append("Nothing that was recorded of plans, configurations and code differs.")
    tables = (comparison_table(a, b, shared), differences)
    return Chapter(
        title="Side by side",
        found=(f"First: {names[0]}. Second: {names[1]}.", *found),
        limits=tuple(limits),
        tables=tuple(table for table in tables if len(table.frame)),
        methods="Arms of one name were matched. " + _how(a),
    )


# ------------------------------------------------------------------------------------- the numbers


def comparison_table(a: Analysis, b: Analysis, arms: Sequence[str]) -> Table:
    """By arm: both means, their difference; both contrasts, their difference."""
    rows = [_row(_of(a, arm), _of(b, arm), (a, b)) for arm in arms]
    better = "lower" if a.outcome.lower_is_better else "higher"
    what = str(a.outcome)
    mean, change = _digits(rows, "first", "second"), _digits(rows, "change")
    difference = _digits(rows, "first_difference", "second_difference")
    twofold = _digits(rows, "twofold")
    contrasts = (
        Column("difference: first", lambda r: signed(r["first_difference"], difference)),
        Column("second", lambda r: signed(r["second_difference"], difference)),
        Column("difference of differences", lambda r: signed(r["twofold"], twofold)),
        Column("95 % CI", lambda r: _interval(r, "twofold", twofold)),
    )
    several = any(row["twofold"] is not None for row in rows)
    return Table(
        name="comparison",
        caption=f"{what[:1].upper()}{what[1:]} ({better} is better) of two studies.",
        frame=pl.DataFrame(rows, schema=SCHEMA),
        columns=(
            Column("arm", lambda r: r["arm"], "left"),
            Column("first", lambda r: fixed(r["first"], mean)),
            Column("second", lambda r: fixed(r["second"], mean)),
            Column("second − first", lambda r: signed(r["change"], change)),
            Column("95 % CI", lambda r: _interval(r, "change", change)),
            *(contrasts if several else ()),
        ),
        notes=(
            "difference: to the baseline of its own study, paired by seed. CI: Welch's, the two "
            "studies' seeds taken as independent. Descriptive: no tests.",
        ),
    )


def twofold(a: Analysis, b: Analysis, arm: str) -> Estimate:
    """The arm's contrast in b minus that in a: (arm - baseline) of each seed are the samples."""
    return mean_difference(_paired(b, arm), _paired(a, arm))


def _paired(analysis: Analysis, arm: str) -> list[float]:
    own, base = _of(analysis, arm).values, analysis.baseline.values
    return [value - base[seed] for seed, value in own.items() if seed in base]


def _row(x: Arm, y: Arm, both: tuple[Analysis, Analysis]) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": x.name}
    change = mean_difference(list(y.values.values()), list(x.values.values()))
    found: dict[str, Estimate | None] = {"first": x.estimate, "second": y.estimate}
    found |= {"change": change}
    if x.contrast and y.contrast:
        found |= {"first_difference": x.contrast.difference}
        found |= {"second_difference": y.contrast.difference}
        found |= {"twofold": twofold(*both, x.name)}
    for name in ("first", "second", "change", "first_difference", "second_difference", "twofold"):
        e = found.get(name)
        row |= {name: e and e.mean, f"{name}_low": e and e.low, f"{name}_high": e and e.high}
    return row


def _digits(rows: Sequence[Mapping[str, Any]], *names: str) -> int:
    """Decimals of columns that are read against each other."""
    return digits_of(_bounds(row, name) for row in rows for name in names)


def _interval(row: Mapping[str, Any], name: str, digits: int) -> str:
    return interval(_bounds(row, name), digits, sign=True)


def _bounds(row: Mapping[str, Any], name: str) -> Estimate:
    return Estimate(0, None, row[f"{name}_low"], row[f"{name}_high"])


def _sentence(x: Arm, y: Arm) -> str:
    change = mean_difference(list(y.values.values()), list(x.values.values()))
    if change.mean is None:
        return "one of the two has no value."
    digits = digits_of([change])
    low, high = signed(change.low, digits), signed(change.high, digits)
    bounds = "" if change.low is None else f" (95 % CI {low} to {high})"
    return (
        f"{fixed(x.estimate.mean, digits)} and {fixed(y.estimate.mean, digits)}, "
        f"{signed(change.mean, digits)} from the first to the second{bounds}."
    )


def _how(a: Analysis) -> str:
    return (
        f"The outcome of both is {a.outcome}. Differences to the baseline are paired by seed "
        "within a study; between the studies seeds are taken as independent (Welch's interval). "
        "Nothing was tested: the two studies were not planned as one comparison."
    )


def _of(analysis: Analysis, arm: str) -> Arm:
    return next(one for one in analysis.arms if one.name == arm)


def _names(first: Study, second: Study) -> tuple[str, str]:
    names = str(first.plan["study"]), str(second.plan["study"])
    return names if names[0] != names[1] else (str(first.directory), str(second.directory))


# ------------------------------------------------------------------------------ what differs


def config_table(a: Study, b: Study, arms: Sequence[str], names: Sequence[str]) -> Table:
    """What was recorded of both and is not the same: plan, task, model, training, code."""
    rows = [("study", *each) for each in _differing(_planned(a), _planned(b))]
    rows += _of_arms(a, b, arms)
    rows += [("code", *each) for each in _differing(_made_by(a), _made_by(b))]
    schema = {"where": pl.String, "field": pl.String, "first": pl.String, "second": pl.String}
    return Table(
        name="configuration",
        caption=f"What differs between {names[0]} (first) and {names[1]} (second).",
        frame=pl.DataFrame(rows, schema=schema, orient="row"),
        columns=tuple(Column(name, lambda r, n=name: r[n], "left") for name in schema),
    )


def _of_arms(a: Study, b: Study, arms: Sequence[str]) -> list[tuple[str, str, str, str]]:
    """Of each arm; what is the same for all arms is said once."""
    by_arm = {arm: _differing(_trained(a, arm), _trained(b, arm)) for arm in arms}
    everywhere = [each for each in by_arm[arms[0]] if all(each in own for own in by_arm.values())
                  ] if len(arms) > 1 else []  # fmt: skip
    rows = [(ALL, *each) for each in everywhere]
    return rows + [
        (arm, *each) for arm, own in by_arm.items() for each in own if each not in everywhere
    ]


def _trained(study: Study, arm: str) -> dict[str, Any]:
    """An arm's configuration, with what tuning chose in the place of what was planned."""
    entry = next(each for each in study.plan["arms"] if each["name"] == arm)
    chosen = {name: _short(value) for name, value in tuned(study, arm).items()}
    return dict(flatten(configuration(entry))) | chosen


def _planned(study: Study) -> dict[str, Any]:
    said = {key: study.plan.get(key) for key in PLANNED if study.plan.get(key) is not None}
    return {**said, "seeds": study.plan["seeds"]}


def _made_by(study: Study) -> dict[str, Any]:
    said = study.provenance
    found = {key: said[key] for key in (*MADE_BY, "versions", "hardware") if key in said}
    codes = sorted(study.runs["code"].drop_nulls().unique())
    return {**found, **({"code": codes} if codes else {})}


def _differing(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(field, x, y) for field, (x, y) in differing(a, b).items()]


def _short(value: Any) -> str:
    number = isinstance(value, float) and math.isfinite(value)
    return f"{value:.4g}" if number else str(value)
