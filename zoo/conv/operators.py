"""The long convolution as custom operators, closed under differentiation.

    long_conv         y = post (C x + skip x),  x = pre u,  C = C(forward, backward)
    weight_gradient   w[j] = sum_{b, t} g_t u_{t - j}

are linear in the signal and in the kernels, and their derivatives are the two again:

    C(f, b)^T = C(b, f),        the adjoint of w, h -> g: C(h, 0) u,  h -> u: C(0, h) g

`long_conv_gradients` is all derivatives of the first in one pass, sharing its transforms; it is
used where nobody differentiates the derivative. Only the arguments are kept for it. Otherwise the
same is composed of the two differentiable ones.

To torch each is one opaque node of a known shape: it can be compiled, exported, traced with fake
tensors and vmapped. Axes: B batch, D channels, L length, Lk <= L taps, V vmapped.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.library import define, impl, register_autograd, register_fake, register_vmap

from zoo.conv.dispatch import choose

Words = tuple[str, str]  # precision, backend


def long_conv(*args: Any) -> Tensor:
    """long_conv_op of the same arguments, differentiable to any order."""
    return (LongConvUnderTransforms.apply if _transformed() else long_conv_op)(*args)


def weight_gradient(*args: Any) -> Tensor:
    """weight_gradient_op of the same arguments, differentiable to any order."""
    return (WeightGradientUnderTransforms.apply if _transformed() else weight_gradient_op)(*args)


def _transformed() -> bool:
    """Whether torch.func.grad is at work: it cannot differentiate an operator (torch 2.13)."""
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()


# `define` and `impl`: the wrappers of `custom_op` cost 20 us a call.
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


@impl("seqzoo::long_conv", "default")
def _(  # noqa: PLR0913
    u: Tensor,
    forward: Tensor | None,
    backward: Tensor | None,
    skip: Tensor | None,
    pre: Tensor | None,
    post: Tensor | None,
    precision: str,
    backend: str,
) -> Tensor:
    """The output y = post (C(forward, backward) x + skip x), x = pre u.

    Args:    u                  signal, any strides                            (B, D, L)
             forward, backward  contiguous, float64 for a float64 signal and float32 for others,
                                not both None                                  (D, Lk)
             skip               the same dtype                                 (D,)
             pre, post          gates, the dtype of u                          (B, D, L)
    Returns: y, with the dtype of u and the strides of torch.empty_like(u)     (B, D, L)
    """
    chosen = choose(backend, u, precision)
    return chosen.convolve(u, forward, backward, skip, pre, post, precision)


@impl("seqzoo::long_conv_gradients", "default")
def _(  # noqa: PLR0913
    g: Tensor,
    u: Tensor,
    forward: Tensor | None,
    backward: Tensor | None,
    skip: Tensor | None,
    pre: Tensor | None,
    post: Tensor | None,
    precision: str,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The derivatives of long_conv in its six tensors; an empty one for an absent tensor."""
    found = choose(backend, u, precision).gradients(
        g, u, forward, backward, skip, pre, post, precision
    )
    six = [u.new_empty(0) if each is None else each for each in found]
    return six[0], six[1], six[2], six[3], six[4], six[5]


@impl("seqzoo::long_conv_weight_gradient", "default")
def _(g: Tensor, u: Tensor, taps: int, precision: str, backend: str) -> Tensor:
    """w[d, j] = sum over b and t >= j of g[b, d, t] u[b, d, t - j].

    Args:    g, u  signals of one dtype                        (B, D, L)
    Returns: float64 for float64 signals, else float32         (D, taps)
    """
    return choose(backend, u, precision).weight_gradient(g, u, taps, precision)


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
    return u.new_empty((u.shape[1], taps), dtype=_computed_in(u))


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


def _computed_in(u: Tensor) -> torch.dtype:
    return torch.float64 if u.dtype == torch.float64 else torch.float32


# Derivatives.


def _save_long_conv(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:6])
    ctx.words = inputs[6:]


def _differentiate_long_conv(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
    (g,), tensors = grads, ctx.saved_tensors
    if torch.is_grad_enabled():  # somebody differentiates this derivative
        found = differentiable_gradients(g, *tensors, words=ctx.words)
    else:
        found = gradients_op(g, *tensors, *ctx.words)
    kept = (None if x is None else dx for x, dx in zip(tensors, found, strict=True))
    return *kept, None, None


def differentiable_gradients(  # noqa: PLR0913
    g: Tensor,
    u: Tensor,
    forward: Tensor | None,
    backward: Tensor | None,
    skip: Tensor | None,
    pre: Tensor | None,
    post: Tensor | None,
    words: Words,
) -> list[Tensor | None]:
    """long_conv_gradients in differentiable parts.

    gc = post g,   gx = C^T gc + skip gc:   du = pre gx,  dpre = u gx,  dpost = g (C x + skip x)
    """
    x = u if pre is None else pre * u
    gc = g if post is None else post * g
    gx = long_conv(gc, backward, forward, skip, None, None, *words)
    wide = _computed_in(u)
    return [
        gx if pre is None else pre * gx,
        None if forward is None else weight_gradient(gc, x, forward.shape[1], *words),
        None if backward is None else weight_gradient(x, gc, backward.shape[1], *words),
        None if skip is None else (gc.to(wide) * x.to(wide)).sum((0, 2)),
        None if pre is None else u * gx,
        None if post is None else g * long_conv(x, forward, backward, skip, None, None, *words),
    ]


def _save_weight_gradient(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.words = inputs[3:]


def _differentiate_weight_gradient(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
    (g, u), h = ctx.saved_tensors, grads[0].contiguous()
    into_g = long_conv(u, h, None, None, None, None, *ctx.words)
    return into_g, long_conv(g, None, h, None, None, None, *ctx.words), None, None, None


register_autograd("seqzoo::long_conv", _differentiate_long_conv, setup_context=_save_long_conv)
register_autograd(
    "seqzoo::long_conv_weight_gradient",
    _differentiate_weight_gradient,
    setup_context=_save_weight_gradient,
)


class LongConvUnderTransforms(torch.autograd.Function):
    """long_conv_op where functions are transformed."""

    generate_vmap_rule = True
    forward = staticmethod(long_conv_op)
    setup_context = staticmethod(_save_long_conv)
    backward = staticmethod(_differentiate_long_conv)


class WeightGradientUnderTransforms(torch.autograd.Function):
    """weight_gradient_op where functions are transformed."""

    generate_vmap_rule = True
    forward = staticmethod(weight_gradient_op)
    setup_context = staticmethod(_save_weight_gradient)
    backward = staticmethod(_differentiate_weight_gradient)


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
