"""Plain arrays of a user's own as a task: numpy, safetensors or parquet.

    inputs    (N, L) whole numbers: tokens;  (N, L) or (N, L, C) reals: features
    targets   (N,) whole numbers: a class;   (N, L) whole numbers: a token at each position, -100
              where nothing is scored;       (N,) or (N, K) reals: a regression
    lengths   (N,), if sequences end early

In one file the splits are by content, unless it has train_inputs, train_targets, test_inputs and
so on.  A folder has train.EXT, test.EXT and, perhaps, validation.EXT.  Parquet has columns inputs
and targets, of numbers or lists, which may be of different lengths.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.files import ClassesOrReals, FilesMissing
from tasks.records import Readout, Records, content_hashes, one_after_another, share_out
from tasks.rng import Words
from tasks.task import SPLITS, Content
from zoo.spec import Context

Arrays = dict[str, NDArray[Any]]
DAMAGED = (ValueError, TypeError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error)


class ArrayFile(ClassesOrReals, kind="arrays"):
    """Arrays: sequences and targets of your own, in .npz, .safetensors or .parquet.

    What is asked follows from the targets: whole numbers (N,) a class, (N, L) a token at each
    position, reals a regression.
    """

    layout: ClassVar[str] = (
        "FILE.npz, FILE.safetensors or FILE.parquet with inputs (N, L) or (N, L, C) and targets, "
        "or a FOLDER with train.npz, test.npz and perhaps validation.npz"
    )

    length: Annotated[
        int, Field(ge=0, le=2**24, description="positions that are read; 0: the longest")
    ] = 0
    vocab_size: Annotated[
        int, Field(ge=0, le=2**31, description="ids there are; 0: as many as are used")
    ] = 0
    num_classes: Annotated[
        int, Field(ge=0, le=2**31, description="classes there are; 0: as many as are used")
    ] = 0
    readout: Readout = "mean"

    @property
    def context(self) -> Context:
        records = self.records
        values, targets = records.values, records.targets
        head = "regression" if targets.dtype.kind == "f" else self.readout
        if head != "regression" and targets.ndim == 1 and len(targets) != len(records):
            head = "token"
        num = targets.shape[1] if head == "regression" else self.num_classes
        tokens = values.dtype.kind != "f"
        used = int(values.max()) + 1 if tokens else 0
        classes = int(targets.max()) + 1 if head != "regression" else 0
        if head == "token":
            classes = max(classes, self.vocab_size or used)
        return Context(
            num_inputs=(self.vocab_size or used) if tokens else None,
            input_dim=None if tokens else values.shape[1],
            num_outputs=num or classes,
            length=self.length or int((records.ends - records.begins).max()),
            head=head,
        )

    @property
    def answers_follow(self) -> bool:
        return self.context.head == "token"  # they may: nothing is known of the data

    @property
    def vocabulary(self) -> dict[str, range]:
        size = self.context.num_inputs
        return {} if size is None else {"token": range(size)}

    def files(self) -> list[Path]:
        root = self.root
        if root.is_file():
            self._reader(root)
            return [root]
        for suffix in READERS:
            here = [root / f"{split}{suffix}" for split in SPLITS]
            if here[0].is_file() and here[2].is_file():
                return [file for file in here if file.is_file()]
        raise FilesMissing(f"{self.kind}: no train and test file in {self.path}; {self.layout}")

    def _reader(self, file: Path) -> Callable[[Path], Arrays]:
        if file.suffix not in READERS:
            known = ", ".join(READERS)
            raise self.refuse(file, f"{file.suffix or 'no ending'} is not read; needs {known}")
        return READERS[file.suffix]

    def read(self) -> Records:
        parts: dict[str, Arrays] = {}
        for file in self.files():
            try:
                arrays = self._reader(file)(file)
            except DAMAGED as error:
                raise self.refuse(file, f"cannot be read as arrays: {error}") from None
            if self.root.is_dir():
                parts[file.stem] = arrays
            elif "train_inputs" in arrays:
                for split in SPLITS:
                    own = {
                        n.removeprefix(f"{split}_"): a
                        for n, a in arrays.items()
                        if n.startswith(split)
                    }
                    parts |= {split: own} if own else {}
            else:
                parts["all"] = arrays
            for name, part in parts.items():
                self._check(file, name, part)
        return self._joined(parts)

    def _check(self, file: Path, name: str, part: Arrays) -> None:
        """One line for the first thing that is wrong with a part's arrays."""
        limits = {"inputs": self.vocab_size, "targets": self.num_classes}
        for why in _problems(part, limits):
            raise self.refuse(file, why if name == "all" else f"{name}: {why}")

    def _joined(self, parts: dict[str, Arrays]) -> Records:
        values, targets, sizes, given, num = [], [], [], {}, 0
        for name, part in parts.items():
            inputs, due = part["inputs"], part["targets"]
            lengths = part.get("lengths", np.full(len(inputs), inputs.shape[1]))
            there = np.arange(inputs.shape[1]) < lengths[:, None]
            cells = inputs[there]
            values.append(cells[:, None] if cells.dtype.kind == "f" and cells.ndim == 1 else cells)
            if due.dtype.kind == "f":
                due = due.reshape(len(due), -1).astype(np.float32)
            targets.append(due[there] if due.ndim == 2 and due.dtype.kind != "f" else due)
            sizes.append(lengths)
            given[name] = np.arange(num, num + len(inputs))
            num += len(inputs)
        begins, ends = one_after_another(np.concatenate(sizes))
        whole = np.concatenate(values)
        pieces = ((begins[i], ends[i]) for i in range(num))
        hashes = content_hashes([whole[a:b].tobytes() for a, b in pieces])
        return Records(
            values=whole if whole.dtype.kind != "f" else whole.astype(np.float32),
            begins=begins,
            ends=ends,
            targets=np.concatenate(targets),
            splits=share_out(given, lambda numbers: hashes[numbers]),
        )

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        if self.context.head != "token":
            return super().render(content, keys, split)
        records, numbers, length = self.records, content["record"][:, 0], self.context.length
        inputs, lengths = records.cut(records.values, numbers, length)
        targets, _ = records.cut(records.targets, numbers, length, IGNORE)
        return Batch.padded(self.shown(inputs, lengths), targets.astype(np.int64), lengths)


