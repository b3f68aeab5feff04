"""What of one MLflow run is still to be written, in names and values that MLflow takes."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

CURVE_POINTS = 200  # of one metric in one run
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


class Thinning:
    """Keeps the first point in each of 200 parts of the training, and the last of all."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._parts: set[tuple[str, int]] = set()

    def keeps(self, name: str, step: int) -> bool:
        part = (name, CURVE_POINTS * step // max(self._steps, 1))
        if part in self._parts and step < self._steps:
            return False
        self._parts.add(part)
        return True


@dataclass(eq=False)
class Record:
    """The run, and its changes. Only the thread that writes touches what is not its identity."""

    key: str  # identity in the store
    name: str
    parent: Record | None = None
    started: int = field(default_factory=now)
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    points: list[Point] = field(default_factory=list)
    status: str | None = None
    ended: int = 0
    run_id: str | None = None
    stored_status: str = ""
    stored_end: int = 0
    stored_steps: dict[str, set[int]] = field(default_factory=dict)  # by metric, as far as asked
    fresh: bool = False  # made by this process: the store need not be asked

    @property
    def changed(self) -> bool:
        return bool(self.points or self.tags or self.params or self.config or self.status)

    def describe(
        self,
        tags: Mapping[str, object],
        params: Mapping[str, str],
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.tags.update({clean(k): text_of(v, TAG_LENGTH) for k, v in tags.items()})
        self.params.update(params)
        self.config = config
        self.status = "RUNNING"

    def add(self, point: Point) -> None:
        self.points.append(point)

    def finish(self, status: str, points: Sequence[Point], ended: int) -> None:
        self.points.extend(points)
        self.tags["status"] = status
        self.status = STATUS.get(status, "FAILED")
        self.ended = ended

    def forget(self) -> None:
        """The store has it all."""
        self.tags, self.params, self.config, self.points = {}, {}, None, []
        self.status = None


Change = Callable[..., None]  # a method of a record: describe, add, finish


class Store(Protocol):
    """Where records go. A failed write leaves in the record what is not written."""

    uri: str

    def write(self, record: Record) -> int:
        """Write what is new. Returns: how many points that was."""
        ...


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


def hash_of(*words: str) -> str:
    """A name for what the words say together."""
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:32]
