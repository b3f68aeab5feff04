"""The training loop: the same bits every time, stopped or not; nothing of the test split early."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import tasks
from sweeps import batches, provenance, train
from sweeps.rundir import RunDirectory, read_experiment
from sweeps.scores import loss_of, outputs_of
from sweeps.search import TUNING_SEED
from sweeps.state import weights_digest
from sweeps.train import Interrupted, pick_device, run_experiment, schedule
from sweeps.words import WordError
from tests.sweeps.small import SHORT, StopAt, curve, experiment
from zoo.spec import replace_all


def test_the_same_experiment_gives_the_same_bits(tmp_path):
    made = experiment()
    one = run_experiment(made, root=tmp_path / "a")
    two = run_experiment(made, root=tmp_path / "b")
    assert one.weights == two.weights
    assert one.scores == two.scores
    assert curve(tmp_path / "a", made).equals(curve(tmp_path / "b", made))
    other = run_experiment(experiment(seed=1), root=tmp_path / "a")
    assert other.weights != one.weights


@pytest.mark.parametrize("select", ["last", "best-validation"])
def test_resuming_equals_not_stopping(tmp_path, select):
    made = experiment(select=select)
    made = made.model_copy(update={"model": replace_all(made.model, "dropout", 0.2)})
    whole = run_experiment(made, root=tmp_path / "whole")
    for step in (3, 8, 11):
        with pytest.raises(Interrupted):
            run_experiment(made, root=tmp_path / "parts", watcher=StopAt(step))
        assert RunDirectory(tmp_path / "parts", made).result() is None
    resumed = run_experiment(made, root=tmp_path / "parts")
    assert resumed.resumed_from == (3, 8, 11)
    assert resumed.weights == whole.weights
    assert resumed.scores == whole.scores
    assert curve(tmp_path / "parts", made).equals(curve(tmp_path / "whole", made))


def test_a_stop_at_the_last_step_finishes(tmp_path):
    result = run_experiment(experiment(), root=tmp_path, watcher=StopAt(12))
    assert result.steps == 12


def test_a_finished_run_is_read_and_not_repeated(tmp_path, monkeypatch):
    first = run_experiment(experiment(), root=tmp_path)
    monkeypatch.setattr(train, "_run", lambda *_: pytest.fail("trained again"))
    assert run_experiment(experiment(), root=tmp_path) == first


def test_other_code_is_neither_reused_nor_continued(tmp_path, monkeypatch):
    made = experiment()
    first = run_experiment(made, root=tmp_path)
    with pytest.raises(Interrupted):
        run_experiment(experiment(seed=1), root=tmp_path, watcher=StopAt(5))
    monkeypatch.setattr(provenance, "code_hash", lambda: "another")
    again = run_experiment(made, root=tmp_path)
    assert again.identity["code"] == "another"
    assert again.weights == first.weights
    assert run_experiment(experiment(seed=1), root=tmp_path).resumed_from == ()


def test_any_code_takes_what_is_there(tmp_path, monkeypatch):
    first = run_experiment(experiment(), root=tmp_path)
    monkeypatch.setattr(provenance, "code_hash", lambda: "another")
    assert run_experiment(experiment(), root=tmp_path, any_code=True) == first


def test_divergence_counts_with_chance(tmp_path):
    made = experiment(lr=1e30)
    result = run_experiment(made, root=tmp_path)
    assert result.status == "diverged"
    assert {s.metric: s.value for s in result.scores} == {"accuracy": made.task.chance}
    assert {s.split for s in result.scores} == {"validation", "test"}


@pytest.mark.parametrize("lr", [1e10, 1e20, 1e36])
def test_scores_that_overflow_are_a_divergence(tmp_path, lr):
    """Finite weights whose answers are not: one step, then evaluation."""
    result = run_experiment(experiment(lr=lr, steps=1), root=tmp_path)
    values = [s.value for s in result.scores]
    assert all(v is not None and math.isfinite(v) for v in values)
    assert RunDirectory(tmp_path, experiment(lr=lr, steps=1)).result() == result


def test_logits_at_labels_only_change_nothing():
    made = experiment()
    context = made.task.context
    batch = next(batches.training_batches(made, 0))
    gathered, full = (made.model.build(context, seed=0) for _ in range(2))
    loss_of(outputs_of(gathered, batch), batch.labels).backward()
    logits = full(batch.inputs)
    assert batch.rows is not None
    flat = logits.reshape(-1, logits.shape[-1])[batch.rows]
    loss_of(flat, batch.labels).backward()
    for (name, one), two in zip(gathered.named_parameters(), full.parameters(), strict=True):
        assert one.grad is not None, name
        assert torch.allclose(one.grad, two.grad, atol=1e-6), name


def test_schedule_rises_and_falls():
    values = [schedule(step, 100, 0.1) for step in range(100)]
    assert values[0] == pytest.approx(0.1)
    assert values[9] == 1.0
    assert np.all(np.diff(values[:10]) > 0)
    assert np.all(np.diff(values[10:]) < 0)
    middle = 10 + 45
    assert schedule(middle, 100, 0.1) == pytest.approx(0.5)
    assert schedule(0, 10, 0.0) == 1.0
    assert schedule(0, 1, 1.0) == 1.0


def test_every_seed_trains_on_its_own_stream_of_all_arms():
    made = experiment()
    first = batches.training_indices(made, 0)
    assert np.array_equal(batches.training_indices(experiment(base="hyena"), 0), first)
    rest = [batches.training_indices(made.with_seed(s), t) for s in (0, 1) for t in range(3)]
    assert len(np.unique(np.concatenate(rest))) == 6 * made.train.batch_size


def test_batches_arrive_in_order_and_errors_come_through(monkeypatch):
    made = experiment()
    seen = [b.inputs for b in batches.training_batches(made, 3)]
    assert len(seen) == made.train.steps - 3
    for step, inputs in enumerate(seen, start=3):
        fresh = made.task.generate(batches.training_indices(made, step), "train").inputs
        assert np.array_equal(inputs.numpy(), fresh)

    def broken(self, indices, split="train"):
        raise RuntimeError("no more data")

    monkeypatch.setattr(type(made.task), "generate", broken)
    with pytest.raises(RuntimeError, match="no more data"):
        next(batches.training_batches(made, 0))


def test_stop_at_ends_early(tmp_path):
    result = run_experiment(experiment(stop_at=1e-9), root=tmp_path)
    assert result.steps == SHORT.eval_every


def test_the_folder_holds_what_it_should(tmp_path):
    made = experiment()
    result = run_experiment(made, root=tmp_path)
    folder = RunDirectory(tmp_path, made).path
    names = {p.name for p in folder.iterdir()}
    wanted = {"experiment.json", "curve.parquet", "kernels.npz", "checkpoint", "provenance.json"}
    assert wanted | {"result.json"} <= names
    assert read_experiment(folder / "experiment.json") == made
    with np.load(folder / "kernels.npz", allow_pickle=False) as kernels:
        initial = {n for n in kernels.files if n.startswith("initial/")}
        assert initial
        model = made.model.build(made.task.context, seed=made.seed)
        for name in initial:
            built = model.kernels()[name.removeprefix("initial/")].numpy()
            assert np.array_equal(kernels[name], built)
            assert not np.array_equal(kernels[name], kernels[name.replace("initial", "final", 1)])
    assert RunDirectory(tmp_path, made).result() == result


def test_weights_digest_sees_one_bit():
    made = experiment()
    model = made.model.build(made.task.context, seed=0)
    before = weights_digest(model)
    with torch.no_grad():
        parameter = next(model.parameters())
        parameter.view(-1)[0] = torch.nextafter(parameter.view(-1)[0], torch.tensor(9.0))
    assert weights_digest(model) != before


def test_a_missing_gpu_is_one_line():
    if torch.cuda.is_available():
        assert pick_device("auto") == "cuda"
        return
    with pytest.raises(WordError, match="device=cpu"):
        pick_device("cuda")
    with pytest.raises(WordError, match="choose auto"):
        pick_device("tpu")


def test_gradient_clipping_and_own_rates_are_honoured(tmp_path):
    made = experiment()
    model = made.model.build(made.task.context, seed=0)
    groups = model.parameter_groups(1e-2, 0.1)
    named = {id(p): n for n, p in model.named_parameters()}
    found = sorted(named[id(p)] for g in groups for p in g["params"])
    assert found == sorted(named.values())
    clipped = run_experiment(experiment(clip=1e-9), root=tmp_path)
    assert clipped.weights != run_experiment(made, root=tmp_path).weights


def test_tuning_seeds_are_not_reported_seeds():
    from sweeps.options import MOST

    assert TUNING_SEED >= 10_000
    assert MOST <= TUNING_SEED


@pytest.mark.parametrize("key", ["code", "torch", "device", "dtype", "threads"])
def test_every_part_of_the_identity_counts(tmp_path, monkeypatch, key):
    run_experiment(experiment(), root=tmp_path)
    monkeypatch.setattr(train, "identity", lambda device: {**provenance.identity(device), key: "x"})
    assert run_experiment(experiment(), root=tmp_path).identity[key] == "x"


def test_identity_says_what_it_must():
    assert set(provenance.identity("cpu")) == {"code", "torch", "device", "dtype", "threads"}


def test_best_validation_scores_the_best_weights_also_when_resumed(tmp_path, monkeypatch):
    """Validation accuracy peaks at the second of three evaluations, whatever is learned."""
    made = experiment(select="best-validation")
    kept: list[str] = []
    truth = train.score

    def rigged(model, held, split, device, **part):
        found = truth(model, held, split, device, **part)
        if split != "validation" or len(kept) >= 3:
            return found
        kept.append(weights_digest(model))
        value = (0.2, 0.9, 0.4)[len(kept) - 1]
        return [s._replace(value=value) if s.metric == "accuracy" else s for s in found]

    monkeypatch.setattr(train, "score", rigged)
    monkeypatch.setattr(train, "LATE", 1.0)
    with pytest.raises(Interrupted):
        run_experiment(made, root=tmp_path, watcher=StopAt(9))
    result = run_experiment(made, root=tmp_path)
    assert len(set(kept)) == 3
    assert result.weights == kept[1]


def test_of_equally_good_weights_the_later_are_kept(tmp_path, monkeypatch):
    """No answer is whole at first: the first weights of all would win."""
    made = experiment(select="best-validation", num_eval=8)
    made = made.model_copy(update={"task": tasks.make_task("string-copy")})
    kept: list[str] = []
    truth = train.score

    def spied(model, held, split, device, **part):
        kept.extend([weights_digest(model)] if split == "validation" else [])
        return truth(model, held, split, device, **part)

    monkeypatch.setattr(train, "score", spied)
    monkeypatch.setattr(train, "LATE", 1.0)
    result = run_experiment(made, root=tmp_path, splits=("test",))
    values = curve(tmp_path, made).filter(metric="span_exact", split="validation")["value"]
    assert values.to_list() == [0.0, 0.0, 0.0]
    assert len(set(kept)) == 3
    assert result.weights == kept[-1]


def test_the_best_weights_are_best_by_what_the_task_leads_with(tmp_path, monkeypatch):
    made = experiment(select="best-validation", num_eval=8)
    made = made.model_copy(update={"task": tasks.make_task("lano")})
    kept: list[str] = []
    truth = train.score

    def rigged(model, held, split, device, **part):
        found = truth(model, held, split, device, **part)
        if split != "validation":
            return found
        kept.append(weights_digest(model))
        values = {"accuracy": (0.9, 0.1, 0.5), "loss": (3.0, 1.0, 2.0)}
        at = len(kept) - 1
        return [s._replace(value=values.get(s.metric, [s.value] * 3)[at]) for s in found]

    monkeypatch.setattr(train, "score", rigged)
    monkeypatch.setattr(train, "LATE", 1.0)
    assert run_experiment(made, root=tmp_path, splits=("test",)).weights == kept[1]


def test_weight_decay_moves_the_weights(tmp_path):
    one = run_experiment(experiment(weight_decay=0.0), root=tmp_path)
    two = run_experiment(experiment(weight_decay=0.9), root=tmp_path)
    assert one.weights != two.weights


def test_scores_are_taken_without_dropout(tmp_path):
    made = experiment()
    made = made.model_copy(update={"model": replace_all(made.model, "dropout", 0.5)})
    model = made.model.build(made.task.context, seed=0).train()
    held = batches.held_out(made.task, "validation", 32, 8)
    assert train.score(model, held, "validation", "cpu") == train.score(
        model, held, "validation", "cpu"
    )


def test_still_improving_looks_at_the_last_tenth():
    def points(*values):
        return [[s, "validation", "all", "accuracy", v] for s, v in values]

    assert train._still_improving(points((90, 0.5), (100, 0.52)), 100)
    assert not train._still_improving(points((90, 0.5), (100, 0.505)), 100)
    assert not train._still_improving(points((80, 0.4), (90, 0.52), (100, 0.52)), 100)
    assert not train._still_improving(points((100, 0.5)), 100)
