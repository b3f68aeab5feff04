"""Capo: the world, exposures, layouts, bits, what is refused."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks.batch import Batch
from tasks.capo import Capo

NO = -100
SMALL: dict[str, Any] = {"num_people": 50, "name_parts": (8, 8, 8), "domains": (4, 3, 5, 2)}


def biography(task: Capo, batch: Batch, b: int) -> tuple[tuple[int, ...], dict[int, list[int]]]:
    """Name and values by attribute, read from tokens and targets."""
    ids = task.vocabulary["attribute"]
    last = int(batch.targets[b, -1])
    text = [*batch.inputs[b].tolist(), last]
    assert text[0] == 0
    found: dict[int, list[int]] = {}
    k = -1
    for token in text[4:]:
        if token in ids:
            k = (token - ids.start) // task.templates
            assert k not in found
            found[k] = []
        else:
            found[k].append(token)
    return tuple(text[1:4]), found


@pytest.mark.parametrize("fields", [{}, {"value_tokens": (1, 2, 1)}, {"permute": False}], ids=str)
def test_biographies(fields: dict[str, Any]) -> None:
    """Every biography tells the same of a person, whatever the order and the split."""
    task = Capo(**SMALL, **fields)
    known: dict[tuple[int, ...], Any] = {}
    for split in ("train", "test"):
        batch = task.generate(range(200), split)
        for b in range(200):
            name, values = biography(task, batch, b)
            assert {k: len(v) for k, v in values.items()} == dict(enumerate(task.sizes))
            assert known.setdefault(name, values) == values
            first = next(iter(values))
            assert first == batch.factors["first_attribute"][b]
            if not task.permute:
                assert list(values) == list(range(len(task.sizes)))
    assert len(known) == 50, "names are unique"


def test_targets_and_spans() -> None:
    """All but markers: names (span 0) and values (span k + 1), each at the place before it."""
    task = Capo(**SMALL, value_tokens=(1, 2, 1))
    batch = task.generate(range(40))
    assert batch.spans is not None
    ids = task.vocabulary["attribute"]
    for b in range(40):
        text = [*batch.inputs[b].tolist(), int(batch.targets[b, -1])]
        span = 0
        for t, target in enumerate(batch.targets[b].tolist()):
            if text[t] in ids:
                span = (text[t] - ids.start) // task.templates + 1
            if text[t + 1] in ids:
                assert target == NO
                assert batch.spans[b, t] == -1
            else:
                assert target == text[t + 1]
                assert batch.spans[b, t] == span
    silent = Capo(**SMALL, value_tokens=(1, 2, 1), name_loss=False).generate(range(40))
    assert (silent.targets[:, :3] == NO).all()


def test_everyone_appears_in_every_pass() -> None:
    task = Capo(**SMALL)
    for split in ("train", "validation", "test"):
        people = [task.content_key(range(50 * e, 50 * e + 50), split).tolist() for e in range(6)]
        assert all(sorted(p) == sorted(people[0]) for p in people)
        assert len(set(people[0])) == 50
        assert len({tuple(p) for p in people}) == 6, "in an order of its own"
    exposures = Counter(task.content_key(range(700)).tolist())
    assert set(exposures.values()) == {14}


def test_values_are_uniform() -> None:
    task = Capo(num_people=3000, name_parts=(30, 30, 30), domains=(4, 7))
    values = task.world.facts[:, 3:]
    for column, size in zip(values.T, task.domains, strict=True):
        counts = np.bincount(column - column.min(), minlength=size)
        assert stats.chisquare(counts).pvalue > 1e-4
    assert len({tuple(x) for x in task.world.facts[:, :3].tolist()}) == 3000


def test_orders_and_templates_are_uniform() -> None:
    task = Capo(**{**SMALL, "domains": (4, 3, 5)})
    batch = task.generate(range(3000))
    ids = task.vocabulary["attribute"]
    markers = batch.inputs[:, 4::2] - ids.start
    orders = Counter(map(tuple, (markers // 4).tolist()))
    assert len(orders) == 6
    assert stats.chisquare(list(orders.values())).pvalue > 1e-4
    assert stats.chisquare(np.bincount((markers % 4).ravel(), minlength=4)).pvalue > 1e-4


def test_the_world_is_fixed_by_its_own_seed() -> None:
    world = Capo(**SMALL).world.facts
    assert np.array_equal(Capo(**SMALL, seed=7, permute=False).world.facts, world)
    assert not np.array_equal(Capo(**SMALL, world_seed=1).world.facts, world)


def everyone(task: Capo) -> Batch:
    return task.generate(range(task.num_people), "test")


def logs(task: Capo, batch: Batch) -> np.ndarray:
    """ln of what one who knows everything gives the right tokens."""
    law = task.true_probs(batch)
    found = np.zeros(batch.targets.shape)
    found[batch.mask] = np.log(law[np.arange(len(law)), batch.targets[batch.mask]])
    return found


@pytest.mark.parametrize("fields", [{}, SMALL, {**SMALL, "value_tokens": (2, 1, 1)}], ids=str)
def test_bits_of_perfect_and_of_no_knowledge(fields: dict[str, Any]) -> None:
    task = Capo(**fields)
    batch, num = everyone(task), task.num_people
    perfect = task.bits(batch, logs(task, batch))
    assert perfect.values == pytest.approx(num * sum(map(math.log2, task.domains)), rel=1e-12)
    assert perfect.names == pytest.approx(num * math.log2(task.num_names / num))
    assert len(perfect.attributes) == len(task.sizes)
    assert perfect.per_parameter(1000) == (perfect.values + perfect.names) / 1000
    # one who gives all values of a place the same probability
    uniform = np.zeros(batch.targets.shape)
    for name, ids in task.vocabulary.items():
        inside = (batch.targets >= ids.start) & (batch.targets < ids.stop)
        uniform[inside] = -math.log(len(ids)) if name not in ("begin", "attribute") else 0.0
    none = task.bits(batch, uniform)
    assert none.values == pytest.approx(0, abs=1e-9)
    assert none.names == pytest.approx(0, abs=1e-6)
    worse = task.bits(batch, np.full(batch.targets.shape, -math.log(task.context.num_outputs)))
    assert worse.values == worse.names == 0.0


def test_bits_of_a_thousand_people() -> None:
    """47.6 kbit of values of the published attributes; 17,000 bits of the small ones."""
    task = tasks.preset("physics-capo-1k")
    assert isinstance(task, Capo)
    bits = task.bits(everyone(task), logs(task, everyone(task)))
    assert bits.values == pytest.approx(47_592, abs=1)
    assert bits.names == pytest.approx(17_288, abs=1)
    small = Capo()
    assert small.bits(everyone(small), logs(small, everyone(small))).values == pytest.approx(17_000)


def test_knowing_frequencies_is_no_knowledge() -> None:
    task = Capo(**SMALL)
    batch = everyone(task)
    assert batch.spans is not None
    found = np.zeros(batch.targets.shape)
    for k in range(4):
        at = batch.spans == k + 1
        counts = np.bincount(task.world.facts[:, 3 + k])
        found[at] = np.log(counts[batch.targets[at]] / 50)
    assert task.bits(batch, found, base="empirical").values == pytest.approx(0, abs=1e-9)
    assert task.bits(batch, found).values > 0
    perfect = logs(task, batch)
    assert task.bits(batch, perfect, base="empirical").values < task.bits(batch, perfect).values
    with pytest.raises(ValueError, match="base='none': choose from uniform, empirical"):
        task.bits(batch, found, base="none")


def test_bits_do_not_depend_on_the_order_of_people() -> None:
    task = Capo(**SMALL)
    batch = everyone(task)
    order = np.random.default_rng(0).permutation(50)
    mixed = Batch.of(batch.inputs[order], batch.targets[order])
    assert batch.spans is not None
    mixed = replace(mixed, spans=batch.spans[order])
    noisy = np.log(np.random.default_rng(1).uniform(0.2, 1, batch.targets.shape))
    a, b = task.bits(batch, noisy), task.bits(mixed, noisy[order])
    assert a.attributes == pytest.approx(b.attributes)
    assert a.names == pytest.approx(b.names)


@pytest.mark.parametrize("name_loss", [True, False])
def test_chance_floor_and_ceiling_are_attained(name_loss: bool) -> None:
    task = Capo(**SMALL, name_loss=name_loss)
    batch = everyone(task)
    assert batch.spans is not None
    targets, spans = batch.targets[batch.mask], batch.spans[batch.mask]
    counts = np.bincount(targets)
    assert counts.max() / len(targets) == task.chance
    columns = np.broadcast_to(np.arange(batch.targets.shape[1]), batch.targets.shape)[batch.mask]
    right = 0
    for asked in {(s, c if s == 0 else 0) for s, c in zip(spans.tolist(), columns, strict=True)}:
        here = (spans == asked[0]) & ((columns == asked[1]) | (asked[0] > 0))
        right += np.bincount(targets[here]).max()
    assert task.floors == {"commonest value of each attribute": right / len(targets)}
    law = task.true_probs(batch)
    assert np.abs(law.sum(axis=1) - 1).max() < 1e-12
    best = (law.argmax(axis=1) == targets).mean()
    assert best == pytest.approx(task.ceiling)
    assert task.determined("test") != name_loss


def test_the_oracle_knows_the_world() -> None:
    task = Capo(**SMALL, value_tokens=(1, 2, 1))
    batch = task.generate(range(300))
    answers = task.oracle(batch.inputs)
    assert batch.spans is not None
    values = batch.spans > 0
    assert np.array_equal(answers[values], batch.targets[values])
    assert (answers[~values] == NO).all()
    stranger = batch.inputs.copy()
    stranger[:, 1:4] = stranger[:, 3:0:-1]
    assert (task.oracle(stranger) == NO).all()


def test_published_settings() -> None:
    task = tasks.preset("physics-capo-50k")
    assert isinstance(task, Capo)
    assert (task.num_people, task.name_parts) == (50_000, (400, 400, 1000))
    assert task.sizes == (1, 3, 1, 1, 1, 1)
    assert sum(map(math.log2, task.domains)) == pytest.approx(47.59, abs=0.005)
    assert tasks.preset("capo-cpu") == Capo()
    assert Capo().context.length == 9, "ten tokens, of which the last is not read"


REFUSED = [
    (
        {"value_tokens": (1, 1)},
        r"value_tokens=\(1, 1\) has 2 tokens for the 3 of domains: needs as many",
    ),
    (
        {"num_people": 65_537},
        "num_people=65537 is more than a quarter of the 262144 names: needs <= 65536",
    ),
    ({"name_parts": (4, 4)}, "name_parts"),
    ({"name_parts": (65536, 65536, 2)}, "makes more than 2.32 names: needs fewer"),
    ({"domains": (1, 2)}, "domains.*greater than or equal to 2, got 1"),
    ({"templates": 0}, "templates: .*greater than or equal to 1, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("capo", **fields)
