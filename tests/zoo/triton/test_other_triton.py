"""A later Triton than the pinned one, 3.9.0: kernels compile and compute there too."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OTHER = "3.9.0"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment with that Triton before everything that is installed here."""
    place = tmp_path_factory.mktemp("triton") / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    mine = str(place / "bin" / "python")
    installed = subprocess.run(
        [mine, "-m", "pip", "install", "-q", "--no-deps", f"triton=={OTHER}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"pip cannot install triton {OTHER}: {installed.stderr.strip()[-200:]}")
    (site,) = place.glob("lib/python*/site-packages")
    (site / "rest.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return mine


def run(python: str, *arguments: str) -> None:
    """The command ends well."""
    done = subprocess.run(
        [python, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_it_is_the_other_one(python: str) -> None:
    run(python, "-c", f"import torch, triton; assert triton.__version__ == {OTHER!r}")


@pytest.mark.slow
def test_the_gate_passes_its_absolute_limits(python: str) -> None:
    run(python, "tests/zoo/triton/gate.py")


@pytest.mark.slow
def test_the_numerics_pass(python: str) -> None:
    run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/zoo/triton/test_numerics.py")
