"""Token by token: the outputs of the convolution, from a state that does not grow."""

from __future__ import annotations

import pytest
import torch

from zoo.conv import fft_conv
from zoo.draws import Draws
from zoo.generate import recurrence, run
from zoo.grid import KernelContext
from zoo.kernel import Kernel, KernelSpec
from zoo.mixers.long_conv import Convolution
from zoo.model import ModelSpec
from zoo.parameterizations import Dense, Dplr, Implicit, Modes
from zoo.presets import names, preset
from zoo.properties import (
    OFF,
    Exponential,
    Full,
    InitGain,
    MovingAverage,
    NoDecay,
    PerMode,
    Squash,
    Taps,
)
from zoo.spec import Context, replace_all

MODES = {
    "lin": Modes(num_modes=5),
    "inv": Modes(num_modes=5, spectrum="inv"),
    "legs": Modes(num_modes=5, spectrum="legs", coefficients="hippo"),
    "bilinear": Modes(num_modes=5, hold="bilinear"),
    "dss": Modes(num_modes=5, spectrum="legs", hold="softmax", coefficients="dss"),
    "real": Modes(num_modes=5, spectrum="real"),
    "ema": Modes(num_modes=5, spectrum="real", hold="none", coefficients="ema"),
    "s4": Dplr(num_modes=5),
    "s4-legt": Dplr(num_modes=5, hippo="legt"),
}


def build(taps: int = 40, **parts) -> Kernel:
    spec = KernelSpec(**{"length": Full(time="learned"), **parts})
    return spec.build(KernelContext(3, taps, Draws(5)))


def signal(length: int) -> torch.Tensor:
    return Draws(6).normal("u", 2, length, 3).double()


@pytest.mark.parametrize("decay", [PerMode(init="native"), NoDecay()])
@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("length", [1, 40])
def test_steps_are_the_convolution(name, decay, length):
    kernel = build(length, parameterization=MODES[name], decay=decay, gain=InitGain()).double()
    u = signal(length)
    step = recurrence(kernel)
    state, y = run(step, u)
    expected = fft_conv(u.mT, kernel()).mT
    scale = float(expected.detach().abs().max())
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-9 * scale)
    assert state.shape == (2, 3, 5)
    assert state.numel() * (2 if state.is_complex() else 1) == 2 * 3 * MODES[name].state_size


def test_a_run_goes_on_from_its_state():
    kernel = build(parameterization=Modes(num_modes=5), decay=PerMode()).double()
    u, step = signal(40), recurrence(kernel)
    _, whole = run(step, u)
    state, first = run(step, u[:, :17])
    _, second = run(step, u[:, 17:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-14)


def test_examples_have_states_of_their_own():
    kernel = build(parameterization=Dplr(num_modes=5), decay=PerMode()).double()
    u, step = signal(20), recurrence(kernel)
    torch.testing.assert_close(run(step, u[1:])[1], run(step, u)[1][1:], rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("parts", "use"),
    [
        ({"parameterization": Dense()}, "parameterization=modes or dplr"),
        ({"parameterization": Implicit(features=3, width=4)}, "parameterization=modes or dplr"),
        ({"parameterization": OFF["parameterization"].replacing(Modes())}, "modes or dplr"),
        ({"parameterization": Modes(), "decay": Exponential()}, "decay=per-mode or decay=off"),
        ({"parameterization": Modes(), "length": Taps(taps=3)}, "length=full"),
        ({"parameterization": Dplr(), "smoothness": MovingAverage()}, "smoothness=off"),
        ({"parameterization": Dplr(), "regularization": Squash()}, "regularization=off"),
    ],
)
def test_what_has_no_recurrence_says_what_to_use(parts, use):
    with pytest.raises(ValueError, match=use) as caught:
        recurrence(build(**parts))
    assert "\n" not in str(caught.value)


def mixer(spec: ModelSpec) -> Convolution:
    built = spec.build(Context(num_inputs=4, num_outputs=4, length=256)).blocks[0].mixer
    assert isinstance(built, Convolution)
    return built


@pytest.mark.parametrize("name", [n for n in names() if n.startswith(("s4", "dss", "ema"))])
def test_state_elements_are_those_of_the_recurrence(name):
    """Also with decay off; without a recurrence it is the past that is kept."""
    for spec in (preset(name), replace_all(preset(name), "decay", OFF["decay"])):
        built = mixer(spec)
        state = recurrence(built.kernel).start(1)
        numbers = state.numel() * (2 if state.is_complex() else 1)
        assert built.state_elements(256) == numbers + built.gate.state_elements()
        assert built.state_elements(3) == 2 * 32 + built.gate.state_elements()
    dense = mixer(replace_all(preset(name), "parameterization", OFF["parameterization"]))
    assert dense.state_elements(256) == 255 * 32 + dense.gate.state_elements()
