"""The compiler's part: built once, whole or not there, and what happens where it cannot be built.

Most tests build a module of ten lines, in caches of their own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zoo.conv.cpu import build, compile

ROOT = Path(__file__).parents[2]
TINY = """
#include <Python.h>
#include "answer.h"
static PyObject* answer(PyObject*, PyObject*) { return PyLong_FromLong(ANSWER); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "tiny", nullptr, -1, methods};
PyMODINIT_FUNC PyInit_tiny() { return PyModule_Create(&definition); }
"""
LOAD = "from pathlib import Path; from zoo.conv.cpu import build; import sys\n"
LOAD_TINY = LOAD + "print(build.load('tiny', Path(sys.argv[1])).answer())"
BUILDING = "seqzoo: building the C++ convolution"


@pytest.fixture
def compiler() -> str:
    command = compile.compiler()
    if shutil.which(command) is None:
        pytest.skip(f"no compiler: {command}")
    return command


@pytest.fixture
def folder(tmp_path: Path, compiler: str) -> Path:
    """A source and a header."""
    place = tmp_path / "a source"
    place.mkdir()
    (place / "tiny.cpp").write_text(TINY)
    (place / "answer.h").write_text("#define ANSWER 42\n")
    return place


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """Each test's own, but for those of the real extension."""
    place = tmp_path / "cache"
    if "real" not in request.fixturenames:
        monkeypatch.setenv("SEQZOO_CACHE", str(place))
    return place


def library(cache: Path) -> Path:
    [path] = cache.glob("tiny-*/tiny.so")
    return path


def builds(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.message.startswith(BUILDING) for record in caplog.records)


def python(code: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        text=True, capture_output=True, timeout=300, check=False,
    )  # fmt: skip


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


# Keeping -------------------------------------------------------------------------------------


