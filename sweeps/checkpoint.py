"""Checkpoints that a crash, a full disk or a flipped bit cannot turn into wrong numbers.

    directory/00000007/tensors.safetensors    weights, optimiser state, random states
                       state.json             everything else
                       manifest.json          sha256 of both: what makes the three one checkpoint

A checkpoint is written beside its place and moved there by one rename of the whole directory, so
it exists completely or not at all. The newest one and the newest whole one before it are kept.
Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from sweeps.atomic import sync_directory, write_synced

SCHEMA = 1
TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
COMPLETE = re.compile(r"[0-9]{8}")
UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.tmp")


@dataclass(frozen=True)
class Checkpoint:
    tensors: dict[str, Tensor]  # on the CPU, the dtypes and shapes that were saved
    state: dict[str, Any]
    damaged: int = 0  # newer checkpoints that were passed over because their hashes do not hold


def save(
    directory: str | os.PathLike[str], tensors: Mapping[str, Tensor], state: Mapping[str, Any]
) -> None:
    """Write a new checkpoint, then remove all but it and the newest whole one before it.

    `state` is JSON with string keys; floats survive exactly, NaN and infinities included.
    One process at a time writes to a directory.

    Raises: OSError with the path; the checkpoints of before are then still there.
            ValueError for a tensor that safetensors cannot hold (complex128).
    """
    root = Path(directory)
    root.mkdir(parents=True, exist_ok=True)
    _remove(root, UNFINISHED)  # of a process that was killed
    old = _complete(root)
    number = int(old[0].name) + 1 if old else 1
    files = _contents(tensors, state)
    unfinished = root / f".{secrets.token_hex(8)}.tmp"
    try:
        unfinished.mkdir()
        for name, data in files.items():
            _write(unfinished / name, data)
        sync_directory(unfinished)
        unfinished.rename(root / f"{number:08d}")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    sync_directory(root)
    _remove_all_but_newest_whole(old)


def load(
    directory: str | os.PathLike[str], wanted: Callable[[dict[str, Any]], bool] = lambda _: True
) -> Checkpoint | None:
    """The newest checkpoint whose hashes hold and whose state is wanted, or None.

    Raises: PermissionError; a checkpoint that may not be read is not one that is missing.
    """
    damaged = 0
    for path in _complete(Path(directory)):
        found = _parsed(path, damaged)
        if found is None:
            damaged += 1
        elif wanted(found.state):
            return found
    return None


def _parsed(path: Path, damaged: int) -> Checkpoint | None:
    """A checkpoint that is whole, and not written by a version that this one cannot read."""
    files = _read(path)
    if files is None:
        return None
    try:
        tensors = tensors_from_bytes(files[TENSORS])
        return Checkpoint(tensors, json.loads(files[STATE]), damaged)
    except (SafetensorError, ValueError):
        return None


def _contents(tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> dict[str, bytes]:
    """The three files; the manifest comes last."""
    for name, tensor in tensors.items():
        if name == "__metadata__" or tensor.dtype == torch.complex128:
            raise ValueError(f"tensor {name!r} of {tensor.dtype}: safetensors cannot hold it")
    copies = {
        # a copy of its own each: tied weights share memory, which safetensors refuses
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    files = {TENSORS: tensors_to_bytes(copies), STATE: json.dumps(dict(state)).encode()}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = {"schema": SCHEMA, "sha256": hashes}
    return {**files, MANIFEST: json.dumps(manifest, sort_keys=True).encode()}


def _write(path: Path, data: bytes) -> None:
    try:
        write_synced(path, data)
    except OSError as error:  # a failed write does not say which file it was
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _complete(root: Path) -> list[Path]:
    """The checkpoints of a directory, newest first."""
    if not root.is_dir():
        return []
    return sorted((p for p in root.iterdir() if COMPLETE.fullmatch(p.name)), reverse=True)


def _read(path: Path) -> dict[str, bytes] | None:
    """The files of a checkpoint if their hashes hold, else None."""
    try:
        files = {name: (path / name).read_bytes() for name in (TENSORS, STATE, MANIFEST)}
        manifest = json.loads(files.pop(MANIFEST))
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return files if manifest == {"schema": SCHEMA, "sha256": hashes} else None


def _remove_all_but_newest_whole(old: list[Path]) -> None:
    kept = next((path for path in old if _read(path) is not None), None)
    for path in old:
        if path != kept:
            shutil.rmtree(path, ignore_errors=True)


def _remove(root: Path, pattern: re.Pattern[str]) -> None:
    for path in root.iterdir():
        if pattern.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
