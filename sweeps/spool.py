"""What was said to the tracking store, kept as lines of JSON until the store has it.

Every process that tracks has a file, `out/mlflow-spool/STUDY-TIME-RANDOM.jsonl`. Changes are
appended before the store gets them: kill -9 takes back the last hundredths of a second, a power cut
the last seconds. The file is emptied whenever the store has everything. Its process holds a lock on
it, which the kernel drops when the process dies: `sweeps.leftover` reads the others.

    {"spool": 1, "study": "decay-off-1234", "uri": "http://127.0.0.1:5000", "experiment": null}
    {"run": "0f..", "name": "baseline seed 1", "study": "a3..", "started": 1790000000000}
    {"run": "0f..", "describe": [tags, params, config]}
    {"run": "0f..", "add": [["validation/loss", 20, 1.25, 1790000000001]]}
    {"run": "0f..", "finish": ["finished", [], 1790000000002]}
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import secrets
import shlex
from collections.abc import Sequence
from pathlib import Path

from sweeps.address import Place
from sweeps.leftover import FOLDER, adopt, is_live, left
from sweeps.tracked import Change, Point, Record, Store, now


class NoSpool:
    """Keeps nothing."""

    @property
    def has_all(self) -> bool:
        """Whether all that was appended since it was cleared is in a file."""
        return False

    def append(self, events: Sequence[tuple[Record, Change, Sequence[object]]]) -> None:
        """Keep some changes: methods of records, and their arguments."""

    def clear(self) -> None:
        """The store has everything."""

    def sync(self) -> None:
        """See that what is kept survives a power cut."""

    def end(self) -> None:
        """Nothing more will come from this process."""

    def adopt(self, store: Store) -> None:
        """Write what earlier processes of the same study left."""

    def rest(self) -> str:
        """How what the store does not have will get there; "" if it has everything."""
        return ""


class Spool(NoSpool):
    """The spool of one process and study.

    Args:  root   the directory of all output, as the user calls it
           study  the record of the parent run
           place  where the points are meant to go
    """

    def __init__(self, root: str | os.PathLike[str], study: Record, place: Place) -> None:
        self._command = f"python -m sweeps.sync {shlex.quote(os.fspath(root))}"
        self._root, self._study, self._place = Path(root).resolve(), study, place
        header = {"spool": 1, "study": study.name, "uri": place.uri, "experiment": place.experiment}
        self._header = _line(header)
        self._unwritten = bytearray(self._header)  # a full disk: it goes with the next line
        self._introduced: set[str] = set()
        self._path: Path | None = None
        self._file = -1
        self._problem = ""

    @property
    def has_all(self) -> bool:
        return self._file >= 0 and not self._unwritten

    def append(self, events: Sequence[tuple[Record, Change, Sequence[object]]]) -> None:
        for record, change, args in events:
            self._introduce(record)
            self._unwritten += _line({"run": record.key, change.__name__: args})
        try:
            if self._file < 0:
                self._open()
            while self._unwritten:
                del self._unwritten[: os.write(self._file, self._unwritten)]
        except OSError as error:  # whatever it is, training goes on
            self._problem = error.strerror or str(error)

    def _introduce(self, record: Record) -> None:
        """Say who a run is, as far as its own lines do not, once in the file."""
        if record.key in self._introduced:
            return
        if record.parent is not None:
            self._introduce(record.parent)
        self._introduced.add(record.key)
        parent = None if record.parent is None else record.parent.key
        self._unwritten += _line(
            {"run": record.key, "name": record.name, "study": parent, "started": record.started}
        )

    def _open(self) -> None:
        """A file that nobody else ever sees without its lock."""
        folder = self._root / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        token = secrets.token_hex(4)
        path, hidden = folder / f"{self._study.key}-{now()}-{token}.jsonl", folder / f".{token}.tmp"
        file = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            hidden.rename(path)
        except OSError:
            os.close(file)
            with contextlib.suppress(OSError):
                hidden.unlink()
            raise
        self._path, self._file = path, file

    def clear(self) -> None:
        self._introduced.clear()
        self._unwritten[:] = self._header
        if self._file >= 0:
            with contextlib.suppress(OSError):  # said twice is written once
                os.ftruncate(self._file, 0)

    def sync(self) -> None:
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._file)

    def end(self) -> None:
        """Leave what the store does not have to others, and nothing behind if there is nothing."""
        if self._path is None:
            return
        self.sync()
        with contextlib.suppress(OSError):
            if not self._introduced:
                self._path.unlink()
                self._path.parent.rmdir()
        os.close(self._file)
        self._path, self._file = None, -1

    def adopt(self, store: Store) -> None:
        adopt(self._root, store, self._study.key, self._place, but=self._path)

    def rest(self) -> str:
        others = any(not is_live(path) for path in left(self._root, self._study.key))
        said = f"{self._command} writes the rest" if others or self._path is not None else ""
        lost = f"no room to keep what was said last ({self._problem})"
        return "; ".join(filter(None, (said, lost if self._introduced and self._unwritten else "")))


def _line(value: object) -> bytes:
    return json.dumps(value, default=_plain, skipkeys=True).encode() + b"\n"


def _plain(value: object) -> object:
    """A point as a list; what JSON has no number for as a word, which `float` reads."""
    if not isinstance(value, Point):
        return str(value)
    number = value.value if math.isfinite(value.value) else str(value.value)
    return [value.name, value.step, number, value.time]
