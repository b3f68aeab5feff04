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
    assert result.score("test", "accuracy") == made.task.chance
    assert result.steps < made.train.steps or not math.isfinite(result.seconds) or result.steps


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
