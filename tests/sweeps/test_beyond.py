"""Scores beyond the targets: against closed forms of known laws, and on real runs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tasks
from sweeps.beyond import beyond
from sweeps.experiment import TrainSpec
from sweeps.train import run_experiment
from tasks.batch import Batch
from tasks.mixture import Mixture
from tasks.task import Task
from tests.sweeps.small import SHORT, curve, experiment

FEW = TrainSpec(num_eval=48, batch_size=20)
LAWFUL = ["gap-grammar", "in-context-markov", "in-context-language", "lano"]


class Says(nn.Module):
    """The logits of the labels of each batch in turn, (M, V); one place a row nothing."""

    def __init__(self, task: Task, logits: Callable[[Batch], np.ndarray]) -> None:
        super().__init__()
        self.unused, self.size = nn.Parameter(torch.zeros(1)), task.context.num_outputs
        starts = range(0, FEW.num_eval, FEW.batch_size)
        self.left = [
            logits(task.generate(range(i, min(FEW.num_eval, i + FEW.batch_size)), "test"))
            for i in starts
        ]

    def forward(self, inputs: Tensor, *, rows: Tensor, lengths: Tensor | None = None) -> Tensor:
        if len(rows) == len(inputs):
            return torch.zeros(len(rows), self.size)
        return torch.from_numpy(self.left.pop(0))


def scores(task: Task, logits: Callable[[Batch], np.ndarray]) -> dict[str, float]:
    model = Says(task, logits)
    found = dict(beyond(model, task, "test", FEW))  # pyright: ignore[reportArgumentType]
    assert not model.left
    return found


def true_law(task: Task, batch: Batch) -> np.ndarray:
    law = task.true_probs(batch)
    assert law is not None
    return law


@pytest.mark.parametrize("kind", LAWFUL)
def test_the_true_law_is_not_apart_from_itself(kind: str) -> None:
    task = tasks.make_task(kind)
    found = scores(task, lambda batch: np.log(np.maximum(true_law(task, batch), 1e-30)))
    assert found.get("admissible", 1.0) == 1.0
    for name in ("kl_bits", "total_variation", "excess_loss"):
        assert abs(found[name]) < 1e-9, name


@pytest.mark.parametrize("kind", LAWFUL)
def test_guessing_is_as_far_from_the_law_as_its_entropy_says(kind: str) -> None:
    """KL(p, uniform) = ln V - H(p); half of sum |p - 1/V|; and the loss above that of p."""
    task = tasks.make_task(kind)
    size = task.context.num_outputs
    found = scores(task, lambda batch: np.zeros((int(batch.mask.sum()), size)))
    batch = task.generate(range(FEW.num_eval), "test")
    law = true_law(task, batch)
    plogp = np.where(law > 0, law * np.log(np.where(law > 0, law, 1)), 0).sum(1)
    assert found["kl_bits"] == pytest.approx((math.log(size) + plogp).mean() / math.log(2))
    assert found["total_variation"] == pytest.approx(np.abs(law - 1 / size).sum(1).mean() / 2)
    picked = law[np.arange(len(law)), batch.targets[batch.mask]]
    assert found["excess_loss"] == pytest.approx((math.log(size) + np.log(picked)).mean())


def test_admissible_counts_what_could_stand() -> None:
    """Half of the answers are the last symbol that may follow, the others one that may not."""
    task = tasks.make_task("gap-grammar")
    shares: list[np.ndarray] = []

    def logits(batch: Batch) -> np.ndarray:
        law = true_law(task, batch)
        good = np.arange(len(law)) % 3 > 0
        shares.append(good)
        ranks = np.arange(law.shape[1])
        wanted = np.where((law > 0) == good[:, None], ranks, -1).argmax(1)
        return np.where(ranks == wanted[:, None], 9.0, 0.0)

    found = scores(task, logits)
    assert found["admissible"] == pytest.approx(np.concatenate(shares).mean())
    assert 0.6 < found["admissible"] < 0.7


@pytest.mark.parametrize("kind", ["copying", "adding", "mqar", "memorization"])
def test_tasks_with_one_right_answer_have_nothing_beyond(kind: str) -> None:
    made = experiment().model_copy(update={"task": tasks.make_task(kind)})
    model = made.model.build(made.task.context, seed=0)
    for split in ("validation", "test"):
        assert list(beyond(model, made.task, split, FEW)) == []


def test_a_run_says_what_it_wrote(tmp_path):
    made = experiment(steps=4, eval_every=2, num_eval=24)
    made = made.model_copy(update={"task": tasks.make_task("brevo", max_nodes=5, num_letters=5)})
    result = run_experiment(made, root=tmp_path)
    for split in ("validation", "test"):
        assert result.score(split, "valid") is not None
        assert 0 <= (result.score(split, "valid") or 0) <= 1
    assert result.score("test", "admissible") is not None
    assert result.score("test", "kl_bits") is None
    found = curve(tmp_path, made).filter(metric="valid")
    assert found["step"].to_list() == [2, 4]
    assert found["split"].unique().to_list() == ["validation"]


def test_distinct_counts_what_is_drawn_not_what_was_given() -> None:
    """A model that ends at once writes one text, whatever it goes on from."""
    task = tasks.make_task("lano")

    class Ends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, inputs: Tensor, *, rows: Tensor, lengths: Tensor) -> Tensor:
            return torch.tensor([0.0, 0.0, 99.0, 0.0, 0.0, 0.0]).expand(len(rows), -1)

    found = dict(beyond(Ends(), task, "test", TrainSpec(num_eval=300)))  # pyright: ignore
    assert found["distinct@0"] == 1 / 300
    assert 0 < found["distinct@50"] < 0.1
    assert found["valid@0"] == 0.0


def test_a_slice_may_have_fewer_classes_than_the_model(tmp_path):
    parts = (tasks.make_task("gap-grammar"),)
    mixed = Mixture(parts=parts, tests=(tasks.make_task("gap-grammar", num_symbols=8, length=99),))
    made = experiment(steps=2, num_eval=8).model_copy(update={"task": mixed})
    (name,) = mixed.test_slices()
    assert run_experiment(made, root=tmp_path).score("test", "kl_bits", name) is not None


def test_what_cannot_be_drawn_from_is_no_crash() -> None:
    task = tasks.make_task("lano")

    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, inputs: Tensor, *, rows: Tensor, lengths: Tensor | None = None) -> Tensor:
            return torch.full((len(rows), task.context.num_outputs), float("nan"))

    found = dict(beyond(Broken(), task, "test", TrainSpec(num_eval=4)))  # pyright: ignore
    assert found["valid@0"] == 0.0


def test_a_run_says_how_far_it_is_from_the_law(tmp_path):
    made = experiment(steps=4, eval_every=2, num_eval=24)
    made = made.model_copy(update={"task": tasks.make_task("lano", depth=3)})
    one = run_experiment(made, root=tmp_path / "a")
    for name in ("kl_bits", "total_variation", "excess_loss", "valid@0", "distinct@0"):
        assert one.score("test", name) is not None, name
        assert one.score("validation", name) is None, name
    assert run_experiment(made, root=tmp_path / "b").scores == one.scores, "draws are repeatable"


def test_slices_of_other_lengths_have_them_too(tmp_path):
    suite = tasks.make_task("length-suite", inner=tasks.make_task("gap-grammar"), lengths=(250,))
    made = experiment(steps=2, num_eval=8).model_copy(update={"task": suite})
    result = run_experiment(made, root=tmp_path)
    assert result.score("test", "kl_bits", "length=250") is not None
    assert result.score("test", "kl_bits") != result.score("test", "kl_bits", "length=250")


def test_the_mode_of_the_model_is_as_before() -> None:
    made = experiment().model_copy(update={"task": tasks.make_task("gap-grammar")})
    model = made.model.build(made.task.context, seed=0)
    for training in (True, False):
        model.train(training)
        assert dict(beyond(model, made.task, "test", SHORT))
        assert model.training is training
