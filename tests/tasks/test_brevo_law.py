"""The laws of Brevo's graphs and of the orders of its answers; the loop's plain statement."""

from __future__ import annotations

from collections import Counter

import numpy as np
from scipy import stats

from tasks import rng
from tasks.brevo import Brevo


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def test_dependencies_follow_their_law() -> None:
    """Sources are uniform; so is the number of dependencies, and which they are."""
    from tasks._loops import brevo
    from tasks._loops.rng import field_start

    edges = np.empty((36, 2), np.int64)
    sources, counts, which = Counter(), Counter(), Counter()
    for key in keys(4000):
        count, num = brevo.graph(np.uint64(field_start(key, brevo.GRAPH, 0)), 9, 4, edges)
        sources[num] += 1
        if num == 3:  # then node 3 takes one to three of three
            taken = tuple(sorted(d for d, u in edges[:count].tolist() if u == 3))
            counts[len(taken)] += 1
            which[taken] += len(taken) == 1
    assert set(sources) == {1, 2, 3}
    for found in (sources.values(), counts.values(), filter(None, which.values())):
        observed = list(found)
        assert len(observed) == 3
        assert stats.chisquare(observed).pvalue > 1e-4


def test_orders_follow_their_law() -> None:
    """Backwards from the query: three free dependencies in each of six orders."""
    task = Brevo(max_nodes=4, num_letters=4)
    edges = np.full((6000, task.most_edges, 2), -1)
    edges[:, :3] = [[0, 3], [1, 3], [2, 3]]
    content = {"edges": edges.reshape(6000, -1), "queries": np.full((6000, 1), 3)}
    batch = task.render(content, keys(6000), "test")
    orders = Counter(map(tuple, batch.targets[batch.mask].reshape(6000, 5)[:, :3].tolist()))
    assert len(orders) == 6
    assert stats.chisquare(list(orders.values())).pvalue > 1e-4
    # a chain and a free node: the free one is written at each of three places, backwards law
    edges[:, :3] = [[0, 1], [1, 3], [2, 3]]
    content = {"edges": edges.reshape(6000, -1), "queries": np.full((6000, 1), 3)}
    batch = task.render(content, keys(6000), "test")
    orders = Counter(map(tuple, batch.targets[batch.mask].reshape(6000, 5)[:, :3].tolist()))
    law = {(5, 6, 7): 1 / 2, (5, 7, 6): 1 / 4, (7, 5, 6): 1 / 4}
    assert set(orders) == set(law)
    observed = [orders[k] for k in law]
    assert stats.chisquare(observed, np.array(list(law.values())) * 6000).pvalue > 1e-4


def plain_graph(drawn: list[int], num: int, most: int) -> list[tuple[int, int]]:
    """Pure Python; each choice takes the next word."""
    take = iter(drawn)

    def pick(high: int) -> int:
        return (next(take) >> 32) * high >> 32

    sources = 1 + pick(min((num - 1) // most + 1, num - 1))
    edges: list[tuple[int, int]] = []
    free: list[int] = []
    for i in range(num):
        if i >= sources:
            count = 1 + pick(min(most, len(free)))
            for c in range(count):
                j = c + pick(len(free) - c)
                free[c], free[j] = free[j], free[c]
                edges.append((free[c], i))
            for c in reversed(range(count)):
                if sum(d == free[c] for d, _ in edges) == most:
                    free[c] = free[-1]
                    free.pop()
        free.append(i)
    return edges


def test_the_loop_is_its_plain_statement() -> None:
    from tasks._loops import brevo
    from tasks._loops.rng import field_start

    for num, most in ((12, 4), (20, 2), (7, 1), (3, 4)):
        for key in keys(30):
            edges = np.empty((num * most, 2), np.int64)
            start = np.uint64(field_start(key, brevo.GRAPH, 0))
            count, _ = brevo.graph(start, num, most, edges)
            drawn = rng.words(np.array([key]), brevo.GRAPH, 400)[0].tolist()
            assert [tuple(e) for e in edges[:count].tolist()] == plain_graph(drawn, num, most)
