"""Several studies of one task as one: further arms, further seeds, every run once.

What is pooled must be one experiment: the same base, primary outcome, budget of tuning and
configuration of each arm. Anything else is refused in one line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from reports.origin import flatten
from sweeps.results import KEY, Study

# of plan.json: what has to be the same before runs may stand in one table
SAME = ("base", "primary", "gain", "match", "trials", "tuning_seeds", "tuning_steps", "lr_range")
SAME += ("search",)
ENDED = ("finished", "diverged")  # what counts; another part may have such a run of the same seed
RUN = ("arm", "seed")


def pool(studies: Sequence[Study]) -> Study:
    """One study of all arms and seeds; its arms say which seeds were planned for them.

    Raises: ValueError, one line, where two of them do not go together.
    """
    first = studies[0]
    if len(studies) == 1:
        return first
    names = _names(studies)
    for name, other in zip(names[1:], studies[1:], strict=True):
        _check_plans(first, other, (names[0], name))
    _check_arms(studies, names)
    kept = _kept_runs(studies, names)
    return Study(
        directory=first.directory,
        plan=_plan(studies),
        results=_of_kept([study.results for study in studies], kept),
        trials=_trials(studies),
        curves=_of_kept([study.curves for study in studies], kept),
        runs=_of_kept([study.runs for study in studies], kept),
        kernels={arm: k for study in reversed(studies) for arm, k in study.kernels.items()},
        searched={arm: s for study in reversed(studies) for arm, s in study.searched.items()},
    )


def reference(plan: Mapping[str, Any]) -> str:
    """The arm that the others are compared with."""
    names = [arm["name"] for arm in plan["arms"]]
    return "baseline" if "baseline" in names else names[0]


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The dotted names of what differs between two nested records, with both values."""
    left, right = dict(flatten(dict(a))), dict(flatten(dict(b)))
    names = dict.fromkeys((*left, *right))
    pairs = {name: (left.get(name, "-"), right.get(name, "-")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def configuration(arm: Mapping[str, Any]) -> dict[str, Any]:
    """An arm's experiment, without what differs from run to run or place to place."""
    experiment = dict(arm.get("experiment") or {})
    experiment.pop("seed", None)
    if isinstance(experiment.get("task"), dict):
        experiment["task"] = {k: v for k, v in experiment["task"].items() if k != "path"}
    return experiment


def tuned(study: Study, arm: str) -> dict[str, Any]:
    """What the arm's runs were trained with, as far as tuning chose it."""
    rows = study.results.filter(pl.col("arm") == arm)
    used = rows.select("lr", "trial").drop_nulls("lr").unique(maintain_order=True).rows()
    if not used:
        return {}
    lr, number = used[0]
    own = pl.col("arm") == arm
    trials = study.trials.filter(own & pl.col("number").eq_missing(pl.lit(number, pl.Int64)))
    chosen = json.loads(trials["parameters"][0] or "{}") if len(trials) else {}
    return {**chosen, "train.lr": lr}


def _names(studies: Sequence[Study]) -> list[str]:
    """How they are called in a message: by name, or by directory where names are equal."""
    names = [str(study.plan["study"]) for study in studies]
    same = len(set(names)) < len(names)
    return [str(study.directory) for study in studies] if same else names


def _check_plans(first: Study, other: Study, names: tuple[str, str]) -> None:
    for key in SAME:
        a, b = first.plan.get(key), other.plan.get(key)
        if (a or None) != (b or None):
            what = "the primary outcome" if key == "primary" else key
            raise ValueError(
                f"not to be pooled: {what} is {_text(a)} in {names[0]} and {_text(b)} in "
                f"{names[1]}; compare= sets two side by side, each=yes reports on each"
            )
    if reference(first.plan) != reference(other.plan):
        raise ValueError(
            f"not to be pooled: {names[0]} compares with {reference(first.plan)!r} and "
            f"{names[1]} with {reference(other.plan)!r}"
        )


def _check_arms(studies: Sequence[Study], names: Sequence[str]) -> None:
    """An arm of one name is one configuration, the tuned part of it too."""
    seen: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {}
    for name, study in zip(names, studies, strict=True):
        for arm in study.plan["arms"]:
            own = configuration(arm), tuned(study, arm["name"])
            where, *others = seen.setdefault(arm["name"], (name, *own))
            for mine, theirs in zip(own, others, strict=True):
                differ = differing(theirs, mine) if mine and theirs else {}
                for field, (a, b) in differ.items():
                    raise ValueError(
                        f"not to be pooled: {arm['name']} has {field} {a} in {where} and {b} in "
                        f"{name}; compare= sets two side by side"
                    )


def _kept_runs(studies: Sequence[Study], names: Sequence[str]) -> pl.DataFrame:
    """Which part each run is taken from: arm seed part."""
    results = pl.concat(
        [s.results.with_columns(pl.lit(i).alias("part")) for i, s in enumerate(studies)]
    )
    runs = results.unique((*RUN, "part"), maintain_order=True)
    double = runs.group_by(RUN, maintain_order=True).agg(pl.col("fingerprint").unique(), "part")
    for arm, seed, prints, parts in double.filter(pl.col("fingerprint").list.len() > 1).iter_rows():
        raise ValueError(
            f"not to be pooled: {arm} seed {seed} is run {prints[0]} in {names[parts[0]]} and run "
            f"{prints[1]} in {names[parts[1]]}: not the same experiment"
        )
    ended = results.filter(pl.col("status").is_in(ENDED) & pl.col("value").is_not_null())
    groups = ended.group_by(KEY, maintain_order=True).agg(pl.col("value"), "part")
    unlike = groups.filter(pl.col("value").list.n_unique() > 1)
    for arm, seed, split, part, metric, values, parts in unlike.iter_rows():
        where = "" if part == "all" else f" on {part}"
        i = next(i for i, value in enumerate(values) if value != values[0])
        raise ValueError(
            f"not to be pooled: {split} {metric}{where} of {arm} seed {seed} is {values[0]:.6g} in "
            f"{names[parts[0]]} and {values[i]:.6g} in {names[parts[i]]}, of the same run"
        )
    order = runs.with_columns(pl.col("status").is_in(ENDED).not_().alias("open"))
    first = order.sort("open", "part", maintain_order=True).unique(RUN, maintain_order=True)
    return first.select(*RUN, "part")


def _of_kept(frames: Sequence[pl.DataFrame], kept: pl.DataFrame) -> pl.DataFrame:
    parts = [
        frame.join(kept.filter(pl.col("part") == i), on=RUN, how="semi", maintain_order="left")
        for i, frame in enumerate(frames)
    ]
    return pl.concat(parts)


def _trials(studies: Sequence[Study]) -> pl.DataFrame:
    """Each arm's tuning, from the first that has it."""
    parts, seen = [studies[0].trials.clear()], set()
    for study in studies:
        parts.append(study.trials.filter(~pl.col("arm").is_in(sorted(seen))))
        seen |= set(study.trials["arm"])
    return pl.concat(parts)


def _plan(studies: Sequence[Study]) -> dict[str, Any]:
    plans = [study.plan for study in studies]
    arms: dict[str, dict[str, Any]] = {}
    for plan in plans:
        for arm in plan["arms"]:
            entry = arms.setdefault(arm["name"], {**arm, "seeds": []})
            entry["seeds"] = sorted({*entry["seeds"], *plan["seeds"]})
    return {
        **plans[0],
        "study": " + ".join(dict.fromkeys(str(plan["study"]) for plan in plans)),
        "command": "",
        "seeds": sorted({seed for plan in plans for seed in plan["seeds"]}),
        "notes": list(dict.fromkeys(note for plan in plans for note in plan.get("notes") or ())),
        "arms": list(arms.values()),
    }


def renamed(study: Study, title: str) -> Study:
    """The study under another name."""
    return replace(study, plan={**study.plan, "study": title})


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(str(each) for each in value.values())
    return "none" if value is None else " ".join(map(str, value)) if isinstance(
        value, list) else str(value)  # fmt: skip
