"""The long convolution as custom operators, closed under differentiation.

    long_conv         y = post (C x + skip x),  x = pre u,  C = C(forward, backward)
    weight_gradient   w[j] = sum_{b, t} g_t u_{t - j}

are linear in the signal and in the kernels, and their derivatives are the two again:

    C(f, b)^T = C(b, f),        the adjoint of w, h -> g: C(h, 0) u,  h -> u: C(0, h) g

`long_conv_gradients` is all derivatives of the first in one pass, sharing its transforms; it is
used where nobody differentiates the derivative. Only the arguments are kept for it. Otherwise the
same is composed of the two differentiable ones.

To torch each is one opaque node of a known shape: it can be compiled, exported, traced with fake
tensors and vmapped. Where nothing of that happens, the backend is called at once.

Axes: B batch, D channels, L length, Lk <= L taps, V vmapped.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor
from torch.library import define, impl, register_autograd, register_fake, register_vmap
from torch.nn import Parameter

from zoo.conv.arguments import Arguments, Gradients, computed_in, wide
from zoo.conv.dispatch import choose

Words = tuple[str, str]  # precision, backend


def long_conv(a: Arguments, *words: str) -> Tensor:
    """The convolution, differentiable to any order: see Arguments, and Words."""
    return (LongConv.apply if _eager(*a) or _transformed() else long_conv_op)(*a, *words)


def weight_gradient(g: Tensor, u: Tensor, taps: int, *words: str) -> Tensor:
    """w[d, j] = sum over b and t >= j of g[b, d, t] u[b, d, t - j], differentiable to any order.

    Args:    g, u  signals of one dtype                        (B, D, L)
    Returns: float64 for float64 signals, else float32         (D, taps)
    """
    call = WeightGradient.apply if _eager(g, u) or _transformed() else weight_gradient_op
    return call(g, u, taps, *words)


def _eager(*tensors: Tensor | None) -> bool:
    """Whether all that happens is the computation: nobody traces, compiles, vmaps or transforms.

    An operator and the derivative registered for it then only cost time, 0.1 ms a step and more.
    """
    return (
        not torch.compiler.is_compiling()
        and not _transformed()
        and torch._C._len_torch_dispatch_stack() == 0
        and all(x is None or _is_plain(x) for x in tensors)
    )


def _is_plain(x: Tensor) -> bool:
    """Numbers, of no subclass, nor the many cotangents of autograd.grad(is_grads_batched=True)."""
    is_one = type(x) is Tensor or type(x) is Parameter
    return is_one and not x.is_meta and not is_legacy_batchedtensor(x)


def _transformed() -> bool:
    """Whether torch.func is at work: its `grad` cannot differentiate an operator (torch 2.13)."""
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()


# What is computed.


def _convolve(*args: Any) -> Tensor:
    *tensors, precision, backend = args
    a = Arguments(*tensors)
    return choose(backend, a.u, precision).convolve(a, precision)


def _gradients(g: Tensor, *args: Any) -> Gradients:
    *tensors, precision, backend = args
    a = Arguments(*tensors)
    return choose(backend, a.u, precision).gradients(g, a, precision)


def _weight_gradient(g: Tensor, u: Tensor, taps: int, precision: str, backend: str) -> Tensor:
    return choose(backend, u, precision).weight_gradient(g, u, taps, precision)


# The operators. `define` and `impl`: the wrappers of `custom_op` cost 20 us a call.
TENSORS = "Tensor u, Tensor? forward, Tensor? backward, Tensor? skip, Tensor? pre, Tensor? post"
WORDS = "str precision, str backend"
define("seqzoo::long_conv", f"({TENSORS}, {WORDS}) -> Tensor")
define(
    "seqzoo::long_conv_gradients",
    f"(Tensor g, {TENSORS}, {WORDS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
define("seqzoo::long_conv_weight_gradient", f"(Tensor g, Tensor u, int taps, {WORDS}) -> Tensor")
long_conv_op = torch.ops.seqzoo.long_conv.default
gradients_op = torch.ops.seqzoo.long_conv_gradients.default
weight_gradient_op = torch.ops.seqzoo.long_conv_weight_gradient.default
impl("seqzoo::long_conv", "default")(_convolve)
impl("seqzoo::long_conv_weight_gradient", "default")(_weight_gradient)


@impl("seqzoo::long_conv_gradients", "default")
def _(g: Tensor, u: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    """An operator returns tensors only: an empty one for an absent argument."""
    return tuple(u.new_empty(0) if x is None else x for x in _gradients(g, u, *rest))


# Shapes, for tracing without numbers.


@register_fake("seqzoo::long_conv")
def _(u: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(u)


@register_fake("seqzoo::long_conv_gradients")
def _(g: Tensor, u: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    return tuple(
        g.new_empty(0) if x is None else torch.empty_like(x) for x in _as_gradients(u, *rest)
    )


@register_fake("seqzoo::long_conv_weight_gradient")
def _(g: Tensor, u: Tensor, taps: int, *_: Any) -> Tensor:
    return u.new_empty((u.shape[1], taps), dtype=computed_in(u))


def _as_gradients(u: Tensor, *rest: Any) -> list[Tensor | None]:
    """Tensors with the strides of the gradients: gates' are those of u."""
    forward, backward, skip, pre, post = rest[:5]
    return [
        u,
        forward,
        backward,
        skip,
        None if pre is None else u,
        None if post is None else u,
    ]


