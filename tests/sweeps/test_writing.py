"""What a model writes by itself: token after token, from its own words, to the end it sets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import tasks
from sweeps.batches import gather
from sweeps.scores import outputs_of
from sweeps.writing import write
from tasks.batch import Batch
from tasks.brevo import ANS, END
from tasks.task import Task
from tasks.writing import Writing
from zoo.model import Model
from zoo.presets import preset
from zoo.spec import replace_all

SPLIT = "test"


class Reads(nn.Module):
    """Says what a function of the row so far says: logits (V,)."""

    def __init__(self, answer: Callable[[list[int]], np.ndarray]) -> None:
        super().__init__()
        self.answer, self.unused = answer, nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Tensor, *, rows: Tensor, lengths: Tensor) -> Tensor:
        flat, width = rows.tolist(), inputs.shape[1]
        assert [place % width + 1 for place in flat] == lengths.tolist()
        so_far = [inputs[place // width, : place % width + 1].tolist() for place in flat]
        return torch.tensor(np.stack([self.answer(row) for row in so_far]))


def written(model: nn.Module, batch: Batch, writing: Writing, seed: int = 0) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    return write(model, batch, writing, generator)  # pyright: ignore[reportArgumentType]


def hot(token: int, size: int) -> np.ndarray:
    return np.where(np.arange(size) == token, 1.0, 0.0)


def test_each_token_is_read_before_the_next_is_written() -> None:
    """A model that counts on from what stands there, up to 9, and then ends."""
    inputs = np.array([[3, 1, 0, 0, 0, 0, 0], [5, 2, 7, 0, 0, 0, 0], [4, 4, 4, 4, 4, 8, 0]])
    targets = np.full(inputs.shape, -100)
    for row, place in enumerate((1, 2, 5)):
        targets[row, place] = 0
    batch = Batch.padded(inputs, targets, np.array([2, 3, 6]))
    counts = Reads(lambda row: hot(row[-1] + 1 if row[-1] < 9 else 0, 10))
    assert written(counts, batch, Writing(stop=0)).tolist() == [
        [2, 3, 4, 5, 6, 7],
        [8, 9, 0, 0, 0, 0],
        [9, 0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("fields", [{}, {"max_nodes": 7, "num_letters": 9}], ids=str)
def test_a_model_that_knows_the_graph_writes_what_is_accepted(fields: dict[str, int]) -> None:
    """Choosing at random among the admissible tokens: other orders than that of the targets."""
    task = tasks.make_task("brevo", **fields)
    batch, fresh = task.generate(range(60), SPLIT), np.random.default_rng(1)

    def knows(row: list[int]) -> np.ndarray:
        places = np.arange(len(row))
        targets = np.where(places >= row.index(ANS), 1, -100)  # of any kind
        allowed = task.admissible(Batch.of(np.array([row]), targets[None]))
        assert allowed is not None
        return np.where(allowed[-1], fresh.random(allowed.shape[1]) + 1, 0.0)

    answers = written(Reads(knows), batch, task.writings["valid"])
    assert task.accepts(batch, answers).all()
    targets = np.where(batch.mask, batch.targets, 0)
    own = [row[mask].tolist() for row, mask in zip(targets, batch.mask, strict=True)]
    same = [answer[: len(one)].tolist() == one for answer, one in zip(answers, own, strict=True)]
    assert not all(same), "another order is as right"
    answers[:, 0] = END
    assert not task.accepts(batch, answers).any()


def test_drawn_tokens_have_the_law_of_the_model() -> None:
    num, law = 20_000, np.array([0.5, 0.3, 0.2])
    inputs, targets = np.zeros((num, 3), np.int64), np.full((num, 3), -100)
    targets[:, 0] = 0
    batch = Batch.of(inputs, targets)
    drawn = written(Reads(lambda row: np.log(law)), batch, Writing(stop=2, sampled=True))
    first = np.bincount(drawn[:, 0], minlength=3)
    assert stats.chisquare(first, num * law).pvalue > 1e-4
    on = drawn[drawn[:, 0] != 2, 1]
    assert stats.chisquare(np.bincount(on, minlength=3), len(on) * law).pvalue > 1e-4
    assert not drawn[drawn[:, 0] == 2, 1].any(), "behind the end there is nothing"
    again = written(Reads(lambda row: np.log(law)), batch, Writing(stop=2, sampled=True))
    assert np.array_equal(drawn, again)


def test_what_is_given_stands_in_front() -> None:
    task = tasks.make_task("lano")
    batch = task.generate(range(12), SPLIT)
    silent = Reads(lambda row: hot(2, task.context.num_outputs))  # END
    answers = written(silent, batch, Writing(stop=2, given=7))
    assert np.array_equal(answers[:, :7], batch.targets[:, :7])
    assert (answers[:, 7] == 2).all()
    assert not answers[:, 8:].any()


@pytest.mark.parametrize(("base", "least", "most"), [("all-on", 2, 6), ("attention", 1, 8)])
def test_with_one_right_answer_writing_is_teacher_forcing(base: str, least: int, most: int) -> None:
    """All tokens right when the true ones are read: all tokens right when its own are read."""
    task = tasks.make_task("string-copy", min_tokens=least, num_tokens=most, num_letters=3)
    model = _small(base, task)
    batch = task.generate(range(200), SPLIT)
    with torch.no_grad():
        here = gather(batch)
        right = (outputs_of(model, here).argmax(-1) == here.labels).numpy()
    forced = np.array([right[here.owners.numpy() == b].all() for b in range(len(batch))])
    answers = written(model, batch, Writing(stop=-1))
    own = np.array(
        [
            answer[: mask.sum()].tolist() == target[mask].tolist()
            for answer, mask, target in zip(answers, batch.mask, batch.targets, strict=True)
        ]
    )
    assert np.array_equal(own, forced)
    assert 0 < own.mean() < 1


def _small(base: str, task: Task) -> Model:
    """Trained a little, so that some answers are right."""
    spec = replace_all(replace_all(preset(base), "width", 16), "depth", 1)
    model = spec.build(task.context, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(60):
        here = gather(task.generate(range(32 * step, 32 * step + 32)))
        loss = torch.nn.functional.cross_entropy(outputs_of(model, here), here.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()
