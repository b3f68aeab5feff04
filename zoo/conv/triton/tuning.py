"""Looking for better rows of the table on the GPU at hand: the work of `python -m zoo.conv tune`.

A row is tried with other numbers of warps and stages, and with the blocks that its family lists in
`BLOCKS`. Each try runs the whole operation, forward and backward, checks that the results have not
changed, and times the launches of the row's role alone.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from zoo.conv import triton as backend
from zoo.conv.arguments import Arguments
from zoo.conv.triton import configurations, launching
from zoo.conv.triton.configurations import Configuration

ELEMENTS = 2**25  # of the signal that is timed: far more than caches hold
CHANNELS = 64
REPEATS = 15
GAIN = 0.97  # a row is replaced by one that takes at most this part of its time
TOLERANCE = {"tf32x3": 1e-5, "tf32": 5e-3, "fp16": 5e-3, "bf16": 3e-2}
Seconds = Callable[[Configuration], float]


def tunable(architecture: int) -> list[Configuration]:
    """The rows that can be tuned: those of the long convolution, for one architecture."""
    return [
        row
        for row in configurations.table()
        if row.architecture == architecture and row.family in backend.FAMILIES
    ]


def candidates(row: Configuration) -> Iterator[Configuration]:
    """The row with other blocks, warps and stages."""
    module = import_module(f"{backend.__name__}.{row.family}")
    choices: dict[str, tuple[int, ...]] = getattr(module, "BLOCKS", {})
    names = [name for name in row.blocks if name in choices]
    for values in itertools.product(*(choices[name] for name in names)):
        blocks = {**row.blocks, **dict(zip(names, values, strict=True))}
        for warps, stages in itertools.product((1, 2, 4, 8), (1, 2, 3, 4)):
            other = replace(row, blocks=blocks, warps=warps, stages=stages, registers=None)
            if other != row:
                yield other


def best(row: Configuration, seconds: Seconds) -> tuple[Configuration, float, float]:
    """The fastest candidate, its time and that of the row; the row itself unless one gains 3 %."""
    before = seconds(row)
    found, least = row, before
    for other in candidates(row):
        took = seconds(other)
        if took < min(least, GAIN * before):
            found, least = other, took
    return found, least, before


def timer(row: Configuration) -> Seconds:
    """Times rows of one key on the current GPU: infinity for what fails or changes results."""
    arguments = _arguments(row)

    def run(other: Configuration) -> list[Tensor]:
        module = import_module(f"{backend.__name__}.{row.family}")
        with using(other):
            y = module.convolve(arguments, row.dots)
            found = module.gradients(arguments.u, arguments, row.dots)
        return [y, *(each for each in found if each is not None)]

    expected = run(row)

    def seconds(other: Configuration) -> float:
        try:
            found = run(other)  # compiles, too
            torch.cuda.synchronize()
        except Exception:  # compilers and drivers raise anything
            return float("inf")
        for a, b in zip(found, expected, strict=True):
            if not (a - b).norm() <= TOLERANCE[row.dots] * b.norm():
                return float("inf")
        times = []
        for _ in range(REPEATS):
            with timed(row.role) as spans:
                run(other)
            torch.cuda.synchronize()
            times.append(sum(begin.elapsed_time(end) for begin, end in spans) / 1e3)
        return statistics.median(times)

    return seconds


def _arguments(row: Configuration) -> Arguments:
    """A gated signal of the row's own length."""
    half = row.dots in ("fp16", "bf16")
    shape = (max(1, ELEMENTS // CHANNELS // row.length), CHANNELS, row.length)

    def signal() -> Tensor:
        return torch.randn(shape, device="cuda", dtype=torch.bfloat16 if half else torch.float32)

    kernel = torch.randn(CHANNELS, row.length, device="cuda") / row.length**0.5
    skip = torch.randn(CHANNELS, device="cuda")
    return Arguments(signal(), kernel, None, skip, signal(), signal())


@contextmanager
def using(row: Configuration) -> Iterator[None]:
    """Launchers find this row in place of that with the same key."""
    plain = configurations.find_for

    def find_for(*words: Any) -> Configuration:
        found = plain(*words)
        return row if found.key == row.key else found

    configurations.find_for = find_for  # pyright: ignore
    try:
        yield
    finally:
        configurations.find_for = plain


@contextmanager
def timed(role: str) -> Iterator[list[tuple[Any, Any]]]:
    """Collects (begin, end) events of the launches of one role."""
    plain, spans = launching.launch, []

    def launch(kernel: Any, programs: int, row: Configuration, **arguments: Any) -> None:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        plain(kernel, programs, row, **arguments)
        end.record()
        if row.role == role:
            spans.append((begin, end))

    launching.launch = launch
    try:
        yield spans
    finally:
        launching.launch = plain
