"""H3: linear attention under a Toeplitz mask, its recurrence, its parts and their sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from zoo.draws import Draws
from zoo.kernel import KernelSpec
from zoo.mixers import H3, LayerContext, LongConv
from zoo.mixers.h3 import HungryHippo
from zoo.model import ModelSpec
from zoo.parameterizations import Dense, Modes, Shift
from zoo.parameterizations.modes import ModalAtoms
from zoo.properties import OFF, Full, Taps
from zoo.properties.decay import PerMode
from zoo.properties.gating import Multiplicative, NoGating
from zoo.spec import replace_all

D, L = 8, 19
MODES = KernelSpec(
    parameterization=Modes(num_modes=3), decay=PerMode(), length=Full(time="learned", dt_max=1.0)
)
SHIFT = KernelSpec(parameterization=Shift(num_states=5), length=Taps(taps=5))


def mixer(*, width: int = D, length: int = L, seed: int = 7, **fields: Any) -> HungryHippo:
    spec = H3.model_validate({"kernel": MODES, "key_kernel": SHIFT, **fields})
    built = spec.build(LayerContext(width=width, length=length, draws=Draws(seed, "h3"))).double()
    assert isinstance(built, HungryHippo)
    return built


def signal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def toeplitz(k: Tensor, skip: Tensor, length: int) -> Tensor:
    """T_k + skip I: (D, taps) to (D, L, L)."""
    steps = torch.arange(length)
    lag = steps[:, None] - steps
    k = torch.nn.functional.pad(k, (0, length - k.shape[1]))
    return torch.where(lag >= 0, k[:, lag.clamp(min=0)], 0.0) + skip[:, None, None] * torch.eye(
        length, dtype=k.dtype
    )


def keys(m: HungryHippo, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """v, k~ and q of (B, L, D), each by its own product."""
    p = dict(m.named_parameters())
    v, k, q = torch.einsum("bld,pd->blp", u, p["gate.inner.weight"]).split(D, -1)
    v, k, q = (x + b for x, b in zip((v, k, q), p["gate.inner.bias"].split(D), strict=True))
    assert m.key_kernel is not None
    shift = toeplitz(m.key_kernel(), m.key_skip, u.shape[1])
    return v, torch.einsum("dts,bsd->btd", shift, k), q


def output(m: HungryHippo, y: Tensor) -> Tensor:
    p = dict(m.gate.named_parameters())
    return torch.einsum("bld,pd->blp", y, p["output.weight"]) + p["output.bias"]


@pytest.mark.parametrize("head_dim", [1, 2, 8])
@pytest.mark.parametrize("length", [1, 2, L])
def test_is_linear_attention_under_a_toeplitz_mask(head_dim: int, length: int) -> None:
    """y = ((Q K^T) o T) V in every head: features of a head lie side by side."""
    m, u = mixer(head_dim=head_dim), signal(2, length, D)
    v, k, q = keys(m, u)
    mask = toeplitz(m.kernel()[:, :length], m.skip, length)
    parts = []
    for h in range(D // head_dim):
        here = slice(h * head_dim, (h + 1) * head_dim)
        scores = q[..., here] @ k[..., here].mT
        parts.append((scores * mask[h]) @ v[..., here])
    wanted = output(m, torch.cat(parts, -1))
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-11)


@pytest.mark.parametrize("head_dim", [1, 4])
def test_step_by_step_it_is_the_same(head_dim: int) -> None:
    """Five past keys a feature and the states of the diagonal model; y from the new state."""
    m, u = mixer(head_dim=head_dim), signal(2, L, D)
    assert isinstance(m.kernel.atoms, ModalAtoms)
    assert m.key_kernel is not None
    grid = m.kernel.times(L)
    weight, z = m.kernel.atoms.modes(grid, m.kernel.window)  # holds the 2 of 2 Re, B and step
    heads, p = D // head_dim, dict(m.gate.named_parameters())
    taps = m.key_kernel().flip(-1)
    past = torch.zeros(2, D, 5, dtype=torch.float64)
    state = torch.zeros(2, head_dim, head_dim, heads, z.shape[1], dtype=torch.complex128)
    out = []
    for t in range(L):
        v, k, q = (u[:, t] @ p["inner.weight"].T + p["inner.bias"]).split(D, -1)
        past = torch.cat([past[..., 1:], k[..., None]], -1)
        k = (past * taps).sum(-1) + m.key_skip * k
        v, k, q = (x.view(2, heads, head_dim).mT for x in (v, k, q))  # (B, e, H)
        kv = k[:, :, None] * v[:, None]
        state = torch.exp(z) * state + kv[..., None]
        s = (weight * state).sum(-1).real + m.skip * kv
        y = (q[:, :, None] * s).sum(1).mT.reshape(2, D)
        out.append(y @ p["output.weight"].T + p["output.bias"])
    torch.testing.assert_close(m(u), torch.stack(out, 1), rtol=0, atol=1e-11)


def test_a_kernel_of_ones_is_plain_linear_attention() -> None:
    spec = KernelSpec(parameterization=Dense(std=0.0))
    m, u = mixer(kernel=spec, head_dim=4), signal(2, L, D)
    with torch.no_grad():
        dict(m.kernel.named_parameters())["atoms.taps"].fill_(1)
        m.skip.zero_()
    v, k, q = (x.unflatten(-1, (2, 4)) for x in keys(m, u))
    past = torch.einsum("nlha,nlhb->nlhab", k, v).cumsum(1)
    wanted = torch.einsum("nlha,nlhab->nlhb", q, past).flatten(2)
    torch.testing.assert_close(m(u), output(m, wanted), rtol=0, atol=1e-11)


@pytest.mark.parametrize("head_dim", [1, 4])
@pytest.mark.parametrize(
    ("gating", "degree"), [("multiplicative", 3), ("none", 1), ("input", 2), ("output", 2)]
)
def test_degree_in_the_input(gating: str, degree: int, head_dim: int) -> None:
    m, u = mixer(gating={"kind": gating}, head_dim=head_dim), signal(2, L, D)
    with torch.no_grad():
        for name, parameter in m.gate.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    for scale in (0.3, -2.0):
        torch.testing.assert_close(m(scale * u), scale**degree * m(u), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("gating", ["input", "output"])
def test_gates_of_one_side_are_entry_by_entry(gating: str) -> None:
    m, u = mixer(gating={"kind": gating, "short": 0}, head_dim=4), signal(2, L, D)
    p = dict(m.gate.named_parameters())
    v, g = (u @ p["inner.weight"].T + p["inner.bias"]).split(D, -1)
    kernel = m.kernel().repeat_interleave(4, 0)
    middle = toeplitz(kernel, m.skip.repeat_interleave(4), L)
    if gating == "input":
        assert m.key_kernel is not None
        shift = toeplitz(m.key_kernel(), m.key_skip, L)
        v = torch.einsum("dts,bsd->btd", shift, g) * v
    y = torch.einsum("dts,bsd->btd", middle, v)
    wanted = output(m, g * y if gating == "output" else y)
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-11)


# Off -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("head_dim", [1, 4])
def test_gating_off_is_the_diagonal_model_alone(head_dim: int) -> None:
    on = H3(kernel=MODES, key_kernel=SHIFT, head_dim=head_dim)
    off = replace_all(on, "gating", OFF["gating"])
    assert off.gating == NoGating(project=True)
    m, u = mixer(gating=off.gating, head_dim=head_dim), signal(2, L, D)
    p = dict(m.named_parameters())
    assert not [name for name in p if "key" in name]
    v = u @ p["gate.inner.weight"].T + p["gate.inner.bias"]
    middle = toeplitz(
        m.kernel().repeat_interleave(head_dim, 0), m.skip.repeat_interleave(head_dim), L
    )
    wanted = output(m, torch.einsum("dts,bsd->btd", middle, v))
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-11)
    old = mixer(head_dim=head_dim).state_dict()
    for name, value in m.state_dict().items():
        kept = old[name][:D] if name.startswith("gate.inner") else old[name]
        assert torch.equal(kept, value)


def test_without_heads_gating_off_is_a_long_convolution() -> None:
    gating = NoGating(project=True)
    spec = LongConv(kernel=MODES, gating=gating, activation="none")
    plain = spec.build(LayerContext(width=D, length=L, draws=Draws(7, "h3"))).double()
    u = signal(2, L, D)
    assert torch.equal(mixer(gating=gating)(u), plain(u))


def test_key_kernel_off_weighs_each_key() -> None:
    spec = ModelSpec(mixers=(H3(),))
    off = replace_all(spec, "key_kernel", H3.off["key_kernel"])
    (h3,) = off.mixers
    assert isinstance(h3, H3)
    m, u = mixer(key_kernel=h3.key_kernel), signal(2, L, D)
    assert m.key_kernel is not None
    weight = m.key_kernel()[:, 0] + m.key_skip
    assert m.key_kernel().shape == (D, 1)
    v, k, q = keys(m, u)
    p = dict(m.gate.named_parameters())
    plain = (u @ p["inner.weight"].T + p["inner.bias"])[..., D : 2 * D]
    torch.testing.assert_close(k, weight * plain, rtol=0, atol=1e-12)
    middle = toeplitz(m.kernel(), m.skip, L)
    wanted = output(m, q * torch.einsum("dts,bsd->btd", middle, k * v))
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-11)


def test_properties_reach_both_kernels() -> None:
    spec = H3()
    assert H3.properties == ("key_kernel",)
    short = replace_all(spec, "length", OFF["length"])
    assert short.kernel.length.cut(64) == short.key_kernel.length.cut(64) == 4
    dense = replace_all(spec, "parameterization", OFF["parameterization"])
    for new, old in ((dense.kernel, spec.kernel), (dense.key_kernel, spec.key_kernel)):
        assert isinstance(new.parameterization, Dense)
        assert new.parameterization.baseline == old.parameterization
    flat = replace_all(spec, "decay", OFF["decay"])
    assert flat.kernel.decay == flat.key_kernel.decay == OFF["decay"]


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"head_dim=3 does not divide width=8") as caught:
        mixer(head_dim=3)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValidationError):
        H3(head_dim=0)


# Sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("head_dim", [1, 2])
def test_parameters(head_dim: int) -> None:
    """4 d^2 + 4 d, two vectors of 64 and a skip a feature; 4 N + 2 numbers a head."""
    spec = H3(head_dim=head_dim)
    with torch.device("meta"):
        m = spec.build(LayerContext(width=64, length=128, draws=Draws(0)))
    heads, modes = 64 // head_dim, 32
    own = (2 * 64 + 1) * 64 + (4 * modes + 2) * heads  # c complex, omega, rate; step and skip
    assert sum(p.numel() for p in m.parameters()) == 4 * 64**2 + 4 * 64 + own


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({}, 6 * D + 4 * D),  # 3 complex modes a feature, 4 past keys
        ({"head_dim": 4}, 4 * 6 * D + 4 * D),  # e^2 products a head
        ({"head_dim": 8}, 8 * 6 * D + 4 * D),
        ({"gating": "none"}, 6 * D),
        ({"gating": "none", "head_dim": 4}, 6 * D),
        ({"gating": Multiplicative(short=4)}, 6 * D + 4 * D + 3 * 3 * D),
        ({"kernel": KernelSpec()}, 99 * D + 4 * D),  # past k~ v
        ({"kernel": KernelSpec(), "head_dim": 4}, 2 * 99 * D + 4 * D),  # past k~ and v
    ],
)
def test_state_of_inference(fields: dict[str, Any], kept: int) -> None:
    assert mixer(length=100, **fields).state_elements(100) == kept


def test_the_state_is_never_more_than_the_past() -> None:
    m = mixer(length=100, head_dim=8)
    assert m.state_elements(1) == 0
    assert m.state_elements(3) == 2 * (2 * D) + 2 * D
