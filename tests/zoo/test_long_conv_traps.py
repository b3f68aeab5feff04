"""What goes wrong silently in long convolutions, one test for each: named after what it guards."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.draws import Draws
from zoo.grid import KernelContext
from zoo.kernel import KernelSpec
from zoo.mixers import LayerContext, LongConv
from zoo.mixers.long_conv import Convolution
from zoo.model import Model
from zoo.parameterizations import Butterfly, Dense, Implicit, Multiscale
from zoo.presets import names, preset
from zoo.properties import MovingAverage, NoGating, PerScale, RawGain, Squash
from zoo.properties.gating import Multiplicative
from zoo.spec import Context, replace_all

D, L = 3, 12
CONTEXT = KernelContext(32, 64, Draws(0))


def signal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def convolution(**fields) -> Convolution:
    """One layer without activation and skip: its gate is handed y = k * x."""
    kernel = fields.pop("kernel", KernelSpec(parameterization=Dense(std=1.0)))
    spec = LongConv.model_validate({"kernel": kernel, "activation": "none", "skip": "none"})
    spec = spec.model_copy(update=fields)
    built = spec.build(LayerContext(width=D, length=L, draws=Draws(5, "trap"))).double()
    assert isinstance(built, Convolution)
    return built


def response(mixer: Convolution, place: int, length: int = L) -> Tensor:
    """What an impulse at a place gives: (D, L)."""
    x = torch.zeros(1, D, length, dtype=torch.float64)
    x[..., place] = 1
    return mixer.convolve(x, kernel=mixer.kernel()[:, :length])[0].detach()


# 1


@pytest.mark.parametrize("length", [1, 2, 3, 7, L])
def test_the_last_product_does_not_wrap_onto_the_first_output(length: int) -> None:
    """n >= L + K - 1: at n = 2 L - 2 output 0 is wrong, at n = L all but the last are."""
    mixer = convolution()
    last = response(mixer, length - 1, length)
    assert float(last[:, :-1].abs().max()) < 1e-12 if length > 1 else True
    torch.testing.assert_close(last[:, -1], mixer.kernel()[:, 0].detach())


def test_a_causal_kernel_has_no_taps_for_the_future() -> None:
    """A kernel of 2 L taps under a transform of 2 L is two-sided whatever its comment says."""
    mixer = convolution()
    assert mixer.kernel().shape == (D, L)
    for place in range(L):
        assert float(response(mixer, place)[:, :place].abs().sum()) < 1e-11


# 2


def test_lag_zero_counts_once_and_the_first_backward_tap_is_lag_minus_one() -> None:
    mixer = convolution(direction="two_sided")
    forward, backward = mixer.kernel().detach().chunk(2)
    for place in (0, 5, L - 1):
        found = response(mixer, place)
        torch.testing.assert_close(found[:, place], forward[:, 0])  # not + backward[:, 0]
        torch.testing.assert_close(found[:, place:], forward[:, : L - place])
        torch.testing.assert_close(found[:, :place], backward[:, :place].flip(-1))


# 3


@pytest.mark.parametrize(("threshold", "std"), [(0.1, 0.002), (0.01, 0.002), (0.1, 0.02)])
def test_a_dead_kernel_is_refused_with_what_to_lower(threshold: float, std: float) -> None:
    """Upstream's class default .1 over taps of .002: D u for ever, as its gradient is 0."""
    spec = KernelSpec(parameterization=Dense(std=std), regularization=Squash(threshold=threshold))
    with pytest.raises(ValueError, match=r"lower threshold below 0\.0\d+, the size") as caught:
        spec.build(CONTEXT)
    assert "\n" not in str(caught.value)
    with torch.device("meta"):
        spec.build(CONTEXT)  # no numbers to look at


@pytest.mark.parametrize("threshold", [0.001, 0.002, 0.003, 0.004, 0.005])
def test_every_published_threshold_leaves_a_kernel_that_can_be_trained(threshold: float) -> None:
    kernel = KernelSpec(
        parameterization=Dense(std=0.002), regularization=Squash(threshold=threshold)
    ).build(KernelContext(64, 1000, Draws(0)))
    k = kernel()
    k.square().sum().backward()
    alive = kernel.atoms.taps.grad != 0
    assert torch.equal(alive, k != 0)
    assert torch.equal(alive, kernel.atoms.taps.detach().abs() > threshold)
    assert float(alive.double().mean()) > 0.01


def test_a_kernel_that_decays_is_not_dead() -> None:
    """Far taps below the threshold are a property of decay: near taps hold the energy."""
    KernelSpec(
        parameterization=Multiscale(), decay=PerScale(speed=2.0), regularization=Squash()
    ).build(KernelContext(32, 16384, Draws(0)))


