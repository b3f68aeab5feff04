"""Tasks made of a finite set of records, such as the lines of a user's files.

An example is a record.  Each epoch of a split's N records has an order of its own, drawn from
(seed, split, epoch), and example i is the one at place i mod N of epoch i div N: all come before
any returns.  Splits are those of the data; where there are none, a record's content decides (12, 2
and 2 of 16 parts); where validation alone is missing, a tenth of the training records, by content.

Axes: B examples, L positions, N records, T values of all records, C features.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.rng import Integers, U, Words, below, example_keys, permutation, stream_key, words
from tasks.task import BUCKETS, OWNED, SPLITS, Content, DataSpaceExhausted, Task, checked

RECORD, ORDER, TENTH = 1, 2, 10
AT_ONCE = 1024  # records

Readout = Annotated[
    Literal["mean", "last"], Field(description="a class is read off the mean state, or last")
]


@dataclass(frozen=True, eq=False, kw_only=True)
class Records:
    """All examples of a task.

    values   tokens, or features, of all records together             (T,) or (T, C)
    begins   where each record begins, and                            (N,)
    ends     where it ends                                            (N,)
    targets  a class, or real numbers, by record; or by value         (N,), (N, K) or (T,)
    splits   the numbers of the records of each split
    """

    values: NDArray[Any]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    targets: NDArray[Any]
    splits: dict[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.begins)

    def cut(
        self, values: NDArray[Any], numbers: NDArray[np.int64], length: int, fill: Any = 0
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The first `length` values of these records, `fill` behind the end; and how many."""
        begins = self.begins[numbers]
        lengths = np.minimum(self.ends[numbers] - begins, length)
        places = np.arange(length)
        found = values[begins[:, None] + np.minimum(places, lengths[:, None] - 1)]
        found[places >= lengths[:, None]] = fill
        return found, lengths


def one_after_another(sizes: Sequence[int] | NDArray[Any]) -> tuple[Integers, Integers]:
    """Begins and ends of records that lie one behind the other."""
    ends = np.cumsum(np.asarray(sizes, np.int64))
    return ends - sizes, ends


def content_hashes(pieces: Iterable[bytes]) -> Words:
    """A 64-bit hash of each record's inputs: labels have no say in which split it is.   (N,)"""
    made = b"".join(hashlib.blake2b(piece, digest_size=8).digest() for piece in pieces)
    return np.frombuffer(made, "<u8").astype(U)


def share_out(
    given: dict[str, NDArray[np.int64]], hashes: Callable[[NDArray[np.int64]], Words]
) -> dict[str, NDArray[np.int64]]:
    """The splits, from those that the format has: {"all"}, {"train", "test"} or all three.

    Args:    hashes  of the records of these numbers
    """
    if "all" in given:
        bucket = hashes(given["all"]) % U(BUCKETS)
        owned = {name: (low <= bucket) & (bucket < high) for name, (low, high) in OWNED.items()}
        return {name: given["all"][owned[name]] for name in SPLITS}
    if "validation" in given:
        return {name: given[name] for name in SPLITS}
    held = hashes(given["train"]) % U(TENTH) == 0
    train, validation = given["train"][~held], given["train"][held]
    return {"train": train, "validation": validation, "test": given["test"]}


