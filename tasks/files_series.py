"""Time series of the UCR and UEA archives: .ts files of a user's own.

    @problemName GunPoint
    @classLabel true 1 2              or @targetLabel true, for a regression
    @data
    0.1,0.2,0.4:1.0,1.1,1.2:2         two channels of three values, then the class

Source:  the format of timeseriesclassification.com (Dau et al. 2019, arXiv:1810.07758; Bagnall et
         al. 2018, arXiv:1811.00075).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.files import ClassesOrReals, FilesMissing
from tasks.records import Readout, Records, content_hashes, one_after_another, share_out
from zoo.spec import Context

MISSING = ("?", "NaN", "nan")


@dataclass
class Series:
    """One file: series (L, C) of any lengths, and the words behind them."""

    classes: list[str] | None = None  # None: numbers are to be predicted
    series: list[NDArray[np.float32]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


class TimeSeries(ClassesOrReals, kind="time-series"):
    """Time series: which class, or which number, belongs to a series of one or more channels?

    `path` is one .ts file (splits by content), or a folder with NAME_TRAIN.ts and NAME_TEST.ts (a
    tenth of the training series is kept for validation).  Channels are brought to mean 0 and
    variance 1 of the training series.  A missing value is the one before it.
    """

    layout: ClassVar[str] = "FILE.ts, or a FOLDER with NAME_TRAIN.ts and NAME_TEST.ts"

    length: Annotated[
        int, Field(ge=0, le=2**24, description="values that are read; 0: the longest series")
    ] = 0
    standardize: Annotated[bool, Field(description="channels to mean 0 and variance 1")] = True
    readout: Readout = "mean"

    @property
    def context(self) -> Context:
        records = self.records
        real = records.targets.dtype.kind == "f"
        return Context(
            input_dim=records.values.shape[1],
            num_outputs=1 if real else int(records.targets.max()) + 1,
            length=self.length or int((records.ends - records.begins).max()),
            head="regression" if real else self.readout,
        )

    @property
    def vocabulary(self) -> dict[str, range]:
        return {}

    def files(self) -> list[Path]:
        root = self.root
        if root.is_file():
            return [root]
        found = [sorted(root.glob(f"*_{part}.ts")) for part in ("TRAIN", "TEST")]
        if [len(here) for here in found] != [1, 1]:
            raise FilesMissing(
                f"{self.kind}: path={self.path} has {len(found[0])} training and {len(found[1])} "
                f"test files, needs one of each; path is {self.layout}"
            )
        return [found[0][0], found[1][0]]

    def read(self) -> Records:
        files = self.files()
        parts = [self._parsed(file) for file in files]
        first = parts[0]
        for file, part in zip(files, parts, strict=True):
            if part.classes != first.classes:
                raise self.refuse(
                    file, f"classes {part.classes}, {files[0].name} has {first.classes}"
                )
            channels = {series.shape[1] for series in part.series}
            if len(channels) != 1 or channels != {first.series[0].shape[1]}:
                raise self.refuse(file, f"series have {sorted(channels)} channels")
        series = [one for part in parts for one in part.series]
        num = len(first.series)
        every = np.arange(len(series))
        given = {"all": every} if len(parts) == 1 else {"train": every[:num], "test": every[num:]}
        splits = share_out(
            given, lambda numbers: content_hashes([series[i].tobytes() for i in numbers])
        )
        begins, ends = one_after_another([len(one) for one in series])
        values = np.concatenate(series)
        if self.standardize:
            train = np.concatenate([series[i] for i in splits["train"]]).astype(np.float64)
            size = train.std(axis=0)
            values = (values - train.mean(axis=0)) / np.where(size > 0, size, 1)
        return Records(
            values=values.astype(np.float32),
            begins=begins,
            ends=ends,
            targets=self._targets(
                [label for part in parts for label in part.labels], first.classes
            ),
            splits=splits,
        )

    def _targets(self, labels: list[str], classes: list[str] | None) -> NDArray[Any]:
        if classes is None:
            return np.array([[float(label)] for label in labels], np.float32)
        return np.array([classes.index(label) for label in labels], np.int64)

    def _parsed(self, file: Path) -> Series:
        found, reading = Series(), False
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            raise self.refuse(file, "not a .ts file: it is no text") from None
        for number, line in enumerate(text.splitlines(), 1):
            line = line.strip()
            if not line or line.startswith(("#", "%")):
                continue
            if reading:
                self._record(file, number, line, found)
                continue
            word, *rest = line.split()
            reading = self._header(file, word.lower(), rest, found)
        if not found.series:
            raise self.refuse(file, "no series behind a line @data")
        return found

    def _header(self, file: Path, word: str, rest: list[str], found: Series) -> bool:
        """Take a line of the header; True if the data follow."""
        if not word.startswith("@"):
            raise self.refuse(file, f"{word[:20]!r} before @data: not a .ts file")
        on = bool(rest) and rest[0].lower() == "true"
        if word == "@timestamps" and on:
            raise self.refuse(file, "series with time stamps are not read")
        if word == "@classlabel":
            if not on or len(rest) < 2:
                raise self.refuse(file, "series without classes: nothing to predict")
            found.classes = rest[1:]
        return word == "@data"

    def _record(self, file: Path, number: int, line: str, found: Series) -> None:
        *channels, label = line.split(":")
        label = label.strip()
        try:
            columns = [_numbers(channel) for channel in channels]
            known = found.classes is None or label in found.classes
            if not columns or not known:
                raise ValueError(f"class {label!r} is none of {found.classes}")
            if found.classes is None:
                float(label)
            if len({len(column) for column in columns}) != 1 or not len(columns[0]):
                raise ValueError("channels of different lengths, or empty")
        except ValueError as error:
            raise self.refuse(file, f"line {number}: {error}") from None
        found.series.append(np.stack(columns, axis=1).astype(np.float32))
        found.labels.append(label)


def _numbers(channel: str) -> NDArray[np.float64]:
    """The values of a channel; one that is missing is that before it, at the start 0."""
    words = [word.strip() for word in channel.split(",")]
    values = np.array([np.nan if word in MISSING else float(word) for word in words])
    known = np.where(np.isnan(values), -1, np.arange(len(values)))
    last = np.maximum.accumulate(known)
    return np.where(last < 0, 0.0, values[np.maximum(last, 0)])
