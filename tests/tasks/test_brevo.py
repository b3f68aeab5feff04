"""Brevo: worked examples, laws of graphs and orders, right and wrong answers, what is refused."""

from __future__ import annotations

from collections import Counter
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.batch import Batch
from tasks.brevo import Brevo
from tasks.dependencies import Dependencies, split
from tasks.rng import example_keys

END, NO = 4, -100


def example() -> tuple[Brevo, Batch]:
    """Edges 1->3, 2->3, 3->4, 5->6; the question is 4."""
    task = Brevo(max_nodes=6, num_letters=7)
    edges = np.full((1, task.most_edges, 2), -1)
    edges[0, :4] = [[1, 3], [2, 3], [3, 4], [5, 6]]
    content = {"edges": edges.reshape(1, -1), "queries": np.array([[4]])}
    return task, task.render(content, rng.example_keys(5, np.arange(1, dtype=rng.U)), "test")


def written(*nodes: int) -> np.ndarray:
    return np.array([[5 + node if node else END for node in nodes]])


def test_the_worked_example() -> None:
    task, batch = example()
    prompt = [1, *(5 + x for x in (1, 3, 2, 3, 3, 4, 5, 6)), 2, 9, 3]
    assert batch.inputs[0, : len(prompt)].tolist() == prompt
    assert batch.lengths.tolist() == [len(prompt) + 4]
    assert batch.targets[batch.mask].tolist() in ([6, 7, 8, 9, END], [7, 6, 8, 9, END])
    assert {k: v.tolist() for k, v in batch.factors.items()} == {
        "num_written": [4],
        "depth": [2],
        "num_edges": [4],
    }
    assert task.accepts(batch, written(1, 2, 3, 4, 0)).all()
    assert task.accepts(batch, written(2, 1, 3, 4, 0)).all()
    assert task.accepts(batch, written(2, 1, 3, 4, 0, 1, 1)).all(), "END ends it"


@pytest.mark.parametrize(
    ("nodes", "mistake"),
    [
        ((1, 3, 2, 4, 0), "order"),
        ((1, 2, 3, 4, 5, 0), "extra"),
        ((1, 2, 2, 3, 4, 0), "repeat"),
        ((1, 2, 3, 0), "missing"),
        ((1, 2, 4, 0), "missing"),
        ((0,), "missing"),
        ((1, 2, 3, 4), "unparsable"),
        ((1, 2, -3, 3, 4, 0), "unparsable"),
        ((4, 3, 2, 1, 0), "order"),
    ],
)
def test_wrong_answers(nodes: tuple[int, ...], mistake: str) -> None:
    task, batch = example()
    assert task.mistakes(batch, written(*nodes)) == [mistake]
    assert not task.accepts(batch, written(*nodes)).any()


FIELDS: list[dict[str, Any]] = [
    {},
    {"query": "uniform"},
    {"max_nodes": 9, "num_letters": 4, "min_name_tokens": 2, "max_name_tokens": 4},
    {"max_nodes": 20, "num_letters": 40, "max_degree": 2},
    {"max_nodes": 3, "num_letters": 3, "size_law": "fixed"},
    {"max_nodes": 12, "max_length": 60},
    {"max_nodes": 8, "max_degree": 1},
    {"max_nodes": 3, "max_degree": 1, "query": "uniform"},
]


def graph_of(task: Brevo, row: np.ndarray) -> tuple[list[tuple[Any, Any]], Any]:
    """Edges and the question, from the tokens."""
    text = row.tolist()
    ask, ans = text.index(2), text.index(3)
    names, rest = split(text[1:ask], task.names.closing)
    assert not rest
    (query,), _ = split(text[ask + 1 : ans], task.names.closing)
    return list(zip(names[::2], names[1::2], strict=True)), query


