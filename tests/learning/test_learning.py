"""Real training runs: what the project says is learnable is learned. `make test-all` only."""

from __future__ import annotations

import pytest

import tasks
from sweeps.experiment import Experiment, TrainSpec
from sweeps.train import run_experiment
from zoo.presets import preset
from zoo.spec import replace_all

pytestmark = pytest.mark.slow


def test_attention_solves_recall_in_a_fraction_of_the_peers_steps(tmp_path):
    """zoology needs 3,443 steps for the same model and task."""
    task = tasks.make_task("mqar", vocab_size=256, length=64, num_pairs=4)
    train = TrainSpec(lr=4e-3, batch_size=32, steps=2000, eval_every=50, stop_at=0.99)
    model = replace_all(preset("attention"), "width", 64)
    experiment = Experiment(task=task, model=model, train=train)
    result = run_experiment(experiment, root=tmp_path)
    assert result.score("test", "accuracy") >= 0.97
    assert result.steps <= 2000


def test_the_default_baseline_is_well_above_chance(tmp_path):
    task = tasks.make_task("selective-copying")
    experiment = Experiment(task=task, model=preset("all-on"), train=TrainSpec(lr=1e-2))
    result = run_experiment(experiment, root=tmp_path)
    assert result.score("test", "accuracy") >= task.chance + 0.3


GATED = ["h3", "h3-conv", "hyena-3", "multi-hyena", "ckconv", "flexconv", "rwkv"]


@pytest.mark.parametrize(
    "name", ["hyena", "sgconv", "s4d", "long-conv", "ema", "base-conv", *GATED]
)
def test_every_preset_learns_something(tmp_path, name):
    task = tasks.make_task("selective-copying", length=8, num_tokens=3)
    train = TrainSpec(lr=1e-2, steps=300)
    result = run_experiment(Experiment(task=task, model=preset(name), train=train), root=tmp_path)
    assert result.status == "finished"
    assert result.score("test", "accuracy") >= task.chance + 0.15
