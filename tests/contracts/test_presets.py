"""The standard battery of correctness, on every preset there is.

A view of the registry: a new preset is tested here the moment it exists. What each mixer owes by
itself (shapes, causality, batches, meta tensors) is in test_mixers.py.

Axes: B batch, L length, D width, C filters per feature.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.func import functional_call

from zoo.draws import Draws
from zoo.kernel import Kernel
from zoo.measure import effective_length, fitted_decay, norms
from zoo.mixers import LayerContext, LongConv, SequenceMixer
from zoo.mixers.long_conv import Convolution
from zoo.model import Model, ModelSpec
from zoo.presets import names, preset
from zoo.properties import OFF, NoGating, Taps
from zoo.properties.gating import Multiplicative
from zoo.spec import Context, import_components, replace_all

import_components("zoo")
WIDTH, LENGTH, TOKENS = 8, 33, 11
NAMES = names()
MIXERS: dict[str, SequenceMixer] = {
    f"{name} {i}": mixer for name in NAMES for i, mixer in enumerate(preset(name).mixers)
}
CONVOLUTIONS: dict[str, LongConv] = {n: m for n, m in MIXERS.items() if isinstance(m, LongConv)}
# Numbers of a kernel for each feature when the length doubles from 256; others have a fixed number.
GROWTH = {"dense": "linear", "butterfly": "linear", "multiscale": "logarithmic"}


def small(name: str) -> ModelSpec:
    """The preset, with each of its mixers once and few features."""
    value = preset(name)
    return value.model_copy(update={"width": WIDTH, "depth": len(value.mixers)})


def built(name: str, *, length: int = LENGTH, seed: int = 0, head: str = "token") -> Model:
    context = Context(num_inputs=TOKENS, num_outputs=5, length=length, head=head)
    return small(name).build(context, seed)


def tokens(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(TOKENS, shape, generator=torch.Generator().manual_seed(seed))


def signal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer(length: int = LENGTH, width: int = 4) -> LayerContext:
    return LayerContext(width=width, length=length, draws=Draws(3, "battery"))


def silence(mixer: nn.Module) -> None:
    """Set all biases to 0, so that nothing comes of nothing."""
    with torch.no_grad():
        for name, parameter in mixer.named_parameters():
            if "bias" in name:
                parameter.zero_()


# 1 shapes and lengths


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [1, 2, 7, LENGTH])
def test_answers_at_any_length_up_to_the_one_it_was_built_for(name: str, length: int) -> None:
    model = built(name).eval()
    y = model(tokens(2, length))
    assert y.shape == (2, length, 5)
    assert y.dtype == torch.float32
    assert y.isfinite().all()
    torch.testing.assert_close(model(tokens(2, length)[:1]), y[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [1, 2, 5])
def test_is_built_for_any_length(name: str, length: int) -> None:
    assert built(name, length=length)(tokens(2, length)).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_longer_sequence_than_it_was_built_for_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"length {LENGTH + 1} is above {LENGTH}"):
        built(name)(tokens(1, LENGTH + 1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("head", ["last", "mean"])
def test_padding_of_a_shorter_sequence_does_not_matter(name: str, head: str) -> None:
    """With suffix padding, whatever is written there; also for kernels that look ahead."""
    model, short = built(name, head=head).double().eval(), torch.tensor([20, LENGTH])
    x = tokens(2, LENGTH)
    other = x.clone()
    other[0, 20:] = 3
    a, b = model(x, lengths=short), model(other, lengths=short)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-11)
    torch.testing.assert_close(model(x[:1, :20], lengths=short[:1]), a[:1], rtol=0, atol=1e-11)


# 3 and 4 time-invariance, linearity and degree


def is_convolution(mixer: nn.Module) -> bool:
    return any(isinstance(m, Kernel) for m in mixer.modules())


@pytest.mark.parametrize("name", MIXERS)
def test_a_later_input_gives_the_same_later(name: str) -> None:
    """f(shift u) = shift f(u): gates break linearity, not this. Attention and the like apart."""
    mixer = MIXERS[name].build(layer()).double().eval()
    if not is_convolution(mixer):
        pytest.skip("no kernel: not a function of lags alone")
    silence(mixer)
    u = torch.zeros(1, LENGTH, 4, dtype=torch.float64)
    u[:, 5:12] = signal(1, 7, 4)
    later = mixer(u.roll(9, 1))[:, 9:]
    torch.testing.assert_close(later, mixer(u)[:, :-9], rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_without_gate_and_activation_it_is_linear(name: str) -> None:
    spec = CONVOLUTIONS[name].model_copy(update={"gating": NoGating(), "activation": "none"})
    mixer = spec.build(layer()).double().eval()
    silence(mixer)
    u, v = signal(2, 1, LENGTH, 4)
    torch.testing.assert_close(
        mixer(2 * u - 3 * v), 2 * mixer(u) - 3 * mixer(v), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_between_two_products_it_is_cubic(name: str) -> None:
    spec = CONVOLUTIONS[name].model_copy(
        update={"gating": Multiplicative(short=3), "activation": "none"}
    )
    mixer = spec.build(layer()).double().eval()
    silence(mixer)
    u = signal(1, LENGTH, 4)
    y = mixer(u)
    assert float(y.abs().max().detach()) > 0
    torch.testing.assert_close(mixer(2 * u), 8 * y, rtol=1e-10, atol=1e-12)


# 5 what comes of an impulse


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("place", [0, 10, LENGTH - 1])
def test_an_impulse_gives_the_kernel(name: str, place: int) -> None:
    """Forward from the impulse on; backward up to the step before it."""
    spec = CONVOLUTIONS[name].model_copy(update={"activation": "none", "skip": "none"})
    mixer = spec.build(layer()).double().eval()
    assert isinstance(mixer, Convolution)
    k = mixer.kernel().detach()
    x = torch.zeros(1, 4, LENGTH, dtype=torch.float64)
    x[..., place] = 1
    y = mixer.convolve(x, kernel=k)[0].detach()
    wanted, whole = torch.zeros_like(y), nn.functional.pad(k, (0, LENGTH - k.shape[1]))
    forward, backward = whole.chunk(2) if spec.direction == "two_sided" else (whole, 0 * whole)
    wanted[:, place:] = forward[:, : LENGTH - place]
    wanted[:, :place] = backward[:, :place].flip(-1)
    torch.testing.assert_close(y, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MIXERS)
def test_step_by_step_is_the_same_as_at_once(name: str) -> None:
    """Each step's answer from the inputs so far: what generation sees."""
    mixer = MIXERS[name].build(layer(length=12)).double().eval()
    if not mixer.causal:
        pytest.skip("sees both ways: nothing is generated with it")
    u = signal(1, 12, 4)
    steps = torch.cat([mixer(u[:, : t + 1])[:, -1:] for t in range(12)], 1)
    torch.testing.assert_close(steps, mixer(u), rtol=0, atol=1e-11)


