"""The long convolution as torch sees it: operators that can be traced, compiled, vmapped, saved."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.library import opcheck

from zoo.conv import fft_conv
from zoo.conv.arguments import Arguments
from zoo.conv.operators import differentiable_gradients, gradients_op, long_conv, long_conv_op

OPS = torch.ops.seqzoo


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype)


def arguments(length: int = 9, *, taps: int = 5) -> list[Tensor]:
    """u, forward, backward, skip, pre, post: (2, 3, L) signals."""
    signal = (2, 3, length)
    shapes = [signal, (3, length), (3, taps), (3,), signal, signal]
    return [drawn(*shape) for shape in shapes]


ABSENT = [(), (1,), (2,), (3, 4, 5), (2, 3), (1, 5), (2, 4), (2, 3, 4, 5)]


def without(tensors: list[Tensor], absent: tuple[int, ...]) -> list[Tensor | None]:
    return [None if i in absent else x for i, x in enumerate(tensors)]


@pytest.fixture(params=["spectral", "cpu"])
def operator_backend(request: pytest.FixtureRequest) -> str:
    """The backends behind the operators; `reference` is torch's own derivatives."""
    if request.param == "cpu":
        from zoo.conv.cpu.build import extension, reason

        if extension() is None:
            pytest.skip(f"no compiler: {reason()}")
    return request.param


@pytest.mark.parametrize("absent", ABSENT)
def test_opcheck(operator_backend, absent):
    words = ("auto", operator_backend)
    tensors = without([x.requires_grad_() for x in arguments()], absent)
    opcheck(OPS.long_conv.default, (*tensors, *words))
    plain = [None if x is None else x.detach() for x in tensors]
    opcheck(OPS.long_conv_gradients.default, (drawn(2, 3, 9), *plain, *words))


def test_opcheck_of_the_weight_gradient(operator_backend):
    g, u = (drawn(2, 3, 9).requires_grad_() for _ in range(2))
    opcheck(OPS.long_conv_weight_gradient.default, (g, u, 4, "auto", operator_backend))


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_opcheck_of_half_and_of_other_strides(operator_backend, dtype, layout):
    u, forward, _, skip, pre, _ = (x.float() for x in arguments())
    if layout == "bld":
        u, pre = u.mT.contiguous().mT, pre.mT.contiguous().mT
    u, pre = (x.to(dtype).requires_grad_() for x in (u, pre))
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    opcheck(
        OPS.long_conv.default,
        (u, forward.requires_grad_(), None, skip, pre, None, "auto", operator_backend),
        test_utils=tests,
    )


def test_opcheck_of_a_gate_of_another_layout(operator_backend):
    """A gate's gradient has the strides of u, not the gate's."""
    u, forward, _, _, pre, post = arguments()
    turned = [x.mT.contiguous().mT for x in (pre, post)]
    g, words = drawn(2, 3, 9), ("auto", operator_backend)
    opcheck(OPS.long_conv_gradients.default, (g, u, forward, None, None, *turned, *words))
    u = u.mT.contiguous().mT
    opcheck(OPS.long_conv_gradients.default, (g, u, forward, None, None, pre, post, *words))


