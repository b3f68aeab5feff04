"""The short convolution as two operators of torch: what compilers, vmap and autograd see.

The backend is chosen when an operator runs, not when it is traced.

Axes: B batch, L length, D channels, S taps, V the axis of vmap.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from zoo.conv import short_reference
from zoo.conv.transforms import has_tangent, jvp_rule, transformed

Gradients = tuple[Tensor, Tensor, Tensor]


def short_conv(u: Tensor, w: Tensor, bias: Tensor | None, silu: bool, backend: str) -> Tensor:  # noqa: FBT001
    """See short_reference.convolve; differentiable to any order."""
    is_transformed = transformed() or has_tangent(u, w, bias)
    run = ShortConvUnderTransforms.apply if is_transformed else short_conv_op
    return run(u, w, bias, silu, backend)


# `define` and `impl` rather than `custom_op`, whose wrappers take 20 us a call more.
torch.library.define(
    "seqzoo::short_conv",
    "(Tensor u, Tensor w, Tensor? bias, bool silu, str backend) -> Tensor",
)
torch.library.define(
    "seqzoo::short_conv_backward",
    "(Tensor g, Tensor u, Tensor w, Tensor? bias, bool silu, str backend)"
    " -> (Tensor du, Tensor dw, Tensor dbias)",
)
short_conv_op = torch.ops.seqzoo.short_conv.default
short_conv_backward = torch.ops.seqzoo.short_conv_backward.default


@torch.library.impl("seqzoo::short_conv", "default")
def _(u: Tensor, w: Tensor, bias: Tensor | None, silu: bool, backend: str) -> Tensor:  # noqa: FBT001
    return _laid_out(backend_for(u, backend).convolve(u, w, bias, silu), u)


@torch.library.impl("seqzoo::short_conv_backward", "default")
def _(
    g: Tensor,
    u: Tensor,
    w: Tensor,
    bias: Tensor | None,
    silu: bool,  # noqa: FBT001
    backend: str,
) -> Gradients:
    du, dw, dbias = backend_for(u, backend).gradients(g, u, w, bias, silu)
    return _laid_out(du, u), dw, dbias


def backend_for(u: Tensor, backend: str) -> ModuleType:
    """The module that computes; `auto` is what fits u's device, in plain torch if nothing does.

    Raises: ValueError with the reason that a backend named cannot take u.
    """
    if backend == "reference":
        return short_reference
    name = "triton" if backend == "triton" or (backend == "auto" and u.is_cuda) else "cpu"
    module, problem = short_reference, "triton is not installed"
    if name == "cpu" or find_spec("triton") is not None:  # its kernels' module imports triton
        module = import_module(f"zoo.conv.{name}.short_conv")
        problem = module.refusal(u)
    if problem is None:
        return module
    if backend == "auto":
        return short_reference
    raise ValueError(f"backend={backend!r}: {problem}; use backend='auto' or 'reference'")


def _laid_out(x: Tensor, u: Tensor) -> Tensor:
    """The same with the strides of empty_like(u)."""
    if x.is_contiguous() and u.is_contiguous():
        return x
    wanted = torch.empty_like(u)
    return x if x.stride() == wanted.stride() else wanted.copy_(x)


# What traces see -----------------------------------------------------------------------------


@torch.library.register_fake("seqzoo::short_conv")
def _(u: Tensor, w: Tensor, bias: Tensor | None, silu: bool, backend: str) -> Tensor:  # noqa: FBT001
    return torch.empty_like(u)


@torch.library.register_fake("seqzoo::short_conv_backward")
def _(
    g: Tensor,
    u: Tensor,
    w: Tensor,
    bias: Tensor | None,
    silu: bool,  # noqa: FBT001
    backend: str,
) -> Gradients:
    return torch.empty_like(u), w.new_empty(w.shape), w.new_empty(w.shape[0])


# What autograd does --------------------------------------------------------------------------


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    u, w, bias, ctx.silu, ctx.backend = inputs
    ctx.save_for_backward(u, w, bias)
    ctx.save_for_forward(u, w, bias)


def _backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
    [g] = grad_outputs
    u, w, bias = ctx.saved_tensors
    if torch.is_grad_enabled() or has_tangent(g, u, w, bias):  # someone differentiates this
        du, dw, dbias = short_reference.gradients(g, u, w, bias, ctx.silu)
    else:
        du, dw, dbias = short_conv_backward(g, u, w, bias, ctx.silu, ctx.backend)
    return du, dw, None if bias is None else dbias, None, None


torch.library.register_autograd("seqzoo::short_conv", _backward, setup_context=_keep)


# What vmap does ------------------------------------------------------------------------------


def _signal(x: Tensor, dim: int | None, size: int) -> Tensor:
    """(V, B, L, D) to (B, L, V D): each sample has channels of its own."""
    x = x.unsqueeze(2).expand(-1, -1, size, -1) if dim is None else x.movedim(dim, 2)
    return x.flatten(2)


def _weights(x: Any, dim: int | None, size: int) -> Any:
    """(V, D, ...) to (V D, ...); None to None."""
    if x is None:
        return None
    x = x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
    return x.flatten(0, 1)


def _vmapped(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
    (u, w, bias, silu, backend), dims = args, in_dims
    if dims[1] is None and dims[2] is None:  # more rows
        u = u.movedim(dims[0], 0)
        y = short_conv(u.flatten(0, 1), w, bias, silu, backend)
        return y.unflatten(0, u.shape[:2]), 0
    size = info.batch_size
    w, bias = _weights(w, dims[1], size), _weights(bias, dims[2], size)
    y = short_conv(_signal(u, dims[0], size), w, bias, silu, backend)
    return y.unflatten(2, (size, -1)), 2


def _vmapped_backward(
    info: Any, in_dims: Any, *args: Any
) -> tuple[Gradients, tuple[int, int, int]]:
    (g, u, w, bias, silu, backend), dims = args, in_dims
    size = info.batch_size
    g, u = _signal(g, dims[0], size), _signal(u, dims[1], size)
    w, bias = _weights(w, dims[2], size), _weights(bias, dims[3], size)
    du, dw, dbias = short_conv_backward(g, u, w, bias, silu, backend)
    split = (size, -1)
    return (du.unflatten(2, split), dw.unflatten(0, split), dbias.unflatten(0, split)), (2, 0, 0)


torch.library.register_vmap("seqzoo::short_conv", _vmapped)
torch.library.register_vmap("seqzoo::short_conv_backward", _vmapped_backward)


def _push(ctx: Any, saved: Any, tangents: Any) -> Tensor:
    """Forward mode: dy = f'(z) dz, and z is linear in u, and in the weights and the bias."""
    (u, w, bias), (du, dw, db, *_) = saved, tangents
    parts = [] if du is None else [short_conv(du, w, None, False, ctx.backend)]
    if dw is not None or db is not None:
        dw = torch.zeros_like(w) if dw is None else dw
        parts.append(short_conv(u, dw, db, False, ctx.backend))
    dz = sum(parts[1:], parts[0])
    if not ctx.silu:
        return dz
    z = short_conv(u, w, bias, False, ctx.backend)
    return dz * short_reference.silu_slope(z)


class ShortConvUnderTransforms(torch.autograd.Function):
    """The same for torch.func.grad and jvp, which cannot differentiate an operator (torch 2.13)."""

    @staticmethod
    def forward(*arguments: Any) -> Tensor:
        return short_conv_op(*arguments)

    setup_context = staticmethod(_keep)
    backward = staticmethod(_backward)
    jvp = jvp_rule(_push)
    vmap = staticmethod(_vmapped)