def test_built_once(folder: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert build.load("tiny", folder).answer() == 42
    assert builds(caplog) == 1
    assert build.load("tiny", folder).answer() == 42
    assert builds(caplog) == 1
    names = {path.name for path in library(cache).parent.iterdir()}
    assert names == {"tiny.so", "tiny.sha256", "lock"}


@pytest.mark.parametrize("damage", ["truncated", "a bit", "no sum", "half a sum", "empty", "gone"])
def test_what_is_not_whole_is_built_again(
    folder: Path, cache: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    build.load("tiny", folder)
    path, checksum = library(cache), library(cache).with_suffix(".sha256")
    data = path.read_bytes()
    path.unlink()  # a new file: this process still has the old one mapped
    if damage != "gone":
        path.write_bytes(data)
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "a bit":
        path.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "no sum":
        checksum.unlink()
    elif damage == "half a sum":
        checksum.write_text(checksum.read_text()[:30])
    assert build.load("tiny", folder).answer() == 42
    assert builds(caplog) == 2
    assert path.read_bytes() == data


def test_the_key_is_all_that_it_depends_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = [build._key(folder)]
    (folder / "answer.h").write_text("#define ANSWER 43\n")
    keys.append(build._key(folder))
    (folder / "more.cpp").write_text("")
    keys.append(build._key(folder))
    monkeypatch.setattr(build, "_processor", lambda: ["another"])
    keys.append(build._key(folder))
    monkeypatch.setattr(build.torch, "__version__", "0.0")
    keys.append(build._key(folder))
    monkeypatch.setenv("CXX", str(script(tmp_path / "cxx", "echo version 1")))
    keys.append(build._key(folder))
    script(tmp_path / "cxx", "echo version 2")
    keys.append(build._key(folder))
    assert len(set(keys)) == len(keys)
    assert build._key(folder) == keys[-1]


def test_processes_at_once_build_once(folder: Path) -> None:
    command = [sys.executable, "-c", LOAD_TINY, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], outputs
    assert [out for out, _ in outputs] == ["42\n"] * 3
    assert sum(err.count(BUILDING) for _, err in outputs) == 1


def test_one_that_is_killed_leaves_nothing_that_blocks(
    folder: Path, cache: Path, tmp_path: Path, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, started = tmp_path / "slow", tmp_path / "started"
    body = f'[ -e "{slow}" ] && [ "$1" != --version ] && touch "{started}" && sleep 100'
    monkeypatch.setenv("CXX", str(script(tmp_path / "cxx", f'{body}\nexec {compiler} "$@"')))
    slow.touch()
    process = subprocess.Popen(
        [sys.executable, "-c", LOAD_TINY, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True, stdout=-1, stderr=-1,
    )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while not started.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert started.exists()
        process.kill()
        process.wait()
        [left] = cache.glob("tiny-*")
        assert (left / "building").is_dir()
        assert not (left / "tiny.so").exists()
        slow.unlink()
        assert build.load("tiny", folder).answer() == 42  # while its compiler still sleeps
        assert not (left / "building").exists()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# Where it cannot be --------------------------------------------------------------------------


def test_without_a_compiler_torch_convolves_and_says_so_once(tmp_path: Path) -> None:
    code = """
import torch
from zoo.conv import fft_conv
from zoo.conv.short_conv import short_conv
u, k, w = torch.randn(2, 8, 70), torch.randn(8, 70), torch.randn(8, 4)
for _ in range(3):
    ours, theirs = fft_conv(u, k), fft_conv(u, k, backend="spectral")
    torch.testing.assert_close(ours, theirs)
    ours, theirs = short_conv(u.mT, w), short_conv(u.mT, w, backend="reference")
    torch.testing.assert_close(ours, theirs)
print("fine")
"""
    done = python(code, CXX="/nonexistent/c++")
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr
    [line] = done.stderr.splitlines()
    assert "/nonexistent/c++" in line
    assert "torch's own instead" in line


def test_a_backend_that_is_asked_for_says_why_it_is_not_there() -> None:
    code = """
import torch
from zoo.conv.short_conv import short_conv
short_conv(torch.zeros(1, 2, 3), torch.zeros(3, 2), backend="cpu")
"""
    done = python(code, CXX="/nonexistent/c++")
    assert re.search(r"ValueError: backend='cpu': no C\+\+ compiler", done.stderr)


HOMELESS = """
import os, pwd, torch
from zoo.conv import fft_conv
def no(uid): raise KeyError(uid)
pwd.getpwuid = no  # a container's user without an entry
os.environ.pop("HOME", None)
print(fft_conv(torch.randn(1, 2, 40), torch.randn(2, 40)).shape)
"""


@pytest.mark.parametrize("words", ["g++ '", "/nonexistent/c++ -x", "", "/tmp"])
def test_a_compiler_that_cannot_even_be_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("CXX", words)
    with pytest.raises(build.CannotBuildError, match=r"no C\+\+ compiler") as caught:
        build.load("tiny", folder)
    assert "\n" not in str(caught.value)


def test_a_version_that_is_no_text(
    folder: Path, tmp_path: Path, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f'[ "$1" = --version ] && printf "\\377\\376 1.0" && exit\nexec {compiler} "$@"'
    monkeypatch.setenv("CXX", str(script(tmp_path / "cxx", body)))
    assert build.load("tiny", folder).answer() == 42


def test_a_user_without_a_home(folder: Path, tmp_path: Path) -> None:
    """Then it is kept in the temporary folder, or without that not at all."""
    homeless = HOMELESS.replace("from zoo.conv import fft_conv", "").rsplit("print", 1)[0]
    for cache in ("", "~nobody_is_here/x"):
        place = tmp_path / (cache[1:5] or "empty")
        place.mkdir()
        environment = {"SEQZOO_CACHE": cache, "XDG_CACHE_HOME": "", "TMPDIR": str(place)}
        done = python(homeless + LOAD_TINY, folder, **environment)
        assert done.stdout == "42\n", done.stderr
        assert len(list(place.glob("seqzoo-*/tiny-*"))) == 1


def test_no_home_and_no_compiler() -> None:
    done = python(HOMELESS, SEQZOO_CACHE="", XDG_CACHE_HOME="", CXX="g++ '")
    assert done.stdout == "torch.Size([1, 2, 40])\n", done.stderr
    [line] = done.stderr.splitlines()
    assert "torch's own instead: no C++ compiler" in line


def test_whatever_goes_wrong_torch_convolves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(name: str, folder: Path) -> None:
        raise KeyError("what nobody\nforesaw")

    monkeypatch.setattr(build, "load", fail)
    module, problem = build._outcome_once.__wrapped__()
    assert module is None
    assert "nobody" in str(problem)
    assert "\n" not in str(problem)
    assert len(caplog.records) == 1


def test_the_standard_ignores_a_relative_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEQZOO_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    for home in ("here", "~/c", "", "./x"):
        monkeypatch.setenv("XDG_CACHE_HOME", home)
        assert build._cache() == tmp_path / ".cache" / "seqzoo"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert build._cache() == tmp_path / "c" / "seqzoo"


def test_off_is_silent() -> None:
    code = "from zoo.conv.cpu import build; print(build.extension(), build.reason())"
    done = python(code, SEQZOO_COMPILER="off")
    assert (done.stdout, done.stderr) == ("None SEQZOO_COMPILER=off\n", "")


def test_the_reason_is_the_compilers_first_complaint(folder: Path, cache: Path) -> None:
    (folder / "tiny.cpp").write_text('#include "nowhere.h"\nint x = y;\n')
    with pytest.raises(build.CannotBuildError, match=r"nowhere\.h") as caught:
        build.load("tiny", folder)
    assert "\n" not in str(caught.value)
    [left] = cache.glob("tiny-*")
    assert [path.name for path in left.iterdir()] == ["lock"]


def test_a_library_that_crashes_is_found_out_elsewhere(folder: Path) -> None:
    text = (folder / "tiny.cpp").read_text().replace("{ return PyModule", "{ abort(); return PyMod")
    (folder / "tiny.cpp").write_text(text.replace("PyModModule", "PyModule").replace(
        "PyMod_Create", "PyModule_Create"))  # fmt: skip
    with pytest.raises(build.CannotBuildError):
        build.load("tiny", folder)


def test_a_cache_that_cannot_be_written_to(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Then it is kept in a folder of this user's, in the temporary one."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEQZOO_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(build.tempfile, "gettempdir", lambda: str(tmp_path))
    for _ in range(2):
        assert build.load("tiny", folder).answer() == 42
    assert builds(caplog) == 1
    private = tmp_path / f"seqzoo-{os.getuid()}"
    assert private.stat().st_mode & 0o777 == 0o700
    private.chmod(0o777)  # others could have put a library there
    with pytest.raises(build.CannotBuildError, match="only this user"):
        build.load("tiny", folder)


def test_a_cache_that_can_only_be_read(folder: Path, cache: Path) -> None:
    build.load("tiny", folder)
    lock = library(cache).parent / "lock"
    lock.unlink()
    lock.mkdir()  # opening it to write fails, for root too
    assert build.load("tiny", folder).answer() == 42


# Compilers -----------------------------------------------------------------------------------


def test_ninja_need_not_be_on_the_path(
    folder: Path, tmp_path: Path, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ninja", reason="the ninja of the system only")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("c++", "g++", "as", "ld", "sh"):
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(programs))
    assert shutil.which("ninja") is None
    assert build.load("tiny", folder).answer() == 42


@pytest.mark.parametrize("refused", ["-march=native", "-fopenmp"])
def test_flags_that_a_compiler_does_not_know(
    folder: Path, tmp_path: Path, compiler: str, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    body = f'for word in "$@"; do [ "$word" = {refused} ] && exit 1; done\nexec {compiler} "$@"'
    monkeypatch.setenv("CXX", str(script(tmp_path / "cxx", body)))
    assert build.load("tiny", folder).answer() == 42


def test_no_flag_changes_what_numbers_are() -> None:
    flags = {*compile.FLAGS, *compile.WHERE_ACCEPTED}
    assert not flags & {
        "-ffast-math",
        "-Ofast",
        "-funsafe-math-optimizations",
        "-ffinite-math-only",
    }


@pytest.mark.skipif(shutil.which("clang++") is None, reason="clang++ is not installed")
def test_clang(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "clang++")
    assert build.load("tiny", folder).answer() == 42


# The real one --------------------------------------------------------------------------------


@pytest.fixture
def real(compiler: str) -> None:
    assert build.extension() is not None, build.reason()


@pytest.mark.usefixtures("real")
def test_denormals_stay() -> None:
    code = """
import torch
from zoo.conv.cpu import build
tiny = lambda: (torch.tensor(1e-40) * 1.0).item()
before = tiny()
assert build.extension() is not None
print(before > 0, tiny() == before, 1e-310 * 1.0 > 0)
"""
    done = python(code)
    assert done.stdout == "True True True\n", done.stderr


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
@pytest.mark.usefixtures("real")
def test_one_pool_of_threads() -> None:
    code = """
import os, re, torch
from zoo.conv.short_conv import short_conv
torch.set_num_threads(3)
u, w = torch.randn(16, 1024, 64), torch.randn(64, 4)
(u + 1).sum()
before = len(os.listdir("/proc/self/task"))
for _ in range(3):
    short_conv(u, w, backend="cpu")
maps = open("/proc/self/maps").read()
print(len(set(re.findall(r"\\S*lib[gi]?omp[^ ]*\\.so\\S*", maps))), before,
      len(os.listdir("/proc/self/task")))
"""
    done = python(code)
    pools, before, after = map(int, done.stdout.split())
    assert (pools, after) == (1, before), done.stderr


def test_lines_are_seen_without_any_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """On stderr, and once a logger has handlers, through those."""
    assert build._log.name == "seqzoo"
    assert build._log.isEnabledFor(logging.WARNING)
