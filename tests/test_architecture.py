"""The house: which package may import which, and what may be done in one place only."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("zoo", "tasks", "sweeps", "reports", "ablations")
# Whose modules a package may import: a package, or single modules of it.
ALLOWED = {
    "zoo": {"zoo"},
    "tasks": {"tasks", "zoo.spec"},
    "sweeps": {"sweeps", "tasks", "zoo"},
    "reports": {"reports", "sweeps.results", "sweeps.words"},
    "ablations": set(PACKAGES),
}
SHARED = ("zoo._guard", "zoo._lines")  # how a program begins, and prints
BANNED_NAMES = ("utils", "base", "common", "helper", "manager")
UNPICKLERS = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")


@dataclass(frozen=True)
class Imported:
    """One import of one file."""

    file: str
    line: int
    module: str
    in_function: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def files(*packages: str) -> list[Path]:
    return sorted(f for name in packages or PACKAGES for f in (ROOT / name).rglob("*.py"))


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), str(file))


def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def imports(file: Path, code: ast.AST | None = None) -> Iterator[Imported]:
    here = file.relative_to(ROOT)
    code = code or tree(file)
    inside = {
        id(node)
        for function in ast.walk(code)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(code):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(here.with_suffix("").parts[: -node.level]) if node.level else ""
            module = ".".join(filter(None, (parent, node.module)))
            whole = [f"{module}.{alias.name}" for alias in node.names]
            names = [full if is_module(full) else module for full in whole]
        for name in dict.fromkeys(names):
            yield Imported(str(here), node.lineno, name, id(node) in inside)


def is_edge_allowed(package: str, found: Imported) -> bool:
    """Whether this import follows design: one way only, and the few exceptions."""
    target = found.module.partition(".")[0]
    if target not in PACKAGES:
        return True
    if target in ALLOWED[package] or found.module in ALLOWED[package]:
        return True
    if found.module in SHARED:
        return is_program(found.file)
    program = found.file in ("zoo/__main__.py", "tasks/__main__.py")
    return program and found.module == "reports.figure" and found.in_function


def is_program(file: str) -> bool:
    return '__name__ == "__main__"' in (ROOT / file).read_text()


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    wrong = [
        str(found)
        for file in files(package)
        for found in imports(file)
        if not is_edge_allowed(package, found)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("file", "code", "fine"),
    [
        ("zoo/model.py", "import tasks", False),
        ("zoo/model.py", "def f():\n    from sweeps import train", False),
        ("zoo/model.py", "def f():\n    import reports.figure", False),
        ("zoo/__main__.py", "import reports.figure", False),
        ("zoo/__main__.py", "def f():\n    from reports import figure", True),
        ("zoo/__main__.py", "def f():\n    from reports import table", False),
        ("tasks/task.py", "from zoo.spec import Spec", True),
        ("tasks/task.py", "from zoo import spec", True),
        ("tasks/task.py", "import zoo", False),
        ("tasks/task.py", "from zoo import model", False),
        ("tasks/task.py", "from zoo import _guard", False),
        ("tasks/__main__.py", "from zoo._guard import guard", True),
        ("tasks/__main__.py", "from zoo._lines import print_lines", True),
        ("tasks/show.py", "from zoo._lines import print_lines", False),
        ("reports/table.py", "from sweeps.results import read_study", True),
        ("reports/table.py", "from sweeps import words", True),
        ("reports/table.py", "from sweeps.train import run_experiment", False),
        ("reports/table.py", "import zoo.measure", False),
        ("sweeps/train.py", "from reports import table", False),
        ("sweeps/train.py", "from ablations import plan", False),
        ("ablations/run.py", "import reports.build, sweeps.train, zoo, tasks", True),
        ("sweeps/train.py", "import torch, numpy", True),
    ],
)
def test_the_rule_itself(file: str, code: str, fine: bool) -> None:
    """A rule that lets everything through would pass on any tree."""
    found = list(imports(ROOT / file, ast.parse(code)))
    assert found
    assert all(is_edge_allowed(file.partition("/")[0], each) for each in found) == fine


def importers(module: str) -> set[str]:
    return {
        found.file
        for file in files()
        for found in imports(file)
        if found.module == module or found.module.startswith(f"{module}.")
    }


def test_mlflow_is_imported_in_one_place() -> None:
    assert importers("mlflow") <= {"sweeps/mlflow_store.py"}


def test_triton_stays_behind_its_backend() -> None:
    assert {f for f in importers("triton") if not f.startswith("zoo/conv/triton/")} == set()


def test_no_optimiser_of_trials_below_the_sweeps() -> None:
    assert {f for f in importers("optuna") if not f.startswith("sweeps/")} == set()


def test_tasks_and_reports_know_no_torch() -> None:
    assert {f for f in importers("torch") if f.startswith(("tasks/", "reports/"))} == set()


def dotted(node: ast.AST) -> str:
    """`torch.manual_seed` of an attribute chain, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (start := dotted(node.value)):
        return f"{start}.{node.attr}"
    return ""