@pytest.mark.parametrize("fields", FIELDS, ids=str)
@pytest.mark.parametrize("which", ["train", "test"])
def test_graphs_and_answers(fields: dict[str, Any], which: str) -> None:
    """Degrees, no cycle, ancestors by a library; reference answers are accepted."""
    task = Brevo(**fields)
    batch = task.generate(range(150), which)
    answers = np.full((150, 200), -1)
    for b in range(150):
        edges, query = graph_of(task, batch.inputs[b])
        assert len(set(edges)) == len(edges) == batch.factors["num_edges"][b]
        needs: dict[Any, set[Any]] = {}
        for dependency, user in edges:
            needs.setdefault(user, set()).add(dependency)
        list(TopologicalSorter(needs).static_order())  # raises on a cycle
        assert max(map(len, needs.values())) <= task.max_degree
        assert max(Counter(d for d, _ in edges).values()) <= task.max_degree
        inside = {query}
        while (more := inside | {d for d, u in edges if u in inside}) != inside:
            inside = more
        due = batch.targets[b][batch.mask[b]]
        names, rest = split(due[:-1].tolist(), task.names.closing)
        assert due[-1] == END
        assert not rest
        assert set(names) == inside
        assert len(names) == len(inside) == batch.factors["num_written"][b]
        assert names[-1] == query
        assert query in needs, "the question depends on something"
        place = {name: i for i, name in enumerate(names)}
        assert all(place[d] < place[u] for d, u in edges if u in inside)
        answers[b, : len(due)] = due
    assert task.accepts(batch, answers).all()
    mean = task.admissible(batch)
    assert mean.shape == (batch.mask.sum(), task.context.num_outputs)
    assert mean[np.arange(len(mean)), batch.targets[batch.mask]].all()


def test_mutations_are_rejected() -> None:
    """Swap a dependency and its user, leave out, add, repeat: an independent list of errors."""
    task = Brevo()
    batch = task.generate(range(60), "test")
    fresh = np.random.default_rng(0)
    for b in range(60):
        one = Batch.of(batch.inputs[b : b + 1], batch.targets[b : b + 1])
        edges, _ = graph_of(task, batch.inputs[b])
        right = batch.targets[b][batch.mask[b]].tolist()[:-1]
        inside = [(d[0], u[0]) for d, u in edges if u[0] in right]
        others = sorted({x[0] for edge in edges for x in edge} - set(right))
        dependency, user = inside[fresh.integers(len(inside))]
        swapped = list(right)
        i, j = swapped.index(dependency), swapped.index(user)
        swapped[i], swapped[j] = user, dependency
        at = int(fresh.integers(len(right)))
        wrong = [swapped, right[:at] + right[at + 1 :], [*right[:at], right[at], *right[at:]]]
        wrong += [[*right[:at], other, *right[at:]] for other in others[:1]]
        for answer in wrong:
            assert not task.accepts(one, np.array([[*answer, END]])).any(), (right, answer)
        assert task.accepts(one, np.array([[*right, END]])).all()


@pytest.mark.parametrize("fields", FIELDS[:4], ids=str)
def test_greedy_writing_by_admissible_tokens_is_accepted(fields: dict[str, Any]) -> None:
    """Any token that keeps the answer right leads to an accepted end: lowest, highest, solution."""
    task = Brevo(**fields)
    batch = task.generate(range(40), "test")
    for choose in (min, max, None):
        answers = np.full((40, 300), -1)
        for b in range(40):
            start = int(batch.mask[b].argmax())
            asked = Dependencies.read(batch.inputs[b, 1:start].tolist(), task.names.closing, 2)
            out: list[int] = []
            if choose is None:
                out = [x for name in asked.solution() for x in name] + [END]
            while not out or out[-1] != END:
                assert choose is not None
                out.append(choose(asked.next_tokens(END)))
                asked.read_on(out[-1])
            answers[b, : len(out)] = out
        assert task.accepts(batch, answers).all()


