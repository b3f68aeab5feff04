"""benchmarks/kernels.py measures what it says: the same convolution, what waits for backward."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from zoo.spec import import_components

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "kernels.py"


@pytest.fixture(scope="module")
def kernels():
    """The script as a module."""
    import_components("zoo")
    spec = importlib.util.spec_from_file_location("benchmark_of_kernels", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


def test_every_family_is_timed_at_equal_work(kernels):
    times, kept = kernels.measured(2, 4, 100, 1)
    assert list(times) == list(kept)
    assert {"sgconv", "long-conv", "s4d", "hyena", kernels.TYPED} <= set(times)
    assert all(value > 0 for value in times.values())
    for way in kernels.ways_at(4, 100).values():
        assert way.kernel().shape == (4, 100)
        way.step(*kernels.inputs(2, 4, 100))


def test_kept_bytes_are_what_waits_for_backward(kernels):
    """A product keeps the kernel, a sum does not; neither u nor parameters count."""
    way = kernels.ways_at(4, 100)["long-conv"]
    u, _ = kernels.inputs(2, 4, 100)
    way.convolve = lambda u, k: u + k
    least = kernels.kept_bytes(way, u)
    way.convolve = lambda u, k: u * k
    assert kernels.kept_bytes(way, u) - least == 4 * 100 * 4
    way.convolve = kernels.typed
    assert kernels.kept_bytes(way, u) - least >= 8 * 101 * (2 * 4 + 4)  # two spectra


def test_another_convolution_is_noticed(kernels):
    ways = kernels.ways_at(4, 100)
    u, _ = kernels.inputs(2, 4, 100)
    kernels.check(ways, u)
    ways["s4d"].convolve = lambda u, k: kernels.typed(u, k) + 1e-4 * torch.ones_like(u)
    with pytest.raises(SystemExit, match="s4d at 100"):
        kernels.check(ways, u)


def test_the_claims_say_where_they_do_not_hold(kernels):
    times = [
        {"sgconv": 1.0, "s4": 2.0, "long-conv": 1.0, kernels.TYPED: 3.0},
        {"sgconv": 4.0, "s4": 2.0, "long-conv": 2.0, kernels.TYPED: 3.0},
    ]
    text = "\n".join(kernels.claims([64, 1024], times, [times[0], times[0]]))
    assert "not at 1,024: s4 / sgconv in ms 2.0 x, 0.5 x" in text
    assert "so at every length: s4 / sgconv in bytes kept" in text
    assert "3.0 x at 64, 1.5 x at 1,024" in text
    alone = [{name: ms for name, ms in times[0].items() if name != "s4"}]
    assert "no preset s4" in "\n".join(kernels.claims([64], alone, alone))