# 8


def raw_sgconv() -> KernelSpec:
    return KernelSpec(
        parameterization=Multiscale(size=4), decay=PerScale(), gain=RawGain(), length="full"
    )


def test_sgconv_is_divided_by_the_norm_of_the_whole_kernel_before_the_cut() -> None:
    kernel = raw_sgconv().build(KernelContext(5, 50, Draws(0)))
    whole = kernel.sample(64).detach()  # 50 taps need 64
    expected = whole[:, :50] / whole.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(kernel().detach(), expected)
    assert float(kernel().detach().norm(dim=-1).max()) < 1


def test_sgconv_norm_is_set_when_built_and_not_when_first_used() -> None:
    kernel = raw_sgconv().build(KernelContext(5, 64, Draws(0)))
    with torch.no_grad():
        kernel.atoms.weights.mul_(3)  # trained before any forward
    torch.testing.assert_close(kernel().detach().norm(dim=-1), torch.full((5,), 3.0))


def test_sgconv_norm_is_saved_and_not_trained() -> None:
    """A checkpoint without it would normalise trained weights anew."""
    kernel = raw_sgconv().build(KernelContext(5, 64, Draws(0)))
    assert "gain.norm" in kernel.state_dict()
    assert "gain.norm" not in dict(kernel.named_parameters())
    with torch.no_grad():
        kernel.atoms.weights.mul_(3)
    other = raw_sgconv().build(KernelContext(5, 64, Draws(1)))
    other.load_state_dict(kernel.state_dict())
    assert torch.equal(other(), kernel())


# 11


def test_a_butterfly_has_room_for_twice_the_length_and_what_lies_beyond_is_cut() -> None:
    atoms = Butterfly(noise=0.5).build(KernelContext(2, 33, Draws(0)))
    assert math.prod(atoms.sizes) >= 2 * 33
    kernel = KernelSpec(parameterization=Butterfly(noise=0.5)).build(KernelContext(2, 33, Draws(0)))
    assert kernel().shape == (2, 33)


# 13


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", [n for n in names() if n.startswith(("sgconv", "long-conv"))])
def test_kernels_stay_in_full_precision_under_autocast(name: str, dtype: torch.dtype) -> None:
    mixer = preset(name).mixers[0].build(LayerContext(4, 40, Draws(0))).eval()
    assert isinstance(mixer, Convolution)
    with torch.autocast("cpu", dtype):
        inside = mixer.kernel()
    assert inside.dtype == torch.float32
    assert torch.equal(inside, mixer.kernel())


# 14


def test_smoothing_takes_from_the_first_taps_and_from_lag_zero_most() -> None:
    """p = 3: 4/7, 5/7, 6/7, 1. A bias against lag 0 that is part of the published method."""
    kernel = KernelSpec(parameterization=Dense(std=0.0), smoothness=MovingAverage(radius=3)).build(
        KernelContext(2, 20, Draws(0))
    )
    kernel.atoms.taps.data.fill_(1)
    k = kernel().detach()[0].double().numpy()
    np.testing.assert_allclose(k[:4], [4 / 7, 5 / 7, 6 / 7, 1], rtol=1e-6)
    np.testing.assert_allclose(k[-3:], [6 / 7, 5 / 7, 4 / 7], rtol=1e-6)


# 16


def test_the_last_tap_of_a_short_convolution_is_the_present() -> None:
    """As in every nn.Conv1d with padding K - 1, cut: y_t = sum_s w[K - 1 - s] x_{t - s}."""
    gate = Multiplicative(short=3).build(D, 1, Draws(0)).double()
    z = signal(2, L, D)
    own = gate.inner
    size = len(own.weight)
    conv = torch.nn.Conv1d(size, size, 3, groups=size, padding=2).double()
    conv.weight.data.copy_(own.taps.detach()[:, None])
    conv.bias.data.copy_(own.short_bias.detach())
    mixed = torch.nn.functional.linear(z, own.weight, own.bias)
    torch.testing.assert_close(torch.cat(own(z), 1), conv(mixed.mT)[..., :L])


def test_the_first_tap_of_a_long_convolution_is_the_present() -> None:
    """The other way round: a kernel is indexed by its lag."""
    mixer = convolution()
    torch.testing.assert_close(response(mixer, 0), mixer.kernel().detach())


# 18


