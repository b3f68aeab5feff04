"""Depo: the worked example, the laws of cycles, names and questions, floors, what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.depo import Depo, reach
from tasks.named_nodes import Names, inverse_sizes

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def words_of(task: Depo, row: Any) -> tuple[list[tuple[int, ...]], list[list[int]]]:
    """Names before the first hop token; then each question's tokens. Written differently."""
    hops, closing = set(task.vocabulary["hops"]), set(task.names.closing)
    text = [x for x in row.tolist() if x != 0]
    starts = [i for i, x in enumerate(text) if x in hops]
    names, begun = [], ()
    for token in text[1 : starts[0]]:
        begun = (*begun, token) if token != 3 else begun
        if token in closing:
            names.append(begun)
            begun = ()
    ends = [*starts[1:], len(text)]
    return names, [text[i:j] for i, j in zip(starts, ends, strict=True)]


def test_the_worked_example() -> None:
    """a -> c -> b -> a, written c b a c b a; two steps from a: b."""
    task = Depo(max_nodes=3, max_hops=2, num_queries=1, num_letters=6)
    a, b, c = 0, 1, 2
    content = {
        "edges": np.array([[c, b, a, c, b, a]]),
        "hops": np.array([[2]]),
        "sources": np.array([[a]]),
        "answers": np.array([[b]]),
    }
    batch = task.render(content, keys(1), "train")
    assert batch.inputs.tolist() == [[1, 8, 7, 6, 8, 7, 6, 5, 6, 2]]
    assert batch.targets.tolist() == [[NO] * 9 + [7]]
    assert batch.factors["num_hops"].tolist() == [2]
    assert batch.factors["num_nodes"].tolist() == [3]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


FIELDS: list[dict[str, Any]] = [
    {},
    {"max_nodes": 12, "max_hops": 4, "num_queries": 6, "edge_separator": True},
    {"max_nodes": 9, "max_hops": 3, "num_letters": 3, "min_name_tokens": 2, "max_name_tokens": 4},
    {"max_nodes": 20, "max_hops": 8, "num_letters": 6, "max_name_tokens": 2, "num_queries": 20},
    {"max_nodes": 6, "max_hops": 9, "wrap": True},
    {"max_nodes": 6, "num_letters": 6, "size_law": "fixed", "test_hops": "all"},
]


@pytest.mark.parametrize("fields", FIELDS, ids=str)
@pytest.mark.parametrize("split", ["train", "test"])
def test_graphs_and_questions(fields: dict[str, Any], split: str) -> None:
    """One cycle, each name twice, questions about different names; an own walk gives answers."""
    task = Depo(**fields)
    batch = task.generate(range(200), split)
    assert batch.spans is not None
    for b in range(200):
        names, questions = words_of(task, batch.inputs[b])
        num = len(names) // 2
        assert num == batch.factors["num_nodes"][b]
        assert num == task.max_nodes or (split == "train" and task.size_law == "inverse")
        assert set(Counter(names).values()) == {2}
        after = dict(zip(names[::2], names[1::2], strict=True))
        walk = [names[0]]
        while after[walk[-1]] != names[0]:
            walk.append(after[walk[-1]])
        assert len(walk) == num
        assert len(questions) == min(num, task.num_queries)
        sources = []
        for q, question in enumerate(questions):
            at = question.index(2)
            hops, source = question[0] - 3, tuple(question[1:at])
            sources.append(source)
            assert task.wrap or hops < num
            answer = walk[(walk.index(source) + hops) % num]
            due = batch.targets[b][batch.spans[b] == q].tolist()
            assert tuple(due) == answer
            assert question[at + 1 :] == due[: len(question) - at - 1]
        assert len(set(sources)) == len(sources)
        assert batch.factors["num_hops"][b] == max(q[0] - 3 for q in questions)
    assert np.array_equal(batch.spans >= 0, batch.mask)
    scored = set(batch.targets[batch.mask].tolist())
    assert min(scored) >= task.names.first, "no marker is a target"


