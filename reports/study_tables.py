"""The tables of an ablation study."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import polars as pl

from reports.best import best_and_ties
from reports.captions import arrow, budget, of_what, seeds, task, which_test, with_arrow
from reports.contrast import Analysis, Arm, Contrast
from reports.formats import (
    DASH,
    change,
    count,
    digits_of,
    fixed,
    interval,
    mean_and_half,
    p_value,
    percent,
    short,
    signed,
)
from reports.published_below import DIFFERENCE, published_below
from reports.stats import Estimate
from reports.table import PUBLISHED, Column, Shown, Strong, Table

EDGE = "†"
Row = dict[str, Any]


def outcome_table(analysis: Analysis, *, memory: bool = False) -> Table:
    """The primary outcome: the only table with tests, and with bold.

    memory  below it also published figures from memory, each marked as not confirmed
    """
    best = best_and_ties(analysis)
    frame = pl.DataFrame([_outcome_row(arm, best) for arm in analysis.arms], schema=OUTCOME)
    columns = _outcome_columns(analysis)
    apart = published_below(analysis, [column.title for column in columns], memory=memory)
    return Table(
        name="outcome",
        caption=_outcome_caption(analysis),
        frame=frame,
        columns=columns,
        notes=(*_outcome_notes(analysis, bold=bool(best)), *apart.notes),
        apart=apart.rows,
        apart_title=PUBLISHED if apart.rows else "",
    )


def _outcome_columns(analysis: Analysis) -> tuple[Column, ...]:
    several = len(analysis.others) > 1
    digits = digits_of(arm.estimate for arm in analysis.arms)
    d = digits_of(arm.contrast.difference for arm in analysis.others if arm.contrast)
    against = (
        Column(DIFFERENCE, lambda r: signed(r["difference"], d)),
        Column("95 % CI", lambda r: _interval(r, "difference_", d, sign=True)),
        *([Column("p", lambda r: p_value(r["p"]))] if several else []),
        Column("p (Holm)", _bold_p),
        Column("d_z", lambda r: fixed(r["effect_size"], 2)),
        Column("seed r", lambda r: fixed(r["seed_correlation"], 2)),
    )
    return (
        name_column(),
        Column("n", lambda r: f"{r['n']}/{r['planned']}"),
        Column(with_arrow(analysis.outcome), lambda r: _mean(r, digits)),
        *(against if analysis.others else ()),
        Column("diverged", lambda r: str(r["diverged"])),
    )


def _outcome_caption(analysis: Analysis) -> str:
    parts = [f"{of_what(analysis)}: mean ± half of the 95 % t interval over {seeds(analysis)}."]
    if analysis.others:
        minus = f"arm minus {analysis.baseline.name}, paired by seed"
        parts.append(f"Differences: {minus}; {which_test(analysis)}.")
    return " ".join((*parts, budget(analysis)))


OUTCOME: dict[str, Any] = {
    "arm": pl.String,
    "n": pl.Int64,
    "planned": pl.Int64,
    "diverged": pl.Int64,
    "mean": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "pairs": pl.Int64,
    "difference": pl.Float64,
    "difference_low": pl.Float64,
    "difference_high": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
    "significant": pl.Boolean,
    "underpowered": pl.Boolean,
    "effect_size": pl.Float64,
    "seed_correlation": pl.Float64,
    "best_or_tie": pl.Boolean,
}


def _outcome_row(arm: Arm, best: Collection[str]) -> Row:
    own = {"arm": arm.name, "n": arm.estimate.n, "planned": arm.planned, "diverged": arm.diverged}
    own |= {"best_or_tie": arm.name in best if best else None}
    return {**own, **bounds(arm.estimate, "mean", ""), **_contrast_row(arm.contrast)}


def _contrast_row(contrast: Contrast | None) -> Row:
    if contrast is None:
        return {}
    tested = not contrast.underpowered  # otherwise intervals only, in every format
    return {
        "pairs": contrast.difference.n,
        **bounds(contrast.difference, "difference", "difference_"),
        "p": contrast.p if tested else None,
        "p_holm": contrast.p_holm if tested else None,
        "significant": contrast.significant,
        "underpowered": contrast.underpowered,
        "effect_size": contrast.effect,
        "seed_correlation": contrast.correlation,
    }


def _outcome_notes(analysis: Analysis, *, bold: bool) -> tuple[str, ...]:
    chance = "" if analysis.chance is None else f" ({fixed(analysis.chance)})"
    notes = [
        f"n: runs with a value / planned. {arrow(analysis.outcome.metric)}: {_better(analysis)}."
    ]
    if analysis.others:
        notes.append(
            "d_z: mean difference / its standard deviation; seed r: correlation of the paired "
            "seeds; CI: t interval."
        )
    if any(arm.contrast and not arm.contrast.underpowered for arm in analysis.arms):
        notes.append("Bold p: p (Holm) < 0.05.")
    if bold:
        notes.append(
            "Bold mean: the best, and those not significantly worse than it (the same test, Holm "
            "over all comparisons with the best; with too few paired seeds an arm is not judged)."
        )
    if analysis.underpowered:
        notes.append("Underpowered where p is a dash: no outcome could reach 0.05.")
    if analysis.unsolved:
        scores = ", ".join(f"{fixed(score)} by {who}" for who, score in analysis.unsolved.items())
        notes.append(f"Without solving the task: {scores}.")
    if any(arm.diverged for arm in analysis.arms):
        notes.append(
            "Diverged runs have no score here and are missing."
            if analysis.chance is None
            else f"Diverged runs count with the chance score{chance}."
        )
    return tuple(notes)


def _better(analysis: Analysis) -> str:
    return f"{'lower' if analysis.outcome.lower_is_better else 'higher'} is better"


def arms_table(analysis: Analysis) -> Table:
    """What each arm is, and at what cost."""
    rows = [
        {
            "arm": arm.name,
            "changed": "; ".join(arm.changed),
            "parameters": arm.parameters,
            "state_bytes": arm.state_bytes,
            "lr": arm.lr,
            "lr_at_edge": arm.lr_at_edge,
            "still_improving": arm.still_improving,
            "planned": arm.planned,
            "seconds": arm.seconds,
        }
        for arm in analysis.arms
    ]
    schema = {"arm": pl.String, "changed": pl.String, "parameters": pl.Int64}
    schema |= {"state_bytes": pl.Int64, "lr": pl.Float64, "lr_at_edge": pl.Boolean}
    schema |= {"still_improving": pl.Int64, "planned": pl.Int64, "seconds": pl.Float64}
    edge = [f"{EDGE} at the edge of the rates searched: a better one may lie beyond."]
    return Table(
        name="arms",
        caption=f"The arms{task(analysis)}, {seeds(analysis)}.",
        frame=pl.DataFrame(rows, schema=schema),
        columns=(
            name_column(),
            Column("changed", lambda r: in_short(r["changed"]) or DASH, "left"),
            Column("parameters", lambda r: count(r["parameters"])),
            Column("state (bytes)", lambda r: count(r["state_bytes"])),
            Column("lr", lambda r: f"{short(r['lr'])}{f' {EDGE}' if r['lr_at_edge'] else ''}"),
            Column("still improving", lambda r: f"{r['still_improving']}/{r['planned']}"),
            Column("s per run", lambda r: short(r["seconds"])),
        ),
        notes=tuple(edge if any(arm.lr_at_edge for arm in analysis.arms) else ()),
    )


def in_short(changed: str) -> str:
    """`mixers.0.kernel.decay: a -> none; mixers.1....` as `decay: a -> none (2 places)`."""
    lines = [re.sub(r"^[\w.]*\.(?=[^.:]+:)", "", line) for line in changed.split("; ")]
    counted = {line: lines.count(line) for line in lines}
    return "; ".join(f"{k} ({n} places)" if n > 1 else k for k, n in counted.items())


def kernel_table(analysis: Analysis) -> Table:
    """What the kernels do, measured: a switch that changes nothing shows here."""
    schema = {"arm": pl.String, "treatment_strength": pl.Float64}
    names = list(analysis.arms[0].measured)
    schema |= {f"{n}_{when}": pl.Float64 for n in names for when in ("initial", "final")}
    rows = [
        {
            "arm": arm.name,
            "treatment_strength": arm.strength,
            **{f"{n}_initial": arm.measured[n][0] for n in names},
            **{f"{n}_final": arm.measured[n][1] for n in names},
        }
        for arm in analysis.arms
    ]
    measured = any(v is not None for row in rows for k, v in row.items() if k != "arm")
    return Table(
        name="kernels",
        caption=(
            f"Measured properties of the kernels{task(analysis)}, {seeds(analysis)}: at "
            "initialisation and after training."
        ),
        frame=pl.DataFrame(rows if measured else [], schema=schema),
        columns=(
            name_column(),
            Column("treatment", lambda r: percent(r["treatment_strength"])),
            *(Column(n.replace("_", " "), _initial_to_final(n)) for n in names),
        ),
        notes=(
            "treatment: median over channels of the norm of k_arm - k_base at initialisation, both "
            "of unit norm; effective length: taps that hold 90 % of the energy. Medians over "
            "channels and layers, means over seeds. Descriptive: no tests.",
        ),
    )


def name_column() -> Column:
    """The arms' names."""
    return Column("arm", lambda r: r["arm"], "left")


def _bold_p(row: Row) -> Shown:
    text = p_value(row["p_holm"])
    return Strong(text) if row["significant"] else text


def bounds(estimate: Estimate, mean: str, prefix: str) -> Row:
    """An estimate as fields of a row."""
    return {mean: estimate.mean, f"{prefix}low": estimate.low, f"{prefix}high": estimate.high}


def _mean(row: Row, digits: int) -> Shown:
    text = mean_and_half(Estimate(row["n"], row["mean"], row["low"], row["high"]), digits)
    return Strong(text) if row["best_or_tie"] else text


def _interval(row: Row, prefix: str, digits: int, *, sign: bool = False) -> str:
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    return interval(Estimate(0, None, low, high), digits, sign=sign)


def _initial_to_final(name: str):
    return lambda row: change((row[f"{name}_initial"], row[f"{name}_final"]))
