"""Golden examples: a hash of the first ones of every task, so that no stream moves unnoticed.

    python tests/contracts/golden.py                              what is missing or differs
    python tests/contracts/golden.py --write                      add the tasks that are missing
    python tests/contracts/golden.py --write --replace NAME ...   and mend these: a moved stream is
                                                                  to raise its generator_version

Hashed are inputs, targets, mask, lengths, spans and factors of every split, with dtype and shape.
An entry "rounded ..." is of reals as multiples of 1/1000: those of a Fourier transform (delay,
reconstruction) or a BLAS (relu networks of in-context-regression), whose last bit may be another
one of another library.  All other tasks are made of whole numbers and of single IEEE operations
in a fixed order, and are the same bits everywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this tree, not an installed one

from tasks.batch import ARRAYS, Batch
from tasks.task import SPLITS, Task
from tests.contracts.registry import EVERY

FILE = Path(__file__).with_suffix(".json")
TOOL = "python tests/contracts/golden.py"
EXAMPLES = 64  # of every split
POSITIONS = 20_000  # in all of them: fewer examples of long sequences
THOUSANDTHS = 1000


def is_rounded(task: Task) -> bool:
    """Whether a library's transform or matrix product makes the numbers."""
    return task.kind in ("delay", "reconstruction") or getattr(task, "family", "") == "relu"


def entry(name: str) -> str:
    """What the file holds for the task."""
    task, whole = EVERY[name], hashlib.sha256()
    for split in SPLITS:
        num = max(2, min(EXAMPLES, POSITIONS // task.context.length))
        for part, array in _arrays(task.generate(range(num), split)).items():
            if is_rounded(task) and array.dtype.kind == "f":
                array = np.rint(array * np.float64(THOUSANDTHS)).astype(np.int64)
            whole.update(f"{split} {part} {array.dtype.name} {array.shape}\0".encode())
            whole.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return "rounded " * is_rounded(task) + whole.hexdigest()[:40]


def _arrays(batch: Batch) -> dict[str, NDArray[Any]]:
    found = {name: getattr(batch, name) for name in ARRAYS}
    spans = {} if batch.spans is None else {"spans": batch.spans}
    return found | spans | {f"factor {name}": batch.factors[name] for name in sorted(batch.factors)}


def kept() -> dict[str, str]:
    """The entries by name."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def complaint(name: str, golden: dict[str, str], found: str | None) -> str:
    """What is wrong with a task's entry, and what to type; "" if nothing is.

    Args: found  the entry of the task as it is; None where there is no such task
    """
    if golden.get(name) == found:
        return ""
    if name not in golden:
        return f"{name} has no golden examples: {TOOL} --write"
    mend = f"{TOOL} --write --replace {name}"
    if found is None:
        return f"{name} has golden examples but is no task: {mend}"
    home = type(EVERY[name])
    return (
        f"{name} makes other examples than it did; if that is meant, raise generator_version of "
        f"{home.__module__}.{home.__name__} (not for other fields of a preset), then: {mend}"
    )


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog=TOOL)
    parser.add_argument("--write", action="store_true", help="add what is missing")
    parser.add_argument("--replace", nargs="+", default=[], metavar="NAME", help="change these")
    given = parser.parse_args(words)
    golden, found = kept(), {name: entry(name) for name in EVERY}
    if given.replace and not given.write:
        parser.error("--replace goes with --write")
    if unknown := [name for name in given.replace if name not in golden]:
        parser.error(f"no entry is called {', '.join(unknown)}")
    if given.write:
        untouched = {k: v for k, v in golden.items() if k not in given.replace}
        golden = dict(sorted((found | untouched).items()))
        FILE.write_text(json.dumps(golden, indent=2) + "\n")
    names = sorted({*golden, *found})
    wrong = [c for name in names if (c := complaint(name, golden, found.get(name)))]
    print("\n".join(wrong) or f"{len(golden)} tasks make their golden examples")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
