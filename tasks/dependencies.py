"""What a node of a listed graph depends on, and which orders of that are right.

Reads the text `dependency user dependency user ... ASK node` and then an answer, token by token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

Name = tuple[int, ...]


@dataclass
class Dependencies:
    """The nodes to write, each with those that must stand before it; and what is written so far."""

    needs: dict[Name, set[Name]]
    closing: range
    done: set[Name] = field(default_factory=set)
    begun: Name = ()  # of a name
    failed: bool = False

    @classmethod
    def read(cls, prompt: list[int], closing: range, ask: int) -> Self:
        """From the tokens between BOS and ANS."""
        at = prompt.index(ask) if ask in prompt else len(prompt)
        listed, asked = split(prompt[:at], closing)[0], split(prompt[at + 1 :], closing)[0]
        direct: dict[Name, set[Name]] = {}
        for dependency, user in zip(listed[::2], listed[1::2], strict=False):
            direct.setdefault(user, set()).add(dependency)
        needs: dict[Name, set[Name]] = {}
        open_ends = asked[:1]
        while open_ends:
            name = open_ends.pop()
            if name not in needs:
                needs[name] = direct.get(name, set())
                open_ends += needs[name]
        return cls(needs, closing)

    def ready(self) -> set[Name]:
        """Nodes that may be written next."""
        return {n for n, before in self.needs.items() if n not in self.done and before <= self.done}

    def next_tokens(self, end: int) -> set[int]:
        """Tokens that keep the answer right."""
        if self.failed:
            return set()
        if not self.begun and len(self.done) == len(self.needs):
            return {end}
        num = len(self.begun)
        return {n[num] for n in self.ready() if len(n) > num and n[:num] == self.begun}

    def read_on(self, token: int) -> None:
        """One token of the answer."""
        self.begun = (*self.begun, token)
        if token in self.closing:
            self.failed |= self.begun not in self.ready()
            self.done.add(self.begun)
            self.begun = ()

    def solution(self) -> list[Name]:
        """A right answer: always the lowest of the nodes that are ready."""
        order: list[Name] = []
        while ready := {
            n for n, before in self.needs.items() if n not in order and before <= set(order)
        }:
            order.append(min(ready))
        return order

    def mistake(self, answer: list[int], end: int) -> str:
        """The first that applies: unparsable, repeat, extra, order, missing; "" if right."""
        stop = answer.index(end) if end in answer else len(answer)
        names, rest = split(answer[:stop], self.closing)
        place = {name: i for i, name in enumerate(names)}
        found = {
            "unparsable": stop == len(answer) or bool(rest) or not self._are_names(answer[:stop]),
            "repeat": len(place) < len(names),
            "extra": any(name not in self.needs for name in names),
            "order": any(
                place.get(before, -1) > place[name]
                for name in names
                for before in self.needs.get(name, ())
            ),
            "missing": any(name not in place for name in self.needs),
        }
        return next((kind for kind, wrong in found.items() if wrong), "")

    def _are_names(self, tokens: Iterable[int]) -> bool:
        known = {token for name in self.needs for token in name}
        return all(token in known or token in self.closing for token in tokens)


def split(tokens: Iterable[int], closing: range) -> tuple[list[Name], Name]:
    """Names, each up to its closing letter; and what is left over."""
    names: list[Name] = []
    begun: list[int] = []
    for token in tokens:
        begun.append(token)
        if token in closing:
            names.append(tuple(begun))
            begun = []
    return names, tuple(begun)