def test_hops_are_uniform() -> None:
    task = Depo(max_nodes=12, max_hops=5, num_queries=6)
    hops = task.draw(keys(2000), "train")["hops"]
    assert stats.chisquare(np.bincount(hops[hops > 0], minlength=6)[1:]).pvalue > 1e-4
    hops = task.draw(keys(2000), "test")["hops"]
    assert (hops == hops[:, :1]).all(), "outside training an example asks for one number of hops"
    counts = np.bincount(hops[:, 0], minlength=6)
    assert task.tested_hops == (1, 2, 4, 5)
    assert counts[3] == 0
    assert stats.chisquare(counts[[1, 2, 4, 5]]).pvalue > 1e-4
    assert Depo(max_nodes=40, max_hops=32, num_letters=90).tested_hops == (1, 2, 4, 8, 16, 24, 32)


def test_edges_are_in_uniform_order() -> None:
    """Of three edges, the second one written follows the first in the cycle half of the time."""
    task = Depo(max_nodes=3, max_hops=2, num_letters=8)
    edges = task.draw(keys(4000), "test")["edges"].reshape(-1, 3, 2)
    follows = (edges[:, 0, 1] == edges[:, 1, 0]).sum()
    assert stats.binomtest(int(follows), 4000).pvalue > 1e-4
    first = np.bincount(edges[:, 0, 0], minlength=8)
    assert stats.chisquare(first).pvalue > 1e-4


def test_sizes_follow_their_law() -> None:
    sizes = inverse_sizes(keys(20_000), 1, 3, 12)
    weights = 1 / (np.arange(3, 13) + 12**0.5)
    counts = np.bincount(sizes, minlength=13)[3:]
    assert stats.chisquare(counts, weights / weights.sum() * 20_000).pvalue > 1e-4
    drawn = Depo(max_nodes=12, max_hops=6).generate(range(500)).factors["num_nodes"]
    assert drawn.min() == 7
    assert drawn.max() == 12


def plain_names(key: rng.Words, field: int, num: int, names: Names) -> list[int]:
    """Pure Python: tries are pairs of words; a shuffle where half or more are taken."""
    offsets = names.offsets().tolist()
    drawn = rng.words(key, field, 4096)[0].tolist()
    chosen: list[int] = []
    if 2 * num >= names.count:
        pool = list(range(names.count))
        for i in range(num):
            j = i + ((drawn[i] >> 32) * (names.count - i) >> 32)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:num]
    at = 0
    while len(chosen) < num:
        kind = (drawn[at] >> 32) * (len(offsets) - 1) >> 32
        size = offsets[kind + 1] - offsets[kind]
        name = offsets[kind] + ((drawn[at + 1] >> 32) * size >> 32)
        at += 2
        if name not in chosen:
            chosen.append(name)
    return chosen


def test_the_loop_is_its_plain_statement() -> None:
    for names, num in ((Names(5, 1, 2, 9), 12), (Names(9, 1, 1, 4), 7), (Names(40, 1, 1, 4), 7)):
        some = keys(50)
        found = names.sets(some, 2, num)
        for b in range(50):
            assert found[b].tolist() == plain_names(some[b : b + 1], 2, num, names)


def test_names_do_not_begin_each_other() -> None:
    names = Names(num_letters=3, min_tokens=1, max_tokens=3, first=10)
    spelled, lengths = names.tables()
    words = [tuple(s[:n].tolist()) for s, n in zip(spelled, lengths, strict=True)]
    assert len(set(words)) == names.count == 3 + 9 + 27
    for word in words:
        assert all(other[: len(word)] != word for other in words if other != word)
        assert word[-1] in names.closing
        assert all(x in names.ids["open letter"] for x in word[:-1])


@pytest.mark.parametrize("names", [Names(4, 1, 2, 0), Names(3, 2, 4, 0), Names(9, 2, 2, 0)])
def test_the_mean_number_of_tokens(names: Names) -> None:
    num = 8
    drawn = names.tables()[1][names.sets(keys(4000), 1, num)]
    means = drawn.mean(axis=1)
    error = 4 * means.std() / 4000**0.5
    assert abs(means.mean() - names.mean_tokens(num)) <= error + 1e-12


