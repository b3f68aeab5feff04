"""Mixtures, length suites and curricula: which example comes from which task, at which length."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

import tasks
from tasks.batch import Batch
from tasks.copying import Copying
from tasks.curriculum import Curriculum
from tasks.digits import Digits
from tasks.induction import Induction
from tasks.length_suite import LengthSuite
from tasks.memorization import Memorization
from tasks.mixture import Mixture
from tasks.mqar import Mqar
from tasks.nested import at_length
from tasks.parity import Parity
from tasks.task import SPLITS, STREAM, Metric, Task

SMALL = Mqar(vocab_size=8, length=8, num_pairs=2, random_fill=False)
LARGE = Mqar(vocab_size=32, length=24, num_pairs=3)
RICHER = Mqar(vocab_size=10, length=8, num_pairs=2, random_fill=False)
SENTENCES = tasks.make_task("lano")


def test_every_part_has_its_share() -> None:
    task = Mixture(parts=(SMALL, LARGE, Copying(length=9, num_tokens=3)), weights=(1, 5, 2))
    which = task.generate(range(8000)).factors["part"]
    counts = np.bincount(which, minlength=3)
    assert stats.chisquare(counts, [1000, 5000, 2000]).pvalue > 1e-4


@pytest.mark.parametrize("split", SPLITS)
def test_an_example_of_a_mixture_is_one_of_its_part(split: str) -> None:
    """The part's oracle answers it, and the split is that which the part would put it in."""
    task = Mixture(parts=(SMALL, LARGE), seed=3)
    batch = task.generate(range(400), split)
    for number, part in enumerate((SMALL, LARGE)):
        rows = batch.factors["part"] == number
        length = part.context.length
        assert (batch.lengths[rows] == length).all()
        own = batch.inputs[rows, :length]
        targets = batch.targets[rows]
        assert not (targets[:, length:] != -100).any()
        assert (part.oracle(own) == targets[:, :length])[targets[:, :length] != -100].all()
    own = SMALL.model_copy(update={"seed": 3})
    mine = {r.tobytes() for r in batch.inputs[batch.factors["part"] == 0][:, :8]}
    for other in SPLITS:
        theirs = {r.tobytes() for r in own.generate(range(3000), other).inputs}
        assert bool(mine & theirs) == (other == split)


def test_a_mixture_is_tested_on_its_tests_apart() -> None:
    task = tasks.preset("based-mqar")
    assert list(task.test_slices())[-1] == "length=1024 num_pairs=256"
    assert task.context.length == 1024
    assert task.seed == 0
    other = tasks.make_task("based-mqar", seed=5)
    assert all(slice_.seed == 5 for slice_ in other.test_slices().values())


REFUSED: list[tuple[type, dict[str, Any], str]] = [
    (Mixture, {"parts": ()}, "parts is empty: needs one task or more"),
    (Mixture, {"parts": (SMALL,), "weights": (1, 2)}, "weights has 2 numbers for 1 parts"),
    (LengthSuite, {"inner": SMALL, "lengths": ()}, "lengths is empty"),
    (LengthSuite, {"inner": SMALL, "lengths": (16, 16)}, r"lengths=\(16, 16\) names one twice"),
    (LengthSuite, {"inner": SMALL, "lengths": (6,)}, "mqar at length=6: length=6 is too short"),
    (Curriculum, {"inner": LARGE, "lengths": (20, 16)}, r"lengths=\(20, 16\) must rise"),
    (Curriculum, {"inner": LARGE, "lengths": (16, 24)}, "ends with 24: needs < 24"),
    (LengthSuite, {"inner": SMALL, "lengths": (8,)}, "names 8, which is the length of mqar itself"),
    (LengthSuite, {"inner": Memorization()}, "memorization goes by an example's number"),
    (Mixture, {"parts": (SMALL, Curriculum())}, "curriculum goes by an example's number"),
    (Mixture, {"parts": (SMALL,), "tests": (Digits(),)}, "digits goes by an example's number"),
    (Mixture, {"parts": (tasks.make_task("capo"),)}, "capo goes by an example's number"),
    (Mixture, {"parts": (tasks.make_task("brevo"),)}, "brevo has answers that a model writes"),
    (Mixture, {"parts": (SMALL, RICHER)}, "two tasks of kind mqar have only"),
    (Mixture, {"parts": (SMALL,), "tests": (LengthSuite(inner=RICHER, lengths=(12,)),)}, "only"),
]


