"""A checkpoint comes back bit for bit, or an older whole one does, or none: never a wrong one."""

from __future__ import annotations

import errno
import math
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sweeps import checkpoint
from sweeps.checkpoint import load, save

ROOT = Path(__file__).resolve().parents[2]


def tensors(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(5, 3, generator=generator)
    return {
        "weight": weight,
        "tied": weight,  # shares memory
        "column": weight.t()[1],  # neither contiguous nor at the start of its storage
        "step": torch.tensor(seed),
        "scalar": torch.tensor(0.1, dtype=torch.float64),
        "half": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
        "poles": torch.view_as_complex(torch.randn(4, 2, generator=generator)),
        "mask": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "random": generator.get_state(),
    }


STATE: dict[str, Any] = {
    "step": 12, "best": float("-inf"), "loss": 0.1 + 0.2, "names": ["off", "é"], "none": None,
}  # fmt: skip


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    def bits(x: Tensor) -> tuple[Any, ...]:
        return x.dtype, tuple(x.shape), x.contiguous().flatten().view(torch.uint8).tolist()

    return a.keys() == b.keys() and all(bits(a[name]) == bits(b[name]) for name in a)


def newest(directory: Path) -> Path:
    return max(directory.iterdir())


def step_of(directory: Path) -> int | None:
    """The step of what loads, after checking that tensors and state belong together."""
    found = load(directory)
    if found is None:
        return None
    step = found.state["step"]
    assert int(found.tensors["step"]) == step
    assert same(found.tensors, tensors(step))
    return step


def test_nothing_saved_is_none(tmp_path: Path) -> None:
    assert load(tmp_path / "missing") is None
    assert load(tmp_path) is None
    (tmp_path / "file").touch()
    assert load(tmp_path / "file") is None


def test_comes_back_bit_for_bit(tmp_path: Path) -> None:
    save(tmp_path / "a" / "checkpoint", tensors(3), {**STATE, "nan": math.nan})
    found = load(tmp_path / "a" / "checkpoint")
    assert found is not None
    assert same(found.tensors, tensors(3))
    assert math.isnan(found.state.pop("nan"))
    assert (found.state, found.damaged) == (STATE, 0)
    assert type(found.state["step"]) is int


def test_empty_tensors_and_state(tmp_path: Path) -> None:
    save(tmp_path, {}, {})
    assert load(tmp_path) == checkpoint.Checkpoint({}, {})


def test_a_resumed_optimiser_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def fresh() -> tuple[torch.nn.Linear, torch.optim.AdamW]:
        layer = torch.nn.Linear(3, 2, device="meta").to_empty(device="cpu")
        for p in layer.parameters():
            torch.nn.init.constant_(p, 0.5)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1)

    def train(layer: torch.nn.Linear, optimiser: torch.optim.AdamW, steps: range) -> None:
        for i in steps:
            optimiser.zero_grad()
            u = torch.randn(4, 3, generator=torch.Generator().manual_seed(i))
            layer(u).square().sum().backward()
            optimiser.step()

    whole, optimiser = fresh()
    train(whole, optimiser, range(7))
    first, optimiser = fresh()
    train(first, optimiser, range(4))
    moments = optimiser.state_dict()["state"]
    flat = {f"optimiser/{i}/{k}": v for i, of in moments.items() for k, v in of.items()}
    save(tmp_path, {**first.state_dict(), **flat}, {})
    found = load(tmp_path)
    assert found is not None
    second, optimiser = fresh()
    second.load_state_dict({name: found.tensors[name] for name in second.state_dict()})
    restored: dict[int, dict[str, Tensor]] = {0: {}, 1: {}}
    for name, value in found.tensors.items():
        if name.startswith("optimiser/"):
            _, i, key = name.split("/")
            restored[int(i)][key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": restored})
    train(second, optimiser, range(4, 7))
    assert same(dict(second.state_dict()), dict(whole.state_dict()))


def test_the_newest_and_the_one_before_are_kept(tmp_path: Path) -> None:
    for step in range(5):
        save(tmp_path, tensors(step), {"step": step})
        assert step_of(tmp_path) == step
        assert len(list(tmp_path.iterdir())) == min(step + 1, 2)
    shutil.rmtree(newest(tmp_path))
    assert step_of(tmp_path) == 3
    shutil.rmtree(newest(tmp_path))
    assert load(tmp_path) is None


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
def test_every_flipped_region_falls_back(tmp_path: Path, name: str) -> None:
    save(tmp_path, tensors(1), {"step": 1, "text": "x" * 50})
    save(tmp_path, tensors(2), {"step": 2, "text": "y" * 50})
    path = newest(tmp_path) / name
    whole = path.read_bytes()
    assert step_of(tmp_path) == 2
    positions = {0, len(whole) - 1, *range(0, len(whole), max(1, len(whole) // 60))}
    for position in positions:
        for bit in (0, 6):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            assert step_of(tmp_path) == 1, (name, position, bit)
    path.write_bytes(whole)
    assert step_of(tmp_path) == 2


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "extended", "directory"])
def test_damaged_files_fall_back_then_give_none(tmp_path: Path, name: str, damage: str) -> None:
    for step in (1, 2):
        save(tmp_path, tensors(step), {"step": step})
    for expected, path in zip((1, None), sorted(tmp_path.iterdir(), reverse=True), strict=True):
        whole = (path / name).read_bytes()
        (path / name).unlink()
        if damage == "directory":
            (path / name).mkdir()
        elif damage != "missing":
            cut = {"empty": b"", "truncated": whole[: len(whole) // 2], "extended": whole + b"x"}
            (path / name).write_bytes(cut[damage])
        assert step_of(tmp_path) == expected


def test_files_of_two_checkpoints_do_not_make_one(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, tensors(step), {"step": step})
    old, new = sorted(tmp_path.iterdir())
    shutil.copy(old / "tensors.safetensors", new / "tensors.safetensors")
    assert step_of(tmp_path) == 1
    found = load(tmp_path)
    assert found is not None
    assert found.damaged == 1


def test_a_whole_older_one_is_not_removed_for_a_damaged_newer_one(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, tensors(step), {"step": step})
    (newest(tmp_path) / "state.json").write_text("{}")
    save(tmp_path, tensors(3), {"step": 3})
    assert step_of(tmp_path) == 3
    (newest(tmp_path) / "state.json").write_text("{}")
    assert step_of(tmp_path) == 1


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (3,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    save(tmp_path, tensors(1), {"step": 1})
    for name in ("tensors.safetensors", "state.json", "manifest.json"):
        save(tmp_path, tensors(2), {"step": 2})
        (newest(tmp_path) / name).write_bytes(pickle.dumps(Evil()))
        assert step_of(tmp_path) in (1, 2)


def test_a_checkpoint_that_may_not_be_read_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, tensors(1), {"step": 1})

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError):
        load(tmp_path)


def test_what_cannot_be_saved_is_named_before_anything_is_written(tmp_path: Path) -> None:
    save(tmp_path, tensors(1), {"step": 1})
    with pytest.raises(ValueError, match=r"'z' of torch\.complex128"):
        save(tmp_path, {"z": torch.zeros(1, dtype=torch.complex128)}, {})
    with pytest.raises(TypeError):
        save(tmp_path, {}, {"x": object()})
    assert [p.name for p in tmp_path.iterdir()] == ["00000001"]


@pytest.mark.parametrize("fault_at", range(6))
def test_a_fault_at_any_step_keeps_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_at: int
) -> None:
    """fsync of three files, of the new directory, the rename, fsync of the parent."""
    save(tmp_path, tensors(1), {"step": 1})
    calls = 0

    def failing(function: Any) -> Any:
        def call(*args: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == fault_at + 1:
                raise OSError(errno.ENOSPC, "No space left on device")
            return function(*args, **keywords)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync))
        patch.setattr(Path, "rename", failing(Path.rename))
        with pytest.raises(OSError, match="No space left"):
            save(tmp_path, tensors(2), {"step": 2})
    assert calls == fault_at + 1
    assert step_of(tmp_path) == (1 if fault_at < 5 else 2)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]
    save(tmp_path, tensors(3), {"step": 3})
    assert step_of(tmp_path) == 3


