from __future__ import annotations

import math

import pytest
import torch

from zoo.draws import Draws, declare, declare_all
from zoo.grid import KernelContext
from zoo.kernel import KernelSpec


def test_a_value_is_a_function_of_seed_path_and_name():
    draws = Draws(3, "layer0")
    first = draws.normal("w", 4, 5)
    draws.uniform("other", 100)  # what is drawn in between does not matter
    assert torch.equal(first, Draws(3, "layer0").normal("w", 4, 5))
    for other in (
        Draws(4, "layer0").normal("w", 4, 5),
        Draws(3, "layer1").normal("w", 4, 5),
        Draws(3, "layer0").normal("v", 4, 5),
        Draws(3, "layer0").child("w").normal("", 4, 5),
    ):
        assert not torch.equal(first, other)


def test_children_are_paths():
    assert torch.equal(
        Draws(1).child("a").child("b").normal("w", 3), Draws(1, "/a/b").normal("w", 3)
    )


def test_streams_are_uncorrelated_and_have_the_declared_law():
    a, b = Draws(0).normal("a", 200_000, std=0.5), Draws(0).normal("b", 200_000, std=0.5)
    assert abs(float((a * b).mean())) < 4 * 0.25 / math.sqrt(200_000)
    assert float(a.std()) == pytest.approx(0.5, rel=0.01)
    u = Draws(0).uniform("u", 200_000, low=-1.0, high=3.0)
    assert float(u.min()) >= -1
    assert float(u.max()) < 3
    assert float(u.mean()) == pytest.approx(1.0, abs=0.02)
    assert float(u.std()) == pytest.approx(4 / math.sqrt(12), rel=0.01)


def test_the_global_generator_is_not_touched():
    before = torch.random.get_rng_state()
    draws = Draws(0)
    draws.normal("a", 3)
    draws.uniform("b", 3, low=0, high=1)
    draws.linear("c", 4, 5)
    draws.embedding("d", 4, 5)
    assert torch.equal(before, torch.random.get_rng_state())


def test_linear_follows_pytorch_or_the_given_deviation():
    layer = Draws(0).linear("x", 400, 300)
    bound = 1 / math.sqrt(400)
    for values in (layer.weight.detach(), layer.bias.detach()):
        assert float(values.abs().max()) <= bound
        assert float(values.std()) == pytest.approx(bound / math.sqrt(3), rel=0.1)
    named = Draws(0).linear("x", 400, 300, std=0.02)
    assert float(named.weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert torch.equal(named.bias, torch.zeros(300))
    assert Draws(0).linear("x", 4, 3, bias=False).bias is None
    assert layer(torch.ones(2, 400)).shape == (2, 300)


def test_a_bias_does_not_move_the_weight():
    with_bias, without = Draws(0).linear("x", 4, 3), Draws(0).linear("x", 4, 3, bias=False)
    assert torch.equal(with_bias.weight, without.weight)


def test_embedding():
    table = Draws(0).embedding("e", 1000, 16, std=0.05)
    assert float(table.weight.detach().std()) == pytest.approx(0.05, rel=0.03)
    assert table(torch.tensor([[1, 2]])).shape == (1, 2, 16)


def test_meta_has_shapes_and_no_numbers():
    with torch.device("meta"):
        layer = Draws(0).linear("x", 4, 3)
        table = Draws(0).embedding("e", 5, 2)
        tensors = [layer.weight, layer.bias, table.weight, Draws(0).normal("n", 2, 3)]
    assert [t.device.type for t in tensors] == ["meta"] * 4
    assert [tuple(t.shape) for t in tensors] == [(3, 4), (3,), (5, 2), (2, 3)]


def test_declared_parameters_carry_their_rate_and_zero_decay_mark():
    parameter = declare(torch.nn.Parameter(torch.ones(2)), 1e-3)
    assert parameter.kernel_lr == 1e-3
    layer = declare_all(torch.nn.Linear(2, 2), None)
    assert [p.kernel_lr for p in layer.parameters()] == [None, None]
    assert layer.double().weight.kernel_lr is None


@pytest.mark.parametrize("change", ["decay", "smoothness", "regularization", "gain", "length"])
def test_one_part_of_a_kernel_does_not_move_anothers_initial_values(change):
    plain = {"parameterization": "modes", "decay": {"kind": "power-law", "learned": True}}
    other = {
        "decay": "per-mode",
        "smoothness": "moving-average",
        "regularization": ["squash", "none"],
        "gain": "init",
        "length": {"kind": "taps", "time": "learned"},
    }[change]
    context = KernelContext(6, 20, Draws(5, "layer"))
    a = KernelSpec(**plain).build(context)
    b = KernelSpec(**{**plain, change: other}).build(context)
    for name, value in a.atoms.state_dict().items():
        assert torch.equal(value, b.atoms.state_dict()[name]), name
    if change != "decay":
        assert torch.equal(a.window.exponent, b.window.exponent)
