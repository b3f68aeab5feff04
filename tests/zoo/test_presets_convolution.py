"""The presets of long convolutions: published sizes, switches, and what their kernels are like."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import erfc
from torch import Tensor

from zoo.draws import Draws
from zoo.measure import effective_length, fitted_decay
from zoo.mixers import LayerContext, LongConv
from zoo.mixers.long_conv import Convolution
from zoo.model import Model
from zoo.parameterizations import Dense, Multiscale
from zoo.presets import names, preset
from zoo.properties import OFF, NoRegularization
from zoo.properties.gating import Gating
from zoo.spec import Context, replace_all

SGCONV = {  # layers, width, d; parameters of one feature's kernel in one direction at the length
    "listops": (8, 128, 1, 2048, 12),
    "text": (6, 256, 2, 4096, 24),
    "retrieval": (6, 256, 1, 4000, 13),
    "image": (6, 512, 32, 1024, 192),
    "pathfinder": (6, 256, 32, 1024, 192),
    "path-x": (6, 256, 64, 16384, 512),
}
LONG_CONV = {  # layers, width, threshold, rate of the kernel, its dropout, two-sided
    "listops": (8, 128, 0.002, 5e-4, 0.2, False),
    "text": (6, 256, 0.003, 1e-3, 0.2, False),
    "retrieval": (6, 256, 0.004, 1e-4, 0.1, False),
    "image": (6, 512, 0.003, 1e-3, 0.2, False),
    "pathfinder": (6, 256, 0.001, 1e-3, 0.3, True),
    "path-x": (6, 256, 0.001, 5e-4, 0.3, True),
    "scifar": (6, 512, 0.001, 1e-3, 0.2, False),
}


def built(name: str, length: int, **size: int) -> Model:
    context = Context(num_inputs=16, num_outputs=10, length=length, head="mean")
    return preset(name).model_copy(update=size).build(context)


def on_meta(name: str, length: int, **size: int) -> Model:
    with torch.device("meta"):
        return built(name, length, **size)


def layer(name: str) -> LongConv:
    (mixer,) = preset(name).mixers
    assert isinstance(mixer, LongConv)
    return mixer


@pytest.mark.parametrize("task", SGCONV)
def test_sgconv_has_the_published_size(task: str) -> None:
    depth, width, size, length, numbers = SGCONV[task]
    model = on_meta(f"sgconv-{task}", length)
    assert len(model.blocks) == depth
    counts = {n: p.numel() for n, p in model.blocks[0].mixer.named_parameters()}
    assert counts["kernel.atoms.weights"] == 2 * width * numbers
    assert sum(counts.values()) == 2 * width * numbers + width + 2 * (width * width + width)
    assert layer(f"sgconv-{task}").direction == "two_sided"
    parameterization = layer(f"sgconv-{task}").kernel.parameterization
    assert isinstance(parameterization, Multiscale)
    assert parameterization.size == size


def test_sgconv_grows_with_the_logarithm_of_the_length() -> None:
    """12,288 numbers at d = 2, H = 256, L = 4,096, two-sided, where free taps are 2,097,152."""
    counts = [
        on_meta("sgconv-text", length, depth=1).blocks[0].mixer.kernel.atoms.weights.numel()
        for length in (1024, 2048, 4096, 8192)
    ]
    assert counts == [10_240, 11_264, 12_288, 13_312]


@pytest.mark.parametrize("task", LONG_CONV)
def test_long_conv_has_the_published_settings(task: str) -> None:
    depth, width, threshold, rate, dropout, two_sided = LONG_CONV[task]
    value, mixer = preset(f"long-conv-{task}"), layer(f"long-conv-{task}")
    assert (value.depth, value.width) == (depth, width)
    assert mixer.direction == ("two_sided" if two_sided else "causal")
    squash, drop = mixer.kernel.steps()
    assert squash.model_dump() == {"threshold": threshold, "kind": "squash"}
    assert drop.model_dump() == {"p": dropout, "kind": "kernel-dropout"}
    assert mixer.kernel.parameterization.kernel_lr == rate
    model = on_meta(f"long-conv-{task}", 64)
    groups = model.parameter_groups(lr=0.01, weight_decay=0.05)
    taps = model.blocks[0].mixer.kernel.atoms.taps
    (group,) = [g for g in groups if any(p is taps for p in g["params"])]
    assert (group["lr"], group["weight_decay"]) == (rate, 0.0)


def test_long_conv_of_sequential_cifar_has_the_published_parameters() -> None:
    """1.05 million taps and 1.05 million of mixing a layer, 12.6 million in all."""
    model = on_meta("long-conv-scifar", 1024)
    counts = {n: p.numel() for n, p in model.blocks[0].mixer.named_parameters()}
    assert counts["kernel.atoms.taps"] == 2 * 512 * 1024
    mixing = sum(count for n, count in counts.items() if n.startswith("gate"))
    assert mixing == 2 * (1024 * 512 + 512)
    assert sum(p.numel() for p in model.blocks.parameters()) == pytest.approx(12.6e6, rel=0.005)


@pytest.mark.parametrize("task", LONG_CONV)
def test_long_conv_starts_alive(task: str) -> None:
    """erfc(lambda / (s sqrt 2)) of the taps survive: 61.7, 31.7, 13.4, 4.6 % at s = .002."""
    kernel = built(f"long-conv-{task}", 256, width=64, depth=1).kernels()["blocks.0.mixer.kernel"]
    share = (kernel != 0).double().mean().item()
    assert share == pytest.approx(erfc(LONG_CONV[task][2] / (0.002 * math.sqrt(2))), abs=0.01)


def test_sgconv_of_path_x_decays_by_feature() -> None:
    """m = 1 to 3: the first feature does not decay, the last by a third each scale."""
    model = built("sgconv-path-x", 4096, width=9, depth=1)
    kernel = model.blocks[0].mixer.kernel
    assert kernel.atoms.weights.shape == (18, 6, 64)
    alpha = 2.0 ** -kernel.window.speeds.flatten()
    torch.testing.assert_close(1 / alpha, torch.linspace(1, 3, 9).repeat(2))
    k = kernel.whole()
    lengths = effective_length(k, 0.9)
    assert float(lengths[0]) > 3000
    assert float(lengths[8]) < 400
    torch.testing.assert_close(k[:9], k[9:], msg="cosines are the same both ways")


@pytest.mark.parametrize("name", ["sgconv", "sgconv-summed", "sgconv-image", "sgconv-pathfinder"])
def test_sgconv_falls_about_as_one_over_lag(name: str) -> None:
    kernel = built(name, 4096, width=256, depth=1).kernels()["blocks.0.mixer.kernel"]
    rms = kernel.square().mean(0, keepdim=True).sqrt()[:, 64:]  # beyond the first scales
    slope = fitted_decay(torch.nn.functional.pad(rms, (64, 0)))["decay_exponent"]
    assert float(slope) == pytest.approx(1.0, abs=0.15)


def test_geometric_taps_decay_and_random_ones_do_not() -> None:
    lengths = {
        name: effective_length(
            built(name, 1024, width=64, depth=1).kernels()["blocks.0.mixer.kernel"], 0.5
        )
        for name in ("long-conv", "long-conv-geometric")
    }
    assert float(lengths["long-conv"].min()) > 400
    assert float(lengths["long-conv-geometric"][:64][0]) > 250  # exp(-t / L)
    assert float(lengths["long-conv-geometric"][:64][-1]) < 40  # 32 times as fast


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("sgconv-two-sided", {"decay", "length", "parameterization", "gating"}),
        ("sgconv-summed", {"decay", "length", "parameterization", "gating"}),
        ("sgconv-learned-decay", {"decay", "length", "parameterization", "gating"}),
        ("sgconv-path-x", {"decay", "length", "parameterization", "gating"}),
        ("long-conv-text", {"length", "regularization", "gating"}),
        ("long-conv-butterfly", {"length", "parameterization", "regularization", "gating"}),
        ("fir", {"length", "gating"}),
        ("base-conv-short", {"gating"}),
        ("base-conv-explicit", {"length", "gating"}),
    ],
)
def test_what_can_be_switched_off(name: str, has: set[str]) -> None:
    value = preset(name)
    assert {f for f in OFF if replace_all(value, f, OFF[f]) != value} == has


def test_regularization_off_takes_both_off() -> None:
    off = replace_all(preset("long-conv-text"), "regularization", OFF["regularization"])
    (mixer,) = off.mixers
    assert isinstance(mixer, LongConv)
    assert mixer.kernel.regularization == NoRegularization()


def test_fir_is_hyena_with_other_taps() -> None:
    """One thing between them: what the filter is."""
    hyena, fir = preset("hyena"), preset("fir")
    kernel = layer("hyena").model_copy(update={"kernel": layer("fir").kernel})
    assert hyena.model_copy(update={"mixers": (kernel,)}) == fir
    assert layer("fir").kernel.length.cut(1000) == 64


def test_base_conv_patterns_are_of_the_same_two_layers() -> None:
    short, long = preset("base-conv").mixers
    assert preset("base-conv-short").mixers == (short,)
    assert preset("base-conv-long").mixers == (long,)
    assert preset("base-conv-explicit").mixers[0] == short
    explicit = preset("base-conv-explicit").mixers[1]
    assert isinstance(explicit, LongConv)
    assert isinstance(explicit.kernel.parameterization, Dense)
    assert explicit.model_copy(update={"kernel": layer("base-conv-long").kernel}) == long


@pytest.mark.parametrize("name", [n for n in names() if n.startswith(("sgconv", "long-conv"))])
@pytest.mark.parametrize("gating", sorted(set(Gating.choices()) - {"receptance"}))  # RWKV's own
def test_any_gating_goes_around_any_long_convolution(name: str, gating: str) -> None:
    """The gated variants: the same kernel, drawn the same, with another gate around it."""
    published = layer(name)
    filters = 1 if gating == "linear" else published.channels
    spec = LongConv.model_validate({**dict(published), "gating": gating, "channels": filters})
    context = LayerContext(width=4, length=40, draws=Draws(0))
    mixer, plain = spec.build(context).eval(), published.build(context)
    assert isinstance(mixer, Convolution)
    assert isinstance(plain, Convolution)
    if filters == published.channels:
        assert torch.equal(mixer.kernel.whole(), plain.kernel.whole())
    u = torch.randn(2, 40, 4, generator=torch.Generator().manual_seed(0))
    y: Tensor = mixer(u)
    assert y.isfinite().all()
    y.square().sum().backward()
    assert all(p.grad is not None for p in mixer.parameters())