@pytest.mark.parametrize(("cls", "fields", "said"), REFUSED)
def test_what_cannot_be_is_refused(cls: type, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cls(**fields)


def test_a_suite_trains_short_and_is_built_long() -> None:
    suite = LengthSuite(inner=Induction(length=16), lengths=(32, 64), seed=2)
    batch = suite.generate(range(50))
    assert batch.inputs.shape == (50, 64)
    assert (batch.lengths == 16).all()
    assert not batch.mask[:, 16:].any()
    answers = Induction(length=16).oracle(batch.inputs[:, :16])
    assert np.array_equal(answers, batch.targets[:, :16])
    assert [task.context.length for task in suite.test_slices().values()] == [32, 64]
    assert list(suite.test_slices()) == ["length=32", "length=64"]


def test_a_task_at_one_length_has_no_shorter_ones() -> None:
    task = at_length(tasks.make_task("reverse-string", length=10), 30)
    assert (task.generate(range(50)).factors["length"] == 30).all()
    published = at_length(tasks.preset("chomsky-reverse-string"), 77)
    assert (published.generate(range(20), "test").factors["length"] == 77).all()
    with pytest.raises(ValueError, match="mixture has no field `length`"):
        at_length(Mixture(), 8)


def test_a_curriculum_grows_with_the_examples_of_each_seed() -> None:
    task = Curriculum(inner=LARGE, lengths=(12, 16), examples_per_stage=100)
    for seed in (0, 7):
        numbers = np.array([0, 99, 100, 199, 200, 10**6]) + seed * STREAM
        assert task.generate(numbers).lengths.tolist() == [12, 12, 16, 16, 24, 24]
    for split in ("validation", "test"):
        assert (task.generate(range(300), split).lengths == 24).all()
    stage = at_length(LARGE, 12)
    assert np.array_equal(task.generate([5, 3]).inputs[:, :12], stage.generate([5, 3]).inputs)


def test_a_curriculum_mixes_stages_in_a_batch() -> None:
    task = Curriculum(inner=LARGE, lengths=(12,), examples_per_stage=3)
    whole = task.generate(range(6))
    assert whole.lengths.tolist() == [12] * 3 + [24] * 3
    assert np.array_equal(task.generate([4, 1]).targets, whole.targets[[4, 1]])
    assert len(set(task.content_key(range(6)).tolist())) == 6


RANGED = [kind for kind, cls in tasks.kinds().items() if hasattr(cls(), "min_length")]


def strings(task: Task, split: str, num: int = 4000) -> set[bytes]:
    batch = task.generate(range(num), split)
    rows = zip(batch.inputs, batch.lengths, strict=True)
    return {row[:length].tobytes() for row, length in rows}


@pytest.mark.parametrize("kind", [kind for kind in RANGED if kind != "listops"])
def test_a_string_belongs_to_one_split_at_whatever_range_of_lengths(kind: str) -> None:
    """Trained among many lengths, tested among few: padding is no part of a string."""
    least = max(9, getattr(tasks.kinds()[kind], "least", 0))
    few, many = ((least, least + 2), (least, 20 * least))
    short = tasks.make_task(kind, min_length=few[0], length=few[1])
    long = tasks.make_task(kind, min_length=many[0], length=many[1])
    suite = LengthSuite(inner=long, lengths=(least,))
    (apart,) = suite.test_slices().values()
    for one, other in ((short, long), (apart, long), (long, short)):
        for split in SPLITS:
            found = strings(one, split)
            for another in set(SPLITS) - {split}:
                assert not found & strings(other, another)


KINDS = ["adding", "fuzzy-recall", "gap-grammar", "in-context-markov", "dyck"]


@pytest.mark.parametrize("cls", [LengthSuite, Curriculum])
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrapped_task_is_judged_by_its_own_law(cls: type, kind: str) -> None:
    inner = tasks.make_task(kind)
    length = inner.context.length
    task = cls(inner=inner, lengths=(2 * length if cls is LengthSuite else length - 4,))
    for name in ("metric", "shared", "sees_all", "chance", "floors", "ceiling", "answers_follow"):
        assert getattr(task, name) == getattr(inner, name), name
    for split in SPLITS:
        assert task.determined(split) == inner.determined(split)
    assert task.factors == inner.factors
    for metric in get_args(Metric):
        assert task.chance_of(metric) == inner.chance_of(metric)


def test_the_law_of_a_suite_is_that_of_its_task() -> None:
    inner = tasks.make_task("gap-grammar")
    suite = LengthSuite(inner=inner, lengths=(300,))
    whole = suite.generate(range(6), "test")
    assert whole.inputs.shape == (6, 300)
    inputs, targets, mask = (x[:, :200] for x in (whole.inputs, whole.targets, whole.mask))
    own = Batch(inputs=inputs, targets=targets, mask=mask, lengths=whole.lengths, factors={})
    law = _law(suite, whole)
    assert np.array_equal(law, _law(inner, own))
    assert law.shape == (whole.mask.sum(), suite.context.num_outputs)


def test_what_is_accepted_is_what_the_task_accepts() -> None:
    task, batch = Curriculum(inner=SENTENCES, lengths=()), SENTENCES.generate(range(9), "test")
    start = int(batch.mask[0].argmax())
    answers = np.where(batch.targets < 0, 0, batch.targets)[:, start:]
    answers[:4] = answers[4:8]
    accepted = task.accepts(batch, answers)
    assert accepted is not None
    assert accepted.tolist() == SENTENCES.accepts(batch, answers).tolist()  # pyright: ignore


def _law(task: Task, batch: Batch) -> NDArray[np.float64]:
    law = task.true_probs(batch)
    assert law is not None
    return law


def test_a_mixture_leads_with_the_metric_of_its_parts() -> None:
    assert Mixture(parts=(SENTENCES,)).metric == "loss"
    with pytest.raises(ValueError, match="parts need one metric"):
        Mixture(parts=(SENTENCES, SMALL))


def test_what_a_part_draws_does_not_tell_how_it_was_chosen() -> None:
    """The first draw of a part is uniform, and so is that of a part of a part."""
    words = [tasks.make_task("vocab-majority", length=n, min_length=n) for n in (40, 30, 20)]
    nested = Mixture(parts=(words[0], Mixture(parts=(words[1], words[2]))))
    batch = nested.generate(range(12_000))
    size = int(batch.inputs.max())
    for length in (40, 30, 20):
        rows = (batch.inputs != 0).sum(1) == length
        rows |= (batch.inputs != 0).sum(1) == length + 1
        first = np.bincount(batch.inputs[rows, 0], minlength=size + 1)[1:]
        first = first[first > 0]
        assert rows.sum() > 2500, length
        assert stats.chisquare(first).pvalue > 1e-4, (length, first)


def test_equal_contents_of_a_mixture_have_equal_keys() -> None:
    task = Mixture(parts=(Parity(min_length=0, length=4), Copying(length=9, num_tokens=3)))
    keys, batch = task.content_key(range(600)), task.generate(range(600))
    parity = batch.factors["part"] == 0
    texts = {row.tobytes() for row in batch.inputs[parity]}
    assert len(set(keys[parity].tolist())) == len(texts) <= 16
    assert not set(keys[parity].tolist()) & set(task.content_key(range(600), "test").tolist())


def test_a_mixture_is_as_good_as_its_parts_by_their_labels() -> None:
    one = tasks.make_task("in-context-markov", num_states=2)
    two = tasks.make_task("in-context-markov", num_states=3, length=60)
    alone, both = Mixture(parts=(one,)), Mixture(parts=(one, two), weights=(3, 1))
    assert alone.ceiling == pytest.approx(one.ceiling)
    assert alone.floors == pytest.approx(one.floors)
    assert alone.determined("test") == one.determined("test") is False
    assert min(one.ceiling, two.ceiling) < both.ceiling < max(one.ceiling, two.ceiling)
