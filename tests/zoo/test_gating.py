"""Gates: their equations, what is left when the products go, and what must not move."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.draws import Draws
from zoo.kernel import KernelSpec
from zoo.mixers import LayerContext, LongConv
from zoo.mixers.long_conv import Convolution
from zoo.model import ModelSpec
from zoo.parameterizations import Dense
from zoo.properties.gating import (
    Gating,
    Glu,
    InputGate,
    LinearGating,
    Multiplicative,
    NoGating,
    OutputGate,
    Receptance,
)
from zoo.spec import replace_all

D, L = 3, 11
GATES = sorted(set(Gating.choices()) - {"receptance"})  # which is for one mixer alone


def mixer(gating: Any, *, length: int = L, seed: int = 7, **fields: Any) -> Convolution:
    kernel = KernelSpec(parameterization=Dense(std=0.5))
    spec = LongConv.model_validate({"kernel": kernel, "gating": gating, **fields})
    built = spec.build(LayerContext(width=D, length=length, draws=Draws(seed, "gating"))).double()
    assert isinstance(built, Convolution)
    return built


def signal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def toeplitz(k: Tensor) -> Tensor:
    """(D, L) to lower-triangular (D, L, L), by index."""
    steps = torch.arange(k.shape[1])
    lag = steps[:, None] - steps
    return torch.where(lag >= 0, k[:, lag.clamp(min=0)], 0.0)


def apply(k: Tensor, skip: Tensor, x: Tensor) -> Tensor:
    """(T_k + skip I) x for x (B, L, D)."""
    middle = toeplitz(k) + torch.diag_embed(skip[:, None].expand(-1, k.shape[1]))
    return torch.einsum("dts,bsd->btd", middle, x)


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.einsum("bld,pd->blp", x, weight) + bias


def shifted(x: Tensor, lag: int) -> Tensor:
    out = torch.zeros_like(x)
    out[:, lag:] = x[:, : x.shape[1] - lag]
    return out


def projections(m: Convolution, u: Tensor) -> list[Tensor]:
    """W u + b, then sum_s taps[S - 1 - s] z_{t-s} + c, one after the other."""
    p = dict(m.gate.named_parameters())
    z = affine(u, p["inner.weight"], p["inner.bias"])
    if "inner.taps" not in p:
        return list(z.split(D, -1))
    taps = p["inner.taps"].flip(-1)
    x = p["inner.short_bias"] + sum(taps[:, s] * shifted(z, s) for s in range(taps.shape[1]))
    assert isinstance(x, Tensor)
    return list(x.split(D, -1))


def test_none_is_a_projection_of_the_convolution() -> None:
    m, u = mixer("none", activation="none"), signal(2, L, D)
    p = dict(m.gate.named_parameters())
    wanted = affine(apply(m.kernel(), m.skip, u), p["output.weight"], p["output.bias"])
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_glu_gates_behind_the_activation(activation: str) -> None:
    m, u = mixer("glu", activation=activation), signal(2, L, D)
    p = dict(m.gate.named_parameters())
    x = apply(m.kernel(), m.skip, u)
    bend = 0.5 * (1 + torch.erf(x / math.sqrt(2))) if activation == "gelu" else 1 / (1 + (-x).exp())
    x = x * bend
    gate = 1 / (1 + (-affine(x, p["gate.weight"], p["gate.bias"])).exp())
    wanted = affine(x, p["output.weight"], p["output.bias"]) * gate
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-12)


def test_linear_is_one_product_and_the_input() -> None:
    m, u = mixer("linear", activation="none"), signal(2, L, D)
    p = dict(m.gate.named_parameters())
    product = affine(u, p["output.weight"], p["output.bias"])
    wanted = product * (apply(m.kernel(), m.skip, u) + p["bias"]) + u
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("short", [1, 3, 4])
@pytest.mark.parametrize("length", [1, 2, L])
def test_multiplicative_is_a_product_of_matrices(short: int, length: int) -> None:
    m = mixer(Multiplicative(short=short), activation="none", length=length)
    u = signal(2, length, D)
    p = dict(m.gate.named_parameters())
    v, x1, x0 = projections(m, u)
    middle = x0 * apply(m.kernel(), m.skip, x1 * v)
    wanted = affine(middle, p["output.weight"], p["output.bias"])
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("short", [0, 3])
@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize("activation", ["none", "sigmoid", "silu", "gelu"])
def test_gates_of_one_side(side: str, activation: str, short: int) -> None:
    fields = {"kind": side, "activation": activation, "short": short}
    m, u = mixer(fields, activation="none"), signal(2, L, D)
    p = dict(m.gate.named_parameters())
    assert ("inner.taps" in p) == (short > 0)
    v, x = projections(m, u)
    sigmoid = 1 / (1 + (-x).exp())
    normal = 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    g = {"none": x, "sigmoid": sigmoid, "silu": x * sigmoid, "gelu": x * normal}[activation]
    if side == "input":
        middle = apply(m.kernel(), m.skip, g * v)
    else:
        middle = g * apply(m.kernel(), m.skip, v)
    wanted = affine(middle, p["output.weight"], p["output.bias"])
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-12)


def test_multiplicative_without_short_convolutions() -> None:
    m, u = mixer(Multiplicative(short=0), activation="none"), signal(2, L, D)
    p = dict(m.gate.named_parameters())
    assert set(p) == {"inner.weight", "inner.bias", "output.weight", "output.bias"}
    v, x1, x0 = projections(m, u)
    middle = x0 * apply(m.kernel(), m.skip, x1 * v)
    wanted = affine(middle, p["output.weight"], p["output.bias"])
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-12)


def test_none_with_a_projection_of_the_value() -> None:
    m, u = mixer(NoGating(project=True), activation="none"), signal(2, L, D)
    p = dict(m.gate.named_parameters())
    (v,) = projections(m, u)
    wanted = affine(apply(m.kernel(), m.skip, v), p["output.weight"], p["output.bias"])
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-12)


def test_linear_may_bend_both_factors() -> None:
    m, u = mixer(LinearGating(activation="silu"), activation="none"), signal(2, L, D)
    p = dict(m.gate.named_parameters())
    left = affine(u, p["output.weight"], p["output.bias"])
    right = apply(m.kernel(), m.skip, u) + p["bias"]
    wanted = left / (1 + (-left).exp()) * right / (1 + (-right).exp()) + u
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("gating", ["input", "output"])
def test_one_product_of_two_filters(gating: str) -> None:
    m, u = mixer(gating, channels=2, activation="none"), signal(2, L, D)
    p = dict(m.gate.named_parameters())
    v, *gates = projections(m, u)
    first = gates[0] * v if gating == "input" else v
    behind = gates if gating == "output" else [torch.ones_like(v)] * 2
    kernels, skips = m.kernel().split(D), m.skip.split(D)
    parts = [behind[c] * apply(kernels[c], skips[c], first) for c in range(2)]
    wanted = affine(torch.cat(parts, -1), p["output.weight"], p["output.bias"])
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [0.3, -2.0])
def test_multiplicative_without_biases_is_cubic(scale: float) -> None:
    m, u = mixer("multiplicative", activation="none"), signal(2, L, D)
    with torch.no_grad():
        for name, parameter in m.gate.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    torch.testing.assert_close(m(scale * u), scale**3 * m(u), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gating", GATES)
def test_gates_do_not_know_the_time(gating: str) -> None:
    """Where nothing came before, a later start gives a later output."""
    m = mixer(gating)
    with torch.no_grad():
        for name, parameter in m.gate.named_parameters():
            if name.startswith("inner") and name.endswith("bias"):
                parameter.zero_()  # a bias is there from the first step on
    u = signal(1, L, D)
    late = shifted(u, 4)
    torch.testing.assert_close(m(late)[:, 4:], m(u)[:, :-4], rtol=0, atol=1e-12)


@pytest.mark.parametrize("gating", ["none", "glu", "multiplicative"])
def test_two_filters_are_two_convolutions_that_meet_in_the_output(gating: str) -> None:
    m, u = mixer(gating, channels=2, activation="none"), signal(2, L, D)
    p = dict(m.gate.named_parameters())
    kernels, skips = m.kernel().split(D), m.skip.split(D)
    value, pre, post = u, torch.ones_like(u), [torch.ones_like(u)] * 2
    if gating == "multiplicative":
        value, pre, *post = projections(m, u)
    parts = [post[c] * apply(kernels[c], skips[c], pre * value) for c in range(2)]
    x = torch.cat(parts, -1)
    wanted = affine(x, p["output.weight"], p["output.bias"])
    if gating == "glu":
        wanted = wanted * torch.sigmoid(affine(x, p["gate.weight"], p["gate.bias"]))
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-12)


def test_linear_has_no_place_for_two_filters() -> None:
    with pytest.raises(ValueError, match=r"channels=2.*use channels=1 or gating=glu") as caught:
        mixer("linear", channels=2)
    assert "\n" not in str(caught.value)


# Off -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "wanted"),
    [
        (Glu(), NoGating()),
        (LinearGating(), NoGating()),
        (NoGating(), NoGating()),
        (NoGating(short=3), NoGating(short=3)),
        (NoGating(project=True), NoGating(project=True)),
        (Multiplicative(short=4), NoGating(short=4)),
        (Multiplicative(short=0), NoGating(project=True)),
        (InputGate(short=4), NoGating(short=4)),
        (OutputGate(short=0, activation="gelu"), NoGating(project=True)),
        (Receptance(), NoGating(project=True)),
        (None, NoGating()),
    ],
)
def test_off_keeps_what_is_no_product(old: Any, wanted: NoGating) -> None:
    assert NoGating().replacing(old) == wanted


def test_off_does_what_it_is_told() -> None:
    assert NoGating(short=0).replacing(Multiplicative()) == NoGating()


def test_off_is_already_off_the_second_time() -> None:
    spec = ModelSpec(mixers=(LongConv(gating=Multiplicative()), LongConv(gating=Glu())))
    once = replace_all(spec, "gating", NoGating())
    assert replace_all(once, "gating", NoGating()) == once
    assert [m.gating for m in once.mixers if isinstance(m, LongConv)] == [
        NoGating(short=3),
        NoGating(),
    ]


@pytest.mark.parametrize("gating", ["glu", "linear", "multiplicative", "input", "output"])
def test_what_stays_starts_at_the_same_values(gating: str) -> None:
    on = mixer(gating)
    off = mixer(NoGating().replacing(Gating.choices()[gating]()))
    assert torch.equal(on.kernel(), off.kernel())
    assert torch.equal(on.skip, off.skip)
    left, right = on.gate.state_dict(), off.gate.state_dict()
    assert torch.equal(left["output.weight"], right["output.weight"])
    assert torch.equal(left["output.bias"], right["output.bias"])
    if gating in ("multiplicative", "input", "output"):
        for name in ("weight", "bias", "taps", "short_bias"):
            assert torch.equal(left[f"inner.{name}"][:D], right[f"inner.{name}"])
            assert right[f"inner.{name}"].shape[0] == D


def test_multiplicative_off_is_one_with_gates_held_open() -> None:
    """Only the products go: with x_0 = x_1 = 1 both are the same function."""
    on, off = mixer("multiplicative"), mixer(NoGating(short=3))
    with torch.no_grad():
        on.gate.get_parameter("inner.weight")[D:] = 0
        on.gate.get_parameter("inner.bias")[D:] = 0
        on.gate.get_parameter("inner.short_bias")[D:] = 1
    u = signal(2, L, D)
    torch.testing.assert_close(on(u), off(u), rtol=0, atol=1e-12)


def test_projections_of_one_name_do_not_depend_on_the_others() -> None:
    one, two = mixer("multiplicative"), mixer("multiplicative", channels=2)
    left, right = one.gate.state_dict(), two.gate.state_dict()
    for name in ("weight", "bias", "taps", "short_bias"):
        assert torch.equal(left[f"inner.{name}"][: 2 * D], right[f"inner.{name}"][: 2 * D])


@pytest.mark.parametrize(
    ("gating", "kept"),
    [
        ("none", 0),
        ("glu", 0),
        ("linear", 0),
        ("multiplicative", 2 * 3 * D),
        ("input", 2 * 2 * D),
        (Multiplicative(short=0), 0),
        (NoGating(short=4), 3 * D),
        (NoGating(project=True), 0),
    ],
)
def test_state_of_inference(gating: Any, kept: int) -> None:
    m = mixer(gating)
    assert m.gate.state_elements() == kept
    assert m.state_elements(L) == (L - 1) * D + kept
    assert m.state_elements(5) == 4 * D + kept
