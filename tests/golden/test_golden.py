"""Every preset's mixer against arrays that numpy made from the equations, and nothing else."""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.draws import Draws
from zoo.mixers import LayerContext, Mixer
from zoo.mixers.h3 import HungryHippo
from zoo.mixers.hyena import Chain
from zoo.mixers.long_conv import Convolution, LongConv
from zoo.presets import names, preset

HERE = Path(__file__).parent
# preset, which of its mixers, relative error: 1e-12, or that of a window that is built in float32,
# or of a transform on a circle of radius below 1
CASES = {
    "s4d": ("s4d", 0, 1e-12),
    "ema": ("ema", 0, 1e-12),
    "sgconv": ("sgconv", 0, 1e-12),
    "long-conv": ("long-conv", 0, 1e-12),
    "hyena": ("hyena", 0, 1e-6),
    "base-conv-short": ("base-conv", 0, 1e-12),
    "base-conv-long": ("base-conv", 1, 1e-6),
    "attention": ("attention", 0, 1e-12),
    "all-on": ("all-on", 0, 1e-12),
    "s4": ("s4", 0, 1e-9),
    "s4-fout": ("s4-fout", 0, 1e-9),
    "s4d-inv": ("s4d-inv", 0, 1e-12),
    "s4d-real": ("s4d-real", 0, 1e-12),
    "dss": ("dss", 0, 1e-11),
    "h3": ("h3", 0, 1e-12),
    "h3-conv": ("h3-conv", 0, 1e-12),
    "hyena-3": ("hyena-3", 0, 1e-6),
    "multi-hyena": ("multi-hyena", 0, 1e-6),
    "ckconv": ("ckconv", 0, 1e-12),
    "flexconv": ("flexconv", 0, 1e-12),
    "rwkv": ("rwkv", 0, 1e-12),
    "sgconv-two-sided": ("sgconv-two-sided", 0, 1e-12),
    "sgconv-summed": ("sgconv-summed", 0, 1e-12),
    "sgconv-learned-decay": ("sgconv-learned-decay", 0, 1e-12),
    "sgconv-listops": ("sgconv-listops", 0, 1e-12),
    "sgconv-text": ("sgconv-text", 0, 1e-12),
    "sgconv-retrieval": ("sgconv-retrieval", 0, 1e-12),
    "sgconv-image": ("sgconv-image", 0, 1e-12),
    "sgconv-pathfinder": ("sgconv-pathfinder", 0, 1e-12),
    "sgconv-path-x": ("sgconv-path-x", 0, 1e-6),
    "long-conv-geometric": ("long-conv-geometric", 0, 1e-12),
    "long-conv-butterfly": ("long-conv-butterfly", 0, 1e-12),
    "long-conv-listops": ("long-conv-listops", 0, 1e-12),
    "long-conv-text": ("long-conv-text", 0, 1e-12),
    "long-conv-retrieval": ("long-conv-retrieval", 0, 1e-12),
    "long-conv-image": ("long-conv-image", 0, 1e-12),
    "long-conv-pathfinder": ("long-conv-pathfinder", 0, 1e-12),
    "long-conv-path-x": ("long-conv-path-x", 0, 1e-12),
    "long-conv-scifar": ("long-conv-scifar", 0, 1e-12),
    "fir": ("fir", 0, 1e-12),
    "base-conv-explicit": ("base-conv-explicit", 1, 1e-12),
}
KERNELLESS = ("attention", "rwkv")
MADE_IN_BUILD = ("kernel.times.log_dt", "kernel.window.log_rate", "kernel.gain.norm", "skip")


def log_rate(p: dict[str, np.ndarray]) -> np.ndarray:
    if "rate" in p:
        return np.log(p["rate"])
    keep, damp = (1 / (1 + np.exp(-p[name])) for name in ("delta", "alpha"))
    return np.log(-np.log(1 - keep * damp))


