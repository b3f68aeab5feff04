"""Atomic writes survive faults, names stay inside, the lock excludes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps import atomic
from sweeps.owner import owner_of, owning
from sweeps.words import WordError

ROOT = Path(__file__).resolve().parents[2]


def files(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir())


def child(code: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)


def test_writes_whole_files_and_replaces_them(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    atomic.write_bytes(path, b"")
    assert path.read_bytes() == b""
    data = os.urandom(100_003)
    atomic.write_bytes(str(path), data)
    assert path.read_bytes() == data
    atomic.write_text(tmp_path / "t", "π\n")
    assert (tmp_path / "t").read_bytes() == b"\xcf\x80\n"
    assert files(tmp_path) == ["a.bin", "t"]


def test_file_mode_follows_the_umask(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    atomic.write_bytes(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_is_strict_and_checked_before_the_file_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    value = {"b": [1, 2.5, None, "off"], "a": {"é": True}}
    atomic.write_json(path, value)
    assert json.loads(path.read_text()) == value
    assert list(json.loads(path.read_text())) == ["b", "a"]
    for bad in (float("nan"), float("-inf")):
        with pytest.raises(ValueError, match="JSON"):
            atomic.write_json(path, {"loss": bad})
    with pytest.raises(TypeError):
        atomic.write_json(path, {"x": object()})
    assert json.loads(path.read_text()) == value


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_fault_keeps_the_old_file_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        atomic.write_bytes(path, b"new")
    assert (caught.value.errno, caught.value.filename) == (code, str(path))
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["a"]


def test_a_missing_directory_and_a_directory_in_the_way_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "no" / "a"))):
        atomic.write_bytes(tmp_path / "no" / "a", b"")
    (tmp_path / "d").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        atomic.write_bytes(tmp_path / "d", b"")
    assert str(caught.value).endswith(f"'{tmp_path / 'd'}'")
    assert files(tmp_path) == ["d"]


FULL_DISK = """
import resource, sys
from sweeps.atomic import write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(sys.argv[1], b"x" * 5000)
except OSError as error:
    print(error.errno, error.filename)
"""


def test_disk_full_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    out, _ = child(FULL_DISK, path).communicate(timeout=60)
    assert out.split() == [str(errno.EFBIG), str(path)]
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["a"]


def test_readers_never_see_a_part(tmp_path: Path) -> None:
    path = tmp_path / "a"
    blocks = [bytes([i]) * 200_000 for i in range(4)]
    atomic.write_bytes(path, blocks[0])
    done = threading.Event()

    def write() -> None:
        for i in range(40):
            atomic.write_bytes(path, blocks[i % 4])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not done.is_set() or seen == 0:
        assert path.read_bytes() in blocks
        seen += 1
    writer.join()


@given(st.text(max_size=200))
def test_a_slug_is_a_safe_name(name: str) -> None:
    text = atomic.slug(name)
    assert re.fullmatch(r"[a-z0-9_][a-z0-9._-]{0,79}", text)
    assert ".." not in text
    assert atomic.slug(text) == text


def test_slugs_read_well() -> None:
    assert atomic.slug("decay=off task=MQAR lr=1e-3") == "decay-off-task-mqar-lr-1e-3"
    assert atomic.slug("../../etc/passwd") == "etc-passwd"
    assert atomic.slug("模型") != atomic.slug("数据")
    assert len(atomic.slug("x" * 300)) == 80


BAD = [
    "..",
    "../x",
    "a/../../x",
    "/etc/passwd",
    "",
    ".",
    "a/..",
    "a/../b",
    "x\0y",
    "link/x",
    "link",
]


@pytest.mark.parametrize("name", BAD)
def test_names_that_leave_the_root_are_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "out"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="leads outside"):
        atomic.inside(root, name)


@pytest.mark.parametrize("name", ["a", "a/b.json", ".hidden", "..a", "模型", "x" * 200])
def test_names_inside_are_kept(tmp_path: Path, name: str) -> None:
    assert atomic.inside(tmp_path / "out", name) == tmp_path / "out" / name
    assert atomic.inside("out", name) == Path("out") / name


COUNT = """
import sys
from sweeps.atomic import file_lock
for _ in range(50):
    with file_lock(sys.argv[1] + ".lock"):
        n = int(open(sys.argv[1]).read())
        open(sys.argv[1], "w").write(str(n + 1))
"""


def test_the_lock_excludes_processes(tmp_path: Path) -> None:
    counter = tmp_path / "n"
    counter.write_text("0")
    children = [child(COUNT, counter) for _ in range(3)]
    for process in children:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert counter.read_text() == "150"


HOLD = """
import sys, time
from sweeps.atomic import file_lock
with file_lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    process = child(HOLD, lock)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    entered = threading.Event()

    def enter() -> None:
        with atomic.file_lock(lock):
            entered.set()

    waiter = threading.Thread(target=enter)
    waiter.start()
    assert not entered.wait(0.2)
    process.kill()
    process.communicate(timeout=60)
    assert entered.wait(10)
    waiter.join()


def test_the_lock_is_released_by_an_exception_and_excludes_threads(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with pytest.raises(KeyError), atomic.file_lock(lock):
        raise KeyError
    inside: list[int] = []

    def enter(i: int) -> None:
        with atomic.file_lock(lock):
            inside.append(i)
            assert len(inside) == 1
            inside.remove(i)

    threads = [threading.Thread(target=enter, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside == []


def test_who_waits_for_the_lock_may_give_up(tmp_path: Path) -> None:
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise TimeoutError

    with atomic.file_lock(tmp_path / "lock", look):
        assert not looks
        with pytest.raises(TimeoutError), atomic.file_lock(tmp_path / "lock", look):
            pytest.fail("two are inside")
    with atomic.file_lock(tmp_path / "lock", look):
        assert len(looks) == 3


def test_a_study_is_owned_although_somebody_looks_who_owns_it(tmp_path: Path) -> None:
    with owning(tmp_path):
        pass
    descriptor = os.open(tmp_path / "driver.json", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    threading.Timer(0.3, os.close, [descriptor]).start()
    with owning(tmp_path):
        assert (owner_of(tmp_path) or {})["pid"] == os.getpid()
        with pytest.raises(WordError, match=f"process {os.getpid()} on "), owning(tmp_path):
            pytest.fail("two drivers")
    assert owner_of(tmp_path) is None
