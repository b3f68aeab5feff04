"""Texts and other bytes of a user's own, for language modelling.

    the quick brown      inputs   t h e _ q u i c k ...
                         targets  h e _ q u i c k _ ...

One file, or a folder with one each for training, validation and test (train.txt, valid.txt,
test.txt; wiki.train.tokens, ...).

Source:  the task of Shannon 1951; byte-level as for enwik8 (its last 5 % and the 5 % before).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import Batch
from tasks.files import FilesMissing, FileTask
from tasks.files_text import BYTES, spelled_byte
from tasks.records import Records
from tasks.rng import Words
from tasks.task import Content
from zoo.spec import Context

PARTS = {"train": ("train",), "validation": ("valid", "validation", "dev"), "test": ("test",)}
UNKNOWN = 0  # id of a symbol that the training text does not have


class TextCorpus(FileTask, kind="text-corpus"):
    """Text corpus: predict the next byte, character or word of a text.

    An example is a window of `length` symbols that follow each other; windows do not overlap.
    One file is cut: the last 5 % are test, the 5 % before them validation.  Characters and words
    (parted by white space) have the ids of the training text, the commonest first, 0 is unknown.
    """

    layout: ClassVar[str] = (
        "FILE of text or bytes, or a FOLDER with one file each for train, valid and test "
        "(train.txt, wiki.train.tokens, ...)"
    )
    metric: ClassVar[Any] = "loss"

    unit: Literal["byte", "character", "word"] = "byte"
    length: Annotated[int, Field(ge=1, le=2**24, description="symbols of a window")] = 512
    vocab_size: Annotated[
        int, Field(ge=0, le=2**31, description="commonest symbols that have ids; 0: all")
    ] = 0

    def problems(self) -> Iterator[str]:
        if self.vocab_size and self.unit == "byte":
            yield f"vocab_size={self.vocab_size} with unit=byte: bytes have 256 ids, needs 0"
        if self.vocab_size == 1:
            yield "vocab_size=1 leaves only the unknown: needs >= 2, or 0"

    @property
    def answers_follow(self) -> bool:
        return True  # every next symbol

    @property
    def symbols(self) -> list[Any]:
        """What ids 1, 2, ... stand for: the training text's symbols, the commonest first."""
        return _symbols(self.without_seed())

    @property
    def context(self) -> Context:
        size = BYTES if self.unit == "byte" else 1 + len(self.symbols)
        return Context(num_inputs=size, num_outputs=size, length=self.length)

    @property
    def vocabulary(self) -> dict[str, range]:
        size = self.context.num_outputs
        if self.unit == "byte":
            return {"byte": range(size)}
        return {"unknown": range(1), self.unit: range(1, size)}

    def spell(self, token: int) -> str | None:
        if self.unit == "byte":
            return spelled_byte(token)
        return self.symbols[token - 1] if token else None

    def files(self) -> list[Path]:
        root = self.root
        return [root] if root.is_file() else list(self._parts().values())

    def _parts(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for split, names in PARTS.items():
            here = [
                file
                for file in sorted(self.root.iterdir())
                if file.is_file() and any(name in file.name.split(".") for name in names)
            ]
            if len(here) != 1:
                raise FilesMissing(
                    f"{self.kind}: path={self.path} has {len(here)} files for {split}, needs one; "
                    f"path is {self.layout}"
                )
            found[split] = here[0]
        return found

    def texts(self) -> dict[str, Any]:
        """The text of each split: bytes, or a string, or a list of words."""
        if self.root.is_dir():
            return {split: self._symbols_of(file) for split, file in self._parts().items()}
        whole = self._symbols_of(self.root)
        first, second = len(whole) * 90 // 100, len(whole) * 95 // 100
        return {"train": whole[:first], "validation": whole[first:second], "test": whole[second:]}

    def _symbols_of(self, file: Path) -> Any:
        data = file.read_bytes()
        if self.unit == "byte":
            return data
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise self.refuse(
                file, f"byte {error.start} is not UTF-8 text: unit=byte reads any file"
            ) from None
        return text.split() if self.unit == "word" else text

    def read(self) -> Records:
        pieces, begins, splits, at, num = [], [], {}, 0, 0
        for split, text in self.texts().items():
            ids = self._ids(text)
            starts = np.arange(0, len(ids) - self.length, self.length)
            if not len(starts):
                raise ValueError(
                    f"{self.kind}: the {split} text has {len(ids)} symbols, a window needs "
                    f"{self.length + 1}: a smaller length or a longer text"
                )
            pieces.append(ids)
            begins.append(at + starts)
            splits[split] = np.arange(num, num + len(starts))
            at, num = at + len(ids), num + len(starts)
        values, first = np.concatenate(pieces), np.concatenate(begins)
        ends = first + self.length
        return Records(values=values, begins=first, ends=ends, targets=values, splits=splits)

    def _ids(self, text: Any) -> NDArray[Any]:
        if self.unit == "byte":
            return np.frombuffer(text, np.uint8)
        number = {symbol: i for i, symbol in enumerate(self.symbols, 1)}
        return np.array([number.get(symbol, UNKNOWN) for symbol in text], np.int32)

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        records, numbers = self.records, content["record"][:, 0]
        at = records.begins[numbers][:, None] + np.arange(self.length + 1)
        text = records.values[at].astype(np.int64)
        return Batch.of(text[:, :-1].copy(), text[:, 1:].copy())


@lru_cache(maxsize=4)
def _symbols(task: Any) -> list[Any]:
    counts = Counter(task.texts()["train"])
    ordered = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
    return ordered[: task.vocab_size - 1] if task.vocab_size else ordered