def test_the_oracle_answers_where_one_token_is_left() -> None:
    task = Brevo()
    batch = task.generate(range(100), "test")
    answers = task.oracle(batch.inputs)
    single = task.admissible(batch).sum(axis=1) == 1
    assert np.array_equal(answers[batch.mask] != NO, single)
    assert np.array_equal(answers[batch.mask][single], batch.targets[batch.mask][single])
    assert (answers[~batch.mask] == NO).all()


def test_a_random_source_is_a_valid_first_answer() -> None:
    """.96 for 12 nodes, .91, .87, .85, .77 for 30, 50, 70, 110: no skill is needed for it."""
    for num, stated in ((12, 0.96), (30, 0.91), (50, 0.87), (70, 0.85), (110, 0.77)):
        assert Brevo(max_nodes=num, num_letters=num).valid_first == pytest.approx(stated, abs=0.025)
    task = Brevo()
    batch = task.generate(range(400), "test")
    fresh, valid = np.random.default_rng(0), 0
    for b in range(400):
        edges, query = graph_of(task, batch.inputs[b])
        users = {u for _, u in edges}
        needed = {query}
        while (more := needed | {d for d, u in edges if u in needed}) != needed:
            needed = more
        sources = sorted({d for d, _ in edges} - users)
        valid += sources[fresh.integers(len(sources))] in needed
    assert abs(valid / 400 - task.valid_first) < 0.04
    assert Brevo(query="uniform").valid_first < task.valid_first - 0.03


def test_long_examples_are_drawn_again() -> None:
    task = Brevo(max_nodes=12, max_length=60)
    assert task.context.length == 60
    assert task.generate(range(300), "test").lengths.max() <= 60
    with pytest.raises(ValueError, match="max_length=24: hardly any example of max_nodes=12 fits"):
        Brevo(max_nodes=12, max_length=24).generate(range(300), "test")


def test_one_dependency_and_one_user_make_paths() -> None:
    """Some node depends on another, so that there is one to ask for: 1 to N - 1 sources."""
    task = Brevo(max_nodes=5, max_degree=1)
    keys = example_keys(3, np.arange(4000, dtype=np.uint64))  # of so few graphs no split is fair
    batch = task.render(task.draw(keys, "test"), keys, "test")
    counts = np.bincount(batch.factors["num_edges"])
    assert [*np.flatnonzero(counts)] == [1, 2, 3, 4]
    assert stats.chisquare(counts[1:]).pvalue > 1e-4
    assert np.array_equal(batch.factors["num_written"], batch.factors["depth"] + 1)
    assert task.admissible(batch).sum(axis=1).max() == 1


def test_published_settings() -> None:
    for num in (70, 90, 110):
        task = tasks.preset(f"physics-brevo1-{num}")
        assert isinstance(task, Brevo)
        assert (task.max_nodes, task.max_name_tokens, task.names.count) == (num, 1, num)
    for num in (30, 40, 50):
        task = tasks.preset(f"physics-brevo2-{num}")
        assert isinstance(task, Brevo)
        assert (task.max_nodes, task.num_letters, task.min_name_tokens) == (num, 4, 2)
        assert task.max_name_tokens == 4
        assert task.context.length <= 1024
    batch = tasks.preset("physics-brevo1-70").generate(range(200), "test")
    assert abs(batch.lengths.mean() - 336) < 6
    assert abs(batch.factors["num_edges"].mean() - 151) < 3
    assert abs(batch.factors["num_written"].mean() - 29) < 2
    assert tasks.preset("brevo-cpu") == Brevo()


REFUSED = [
    ({"num_letters": 11}, "num_letters=11 makes 11 names, too few for max_nodes=12: needs >= 12"),
    ({"max_length": 16}, "max_length=16 holds no graph of max_nodes=12: needs >= 22"),
    ({"max_nodes": 2}, "max_nodes: .*greater than or equal to 3, got 2"),
    ({"max_degree": 0}, "max_degree: .*greater than or equal to 1, got 0"),
    ({"query": "first"}, "query: .*'last' or 'uniform', got 'first'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("brevo", **fields)
