"""Presets: values with a source, which an ablation can take apart."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from statistics import median

import pytest
import torch

from zoo.measure import summary, treatment_strength
from zoo.mixers import Attention, LongConv
from zoo.model import ModelSpec
from zoo.presets import find, names, preset
from zoo.presets.published import PRESETS, Published
from zoo.properties import OFF
from zoo.properties.gain import InitGain, NoGain
from zoo.spec import KIND, Context, replace_all, walk

NAMES = names()
KERNEL_PROPERTIES = ("length", "decay", "smoothness", "regularization")


def context(length: int = 64) -> Context:
    return Context(num_inputs=16, num_outputs=16, length=length)


def strengths(name: str, field: str, *, length: int, seed: int) -> float:
    value = preset(name)
    size = {"width": min(value.width, 32), "depth": min(value.depth, 2)}
    base = replace_all(value.model_copy(update=size), "gain", InitGain())
    arm = replace_all(base, field, OFF[field])
    old, new = (m.build(context(length), seed).kernels() for m in (base, arm))
    return median(treatment_strength(new[path], old[path]) for path in old)


def test_names() -> None:
    """Those that suites and documents name; variants have further names."""
    first = {
        "all-on",
        "attention",
        "base-conv",
        "ema",
        "fir",
        "hyena",
        "long-conv",
        "s4d",
        "sgconv",
        "sgconv-two-sided",
    }
    assert first <= set(NAMES)
    assert tuple(sorted(set(NAMES))) == NAMES
    assert all(KIND.fullmatch(name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_says_where_it_comes_from(name: str) -> None:
    published = find(name)
    assert published.name == name
    assert isinstance(published.value, ModelSpec)
    assert published.differs
    assert all(line == line.strip() and "\n" not in line for line in published.differs)
    if name != "all-on":
        assert re.search(r"arXiv:\d{4}\.\d{5}", published.paper)
        assert published.section
        assert re.fullmatch(
            r"[\w-]+/[\w.-]+ [\w/.-]+@[0-9a-f]{7}(, [\w/.-]+@[0-9a-f]{7})*", published.upstream
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_survives_the_disk(name: str) -> None:
    value = preset(name)
    assert ModelSpec.model_validate(json.loads(value.canonical())) == value


def test_two_presets_of_one_name_are_refused() -> None:
    old = find("s4d")
    fields = {key: getattr(old, key) for key in ("name", "paper", "section", "upstream", "differs")}
    with pytest.raises(ValueError, match="two presets are called 's4d'"):
        Published(**fields, value=ModelSpec())
    assert Published(**fields, value=old.value) == old  # the same again is no other
    assert PRESETS["s4d"] is old


def test_unknown_names_are_key_errors() -> None:
    with pytest.raises(KeyError):
        preset("s5")


@pytest.mark.parametrize("field", OFF)
@pytest.mark.parametrize("length", [64, 128, 256])
def test_everything_is_on_in_all_on(field: str, length: int) -> None:
    """The default base: each x=off is a real change, and no switch is too weak to test."""
    assert replace_all(preset("all-on"), field, OFF[field]) != preset("all-on")
    if field in KERNEL_PROPERTIES:
        assert min(strengths("all-on", field, length=length, seed=s) for s in range(3)) > 0.12


@pytest.mark.parametrize("length", [64, 256])
def test_parameterization_off_starts_at_the_same_function(length: int) -> None:
    for name in NAMES:
        if any(field == "parameterization" for _, _, field, _ in walk(preset(name))):
            strength = strengths(name, "parameterization", length=length, seed=0)
            assert strength < 1e-4


def test_gating_off_takes_the_products_and_leaves_the_kernel() -> None:
    assert strengths("all-on", "gating", length=64, seed=0) == 0
    base = preset("all-on")
    arm = replace_all(base, "gating", OFF["gating"])
    x = torch.arange(64)[None] % 16
    on, off = base.build(context())(x), arm.build(context())(x)
    assert (on - off).norm() > 0.1 * on.norm()


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("s4", {"decay", "length", "parameterization", "gating"}),
        ("s4-fout", {"decay", "length", "parameterization", "gating"}),
        ("s4d", {"decay", "length", "parameterization", "gating"}),
        ("s4d-inv", {"decay", "length", "parameterization", "gating"}),
        ("s4d-real", {"decay", "length", "parameterization", "gating"}),
        ("dss", {"decay", "length", "parameterization"}),
        ("sgconv", {"decay", "length", "parameterization", "gating"}),
        ("long-conv", {"length", "regularization", "gating"}),
        ("hyena", {"decay", "length", "parameterization", "gating"}),
        ("hyena-3", {"decay", "length", "parameterization", "gating"}),
        ("multi-hyena", {"decay", "length", "parameterization", "gating"}),
        ("h3", {"decay", "length", "parameterization", "gating"}),
        ("h3-conv", {"length", "regularization", "gating"}),
        ("ckconv", {"length", "parameterization"}),
        ("flexconv", {"decay", "length", "parameterization"}),
        ("rwkv", {"decay", "gating"}),
        ("ema", {"decay", "length", "parameterization"}),
        ("base-conv", {"decay", "length", "parameterization", "gating"}),
        ("attention", set()),
        ("all-on", set(OFF)),
    ],
)
def test_what_can_be_switched_off(name: str, has: set[str]) -> None:
    value = preset(name)
    assert {f for f in OFF if replace_all(value, f, OFF[f]) != value} == has


@pytest.mark.parametrize(
    "name",
    [
        "s4",
        "s4-fout",
        "s4d",
        "s4d-inv",
        "s4d-real",
        "dss",
        "sgconv",
        "hyena",
        "hyena-3",
        "multi-hyena",
        "flexconv",
        "ema",
    ],
)
@pytest.mark.parametrize("length", [64, 256])
def test_decay_off_is_strong_enough_to_test(name: str, length: int) -> None:
    assert strengths(name, "decay", length=length, seed=0) > 0.2


def test_ema_is_short_and_smooth() -> None:
    """q in [.67, .84]: 90 % of the energy in 4 taps, roughness .25 (spec of the field: 2/4/9)."""
    kernels = preset("ema").model_copy(update={"width": 256}).build(context(256)).kernels()
    found = summary(kernels["blocks.0.mixer.kernel"])
    assert 3 <= found["effective_length"] <= 5
    assert found["roughness"] == pytest.approx(0.25, rel=0.15)


def share_of_squares(ratio: int, size: int = 8) -> float:
    """Mean squared size of white numbers after linear interpolation, half-pixel centred."""
    places = [min(max((j + 0.5) / ratio - 0.5, 0), size - 1) for j in range(size * ratio)]
    return sum((1 - x % 1) ** 2 + (x % 1) ** 2 for x in places) / len(places)


def test_sgconv_falls_as_one_over_lag() -> None:
    """Scale i has 2^(i-1) times as many taps as the first, of size 2^-i."""
    value = preset("sgconv").model_copy(update={"width": 2048, "depth": 1})
    raw = replace_all(value, "gain", NoGain()).build(context(1024)).kernels()
    energy = raw["blocks.0.mixer.kernel"].square().mean(0)
    edges = [0, 8, 16, 32, 64, 128, 256, 512, 1024]
    found = [energy[a:b].mean().item() for a, b in pairwise(edges)]
    ratios = [2 ** max(0, i - 1) for i in range(8)]
    wanted = [4.0**-i * share_of_squares(r) for i, r in enumerate(ratios)]
    assert found == pytest.approx(wanted, rel=0.05)
    kernel = value.build(context(1024)).kernels()["blocks.0.mixer.kernel"]
    torch.testing.assert_close(kernel.norm(dim=-1), torch.ones(2048))


def test_long_conv_keeps_most_taps_alive() -> None:
    """erfc(threshold / (std sqrt 2)) of the taps survive: 61.7 % at .001 over .002."""
    value = preset("long-conv").model_copy(update={"width": 256})
    kernel = value.build(context(256)).kernels()["blocks.0.mixer.kernel"]
    assert (kernel != 0).double().mean().item() == pytest.approx(0.617, abs=0.01)


def test_attention_is_the_recall_baseline() -> None:
    value = preset("attention")
    assert value.mixers == (Attention(num_heads=1),)
    assert (value.width, value.depth, value.positions) == (64, 2, "learned")
    assert value.channel_mixer.kind == "none"


def test_convolutions_are_causal_unless_their_task_asks_once() -> None:
    """Those of Long Range Arena see both ways where upstream's do."""
    both = {
        name
        for name in NAMES
        for mixer in preset(name).mixers
        if isinstance(mixer, LongConv) and mixer.direction == "two_sided"
    }
    arena = ("listops", "text", "retrieval", "image", "pathfinder", "path-x")
    assert both == {
        "sgconv-two-sided",
        *(f"sgconv-{task}" for task in arena),
        "long-conv-pathfinder",
        "long-conv-path-x",
    }
