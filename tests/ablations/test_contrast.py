"""The main job end to end, at a size that takes seconds: every number checked on another way."""

from __future__ import annotations

import json
import math

import mlflow
import numpy as np
import polars as pl
import pytest
import torch

from ablations import contrast
from ablations.plan import make_plan, strength
from ablations.run import main
from sweeps import study as study_module
from sweeps.experiment import Experiment
from sweeps.results import SCHEMA, TRIALS
from sweeps.search import TUNING_SEED
from tasks.task import Task

TINY = (
    *("width=8", "depth=1", "steps=6", "seeds=3", "trials=2", "train.eval_every=3"),
    *("train.num_eval=24", "batch_size=4", "task.length=16"),
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def command(tracked_root, monkeypatch):
    """The words of a tiny contrast, and its root."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = tracked_root("out")
    return ["decay=off", *TINY, f"out={root}"], root


def test_the_whole_job(command, capfd, monkeypatch):
    words, root = command
    assert main(words) == 0
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    (directory,) = (p.parent for p in root.glob("*/plan.json"))

    names = ["report.md", "report.html", "results.parquet", "trials.parquet", "study.db"]
    for name in [*names, "plan.json", "provenance.json"]:
        assert (directory / name).stat().st_size > 0, name
    for kind in ("tables/*.tex", "tables/*.csv", "figures/*.pdf", "figures/*.svg", "figures/*.png"):
        assert list(directory.glob(kind)), kind

    rows = pl.read_parquet(directory / "results.parquet")
    assert rows.columns == list(SCHEMA)
    assert set(rows["arm"]) == {"baseline", "decay=off"}
    assert set(rows["seed"]) == {0, 1, 2}
    key = ["arm", "seed", "split", "slice", "metric"]
    assert not rows.select(key).is_duplicated().any()

    trials = pl.read_parquet(directory / "trials.parquet")
    assert trials.columns == list(TRIALS)
    assert set(trials["seed"]) == {TUNING_SEED}
    assert trials.group_by("arm").len()["len"].to_list() == [2, 2]
    for arm, lr, number in rows.select("arm", "lr", "trial").unique().iter_rows():
        mine = trials.filter(pl.col("arm") == arm)
        best = mine.filter(pl.col("value") == mine["value"].max()).sort("number")
        assert number == best["number"][0]
        assert json.loads(best["parameters"][0]) == {"train.lr": lr}

    check_numbers(rows, (directory / "tables").glob("*.csv"), out)
    check_tracking(root, rows)
    check_second_time(words, monkeypatch, capfd, directory)


def check_numbers(rows, tables, out) -> None:
    """The printed difference is the mean over seeds of the paired differences."""
    outcome = rows.filter(
        (pl.col("split") == "test") & (pl.col("slice") == "all") & (pl.col("metric") == "accuracy")
    )
    wide = outcome.pivot(on="arm", index="seed", values="value").sort("seed")
    difference = (wide["decay=off"] - wide["baseline"]).to_numpy()
    mean = difference.mean()
    half = 4.302652729911275 * difference.std(ddof=1) / math.sqrt(3)  # t, 97.5 %, 2 degrees
    text = "\n".join([out, *(t.read_text() for t in tables)])
    for value in (mean, wide["baseline"].mean(), wide["decay=off"].mean()):
        shown = [f"{abs(value):.{d}f}" for d in (2, 3, 4)]
        assert any(s in text or s.lstrip("0") in text for s in shown), value
    assert half >= 0


def check_tracking(root, rows) -> None:
    """A run per trained model below one parent."""
    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert len(parents) == 1
    assert len(runs) == 1 + 2 * (3 + 2)
    tracked = {r.data.tags["fingerprint"]: r for r in runs if r not in parents}
    for fingerprint, value in (
        rows.filter((pl.col("split") == "test") & (pl.col("metric") == "loss"))
        .filter(pl.col("slice") == "all")
        .select("fingerprint", "value")
        .iter_rows()
    ):
        assert tracked[fingerprint].data.metrics["test/loss"] == pytest.approx(value)
        assert tracked[fingerprint].info.status == "FINISHED"


def check_second_time(words, monkeypatch, capfd, directory) -> None:
    """The same command again reads everything and writes the same record."""
    from sweeps import train

    monkeypatch.setattr(train, "_run", lambda *_: pytest.fail("trained again"))
    before = pl.read_parquet(directory / "results.parquet")
    assert main(words) == 0
    capfd.readouterr()
    assert pl.read_parquet(directory / "results.parquet").equals(before)


def test_all_arms_see_the_same_batches_and_only_the_test_set_is_shared(command, monkeypatch):
    words, _ = command
    seen: dict[str, list[tuple[int, ...]]] = {"train": [], "validation": [], "test": []}
    generate = Task.generate

    def spy(self, indices, split="train"):
        seen[split].append(tuple(np.asarray(indices).tolist()))
        return generate(self, indices, split)

    monkeypatch.setattr(Task, "generate", spy)
    contrast(*words)
    assert set(seen["test"]) == {tuple(range(i, min(24, i + 4))) for i in range(0, 24, 4)}
    assert len(seen["test"]) == 6 * 2 * 3  # once a run: tuning never looks
    batches = [b for b in seen["train"] if b]
    assert {batches.count(b) for b in set(batches)} <= {2, 2 * 2}


def test_treatment_strength_is_what_the_kernels_say():
    plan, _ = make_plan(["decay=off", "trials=0"], "test")
    baseline, arm = plan.arms
    models = [
        a.experiment.model.build(a.experiment.task.context, seed=0).kernels() for a in plan.arms
    ]
    moved = []
    for name, old in models[0].items():
        a, b = (k.double().numpy() for k in (old, models[1][name]))
        a, b = (k / np.linalg.norm(k, axis=1, keepdims=True) for k in (a, b))
        moved.append(np.median(np.linalg.norm(a - b, axis=1)))
    assert arm.strength == pytest.approx(np.median(moved), rel=1e-4)
    assert baseline.strength is None
    assert arm.strength > 0.1


def test_a_weak_switch_is_said_to_be_weak():
    plan, _ = make_plan(["regularization=off", "base=sgconv", "base.regularization=squash"], "x")
    assert plan.arms[1].strength is not None
    assert plan.arms[1].strength < 0.1
    assert any("too weak to test" in note for note in plan.notes)


def test_arms_without_a_kernel_change_have_no_strength():
    plan, _ = make_plan(["gating=off", "sublinearity=off", "trials=0"], "test")
    assert [arm.strength for arm in plan.arms] == [None, None, None]


def test_sublinearity_off_starts_at_the_same_function():
    plan, _ = make_plan(["sublinearity=off", "trials=0"], "test")
    one, two = (a.experiment for a in plan.arms)
    batch = torch.from_numpy(one.task.generate(range(4)).inputs)
    outputs = [e.model.build(e.task.context, seed=3)(batch) for e in (one, two)]
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-5, rtol=1e-5)
    assert plan.arms[1].parameters > plan.arms[0].parameters


def test_strength_needs_kernels_of_equal_shape():
    plan, _ = make_plan(["arm.width=40", "trials=0"], "test")
    one, two = (a.experiment for a in plan.arms)
    assert strength(one, two, ["width: 32 -> 40"]) is None


def test_diverged_arms_count_with_chance(command, monkeypatch):
    words, _ = command
    words = [*(w for w in words if not w.startswith("trials")), "lr=1e30"]
    found = contrast(*words)
    rows = found.results.filter((pl.col("metric") == "accuracy") & (pl.col("split") == "test"))
    assert set(rows["status"]) == {"diverged"}
    assert set(rows["value"]) == {found.plan["chance"]}


def test_out_of_memory_is_missing_and_the_study_goes_on(command, monkeypatch):
    words, _ = command
    run = study_module.run_experiment

    def starve(experiment: Experiment, **rest):
        if experiment.seed == 1 and "per-scale" not in experiment.canonical():
            raise torch.OutOfMemoryError("no room")
        return run(experiment, **rest)

    monkeypatch.setattr(study_module, "run_experiment", starve)
    found = contrast(*words)
    missing = found.results.filter(pl.col("status") == "out-of-memory")
    assert missing.select("arm", "seed", "value").rows() == [("decay=off", 1, None)]
    monkeypatch.setattr(study_module, "run_experiment", run)
    again = contrast(*words)
    assert set(again.results["status"]) == {"finished"}
