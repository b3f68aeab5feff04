"""What a reader wants to know of some studies before anything else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from reports.formats import count
from reports.origin import duration, numbers
from reports.pooling import ENDED, configuration
from sweeps.results import Study

Key = tuple[str, str, int]  # configuration, arm, seed: what a planned run is


def facts(sources: Sequence[Study]) -> list[tuple[str, str, bool]]:
    """Name, value, and whether it is a warning. A run of two studies counts once."""
    plans = [study.plan for study in sources]
    columns = ("arm", "seed", "fingerprint", "status", "seconds")
    runs = pl.concat([study.runs.select(columns) for study in sources]).unique(
        ("arm", "seed", "fingerprint", "status"), maintain_order=True
    )
    planned = {key for study in sources for key in _planned(study)}
    missing = planned - {key for study in sources for key in _ended(study)}
    names = dict.fromkeys(arm["name"] for plan in plans for arm in plan["arms"])
    seeds = sorted({seed for plan in plans for seed in plan["seeds"]})
    diverged = runs.filter(pl.col("status") == "diverged").height
    seconds = float(runs["seconds"].sum())
    ended = f"{count(len(planned) - len(missing))} of {count(len(planned))}"
    found = [
        ("base", _several(plan.get("base") for plan in plans), False),
        ("task", _several(plan.get("task") for plan in plans), False),
        ("arms", str(len(names)), False),
        ("seeds", numbers(seeds), False),
        ("runs", ended, bool(missing)),
        ("diverged", count(diverged), diverged > 0),
        ("training time", duration(seconds) if seconds else "", False),
    ]
    return [(name, value, warn) for name, value, warn in found if value]


def _planned(study: Study) -> Iterator[Key]:
    for arm in study.plan["arms"]:
        text = _text(study, arm)
        for seed in study.plan["seeds"]:
            yield text, arm["name"], seed


def _ended(study: Study) -> Iterator[Key]:
    texts = {arm["name"]: _text(study, arm) for arm in study.plan["arms"]}
    ended = study.runs.filter(pl.col("status").is_in(ENDED))
    for arm, seed in ended.select("arm", "seed").iter_rows():
        yield texts[arm], arm, seed


def _text(study: Study, arm: dict[str, Any]) -> str:
    """What tells one configuration from another."""
    own = configuration(arm), study.plan.get("task")
    return json.dumps(own, sort_keys=True, default=str)


def _several(values: Iterator[Any]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value))
