"""RWKV-4: its sum, its recurrence, the ratio that it is, and numbers that would overflow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from zoo.conv import fft_conv
from zoo.draws import Draws
from zoo.mixers import LayerContext, Rwkv
from zoo.mixers.rwkv import TimeMix, wkv
from zoo.model import ModelSpec
from zoo.properties import OFF, Graded, NoDecay, PowerLaw
from zoo.properties.gating import Glu, Multiplicative, NoGating, Receptance
from zoo.spec import explain, replace_all

D, L = 6, 21


def mixer(*, index: int = 0, depth: int = 2, length: int = L, **fields: Any) -> TimeMix:
    layer = LayerContext(width=D, length=length, draws=Draws(7, "rwkv"), index=index, depth=depth)
    built = Rwkv.model_validate(fields).build(layer).double()
    assert isinstance(built, TimeMix)
    return built


def signal(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=stream, dtype=torch.float64)


def numbers(length: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keys, values, rates and bonus."""
    rate = torch.exp(-3 + 5 * torch.arange(D, dtype=torch.float64) / (D - 1))
    return signal(2, length, D, scale=scale), signal(2, length, D, seed=1), rate, signal(D, seed=2)


def by_sum(key: Tensor, value: Tensor, rate: Tensor, bonus: Tensor) -> Tensor:
    """The definition: every weight relative to the largest of its step."""
    out = torch.zeros_like(value)
    for t in range(key.shape[1]):
        i = torch.arange(t, dtype=key.dtype)
        past = key[:, :t] - (t - 1 - i)[:, None] * rate
        weight = torch.softmax(torch.cat([past, (bonus + key[:, t])[:, None]], 1), 1)
        out[:, t] = (weight * value[:, : t + 1]).sum(1)
    return out


def by_steps(key: Tensor, value: Tensor, rate: Tensor, bonus: Tensor) -> Tensor:
    """The stable recurrence: two sums over e^{exponent - p}, p the largest exponent so far."""
    a, b, p = torch.zeros_like(key[:, 0]), torch.zeros_like(key[:, 0]), key[:, 0] * 0 - 1e38
    out = []
    for t in range(key.shape[1]):
        k, v = key[:, t], value[:, t]
        q = torch.maximum(p, bonus + k)
        old, new = torch.exp(p - q), torch.exp(bonus + k - q)
        out.append((old * a + new * v) / (old * b + new))
        q = torch.maximum(p - rate, k)
        old, new = torch.exp(p - rate - q), torch.exp(k - q)
        a, b, p = old * a + new * v, old * b + new, q
    return torch.stack(out, 1)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 63, 100])
@pytest.mark.parametrize("scale", [1.0, 9.0, 80.0])
def test_is_its_sum_and_its_recurrence(length: int, scale: float) -> None:
    given = numbers(length, scale)
    y = wkv(*given)
    torch.testing.assert_close(y, by_sum(*given), rtol=0, atol=1e-12)
    torch.testing.assert_close(y, by_steps(*given), rtol=0, atol=1e-12)


def test_keys_of_any_size_are_finite_also_in_float32() -> None:
    key, value, rate, bonus = numbers(40)
    key = torch.where(key > 0, 80.0, -80.0)
    y = wkv(key.float(), value.float(), rate.float(), bonus.float())
    assert y.isfinite().all()
    torch.testing.assert_close(y.double(), by_sum(key, value, rate, bonus), rtol=0, atol=1e-5)
    huge = wkv(1e4 * key.float(), value.float(), rate.float(), bonus.float())
    assert huge.isfinite().all()
    assert huge.abs().max() <= value.abs().max() * (1 + 1e-6)


def ratio(key: Tensor, value: Tensor, rate: Tensor, bonus: Tensor) -> Tensor:
    """Two long convolutions with the kernel e^b, 1, e^{-w}, e^{-2w}, ..."""
    lag = torch.arange(key.shape[1] - 1, dtype=key.dtype)
    kernel = torch.cat([bonus.exp()[:, None], torch.exp(-rate[:, None] * lag)], 1)
    weight = key.exp().mT
    upper, lower = fft_conv(weight * value.mT, kernel), fft_conv(weight, kernel)
    return (upper / lower).mT


def test_is_the_ratio_of_two_convolutions() -> None:
    given = numbers(L)
    torch.testing.assert_close(wkv(*given), ratio(*given), rtol=0, atol=1e-11)


def test_the_ratio_itself_would_be_wrong_in_float32() -> None:
    """Which is why it is not computed so: rounding is relative to the largest key of the row."""
    given = numbers(200, 5.0)
    single = [x.float() for x in given]
    wanted = by_sum(*given)
    ours = (wkv(*single).double() - wanted).abs().max()
    naive = (ratio(*single).double() - wanted).abs().max()
    assert ours < 1e-5
    assert not naive < 100 * ours


