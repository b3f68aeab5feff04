"""Composition: the order of the parts, the neutral elements, what survives a round trip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.func import functional_call

from zoo.draws import Draws
from zoo.grid import FlatWindow, Grid, KernelContext
from zoo.kernel import KernelSpec
from zoo.parameterizations import Butterfly, Dense, Implicit, Modes, Multiscale
from zoo.properties import (
    ALIASES,
    OFF,
    Exponential,
    Full,
    InitGain,
    MovingAverage,
    NoDecay,
    PerMode,
    PerScale,
    PowerLaw,
    RawGain,
    Squash,
    Taps,
)
from zoo.spec import Spec, explain, replace_all


def context(channels: int = 4, length: int = 33, seed: int = 0, **rest) -> KernelContext:
    return KernelContext(channels, length, Draws(seed, "test"), **rest)


SMALL = {
    "dense": Dense(),
    "geometric": Dense(init="geometric"),
    "multiscale": Multiscale(size=4),
    "nearest": Multiscale(size=3, interpolation="nearest", init_scale=1),
    "cubic": Multiscale(size=4, interpolation="cubic", init="cosine"),
    "summed": Multiscale(size=4, layout="summed"),
    "butterfly": Butterfly(std=0.5, noise=0.1),
    "implicit": Implicit(features=3, width=4, depth=1),
    "modes": Modes(num_modes=5),
    "zoh-real": Modes(num_modes=5, spectrum="real"),
    "ema": Modes(num_modes=5, spectrum="real", hold="none", coefficients="ema"),
}


def test_order_smooth_then_regularize_then_cut_then_gain():
    spec = KernelSpec(
        parameterization=Dense(std=1.0),
        decay=PowerLaw(exponent=0.5),
        smoothness=MovingAverage(radius=2),
        regularization=(Squash(threshold=0.1), Squash(threshold=0.05)),
        length=Taps(taps=9),
        gain=RawGain(),
    )
    kernel = spec.build(context(3, 21))
    whole = KernelSpec(parameterization=Dense(std=1.0)).build(context(3, 21))
    w = whole.atoms.taps.detach().double().numpy()
    assert np.array_equal(kernel.atoms.taps.detach().numpy(), w[:, :11].astype(np.float32))
    k = w / (1 + np.arange(21)) ** 0.5
    k = np.stack([np.convolve(row, np.full(5, 0.2), "same") for row in k])
    for threshold in (0.1, 0.05):
        k = np.sign(k) * np.maximum(np.abs(k) - threshold, 0)
    expected = (k / np.linalg.norm(k, axis=1, keepdims=True))[:, :9]
    np.testing.assert_allclose(kernel().detach().numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_a_window_multiplies_the_sum_of_the_atoms(name):
    """k = sum_n window_n atom_n, on every way a class may shorten it."""
    kernel = KernelSpec(parameterization=SMALL[name], decay=PerScale(size=5)).build(context())
    kernel = kernel.double()
    grid = kernel.times(33)
    atoms = kernel.atoms.atoms(grid, kernel.window)
    assert atoms.shape == (4, kernel.atoms.num_atoms, 33)
    expected = (kernel.window(grid) * atoms).sum(1)
    torch.testing.assert_close(kernel(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("decay", [NoDecay(), Exponential(), PerScale(), PowerLaw(learned=True)])
@pytest.mark.parametrize("name", [n for n in SMALL if n not in ("dense", "geometric")])
def test_parameterization_off_is_the_same_function_at_step_0(name, decay):
    spec = KernelSpec(
        parameterization=SMALL[name],
        decay=decay,
        smoothness=MovingAverage(radius=1),
        regularization=Squash(threshold=1e-5),
        length=Taps(taps=20, time="learned"),
        gain=RawGain(),
    )
    off = replace_all(spec, "parameterization", OFF["parameterization"])
    assert off != spec
    base, arm = spec.build(context()), off.build(context())
    torch.testing.assert_close(arm(), base(), rtol=1e-6, atol=1e-7)
    assert arm.atoms.taps.shape == (4, 21)  # what 20 taps and the smoothing's radius show
    assert arm.atoms.taps.requires_grad


@pytest.mark.parametrize("time", ["step", "sequence", "learned"])
@pytest.mark.parametrize("gain", [InitGain(), RawGain()])
@pytest.mark.parametrize("name", ["modes", "zoh-real", "ema"])
def test_parameterization_off_with_the_decay_in_the_poles(name, time, gain):
    """The taps start at the damped samples, and the poles' window is not applied again."""
    spec = KernelSpec(
        parameterization=SMALL[name],
        decay=PerMode(init="linear"),
        length=Full(time=time),
        gain=gain,
    )
    off = replace_all(spec, "parameterization", OFF["parameterization"])
    assert off.decay == spec.decay
    base, arm = spec.build(context()), off.build(context())
    torch.testing.assert_close(arm(), base(), rtol=1e-6, atol=1e-7)
    assert [n for n, _ in arm.named_parameters()] == ["atoms.taps"]
    undamped = replace_all(off, "decay", OFF["decay"]).build(context())
    both = replace_all(spec, "decay", OFF["decay"])
    both = replace_all(both, "parameterization", OFF["parameterization"]).build(context())
    assert torch.equal(undamped(), both())  # in either order
    assert not torch.allclose(undamped(), arm(), rtol=0.01)


