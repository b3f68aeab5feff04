"""The main job end to end, at a size that takes seconds: every number checked on another way."""

from __future__ import annotations

import csv
import dataclasses
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
from sweeps import worker as worker_module
from sweeps.experiment import Experiment
from sweeps.results import SCHEMA, TRIALS
from sweeps.trial import TUNING_SEED
from tasks.task import Task
from zoo.spec import walk

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
    half = 4.302652729911275 * difference.std(ddof=1) / math.sqrt(3)  # t, 97.5 %, 2 degrees
    (table,) = [t for t in tables if t.name == "outcome.csv"]
    cells = {row["arm"]: row for row in csv.DictReader(table.read_text().splitlines())}
    baseline, arm = cells["baseline"], cells["decay=off"]
    assert float(baseline["mean"]) == pytest.approx(wide["baseline"].mean())
    assert float(arm["mean"]) == pytest.approx(wide["decay=off"].mean())
    assert float(arm["difference"]) == pytest.approx(difference.mean())
    assert float(arm["difference_low"]) == pytest.approx(difference.mean() - half)
    assert float(arm["difference_high"]) == pytest.approx(difference.mean() + half)
    assert (arm["n"], arm["planned"], arm["underpowered"]) == ("3", "3", "true")
    assert f"{difference.mean():+.3f}" in out or f"{difference.mean():.3f}" in out


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
    run = worker_module.run_experiment

    def starve(experiment: Experiment, **rest):
        if experiment.seed == 1 and "per-scale" not in experiment.canonical():
            raise torch.OutOfMemoryError("no room")
        return run(experiment, **rest)

    monkeypatch.setattr(worker_module, "run_experiment", starve)
    found = contrast(*words)
    missing = found.results.filter(pl.col("status") == "out-of-memory")
    assert missing.select("arm", "seed", "value").rows() == [("decay=off", 1, None)]
    monkeypatch.setattr(worker_module, "run_experiment", run)
    again = contrast(*words)
    assert set(again.results["status"]) == {"finished"}


def test_every_arm_has_its_own_rate_and_every_run_its_own_arm_and_seed(command, monkeypatch):
    """With scores that prefer another rate in each arm, whatever training finds."""
    words, root = command
    run = worker_module.run_experiment

    def judged(experiment: Experiment, **rest):
        result = run(experiment, **rest)
        if experiment.seed < TUNING_SEED:
            return result
        plain = "per-scale" not in experiment.canonical()
        value = experiment.train.lr if plain else 1 - experiment.train.lr
        scores = tuple(
            s._replace(value=value) if s.metric == "accuracy" else s for s in result.scores
        )
        return dataclasses.replace(result, scores=scores)

    monkeypatch.setattr(worker_module, "run_experiment", judged)
    found = contrast(*words)
    rates = {
        a: set(found.results.filter(pl.col("arm") == a)["lr"]) for a in ("baseline", "decay=off")
    }
    assert all(len(r) == 1 for r in rates.values())
    assert rates["baseline"] != rates["decay=off"]
    for arm, seed, lr, fingerprint in (
        found.results.select("arm", "seed", "lr", "fingerprint").unique().iter_rows()
    ):
        text = (root / "runs" / fingerprint / "experiment.json").read_text()
        experiment = Experiment.model_validate_json(text)
        assert (experiment.seed, experiment.train.lr) == (seed, lr)
        kinds = {v.kind for _, _, n, v in walk(experiment.model) if n == "decay"}
        assert kinds == ({"per-scale"} if arm == "baseline" else {"none"})
        gains = {v.kind for _, _, n, v in walk(experiment.model) if n == "gain"}
        assert gains == {"init"}


def test_mixers_that_an_arm_brings_are_on_equal_terms():
    plan, _ = make_plan(
        ["arm.mixers=sgconv", "base.decay=power-law", "trials=0", "seeds=2"], "test"
    )
    arm = plan.arms[1].experiment.model
    assert {v.kind for _, _, n, v in walk(arm) if n == "gain"} == {"init"}
    assert {v.kind for _, _, n, v in walk(arm) if n == "decay"} == {"power-law"}


def test_a_twin_is_wider_and_nothing_else():
    plan, _ = make_plan(["base=hyena", "gating=off,glu", "match=parameters", "trials=0"], "test")
    twins = [arm for arm in plan.arms if "width=" in arm.name]
    assert twins
    for twin in twins:
        source = next(a for a in plan.arms if a.name == twin.name.partition(" width=")[0])
        made, given = twin.experiment.model, source.experiment.model
        assert made.model_copy(update={"width": given.width}) == given
        assert made.width % 8 == 0


def test_a_twin_that_is_there_already_is_not_added():
    plan, _ = make_plan(["arm.width=16", "match=parameters", "trials=0", "seeds=2"], "test")
    assert [arm.name for arm in plan.arms] == ["baseline", "width=16"]


def test_a_twin_has_only_widths_that_can_be():
    plan, _ = make_plan(
        ["base=attention", "mixers.0.num_heads=3", "width=24", "arm.depth=1", "match=parameters"],
        "test",
    )
    assert all(arm.experiment.model.width % 3 == 0 for arm in plan.arms)


def test_a_suite_takes_refinements():
    plan, _ = make_plan(["suite=five-properties", "length.taps=8", "trials=0"], "test")
    assert len(plan.arms) == 6
    assert "length=off length.taps=8" in [arm.name for arm in plan.arms]


def test_a_model_with_deeper_fields_of_that_name_still_has_its_own():
    plan, _ = make_plan(["base=hyena", "depth=1", "arm.width=16", "trials=0"], "test")
    assert [arm.experiment.model.depth for arm in plan.arms] == [1, 1]
    assert [arm.experiment.model.width for arm in plan.arms] == [32, 16]


def test_channels_that_cannot_learn_are_said():
    plan, _ = make_plan(
        [
            *("base=long-conv", "length=off", "trials=0"),
            "mixers.0.kernel.regularization.threshold=0.006",
        ],
        "test",
    )
    assert any("zero at initialisation" in note for note in plan.notes)


def test_a_cut_kernel_counts_its_own_taps():
    plan, _ = make_plan(["base=long-conv", "length=off", "trials=0"], "test")
    baseline, arm = plan.arms
    length = baseline.experiment.task.context.length
    model = baseline.experiment.model
    kernels = model.depth * model.width * model.mixers[0].channels
    assert baseline.parameters - arm.parameters == kernels * (length - 4)


def test_sublinearity_off_keeps_the_rate_of_what_it_replaces():
    plan, _ = make_plan(
        ["base=hyena", "sublinearity=off", "mixers.0.kernel.parameterization.kernel_lr=1e-4"],
        "test",
    )
    atoms = plan.arms[1].experiment.model.mixers[0].kernel.parameterization
    assert (atoms.kind, atoms.kernel_lr) == ("dense", 1e-4)
