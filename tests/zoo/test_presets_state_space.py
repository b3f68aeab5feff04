"""The correctness battery of a layer, on each state-space preset (the rest is in contracts).

Axes: B batch, L length, D width.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from zoo.draws import Draws
from zoo.measure import effective_length, fitted_decay
from zoo.mixers import LayerContext, LongConv
from zoo.mixers.long_conv import Convolution
from zoo.presets import preset
from zoo.properties import NoGating
from zoo.spec import Context, replace_all

# Numbers of the kernel per feature: dt, rate, omega, c; B and P of S4.
KERNEL = {
    "s4": 1 + 32 + 32 + 3 * 64,
    "s4-fout": 1 + 32 + 32 + 3 * 64,
    "s4d": 1 + 32 + 32 + 64,
    "s4d-inv": 1 + 32 + 32 + 64,
    "s4d-real": 1 + 64 + 64,
    "dss": 1 + 64 + 64 + 128,
    "ema": 4 * 16,
}
NAMES = list(KERNEL)


def layer(name: str, *, width: int = 3, length: int = 16, **fields: object) -> Convolution:
    spec = preset(name).mixers[0].model_copy(update=fields)
    built = spec.build(LayerContext(width=width, length=length, draws=Draws(7, "battery")))
    assert isinstance(built, Convolution)
    return built.double()


def bare(name: str, length: int) -> Convolution:
    """The layer without skip, activation and gate: its kernel alone."""
    mixer = layer(name, length=length, skip="none", activation="none", gating=NoGating())
    with torch.no_grad():
        mixer.gate.get_parameter("output.weight").copy_(torch.eye(3))
        mixer.gate.get_parameter("output.bias").zero_()
    return mixer


def signal(*shape: int) -> Tensor:
    return Draws(8).normal("u", *shape).double()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [1, 2, 63])
def test_the_answer_to_an_impulse_is_the_kernel(name: str, length: int) -> None:
    mixer, impulse = bare(name, length), torch.zeros(1, length, 3, dtype=torch.float64)
    impulse[:, 0] = 1
    torch.testing.assert_close(mixer(impulse)[0].mT, mixer.kernel(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_without_gate_and_activation_it_is_linear_and_knows_no_time(name: str) -> None:
    mixer, u, v = bare(name, 40), signal(2, 40, 3), signal(2, 40, 3).flip(1)
    scale = float(mixer(u).detach().abs().max())
    gap = mixer(2 * u - 3 * v) - (2 * mixer(u) - 3 * mixer(v))
    assert gap.abs().max() < 1e-12 * scale
    late = torch.nn.functional.pad(u[:, :30], (0, 0, 10, 0))
    assert (mixer(late)[:, 10:] - mixer(u)[:, :30]).abs().max() < 1e-12 * scale


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name: str) -> None:
    spec = replace_all(preset(name), "num_modes", 2).mixers[0]
    mixer = spec.build(LayerContext(width=3, length=16, draws=Draws(7, "battery"))).double()
    names, values = zip(*mixer.named_parameters(), strict=True)
    u = signal(1, 16, 3).requires_grad_()

    def f(u: Tensor, *parameters: Tensor) -> Tensor:
        return functional_call(mixer, dict(zip(names, parameters, strict=True)), (u,))[:, ::5]

    assert torch.autograd.gradcheck(f, (u, *values), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [8, 200])
def test_parameters_in_closed_form(name: str, length: int) -> None:
    mixer = layer(name, width=5, length=length)
    projections = (1 if name in ("dss", "ema") else 2) * (5 * 5 + 5)
    assert sum(p.numel() for p in mixer.parameters()) == 5 * (KERNEL[name] + 1) + projections
    assert sum(p.numel() for p in mixer.kernel.parameters()) == 5 * KERNEL[name]


@pytest.mark.parametrize("name", NAMES)
def test_training_and_evaluation_are_the_same_function(name: str) -> None:
    mixer, u = layer(name), signal(2, 16, 3)
    assert torch.equal(mixer.train()(u), mixer.eval()(u))


@pytest.mark.parametrize("name", NAMES)
def test_autocast_leaves_the_kernel_alone(name: str) -> None:
    kernel = layer(name).float().kernel
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = kernel()
    assert inside.dtype == torch.float32
    assert torch.equal(inside, kernel())


@pytest.mark.parametrize("name", [n for n in NAMES if n != "ema"])
def test_steps_span_the_sequences_of_a_cpu(name: str) -> None:
    """dt in [.01, 1]: most energy within 256 steps, and a kernel that really falls there."""
    mixer = preset(name).mixers[0]
    assert isinstance(mixer, LongConv)
    length = mixer.kernel.length
    assert (length.time, length.dt_min, length.dt_max) == ("learned", 0.01, 1.0)
    model = preset(name).model_copy(update={"width": 128, "depth": 1})
    built = model.build(Context(num_inputs=2, num_outputs=2, length=256))
    (kernel,) = built.kernels().values()
    assert float(effective_length(kernel).median()) < 200
    assert float(fitted_decay(kernel)["decay_rate"].nanmedian()) > 0.003
