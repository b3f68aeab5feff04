"""Forward mode, torch.func and its compilation: derivatives of every order of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import functionalize, grad, hessian, jacfwd, jacrev, jvp, vmap
from torch.utils._pytree import tree_leaves

from zoo.conv import fft_conv, short_conv
from zoo.conv.operators import gradients_op
from zoo.conv.short_operators import short_conv_backward

SHAPES = {
    "long": {"u": (1, 2, 5), "k": (2, 4), "skip": (2,), "pre": (1, 2, 5), "post": (1, 2, 5)},
    "short": {"u": (1, 5, 2), "w": (2, 3), "bias": (2,)},
}


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def arguments(name: str) -> tuple[Tensor, ...]:
    return tuple(drawn(*shape) for shape in SHAPES[name].values())


def convolution(name: str, backend: Any) -> Callable[..., Tensor]:
    """Of tensors only, as in SHAPES."""
    if name == "short":
        return lambda u, w, bias: short_conv(u, w, bias, "silu", backend=backend)
    return lambda u, k, skip, pre, post: fft_conv(
        u, k, skip=skip, pre=pre, post=post, backend=backend
    )


def check(found: Any, expected: Any) -> None:
    for a, b in zip(tree_leaves(found), tree_leaves(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.fixture(params=list(SHAPES))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def named(name: str, backend: str) -> str:
    """A backend of the convolution."""
    if (name, backend) == ("short", "spectral"):
        pytest.skip("the long one's")
    return backend


# Forward mode


def test_forward_mode_by_finite_differences(name, named):
    inputs = tuple(x.requires_grad_() for x in arguments(name))
    conv = convolution(name, named)
    assert gradcheck(conv, inputs, check_forward_ad=True, check_batched_forward_grad=True)
    assert gradgradcheck(conv, inputs, check_fwd_over_rev=True)


def test_a_tangent_along_each_argument_alone(name, named):
    inputs = arguments(name)
    for i, x in enumerate(inputs):

        def along(x: Tensor, i: int = i) -> Tensor:
            return convolution(name, named)(*inputs[:i], x, *inputs[i + 1 :])

        t, step = torch.randn_like(x), 1e-6
        _, found = jvp(along, (x,), (t,))
        expected = (along(x + step * t) - along(x - step * t)) / (2 * step)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_a_tangent_of_what_the_output_is_weighed_with(name, named):
    """The gradient is linear in g, so that its tangent is the gradient of g's."""
    inputs = tuple(x.requires_grad_() for x in arguments(name))
    y = convolution(name, named)(*inputs)
    g, t = torch.randn_like(y), torch.randn_like(y)
    expected = torch.autograd.grad(y, inputs, t, retain_graph=True)
    with forward_ad.dual_level():
        loss = (forward_ad.make_dual(g, t) * convolution(name, named)(*inputs)).sum()
        duals = [forward_ad.unpack_dual(x) for x in torch.autograd.grad(loss, inputs)]
    check([x.tangent for x in duals], expected)
    check([x.primal for x in duals], torch.autograd.grad(y, inputs, g, retain_graph=True))
    _, found = jvp(lambda g: torch.autograd.grad(y, inputs, g, retain_graph=True), (g,), (t,))
    check(found, expected)


def test_a_tangent_of_what_was_saved(name, named):
    """Forward over reverse: dual arguments, whose gradients are dual."""
    inputs, tangents = arguments(name), arguments(name)

    def loss(*inputs: Tensor) -> Tensor:
        return convolution(name, named)(*inputs).pow(3).sum()

    leaves = tuple(x.clone().requires_grad_() for x in inputs)
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(x, t) for x, t in zip(leaves, tangents, strict=True)]
        found = [
            forward_ad.unpack_dual(x).tangent for x in torch.autograd.grad(loss(*duals), duals)
        ]
    first = torch.autograd.grad(loss(*leaves), leaves, create_graph=True)
    along = sum((x * t).sum() for x, t in zip(first, tangents, strict=True))
    check(found, torch.autograd.grad(along, leaves))


# torch.func


def both_ways(name: str, transform: Callable[..., Any], backend: Any = "auto") -> None:
    """The same of a backend as of the plain formula that torch differentiates by itself."""
    inputs = arguments(name)
    every = tuple(range(len(inputs)))
    found, expected = (
        transform(lambda *x, b=b: convolution(name, b)(*x).pow(3).sum(), every)(*inputs)
        for b in (backend, "reference")
    )
    check(found, expected)