@pytest.mark.parametrize("name", ["hyena", "sgconv-text", "long-conv-text", "base-conv-long"])
def test_a_model_leaves_a_kernels_initial_values_alone(name: str) -> None:
    """No initialisation of the whole model runs over the filters: each is as built by itself."""
    value = preset(name).model_copy(update={"width": 8, "depth": 1})
    context = Context(num_inputs=5, num_outputs=5, length=40)
    found = value.build(context, seed=3).blocks[0].mixer
    layer = LayerContext(8, 40, Draws(3, "model").child("block0").child("mixer"))
    alone = value.mixers[0].build(layer)
    for key, parameter in alone.named_parameters():
        assert torch.equal(parameter, found.get_parameter(key)), key


def test_the_initial_law_of_a_filter_network_is_its_own_choice() -> None:
    """lm: N(0, .02) as a language model would give it; torch: PyTorch's. Norms far apart."""
    norms = {
        init: KernelSpec(parameterization=Implicit(init=init))
        .build(KernelContext(32, 512, Draws(0)))()
        .detach()
        .norm(dim=-1)
        .median()
        .item()
        for init in ("lm", "torch")
    }
    assert norms["torch"] > 1.8 * norms["lm"] > 0


# 19


def rates(model: Model) -> dict[str, tuple[float, float]]:
    """The learning rate and weight decay of each parameter of the first mixer."""
    of = {
        id(p): (group["lr"], group["weight_decay"])
        for group in model.parameter_groups(lr=0.01, weight_decay=0.05)
        for p in group["params"]
    }
    return {name: of[id(p)] for name, p in model.blocks[0].mixer.named_parameters()}


def built(name: str) -> Model:
    value = preset(name).model_copy(update={"width": 8, "depth": 1})
    return value.build(Context(num_inputs=5, num_outputs=5, length=40))


def test_sgconv_inherits_the_weight_decay_where_upstream_does() -> None:
    found = rates(built("sgconv-text"))
    assert found["kernel.atoms.weights"] == (0.001, 0.05)
    assert found["gate.output.weight"] == (0.01, 0.05)
    assert found["skip"] == (0.01, 0.0)
    assert rates(built("sgconv"))["kernel.atoms.weights"] == (0.001, 0.0)


def test_long_conv_and_hyena_have_no_weight_decay_on_their_kernels() -> None:
    assert rates(built("long-conv-retrieval"))["kernel.atoms.taps"] == (1e-4, 0.0)
    assert {v for n, v in rates(built("hyena")).items() if "kernel" in n} == {(0.001, 0.0)}


@pytest.mark.parametrize("name", ["sgconv", "long-conv", "long-conv-butterfly", "hyena", "s4d"])
def test_weight_decay_of_a_kernel_is_one_switch_for_any(name: str) -> None:
    """And it says what it says of the atoms alone: windows and time steps keep none."""
    for word, decay in (("inherit", 0.05), ("none", 0.0)):
        value = replace_all(preset(name), "kernel_weight_decay", word)
        value = value.model_copy(update={"width": 8, "depth": 1})
        model = value.build(Context(num_inputs=5, num_outputs=5, length=40))
        for key, (_, found) in rates(model).items():
            if "kernel.atoms" in key and model.blocks[0].mixer.get_parameter(key).dim() > 1:
                assert found == decay, key
            elif "kernel" in key:
                assert found == 0.0, key


def test_a_switched_off_parameterization_keeps_the_weight_decay() -> None:
    off = Dense(init="baseline").replacing(Multiscale(kernel_weight_decay="inherit"))
    assert off.kernel_weight_decay == "inherit"
    value = replace_all(preset("sgconv-text"), "parameterization", Dense(init="baseline"))
    value = value.model_copy(update={"width": 8, "depth": 1})
    model = value.build(Context(num_inputs=5, num_outputs=5, length=40))
    assert rates(model)["kernel.atoms.taps"] == (0.001, 0.05)


def test_a_cut_kernel_keeps_the_weight_decay() -> None:
    value = replace_all(preset("sgconv-text"), "length", {"kind": "taps", "taps": 5})
    value = value.model_copy(update={"width": 8, "depth": 1})
    model = value.build(Context(num_inputs=5, num_outputs=5, length=40))
    assert rates(model)["kernel.atoms.weights"] == (0.001, 0.05)


# T2.2, beside the traps


def test_with_all_regularization_at_zero_it_is_the_plain_convolution() -> None:
    plain = convolution(gating=NoGating())
    zero = KernelSpec(
        parameterization=Dense(std=1.0),
        regularization=(Squash(threshold=0.0), {"kind": "kernel-dropout", "p": 0.0}),
    )
    other = convolution(gating=NoGating(), kernel=zero)
    u = signal(2, L, D)
    assert torch.equal(plain(u), other(u))
