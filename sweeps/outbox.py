"""What is still to be written to the tracking store, and the thread that writes it.

Training puts changes into a queue and never waits. The thread thins curves, hands records to the
store in batches, and tries again later what a store that is away did not take.
"""

from __future__ import annotations

import json
import math
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

CURVE_POINTS = 200  # of one metric in one run
FLUSH_SECONDS, FLUSH_CHANGES = 5.0, 1000  # whichever comes first
RETRY_SECONDS = 300.0  # the longest wait before a store that is away is asked again
AWAY_SECONDS = 5.0  # how long a store that was away is waited for at the end
PARAM_LENGTH, TAG_LENGTH, NAME_LENGTH = 500, 5000, 250  # what every server takes
STATUS = {"running": "RUNNING", "finished": "FINISHED", "killed": "KILLED"}  # others: FAILED


def now() -> int:
    """Milliseconds, as MLflow counts."""
    return int(time.time() * 1000)


@dataclass(frozen=True)
class Point:
    name: str
    step: int
    value: float
    time: int = field(default_factory=now)


@dataclass(eq=False)
class Record:
    """What of one MLflow run is still to be written. Only the writer thread touches it."""

    key: str  # identity in the store
    name: str
    parent: Record | None = None
    steps: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    points: list[Point] = field(default_factory=list)
    status: str | None = None
    started: int = field(default_factory=now)
    ended: int = 0
    thinned: set[tuple[str, int]] = field(default_factory=set)  # parts of curves that have a point
    run_id: str | None = None
    stored_status: str = ""
    stored_steps: dict[str, set[int]] = field(default_factory=dict)  # by metric, as far as asked
    fresh: bool = False  # made by this process: the store need not be asked

    def describe(self, tags: Mapping[str, object], params: Mapping[str, str]) -> None:
        self.tags.update({clean(k): text_of(v, TAG_LENGTH) for k, v in tags.items()})
        self.params.update(params)
        self.status = "RUNNING"

    def add(self, point: Point) -> None:
        """Keep the first point in each of 200 parts of the training, and the last of all."""
        part = CURVE_POINTS * point.step // max(self.steps, 1)
        if (point.name, part) not in self.thinned or point.step >= self.steps:
            self.thinned.add((point.name, part))
            self.points.append(point)

    def finish(self, status: str, points: list[Point], ended: int) -> None:
        self.points.extend(points)
        self.tags["status"] = status
        self.status = STATUS.get(status, "FAILED")
        self.ended = ended


class Store(Protocol):
    """Where records go. A failed write leaves in the record what is not written."""

    uri: str

    def write(self, record: Record) -> None: ...


class Outbox:
    """The thread. It carries out changes, and hands changed records to the store now and then."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: queue.SimpleQueue[tuple[Record, Callable[..., None], Any] | None] = (
            queue.SimpleQueue()
        )
        self._changed: dict[Record, None] = {}  # in the order of their first change
        self._changes = 0  # since the last flush
        self._due = math.inf  # when the next flush is
        self._wait = FLUSH_SECONDS  # longer after failures
        self._warned = False
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        return self._thread is not None

    def put(self, record: Record, change: Callable[..., None], *args: object) -> None:
        if self._thread is None:  # not before: a command that tracks nothing needs no mlflow
            self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
            self._due = time.monotonic()  # open the store at once: that takes seconds
            self._thread.start()
        self._queue.put((record, change, args))

    def close(self, timeout: float) -> bool:
        assert self._thread is not None
        self._queue.put(None)
        away = self._wait > FLUSH_SECONDS
        self._thread.join(min(timeout, AWAY_SECONDS) if away else timeout)
        written = not self._thread.is_alive() and not self._changed
        if not written:
            self._warn(f"{self._store.uri} has not everything")
        return written

    def _run(self) -> None:
        while self._take():
            enough = self._changes >= FLUSH_CHANGES and self._wait == FLUSH_SECONDS
            if enough or time.monotonic() >= self._due:
                self._flush(list(self._changed))
        limit = math.inf
        for record in list(self._changed):  # whatever one of them meets, the others are tried
            if time.monotonic() < limit and not self._flush([record]):
                limit = min(limit, time.monotonic() + AWAY_SECONDS)

    def _take(self) -> bool:
        """Carry out one change, or none if a flush is due first. False: there will be no more."""
        wait = None if self._due == math.inf else max(0.0, self._due - time.monotonic())
        try:
            event = self._queue.get(timeout=wait)
        except queue.Empty:
            return True
        if event is None:
            return False
        record, change, args = event
        change(*args)
        self._changed[record] = None
        self._changes += 1
        self._due = min(self._due, time.monotonic() + self._wait)
        return True

    def _flush(self, records: list[Record]) -> bool:
        """Write in order up to the first failure; the record that failed comes last next time."""
        self._due, self._changes = math.inf, 0
        for record in records:
            del self._changed[record]
            try:
                self._store.write(record)
            except Exception as error:  # whatever it is, training goes on
                self._changed[record] = None
                self._warn(f"{self._store.uri} cannot be written ({type(error).__name__}: {error})")
                self._wait = min(2 * self._wait, RETRY_SECONDS)
                self._due = time.monotonic() + self._wait
                return False
        self._wait = FLUSH_SECONDS
        return True

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            line = re.sub(r"//[^/@\s]*@", "//***@", " ".join(text.split()))  # no passwords
            sys.stderr.write(f"warning: MLflow: {line[:300]}; training goes on\n")


def flatten(config: Mapping[str, Any]) -> dict[str, str]:
    """Nested JSON values as params: `{"model": {"depth": 2}}` is `{"model.depth": "2"}`.

    A value too long for a param is left out; the artifact has it.
    """
    flat: dict[str, str] = {}

    def visit(path: str, value: object) -> None:
        if isinstance(value, Mapping | list | tuple) and value:
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            for name, child in items:
                visit(f"{path}.{name}" if path else str(name), child)
            return
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        if len(text) <= PARAM_LENGTH:
            flat[clean(path)] = text_of(text, PARAM_LENGTH)

    for name, value in config.items():
        visit(str(name), value)
    return flat


def clean(name: object) -> str:
    """A name that MLflow takes for a metric, a param or a tag, and that is no path to elsewhere."""
    text = re.sub(r"[^\w./ :-]", "_", str(name))
    parts = [part for part in text.split("/") if part not in ("", ".", "..")]
    return "/".join(parts)[:NAME_LENGTH].rstrip("/") or "_"


def text_of(value: object, length: int) -> str:
    """What a database stores: valid Unicode without NUL, not too long."""
    return str(value).encode("utf-8", "replace").decode().replace("\0", "")[:length]