# Derivatives.


def _save_long_conv(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:6])
    ctx.words = inputs[6:]


def _differentiate_long_conv(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
    (g,), a = grads, Arguments(*ctx.saved_tensors)
    if torch.is_grad_enabled():  # somebody differentiates this derivative
        found = differentiable_gradients(g, a, ctx.words)
    else:
        found = (_gradients if _eager(g, *a) else gradients_op)(g, *a, *ctx.words)
    kept = (None if x is None else dx for x, dx in zip(a, found, strict=True))
    return *kept, None, None


def differentiable_gradients(g: Tensor, a: Arguments, words: Words) -> Gradients:
    """The gradients in differentiable parts: formulas in zoo.conv.dispatch."""
    u, forward, backward, skip, pre, post = a
    x = u if pre is None else pre * u
    gc = g if post is None else post * g
    gx = long_conv(Arguments(gc, backward, forward, skip), *words)
    return (
        gx if pre is None else pre * gx,
        None if forward is None else weight_gradient(gc, x, forward.shape[1], *words),
        None if backward is None else weight_gradient(x, gc, backward.shape[1], *words),
        None if skip is None else (wide(gc) * wide(x)).sum((0, 2)),
        None if pre is None else u * gx,
        None if post is None else g * long_conv(Arguments(x, forward, backward, skip), *words),
    )


def _save_weight_gradient(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.words = inputs[3:]


def _differentiate_weight_gradient(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
    (g, u), h = ctx.saved_tensors, grads[0].contiguous()
    into_g = long_conv(Arguments(u, forward=h), *ctx.words)
    return into_g, long_conv(Arguments(g, backward=h), *ctx.words), None, None, None


register_autograd("seqzoo::long_conv", _differentiate_long_conv, setup_context=_save_long_conv)
register_autograd(
    "seqzoo::long_conv_weight_gradient",
    _differentiate_weight_gradient,
    setup_context=_save_weight_gradient,
)


class LongConv(torch.autograd.Function):
    """The same where nothing is traced, and where functions are transformed."""

    generate_vmap_rule = True
    setup_context = staticmethod(_save_long_conv)
    backward = staticmethod(_differentiate_long_conv)

    @staticmethod
    def forward(*args: Any) -> Tensor:
        return (_convolve if _eager(*args[:6]) else long_conv_op)(*args)


class WeightGradient(torch.autograd.Function):
    """The same where nothing is traced, and where functions are transformed."""

    generate_vmap_rule = True
    setup_context = staticmethod(_save_weight_gradient)
    backward = staticmethod(_differentiate_weight_gradient)

    @staticmethod
    def forward(*args: Any) -> Tensor:
        return (_weight_gradient if _eager(*args[:2]) else weight_gradient_op)(*args)


# vmap: V goes into the batch, or into the channels where each of V has kernels of its own.


def _vmap_long_conv(info: Any, in_dims: Any, u: Tensor, *rest: Any) -> tuple[Tensor, int]:
    size, tensors, words = info.batch_size, (u, *rest[:5]), rest[5:]
    if any(dim is not None for dim in in_dims[1:4]):
        folded = _into_channels(size, in_dims[:6], tensors)
        return long_conv_op(*folded, *words).unflatten(1, (size, -1)), 1
    signals = [_in_front(size, dim, x) for dim, x in zip(in_dims, tensors, strict=False)]
    batch = [None if x is None else x.flatten(0, 1) for x in signals]
    y = long_conv_op(batch[0], *tensors[1:4], batch[4], batch[5], *words)
    return y.unflatten(0, (size, -1)), 0


def _vmap_gradients(
    info: Any, in_dims: Any, *args: Any
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    folded = _into_channels(info.batch_size, in_dims[:7], args[:7])
    found = gradients_op(*folded, *args[7:])
    channels = (1, 0, 0, 0, 1, 1)
    axes = tuple(0 if x is None else axis for x, axis in zip(args[1:7], channels, strict=True))
    return tuple(
        dx.new_empty(info.batch_size, 0) if x is None else dx.unflatten(axis, (info.batch_size, -1))
        for x, dx, axis in zip(args[1:7], found, axes, strict=True)
    ), axes


def _vmap_weight_gradient(
    info: Any, in_dims: Any, g: Tensor, u: Tensor, *rest: Any
) -> tuple[Tensor, int]:
    folded = _into_channels(info.batch_size, in_dims[:2], (g, u))
    return weight_gradient_op(*folded, *rest).unflatten(0, (info.batch_size, -1)), 0


register_vmap("seqzoo::long_conv", _vmap_long_conv)
register_vmap("seqzoo::long_conv_gradients", _vmap_gradients)
register_vmap("seqzoo::long_conv_weight_gradient", _vmap_weight_gradient)


def _in_front(size: int, dim: int | None, x: Tensor | None) -> Tensor | None:
    if x is None:
        return None
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)


def _into_channels(size: int, dims: Any, tensors: Any) -> list[Tensor | None]:
    """(V, B, D, L) to (B, V D, L), (V, D, Lk) to (V D, Lk), (V, D) to (V D)."""
    front = [_in_front(size, dim, x) for dim, x in zip(dims, tensors, strict=True)]
    return [None if x is None else _folded(x) for x in front]


def _folded(x: Tensor) -> Tensor:
    return x.transpose(0, 1).flatten(1, 2) if x.dim() == 4 else x.flatten(0, 1)
