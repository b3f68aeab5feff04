"""What the Makefile says when the machine is not fit, and what it would run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    command = ["make", "--no-print-directory", *words]
    return subprocess.run(
        command, cwd=checkout, env=clean, text=True, capture_output=True, timeout=60, check=False
    )


def interpreter(checkout: Path, version: str) -> Path:
    """Something that answers as an old Python does."""
    path = checkout / "python-old"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit\nexit 1\n')
    path.chmod(0o755)
    return path


def test_an_old_python_is_one_clear_line(checkout: Path) -> None:
    done = make(checkout, "test", f"PYTHON={interpreter(checkout, '3.10.2')}")
    assert done.returncode == 2
    line = done.stderr.splitlines()[0]
    assert line == "Python 3.10.2 is too old; seqzoo needs >= 3.11: make PYTHON=python3.12"
    assert not (checkout / ".venv").exists()


def test_no_python_is_one_clear_line(checkout: Path) -> None:
    done = make(checkout, "demo", "PYTHON=no-such-python")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("no 'no-such-python' found")


@pytest.mark.parametrize("target", ["demo", "test", "test-all", "check", "bench", "docs"])
def test_the_environment_is_made_once(checkout: Path, target: str) -> None:
    assert "-m venv" in make(checkout, "-n", target).stdout
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / ".installed").touch()
    assert "-m venv" not in make(checkout, "-n", target).stdout
    os.utime(checkout / "constraints.txt", (2e9, 2e9))
    assert "-m venv" in make(checkout, "-n", target).stdout


def test_test_runs_every_check(checkout: Path) -> None:
    planned = make(checkout, "-n", "test").stdout
    for step in ("ruff check", "ruff format --check", "basedpyright", "pytest"):
        assert f"-m {step}" in planned
    assert "-c constraints.txt -e '.[dev]'" in planned
    assert "-m ablations.run decay=off" in make(checkout, "-n", "demo").stdout


def test_ci_calls_make_test() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert script.rstrip().endswith("exec make test")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=False).returncode == 0
