"""Bytes that must cross the memory bus, counted by the interpreter: near what is unavoidable.

Axes: B batch, D channels, L length.
"""

from __future__ import annotations

import json

import pytest
import torch

from tests.zoo.triton.cases import Case, cases
from tests.zoo.triton.emulation import emulated
from tests.zoo.triton.exact import problem
from tests.zoo.triton.gate import JSON

LIMIT = json.loads(JSON.read_text())["limits"]["unique_bytes"]
BATCH = 32


def shortest(dots: str) -> list[Case]:
    """The first case of each family."""
    chosen: dict[str, Case] = {}
    for case in cases():
        if case.dots == dots and case.family in ("toeplitz", "monarch"):
            chosen.setdefault(case.family, case)
    return [chosen["toeplitz"], chosen["monarch"]]


@pytest.mark.parametrize("case", shortest("tf32x3"), ids=str)
def test_forward_reads_and_writes_each_signal_once(case: Case) -> None:
    """The ideal: u in, y out; the kernel, and what is made of it, once for the whole batch."""
    length = 192 if case.family == "toeplitz" else case.length
    p = problem((BATCH, 1, length), taps=(None, 0))
    with emulated(addresses=True) as traffic, case.in_force():
        case.module.convolve(p.arguments, case.dots)
    assert traffic.stored < LIMIT * p.u.nbytes + 16 * length
    assert traffic.unique_bytes <= LIMIT * 2 * p.u.nbytes
    assert traffic.unique_bytes >= 2 * p.u.nbytes
    assert traffic.flops > 0


@pytest.mark.parametrize("case", shortest("fp16")[:1], ids=str)
def test_backward_reads_each_signal_once_for_each_gradient(case: Case) -> None:
    """du reads g and writes du; the kernel's gradient reads g and u."""
    p = problem((BATCH, 1, 192), torch.bfloat16, taps=(None, 0))
    with emulated(addresses=True) as traffic, case.in_force():
        case.module.gradients(p.g, p.arguments, case.dots)
    assert traffic.unique_bytes <= LIMIT * 4 * p.u.nbytes


def test_an_address_counts_once_a_launch_and_masked_lanes_never() -> None:
    """Toeplitz with one tile: the signal, its kernel and the output, all less than their blocks."""
    case = shortest("fp16")[0]
    p = problem((3, 1, 10), taps=(None, 0))
    with emulated(addresses=True) as traffic, case.in_force():
        y = case.module.convolve(p.arguments, case.dots)
    assert p.forward is not None
    assert traffic.unique_loaded == p.u.nbytes + p.forward.nbytes
    assert traffic.stored == traffic.unique_stored == y.nbytes
    assert traffic.loaded > traffic.unique_loaded