@pytest.mark.parametrize("absent", ABSENT)
def test_the_fused_derivative_is_the_composed_one(operator_backend, absent):
    words = ("auto", operator_backend)
    tensors, g = without(arguments(), absent), drawn(2, 3, 9)
    composed = differentiable_gradients(g, Arguments(*tensors), words)
    for x, fused, expected in zip(
        tensors, gradients_op(g, *tensors, *words), composed, strict=True
    ):
        if x is None:
            assert fused.numel() == 0
            assert expected is None
        else:
            torch.testing.assert_close(fused, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("absent", ABSENT)
def test_what_is_traced_computes_what_is_called_at_once(operator_backend, absent):
    words = ("auto", operator_backend)
    tensors = without([x.requires_grad_() for x in arguments()], absent)
    leaves, g = [x for x in tensors if x is not None], drawn(2, 3, 9)
    outputs = [long_conv(Arguments(*tensors), *words), long_conv_op(*tensors, *words)]
    names = [type(y.grad_fn).__name__ for y in outputs]
    assert names[0] != names[1], "both went the same way"
    assert torch.equal(*outputs)
    for a, b in zip(*(torch.autograd.grad(y, leaves, g) for y in outputs), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("lazy", [torch._neg_view, lambda x: torch._efficientzerotensor(x.shape)])
@pytest.mark.parametrize("length", [5, 40])
def test_tensors_that_are_not_what_their_memory_is(backend, length, lazy):
    u, k, gate = torch.randn(2, 3, length), torch.randn(3, length), torch.randn(2, 3, length)
    given = [lazy(x) for x in (u, k, gate)]
    real = [x.neg().neg() if x.is_neg() else torch.zeros(x.shape) for x in given]
    assert torch.equal(real[0], given[0] + 0)
    for i in range(3):
        mixed = [
            g if i == j else x for j, (g, x) in enumerate(zip(given, (u, k, gate), strict=True))
        ]
        exact = [
            r if i == j else x for j, (r, x) in enumerate(zip(real, (u, k, gate), strict=True))
        ]
        found, wanted = (fft_conv(a, b, pre=c, backend=backend) for a, b, c in (mixed, exact))
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("length", [5, 40])
def test_gradients_share_no_memory(backend, length):
    """An optimizer that scales one in place must not scale another: one tap is all of a kernel."""
    u, k, skip = drawn(2, 3, length), drawn(3, 1), drawn(3)
    leaves = [x.requires_grad_() for x in (u, k, skip)]
    fft_conv(u, k, skip=skip, backend=backend).backward(drawn(2, 3, length))
    places = {x.grad.untyped_storage().data_ptr() for x in leaves}
    assert len(places) == 3


@pytest.mark.parametrize("length", [1, 2, 7, 33, 64])
def test_derivatives_of_derivatives_with_skip_and_gates(backend, length):
    u, kf, kb, skip, pre, post = (x.requires_grad_() for x in arguments(length, taps=1))
    fast = length > 8  # a random projection of the Jacobian, not all of it

    def conv(u, kf, kb, skip, pre, post):
        return fft_conv(
            u, (kf, kb), skip=skip, pre=pre, post=post, mode="two-sided", backend=backend
        )

    inputs = (u, kf, kb, skip, pre, post)
    assert torch.autograd.gradcheck(conv, inputs, fast_mode=fast)
    assert torch.autograd.gradgradcheck(conv, inputs, fast_mode=fast)


# vmap and the other transforms of torch.func


def test_vmap_over_any_argument(backend):
    u, k, gate, skip = drawn(4, 2, 3, 9), drawn(4, 3, 9), drawn(4, 2, 3, 9), drawn(4, 3)

    def conv(u, k, gate, skip):
        return fft_conv(u, k, pre=gate, skip=skip, backend=backend)

    for batched in range(1, 16):
        dims = tuple(0 if batched >> i & 1 else None for i in range(4))
        given = [x if d == 0 else x[0] for x, d in zip((u, k, gate, skip), dims, strict=True)]
        found = torch.vmap(conv, in_dims=dims)(*given)
        for i in range(4):
            one = [x[i] if d == 0 else x for x, d in zip(given, dims, strict=True)]
            torch.testing.assert_close(found[i], conv(*one), rtol=1e-12, atol=1e-12)


def test_vmap_with_the_batch_axis_elsewhere(backend):
    u, k = drawn(2, 3, 9, 4), drawn(3, 4, 9)
    found = torch.vmap(
        lambda u, k: fft_conv(u, k, mode="correlation", backend=backend), in_dims=(3, 1), out_dims=2
    )(u, k)
    expected = torch.stack(
        [fft_conv(u[..., i], k[:, i], mode="correlation", backend=backend) for i in range(4)], 2
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_gradients_per_sample(backend):
    u, k, skip, gate = drawn(5, 3, 9), drawn(3, 9), drawn(3), drawn(5, 3, 9)

    def loss(k, skip, u, gate):
        y = fft_conv(u[None], k, skip=skip, pre=gate[None], post=gate[None], backend=backend)
        return y.square().sum()

    found = torch.vmap(torch.func.grad(loss, argnums=(0, 1)), in_dims=(None, None, 0, 0))(
        k, skip, u, gate
    )
    for i in range(5):
        leaves = [x.clone().requires_grad_() for x in (k, skip)]
        expected = torch.autograd.grad(loss(*leaves, u[i], gate[i]), leaves)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a[i], b, rtol=1e-11, atol=1e-11)


def test_many_cotangents_at_once(backend):
    """The rows of a Jacobian by one vmapped backward pass."""
    u, k, gate = (x.requires_grad_() for x in (drawn(1, 2, 6), drawn(2, 6), drawn(1, 2, 6)))
    y = fft_conv(u, k, pre=gate, backend=backend)
    rows = torch.eye(y.numel(), dtype=torch.float64).view(-1, *y.shape)
    found = torch.autograd.grad(y, (u, k, gate), rows, is_grads_batched=True, retain_graph=True)
    for i, row in enumerate(rows):
        expected = torch.autograd.grad(y, (u, k, gate), row, retain_graph=True)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a[i], b, rtol=1e-12, atol=1e-12)


def test_a_hessian_by_torch_func(backend):
    u, k = drawn(1, 2, 5), drawn(2, 5)

    def loss(k):
        return fft_conv(u, k, backend=backend).pow(3).sum()

    found = torch.func.jacrev(torch.func.grad(loss))(k)
    expected = torch.autograd.functional.hessian(loss, k)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


# mixed dtypes


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_autocast(backend, half):
    """A half signal from a product under autocast meets a float32 kernel and stays half."""
    linear = torch.nn.Linear(3, 3)
    x, k = torch.randn(2, 9, 3), torch.randn(3, 9, requires_grad=True)
    with torch.autocast("cpu", dtype=half):
        u = linear(x)
        assert u.dtype == half
        y = fft_conv(u, k, layout="bld", backend=backend)
    assert y.dtype == half
    exact = fft_conv(u.double(), k.double(), layout="bld", backend="reference")
    assert float(((y.double() - exact).norm() / exact.norm()).detach()) < 6e-3
    y.float().square().sum().backward()
    assert k.grad is not None
    assert k.grad.dtype == torch.float32
    assert linear.weight.grad is not None


def test_signals_of_different_dtypes(backend):
    u, k, gate = drawn(2, 3, 9), drawn(3, 9), drawn(2, 3, 9)
    expected = fft_conv(u.bfloat16().double(), k, pre=gate.float().double())
    y = fft_conv(u.bfloat16(), k.float(), pre=gate.float(), backend=backend)
    assert y.dtype == torch.bfloat16
    assert float((y.double() - expected).norm() / expected.norm()) < 6e-3
    y = fft_conv(u.float(), k.float(), pre=gate, backend=backend)  # a double gate
    assert y.dtype == torch.float32


@pytest.mark.parametrize("length", [8, 40])
def test_a_gate_of_more_precision_is_not_rounded(length, backend):
    """y_t = x_t - x_{t-1}, where x = 1 + 2^-12 and 1 in turn: the same for bfloat16."""
    u, k = torch.ones(1, 2, length).bfloat16(), torch.tensor([[1.0, -1.0]]).expand(2, -1)
    gate = 1 + 2**-12 * (torch.arange(length) % 2).expand(1, 2, -1)
    y = fft_conv(u, k, pre=gate, backend=backend)[..., 1:]
    torch.testing.assert_close(y.float(), gate.diff(), rtol=0.01, atol=1e-6)


# compilers


@pytest.mark.parametrize(
    "compiler", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]
)
def test_compiled_whole(operator_backend, compiler):
    u, k, skip, gate = (x.float().requires_grad_() for x in arguments()[:5] if x.shape != (3, 5))

    def loss(u, k, skip, gate):
        y = fft_conv(
            u.sigmoid(), k, skip=skip, post=gate, mode="circular", backend=operator_backend
        )
        return y.relu().square().sum()

    leaves = (u, k, skip, gate)
    eager = torch.autograd.grad(loss(*leaves), leaves)
    compiled = torch.compile(loss, fullgraph=True, backend=compiler)
    for a, b in zip(torch.autograd.grad(compiled(*leaves), leaves), eager, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.k = torch.nn.Parameter(torch.randn(3, 9))

    def forward(self, u: Tensor) -> Tensor:
        return fft_conv(u, self.k, layout="bld")


def test_exported_as_one_node():
    layer, u = Layer(), torch.randn(2, 9, 3)
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(layer, (u,), dynamic_shapes={"u": {0: batch}})
    called = [n.target for n in program.graph.nodes if n.op == "call_function"]
    assert called.count(OPS.long_conv.default) == 1
    other = torch.randn(7, 9, 3)
    torch.testing.assert_close(program.module()(other), layer(other))


# determinism


@pytest.mark.parametrize("length", [7, 64, 100, 1024, 3000])
@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_a_row_is_the_same_in_any_batch(backend, layout, length):
    u, k = torch.randn(5, 6, length), torch.randn(6, length)
    gate, g = torch.randn(5, 6, length), torch.randn(5, 6, length)

    def run(rows: slice) -> list[Tensor]:
        leaves = [x[rows].clone().requires_grad_() for x in (u, gate)]
        signal, pre, weight = (x.mT if layout == "bld" else x for x in (*leaves, g[rows]))
        y = fft_conv(signal, k, pre=pre, layout=layout, backend=backend)
        return [y, *torch.autograd.grad((y * weight).sum(), leaves)]

    together = run(slice(None))
    again = run(slice(None))
    alone = run(slice(3, 4))
    for all_rows, repeated, row in zip(together, again, alone, strict=True):
        assert torch.equal(all_rows, repeated)
        assert torch.equal(all_rows[3], row[0])
