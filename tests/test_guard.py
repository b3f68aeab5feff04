"""A folder called `tasks` where a user happens to be is named, not imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo._guard import PACKAGES, guard

ROOT = Path(__file__).resolve().parents[1]
CHECK = "from zoo._guard import guard; guard(); import tasks, sweeps; print('passed')"


def python(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python with the project behind the current directory, as `python -m` has it installed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONSAFEPATH", None)
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd, env=environment, text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip


def plant(directory: Path, name: str, shape: str) -> Path:
    """A foreign module that would say so if anything imported it."""
    noise = "raise SystemExit('imported')"
    if shape == "module":
        place = directory / f"{name}.py"
        place.write_text(noise)
        return place
    place = directory / name
    place.mkdir()
    (place / ("__init__.py" if shape == "package" else "other.py")).write_text(noise)
    return place


def named(done: subprocess.CompletedProcess[str], name: str, place: Path) -> bool:
    lines = done.stderr.splitlines()
    return (
        (done.returncode, done.stdout, len(lines)) == (2, "", 1)
        and f"{name!r} would come from {place.resolve()}" in lines[0]
        and "python -P" in lines[0]
    )


def test_passes_here(tmp_path: Path) -> None:
    guard()
    assert set(PACKAGES) == {"zoo", "tasks", "sweeps", "reports", "ablations"}
    for directory in (tmp_path, ROOT, Path("/")):
        done = python("-c", CHECK, cwd=directory)
        assert (done.returncode, done.stdout, done.stderr) == (0, "passed\n", "")


@pytest.mark.parametrize("name", ["tasks", "reports"])
@pytest.mark.parametrize("shape", ["package", "module"])
def test_an_intruder_is_named_and_not_imported(tmp_path: Path, name: str, shape: str) -> None:
    place = plant(tmp_path, name, shape)
    assert named(python("-c", CHECK, cwd=tmp_path), name, place)


def test_a_folder_without_python_packages_in_it_is_harmless(tmp_path: Path) -> None:
    """A namespace package gives way to a regular one that comes later on the path."""
    plant(tmp_path, "tasks", "namespace")
    assert python("-c", CHECK, cwd=tmp_path).stdout == "passed\n"


def test_safe_path_passes_beside_an_intruder(tmp_path: Path) -> None:
    plant(tmp_path, "tasks", "package")
    assert python("-P", "-c", CHECK, cwd=tmp_path).stdout == "passed\n"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo._guard.PACKAGES", ("zoo", "no_such_package"))
    with pytest.raises(SystemExit) as caught:
        guard()
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "program", ["ablations.run", "sweeps.run", "sweeps.evaluate", "sweeps.sync", "zoo"]
)
def test_every_program_starts_with_the_guard(tmp_path: Path, program: str) -> None:
    place = plant(tmp_path, "tasks", "package")
    for words in (["decay=off"], ["--help"], []):
        assert named(python("-m", program, *words, cwd=tmp_path), "tasks", place), (program, words)


@pytest.mark.parametrize("program", ["ablations.run", "tasks", "zoo", "reports.build"])
def test_a_foreign_sweeps_is_named_by_the_programs_of_the_others(
    tmp_path: Path, program: str
) -> None:
    """Another distribution installs a package called `sweeps`."""
    place = plant(tmp_path, "sweeps", "package")
    assert named(python("-m", program, "list", cwd=tmp_path), "sweeps", place)