def offences(file: Path, code: ast.AST | None = None) -> Iterator[str]:
    """Unpickling, global seeds: what has a safe form, or one place."""
    here = str(file.relative_to(ROOT))
    for node in ast.walk(code or tree(file)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [dotted(node)]
        elif isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
            names = [f"{node.arg}={node.value.value}"]
        for name in names:
            if is_offence(here, name):
                yield f"{here}:{getattr(node, 'lineno', '?')} {name}"


def is_offence(file: str, name: str) -> bool:
    if name.partition(".")[0] in UNPICKLERS or name in (
        "torch.load",
        "torch.save",
        "torch.serialization.load",
        "allow_pickle=True",
        "weights_only=False",
    ):
        return True
    seeds = name.startswith("torch.") and name.rpartition(".")[2].startswith(
        ("manual_seed", "seed", "set_rng_state")
    )
    others = name in ("random.seed", "np.random.seed", "numpy.random.seed")
    if name == "torch.manual_seed" and file == "sweeps/train.py":
        return False
    if name.rpartition(".")[2].startswith("set_rng_state"):
        return not file.startswith("sweeps/")  # resuming puts a saved state back
    return seeds or others


def test_nothing_is_unpickled_and_nothing_is_seeded_behind_the_trainers_back() -> None:
    wrong = [offence for file in files() for offence in offences(file)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("file", "code", "count"),
    [
        ("zoo/draws.py", "torch.manual_seed(0)", 1),
        ("zoo/draws.py", "from torch import manual_seed", 1),
        ("zoo/draws.py", "torch.cuda.manual_seed_all(0)", 1),
        ("zoo/draws.py", 'torch.Generator("cpu").manual_seed(3)', 0),
        ("zoo/draws.py", "np.random.seed(3)", 1),
        ("zoo/draws.py", "np.random.default_rng(3)", 0),
        ("sweeps/train.py", "torch.manual_seed(0)", 0),
        ("sweeps/train.py", "torch.cuda.manual_seed(0)", 1),
        ("sweeps/checkpoint.py", "import pickle", 1),
        ("sweeps/checkpoint.py", "from pickle import loads", 1),
        ("sweeps/checkpoint.py", "torch.load(f)", 1),
        ("sweeps/checkpoint.py", "np.load(f, allow_pickle=True)", 1),
        ("sweeps/checkpoint.py", "np.load(f, allow_pickle=False)", 0),
        ("sweeps/checkpoint.py", "safetensors.torch.load(f)", 0),
    ],
)
def test_the_offences_themselves(file: str, code: str, count: int) -> None:
    assert len(list(offences(ROOT / file, ast.parse(code)))) == count


@pytest.mark.parametrize(
    "module",
    [
        "zoo",
        "zoo.spec",
        "zoo._guard",
        "zoo._lines",
        "tasks",
        "reports",
        "sweeps",
        "sweeps.words",
        "sweeps.results",
    ],
)
def test_light_modules_bring_no_torch(module: str) -> None:
    code = f"import sys, {module}; print(*{{'torch', 'mlflow', 'optuna'}} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == ""


def test_names_say_what_is_inside() -> None:
    vague = [str(f) for f in files() if any(word in f.stem for word in BANNED_NAMES)]
    assert not vague


def test_tests_shadow_no_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))
