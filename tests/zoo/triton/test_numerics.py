"""Every shipped configuration, interpreted, against float64: forward and backward.

Axes: B batch, D channels, L length. Lengths are odd, B and D no multiples of any block; grids are
small, because the interpreter takes some 10 ms for each program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.zoo.triton.cases import Case, cases
from tests.zoo.triton.emulation import emulated
from tests.zoo.triton.exact import NAMES, Problem, bound, error, error_in, expected, problem
from zoo.conv import triton as backend

HALVES = (torch.bfloat16, torch.float16)


def length_of(case: Case) -> int:
    """A length that takes every path of the kernels, no multiple of anything.

    Toeplitz: two tiles and a part of one. The three kernels: few of the blocks that the rows serve,
    since launchers extend a signal only to what the blocks allow. Else: just below the longest. All
    are by more than 16 steps from the next block, which kernels would be given in full.
    """
    if case.family == "toeplitz":
        return 5 * max(row.blocks["STEPS"] for row in case.rows) // 2 - 5
    if case.family == "monarch_long":
        return 5000 if case.length > 32768 else min(case.length, case.shortest + 4096) - 19
    return case.length - 19


def is_slow(case: Case) -> bool:
    """Whether only make test-all runs it: three kernels have large grids.

    test_monarch.py has quick ones of them.
    """
    return case.family == "monarch_long"


def shape_of(case: Case) -> tuple[int, int, int]:
    """(B, D, L)."""
    batch, channels = (3, 2) if case.family == "toeplitz" else (2, 1)
    return batch, channels, length_of(case)


def marked(chosen: Iterable[Case]) -> list[Any]:
    """The cases as parameters, slow ones in make test-all only."""
    slow = pytest.mark.slow
    return [pytest.param(c, marks=slow if is_slow(c) else (), id=str(c)) for c in chosen]


def natural(case: Case) -> torch.dtype:
    """The signals that the dots are for."""
    return torch.float32 if case.dots in ("tf32x3", "tf32") else torch.bfloat16


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch.empty hands out is NaN: nothing may be left unwritten, nor be read before."""
    for name in ("empty", "empty_like", "empty_strided"):
        monkeypatch.setattr(torch, name, _poisoned(getattr(torch, name)))
    for name in ("new_empty", "new_empty_strided"):
        monkeypatch.setattr(Tensor, name, _poisoned(getattr(Tensor, name)))


def _poisoned(make: Any) -> Any:
    def poison(*args: Any, **kwargs: Any) -> Tensor:
        made = make(*args, **kwargs)
        return made.fill_(float("nan")) if made.is_floating_point() else made

    return poison


@pytest.fixture(autouse=True)
def interpreter() -> Iterator[None]:
    """Kernels run on CPU tensors, rounding as GPUs do."""
    with emulated():
        yield


def run(case: Case, p: Problem) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """The output and the gradients, by the kernels of the case."""
    with case.in_force():
        y = backend.convolve(p.arguments, case.precision)
        return y, backend.gradients(p.g, p.arguments, case.precision)


def check(case: Case, p: Problem) -> None:
    """Output and gradients are as near to float64 as is promised, and laid out like u."""
    y, gradients = run(case, p)
    exact_y, exact_gradients = expected(p)
    assert error(y, exact_y) <= bound(case.dots, p.u.dtype, is_signal=True)
    for name, found, exact in zip(NAMES, gradients, exact_gradients, strict=True):
        assert (found is None) == (exact is None), name
        if found is not None and exact is not None:
            is_signal = name in ("u", "pre", "post")
            limit = bound(case.dots, p.u.dtype, is_signal=is_signal)
            assert error_in(p, name, found, exact) <= limit, name
            assert found.dtype == (p.u.dtype if is_signal else torch.float32), name
            assert not is_signal or found.stride() == p.u.stride(), name
    assert y.dtype == p.u.dtype
    assert y.stride() == p.u.stride()


@pytest.mark.parametrize("case", marked(cases()))
def test_every_configuration_with_everything(case: Case) -> None:
    """Both kernels, skip and gates; forward and backward."""
    length = length_of(case)
    taps = length - 1, length // 2
    check(case, problem(shape_of(case), natural(case), taps=taps, gated=True))


def default_cases() -> list[Case]:
    """One case a family, for what is the same whatever the blocks: float16 dots, shortest class."""
    chosen: dict[str, Case] = {}
    for case in cases():
        if case.dots == "fp16":
            chosen.setdefault(case.family, case)
    return list(chosen.values())


families = pytest.mark.parametrize("case", marked(default_cases()))


