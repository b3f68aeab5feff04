"""The short convolution against torch's own depthwise one: values, all gradients, every promise."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from zoo.conv.cpu import build
from zoo.conv.short_conv import short_conv
from zoo.conv.short_operators import short_conv_backward, short_conv_op

BACKENDS = ["reference", "cpu", "auto"]
LENGTHS = [1, 3, 64, 65, 200]
CHANNELS = [1, 16, 37]
ERROR = {torch.float64: 1e-13, torch.float32: 1e-6, torch.bfloat16: 6e-3, torch.float16: 8e-4}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "cpu" and build.extension() is None:
        pytest.skip(f"no compiler: {build.reason()}")
    return request.param


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).to(dtype).requires_grad_()


def torchs(u: Tensor, w: Tensor, bias: Tensor | None, activation: str | None = None) -> Tensor:
    padded = F.pad(u.mT, (w.shape[1] - 1, 0))
    z = F.conv1d(padded, w[:, None], bias, groups=w.shape[0]).mT
    return F.silu(z) if activation else z


def assert_near(ours: Tensor, exact: Tensor, dtype: torch.dtype, terms: int = 1) -> None:
    """Relative to the size of the whole; a sum of so many terms may cancel."""
    size = exact.norm() + math.sqrt(terms * exact.numel())
    assert (ours.double() - exact).norm() <= ERROR[dtype] * size


def check(inputs: list[Tensor], activation: Any, backend: Any) -> None:
    """Values and gradients against float64, and their dtypes."""
    u, *rest = inputs
    exact_inputs = [x.detach().double().requires_grad_() for x in inputs]
    ours = short_conv(u, *rest, activation=activation, backend=backend)
    exact = torchs(*[*exact_inputs, None][:3], activation)
    assert ours.dtype == u.dtype
    assert ours.stride() == torch.empty_like(u).stride() or backend == "reference"
    assert_near(ours, exact, u.dtype)
    g = torch.randn_like(ours)
    terms = u.shape[0] * u.shape[1]
    got = torch.autograd.grad(ours, inputs, g)
    wanted = torch.autograd.grad(exact, exact_inputs, g.double())
    for x, a, b, count in zip(inputs, got, wanted, (1, terms, terms), strict=False):
        assert a.dtype == x.dtype
        assert_near(a, b, u.dtype, count)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("taps", [1, 3, 4, 5, 70])
def test_values_and_gradients(length: int, taps: int, backend: Any) -> None:
    for channels in CHANNELS:
        for activation in (None, "silu"):
            inputs = [draw(2, length, channels), draw(channels, taps), draw(channels)]
            check(inputs, activation, backend)


@pytest.mark.parametrize("dtype", list(ERROR), ids=str)
@pytest.mark.parametrize("activation", [None, "silu"])
def test_types(dtype: torch.dtype, activation: Any, backend: Any) -> None:
    weights = torch.float64 if dtype == torch.float64 else torch.float32
    inputs = [draw(3, 130, 21, dtype=dtype), draw(21, 4, dtype=weights), draw(21, dtype=weights)]
    check([x.detach().requires_grad_() for x in inputs], activation, backend)


def test_a_bias_is_not_needed(backend: Any) -> None:
    check([draw(2, 9, 5), draw(5, 3)], None, backend)


def layouts(dtype: torch.dtype) -> dict[str, Tensor]:
    """Signals (3, 70, 19) and (3, 70, 16), as models make them."""
    return {
        "channels adjacent": draw(3, 70, 19, dtype=dtype).detach(),
        "time adjacent": draw(3, 19, 70, dtype=dtype).detach().mT,
        "time adjacent, whole vectors": draw(3, 16, 70, dtype=dtype).detach().mT,
        "a split": draw(3, 70, 50, dtype=dtype).detach()[..., 20:36],
        "every second step": draw(3, 140, 16, dtype=dtype).detach()[:, ::2],
        "every second channel": draw(3, 70, 32, dtype=dtype).detach()[..., ::2],
        "one row, expanded": draw(1, 70, 16, dtype=dtype).detach().expand(3, -1, -1),
        "batch inside": draw(70, 3, 16, dtype=dtype).detach().transpose(0, 1),
    }


@pytest.mark.parametrize("name", list(layouts(torch.float32)))
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_strides(name: str, dtype: torch.dtype, backend: Any) -> None:
    u = layouts(dtype)[name].requires_grad_()
    channels = u.shape[2]
    weights = torch.float64 if dtype == torch.float64 else torch.float32
    taps, bias = draw(channels, 4, dtype=weights), draw(channels, dtype=weights)
    check([x.detach().requires_grad_() for x in (u, taps, bias)], "silu", backend)


@pytest.mark.parametrize("gradient", ["ones", "transposed", "every second"])
def test_strides_of_the_gradient(gradient: str, backend: Any) -> None:
    inputs = [draw(2, 40, 16), draw(16, 3), draw(16)]
    y = short_conv(*inputs, backend=backend)
    g = {
        "ones": torch.ones(1, 1, 1, dtype=torch.float64).expand_as(y),
        "transposed": torch.randn(2, 16, 40, dtype=torch.float64).mT,
        "every second": torch.randn(2, 80, 32, dtype=torch.float64)[:, ::2, ::2],
    }[gradient]
    got = torch.autograd.grad(y, inputs, g)
    wanted = torch.autograd.grad(torchs(*inputs), inputs, g)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b)


def test_weights_of_another_type_keep_it(backend: Any) -> None:
    u, w, bias = draw(2, 6, 3).float(), draw(3, 4), draw(3).half()
    short_conv(u, w, bias.detach().requires_grad_(), backend=backend).sum().backward()
    assert w.grad is not None
    assert w.grad.dtype == torch.float64


def test_memory_that_was_never_written_is_not_read(backend: Any) -> None:
    """Poison what torch.empty hands out, at sizes with tails of every kind."""
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.use_deterministic_algorithms(True)
    try:
        for shape in ((2, 67, 19), (1, 1, 1), (2, 64, 32)):
            inputs = [draw(*shape, dtype=torch.float32), draw(shape[2], 4), draw(shape[2])]
            y = short_conv(*inputs, activation="silu", backend=backend)
            for x in (y, *torch.autograd.grad(y.sum(), inputs)):
                assert x.isfinite().all()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 0, 3), (2, 5, 0)])
def test_nothing_in_nothing_out(shape: tuple[int, ...], backend: Any) -> None:
    inputs = [draw(*shape), draw(shape[2], 3), draw(shape[2])]
    y = short_conv(*inputs, activation="silu", backend=backend)
    assert y.shape == shape
    grads = torch.autograd.grad(y.sum(), inputs)
    assert [g.shape for g in grads] == [x.shape for x in inputs]
    assert all((g == 0).all() for g in grads)


# Promises ------------------------------------------------------------------------------------


def test_exactly_causal(backend: Any) -> None:
    u, w = draw(2, 90, 17, dtype=torch.float32).detach(), draw(17, 4).detach()
    changed = u.clone()
    changed[:, 65:] = math.nan
    before, after = short_conv(u, w, backend=backend), short_conv(changed, w, backend=backend)
    assert torch.equal(before[:, :65], after[:, :65])
    assert after[:, 65:].isnan().all()


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e30, -1e30, 200.0, -200.0, 0.0])
def test_silu_far_out(value: float, backend: Any) -> None:
    u = torch.full((1, 4, 9), value, requires_grad=True)
    y = short_conv(u, torch.ones(9, 1), activation="silu", backend=backend)
    wanted = F.silu(u.detach().double())
    torch.testing.assert_close(y.detach().double(), wanted, rtol=1e-6, atol=1e-30, equal_nan=True)
    if math.isfinite(value):
        y.sum().backward()
        assert u.grad is not None
        slope = torch.where(torch.tensor(value) > 0, 1.0, 0.0) if value else torch.tensor(0.5)
        torch.testing.assert_close(u.grad, slope.expand(1, 4, 9), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_silu_where_it_is_small(dtype: torch.dtype, backend: Any) -> None:
    """Relative to each value: down to 1e-36."""
    z = torch.linspace(-86, -20, 999, dtype=dtype).view(1, 1, -1)
    y = short_conv(z, torch.ones(999, 1, dtype=dtype), activation="silu", backend=backend)
    wanted = z.double() / (1 + (-z.double()).exp())
    torch.testing.assert_close(y.double(), wanted, rtol=1e-6, atol=0)


def test_a_row_does_not_know_its_batch(backend: Any) -> None:
    if backend != "cpu":
        pytest.skip("torch adds the ends of a batch in another way")
    u, w, bias = draw(7, 100, 21, dtype=torch.float32), draw(21, 4), draw(21)
    g = torch.randn(7, 100, 21)
    whole = short_conv(u, w, bias, "silu", backend=backend)
    [slope] = torch.autograd.grad(whole, u, g)
    for row in range(7):
        alone = u.detach()[row : row + 1].requires_grad_()
        y = short_conv(alone, w, bias, "silu", backend=backend)
        assert torch.equal(y[0], whole[row])
        assert torch.equal(torch.autograd.grad(y, alone, g[row : row + 1])[0][0], slope[row])


@pytest.mark.parametrize("shape", [(5, 300, 70), (1, 5000, 16)])
def test_the_same_bits_for_any_number_of_threads(shape: tuple[int, int, int]) -> None:
    if build.extension() is None:
        pytest.skip(f"no compiler: {build.reason()}")
    channels, threads = shape[2], torch.get_num_threads()
    inputs = [draw(*shape, dtype=torch.float32), draw(channels, 4), draw(channels)]
    g = torch.randn(*shape)
    results = []
    try:
        for count in (1, 2, 3, 7, 1):
            torch.set_num_threads(count)
            y = short_conv(*inputs, activation="silu", backend="cpu")
            results.append([y, *torch.autograd.grad(y, inputs, g)])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_inputs_are_left_as_they_are(backend: Any) -> None:
    inputs = (draw(2, 3, 5), draw(5, 3), draw(5))
    before = [x.detach().clone() for x in inputs]
    short_conv(*inputs, backend=backend).sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))


# What torch can do with it -------------------------------------------------------------------


@pytest.mark.parametrize("activation", [None, "silu"])
def test_derivatives_of_any_order(activation: Any, backend: Any) -> None:
    def f(u: Tensor, w: Tensor, bias: Tensor) -> Tensor:
        return short_conv(u, w, bias, activation, backend=backend)

    inputs = (draw(2, 5, 3), draw(3, 3), draw(3))
    assert torch.autograd.gradcheck(f, inputs)
    assert torch.autograd.gradgradcheck(f, inputs)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_operators(bias: bool, backend: Any) -> None:
    u, w = draw(2, 7, 3), draw(3, 3)
    b = draw(3) if bias else None
    torch.library.opcheck(short_conv_op, (u, w, b, True, backend))
    turned = draw(2, 3, 7).detach().mT.requires_grad_()
    torch.library.opcheck(short_conv_op, (turned, w, b, False, backend))
    plain = [None if x is None else x.detach() for x in (torch.randn_like(u), u, w, b)]
    torch.library.opcheck(short_conv_backward, (*plain, True, backend))


@pytest.mark.parametrize("batched", ["u", "w", "bias", "u w", "w bias", "u w bias"])
@pytest.mark.parametrize("dim", [0, -1])
def test_vmap(batched: str, dim: int, backend: Any) -> None:
    shapes = {"u": (2, 6, 3), "w": (3, 4), "bias": (3,)}
    dims = tuple(dim if name in batched.split() else None for name in shapes)
    inputs = []
    for shape, d in zip(shapes.values(), dims, strict=True):
        x = torch.randn(5, *shape, dtype=torch.float64) if d is not None else draw(*shape).detach()
        inputs.append(x.movedim(0, d) if d is not None else x)

    def f(u: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return short_conv(u, w, b, "silu", backend=backend)

    def one(x: Tensor, d: int | None, i: int) -> Tensor:
        return x if d is None else x.select(d, i)

    got = torch.vmap(f, dims)(*inputs)
    for i in range(5):
        each = f(*(one(x, d, i) for x, d in zip(inputs, dims, strict=True)))
        torch.testing.assert_close(got[i], each)


def test_gradients_of_each_sample(backend: Any) -> None:
    u, w, bias = draw(4, 6, 3).detach(), draw(3, 3).detach(), draw(3).detach()

    def loss(w: Tensor, bias: Tensor, row: Tensor) -> Tensor:
        return short_conv(row[None], w, bias, "silu", backend=backend).square().sum()

    got = torch.vmap(torch.func.grad(loss, (0, 1)), (None, None, 0))(w, bias, u)
    for i in range(4):
        wanted = torch.func.grad(loss, (0, 1))(w, bias, u[i])
        torch.testing.assert_close((got[0][i], got[1][i]), wanted)


def test_gradient_of_samples_together(backend: Any) -> None:
    u, w, bias = draw(4, 6, 3).detach(), draw(3, 3).detach(), draw(3).detach()

    def loss(w: Tensor) -> Tensor:
        def one(row: Tensor) -> Tensor:
            return short_conv(row[None], w, bias, "silu", backend=backend)

        return torch.vmap(one)(u).square().sum()

    w.requires_grad_()
    y = short_conv(u, w, bias, "silu", backend=backend)
    [wanted] = torch.autograd.grad(y.square().sum(), w)
    torch.testing.assert_close(torch.func.grad(loss)(w.detach()), wanted)


def test_many_gradients_at_once(backend: Any) -> None:
    inputs = [draw(2, 6, 3), draw(3, 3), draw(3)]
    y = short_conv(*inputs, activation="silu", backend=backend)
    many = torch.randn(5, *y.shape, dtype=torch.float64)
    got = torch.autograd.grad(y, inputs, many, is_grads_batched=True, retain_graph=True)
    for i in range(5):
        for a, b in zip(got, torch.autograd.grad(y, inputs, many[i], retain_graph=True),
                        strict=True):  # fmt: skip
            torch.testing.assert_close(a[i], b)


def test_autocast_keeps_the_type_of_the_signal(backend: Any) -> None:
    w, bias = draw(3, 4).float(), draw(3).float()
    for dtype in (torch.bfloat16, torch.float32):
        u = draw(2, 6, 3, dtype=dtype).detach()
        with torch.autocast("cpu", torch.bfloat16):
            y = short_conv(u, w, bias, backend=backend)
        assert y.dtype == dtype
        torch.testing.assert_close(y, short_conv(u, w, bias, backend=backend), rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore")  # of the compiler
@pytest.mark.parametrize("activation", [None, "silu"])
def test_compiled(activation: Any) -> None:
    torch.compiler.reset()
    inputs = [draw(2, 6, 3), draw(3, 3), draw(3)]

    @torch.compile(fullgraph=True, backend="aot_eager")
    def f(u: Tensor, w: Tensor, bias: Tensor) -> Tensor:
        return 2 * short_conv(u, w, bias, activation)

    got = f(*inputs)
    wanted = 2 * short_conv(*inputs, activation=activation)
    torch.testing.assert_close(got, wanted)
    for a, b in zip(torch.autograd.grad(got.sum(), inputs),
                    torch.autograd.grad(wanted.sum(), inputs), strict=True):  # fmt: skip
        torch.testing.assert_close(a, b)


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w, self.bias = torch.nn.Parameter(torch.randn(3, 4)), torch.nn.Parameter(torch.ones(3))

    def forward(self, u: Tensor) -> Tensor:
        return short_conv(u, self.w, self.bias, "silu")


@pytest.mark.filterwarnings("ignore")
def test_exported() -> None:
    layer = Layer()
    steps = torch.export.Dim("steps", min=8, max=64)
    program = torch.export.export(layer, (torch.randn(2, 16, 3),), dynamic_shapes=({1: steps},))
    targets = [str(node.target) for node in program.graph.nodes]
    assert targets.count("seqzoo.short_conv.default") == 1
    u = torch.randn(2, 23, 3)
    torch.testing.assert_close(program.module()(u), layer(u))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_fake_tensors(device: str) -> None:
    """On a CPU's torch nothing at all has a gradient on a fake GPU, so values only there."""
    gradients = device == "cpu" or torch.cuda.is_available()
    with FakeTensorMode():
        u = torch.empty(2, 3, 6, device=device, dtype=torch.bfloat16).mT.requires_grad_(gradients)
        w = torch.empty(3, 4, device=device, requires_grad=gradients)
        y = short_conv(u, w)
        assert (y.shape, y.dtype, y.device.type) == (u.shape, u.dtype, device)
        assert y.stride() == u.stride()
        if gradients:
            y.sum().backward()
            assert u.grad is not None
            assert w.grad is not None
            assert (u.grad.shape, w.grad.dtype) == (u.shape, torch.float32)


# Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((2, 3), (3, 2)), r"u: shape \(2, 3\).*\(batch, length, channels\)"),
        (((2, 5, 3), (5, 2)), r"w: shape \(5, 2\).*\(3, 1 or more\).*u\.mT"),
        (((2, 5, 3), (3, 0)), r"w: shape \(3, 0\)"),
        (((2, 5, 3), (3,)), r"w: shape \(3,\)"),
        (((2, 5, 3), (3, 2), (2,)), r"bias: shape \(2,\).*\(3,\)"),
    ],
)
def test_shapes_that_do_not_fit(arguments: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        short_conv(*(torch.zeros(shape) for shape in arguments))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.float8_e4m3fn], ids=str)
@pytest.mark.parametrize(("i", "name"), list(enumerate(("u", "w", "bias"))))
def test_types_that_do_not_fit(i: int, name: str, dtype: torch.dtype) -> None:
    given = [torch.zeros(2, 5, 3), torch.zeros(3, 2), torch.zeros(3)]
    given[i] = given[i].to(dtype)
    with pytest.raises(ValueError, match=f"{name}: .*{dtype}".replace(".", r"\.", 0)):
        short_conv(*given)


def test_words_that_do_not_exist() -> None:
    u, w = torch.zeros(2, 5, 3), torch.zeros(3, 2)
    wrong: Any = "relu"
    with pytest.raises(ValueError, match=r"activation='relu': choose from None, 'silu'"):
        short_conv(u, w, activation=wrong)
    with pytest.raises(ValueError, match=r"backend='relu': choose from auto, reference, cpu"):
        short_conv(u, w, backend=wrong)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"backend='triton': .*use backend='auto'"):
            short_conv(u, w, backend="triton")