def test_parameterization_off_keeps_the_scale_of_per_scale_decay():
    spec = KernelSpec(parameterization=Multiscale(size=4, init_scale=1), decay=PerScale())
    off = replace_all(spec, "parameterization", OFF["parameterization"])
    assert off.build(context()).window.size == 8


def test_parameterization_off_twice_and_over_dense_changes_nothing():
    once = replace_all(KernelSpec(parameterization="modes"), *_off("parameterization"))
    assert replace_all(once, *_off("parameterization")) == once
    dense = KernelSpec(parameterization=Dense(init="geometric"))
    assert replace_all(dense, *_off("parameterization")) == dense
    assert ALIASES["sublinearity"] == "parameterization"


def _off(field: str) -> tuple[str, Spec]:
    return field, OFF[field]


@pytest.mark.parametrize("name", SMALL)
def test_length_off_keeps_the_first_taps_of_the_same_kernel(name):
    spec = KernelSpec(parameterization=SMALL[name], decay=PowerLaw(), length=Full(time="learned"))
    off = replace_all(spec, "length", OFF["length"])
    assert off.length.time == "learned"
    long, short = spec.build(context()), off.build(context())
    assert short.taps == 4
    # Modes are summed in blocks, and blocks of another length round otherwise.
    torch.testing.assert_close(short(), long()[:, :4], rtol=1e-6, atol=1e-8)


def test_taps_are_at_most_the_length():
    kernel = KernelSpec(length=Taps(taps=50)).build(context(2, 7))
    assert kernel.taps == 7
    assert kernel().shape == (2, 7)


@pytest.mark.parametrize("length", [1, 2, 3, 17, 64])
@pytest.mark.parametrize("name", SMALL)
def test_every_length_builds_with_finite_gradients(name, length):
    spec = KernelSpec(
        parameterization=SMALL[name],
        decay=PerMode() if SMALL[name].has_poles else Exponential(learned=True),
        length=Full(time="learned"),
        gain=InitGain(),
    )
    kernel = spec.build(context(3, length))
    k = kernel()
    assert k.shape == (3, length)
    (k * torch.linspace(1, 2, length)).sum().backward()
    for parameter_name, parameter in kernel.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.parametrize("name", SMALL)
def test_gradients_are_those_of_the_formula(name):
    """gradcheck in double over every trainable parameter, window and time step included."""
    spec = KernelSpec(
        parameterization=SMALL[name],
        decay=PerMode() if SMALL[name].has_poles else PowerLaw(learned=True),
        smoothness=MovingAverage(radius=1),
        length=Taps(taps=6, time="learned", dt_min=0.1, dt_max=0.5),
        gain=RawGain(),
    )
    kernel = spec.build(context(2, 7)).double()
    names = [n for n, _ in kernel.named_parameters()]
    values = [p.detach().requires_grad_() for p in kernel.parameters()]

    def sample(*args):
        return functional_call(kernel, dict(zip(names, args, strict=True)), ())

    assert torch.autograd.gradcheck(sample, values)