@families
@pytest.mark.parametrize(
    ("taps", "gated"),
    [((None, 0), False), ((0, None), False), ((1, 0), True), ((0, 3), True), ((2, 5), False)],
)
def test_every_combination_of_kernels(
    case: Case, taps: tuple[int | None, int | None], gated: bool
) -> None:
    """One kernel or both, of one tap, of few and of as many as the signal has steps."""
    check(case, problem((2, 1, length_of(case)), torch.float32, taps=taps, gated=gated))


@families
def test_signals_of_any_strides(case: Case) -> None:
    """A (B, L, D) tensor seen as (B, D, L); the results are laid out in the same way."""
    p = problem((2, 2, length_of(case)), torch.bfloat16, gated=True)
    for name in ("u", "pre", "post", "g"):
        setattr(p, name, getattr(p, name).mT.contiguous().mT)
    check(case, p)


@families
def test_float16_signals(case: Case) -> None:
    check(case, problem((2, 1, length_of(case)), torch.float16, gated=True))


@families
@pytest.mark.parametrize("exponent", [-6, -3, 4])
def test_float16_dots_neither_underflow_nor_overflow(case: Case, exponent: int) -> None:
    """Signals of any size: float16 alone has nothing below 6e-8 and nothing above 65504."""
    scale = 10.0**exponent
    p = problem((2, 1, length_of(case)), taps=(None, 7), gated=True, scale=scale)
    assert p.pre is not None
    assert p.forward is not None
    p.g *= scale
    p.forward *= 1 / scale
    check(case, p)


@families
def test_deterministic_and_one_row_as_in_the_batch(case: Case) -> None:
    """The same bits twice; a row alone gives the bits that it gives among others."""
    p = problem((2, 1, length_of(case)), torch.bfloat16, taps=(None, 4), gated=True)
    one, two = run(case, p), run(case, p)
    assert torch.equal(one[0], two[0])
    for a, b in zip(one[1], two[1], strict=True):
        assert a is not None
        assert b is not None
        assert torch.equal(a, b)
    last = Problem(
        **{k: v[-1:] if v is not None and v.dim() == 3 else v for k, v in vars(p).items()}
    )
    y, gradients = run(case, last)
    assert torch.equal(y, one[0][-1:])
    for name, a, b in zip(NAMES, gradients, one[1], strict=True):
        if name in ("u", "pre", "post"):
            assert a is not None
            assert b is not None
            assert torch.equal(a, b[-1:]), name


@families
def test_the_weight_gradient_alone(case: Case) -> None:
    """It is the gradient in the forward kernel of a convolution without gates."""
    p = problem((3, 2, length_of(case)), taps=(11, 0))
    _, exact = expected(p)
    with case.in_force():
        found = backend.weight_gradient(p.g, p.u, 11, case.precision)
    assert exact[1] is not None
    assert found.shape == exact[1].shape
    assert error(found, exact[1]) <= bound(case.dots, p.u.dtype, is_signal=False)


@pytest.mark.parametrize("case", [c for c in default_cases() if c.family == "toeplitz"], ids=str)
def test_toeplitz_is_exactly_causal(case: Case) -> None:
    """An impulse at the end changes nothing before it: exact zeros, not 1e-7."""
    p = problem((1, 1, length_of(case)), taps=(None, 0))
    p.u.zero_()[..., -1] = 1.0
    with case.in_force():
        y = backend.convolve(p.arguments, case.precision)
    assert not y[..., :-1].any()
    assert y[..., -1].all()


SIGNALS = (torch.float32, *HALVES)
KERNELS = ((None, 0), (0, None), (None, None))


def at_their_own_length() -> Iterator[Any]:
    """Every type of signal with every choice of kernels; of three kernels, each once."""
    for case in cases():
        pairs = list(product(SIGNALS, KERNELS))
        for io, taps in zip(SIGNALS, KERNELS, strict=True) if is_slow(case) else pairs:
            yield pytest.param(case, io, taps, id=f"{case}-{io}-{taps}")


@pytest.mark.slow
@pytest.mark.parametrize(("case", "io", "taps"), list(at_their_own_length()))
def test_every_configuration_at_its_own_length(
    case: Case, io: torch.dtype, taps: tuple[int | None, int | None]
) -> None:
    """Just below the longest of the class."""
    length = length_of(case) if case.family == "monarch_long" else case.length - 3
    check(case, problem((2, 1, length), io, taps=taps, gated=True))


@pytest.mark.slow
@pytest.mark.parametrize("case", default_cases(), ids=str)
@pytest.mark.parametrize("length", [1, 2, 63, 500, 1023])
def test_odd_lengths(case: Case, length: int) -> None:
    if length <= case.length:
        check(case, problem((2, 1, length), taps=(None, (length + 1) // 2), gated=True))