FULL_DISK = """
import resource, sys, torch
from sweeps.checkpoint import save
save(sys.argv[1], {"x": torch.ones(3)}, {"step": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    save(sys.argv[1], {"x": torch.ones(3000)}, {"step": 2})
except OSError as error:
    print(error.errno, error.filename)
"""


def test_disk_full_keeps_the_one_before(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, timeout=120)
    code, name = done.stdout.split()
    assert (int(code), Path(name).name) == (errno.EFBIG, "tensors.safetensors")
    assert name.startswith(str(tmp_path))
    found = load(tmp_path)
    assert found is not None
    assert found.state == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["00000001"]


SAVE_FOREVER = """
import sys, torch
from sweeps.checkpoint import save
for step in range(1, 10**9):
    save(sys.argv[1], {"x": torch.full((50_000,), float(step))}, {"step": step})
    print(step, flush=True)
"""


def test_kill_at_random_moments_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SAVE_FOREVER, str(tmp_path)]
    for delay in (0.0, 0.013):
        printed = 0
        child = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
        assert child.stdout is not None
        for _ in range(3):
            printed = int(child.stdout.readline())
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        rest = child.communicate(timeout=60)[0].split()
        printed = int(rest[-1]) if rest else printed
        found = load(tmp_path)
        assert found is not None
        assert found.state["step"] in (printed, printed + 1)
        assert torch.equal(found.tensors["x"], torch.full((50_000,), float(found.state["step"])))
        shutil.rmtree(tmp_path)


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".0123456789abcdef.tmp").mkdir()
    (tmp_path / ".0123456789abcdef.tmp" / "state.json").write_text("{}")
    (tmp_path / "mine.txt").touch()
    save(tmp_path, tensors(1), {"step": 1})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00000001", "mine.txt"]


def test_those_that_are_not_wanted_are_passed_over_and_are_not_damaged(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, tensors(step), {"step": step})
    found = load(tmp_path, lambda state: state["step"] == 1)
    assert found is not None
    assert (found.state, found.damaged) == ({"step": 1}, 0)
    assert load(tmp_path, lambda _: False) is None