@pytest.mark.parametrize("name", SMALL)
def test_round_trip_through_a_state_dict(name):
    spec = KernelSpec(
        parameterization=SMALL[name],
        decay=PerMode(init="ema") if SMALL[name].has_poles else PowerLaw(learned=True),
        length=Full(time="learned"),
        gain=InitGain(),
    )
    kernel = spec.build(context(seed=1))
    with torch.no_grad():
        for parameter in kernel.parameters():
            parameter.mul_(1.1)  # trained: the gain is not that of these values
    other = spec.build(context(seed=2))
    assert not torch.allclose(other(), kernel())
    other.load_state_dict(kernel.state_dict())
    assert torch.equal(other(), kernel())


@pytest.mark.parametrize("name", SMALL)
def test_meta_builds_the_same_shapes(name):
    spec = KernelSpec(
        parameterization=SMALL[name],
        decay=PerMode(init="ema") if SMALL[name].has_poles else Exponential(learned=True),
        smoothness=MovingAverage(),
        regularization=Squash(),
        length=Taps(taps=5, time="learned"),
        gain=RawGain(),
    )
    real = spec.build(context())
    off = replace_all(spec, "parameterization", OFF["parameterization"])
    with torch.device("meta"):
        meta = spec.build(context())
        assert off.build(context())().shape == (4, 5)
        assert meta().shape == (4, 5)
    for (a, x), (b, y) in zip(real.state_dict().items(), meta.state_dict().items(), strict=True):
        assert (a, x.shape) == (b, y.shape)
        assert y.device.type == "meta"


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_is_declared(name):
    """The mark that sets weight decay to 0; the own rate where the spec gives one."""
    decay = PerMode(kernel_lr=5e-4) if SMALL[name].has_poles else PowerLaw(learned=True)
    kernel = KernelSpec(
        parameterization=SMALL[name], decay=decay, length=Full(time="learned", kernel_lr=2e-4)
    ).build(context())
    rates = {n: p.kernel_lr for n, p in kernel.named_parameters()}
    expected = {"times.log_dt": 2e-4, "window.log_rate": 5e-4, "window.exponent": 1e-3}
    for parameter, rate in rates.items():
        own = None if "coefficients" in parameter else 1e-3
        assert rate == expected.get(parameter, own), parameter


def test_a_step_that_nothing_reads_is_not_a_parameter():
    length = Full(time="learned")
    dense = KernelSpec(parameterization=Dense(), length=length).build(context())
    assert [n for n, _ in dense.named_parameters()] == ["atoms.taps"]
    assert "times.log_dt" in dense.state_dict()
    modes = KernelSpec(parameterization=Modes(), length=length).build(context())
    assert "times.log_dt" in dict(modes.named_parameters())


