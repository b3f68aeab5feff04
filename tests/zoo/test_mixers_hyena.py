"""Hyena: its products of matrices, what an order counts, its heads, and its size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from zoo.draws import Draws
from zoo.kernel import KernelSpec
from zoo.mixers import Hyena, LayerContext, LongConv
from zoo.mixers.hyena import Chain
from zoo.parameterizations import Dense, Modes
from zoo.presets import preset
from zoo.properties import OFF, Exponential
from zoo.properties.decay import PerMode
from zoo.properties.gating import NoGating
from zoo.spec import explain, replace_all

D, L = 4, 13
FREE = KernelSpec(parameterization=Dense(std=0.5))
FORMS = [("released", 2), ("released", 3), ("released", 4), ("paper", 1), ("paper", 2)]


def mixer(*, length: int = L, seed: int = 7, **fields: Any) -> Chain:
    spec = Hyena.model_validate({"kernel": FREE, **fields})
    built = spec.build(LayerContext(width=D, length=length, draws=Draws(seed, "hyena"))).double()
    assert isinstance(built, Chain)
    return built


def signal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def toeplitz(k: Tensor, skip: Tensor) -> Tensor:
    """T_k + skip I: (D, L) to (D, L, L)."""
    steps = torch.arange(k.shape[1])
    lag = steps[:, None] - steps
    eye = torch.eye(len(steps), dtype=k.dtype)
    return torch.where(lag >= 0, k[:, lag.clamp(min=0)], 0.0) + skip[:, None, None] * eye


def projections(m: Chain, u: Tensor) -> list[Tensor]:
    """W u + b, then sum_s taps[S - 1 - s] z_{t-s} + c: (B, D, L) each."""
    p = dict(m.gate.named_parameters())
    z = u @ p["inner.weight"].T + p["inner.bias"]
    taps, length = p["inner.taps"].flip(-1), u.shape[1]
    x = torch.zeros_like(z) + p["inner.short_bias"]
    for lag in range(min(taps.shape[1], length)):
        x[:, lag:] = x[:, lag:] + taps[:, lag] * z[:, : length - lag]
    return list(x.mT.split(D, 1))


def output(m: Chain, y: Tensor) -> Tensor:
    p = dict(m.gate.named_parameters())
    return y.mT @ p["output.weight"].T + p["output.bias"]


@pytest.mark.parametrize(("form", "order"), FORMS)
@pytest.mark.parametrize("length", [1, 2, L])
def test_is_a_product_of_matrices(form: str, order: int, length: int) -> None:
    """D_xN (T_N + b_N I) ... D_x1 (T_1 + b_1 I) v, and D before the first where released."""
    m, u = mixer(form=form, order=order), signal(2, length, D)
    filters = order - 1 if form == "released" else order
    x = dict(enumerate(projections(m, u)))
    v, rest = x.pop(0), list(x.values())
    pre = rest.pop(0) if form == "released" else torch.ones_like(v)
    last, between = rest[0], rest[1:]
    gates = [*between, last]
    assert len(gates) == filters == len(m.kernel()) // D
    # One matrix of the whole layer, for every example and feature.
    matrix = torch.diag_embed(pre)
    for k, skip, gate in zip(m.kernel()[:, :length].split(D), m.skip.split(D), gates, strict=True):
        matrix = torch.diag_embed(gate) @ toeplitz(k, skip) @ matrix
    assert matrix.triu(1).abs().max() == 0 if length > 1 else True
    y = (matrix @ v[..., None])[..., 0]
    torch.testing.assert_close(m(u), output(m, y), rtol=0, atol=1e-11)


@pytest.mark.parametrize(("form", "order"), FORMS)
def test_degree_in_the_input(form: str, order: int) -> None:
    """N + 1 projections multiply each other, in both forms."""
    m, u = mixer(form=form, order=order), signal(2, L, D)
    with torch.no_grad():
        for name, parameter in m.gate.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    for scale in (0.3, -2.0):
        wanted = scale ** (order + 1) * m(u)
        torch.testing.assert_close(m(scale * u), wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("form", "order", "filters"), [("released", 3, 2), ("paper", 3, 3)])
def test_what_an_order_counts(form: str, order: int, filters: int) -> None:
    m = mixer(form=form, order=order)
    assert m.kernel().shape == (filters * D, L)
    assert m.gate.get_parameter("inner.weight").shape == ((order + 1) * D, D)


@pytest.mark.parametrize(
    "gating", ["multiplicative", "none", "glu", "linear", "input", "output", NoGating(short=3)]
)
def test_order_two_is_the_long_convolution_with_products(gating: Any) -> None:
    """The same function, and the same initial values."""
    fields = {"kernel": KernelSpec(decay=Exponential()), "gating": gating}
    context = LayerContext(width=D, length=L, draws=Draws(3, "hyena"))
    spec = LongConv.model_validate({**fields, "activation": "none"})
    plain, ours = spec.build(context).double(), Hyena.model_validate(fields).build(context).double()
    new = ours.state_dict()
    for name, value in plain.state_dict().items():
        assert torch.equal(new[name], value), name
    u = signal(2, L, D)
    torch.testing.assert_close(ours(u), plain(u), rtol=0, atol=1e-12)


def test_the_preset_of_order_two_is_this_mixer() -> None:
    (published,) = preset("hyena").mixers
    context = LayerContext(width=D, length=L, draws=Draws(3, "hyena"))
    u = signal(2, L, D).float()
    assert torch.equal(published.build(context)(u), Hyena().build(context)(u))


def test_gates_around_the_whole_chain() -> None:
    m, u = mixer(order=3, gating={"kind": "output", "short": 3}), signal(2, L, D)
    v, gate = projections(m, u)
    y = v
    for k, skip in zip(m.kernel().split(D), m.skip.split(D), strict=True):
        y = (toeplitz(k, skip) @ y[..., None])[..., 0]
    torch.testing.assert_close(m(u), output(m, gate * y), rtol=0, atol=1e-11)


@pytest.mark.parametrize(("form", "order"), FORMS)
def test_gating_off_leaves_the_chain_of_convolutions(form: Any, order: int) -> None:
    on = Hyena(kernel=FREE, form=form, order=order)
    off = replace_all(on, "gating", OFF["gating"])
    assert off.gating == NoGating(short=3)
    m, u = mixer(form=form, order=order, gating=off.gating), signal(2, L, D)
    (y,) = projections(m, u)
    for k, skip in zip(m.kernel().split(D), m.skip.split(D), strict=True):
        y = (toeplitz(k, skip) @ y[..., None])[..., 0]
    torch.testing.assert_close(m(u), output(m, y), rtol=0, atol=1e-11)
    old = mixer(form=form, order=order).state_dict()
    for name, value in m.state_dict().items():
        kept = old[name][:D] if name.startswith("gate.inner") else old[name]
        assert torch.equal(kept, value)


def test_gates_held_open_are_gating_off() -> None:
    on, off = mixer(order=3), mixer(order=3, gating=NoGating(short=3))
    with torch.no_grad():
        on.gate.get_parameter("inner.weight")[D:] = 0
        on.gate.get_parameter("inner.bias")[D:] = 0
        on.gate.get_parameter("inner.short_bias")[D:] = 1
    u = signal(2, L, D)
    torch.testing.assert_close(on(u), off(u), rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [2, 3])
def test_a_skip_is_one_more_tap_at_lag_zero(order: int) -> None:
    m, u = mixer(order=order), signal(2, L, D)
    wanted = m(u)
    with torch.no_grad():
        m.kernel.get_parameter("atoms.taps")[:, 0] += m.skip
        m.skip.zero_()
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("head_dim", [2, 4])
def test_heads_are_linear_attention_under_a_toeplitz_mask(head_dim: int) -> None:
    """MultiHyena: y_t = (h * (k v^T))_t q_t, one filter a head."""
    m, u = mixer(head_dim=head_dim), signal(2, L, D)
    heads = D // head_dim
    assert m.kernel().shape == (heads, L)
    v, k, q = (x.mT.unflatten(-1, (heads, head_dim)) for x in projections(m, u))
    mask = toeplitz(m.kernel(), m.skip)
    scores = torch.einsum("nthe,nshe->nhts", q, k) * mask
    y = torch.einsum("nhts,nshe->nthe", scores, v).flatten(2)
    torch.testing.assert_close(m(u), output(m, y.mT), rtol=0, atol=1e-11)


def test_step_by_step_it_is_the_same() -> None:
    """Two past inputs of each short convolution; all past inputs of each long one."""
    m, u = mixer(order=3), signal(2, L, D)
    p = dict(m.gate.named_parameters())
    window = torch.zeros(2, 3, 4 * D, dtype=torch.float64)
    seen = torch.zeros(2, 2, L, D, dtype=torch.float64)
    kernels, skips, out = m.kernel().split(D), m.skip.split(D), []
    for t in range(L):
        z = u[:, t] @ p["inner.weight"].T + p["inner.bias"]
        window = torch.cat([window[:, 1:], z[:, None]], 1)
        x = (window * p["inner.taps"].T).sum(1) + p["inner.short_bias"]
        v, pre, post, between = x.split(D, -1)
        v = pre * v
        for i, gate in enumerate((between, post)):
            seen[i, :, t] = v
            past = (kernels[i].T[: t + 1].flip(0) * seen[i, :, : t + 1]).sum(1)
            v = gate * (past + skips[i] * v)
        out.append(v @ p["output.weight"].T + p["output.bias"])
    torch.testing.assert_close(m(u), torch.stack(out, 1), rtol=0, atol=1e-11)


def test_filters_of_all_orders_have_the_same_window() -> None:
    spec = Hyena(order=3)
    with torch.no_grad():
        m = spec.build(LayerContext(width=D, length=L, draws=Draws(0)))
    assert isinstance(m, Chain)
    one, two = m.kernel.window.rate.split(D)
    assert torch.equal(one, two)
    assert not torch.equal(*m.kernel().split(D))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"order": 1}, "order=1 form=released has no filter: use order=2, or form=paper"),
        ({"order": 3, "head_dim": 2}, "head_dim=2 with order=3 form=released"),
        ({"order": 2, "form": "paper", "head_dim": 2}, "use order=2 form=released, or head_dim=1"),
        ({"order": 0}, "order"),
        ({"form": "code"}, "form"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Hyena(**fields)
    said = explain(caught.value)
    assert words in said
    assert "\n" not in said


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"head_dim=8 does not divide width=4"):
        mixer(head_dim=8)


# Sizes ---------------------------------------------------------------------------------------


def count(spec: Hyena, width: int) -> int:
    with torch.device("meta"):
        m = spec.build(LayerContext(width=width, length=64, draws=Draws(0)))
    return sum(p.numel() for p in m.parameters())


def test_the_published_operator_and_model_have_the_published_size() -> None:
    """Order 2 at d = 864: 3 066 528; with MLPs of ratio 2 and a tied table of 50 264, 152.5 M."""
    d = 864
    operator = count(Hyena(), d)
    assert operator == 3_066_528
    mlp, norms = 2 * d * 2 * d + 3 * d, 2 * 2 * d
    model = 18 * (operator + mlp + norms) + 2 * d + 50_264 * d
    assert model == pytest.approx(152.48e6, rel=1e-3)


@pytest.mark.parametrize(("form", "order"), FORMS)
def test_parameters(form: Any, order: int) -> None:
    width, w = 16, 64
    filters = order - 1 if form == "released" else order
    network = 33 * w + w + 2 * (w * w + w) + w + w * filters * width
    projections = (order + 1) * (width * width + width + 3 * width + width)
    wanted = network + filters * width + projections + width * width + width
    assert count(Hyena(order=order, form=form), width) == wanted


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({}, 12 * D + 2 * 3 * D),
        ({"order": 3}, 2 * 12 * D + 2 * 4 * D),
        ({"order": 3, "form": "paper"}, 3 * 12 * D + 2 * 4 * D),
        ({"order": 3, "gating": "none"}, 2 * 12 * D),
        ({"head_dim": 4}, 2 * 12 * D + 2 * 3 * D),  # past x_1 and v
        ({"head_dim": 4, "gating": NoGating(short=3)}, 12 * D + 2 * D),
    ],
)
def test_state_of_inference(fields: dict[str, Any], kept: int) -> None:
    assert mixer(**fields).state_elements(L) == kept


def test_filters_of_modes_keep_their_states() -> None:
    kernel = KernelSpec(parameterization=Modes(num_modes=1), decay=PerMode())
    assert mixer(kernel=kernel, order=3).state_elements(L) == 2 * 2 * D + 2 * 4 * D