def _problems(part: Arrays, limits: dict[str, int]) -> Iterator[str]:
    """What is wrong with arrays; those who come later may rely on those before."""
    yield from (f"no {n}; it has {', '.join(part) or 'nothing'}" for n in limits if n not in part)
    inputs, targets = part["inputs"], part["targets"]
    real = targets.dtype.kind == "f"
    if inputs.dtype.kind not in "iuf" or targets.dtype.kind not in "iuf":
        yield f"inputs are {inputs.dtype}, targets {targets.dtype}: needs numbers"
    if inputs.ndim != 2 and (inputs.ndim != 3 or inputs.dtype.kind != "f"):
        yield f"inputs {inputs.shape} {inputs.dtype}: needs (N, L), or reals (N, L, C)"
    if not inputs.size:
        yield f"inputs {inputs.shape} are empty"
    if len(targets) != len(inputs) or not (
        real or targets.shape in (inputs.shape[:1], inputs.shape[:2])
    ):
        yield f"targets {targets.shape} for inputs {inputs.shape}"
    yield from _numbers(part, limits)
    lengths = part.get("lengths", np.ones(len(inputs), np.int64))
    if lengths.shape != (len(inputs),) or lengths.dtype.kind not in "iu":
        yield f"lengths {lengths.shape} {lengths.dtype}: needs one whole number a sequence"
    if not 1 <= lengths.min() <= lengths.max() <= inputs.shape[1]:
        yield f"lengths {lengths.min()} to {lengths.max()}: needs 1 to {inputs.shape[1]}"


def _numbers(part: Arrays, limits: dict[str, int]) -> Iterator[str]:
    """Numbers that cannot be: of what, how far, the limit."""
    for name, limit in limits.items():
        array = part[name]
        if array.dtype.kind == "f":
            if not np.isfinite(array).all():
                yield f"{name} are not all finite"
            continue
        least = IGNORE if name == "targets" and array.ndim == 2 else 0
        low, high = int(array.min()), int(array.max())
        if low < least:
            yield f"{name} go down to {low}: needs >= {least}"
        if limit and high >= limit:
            field = "vocab_size" if name == "inputs" else "num_classes"
            yield f"{name} go up to {high}: {field}={limit} needs < {limit}"


def _npz(file: Path) -> Arrays:
    with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as found:
        if not hasattr(found, "files"):
            raise ValueError("one array alone; numpy.savez makes such files")
        return {name: found[name] for name in found.files}


def _safetensors(file: Path) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(file.read_bytes())
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _parquet(file: Path) -> Arrays:
    import polars

    try:
        table = polars.read_parquet(file)
    except polars.exceptions.PolarsError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    found: Arrays = {}
    for name in table.columns:
        rows = table[name].to_list()
        if not rows or not isinstance(rows[0], list):
            found[name] = table[name].to_numpy()
            continue
        sizes = np.array([len(row) for row in rows])
        first = np.asarray(rows[int(sizes.argmax())])
        fill = IGNORE if name == "targets" and first.dtype.kind != "f" else 0
        found[name] = np.full((len(rows), *first.shape), fill, first.dtype)
        for held, row in zip(found[name], rows, strict=True):
            held[: len(row)] = row
        if name == "inputs":
            found.setdefault("lengths", sizes)
    return found


READERS: dict[str, Callable[[Path], Arrays]] = {
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".parquet": _parquet,
}