# 6 numbers of parameters


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_kernel_grows_with_the_length_as_its_parameterization_says(name: str) -> None:
    spec = CONVOLUTIONS[name]
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in spec.build(layer(length=n)).kernel.parameters())
            for n in (256, 512, 1024)
        ]
    kernels = spec.channels * 4 * (2 if spec.direction == "two_sided" else 1)
    kind = spec.kernel.parameterization.kind or ""
    steps = [b - a for a, b in pairwise(counts)]
    if isinstance(spec.kernel.length, Taps):
        assert steps == [0, 0]
    elif GROWTH.get(kind) == "linear":
        # A little more where the factors of a longer transform come to it.
        assert steps == pytest.approx([256 * kernels, 512 * kernels], rel=0.05)
        assert kind != "dense" or steps == [256 * kernels, 512 * kernels]
    elif GROWTH.get(kind) == "logarithmic":
        assert steps == [kernels * spec.kernel.parameterization.size] * 2
    else:
        assert steps == [0, 0]


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_counts_once_and_is_trained(name: str) -> None:
    model = built(name)
    assert model.num_parameters() == sum({id(p): p.numel() for p in model.parameters()}.values())
    model(tokens(4, LENGTH)).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


# 7 gradients


@pytest.mark.parametrize("name", MIXERS)
def test_gradients_are_those_of_the_formula(name: str) -> None:
    mixer = MIXERS[name].build(layer(length=16)).double().eval()
    keys = [key for key, _ in mixer.named_parameters()]
    values = [p.detach().requires_grad_() for p in mixer.parameters()]

    def run(u: Tensor, *args: Tensor) -> Tensor:
        return functional_call(mixer, dict(zip(keys, args, strict=True)), (u,))

    u = signal(1, 16, 4).requires_grad_()
    assert torch.autograd.gradcheck(run, (u, *values), fast_mode=True)


# 8 saved and loaded


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_it_answers_the_same(name: str) -> None:
    old, new, x = built(name).eval(), built(name, seed=1).eval(), tokens(2, LENGTH)
    with torch.no_grad():
        for parameter in old.parameters():
            parameter.mul_(1.1)  # trained: a gain made anew would be another
    assert not torch.equal(old(x), new(x))
    new.load_state_dict(load(save(old.state_dict())), strict=True)
    assert torch.equal(old(x), new(x))


# 9 training and answering


@pytest.mark.parametrize("name", NAMES)
def test_training_differs_from_answering_by_dropout_alone(name: str) -> None:
    model, x = built(name), tokens(2, LENGTH)
    answer = model.eval()(x)
    model.train()
    drops = [m for m in model.modules() if isinstance(m, nn.Dropout) and m.p > 0]
    assert torch.equal(model(x), answer) == (not drops)
    for module in drops:
        module.p = 0.0
    assert torch.equal(model(x), answer)


# 10 what the initial kernels are like


@pytest.mark.parametrize("name", NAMES)
def test_initial_kernels_are_finite_alive_and_measurable(name: str) -> None:
    for path, k in built(name, length=256).kernels().items():
        assert k.isfinite().all(), path
        assert float(norms(k)["l2"].max()) > 1e-3, path
        lengths = effective_length(k)
        assert float(lengths.max()) >= 1, path
        assert float(lengths.max()) <= k.shape[-1], path
        if k.shape[-1] > 4:
            assert not fitted_decay(k)["decay_exponent"].isnan().all(), path


# and what the framework is for


@pytest.mark.parametrize("field", OFF)
@pytest.mark.parametrize("name", NAMES)
def test_every_property_can_be_switched_off(name: str, field: str) -> None:
    """Either there was nothing to switch, or the arm runs and learns from its loss."""
    off = replace_all(small(name), field, OFF[field])
    model = off.build(Context(num_inputs=TOKENS, num_outputs=5, length=LENGTH))
    model(tokens(2, LENGTH)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert replace_all(off, field, OFF[field]) == off  # off is off