def test_autocast_leaves_the_kernel_in_full_precision():
    for name, parameterization in SMALL.items():
        kernel = KernelSpec(parameterization=parameterization).build(context())
        with torch.autocast("cpu", torch.bfloat16):
            inside = kernel()
        assert inside.dtype == torch.float32, name
        assert torch.equal(inside, kernel()), name


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"decay": "per-mode"}, ("per-mode", "dense", "modes")),
        ({"decay": "per-mode", "parameterization": "multiscale"}, ("multiscale",)),
        ({"decay": "per-mode", "parameterization": "implicit"}, ("implicit",)),
        ({"parameterization": Dense(init="baseline")}, ("baseline", "parameterization=off")),
        ({"decay": "exponentil"}, ("exponentil", "exponential")),
        ({"regularization": ["squash", "sqush"]}, ("regularization", "sqush")),
        ({"regularization": {"kind": "squash", "threshold": -1}}, ("threshold", "-1")),
        ({"length": {"kind": "taps", "taps": 0}}, ("length.taps", "0")),
        ({"length": {"kind": "full", "dt_min": 1.0}}, ("dt_min=1.0", "dt_max=0.1")),
        ({"decay": {"kind": "exponential", "fast": 2.0}}, ("fast=2.0", "slow=1.5")),
        ({"decay": {"kind": "power-law", "low": 2.0}}, ("low=2.0", "high=1.5")),
        ({"parameterization": {"kind": "implicit", "features": 4}}, ("features=4", "3 or 5")),
        ({"parameterization": {"kind": "modes", "coefficients": "ema"}}, ("spectrum=real",)),
        ({"parameterization": {"kind": "modes", "num_modes": 0}}, ("num_modes", "0")),
        ({"smoothness": {"kind": "moving-average", "radius": 0}}, ("radius", "0")),
    ],
)
def test_refusals_are_one_helpful_line(fields, words):
    with pytest.raises(ValidationError) as caught:
        KernelSpec(**fields)
    line = explain(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_a_spec_survives_json():
    spec = KernelSpec(
        parameterization=OFF["parameterization"].replacing(Modes(num_modes=3)),
        decay=PerMode(),
        regularization=(Squash(), Squash(threshold=0.1)),
        length=Taps(taps=3),
    )
    again = KernelSpec.model_validate_json(spec.canonical())
    assert again == spec
    assert hash(again) == hash(spec)


def test_graded_values_repeat_in_each_copy():
    """Two directions of three features have the same three rates each."""
    spec = KernelSpec(parameterization=Dense(std=0.0), decay=Exponential())
    one, two = spec.build(context(3)), spec.build(context(6, copies=2))
    assert torch.equal(two.window.rate, one.window.rate.repeat(2, 1))
    normal = KernelSpec(parameterization=Dense()).build(context(6, copies=2))
    shaped = KernelSpec(parameterization=Dense(init="geometric")).build(context(6, copies=2))
    envelope = shaped() / normal()
    torch.testing.assert_close(envelope[:3], envelope[3:])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"channels": 0}, "channels=0"),
        ({"length": 0}, "length=0"),
        ({"channels": 5, "copies": 2}, "channels=5"),
    ],
)
def test_impossible_contexts(fields, words):
    with pytest.raises(ValueError, match=words):
        context(**fields)


def test_grid_units():
    grid = Grid(torch.tensor([[0.5], [2.0]], dtype=torch.float64), 5, 9)
    np.testing.assert_array_equal(grid.index.numpy(), np.arange(5.0))
    np.testing.assert_array_equal(grid.t[1, 0].numpy(), 2 * np.arange(5.0))
    np.testing.assert_allclose(grid.fraction.numpy(), np.arange(5) / 8)
    assert FlatWindow()(grid).shape == (1, 1, 5)


@pytest.mark.parametrize("smoothness", ["none", MovingAverage(radius=2)])
@pytest.mark.parametrize("name", ["dense", "multiscale"])
def test_what_only_lost_taps_would_show_is_not_a_parameter(name, smoothness):
    """Every number of a cut kernel has a gradient, and one tap more has more numbers."""
    spec = KernelSpec(
        parameterization={"dense": Dense(std=1.0), "multiscale": Multiscale(size=4)}[name],
        smoothness=smoothness,
        length=Taps(taps=6),
    )
    kernel = spec.build(context(3, 33))
    kernel().square().sum().backward()
    counts = {n: p.numel() for n, p in kernel.named_parameters()}
    for n, parameter in kernel.named_parameters():
        touched = parameter.grad.flatten(1).abs().sum(0) if name == "dense" else parameter.grad
        assert touched.abs().sum() > 0, n
    reach = 6 + (0 if smoothness == "none" else 2)
    wanted = 3 * reach if name == "dense" else 3 * 4 * 2  # scales at 0..3 and 4..7
    assert sum(counts.values()) == wanted
    assert kernel().shape == (3, 6)