def parts(x: np.ndarray) -> np.ndarray:
    """Real and imaginary parts behind each other; real numbers alone."""
    return np.stack([np.real(x), np.imag(x)], -1) if np.iscomplexobj(x) else x[..., None]


def joined(p: dict[str, np.ndarray], *keys: str) -> np.ndarray:
    return np.concatenate([p[key] for key in keys])


def shorts(p: dict[str, np.ndarray], part: str) -> np.ndarray:
    """A part of the projections before a convolution, in the order of the mixer."""
    names = ["value", "pre", "post", *(["between0"] if "between0.weight" in p else [])]
    return joined(p, *(f"{name}.{part}" for name in names))


# A parameter's name in the mixer: how it is made of the golden parameters.
PARAMETERS: dict[str, Callable[[dict[str, np.ndarray]], np.ndarray]] = {
    "skip": lambda p: p["skip"],
    "kernel.times.log_dt": lambda p: np.log(p["dt"])[:, None],
    "kernel.window.log_rate": log_rate,
    "kernel.atoms.omega": lambda p: p["omega"],
    "kernel.atoms.b": lambda p: parts(p["b"]),
    "kernel.atoms.c": lambda p: parts(p["c"]),
    "kernel.atoms.p": lambda p: parts(p["correction"][:, None]),
    "kernel.atoms.coefficients.c": lambda p: parts(p["c"]),
    "kernel.atoms.coefficients.input": lambda p: p["delta"],
    "kernel.atoms.coefficients.beta": lambda p: p["beta"],
    "kernel.atoms.coefficients.gamma": lambda p: p["gamma"],
    "kernel.atoms.weights": lambda p: p["w"],
    "kernel.atoms.taps": lambda p: p["taps"],
    "kernel.atoms.taps.taps": lambda p: p["taps"],
    "kernel.atoms.matrices.8": lambda p: np.stack([p["factor8"].real, p["factor8"].imag], -1),
    "kernel.atoms.matrices.16": lambda p: np.stack([p["factor16"].real, p["factor16"].imag], -1),
    "kernel.window.exponent": lambda p: p["exponent"][:, None],
    "kernel.atoms.frequency": lambda p: p["frequency"],
    "kernel.atoms.out.weight": lambda p: p["out.weight"],
    **{
        f"kernel.atoms.layers.{i}.{part}": lambda p, i=i, part=part: p[f"hidden{i}.{part}"]
        for i in range(3)
        for part in ("weight", "bias")
    },
    "gate.bias": lambda p: p["bias"],
    "gate.gate.weight": lambda p: p["gate.weight"],
    "gate.gate.bias": lambda p: p["gate.bias"],
    "gate.output.weight": lambda p: p["output.weight"],
    "gate.output.bias": lambda p: p["output.bias"],
    "gate.inner.weight": lambda p: shorts(p, "weight"),
    "gate.inner.bias": lambda p: shorts(p, "bias"),
    # Tap 0 of a golden short convolution is lag 0; nn.Conv1d has it last.
    "gate.inner.taps": lambda p: shorts(p, "taps")[:, ::-1].copy(),
    "gate.inner.short_bias": lambda p: shorts(p, "short_bias"),
    "kernel.window.log_width": lambda p: np.log(p["width"])[:, None],
    "key_kernel.atoms.impulse": lambda p: p["key_impulse"],
    "key_kernel.atoms.taps": lambda p: p["key_taps"],
    "key_skip": lambda p: p["key_skip"],
    "bonus": lambda p: p["bonus"],
    "window.log_rate": lambda p: np.log(p["rate"])[:, None],
    **{
        f"parts.{name}.{ours}": lambda p, key=f"{name}.{theirs}": p[key]
        for name in ("value", "key", "receptance")
        for ours, theirs in (("mix", "mix"), ("project.weight", "weight"))
    },
    "project.weight": lambda p: joined(p, "query.weight", "key.weight", "value.weight"),
    "project.bias": lambda p: joined(p, "query.bias", "key.bias", "value.bias"),
    "output.weight": lambda p: p["output.weight"],
    "output.bias": lambda p: p["output.bias"],
}


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(HERE / f"{name}.npz") as arrays:
        return dict(arrays)


