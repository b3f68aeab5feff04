"""Group word problems: multiply the elements of a finite group, one after the other.

    x   2 5 1 3 ...          y_t = x_1 x_2 ... x_t, the left factor is applied first
    y   2 4 0 3 ...

Elements are numbered: those of permutation groups by the lexicographic rank of their images, those
of Z_n as integers, those of a product by the first factor's number, then the second's; 0 is the
identity.  `swap-track` is the word problem of S_n on one object: which cup is the ball under?

Source:  Merrill et al. 2024, "The Illusion of State in State-Space Models", arXiv:2404.08819;
         jopetty/word-problem@078ec37 data/.  Swaps are seqzoo's own.
Differs: Upstream numbers the elements otherwise, and holds 80 % of a fixed set for training.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from itertools import combinations, permutations
from math import factorial, prod
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.automaton import StateTracking
from tasks.batch import IGNORE, Batch
from tasks.counting import power
from tasks.ids import in_turn
from tasks.lengths import LONGEST, Ranged, inside, pack, running, unpack
from tasks.published import Preset
from tasks.rng import Integers, Words, integers
from tasks.task import Content
from zoo.spec import Context

SYMBOLS, QUERY = 1, 2
LARGEST = 1024  # elements
KNOWN = ("Z2", "Z3", "Z5", "Z60", "D4", "D5", "S3", "S4", "S5", "A4", "A5", "A4xZ5", "Z2xZ3")
FEWEST = {"Z": 2, "D": 3, "S": 2, "A": 3}
Images = tuple[int, ...]


class GroupWords(StateTracking, kind="group-words"):
    """Group words: the product of the group elements so far, at every position or at the end.

    Groups: cyclic Z2 Z3 ..., dihedral D3 D4 ..., symmetric S2 S3 ..., alternating A3 A4 ..., and
    products such as A4xZ5. Symbols are all elements, a few generators, or the transpositions.
    """

    group: Annotated[str, Field(description="name of the group, such as S5, A5, Z60, A4xZ5")] = "S5"
    inputs: Annotated[
        Literal["all", "generators", "transpositions"],
        Field(description="elements that a symbol may be"),
    ] = "all"
    identity_rate: Annotated[
        float,
        Field(ge=0, lt=1, description="extra share of the identity, a step that does nothing"),
    ] = 0.0

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        size = order(self.group)
        if size is None:
            near = get_close_matches(self.group, KNOWN, n=3, cutoff=0.3) or KNOWN
            yield f"group={self.group!r} is not a group; nearest: {', '.join(near)}"
        elif size > LARGEST:
            yield f"group={self.group} has {size} elements: needs <= {LARGEST}"
        elif self.inputs == "transpositions" and not re.fullmatch(r"S\d+", self.group):
            yield (
                f"inputs=transpositions with group={self.group}: needs a symmetric group, such as "
                "S5, or inputs=generators"
            )

    @property
    def elements(self) -> Integers:
        """The element of each symbol; the identity first if it is one.                (K,)"""
        if self.inputs == "all":
            return np.arange(len(multiplication(self.group)))
        if self.inputs == "generators":
            found = generators(self.group)
        else:
            num = int(self.group[1:])
            found = tuple(
                rank(self.group, cycle(num, *pair)) for pair in combinations(range(num), 2)
            )
        return np.array([0, *sorted(found)] if self.identity_rate else sorted(found))

    @property
    def idle(self) -> float:
        return self.identity_rate

    @property
    def num_drawn(self) -> int:
        num = len(self.elements)
        return num - (self.identity_rate > 0) if self.inputs != "all" else num

    @property
    def table(self) -> Integers:
        return multiplication(self.group)[:, self.elements]


def factors(group: str) -> list[tuple[str, int]] | None:
    """The factors of a product; None if the name is none."""
    parts = [re.fullmatch(r"([ZDSA])([1-9]\d{0,3})", part) for part in group.split("x")]
    found = [(part[1], int(part[2])) for part in parts if part]
    right = len(found) == len(parts) and all(num >= FEWEST[letter] for letter, num in found)
    return found if right else None


def order(group: str) -> int | None:
    """How many elements the group has; None if there is no such group."""
    parts = factors(group)
    if parts is None:
        return None
    sizes = {
        "Z": lambda n: n,
        "D": lambda n: 2 * n,
        "S": factorial,
        "A": lambda n: factorial(n) // 2,
    }
    return prod(sizes[letter](min(num, 20) if letter in "SA" else num) for letter, num in parts)


def cycle(num: int, *points: int) -> Images:
    """The permutation of 0, ..., num - 1 that moves each of these points to the next."""
    images = list(range(num))
    for a, b in zip(points, (*points[1:], points[0]), strict=True):
        images[a] = b
    return tuple(images)


@lru_cache(maxsize=64)
def images(letter: str, num: int) -> list[Images]:
    """The permutations that make up D, S or A, in lexicographic order."""
    if letter == "D":
        turns = [tuple((i + k) % num for i in range(num)) for k in range(num)]
        return sorted([*turns, *(tuple(-i % num for i in turn) for turn in turns)])
    every = list(permutations(range(num)))
    if letter == "S":
        return every
    return [p for p in every if sum(a > b for a, b in combinations(p, 2)) % 2 == 0]


def rank(group: str, permutation: Images) -> int:
    """The number of a permutation in its group."""
    return images(group[0], int(group[1:])).index(permutation)


@lru_cache(maxsize=16)
def multiplication(group: str) -> Integers:
    """The number of a b, that is first a, then b.                                      (G, G)"""
    whole = np.zeros((1, 1), np.int64)
    for letter, num in factors(group) or ():
        one = _cyclic(num) if letter == "Z" else _of_permutations(letter, num)
        size, more = len(whole), len(one)
        both = whole[:, None, :, None] * more + one[None, :, None, :]
        whole = both.reshape(size * more, size * more)
    whole.setflags(write=False)
    return whole


def _cyclic(num: int) -> Integers:
    return np.add.outer(np.arange(num), np.arange(num)) % num


def _of_permutations(letter: str, num: int) -> Integers:
    every = np.array(images(letter, num))
    code = np.power(num, np.arange(num - 1, -1, -1))  # lexicographic order is that of the codes
    products = every.T[every]  # products[a, i, b] = b(a(i))
    codes = np.einsum("aib,i->ab", products, code)
    return np.searchsorted(every @ code, codes)


@lru_cache(maxsize=64)
def generators(group: str) -> tuple[int, ...]:
    """Elements that generate the group: a few of each factor, the others' identity beside them."""
    found: list[int] = []
    parts = factors(group) or []
    for i, (letter, num) in enumerate(parts):
        behind = prod(order(f"{a}{n}") or 1 for a, n in parts[i + 1 :])
        if letter == "Z":
            chosen = [1]
        elif letter == "D":
            chosen = [cycle(num, *range(num)), tuple(-i % num for i in range(num))]
        elif letter == "S":
            chosen = [cycle(num, 0, 1), cycle(num, *range(num))]
        else:
            chosen = [cycle(num, 0, 1, 2), cycle(num, *range(1 - num % 2, num))]
        numbers = {x if isinstance(x, int) else rank(f"{letter}{num}", x) for x in chosen}
        found += [behind * number for number in numbers]
    return tuple(sorted(found))


