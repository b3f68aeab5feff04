"""Examples on disk: made once, read instead of made again, and checked against the task.

    FOLDER/pathfinder-3fa9c1d2e0b47a65/train/   inputs.npy targets.npy ... cache.json

cache.json names the task, how many examples there are, and the sha256 of the first of them. A cache
holds the same bits as the task makes: what was trained does not depend on whether there was one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.batch import Batch
from tasks.task import Task, checked

CHECKED = 64  # examples made again when a cache is opened
PIECE = 2**20  # positions written at a time
ARRAYS = ("inputs", "targets", "lengths")  # and the mask, spans and factors where they say more
ENVIRONMENT = "SEQZOO_TASKS"  # the folder where runs look for caches


class StaleCache(ValueError):
    """A cache that does not hold what the task makes."""


@dataclass(frozen=True)
class Cached:
    """A task, some of whose examples are on disk."""

    task: Task
    arrays: dict[str, dict[str, NDArray[Any]]]  # by split: name -> memory map

    def generate(self, indices: Sequence[int] | NDArray[Any], split: str = "train") -> Batch:
        """The task's own examples: read where all of them are there, else made."""
        held, numbers = self.arrays.get(split), checked(indices)
        if held is None or not len(numbers) or int(numbers.max()) >= len(held["inputs"]):
            return self.task.generate(indices, split)
        rows = numbers.astype(np.int64)
        return _batch({name: array[rows] for name, array in held.items()})


def source_of(task: Task) -> Task | Cached:
    """Where runs get examples from: the cache in $SEQZOO_TASKS, or the task itself."""
    folder = os.environ.get(ENVIRONMENT)
    return task if not folder else opened(task, Path(folder))


def opened(task: Task, folder: Path) -> Task | Cached:
    """The task with what the folder holds of it; the task itself if that is nothing.

    Raises: StaleCache, one line, for a cache that holds something else.
    """
    place = folder / _name(task)
    found = {}
    for note in sorted(place.glob("*/cache.json")):
        split = note.parent.name
        found[split] = _read(task, split, note)
    return Cached(task, found) if found else task


def write(task: Task, split: str, num: int, folder: Path) -> Iterator[int]:
    """Make examples 0 to num - 1 and keep them; yields how many there are so far.

    The place appears when all is written; what was there before is replaced.
    """
    place = folder / _name(task) / split
    partial = place.with_name(f".{split}.{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        files: dict[str, np.memmap] = {}
        step = max(1, PIECE // task.context.length)
        for start in range(0, num, step):
            part = _arrays(task.generate(range(start, min(num, start + step)), split))
            for name, array in part.items():
                if name not in files:
                    kept = _compact(array, task) if name == "inputs" else array.dtype
                    files[name] = np.lib.format.open_memmap(
                        partial / f"{name}.npy", "w+", kept, (num, *array.shape[1:])
                    )
                files[name][start : start + len(array)] = array
            yield min(num, start + step)
        for file in files.values():
            file.flush()
        first = task.generate(range(min(num, CHECKED)), split)
        note = {**_identity(task, split), "examples": num, "sha256": _digest(first)}
        (partial / "cache.json").write_text(json.dumps(note, indent=1, sort_keys=True) + "\n")
        shutil.rmtree(place, ignore_errors=True)
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _name(task: Task) -> str:
    text = json.dumps(task.to_dict(), sort_keys=True)
    return f"{task.kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _identity(task: Task, split: str) -> dict[str, Any]:
    return {"task": task.to_dict(), "version": type(task).generator_version, "split": split}


def _digest(batch: Batch) -> str:
    arrays = _arrays(batch)
    parts = [
        name.encode() + np.ascontiguousarray(arrays[name]).tobytes() for name in sorted(arrays)
    ]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _compact(inputs: NDArray[Any], task: Task) -> np.dtype[Any]:
    """The smallest dtype that holds the ids."""
    if task.context.num_inputs is None:
        return inputs.dtype
    return np.min_scalar_type(task.context.num_inputs - 1)


def _arrays(batch: Batch) -> dict[str, NDArray[Any]]:
    found = {name: getattr(batch, name) for name in (*ARRAYS, "mask")}
    if batch.spans is not None:
        found["spans"] = batch.spans
    return found | {f"factor-{name}": column for name, column in batch.factors.items()}


def _batch(arrays: dict[str, NDArray[Any]]) -> Batch:
    inputs = arrays["inputs"]
    names = [name for name in arrays if name.startswith("factor-")]
    return Batch(
        inputs=inputs if inputs.dtype.kind == "f" else inputs.astype(np.int64),
        targets=arrays["targets"],
        mask=arrays["mask"],
        lengths=arrays["lengths"],
        factors={name.removeprefix("factor-"): arrays[name] for name in names},
        spans=arrays.get("spans"),
    )


def _read(task: Task, split: str, note: Path) -> dict[str, NDArray[Any]]:
    place = note.parent
    try:
        written = json.loads(note.read_text())
        paths = sorted(place.glob("*.npy"))
        arrays = {p.stem: np.load(p, mmap_mode="r", allow_pickle=False) for p in paths}
        num = int(written["examples"])
        if any(len(array) != num for array in arrays.values()) or "inputs" not in arrays:
            raise ValueError("arrays of other sizes than cache.json says")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StaleCache(f"{place}: not a cache of examples ({error}); delete it") from None
    if {k: written.get(k) for k in _identity(task, split)} != _identity(task, split):
        raise StaleCache(f"{place}: made by another version of {task.kind}; delete it")
    few = min(num, CHECKED)
    held = _batch({name: array[:few] for name, array in arrays.items()})
    if not _digest(held) == written["sha256"] == _digest(task.generate(range(few), split)):
        raise StaleCache(f"{place}: holds other examples than {task.kind} makes; delete it")
    return arrays