def guess_among_names(task: Depo, num: int) -> float:
    """Token accuracy of naming the likeliest of the context's names but the source."""
    batch = task.generate(range(num), "test")
    right = total = 0
    for b in range(num):
        names, questions = words_of(task, batch.inputs[b])
        for q, question in enumerate(questions):
            source = tuple(question[1 : question.index(2)])
            others = sorted(set(names) - {source})
            assert batch.spans is not None
            due = batch.targets[b][batch.spans[b] == q].tolist()
            for j, token in enumerate(due):
                left = [w[j] for w in others if list(w[:j]) == due[:j] and len(w) > j]
                right += Counter(left).most_common(1)[0][0] == token
                total += 1
    return right / total


@pytest.mark.parametrize("fields", FIELDS[:4], ids=str)
def test_the_floor_is_attained(fields: dict[str, Any]) -> None:
    task = Depo(**fields)
    floor = task.floors["another name of the context"]
    if task.max_name_tokens == 1:
        assert floor == 1 / (task.max_nodes - 1)
    assert guess_among_names(task, 500) == pytest.approx(floor, abs=0.03)
    assert task.chance < floor


def test_the_order_of_edges_does_not_matter() -> None:
    task = Depo()
    batch = task.generate(range(50), "test")
    shuffled = batch.inputs.copy()
    edges = shuffled[:, 1:17].reshape(50, 8, 2)[:, np.random.default_rng(0).permutation(8)]
    shuffled[:, 1:17] = edges.reshape(50, 16)
    assert np.array_equal(task.oracle(shuffled), batch.targets)


def test_reach() -> None:
    assert reach({1: 0.99, 2: 0.95, 4: 0.91, 8: 0.2}) == 4
    assert reach({1: 0.5, 2: 0.95}) == 0
    assert reach({2: 0.95, 1: 1.0}) == 2


def test_published_settings() -> None:
    for num in (225, 300, 375):
        task = tasks.preset(f"physics-depo1-{num}")
        assert isinstance(task, Depo)
        assert (task.max_nodes, task.max_hops, task.num_letters) == (num, 8, 50)
        assert (task.min_name_tokens, task.max_name_tokens, task.num_queries) == (1, 2, 10)
    for num in (75, 100, 125):
        task = tasks.preset(f"physics-depo2-{num}")
        assert isinstance(task, Depo)
        assert (task.max_nodes, task.max_hops, task.num_letters) == (num, 16, 3)
        assert (task.min_name_tokens, task.max_name_tokens) == (5, 7)
    lengths = tasks.preset("physics-depo2-75").generate(range(40), "test").lengths
    assert abs(lengths.mean() - 1045) < 12
    assert tasks.preset("depo-cpu") == Depo()
    assert Depo().context.length == 32, "33 tokens, of which the last is not read"


REFUSED = [
    ({"max_nodes": 4, "max_hops": 4}, "max_nodes=4 is no more than max_hops=4: needs >= 5, or wra"),
    ({"num_letters": 7}, "num_letters=7 makes 7 names, too few for max_nodes=8: needs >= 8"),
    (
        {"num_letters": 3, "max_name_tokens": 2},
        "num_letters=3 makes 12 names, too few for max_nodes=8: needs >= 16",
    ),
    (
        {"min_name_tokens": 3, "max_name_tokens": 2},
        "min_name_tokens=3 exceeds max_name_tokens=2: needs <= 2",
    ),
    ({"max_name_tokens": 4, "num_letters": 2}, "min_name_tokens=1 with max_name_tokens=4: needs"),
    (
        {"max_name_tokens": 3, "min_name_tokens": 3, "num_letters": 99},
        "num_letters=99 makes more than 262144 names",
    ),
    ({"max_nodes": 2}, "max_nodes: .*greater than or equal to 3, got 2"),
    ({"num_queries": 0}, "num_queries: .*greater than or equal to 1, got 0"),
    ({"size_law": "cubic"}, "size_law: .*'inverse' or 'fixed', got 'cubic'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("depo", **fields)