def built(name: str, arrays: dict[str, np.ndarray]) -> Mixer:
    """The preset's own mixer, with every trained number from the file; buffers as built."""
    which, index, _ = CASES[name]
    spec = preset(which).mixers[index]
    length, width = arrays["u"].shape[1:]
    layer = LayerContext(width=width, length=length, draws=Draws(1, "golden"))
    mixer = spec.build(layer).double().eval()
    p = {key.removeprefix("p."): value for key, value in arrays.items() if key.startswith("p.")}
    with torch.no_grad():
        for key, parameter in mixer.named_parameters():
            value = torch.from_numpy(PARAMETERS[key](p))
            assert value.shape == parameter.shape, key
            parameter.copy_(value)
        if isinstance(mixer, Convolution):
            assert isinstance(spec, LongConv)
            if mixer.kernel.reach == mixer.kernel.length:  # a cut kernel keeps the gain it has
                mixer.kernel.settle(spec.kernel.gain)  # the gain of these initial numbers
            else:
                assert spec.kernel.gain.kind == "none"
    return mixer


def close(actual: torch.Tensor, wanted: np.ndarray, error: float) -> None:
    scale = np.abs(wanted).max()
    assert actual.shape == wanted.shape
    np.testing.assert_allclose(actual.detach().numpy(), wanted, rtol=0, atol=error * scale)


@pytest.mark.parametrize("name", CASES)
def test_mixer_is_its_equation(name: str) -> None:
    arrays = golden(name)
    mixer = built(name, arrays)
    close(mixer(torch.from_numpy(arrays["u"])), arrays["y"], CASES[name][2])


@pytest.mark.parametrize("name", [n for n in CASES if n not in KERNELLESS])
def test_kernel_is_its_equation(name: str) -> None:
    arrays = golden(name)
    mixer = built(name, arrays)
    assert isinstance(mixer, Convolution | HungryHippo | Chain)
    close(mixer.kernel(), arrays["k"], CASES[name][2])


@pytest.mark.parametrize("name", CASES)
def test_no_golden_parameter_is_left_out(name: str) -> None:
    """A number that the equation has and the mixer lacks would be missed silently."""
    arrays = golden(name)
    used: set[str] = set()

    class Watch(dict):
        def __getitem__(self, key: str) -> np.ndarray:
            used.add(key)
            return super().__getitem__(key)

    p = Watch({k.removeprefix("p."): v for k, v in arrays.items() if k.startswith("p.")})
    for key, _ in built(name, arrays).named_parameters():
        PARAMETERS[key](p)
    assert used == set(p)


def test_every_preset_has_a_golden_mixer() -> None:
    """Each mixer of each preset, or one that is equal to it."""
    golden_ones = {preset(which).mixers[index] for which, index, _ in CASES.values()}
    assert {which for which, _, _ in CASES.values()} <= set(names())
    for which in names():
        for mixer in preset(which).mixers:
            assert mixer in golden_ones, which


def test_files_are_those_of_the_sums() -> None:
    lines = (HERE / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split() for line in lines)}
    files = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in HERE.glob("*.npz")}
    assert files == sums


def test_maker_makes_these_numbers(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(HERE / "make.py"), str(tmp_path)], check=True)
    for name in CASES:
        with np.load(tmp_path / f"{name}.npz") as made:
            kept = golden(name)
            assert set(made) == set(kept)
            for key in kept:
                np.testing.assert_allclose(made[key], kept[key], rtol=1e-9, atol=1e-12)


def test_maker_imports_only_numpy_and_the_standard_library() -> None:
    tree = ast.parse((HERE / "make.py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Name):
            assert node.id not in ("__import__", "exec", "eval")
    found -= set(sys.stdlib_module_names)
    assert found == {"numpy"}
    text = (HERE / "make.py").read_text()
    assert "importlib" not in text
