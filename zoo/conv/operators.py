"""The long convolution as custom operators, closed under differentiation.

    long_conv         y = post (C x + skip x),  x = pre u,  C = C(forward, backward)
    weight_gradient   w[j] = sum_{b, t} g_t u_{t - j}

are linear in the signal and in the kernels, and their derivatives are the two again:

    C(f, b)^T = C(b, f),        the adjoint of w, h -> g: C(h, 0) u,  h -> u: C(0, h) g

`long_conv_gradients` is all derivatives of the first in one pass, sharing its transforms; it is
used where nobody differentiates the derivative. Only the arguments are kept for it. Otherwise the
same is composed of the two differentiable ones. In forward mode (jvp) too: they are linear in each
argument, so that a tangent is a sum of convolutions.

To torch each is one opaque node of a known shape: it can be compiled, exported, traced with fake
tensors and vmapped. Where nothing of that happens, the backend is called at once. A transform of
torch.func differentiates an autograd.Function around the operator, which torch 2.13 cannot compile:
there `backend="auto"` is plain torch (zoo.conv.ops).

Axes: B batch, D channels, L length, Lk <= L taps.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor
from torch.library import define, impl, register_autograd, register_fake, register_vmap
from torch.nn import Parameter

from zoo.conv import batching
from zoo.conv.arguments import Arguments, Gradients, computed_in, wide
from zoo.conv.dispatch import choose
from zoo.conv.transforms import has_tangent, jvp_rule, transformed

Words = tuple[str, str]  # precision, backend


def long_conv(a: Arguments, *words: str) -> Tensor:
    """The convolution, differentiable to any order: see Arguments, and Words."""
    if has_tangent(*a) or transformed():
        return LongConv.apply(*a, *words)
    return (EagerLongConv.apply if _eager(*a) else long_conv_op)(*a, *words)


def weight_gradient(g: Tensor, u: Tensor, taps: int, *words: str) -> Tensor:
    """w[d, j] = sum over b and t >= j of g[b, d, t] u[b, d, t - j], differentiable to any order.

    Args:    g, u  signals of one dtype                        (B, D, L)
    Returns: float64 for float64 signals, else float32         (D, taps)
    """
    by_function = _eager(g, u) or has_tangent(g, u) or transformed()
    return (WeightGradient.apply if by_function else weight_gradient_op)(g, u, taps, *words)


def _eager(*tensors: Tensor | None) -> bool:
    """Whether all that happens is the computation: nobody traces, compiles, vmaps or transforms.

    An operator and the derivative registered for it then only cost time, 0.1 ms a step and more.
    """
    return (
        not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and torch._C._len_torch_dispatch_stack() == 0
        and all(x is None or _is_plain(x) for x in tensors)
    )


def _is_plain(x: Tensor) -> bool:
    """Numbers in memory: no subclass, no view that is to be negated, no zeros without memory.

    Nor the many cotangents of autograd.grad(is_grads_batched=True).
    """
    is_one = (type(x) is Tensor or type(x) is Parameter) and not is_legacy_batchedtensor(x)
    if not is_one or x.is_meta or x.is_neg():
        return False
    return not torch._is_zerotensor(x)  # pyright: ignore[reportPrivateImportUsage]


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
    ctx.save_for_forward(*inputs[:6])
    ctx.words = inputs[6:]


def _differentiate_long_conv(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
    (g,), a = grads, Arguments(*ctx.saved_tensors)
    if torch.is_grad_enabled() or has_tangent(g, *a):  # somebody differentiates this derivative
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
    ctx.save_for_forward(*inputs[:2])
    ctx.taps, *ctx.words = inputs[2:]


def _differentiate_weight_gradient(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
    (g, u), h = ctx.saved_tensors, grads[0].contiguous()
    into_g = long_conv(Arguments(u, forward=h), *ctx.words)
    return into_g, long_conv(Arguments(g, backward=h), *ctx.words), None, None, None


def _push_long_conv(ctx: Any, saved: Any, tangents: Any) -> Tensor:
    """Forward mode: linear in u, in each gate, and in kernels and skip together."""
    a, t = Arguments(*saved), Arguments(*tangents[:6])
    moved = [a._replace(**{n: x}) for n in ("u", "pre", "post") if (x := getattr(t, n)) is not None]
    if t.forward is not None or t.backward is not None:
        moved.append(a._replace(forward=t.forward, backward=t.backward, skip=t.skip))
    elif t.skip is not None:  # there is a kernel always
        nothing = torch.zeros_like(t.skip)[:, None]
        moved.append(a._replace(forward=nothing, backward=None, skip=t.skip))
    parts = [long_conv(each, *ctx.words) for each in moved]
    return sum(parts[1:], parts[0])


def _push_weight_gradient(ctx: Any, saved: Any, tangents: Any) -> Tensor:
    (g, u), (dg, du, *_) = saved, tangents
    pairs = [(x, y) for x, y in ((dg, u), (g, du)) if x is not None and y is not None]
    parts = [weight_gradient(*each, ctx.taps, *ctx.words) for each in pairs]
    return sum(parts[1:], parts[0])


register_autograd("seqzoo::long_conv", _differentiate_long_conv, setup_context=_save_long_conv)
register_autograd(
    "seqzoo::long_conv_weight_gradient",
    _differentiate_weight_gradient,
    setup_context=_save_weight_gradient,
)

_vmap_long_conv = partial(batching.long_conv, lambda *a: long_conv(Arguments(*a[:6]), *a[6:]))
_vmap_weight_gradient = partial(batching.weight_gradient, weight_gradient)
register_vmap("seqzoo::long_conv", _vmap_long_conv)
register_vmap("seqzoo::long_conv_weight_gradient", _vmap_weight_gradient)
register_vmap("seqzoo::long_conv_gradients", partial(batching.gradients, gradients_op))


class EagerLongConv(torch.autograd.Function):
    """The same where nothing is traced. A Function for transforms costs 0.05 ms a call more."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        ctx.save_for_backward(*args[:6])
        ctx.words = args[6:]
        return _convolve(*args)

    backward = staticmethod(_differentiate_long_conv)


class LongConv(torch.autograd.Function):
    """The same where functions are transformed, which operators cannot be."""

    vmap = staticmethod(_vmap_long_conv)
    setup_context = staticmethod(_save_long_conv)
    backward = staticmethod(_differentiate_long_conv)
    jvp = jvp_rule(_push_long_conv)

    @staticmethod
    def forward(*args: Any) -> Tensor:
        return (_convolve if _eager(*args[:6]) else long_conv_op)(*args)


class WeightGradient(torch.autograd.Function):
    """The same where nothing is traced, and where functions are transformed."""

    vmap = staticmethod(_vmap_weight_gradient)
    setup_context = staticmethod(_save_weight_gradient)
    backward = staticmethod(_differentiate_weight_gradient)
    jvp = jvp_rule(_push_weight_gradient)

    @staticmethod
    def forward(*args: Any) -> Tensor:
        return (_weight_gradient if _eager(*args[:2]) else weight_gradient_op)(*args)
