"""More than one of everything: tiles of the batch, splits of a sum, pieces of a call; and tables.

Axes: B batch, D channels, L length, M columns.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.zoo.triton.emulation import emulated
from tests.zoo.triton.exact import NAMES, Problem, bound, error, error_in, expected, problem
from zoo.conv import triton as backend
from zoo.conv.triton import monarch, monarch_long, monarch_long_call, tables, toeplitz
from zoo.conv.triton.configurations import dots_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def interpreter() -> Iterator[None]:
    """Kernels run on CPU tensors, rounding as GPUs do."""
    with emulated():
        yield


def check(p: Problem, family: Any, precision: str) -> None:
    """As near to float64 as is promised: the output and every gradient."""
    with mock.patch.object(backend, "family_of", return_value=family):
        found = (
            backend.convolve(p.arguments, precision),
            *backend.gradients(p.g, p.arguments, precision),
        )
    exact_y, exact = expected(p)
    dots = dots_of(precision, p.u.dtype)
    for name, ours, theirs in zip(("y", *NAMES), found, (exact_y, *exact), strict=True):
        assert (ours is None) == (theirs is None), name
        if ours is not None and theirs is not None:
            is_signal = name in ("y", "u", "pre", "post")
            assert error_in(p, name, ours, theirs) <= bound(dots, p.u.dtype, is_signal=is_signal), (
                name
            )


@pytest.mark.usefixtures("interpreter")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(("batch", "enough"), [(70, 512), (37, 1), (70, 4)])
def test_toeplitz_with_several_tiles_of_the_batch(
    batch: int, enough: int, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where fewer programs are enough, one sums several chunks; with 4, each of two splits does."""
    monkeypatch.setattr(toeplitz, "ENOUGH_PROGRAMS", enough)
    check(problem((batch, 1, 80), taps=(None, 9), gated=True), toeplitz, precision)


@pytest.mark.usefixtures("interpreter")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_monarch_with_several_splits_of_the_batch(precision: str) -> None:
    """9 rows in 3 splits, whose sums are added in order."""
    check(problem((9, 1, 90), taps=(None, 9), gated=True), monarch, precision)


@pytest.mark.usefixtures("interpreter")
def test_monarch_long_in_pieces_of_batch_and_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row of one channel at a time: each has its own kernel, skip and place in the sums."""
    monkeypatch.setattr(monarch_long_call, "SCRATCH_BYTES", 4 * 8 * 8192)
    p = problem((2, 2, 300), taps=(None, 0), gated=True)
    p.pre = p.post = None
    check(p, monarch_long, "tf32")


def test_tables_of_the_long_transform_are_its_formula() -> None:
    """T[k, m] = exp(-2 pi i m k / n) w^m, w = exp(i pi / 2n), for every M that is used."""
    for columns, inner in ((32, 256), (128, 1024), (128, 4096), (256, 4096)):
        n = columns * inner
        k, m = torch.arange(columns)[:, None].double(), torch.arange(inner).double()
        angle = -2 * math.pi * m * k / n + math.pi * m / (2 * n)
        found = tables.column_twiddles(columns, inner, torch.device("cpu"))
        assert found.is_contiguous()
        assert error(found[0], angle.cos()) < 1e-7
        assert error(found[1], angle.sin()) < 1e-7


class OnDevice(TorchDispatchMode):
    """Writes down which operators have to do with a device."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.names = device, []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.device.type == self.device:
            casts = args[0].dtype != out.dtype
            self.names.append(f"{func.overloadpacket.__name__}{' with a cast' if casts else ''}")
        return out


@pytest.mark.parametrize("table", ["column_twiddles", "column_matrix", "matrices", "twiddles"])
def test_tables_are_made_before_they_go_to_the_device(table: str) -> None:
    """A copy waits; a kernel would run on the stream of the first caller, and a second not wait."""
    device, radices = torch.device("meta"), tables.Radices(16, 1, 16)
    makers: dict[str, Any] = {
        "column_twiddles": lambda: tables.column_twiddles(64, 16, device),
        "column_matrix": lambda: tables.column_matrix(64, torch.float16, device),
        "matrices": lambda: tables.matrices(radices, torch.bfloat16, device, twist=True),
        "twiddles": lambda: tables.stage_twiddles(radices, device, twist=True),
    }
    for each in (tables.column_twiddles, tables.column_matrix, tables.matrices):
        each.cache_clear()
    tables.stage_twiddles.cache_clear()
    with OnDevice("meta") as seen:
        makers[table]()
    assert seen.names == ["_to_copy"]


OFFSETS = """
import sys
from tests.zoo.triton import launches
import triton
from triton.backends.compiler import GPUTarget
with launches.recording(80) as seen:
    g, a = launches._everything((5, 3, 64), launches.torch.float32)
    launches.import_module("zoo.conv.triton.toeplitz").gradients(g, a, "tf32")
for launch in seen[:1] + seen[-1:]:
    print(launch.kernel.__name__)
    source = launches.source_of(launch)
    print(triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm["ttir"])
"""


def test_toeplitz_offsets_are_of_64_bits() -> None:
    """From where a tensor begins: B D L and D taps may be 2^31 and more."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    run = subprocess.run(
        [sys.executable, "-c", OFFSETS],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("convolution_kernel\n")
    _, convolution, weight = re.split("^(?:convolution|weight)_kernel$", run.stdout, flags=re.M)
    for text, tensors in (
        (convolution, {"u", "pre", "forward", "backward", "post", "y", "also", "y_also"}),
        (weight, {"g", "post", "u", "pre", "parts"}),
    ):
        found = first_offsets(text)
        assert {name for name, _ in found} >= tensors
        assert {name for name, kind in found if kind != "i64"} <= {"skip"}


def first_offsets(text: str) -> set[tuple[str, str]]:
    """(tensor, type) of what is added to the address of a tensor itself, or to copies of it."""
    found, owner = set(), {}
    for line in text.splitlines():
        owner |= {name: name for name in re.findall(r"%(\w+): !tt\.ptr", line)}
        if splat := re.search(r"%(\w+) = tt\.splat %(\w+) : !tt\.ptr", line):
            owner |= {splat[1]: owner[splat[2]]} if splat[2] in owner else {}
        if added := re.search(r"tt\.addptr %(\w+), %\w+ : .*, (?:tensor<.*x)?(i\d+)>?", line):
            found |= {(owner[added[1]], added[2])} if added[1] in owner else set()
    return found
