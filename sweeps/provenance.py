"""Where a number comes from: the code, the versions, the machine, the command."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sweeps import allocator
from sweeps.address import masked, user_place
from zoo.spec import PLUGINS

PACKAGES = ("zoo", "tasks", "sweeps")  # what a number depends on; reports and ablations only read
SOURCES = (".py", ".cpp", ".h", ".cu", ".npz")
DIFF_LIMIT = 200_000  # bytes of a diff that are kept as text; its hash is of the whole
LIBRARIES = ("seqzoo", "torch", "triton", "numpy", "optuna", "cmaes", "mlflow", "polars", "scipy")


def _root(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"package {package!r} has no source folder: install it as files")
    return Path(spec.origin).parent


def source_files(package: str) -> list[Path]:
    """Every source file of a package, in a fixed order."""
    files = (p for p in _root(package).rglob("*") if p.suffix in SOURCES)
    return sorted(p for p in files if "__pycache__" not in p.parts)


@cache
def code_hash() -> str:
    """sha256 over the sources of zoo, tasks, sweeps and the installed plug-ins."""
    plugins = sorted({e.module.partition(".")[0] for e in entry_points(group=PLUGINS)})
    digest = hashlib.sha256()
    for package in (*PACKAGES, *plugins):
        root = _root(package)
        for file in source_files(package):
            digest.update(f"{package}/{file.relative_to(root).as_posix()}\0".encode())
            digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def identity(device: str) -> dict[str, Any]:
    """What must be equal for a finished result to stand for a new run of the same experiment."""
    import torch

    return {
        "code": code_hash(),
        "torch": str(torch.__version__),
        "device": device_name(device),
        "dtype": "float32",
        "threads": torch.get_num_threads(),
    }


def device_name(device: str) -> str:
    """`cpu`, or the GPU's own name."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


@cache  # of the code as this process began: asking takes longer than a short run
def _git(*words: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", *words], cwd=_root("zoo"), capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() if found.returncode == 0 else None


@cache
def git_diff() -> dict[str, Any] | None:
    """What `git diff HEAD` says of the code as this process began; None where nothing differs.

    {"sha256": of all of it, "bytes": its size, "text": its first DIFF_LIMIT bytes}. New files that
    git does not know are not in it: the hash of the code is what sees them.
    """
    if not _is_checkout():
        return None
    words = ["git", "diff", "HEAD", "--no-color", "--no-ext-diff", "--no-relative"]
    try:
        found = subprocess.run(words, cwd=_root("zoo"), capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    if found.returncode or not found.stdout:
        return None
    return {
        "sha256": hashlib.sha256(found.stdout).hexdigest(),
        "bytes": len(found.stdout),
        "text": found.stdout[:DIFF_LIMIT].decode("utf-8", "replace"),
    }


def _is_checkout() -> bool:
    """Whether git knows this code: it may be installed below somebody else's repository."""
    return _git("ls-files", "--error-unmatch", "__init__.py") is not None


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _cpu_convolution() -> str:
    """Which code convolves on the CPU: results of the two differ in the last bits."""
    from zoo.conv.cpu.build import reason

    without = reason()
    return "compiled" if without is None else f"torch.fft ({without})"


def command_line() -> str:
    """The command as one would type it again, but for passwords: it is written down."""
    main = getattr(sys.modules.get("__main__"), "__spec__", None)
    program = f"python -m {main.name.removesuffix('.__main__')}" if main else Path(sys.argv[0]).name
    return masked(shlex.join([*program.split(), *sys.argv[1:]]))


def provenance(device: str) -> dict[str, Any]:
    """Everything a reader may ask about a run, as JSON values."""
    known = _is_checkout()
    status = _git("status", "--porcelain", "--untracked-files=no") if known else None
    diff = git_diff()
    return {
        **identity(device),
        "allocator": allocator.in_force,
        "cpu_convolution": _cpu_convolution(),
        "command": command_line(),
        "git_commit": _git("rev-parse", "HEAD") if known else None,
        "git_dirty": None if status is None else bool(status),
        "git_diff": diff and {"sha256": diff["sha256"], "bytes": diff["bytes"]},
        "versions": dict(_versions()),
        "hardware": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
    }


def study_provenance(device: str, root: Path, storage: str) -> dict[str, Any]:
    """That of a study: with the text of uncommitted changes, and where runs and trials are kept.

    Addresses are without passwords; files are named as `root` was typed.
    """
    return {
        **provenance(device),
        "git_diff": git_diff(),
        "stores": {
            "mlflow": user_place().uri or f"sqlite:///{root / 'mlflow.db'}",
            "optuna": storage,
        },
    }