@pytest.mark.parametrize(
    "transform",
    [
        hessian,
        lambda f, n: jacfwd(jacrev(f, n), n),
        lambda f, n: jacrev(jacfwd(f, n), n),
        lambda f, n: jacfwd(jacfwd(f, n), n),
        lambda f, n: jacfwd(hessian(f)),
        lambda f, n: lambda *x: jvp(grad(f, n), x, x),
        lambda f, n: lambda *x: grad(lambda *z: jvp(f, z, x)[1], n)(*x),
        lambda f, n: lambda *x: jvp(lambda s: s * grad(f, n)(*x)[1], (x[1],), (x[1],)),
    ],
    ids=["hessian", "fwd rev", "rev fwd", "fwd fwd", "third", "jvp grad", "grad jvp", "constant"],
)
def test_derivatives_of_derivatives(name, transform):
    both_ways(name, transform)


def test_a_backend_that_is_named_has_them_too(name, named):
    both_ways(name, hessian, named)


def test_forward_mode_refuses_what_is_refused_without_it():
    u, k = drawn(1, 2, 5), drawn(2, 5)
    with pytest.raises(ValueError, match="precision='bf16'"):
        jvp(lambda u: fft_conv(u, k, precision="bf16"), (u,), (u,))


@pytest.mark.filterwarnings("ignore")  # of the compiler
@pytest.mark.parametrize(
    ("transform", "many"),
    [(grad, False), (hessian, False), (lambda f: vmap(grad(f)), True), (vmap, True)],
    ids=["grad", "hessian", "vmap grad", "vmap"],
)
def test_compiled_transforms(name, transform, many):
    inputs = arguments(name)
    x = torch.stack([inputs[1], 2 * inputs[1]]) if many else inputs[1]
    function = transform(
        lambda x: convolution(name, "auto")(inputs[0], x, *inputs[2:]).pow(3).sum()
    )
    torch.compiler.reset()
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    check(compiled(x), function(x))


def test_functionalized(name):
    inputs = arguments(name)
    check(functionalize(convolution(name, "auto"))(*inputs), convolution(name, "auto")(*inputs))
    with pytest.raises(RuntimeError, match="NYI: Functionalize rule for custom_function_call"):
        functionalize(grad(lambda *x: convolution(name, "auto")(*x).sum()))(*inputs)


# vmap of the derivatives


@pytest.mark.parametrize("i", range(7))
def test_vmap_of_the_long_derivative_along_each_argument(i, backend):
    if backend == "reference":
        pytest.skip("not an operator's")
    shapes = [(2, 3, 9), (2, 3, 9), (3, 9), (3, 4), (3,), (2, 3, 9), (2, 3, 9)]
    one = [drawn(*shape) for shape in shapes]
    many = drawn(4, *shapes[i])
    words = ("auto", backend)
    for without in ((), (3, 4), (5,), (6,)):
        if i in without:
            continue

        def call(x: Tensor, without: tuple[int, ...] = without) -> tuple[Tensor, ...]:
            given = [
                None if j in without else y for j, y in enumerate((*one[:i], x, *one[i + 1 :]))
            ]
            return gradients_op(*given, *words)

        for dim in (0, many.dim() - 1):
            found = vmap(call, in_dims=dim)(many.movedim(0, dim))
            for n in range(4):
                check([x[n] for x in found], call(many[n]))


@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("i", range(4))
def test_vmap_of_the_short_derivative_along_each_argument(i, silu):
    shapes = [(2, 6, 3), (2, 6, 3), (3, 3), (3,)]
    one = [drawn(*shape) for shape in shapes]
    many = drawn(5, *shapes[i])

    def call(x: Tensor) -> tuple[Tensor, ...]:
        return short_conv_backward(*one[:i], x, *one[i + 1 :], silu, "auto")

    for dim in (0, many.dim() - 1):
        found = vmap(call, in_dims=dim)(many.movedim(0, dim))
        for n in range(5):
            check([x[n] for x in found], call(many[n]))


@pytest.mark.parametrize("dims", [(0, None), (None, 0), (0, 0)])
def test_vmap_of_the_short_one_without_a_bias(dims):
    given = [
        drawn(5, *s) if d == 0 else drawn(*s)
        for s, d in zip(((2, 6, 3), (3, 3)), dims, strict=True)
    ]
    found = vmap(lambda u, w: short_conv(u, w, None, "silu"), dims)(*given)
    for n in range(5):
        u, w = (x if d is None else x[n] for x, d in zip(given, dims, strict=True))
        check(found[n], short_conv(u, w, None, "silu"))
