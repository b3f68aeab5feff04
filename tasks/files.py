"""Tasks made of files of the user's own: nothing is downloaded.

`path` names a file or a folder.  A task without one can be made, listed and planned with; what
needs the files says in one line how they are to be laid out (FilesMissing).

What identifies the data is `data_hash`, the sha256 of all files: a task with `sha256` set refuses
files of another one, and `identified()` is the task with it set.
"""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from tasks.records import Readout, Records, RecordTask, read_once
from zoo.spec import Context

BLOCK = 2**20  # bytes read at a time


class FilesMissing(ValueError):
    """Files that a task needs are not where `path` says, or `path` is not set."""


class FileTask(RecordTask):
    """A task made of files."""

    layout: ClassVar[str]  # what `path` names: "FOLDER of ... with a.txt, b.txt"

    path: Annotated[str, Field(max_length=4096, description="where the files are")] = ""
    sha256: Annotated[
        str,
        Field(pattern="^([0-9a-f]{64})?$", description="of the files (data_hash); empty: any"),
    ] = ""

    @abstractmethod
    def files(self) -> list[Path]:
        """Every file that is read, in a fixed order; FilesMissing where one is not there."""

    @property
    def root(self) -> Path:
        """What `path` names; FilesMissing if nothing."""
        if not self.path:
            raise FilesMissing(f"{self.kind} reads files of yours: set path={self.layout}")
        root = Path(self.path).expanduser()
        if not root.exists():
            raise FilesMissing(f"{self.kind}: path={self.path} does not exist; needs {self.layout}")
        return root

    def need(self, *paths: Path) -> list[Path]:
        """These files; FilesMissing with the first that is not there."""
        for file in paths:
            if not file.is_file():
                raise FilesMissing(f"{self.kind}: no file {file}; path is {self.layout}")
        return list(paths)

    def refuse(self, file: Path, why: str) -> ValueError:
        """What to raise for a file that cannot be read."""
        return ValueError(f"{self.kind}: {file}: {why}")

    @property
    def data_hash(self) -> str:
        """The sha256 of all files: their names below the folder of all, sizes and bytes."""
        return _hash(self.without_seed())

    def identified(self) -> Self:
        """The same task with the sha256 of its files: what a result is of."""
        return type(self)(**{**dict(self), "sha256": self.data_hash})

    @property
    def records(self) -> Records:
        if self.sha256 and self.sha256 != self.data_hash:
            raise ValueError(
                f"{self.kind}: the files at path={self.path} have sha256 {self.data_hash[:12]}..., "
                f"the task is of {self.sha256[:12]}...: other data"
            )
        return read_once(self.without_seed())

    def without_seed(self) -> Any:
        return self.model_copy(update={"seed": 0, "sha256": ""})


class Classes(FileTask):
    """A file task with one class a sequence."""

    readout: Readout = "mean"

    def classified(
        self, num_outputs: int, length: int, *, ids: int | None = None, features: int | None = None
    ) -> Context:
        return Context(
            num_inputs=ids,
            input_dim=features,
            num_outputs=num_outputs,
            length=length,
            head=self.readout,
        )


class ClassesOrReals(FileTask):
    """A file task with classes or real numbers, as the files have it."""

    @property
    def metric(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Accuracy, or for real targets the loss."""
        return "loss" if self.context.is_real else "accuracy"


@lru_cache(maxsize=16)
def _hash(task: Any) -> str:
    digest, files = hashlib.sha256(), task.files()
    common = Path(os.path.commonpath([file.parent for file in files]))
    for file in files:
        name = file.relative_to(common).as_posix()
        digest.update(f"{name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()
