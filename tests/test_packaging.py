"""The built wheel, installed without the checkout, works from any directory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from sweeps.atomic import file_lock

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"zoo", "tasks", "sweeps", "reports", "ablations"}
SOURCES = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    *sorted(PACKAGES),
    "tests",
    "docs",
    "benchmarks",
)
# what the checkout's own environment adds to the path: the installed wheel must do without
BLOCKED = re.compile(r"__editable__|seqzoo|\.pth$|easy-install", re.IGNORECASE)


def run(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    return subprocess.run(
        list(map(str, words)),
        cwd=cwd, env={**clean, **environment}, text=True, capture_output=True, timeout=300,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def wheel(shared: Path) -> Path:
    """Built from a copy, so that the build leaves nothing in the checkout."""
    copy, built = shared / "source", shared / "wheel"
    with file_lock(shared / "wheel.lock"):
        if not built.exists():
            copy.mkdir()
            for name in SOURCES:
                source = ROOT / name
                if source.is_dir():
                    ignore = shutil.ignore_patterns("__pycache__", ".*")
                    shutil.copytree(source, copy / name, ignore=ignore)
                elif source.exists():
                    shutil.copy(source, copy / name)
            pip = (sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps")
            done = run(*pip, "--quiet", "--wheel-dir", shared / "building", copy, cwd=shared)
            assert done.returncode == 0, done.stdout + done.stderr
            (shared / "building").rename(built)
    [path] = built.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, shared: Path) -> Path:
    """The folder of programs of a fresh environment that has the wheel and the dependencies."""
    place = shared / "environment"
    with file_lock(shared / "environment.lock"):
        if not (place / "done").exists():
            venv.create(place, symlinks=True, with_pip=False)
            library = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
            pip = (sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install")
            done = run(*pip, "--quiet", "--no-deps", "--no-index", wheel, cwd=place)
            assert done.returncode == 0, done.stdout + done.stderr
            _link_dependencies(library)
            (place / "done").touch()
    return place / "bin"


def _link_dependencies(library: Path) -> None:
    """Everything in this environment but seqzoo itself and what puts a checkout on the path."""
    for item in Path(sysconfig.get_path("purelib")).iterdir():
        if not BLOCKED.search(item.name) and not (library / item.name).exists():
            (library / item.name).symlink_to(item)


def metadata() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_wheel_has_the_five_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    [information] = [top for top in tops if top.endswith(".dist-info")]
    assert tops - {information} == PACKAGES
    assert f"{information}/licenses/LICENSE" in names
    sources = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    assert {name for name in names if not name.startswith(information)} == sources


def test_the_installed_packages_are_those_of_the_wheel(installed: Path) -> None:
    names = ", ".join(sorted(PACKAGES))
    code = f"import sys, {names}\nprint(*(m.__file__ for m in ({names})), *sys.path, sep='\\n')"
    done = run(installed / "python", "-P", "-c", code, cwd=Path("/"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    files, places = lines[: len(PACKAGES)], lines[len(PACKAGES) :]
    assert all(Path(file).is_relative_to(installed.parent) for file in files), files
    assert not [place for place in places if Path(place).is_relative_to(ROOT)]


@pytest.mark.parametrize(
    "words",
    [
        ("-m", "zoo", "list"),
        ("-m", "tasks", "list"),
        ("-m", "ablations.run", "--help"),
        ("-m", "ablations.run", "decay=off", "dry-run=yes"),
    ],
    ids=" ".join,
)
def test_programs_work_from_the_root_directory(
    installed: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    out = (f"out={tmp_path / 'out'}",) if "dry-run=yes" in words else ()
    done = run(installed / "python", *words, *out, cwd=Path("/"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


@pytest.mark.parametrize("script", ["seqzoo", "seqzoo-zoo", "seqzoo-tasks"])
def test_console_scripts_exist_and_help(installed: Path, tmp_path: Path, script: str) -> None:
    assert set(metadata()["scripts"]) == {"seqzoo", "seqzoo-zoo", "seqzoo-tasks"}
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("raise SystemExit('imported')")
    done = run(installed / script, "--help", cwd=tmp_path)  # a script does not look in the cwd
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage" in done.stdout


def test_dependencies_have_lower_bounds_only() -> None:
    project = metadata()
    extras = [word for group in project["optional-dependencies"].values() for word in group]
    for word in [*project["dependencies"], *extras]:
        bounds = list(Requirement(word).specifier)
        assert [bound.operator for bound in bounds] == [">="], word
    assert project["requires-python"] == ">=3.11"


def test_constraints_fix_every_dependency_within_its_bound() -> None:
    lines = (ROOT / "constraints.txt").read_text().split()
    fixed = {name.lower().replace("_", "-"): version for name, _, version in
             (line.partition("==") for line in lines)}  # fmt: skip
    assert all(fixed.values())
    project = metadata()
    for word in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        requirement = Requirement(word)
        assert requirement.specifier.contains(fixed[requirement.name.lower()]), word


def test_the_citation_is_valid_and_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    needed = {"cff-version", "message", "title", "authors"}  # by the schema of CFF 1.2.0
    optional = {"type", "version", "license", "abstract", "keywords", "date-released"}
    assert needed <= citation.keys() <= needed | optional
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["authors"] == metadata()["authors"] == [{"name": "The seqzoo authors"}]
    assert str(citation["version"]) == metadata()["version"]
    assert citation["license"] == metadata()["license"] == "Apache-2.0"


def test_the_license_is_the_whole_text() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert all(f"\n   {number}. " in text for number in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in text
