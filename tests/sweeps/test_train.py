"""The training loop: the same bits every time, stopped or not; nothing of the test split early."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import tasks
from sweeps import batches, provenance, train
from sweeps.experiment import Experiment, TrainSpec
from sweeps.rundir import RunDirectory, read_experiment
from sweeps.scores import loss_of, outputs_of
from sweeps.search import TUNING_SEED, curve_of_rates, trial_experiment, tune
from sweeps.state import weights_digest
from sweeps.train import Interrupted, NoWatcher, pick_device, run_experiment, schedule
from sweeps.words import WordError
from zoo.presets import preset
from zoo.spec import replace_all

SHORT = TrainSpec(steps=12, batch_size=8, eval_every=4, num_eval=32, lr=1e-2, checkpoint_every=1e9)


def experiment(*, seed=0, base="all-on", **fields) -> Experiment:
    model = replace_all(replace_all(preset(base), "width", 8), "depth", 1)
    task = tasks.make_task("selective-copying", length=16, num_tokens=4)
    made = Experiment(task=task, model=model, train=SHORT, seed=seed)
    return made.with_train(**fields) if fields else made


class StopAt(NoWatcher):
    """Asks to stop after one step number."""

    def __init__(self, *steps: int) -> None:
        self.steps, self.now = set(steps), 0

    def step(self, step: int) -> None:
        self.now = step

    def stopping(self) -> bool:
        return self.now in self.steps


def curve(root, made):
    import polars as pl

    return pl.read_parquet(RunDirectory(root, made).path / "curve.parquet")


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


def test_tuning_never_sees_the_test_split(tmp_path, monkeypatch):
    seen = set()
    generate = type(experiment().task).generate

    def spy(self, indices, split="train"):
        seen.add(split)
        return generate(self, indices, split)

    monkeypatch.setattr(type(experiment().task), "generate", spy)

    def run(trial):
        return run_experiment(trial, root=tmp_path, splits=("validation",))

    tuned = tune(experiment(), "arm", 3, tmp_path / "study.db", run)
    assert len(tuned.trials) == 3
    assert seen == {"train", "validation"}


def test_the_first_trials_are_the_given_rate_and_four_around_it(tmp_path):
    made = experiment(lr=3e-3)
    rates = curve_of_rates(made)
    assert rates[0] == 3e-3
    assert len(rates) == 5
    steps = np.diff(np.log(sorted(rates)))
    assert np.allclose(steps[:2], steps[0], rtol=0.02)
    assert np.allclose(steps[2:], steps[2], rtol=0.02)
    assert min(rates) > 1e-4
    assert max(rates) < 1e-1
    trial = trial_experiment(made, rates[1])
    assert (trial.seed, trial.train.steps) == (TUNING_SEED, made.train.steps // 2)


def test_tuning_goes_on_where_it_stopped_and_chooses_the_best(tmp_path):
    calls = []

    def run(trial):
        calls.append(trial.train.lr)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return run_experiment(trial, root=tmp_path, splits=("validation",))

    made, storage = experiment(), tmp_path / "study.db"
    with pytest.raises(KeyboardInterrupt):
        tune(made, "arm", 6, storage, run)
    tuned = tune(made, "arm", 6, storage, run)
    assert [t.number for t in tuned.trials] == list(range(6))
    assert calls[3] == calls[2]
    assert len(calls) == 7
    best = max(tuned.trials, key=lambda t: (t.value, -t.number))
    assert (tuned.lr, tuned.trial) == (best.lr, best.number)
    before = len(calls)
    assert tune(made, "arm", 6, storage, run) == tuned
    assert len(calls) == before


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


def fake_result(made, value, status="finished"):
    from sweeps.experiment import Result, Score

    scores = (Score("validation", "all", "accuracy", value),)
    rest = {"parameters": 1, "state_bytes": 1, "steps": 1, "seconds": 1.0, "weights": ""}
    return Result(fingerprint=made.fingerprint, status=status, scores=scores, identity={}, **rest)


def test_a_diverged_trial_never_wins(tmp_path):
    def run(trial):
        high = trial.train.lr > 2e-2
        return fake_result(trial, 0.1 if high else 0.01, "diverged" if high else "finished")

    tuned = tune(experiment(lr=3e-3), "arm", 5, tmp_path / "study.db", run)
    assert tuned.lr < 2e-2
    assert {t.state for t in tuned.trials} == {"finished", "diverged"}


def test_a_trial_without_memory_is_tried_again(tmp_path):
    answers = [None, 0.5]

    def run(trial):
        value = answers.pop(0)
        return None if value is None else fake_result(trial, value)

    first = tune(experiment(), "arm", 1, tmp_path / "study.db", run)
    assert first.trials[0].state == "failed"
    assert tune(experiment(), "arm", 1, tmp_path / "study.db", run).trials[0].value == 0.5


def test_other_hardware_tunes_again(tmp_path):
    calls = []

    def run(trial):
        calls.append(trial)
        return fake_result(trial, 0.5)

    for stamp in ("one", "one", "two"):
        tune(experiment(), "arm", 2, tmp_path / "study.db", run, stamp=stamp)
    assert len(calls) == 4


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

    def rigged(model, held, split, device):
        found = truth(model, held, split, device)
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
