"""The cases of the numerics: what runs the shipped table through the interpreter, row by row.

A case is a family with one choice of blocks for each of its roles, a kind of dots and a length
class. Rows of several architectures with the same blocks compute the same numbers: one case covers
them. tests/zoo/triton/test_table.py fails if a shipped row is in no case.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any
from unittest import mock

from zoo.conv import triton as backend
from zoo.conv.triton import configurations
from zoo.conv.triton.configurations import Configuration, Dots, shipped


@dataclass(frozen=True)
class Case:
    """What the launchers of a family look up, for one length class."""

    family: str
    dots: Dots
    length: int  # the longest of the class
    shortest: int  # of the class
    architectures: tuple[int, ...]  # whose rows these are

    @property
    def precision(self) -> str:
        """The word that asks for these dots, whatever the signal."""
        return "fp32" if self.dots == "tf32x3" else self.dots

    @property
    def module(self) -> Any:
        """The three functions."""
        return import_module(f"{backend.__name__}.{self.family}")

    @property
    def rows(self) -> list[Configuration]:
        """Every row that the case stands for."""
        return [
            r
            for a in self.architectures
            for r in _looked_up(self.family, self.dots, self.length, a)
        ]

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """The backend takes this family and finds the rows of this case, whatever the length."""
        mine = {
            row.role: row
            for row in _looked_up(self.family, self.dots, self.length, self.architectures[0])
        }

        def find_for(family: str, role: str, length: int, *rest: Any) -> Configuration:
            assert family == self.family
            assert length <= self.length
            return mine[role]

        with (
            mock.patch.object(configurations, "find_for", find_for),
            mock.patch.object(backend, "family_of", return_value=self.module),
        ):
            yield

    def __str__(self) -> str:
        architectures = "+".join(map(str, self.architectures))
        return f"{self.family}-{self.dots}-{self.length}-sm{architectures}"


def _looked_up(family: str, dots: str, length: int, architecture: int) -> list[Configuration]:
    """The row of each role that serves a length."""
    rows = [
        r
        for r in shipped()
        if (r.family, r.dots, r.architecture) == (family, dots, architecture) and r.length >= length
    ]
    best: dict[str, Configuration] = {}
    for row in sorted(rows, key=lambda r: -r.length):
        best[row.role] = row
    return [best[role] for role in sorted(best)]


@lru_cache(maxsize=1)
def cases() -> tuple[Case, ...]:
    """One for each family, kind of dots, length class and distinct blocks."""
    found: dict[Any, Case] = {}
    classes = sorted(
        {(r.family, r.dots, r.length) for r in shipped() if r.family in backend.FAMILIES}
    )
    for family, dots, length in classes:
        lengths = [
            one for name, kind, one in classes if (name, kind) == (family, dots) and one < length
        ]
        for architecture in configurations.ARCHITECTURES:
            rows = _looked_up(family, dots, length, architecture)
            blocks = tuple((r.role, r.length, tuple(sorted(r.blocks.items()))) for r in rows)
            key = (family, dots, length, blocks)
            seen = found[key].architectures if key in found else ()
            shortest = max(lengths, default=0) + 1
            found[key] = Case(family, dots, length, shortest, (*seen, architecture))
    return tuple(found.values())