class SwapTrack(Ranged, kind="swap-track"):
    """Swap track: cups change places; where is the ball that was under cup k?

    Swaps of two places, each pair equally likely, then the query k, where the place is due.
    """

    min_length: Annotated[
        int, Field(ge=0, le=LONGEST, description="the fewest swaps; 0: always `length`")
    ] = 0
    length: Annotated[int, Field(ge=1, le=LONGEST, description="the most swaps")] = 16
    num_objects: Annotated[int, Field(ge=3, le=256, description="objects n, and places")] = 5

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The two places of each swap."""
        return list(combinations(range(self.num_objects), 2))

    @property
    def vocabulary(self) -> dict[str, range]:
        return in_turn({"pad": 1, "swap": len(self.pairs), "query": self.num_objects})

    @property
    def answers_in_ids(self) -> bool:
        return False  # but the number of a class

    @property
    def context(self) -> Context:
        num = self.num_objects
        size = self.vocabulary["query"].stop
        return Context(num_inputs=size, num_outputs=num, length=self.longest + 1)

    @property
    def chance(self) -> float:
        """By symmetry, each place is as likely."""
        return 1 / self.num_objects

    @property
    def floors(self) -> dict[str, float]:
        """Naming the place where it began: a swap multiplies what is above 1/n by 1 - 2/(n - 1)."""
        num = self.num_objects
        left = sum(weight * (1 - 2 / (num - 1)) ** n for n, weight in self.weights().items())
        floor = 1 / num + (1 - 1 / num) * left
        return {"it never moved": floor} if floor > self.chance + 1e-3 else {}

    def num_strings(self, length: int) -> int:
        return power(len(self.pairs), length) * self.num_objects

    def draw(self, keys: Words, split: str) -> Content:
        lengths, num = self.lengths(keys, split), len(self.pairs)
        swaps = integers(keys, SYMBOLS, self.longest, num) * inside(lengths, self.longest)
        query = integers(keys, QUERY, 1, self.num_objects)
        return {"length": lengths, "swaps": pack(swaps, num), "query": query}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        from tasks._loops.automaton import run

        lengths, query, width = content["length"], content["query"], self.longest
        swaps = unpack(content["swaps"], len(self.pairs), width)
        table = np.tile(np.arange(self.num_objects)[:, None], len(self.pairs))
        for swap, (i, j) in enumerate(self.pairs):
            table[i, swap], table[j, swap] = j, i
        places = np.empty(swaps.shape, np.int64)
        run(table, query[:, 0], swaps, places)
        inputs = np.zeros((len(swaps), width + 1), np.int64)
        np.add(swaps, inside(lengths, width), out=inputs[:, :width], dtype=np.int64)
        np.put_along_axis(inputs, lengths, query + self.vocabulary["query"].start, axis=1)
        answer = np.take_along_axis(places, lengths - 1, axis=1)
        targets = np.full(inputs.shape, IGNORE)
        np.put_along_axis(targets, lengths, answer, axis=1)
        return Batch.padded(inputs, targets, lengths[:, 0] + 1, length=lengths[:, 0])

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        pairs = self.pairs
        for i, row in running(inputs):
            objects = list(range(self.num_objects))
            for t, symbol in enumerate(row):
                if symbol >= len(pairs):
                    answers[i, t] = objects.index(symbol - len(pairs))
                    break
                a, b = pairs[symbol]
                objects[a], objects[b] = objects[b], objects[a]
        return answers


def _published(group: str) -> Preset:
    return Preset(
        name=f"illusion-of-state-{group.lower()}",
        paper="Merrill et al. 2024, arXiv:2404.08819",
        section="word problems, the longest sequences",
        upstream="jopetty/word-problem@078ec37 data/",
        differs=("25 elements as recalled; not checked against the source",),
        value=GroupWords(group=group, length=25),
    )


PUBLISHED = tuple(_published(group) for group in ("Z60", "A4xZ5", "A5"))
