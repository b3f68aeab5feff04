"""The chapter on several tasks together: the same arms on each, and what they say as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from reports.across import Across, NothingSharedError, across
from reports.contrast import Analysis, Arm
from reports.document import Chapter
from reports.formats import digits_of, fixed, interval, mean_and_half, plural, signed
from reports.stats import Estimate
from reports.study_figures import Picture
from reports.table import Column, Shown, Strong, Table
from reports.venues import Name


def together(
    analyses: Sequence[Analysis],
    names: Sequence[str],
    *,
    limits: Sequence[str] = (),
    draw: bool = True,
    look: Name = "plain",
) -> Chapter:
    """What all tasks say together; names are those of the tasks.

    Where on each task some arm has no run, nothing is said of them as one: no aggregates.
    """
    found = _across(analyses, names)
    aggregates = () if found is None else (across_table(found),)
    return Chapter(
        title="Across tasks",
        key="across",
        found=tuple(_sentence(arm, found, analyses) for arm in _others(analyses)),
        limits=(*_left_out(found), *limits),
        tables=(by_task_table(analyses, names), *aggregates),
        pictures=_pictures(found, analyses, names, look) if draw else (),
        methods=_methods(analyses, aggregated=found is not None),
    ).named_apart()


def _across(analyses: Sequence[Analysis], names: Sequence[str]) -> Across | None:
    """The aggregates; None where there is no task on which every arm has a run."""
    try:
        return across(
            scores_of(analyses, names),
            baseline=analyses[0].baseline.name,
            lower_is_better=analyses[0].outcome.lower_is_better,
        )
    except NothingSharedError:
        return None


def _left_out(found: Across | None) -> tuple[str, ...]:
    if found is None:
        return ("Nothing is said of all tasks together: on each of them an arm has no run.",)
    if not found.left_out:
        return ()
    left = ", ".join(found.left_out)
    return (f"Without {left} in what is said across tasks: an arm has no run there.",)


def _pictures(
    found: Across | None, analyses: Sequence[Analysis], names: Sequence[str], look: Name
) -> tuple[Picture, ...]:
    from reports.across_figures import pictures_across

    values = [value for a in analyses for arm in a.arms for value in arm.values.values()]
    shares = all(0 <= value <= 1 for value in values)  # what the thresholds of a profile span
    profiles = found.profiles if found is not None and shares else ()
    return pictures_across(analyses, names, profiles, look)


def scores_of(
    analyses: Sequence[Analysis], names: Sequence[str]
) -> dict[str, dict[str, list[float]]]:
    """scores[arm][task]: the primary outcome by seed."""
    return {
        arm.name: {
            name: list(_of(analysis, arm.name).values.values())
            for name, analysis in zip(names, analyses, strict=True)
        }
        for arm in analyses[0].arms
    }


# ------------------------------------------------------------------------------------- tables


def by_task_table(analyses: Sequence[Analysis], names: Sequence[str]) -> Table:
    """Arms by tasks: the mean, and the difference to the baseline; bold where it was shown."""
    rows = []
    for arm in analyses[0].arms:
        row: dict[str, Any] = {"arm": arm.name}
        for name, analysis in zip(names, analyses, strict=True):
            row |= _cells(name, _of(analysis, arm.name))
        rows.append(row)
    columns = [Column("arm", lambda r: r["arm"], "left")]
    for name, analysis in zip(names, analyses, strict=True):
        columns += _columns(name, analysis)
    outcome = analyses[0].outcome
    better = "lower" if outcome.lower_is_better else "higher"
    what = str(outcome)
    return Table(
        name="by-task",
        caption=f"{what[:1].upper()}{what[1:]} ({better} is better) on each task.",
        frame=pl.DataFrame(rows, infer_schema_length=None),
        columns=tuple(columns),
        notes=(
            "mean ± half of the 95 % t interval over seeds; difference: to the baseline, paired by "
            "seed; bold: p (Holm, within the task) < 0.05.",
        ),
    )


def _columns(name: str, analysis: Analysis) -> tuple[Column, Column]:
    """Of one task."""
    m = digits_of(arm.estimate for arm in analysis.arms)
    d = digits_of(arm.contrast.difference for arm in analysis.others if arm.contrast)
    return (
        Column("mean", lambda r: _mean(r, name, m), group=name),
        Column("difference", lambda r: _difference(r, name, d), group=name),
    )


def across_table(found: Across) -> Table:
    """By arm: the mean and the IQM over all runs, and how often it beats the baseline."""
    better = {each.arm: each.probability for each in found.improvements}
    rows = []
    for each in found.aggregates:
        row: dict[str, Any] = {"arm": each.arm, "runs": each.runs}
        said = {"mean": each.mean, "iqm": each.iqm, "improvement": better.get(each.arm)}
        for name, e in said.items():
            row |= {name: e and e.mean, f"{name}_low": e and e.low, f"{name}_high": e and e.high}
        rows.append(row)
    schema: dict[str, Any] = {"arm": pl.String, "runs": pl.Int64}
    schema |= {
        f"{name}{part}": pl.Float64
        for name in ("mean", "iqm", "improvement")
        for part in ("", "_low", "_high")
    }
    intervals = any(row["iqm_low"] is not None for row in rows)
    return Table(
        name="aggregates",
        caption=f"All tasks together ({len(found.tasks)}).",
        frame=pl.DataFrame(rows, schema=schema),
        columns=(
            Column("arm", lambda r: r["arm"], "left"),
            Column("runs", lambda r: str(r["runs"])),
            *_estimate(rows, "mean", "mean", shown=intervals),
            *_estimate(rows, "iqm", "IQM", shown=intervals),
            *_estimate(rows, "improvement", f"P(better than {found.baseline})", shown=intervals),
        ),
        notes=_notes(found, intervals=intervals),
    )


def _estimate(
    rows: Sequence[dict[str, Any]], name: str, title: str, *, shown: bool
) -> list[Column]:
    digits = digits_of(_bounds(row, name) for row in rows)
    columns = [Column(title, lambda r: fixed(r[name], digits))]
    if shown:
        columns.append(Column("95 % CI", lambda r: interval(_bounds(r, name), digits)))
    return columns


def _notes(found: Across, *, intervals: bool) -> tuple[str, ...]:
    kind = (
        "CI: bootstrap over seeds within each task; it is about other seeds, not other tasks."
        if intervals
        else "No intervals: they need three tasks, three seeds of each and thirty runs."
    )
    return (
        "IQM: mean of the middle half of all runs. P: how often a run of the arm beats one of the "
        f"baseline on the same task, a tie counting half. {kind}",
        f"Descriptive: no tests over tasks. Tasks: {', '.join(found.tasks)}.",
    )


# -------------------------------------------------------------------------- sentences and methods


def _sentence(name: str, found: Across | None, analyses: Sequence[Analysis]) -> str:
    contrasts = [c for a in analyses if (c := _of(a, name).contrast) is not None]
    means = [c.difference.mean for c in contrasts if c.difference.mean is not None]
    shown = [c.difference.mean or 0.0 for c in contrasts if c.significant]
    lower = analyses[0].outcome.lower_is_better
    better = sum((value < 0) == lower for value in shown)
    parts = [
        f"{name}: better than {analyses[0].baseline.name} on {better} and worse on "
        f"{len(shown) - better} of {plural(len(analyses), 'task')}, as their tests say "
        "(p (Holm) < 0.05)"
    ]
    if means:
        digits = digits_of(c.difference for c in contrasts)
        least, most = signed(min(means), digits), signed(max(means), digits)
        parts.append(f"differences from {least} to {most}")
    improvements = () if found is None else found.improvements
    chance = next((e.probability for e in improvements if e.arm == name), None)
    if chance is not None and chance.mean is not None:
        parts.append(f"one of its runs beats one of the baseline with frequency {_with(chance)}")
    return "; ".join(parts) + "."


def _with(estimate: Estimate) -> str:
    bounds = "" if estimate.low is None else f" (95 % CI {interval(estimate, 2)})"
    return f"{fixed(estimate.mean, 2)}{bounds}"


def _methods(analyses: Sequence[Analysis], *, aggregated: bool) -> str:
    over_all = (
        " Over all tasks, runs count alike; the interquartile mean leaves out the lowest and the "
        "highest quarter of them, and intervals are from a bootstrap over seeds, stratified by "
        "task (Agarwal et al. 2021, arXiv:2108.13264). They are about these tasks and other seeds."
    )
    return (
        f"The same {plural(len(analyses[0].arms), 'arm')} were trained on {len(analyses)} tasks "
        "and each task was judged by itself, with its own correction."
        f"{over_all if aggregated else ''} Nothing was tested over tasks."
    )


# ------------------------------------------------------------------------------------------ cells


def _cells(name: str, arm: Arm) -> dict[str, Any]:
    e, contrast = arm.estimate, arm.contrast
    d = contrast.difference if contrast else Estimate(0)
    return {
        f"{name} n": e.n,
        f"{name} mean": e.mean,
        f"{name} low": e.low,
        f"{name} high": e.high,
        f"{name} difference": d.mean,
        f"{name} difference low": d.low,
        f"{name} difference high": d.high,
        f"{name} significant": bool(contrast and contrast.significant),
    }


def _mean(row: dict[str, Any], name: str, digits: int) -> str:
    e = Estimate(row[f"{name} n"], row[f"{name} mean"], row[f"{name} low"], row[f"{name} high"])
    return mean_and_half(e, digits)


def _difference(row: dict[str, Any], name: str, digits: int) -> Shown:
    text = signed(row[f"{name} difference"], digits)
    return Strong(text) if row[f"{name} significant"] else text


def _bounds(row: dict[str, Any], name: str) -> Estimate:
    return Estimate(0, row[name], row[f"{name}_low"], row[f"{name}_high"])


def _others(analyses: Sequence[Analysis]) -> list[str]:
    return [arm.name for arm in analyses[0].others]


def _of(analysis: Analysis, arm: str) -> Arm:
    return next(one for one in analysis.arms if one.name == arm)
