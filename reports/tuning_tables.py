"""The tables of a tuning: how sensitive arms are to the rate, and what a search found."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from reports.captions import UP, task, trial_budget
from reports.contrast import Analysis, chosen_trial
from reports.formats import DASH, count, fixed, percent, short
from reports.study_tables import Row, name_column
from reports.table import Column, Table
from reports.tuning import CLOSE, costs_of, score_name, searched, sensitivity, trials_of

UNITS = {"state_bytes": "state (bytes)"}


def sensitivity_table(analysis: Analysis) -> Table:
    """What an arm loses at other rates: best of few is how this field fools itself."""
    rows = []
    tuned = set(analysis.study.trials["arm"])
    for arm in (arm for arm in analysis.arms if arm.name in tuned):
        found = sensitivity(analysis, arm.name)
        if found is None:
            continue
        low, high = found.good or (None, None)
        rows.append(
            {
                "arm": arm.name,
                "rates": len({tried.lr for tried in found.tried}),
                "given": found.given.lr if found.given else None,
                "given_value": found.given.value if found.given else None,
                "chosen": found.chosen.lr if found.chosen else None,
                "chosen_value": found.chosen.value if found.chosen else None,
                "worst": min(tried.value or 0.0 for tried in found.tried),
                "good_low": low,
                "good_high": high,
                "decades": found.decades,
            }
        )
    numbers = dict.fromkeys(list(rows[0])[2:], pl.Float64) if rows else {}
    score = score_name(analysis)
    return Table(
        name="sensitivity",
        caption=(
            f"Sensitivity to the learning rate{task(analysis)}: {score} of trials that differ in "
            f"it alone, of {trial_budget(analysis)}."
        ),
        frame=pl.DataFrame(rows, schema={"arm": pl.String, "rates": pl.Int64, **numbers}),
        columns=(
            name_column(),
            Column("rates", lambda r: str(r["rates"])),
            Column("as given", lambda r: _at(r["given_value"], r["given"])),
            Column("chosen", lambda r: _at(r["chosen_value"], r["chosen"])),
            Column("worst", lambda r: fixed(r["worst"])),
            Column("good rates", lambda r: f"{short(r['good_low'])} to {short(r['good_high'])}"),
            Column("decades", lambda r: fixed(r["decades"], 1)),
        ),
        notes=(
            f"Good: every rate tried from there to there scores within {_close(analysis)} of the "
            "best. Where few rates are good, the choice of rates decides more than the arm "
            "(arXiv:2508.19029).",
        ),
    )


def _close(analysis: Analysis) -> str:
    return percent(CLOSE) if analysis.outcome.lower_is_better else fixed(CLOSE, 2)


def _at(value: float | None, lr: float | None) -> str:
    return DASH if lr is None else f"{fixed(value)} at {short(lr)}"


def search_table(analysis: Analysis) -> Table:
    """What was searched, what was chosen, and what mattered."""
    rows = []
    for arm, said in searched(analysis).items():
        trials = {tried.number: tried.parameters for tried in trials_of(analysis.study, arm)}
        chosen = trials.get(chosen_trial(analysis.study, arm) or 0, {})
        for name, values in said["space"].items():
            own = {"arm": arm, "field": name, "range": values}
            own |= {"chosen": json.dumps(chosen.get(name))}
            rows.append({**own, "importance": (said.get("importance") or {}).get(name)})
    texts = dict.fromkeys(("arm", "field", "range", "chosen"), pl.String)
    several = [name_column()] if len(searched(analysis)) > 1 else []
    return Table(
        name="search",
        caption=(
            f"Fields searched{task(analysis)}, what was chosen, and their importance: "
            f"{trial_budget(analysis)}."
        ),
        frame=pl.DataFrame(rows, schema={**texts, "importance": pl.Float64}),
        columns=(
            *several,
            Column("field", lambda r: r["field"], "left"),
            Column("searched", lambda r: r["range"].replace(",", ", "), "left"),
            Column("chosen", lambda r: _value(json.loads(r["chosen"]))),
            Column("importance", lambda r: percent(r["importance"])),
        ),
        notes=(
            "Importance: share in what tells the best tenth of the trials from all (PED-ANOVA, "
            "arXiv:2304.10255). Of few trials it is a hint.",
        ),
    )


def front_table(analysis: Analysis) -> Table:
    """The trials that no other one beats in both, or all, objectives."""
    costs, rows = costs_of(analysis), []
    for arm, said in analysis.study.searched.items() if costs else ():
        trials = {tried.number: tried for tried in trials_of(analysis.study, arm)}
        chosen = chosen_trial(analysis.study, arm)
        for number in said.get("front") or ():
            tried = trials[number]
            own = {"arm": arm, "trial": number, "value": tried.value, **tried.costs}
            rows.append({**own, "trained": number == chosen, "fields": _words(tried)})
    schema: dict[str, Any] = {"arm": pl.String, "trial": pl.Int64, "value": pl.Float64}
    schema |= dict.fromkeys(costs, pl.Float64)
    return Table(
        name="front",
        caption=(
            f"Trials that no other one beats{task(analysis)}: {score_name(analysis)} against what "
            "it costs."
        ),
        frame=pl.DataFrame(rows, schema={**schema, "trained": pl.Boolean, "fields": pl.String}),
        columns=(
            Column("trial", lambda r: str(r["trial"])),
            Column(f"{score_name(analysis)} {UP}", lambda r: fixed(r["value"])),
            *(Column(UNITS.get(c, c), lambda r, c=c: count(r[c])) for c in costs),
            Column("trained", lambda r: "×" if r["trained"] else "", "center"),
            Column("fields", lambda r: r["fields"], "left"),
        ),
        notes=(
            "On validation data and tuning seeds, at the steps of a trial. Trained: the best "
            "score, trained in full with the reported seeds and scored on the test split.",
        ),
    )


def trials_table(analysis: Analysis) -> Table:
    """Every trial of a search; its values are columns of the CSV."""
    costs, rows = costs_of(analysis), []
    names = list(dict.fromkeys(n for said in searched(analysis).values() for n in said["space"]))
    for arm in searched(analysis):
        for tried in trials_of(analysis.study, arm):
            own: Row = {"arm": arm, "trial": tried.number, "value": tried.value}
            own |= {"state": tried.state, **{c: tried.costs.get(c) for c in costs}}
            own |= {name: tried.parameters.get(name) for name in names}
            rows.append({**own, "reason": tried.reason})
    return Table(
        name="trials",
        caption=f"Every trial{task(analysis)}.",
        frame=pl.DataFrame(rows, infer_schema_length=None),
        columns=(
            Column("trial", lambda r: str(r["trial"])),
            Column(f"{score_name(analysis)} {UP}", lambda r: fixed(r["value"])),
            *(Column(UNITS.get(c, c), lambda r, c=c: count(r[c])) for c in costs),
            Column("state", lambda r: r["state"], "left"),
            Column("why", lambda r: r["reason"] or DASH, "left"),
        ),
        notes=(
            "Pruned: the score when it was given up. Infeasible: it could not be built, and was "
            "not trained.",
        ),
    )


def _words(tried: Any) -> str:
    return " ".join(f"{name}={_value(v)}" for name, v in tried.parameters.items())


def _value(value: Any) -> str:
    return DASH if value is None else short(value) if isinstance(value, float) else str(value)
