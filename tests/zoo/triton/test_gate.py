"""The static gate, run as its own process: kernels must be compiled there, not interpreted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.zoo.triton import gate
from tests.zoo.triton.launches import Recorded
from zoo.conv.triton.configurations import Configuration

ROOT = Path(__file__).parents[3]
FINE: dict[str, Any] = {
    "registers": 128,
    "stack": 0,
    "spills": 0,
    "shared": 1024,
    "tensor_cores": "HGMMA",
    "products": 2,
    "sass": 1000,
}


def run_gate(*words: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    return subprocess.run(
        [python, str(ROOT / "tests/zoo/triton/gate.py"), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )


def wrong(run: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in run.stdout.splitlines() if not line.startswith("ok")]
    return "\n".join([*lines[:40], run.stderr[-2000:]])


def test_one_launch_of_each_kernel_passes() -> None:
    """And every launch that the table can lead to is in gate.json, and no other."""
    run = run_gate("--representative")
    assert run.returncode == 0, wrong(run)
    assert run.stdout.count("ok ") >= 2


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm80", "sm90", "sm100"])
def test_every_shipped_configuration_passes(architecture: str) -> None:
    run = run_gate(architecture)
    assert run.returncode == 0, wrong(run)


def launch_of(**arguments: Any) -> Recorded:
    """A launch of a kernel of two tensors, a count, a flag and a constant."""
    names = {"x": False, "y": False, "count": False, "FLAG": True, "M": True}
    parameters = [SimpleNamespace(name=k, is_constexpr=v) for k, v in names.items()]
    kernel = SimpleNamespace(__name__="kernel", params=parameters)
    row = Configuration("f", "role", 64, "fp16", 90, {}, 4, 2)
    given = {"x": torch.empty(1), "y": None, "count": 32, "FLAG": False, "M": 64}
    return Recorded(kernel, row, {**given, **arguments})


def test_names_say_all_that_the_compiler_sees() -> None:
    """Two launches with one name would be one entry of gate.json, and one never compiled."""
    changes: list[dict[str, Any]] = [
        {},
        {"x": torch.empty(1, dtype=torch.bfloat16)},
        {"y": torch.empty(1)},
        {"y": torch.empty(1, dtype=torch.float16)},
        {"count": 1},
        {"count": 5},
        {"FLAG": True},
        {"M": 128},
    ]
    names = [launch_of(**change).name for change in changes]
    assert names[0] == "f-role-64-fp16-sm90 kernel fp32:x M=64"
    assert names[5] == "f-role-64-fp16-sm90 kernel fp32:x odd:count M=64"
    assert len(set(names)) == len(names)
    assert launch_of(count=48).name == names[0]


def test_gate_json_has_every_number_of_columns() -> None:
    """M doubles with the length: between the ends of rows as well."""
    names = "\n".join(json.loads(gate.JSON.read_text())["kernels"])
    for kernel in ("columns_kernel", "columns_inverse_kernel"):
        pairs = set(re.findall(rf"{kernel} .* M=(\d+) P=(\d+)", names))
        short = {("32", "256")} | {(str(m), "1024") for m in (16, 32, 64, 128)}
        assert pairs == short | {(str(m), "4096") for m in (64, 128, 256)}


def test_the_limits_are_absolute() -> None:
    """--write measures kernels, never limits. 99 KB is all that 8.6, 8.9 and 12.0 have."""
    limits = json.loads(gate.JSON.read_text())["limits"]
    assert limits["stack"] == limits["spills"] == 0
    assert limits["shared"] == {"80": 101376, "90": 232448, "100": 232448}
    assert limits["register_file"] == 65536
    assert limits["sass_growth"] == 1.05
    assert limits["unique_bytes"] == 1.3


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, None),
        ({"stack": 8}, "stack 8"),
        ({"spills": 2}, "spills 2"),
        ({"shared": 10**6}, "shared memory"),
        ({"registers": 255, "warps": 16}, "do not fit"),
        ({"tensor_cores": ""}, "without tensor cores"),
        ({"tensor_cores": "", "products": 0}, None),
    ],
)
def test_faults_are_seen(change: dict[str, Any], complaint: str | None) -> None:
    """A gate that lets everything through would pass on any table."""
    row = Configuration("f", "role", 64, "fp16", 90, {}, change.get("warps", 4), 2)
    limits = json.loads(gate.JSON.read_text())["limits"]
    found = list(gate.faults(Recorded(None, row, {}), {**FINE, **change}, limits))
    assert [complaint in each for each in found] == ([True] if complaint else [])  # pyright: ignore


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, None),
        ({"sass": 1050}, None),
        ({"sass": 1051}, "instructions 1000 -> 1051"),
        ({"tensor_cores": "HMMA"}, "HGMMA -> HMMA"),
        ({"shared": 2048}, "shared memory 1024 -> 2048"),
    ],
)
def test_regressions_are_seen(change: dict[str, Any], complaint: str | None) -> None:
    found = list(gate.regressions({**FINE, **change}, FINE, 1.05))
    assert [complaint in each for each in found] == ([True] if complaint else [])  # pyright: ignore
