"""What both convolutions keep for the backward pass: the arguments, watched by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.conv import fft_conv, short_conv

SHAPES = {
    "u": (4, 3, 40), "k": (3, 40), "skip": (3,), "pre": (4, 3, 40), "post": (4, 3, 40),
}  # fmt: skip
SHORT = {"u": (4, 40, 3), "w": (3, 4), "bias": (3,)}


def long(backend: Any) -> Callable[..., Tensor]:
    return lambda u, k, skip, pre, post: fft_conv(
        u, k, skip=skip, pre=pre, post=post, backend=backend
    )


def short(backend: Any) -> Callable[..., Tensor]:
    return lambda u, w, bias: short_conv(u, w, bias, "silu", backend=backend)


CONVOLUTIONS = {"long": (long, SHAPES), "short": (short, SHORT)}


@pytest.fixture(params=["auto", "cpu", "spectral"])
def backend(request: pytest.FixtureRequest) -> str:
    from zoo.conv.cpu.build import extension, reason

    if request.param == "cpu" and extension() is None:
        pytest.skip(f"no compiler: {reason()}")
    return request.param


@pytest.fixture(params=list(CONVOLUTIONS))
def convolution(request: pytest.FixtureRequest, backend: str) -> Any:
    """The function, and the shapes of its arguments."""
    if (request.param, backend) == ("short", "spectral"):
        pytest.skip("long only")
    make, shapes = CONVOLUTIONS[request.param]
    return make(backend), shapes


def test_all_arguments_are_kept_and_nothing_else(convolution):
    f, shapes = convolution
    inputs = [torch.randn(s, requires_grad=True) for s in shapes.values()]
    kept: set[int] = set()

    def keep(x: Tensor) -> Tensor:
        kept.add(x.untyped_storage().data_ptr())
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        f(*inputs)
    assert kept == {x.untyped_storage().data_ptr() for x in inputs}


@pytest.mark.parametrize("i", range(5))
def test_an_argument_that_was_modified_since_is_noticed(convolution, i):
    f, shapes = convolution
    if i >= len(shapes):
        pytest.skip("no such argument")
    leaves = [torch.randn(s, requires_grad=True) for s in shapes.values()]
    inputs = [x * 1 for x in leaves]
    y = f(*inputs)
    inputs[i].detach().mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.sum().backward()


def test_after_backward_nothing_is_kept(convolution):
    f, shapes = convolution
    y = f(*[torch.randn(s, requires_grad=True) for s in shapes.values()])
    y.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()


def test_mixed_dtypes_keep_what_is_cast_too():
    """As the docstring says: a wide copy of the half signal beside the wide gate."""
    u, gate = torch.randn(4, 3, 400).bfloat16().requires_grad_(), torch.randn(4, 3, 400)
    k, kept = torch.randn(3, 4, requires_grad=True), {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        fft_conv(u, k, pre=gate)
    assert sum(kept.values()) == 2 * u.nbytes + k.nbytes + gate.nbytes
