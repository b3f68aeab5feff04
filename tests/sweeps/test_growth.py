"""Parameters of kernels over length, beside whole models that are built at those lengths."""

from __future__ import annotations

from dataclasses import replace

import pytest

import zoo
from sweeps.compose import base_experiment, with_model
from sweeps.growth import kernel_parameters, parameters_by_length
from sweeps.plan import PlannedArm
from zoo.kernel import Kernel
from zoo.spec import replace_at


@pytest.mark.parametrize("name", ["all-on", "long-conv", "hyena", "s4d", "ema", "sgconv"])
def test_it_is_what_a_whole_model_of_that_length_has(name: str) -> None:
    experiment = base_experiment({"base": name})
    model = zoo.preset(name)
    for length in (16, 64):
        context = replace(experiment.task.context, length=length)
        built = model.build(context, seed=0)
        kernels = [module for module in built.modules() if isinstance(module, Kernel)]
        expected = sum(p.numel() for kernel in kernels for p in kernel.parameters())
        assert kernel_parameters(model, length) == expected > 0


def test_dense_kernels_grow_with_the_length_and_scales_with_its_logarithm() -> None:
    dense, scales = (parameters_by_length(zoo.preset(n), 64) for n in ("long-conv", "sgconv"))
    assert list(dense) == list(scales) == [32, 64, 128, 256, 512, 1024]
    assert all(dense[2 * n] == 2 * dense[n] for n in (32, 64, 128, 256, 512))
    steps = {scales[2 * n] - scales[n] for n in (32, 64, 128, 256, 512)}
    assert len(steps) == 1


def test_every_layer_counts() -> None:
    model = zoo.preset("all-on")
    assert model.depth == 2
    double = replace_at(model, "depth", 4)
    assert kernel_parameters(double, 64) == 2 * kernel_parameters(model, 64)


def test_a_model_without_kernels_has_none() -> None:
    assert parameters_by_length(zoo.preset("attention"), 64) == {}


@pytest.mark.slow  # what torch imports for its first operation on meta tensors
def test_large_ones_are_outlined() -> None:
    """2^30 numbers of a kernel would be 4 GiB."""
    wide = replace_at(zoo.preset("long-conv"), "width", 2**12)
    per_tap = kernel_parameters(wide, 64) // 64
    assert kernel_parameters(wide, 2**18) == 2**18 * per_tap


def test_the_plan_says_it() -> None:
    experiment = base_experiment({})
    entry = PlannedArm(name="baseline", experiment=experiment).to_dict()
    length = experiment.task.context.length
    assert entry["parameters_by_length"] == parameters_by_length(experiment.model, length)
    none = with_model(experiment, zoo.preset("attention"))
    assert PlannedArm(name="a", experiment=none).to_dict()["parameters_by_length"] == {}