class RecordTask(Task):
    """A task of a finite set of records. The oracle has no answer: no rule gives the labels."""

    by_number = True

    sees_all: ClassVar[bool] = False
    factors: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def read(self) -> Records:
        """Read everything; called once in a process, for all seeds."""

    @property
    def records(self) -> Records:
        """All records; kept in memory for the tasks used last."""
        return read_once(self.without_seed())

    def without_seed(self) -> Any:
        """The task that is read: one for all seeds."""
        return self.model_copy(update={"seed": 0})

    @property
    def num_contents(self) -> int:
        return len(self.records)

    def determined(self, split: str) -> bool:
        return False

    @property
    def chance(self) -> float:
        """How often the commonest training class is right in test; or how far the mean is off."""
        if self.context.is_real:
            targets, splits = self.records.targets.astype(np.float64), self.records.splits
            train, test = targets[splits["train"]], targets[splits["test"]]
            return float(((test - train.mean(axis=0)) ** 2).mean())
        counts = {split: self._counts(split) for split in ("train", "test")}
        return float(counts["test"][counts["train"].argmax()] / counts["test"].sum())

    def _counts(self, split: str) -> NDArray[np.int64]:
        """How often each class is due in a split."""
        own, found = self.records.splits[split], np.zeros(self.context.num_outputs, np.int64)
        for i in range(0, len(own), AT_ONCE):
            some = {"record": own[i : i + AT_ONCE, None]}
            due = self._targets_of(some, split)
            found += np.bincount(due[due != IGNORE], minlength=len(found))
        return found

    def _targets_of(self, content: Content, split: str) -> NDArray[Any]:
        if self.context.at_positions:
            return self.render(content, np.empty(0, U), split).targets
        return self.records.targets[content["record"][:, 0]]

    def numbers(self, indices: Sequence[int] | NDArray[Any], split: str) -> NDArray[np.int64]:
        """Which records the examples of these numbers are.                              (B,)"""
        if split not in SPLITS:
            raise ValueError(f"split={split!r}: choose from {', '.join(SPLITS)}")
        asked = checked(indices)
        own = self.records.splits[split]
        if not len(own):
            raise DataSpaceExhausted(
                f"{self.kind}: none of the {len(self.records)} records is in the {split} split: "
                "needs more data, or files of its own for each split"
            )
        stream = stream_key([self.kind, self.generator_version, self.seed, split])
        epochs, places = asked // U(len(own)), (asked % U(len(own))).view(np.int64)
        found = np.empty(len(asked), np.int64)
        for epoch in np.unique(epochs):
            rows = epochs == epoch
            found[rows] = own[epoch_order(stream, int(epoch), len(own))[places[rows]]]
        return found

    def generate(self, indices: Sequence[int] | NDArray[Any], split: str = "train") -> Batch:
        numbers = self.numbers(indices, split)
        return self.render({"record": numbers[:, None]}, np.empty(0, U), split)

    def content_key(self, indices: Sequence[int] | NDArray[Any], split: str = "train") -> Words:
        """Equal records have equal keys.                                                (B,)"""
        batch = self.generate(indices, split)
        return content_hashes([row.tobytes() for row in batch.inputs])

    def draw(self, keys: Words, split: str) -> Content:
        """One of the split's records; `generate` walks through all of them instead."""
        own = self.records.splits[split]
        return {"record": own[below(words(keys, RECORD, 1), len(own)).view(np.int64)]}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        numbers, records = content["record"][:, 0], self.records
        inputs, lengths = records.cut(records.values, numbers, self.context.length)
        targets = records.targets[numbers]
        return Batch.padded(self.shown(inputs, lengths), targets, lengths)

    def shown(self, values: NDArray[Any], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """What a model reads of cut records: ids int64, or reals float32."""
        return values.astype(np.int64 if self.context.num_inputs else np.float32)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64] | NDArray[np.float32]:
        context = self.context
        shape = inputs.shape[:2] if context.at_positions else inputs.shape[:1]
        if context.is_real:
            return np.full((*shape, context.num_outputs), np.nan, np.float32)
        return np.full(shape, IGNORE)


@lru_cache(maxsize=4)
def read_once(task: Any) -> Records:
    """What a task's files hold; the last few are kept."""
    return task.read()


@lru_cache(maxsize=8)
def epoch_order(stream: int, epoch: int, num: int) -> NDArray[np.int64]:
    """The order of an epoch's records.                                                  (N,)"""
    keys = example_keys(stream, np.array([epoch], U))
    order = permutation(keys, ORDER, num)[0]
    order.setflags(write=False)
    return order
