"""Random acyclic graphs, what a node depends on, and orders in which that can be written."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.named_nodes import choose, shuffle, write
from tasks._loops.rng import below, field_start, word

BOS, ASK, ANS, END = 1, 2, 3, 4
NAMES, ORDER, GRAPH, QUERY, ANSWER = 2, 3, 4, 5, 6  # fields; 1 is the size
Ids = NDArray[np.int64]


@njit(cache=True)
def graph(start: Any, num: int, most: int, edges: Ids) -> Any:
    """Edges (dependency, user) of nodes in an order that they allow; their number, the sources.

    Each node behind the sources depends on 1..most of the earlier ones with fewer than `most`
    users: the number is uniform, then the choice.  Not all nodes are sources.
    """
    users = np.zeros(num, np.int64)
    free = np.empty(num, np.int64)  # earlier nodes that can take one more user
    sources = 1 + below(word(start, 0), min((num - 1) // most + 1, num - 1))
    num_free = num_edges = 0
    slot = 1
    for i in range(num):
        if i >= sources:
            count = 1 + below(word(start, slot), min(most, num_free))
            slot += 1
            for c in range(count):  # the chosen go to the front
                j = c + below(word(start, slot), num_free - c)
                slot += 1
                free[c], free[j] = free[j], free[c]
                edges[num_edges, 0] = free[c]
                edges[num_edges, 1] = i
                num_edges += 1
                users[free[c]] += 1
            for c in range(count - 1, -1, -1):
                if users[free[c]] == most:
                    num_free -= 1
                    free[c] = free[num_free]
        free[num_free] = i
        num_free += 1
    return num_edges, sources


@njit(cache=True)
def depends(edges: Ids, num_edges: int, query: int, inside: Any) -> int:
    """Mark the query and all that it depends on; how many. Edges by rising user."""
    inside[:] = False
    inside[query] = True
    count = 1
    for e in range(num_edges - 1, -1, -1):
        if inside[edges[e, 1]] and not inside[edges[e, 0]]:
            inside[edges[e, 0]] = True
            count += 1
    return count


@njit(cache=True)
def draw(keys: Any, sizes: Ids, law: Any, arrays: Any) -> bool:
    """Graphs whose text fits, the order of their edges, and questions. False: hardly any fits.

    Args:    law     most users of a node, whether the question is any node that depends on others,
                     where names begin by their tokens, tokens of every name, positions there are
             arrays  edges (B, E, 2) by name and queries (B,), to be filled
    """
    most, anywhere, offsets, name_sizes, room = law
    edges, queries = arrays
    scratch = np.full(offsets[-1], -1, np.int64)
    num_nodes, mark = 1, -1
    for b in range(len(keys)):
        num_nodes = max(num_nodes, sizes[b])
    names = np.empty(num_nodes, np.int64)
    inside = np.empty(num_nodes, np.bool_)
    found = np.empty((edges.shape[1], 2), np.int64)
    for b in range(len(keys)):
        num, attempt = sizes[b], 0
        while True:
            mark -= 1  # below every number of a name, and used once
            choose(field_start(keys[b], NAMES, attempt), num, offsets, scratch, mark, names)
            count, sources = graph(field_start(keys[b], GRAPH, attempt), num, most, found)
            query = num - 1
            if anywhere:
                drawn = word(field_start(keys[b], QUERY, attempt), 0)
                query = sources + below(drawn, num - sources)
            depends(found, count, query, inside[:num])
            length = 3 + name_sizes[names[query]]  # BOS, the question, and ANS
            for e in range(count):
                length += name_sizes[names[found[e, 0]]] + name_sizes[names[found[e, 1]]]
            for i in range(num):
                length += name_sizes[names[i]] if inside[i] else 0
            if length <= room:
                break
            attempt += 1
            if attempt == 4096:
                return False
        places = np.arange(count)
        shuffle(field_start(keys[b], ORDER, 0), places)
        for e in range(count):
            edges[b, e, 0] = names[found[places[e], 0]]
            edges[b, e, 1] = names[found[places[e], 1]]
        queries[b] = names[query]
    return True


@njit(cache=True)
def local(edges: Ids, seen: Ids, nodes: Ids, numbered: Ids) -> Any:
    """Number the nodes of named edges by first occurrence: (nodes, edges). `seen` is all -1."""
    num = count = 0
    for e in range(len(edges)):
        if edges[e, 0] < 0:
            break
        for side in range(2):
            name = edges[e, side]
            if seen[name] < 0:
                seen[name] = num
                nodes[num] = name
                num += 1
            numbered[e, side] = seen[name]
        count += 1
    for i in range(num):
        seen[nodes[i]] = -1
    return num, count


@njit(cache=True)
def order(start: Any, num: int, edges: Ids, query: int, out: Ids) -> Any:
    """What the query depends on and itself, each behind its dependencies: how many, how deep.

    Backwards from the query, always a uniformly chosen node whose users inside are all out.
    """
    first = np.full(num, -1, np.int64)  # edges by user
    after = np.empty(len(edges), np.int64)
    for e in range(len(edges)):
        after[e] = first[edges[e, 1]]
        first[edges[e, 1]] = e
    waiting = np.zeros(num, np.int64)  # users inside that are not out yet
    inside = np.zeros(num, np.bool_)
    stack = np.empty(num, np.int64)
    stack[0] = query
    inside[query] = True
    top = count = 1
    while top:
        top -= 1
        e = first[stack[top]]
        while e >= 0:
            node = edges[e, 0]
            waiting[node] += 1
            if not inside[node]:
                inside[node] = True
                count += 1
                stack[top] = node
                top += 1
            e = after[e]
    ready = stack
    ready[0] = query
    depth = np.zeros(num, np.int64)
    num_ready, deepest = 1, 0
    for done in range(count):
        j = below(word(start, done), num_ready)
        node = ready[j]
        num_ready -= 1
        ready[j] = ready[num_ready]
        out[count - 1 - done] = node
        e = first[node]
        while e >= 0:
            below_it = edges[e, 0]
            depth[below_it] = max(depth[below_it], depth[node] + 1)
            deepest = max(deepest, depth[below_it])
            waiting[below_it] -= 1
            if waiting[below_it] == 0:
                ready[num_ready] = below_it
                num_ready += 1
            e = after[e]
    return count, deepest


@njit(cache=True)
def render(keys: Any, content: Any, names: Any, arrays: Any) -> None:
    """BOS, the edges, ASK name ANS, the answer and END.

    Args:    content  edges (B, E, 2), -1 behind the last, queries (B,)
             names    tokens of every name (W, T), how many (W,)
             arrays   tokens (B, L + 1), due (B,): where ANS stands, lengths (B,),
                      factors (3, B): nodes to write, longest chain, edges
    """
    edges, queries = content
    spelled, sizes = names
    tokens, due, lengths, factors = arrays
    seen = np.full(len(sizes), -1, np.int64)
    nodes = np.empty(2 * edges.shape[1], np.int64)
    numbered = np.empty((edges.shape[1], 2), np.int64)
    out = np.empty(len(nodes), np.int64)
    for b in range(len(keys)):
        row, at = tokens[b], 1
        num, count = local(edges[b], seen, nodes, numbered)
        row[0] = BOS
        for e in range(count):
            at = write(edges[b, e, 0], at, spelled, sizes, row)
            at = write(edges[b, e, 1], at, spelled, sizes, row)
        query = 0
        while nodes[query] != queries[b]:
            query += 1
        row[at] = ASK
        at = write(queries[b], at + 1, spelled, sizes, row)
        row[at] = ANS
        due[b] = at
        start = field_start(keys[b], ANSWER, 0)
        written, depth = order(start, num, numbered[:count], query, out)
        at += 1
        for i in range(written):
            at = write(nodes[out[i]], at, spelled, sizes, row)
        row[at] = END
        lengths[b] = at
        factors[0, b], factors[1, b], factors[2, b] = written, depth, count


@njit(cache=True)
def averages(keys: Any, law: Any) -> Any:
    """Nodes to write; and how often a random source of the graph is one of them.  (B,), (B,)

    Args:    law  nodes, most users of a node, whether the question is any node but a source
    """
    num, most, anywhere = law
    edges = np.empty((num * most, 2), np.int64)
    inside = np.empty(num, np.bool_)
    written, valid = np.empty(len(keys)), np.empty(len(keys))
    for b in range(len(keys)):
        count, sources = graph(field_start(keys[b], GRAPH, 0), num, most, edges)
        query = num - 1
        if anywhere:
            query = sources + below(word(field_start(keys[b], QUERY, 0), 0), num - sources)
        written[b] = depends(edges, count, query, inside)
        valid[b] = inside[:sources].mean()
    return written, valid
