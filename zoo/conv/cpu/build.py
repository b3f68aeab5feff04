"""Compile the C++ of this folder at first use, keep it, load it. What it computes lies elsewhere.

A kept library is named by everything that it depends on (sources, flags, compiler, torch, Python,
processor) and has its checksum beside it, written last: what is half written is built again. Only
one process builds; the lock is the kernel's, so one that is killed leaves nothing that blocks.

    SEQZOO_CACHE     where libraries are kept, instead of ~/.cache/seqzoo
    SEQZOO_COMPILER  off: do without
    CXX              the compiler, instead of c++
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import logging
import os
import platform
import re
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import torch

from zoo.conv.cpu import compile as compiling

NAME = "seqzoo_cpu"
SOURCES = Path(__file__).parent
TIMEOUT = 900  # seconds; a compiler that takes longer hangs
_lock = threading.Lock()
_log = logging.getLogger("seqzoo")  # without handlers, warnings go to stderr


class CannotBuildError(RuntimeError):
    """Why there is no library, in one line."""


@cache
def extension() -> ModuleType | None:
    """The compiled module, built if need be; None where that cannot be, after one line of log."""
    return _outcome()[0]


@cache
def reason() -> str | None:
    """Why `extension()` is None, in one line; None if it is not."""
    return _outcome()[1]


def _outcome() -> tuple[ModuleType | None, str | None]:
    with _lock:  # threads wait for the first
        return _outcome_once()


@cache
def _outcome_once() -> tuple[ModuleType | None, str | None]:
    if os.environ.get("SEQZOO_COMPILER", "").lower() == "off":
        return None, "SEQZOO_COMPILER=off"
    try:
        return load(NAME, SOURCES), None
    except Exception as error:  # whatever it is, torch can convolve
        problem = _one_line(error) or type(error).__name__
        _log.warning("seqzoo: no compiled convolution, torch's own instead: %s", problem)
        return None, problem


def load(name: str, folder: Path) -> ModuleType:
    """The module made of folder/*.cpp, from the first place that has it or can keep it.

    Raises: CannotBuildError.
    """
    key, problems = _key(folder), []
    for root in (_cache, _private_temporary):
        try:
            library = root() / f"{name}-{key}" / f"{name}.so"
            if not _is_whole(library):
                _build(name, folder, library)
            return _imported(name, library)
        except (OSError, ImportError) as error:  # cannot write here, or load from here
            problems.append(str(error))
    raise CannotBuildError(_one_line("; ".join(problems)))


def _cache() -> Path:
    chosen = os.environ.get("SEQZOO_CACHE")
    if chosen:
        return _expanded(chosen).absolute()
    standard = os.environ.get("XDG_CACHE_HOME", "")
    home = standard if Path(standard).is_absolute() else _expanded("~/.cache")
    return Path(home) / "seqzoo"


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # no such user, or one without a home
        raise FileNotFoundError(f"{path}: {error}") from error


def _private_temporary() -> Path:
    """A folder of this user's only: nobody else may put a library there."""
    place = Path(tempfile.gettempdir()) / f"seqzoo-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{place} is not a folder that only this user can write to")
    return place


# What a library depends on -------------------------------------------------------------------


def _key(folder: Path) -> str:
    files = sorted(path for end in ("*.cpp", "*.h") for path in folder.glob(end))
    depends_on = {
        "sources": {path.name: path.read_text() for path in files},
        "how": Path(compiling.__file__).read_text(),
        "compiler": _compiler_version(),
        "torch": torch.__version__,
        "python": sysconfig.get_config_var("EXT_SUFFIX"),
        "processor": _processor(),
    }
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:24]


def _compiler_version() -> list[str]:
    try:
        command = [*shlex.split(compiling.compiler()), "--version"]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=True, timeout=60
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise CannotBuildError(
            f"no C++ compiler ({_one_line(error)}): install one, or name it in CXX"
        ) from error
    return [*command, done.stdout]


def _processor() -> list[str]:
    """What -march=native sees: the machines that share a home may differ."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = [line for line in lines if line.lower().startswith(("flags", "features"))]
        return [platform.machine(), *flags[:1]]
    return [platform.machine(), platform.processor()]


# Keeping it ----------------------------------------------------------------------------------


def _is_whole(library: Path) -> bool:
    with contextlib.suppress(OSError):
        return _checksum(library) == _sum_file(library).read_text()
    return False


def _checksum(library: Path) -> str:
    return hashlib.sha256(library.read_bytes()).hexdigest()


def _sum_file(library: Path) -> Path:
    return library.with_suffix(".sha256")


def _build(name: str, folder: Path, library: Path) -> None:
    """Compile beside the library's place, then put it there whole; others wait for it."""
    library.parent.mkdir(parents=True, exist_ok=True)
    with _held(library.parent / "lock"):
        if _is_whole(library):  # another process was first
            return
        building = library.parent / "building"
        shutil.rmtree(building, ignore_errors=True)  # of one that was killed: this one has the lock
        building.mkdir()
        try:
            _log.warning("seqzoo: building the C++ convolution (once, less than a minute)")
            built = _compiled(name, folder, building)
            _sum_file(library).unlink(missing_ok=True)
            checksum = _checksum(built)
            built.replace(library)
            (building / "sum").write_text(checksum)
            (building / "sum").replace(_sum_file(library))
        finally:
            shutil.rmtree(building, ignore_errors=True)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Only one process is inside; the kernel drops the lock of one that dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _compiled(name: str, folder: Path, building: Path) -> Path:
    """Run compile.py: in a process of its own, so that a library that crashes is found out there.

    ninja is a dependency, but its program may lie beside a Python that is not on the PATH.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), sysconfig.get_path("scripts")])
    command = [sys.executable, "-P", compiling.__file__, name, str(folder), str(building)]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotBuildError(f"the compiler took more than {TIMEOUT} s") from error
    if done.returncode != 0:
        raise CannotBuildError(_first_error(done.stdout) or f"exit status {done.returncode}")
    return building / f"{name}.so"


def _first_error(output: str) -> str:
    """The compiler's first complaint, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    complaints = [line for line in lines if re.search(r"\b(fatal )?error: ", line)]
    return (complaints or lines[-1:] or [""])[0][:300]


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]


def _imported(name: str, library: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, library)
    if spec is None or spec.loader is None:
        raise ImportError(f"{library} is not a module of Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