@pytest.mark.parametrize("length", [1, 2, 7, 20])
def test_gradients_are_those_of_the_sum(length: int) -> None:
    given = [x.clone().requires_grad_() for x in numbers(length, 3.0)]
    direction = signal(2, length, D, seed=5)
    ours, wanted = (
        torch.autograd.grad((f(*given) * direction).sum(), given, materialize_grads=True)
        for f in (wkv, by_sum)
    )
    for one, other in zip(ours, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_one_step_is_its_value() -> None:
    key, value, rate, bonus = numbers(1, 80.0)
    torch.testing.assert_close(wkv(key, value, rate, bonus), value)


# The layer -----------------------------------------------------------------------------------


def shifted(x: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)


@pytest.mark.parametrize("decay", [Graded(), Graded(curve=1.0, learned=False), NoDecay()])
def test_layer_is_its_equation(decay: Any) -> None:
    m, u = mixer(decay=decay), signal(2, L, D)
    p = dict(m.named_parameters())
    x = {}
    for name in ("key", "value", "receptance"):
        mu = p[f"parts.{name}.mix"]
        mixed = mu * u + (1 - mu) * shifted(u)
        x[name] = mixed @ p[f"parts.{name}.project.weight"].T
    rate = m.window.rate[:, 0].expand(D)
    y = by_sum(x["key"], x["value"], rate, p["bonus"])
    wanted = (torch.sigmoid(x["receptance"]) * y) @ p["output.weight"].T
    torch.testing.assert_close(m(u), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("project", [True, False])
def test_gating_off_is_a_normalised_convolution(project: bool) -> None:
    """sigmoid(r) and e^k are gone: linear in u, with weights that sum to 1."""
    m, u = mixer(gating=NoGating(project=project)), signal(2, L, D)
    p = dict(m.named_parameters())
    names = {name.split(".")[1] for name in p if name.startswith("parts")}
    assert names == ({"value"} if project else set())
    value = u
    if project:
        mu = p["parts.value.mix"]
        value = (mu * u + (1 - mu) * shifted(u)) @ p["parts.value.project.weight"].T
    lag = torch.arange(L - 1, dtype=torch.float64)
    kernel = torch.cat([p["bonus"].exp()[:, None], torch.exp(-m.window.rate * lag)], 1)
    y = fft_conv(value.mT, kernel) / kernel.cumsum(1)
    torch.testing.assert_close(m(u), y.mT @ p["output.weight"].T, rtol=0, atol=1e-11)
    torch.testing.assert_close(m(-3 * u), -3 * m(u), rtol=0, atol=1e-11)


def test_off_keeps_what_is_no_product() -> None:
    off = replace_all(Rwkv(), "gating", OFF["gating"])
    assert off.gating == NoGating(project=True)
    old, new = mixer().state_dict(), mixer(gating=off.gating).state_dict()
    assert set(new) < set(old)
    for name, value in new.items():
        assert torch.equal(old[name], value)


def test_decay_off_is_a_mean_over_all_the_past() -> None:
    off = replace_all(Rwkv(), "decay", OFF["decay"])
    m, u = mixer(decay=off.decay, gating=NoGating()), signal(2, L, D)
    with torch.no_grad():
        m.bonus.zero_()
        m.output.weight.copy_(torch.eye(D))
    mean = u.cumsum(1) / torch.arange(1, L + 1, dtype=torch.float64)[:, None]
    torch.testing.assert_close(m(u), mean, rtol=0, atol=1e-12)
    assert "window.log_rate" not in dict(m.named_parameters())


@pytest.mark.parametrize(("index", "depth"), [(0, 1), (0, 3), (1, 3), (2, 3)])
def test_initial_values_are_those_of_the_layer(index: int, depth: int) -> None:
    m = mixer(index=index, depth=depth)
    h, late = np.arange(D), index / max(depth - 1, 1)
    left = 1 - index / depth
    wanted = {
        "window.log_rate": (-5 + 8 * (h / (D - 1)) ** (0.7 + 1.3 * late))[:, None],
        "bonus": math.log(0.3) + 0.5 * ((h + 1) % 3 - 1),
        "parts.key.mix": (h / D) ** left,
        "parts.value.mix": (h / D) ** left + 0.3 * late,
        "parts.receptance.mix": (h / D) ** (0.5 * left),
    }
    for name, value in wanted.items():
        found = m.get_parameter(name).detach().numpy()
        np.testing.assert_allclose(found, value, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"decay": PowerLaw()}, "decay=power-law is no recurrence"),
        ({"gating": Glu()}, "gating=glu: rwkv has gating=receptance or gating=off"),
        ({"gating": Multiplicative()}, "choose mixers=long-conv"),
        ({"gating": NoGating(short=3)}, "use gating.short=0"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Rwkv(**fields)
    said = explain(caught.value)
    assert words in said
    assert "\n" not in said


def test_its_gates_are_for_it_alone() -> None:
    spec = ModelSpec.model_validate({"mixers": [{"kind": "long-conv", "gating": "receptance"}]})
    assert spec.mixers[0] != Rwkv()
    with pytest.raises(ValueError, match=r"gating=receptance needs .* mixers=rwkv") as caught:
        Receptance().build(D, 1, Draws(0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("gating", "parameters", "kept"),
    [
        (Receptance(), 4 * D * D + 5 * D, 4 * D),
        (NoGating(project=True), 2 * D * D + 3 * D, 2 * D),
        (NoGating(), D * D + 2 * D, D),
    ],
)
def test_sizes(gating: Any, parameters: int, kept: int) -> None:
    m = mixer(gating=gating)
    assert sum(p.numel() for p in m.parameters()) == parameters
    assert m.state_elements(L) == m.state_elements(1000) == kept


def test_autocast_leaves_the_sums_in_single_precision() -> None:
    m, u = mixer().float(), signal(2, L, D).float()
    with torch.autocast("cpu", torch.bfloat16):
        y = m(30 * u)
    assert y.isfinite().all()
    torch.testing.assert_close(y.float(), m(30 * u), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("gating", [Receptance(), NoGating(project=True)])
def test_without_token_shift_a_step_is_its_own(gating: Any) -> None:
    m, u = mixer(gating=gating, token_shift=False), signal(2, L, D)
    assert not [name for name, _ in m.named_parameters() if "mix" in name]
    held = mixer(gating=gating)
    with torch.no_grad():
        for name, parameter in held.named_parameters():
            if name.endswith("mix"):
                parameter.fill_(1)
    torch.testing.assert_close(m(u), held(u), rtol=0, atol=1e-12)
    assert m.state_elements(L) == held.state_elements(L) - D
