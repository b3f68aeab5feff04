"""Searches from words to record, on real runs: equal for any number of jobs, blind to the test."""

from __future__ import annotations

import json
from collections import Counter

import polars as pl
import pytest

from ablations.run import main as ablate
from reports.build import build_study
from sweeps.results import read_study
from sweeps.run import main as run
from sweeps.study import _Study
from sweeps.trial import TUNING_SEED
from tasks.task import Task

TINY = (
    *("width=8", "depth=1", "steps=24", "train.eval_every=2", "train.num_eval=24"),
    *("batch_size=4", "task.length=16"),
)
GRID = ("search=short", "lr=1e-3,1e-2,3e-2", "dropout=0..0.2:2", "sampler=grid", "trials=18")


@pytest.fixture
def done(tracked_root, monkeypatch):
    """Run a search in a folder of its own, and read its study."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def search(*words, name="out", program=run):
        root = tracked_root(name)
        given = {word.partition("=")[0] for word in words}
        rest = [word for word in TINY if word.partition("=")[0] not in given]
        assert program([*words, *rest, f"out={root}"]) == 0
        (directory,) = (path.parent for path in root.glob("*/plan.json"))
        return read_study(directory)

    return search


def same(one, other):
    """Whether two studies found the same."""
    trials, results = (
        [getattr(s, frame).drop("seconds") for s in (one, other)] for frame in ("trials", "results")
    )
    return trials[0].equals(trials[1]) and results[0].equals(results[1])


@pytest.mark.slow
def test_a_grid_loses_no_cell_under_two_jobs(done):
    one, two = done(*GRID, name="1"), done(*GRID, "jobs=2", name="2")
    assert same(one, two)
    cells = [tuple(json.loads(text).values()) for text in two.trials["parameters"]]
    assert sorted(cells) == sorted(
        (lr, short, dropout) for lr in (1e-3, 1e-2, 3e-2) for short in (1, 3, 4)
        for dropout in (0.0, 0.2)
    )  # fmt: skip
    assert set(two.trials["state"]) == {"finished"}


@pytest.mark.slow
def test_a_search_by_hyperband_is_the_same_for_two_jobs_and_prunes(done):
    words = ("search=lr,short,dropout", "trials=14", "pruner=hyperband", "seeds=2", "steps=36")
    one, two = done(*words, name="1"), done(*words, "jobs=2", name="2")
    assert same(one, two)
    states = Counter(two.trials["state"])
    assert states == {"pruned": 8, "finished": 6}
    pruned = two.trials.filter(pl.col("state") == "pruned")
    assert Counter(pruned["steps"]) == {2: 6, 6: 2}
    assert set(two.results["status"]) == {"finished"}
    assert set(two.results["steps"]) == {36}
    assert not json.loads((two.directory / "missing.json").read_text() or "[]")
    best = two.trials.filter(pl.col("state") == "finished").sort("value", descending=True)
    assert two.results["trial"][0] in best.filter(pl.col("value") == best["value"][0])["number"]
    results = [p.parent.name for p in two.directory.parent.glob("runs/*/result.json")]
    assert len(results) == 6 + 2, "a run that was given up is no finished run"


def test_the_test_split_is_drawn_after_the_search_alone(done, monkeypatch):
    seen, during = [], set()
    generate, train = Task.generate, _Study.train

    def spy(self, indices, split="train"):
        seen.append(split)
        return generate(self, indices, split)

    def after(self, *given):
        during.update(seen)
        return train(self, *given)

    monkeypatch.setattr(Task, "generate", spy)
    monkeypatch.setattr(_Study, "train", after)
    done("search=lr,dropout", "trials=7", "pruner=wilcoxon", "tuning-seeds=5")
    assert during == {"train", "validation"}
    assert "test" in seen


def test_seeds_of_a_search_are_apart_and_objectives_make_a_front(done):
    study = done(
        *("objective=accuracy,parameters", "width=8,12,16", "search=lr", "trials=13"),
        *("tuning-seeds=2", "seeds=2"),
    )
    assert set(study.trials["seed"]) == {TUNING_SEED, TUNING_SEED + 1}
    assert study.trials.height == 26
    assert set(study.results["seed"]) == {0, 1}
    found = study.searched["baseline"]
    numbers = study.trials.group_by("number").agg(pl.col("value").mean(), pl.col("costs").first())
    score = {n: (v, json.loads(c)["parameters"]) for n, v, c in numbers.iter_rows()}
    front = [score[n] for n in found["front"]]
    assert front == sorted(front, reverse=True)
    for number, (value, cost) in score.items():
        beaten = any(v >= value and c <= cost for n, (v, c) in score.items() if n in found["front"])
        assert beaten, number
    report = build_study(study.directory)
    tables = {table.name: table for table in report.tables}
    assert tables["front"].frame["trial"].to_list() == found["front"]
    assert tables["front"].frame["trained"].sum() == 1
    assert abs(sum(found["importance"].values()) - 1) < 1e-9
    assert {"importance", "front", "learning-rates"} <= {p.name for p in report.pictures}


def test_the_product_of_arms_with_equal_budgets(done):
    words = ("decay=off", "length=off", "grid=yes", "trials=6", "lr=1e-3..1e-1:log", "seeds=2")
    study = done(*words, program=ablate)
    names = ["baseline", "length=off", "decay=off", "decay=off length=off"]
    assert [arm["name"] for arm in study.plan["arms"]] == names
    assert study.plan["trials"] == 6
    assert Counter(study.trials["arm"]) == dict.fromkeys(names, 6)
    assert set(study.trials["steps"]) == {12}
    assert Counter(study.results.unique(("arm", "seed"))["arm"]) == dict.fromkeys(names, 2)
    rates = [json.loads(text)["train.lr"] for text in study.trials["parameters"]]
    assert min(rates) >= 1e-3
    report = build_study(study.directory)
    (table,) = (t for t in report.tables if t.name == "sensitivity")
    assert table.frame["arm"].to_list() == names
    assert table.frame["rates"].to_list() == [6] * 4
