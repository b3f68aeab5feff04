"""Spools whose process is gone: read with suspicion, written to the store, then removed.

A spool never comes back to life, and the next run of its study writes nothing before it went
through here: so whoever holds `replaying` and sees no live spool of a study is alone with its runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeps.address import Place
from sweeps.atomic import file_lock
from sweeps.tracked import PARAM_LENGTH, Point, Record, Store, clean, now, text_of

FOLDER, LOCK, ASIDE = "mlflow-spool", ".mlflow-spool.lock", ".damaged"
KEY = re.compile(r"[0-9a-f]{32}")
LARGEST = 2**62  # a store's integers
DAMAGE = (ValueError, TypeError, KeyError, OverflowError, RecursionError)
PATIENCE = 2  # failures: one may be of one run, two are the store's


@dataclass
class Spooled:
    """What a spool says, as far as it can be read."""

    path: Path
    study: str = "?"
    place: Place | None = None  # None where the line that says it is damaged
    records: dict[str, Record] = field(default_factory=dict)
    lines: int = 0
    damaged: int = 0


def replaying(root: Path) -> contextlib.AbstractContextManager[None]:
    """One at a time writes leftover spools of an output folder."""
    return file_lock(root / LOCK)


def left(root: Path, study: str = "") -> list[Path]:
    """The spools of a study, or of all, oldest first; live ones too."""
    found = (root / FOLDER).glob(f"{study}*.jsonl")
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def is_live(path: Path) -> bool:
    """Whether the process that writes this spool lives."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # it just ended, with nothing left
        return False
    except OSError:  # another user's: not ours to judge
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def adopt(root: Path, store: Store, study: str, place: Place, *, but: Path | None) -> None:
    """What earlier processes of a study left for the same store, unless another one lives.

    Raises: what the store raises; then nothing is removed.
    """
    if not set(left(root, study)) - {but}:
        return
    with replaying(root):
        paths = [path for path in left(root, study) if path != but]
        if any(is_live(path) for path in paths):
            return
        for spooled in map(read, paths):
            ours = spooled.place == place and not spooled.damaged  # of damage, the program tells
            if ours or not spooled.lines:
                restore(spooled, store)


def restore(spooled: Spooled, store: Store, tell: Callable[[int], None] = lambda _: None) -> None:
    """Write it all, then remove the file, or keep it under another name if it is damaged.

    `tell` hears after each run how many points the store did not have. What fails is tried in full
    again another time: the store knows what it has.
    Raises: what the store raised first.
    """
    failed: list[Exception] = []
    for record in spooled.records.values():
        if not record.changed:
            continue
        try:
            tell(store.write(record))
        except Exception as error:  # mlflow has many
            failed.append(error)
            if len(failed) == PATIENCE:
                break
    if failed:
        raise failed[0]
    if spooled.damaged:
        spooled.path.rename(spooled.path.with_name(spooled.path.name + ASIDE))
    else:
        spooled.path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty yet
        spooled.path.parent.rmdir()


def read(path: Path) -> Spooled:
    """What is in a spool; lines that are not what this program writes are only counted."""
    found = Spooled(path)
    study = path.name.partition("-")[0]
    for line in path.read_bytes().split(b"\n"):
        if not line:
            continue
        found.lines += 1
        try:
            value = json.loads(line)
            if found.lines == 1:
                _read_header(value, found)
            else:
                _read_change(value, found.records, study)
        except DAMAGE:
            found.damaged += 1
    if not found.lines:
        found.place = Place()  # emptied: the store has everything
    return found


def _read_header(value: Any, found: Spooled) -> None:
    if value["spool"] != 1:
        raise ValueError("written by another version")
    uri, experiment = value["uri"], value["experiment"]
    _require(isinstance(uri, str | None) and isinstance(experiment, str | None))
    found.study, found.place = str(value["study"]), Place(uri, experiment)


def _read_change(value: Any, records: dict[str, Record], study: str) -> None:
    if "name" in value:
        record = _record(value["run"], records)
        record.started = _whole(value["started"])
        record.name = text_of(value["name"], 1000)
        if value["study"] is not None:
            record.parent = _record(value["study"], records)
        return
    record = _record(value["run"], records, study)
    [(change, arguments)] = [item for item in value.items() if item[0] != "run"]
    READ[change](record, *arguments)


def _record(key: Any, records: dict[str, Record], study: str = "") -> Record:
    """The run with that key; where the line that introduces it is lost, one without a name."""
    _require(isinstance(key, str) and KEY.fullmatch(key) is not None)
    if key not in records:
        known_parent = bool(KEY.fullmatch(study)) and study != key
        parent = _record(study, records) if known_parent else None
        records[key] = Record(key, key[:8], parent, now())
    return records[key]


def _describe(record: Record, tags: Any, params: Any, config: Any = None) -> None:
    _require(isinstance(tags, dict) and isinstance(params, dict))
    _require(isinstance(config, dict | None))
    short = {clean(name): text_of(value, PARAM_LENGTH) for name, value in params.items()}
    record.describe(tags, short, config)


def _add(record: Record, point: Any) -> None:
    record.add(_point(point))


def _finish(record: Record, status: Any, points: Any, ended: Any) -> None:
    _require(isinstance(status, str))
    record.finish(text_of(status, 100), [_point(point) for point in points], _whole(ended))


READ = {"describe": _describe, "add": _add, "finish": _finish}


def _point(value: Any) -> Point:
    name, step, number, time = value
    _require(isinstance(name, str) and not isinstance(number, bool))
    return Point(name, _whole(step), float(number), _whole(time))


def _whole(value: Any) -> int:
    _require(type(value) is int and abs(value) < LARGEST)
    return value


def _require(condition: bool) -> None:  # noqa: FBT001
    if not condition:
        raise ValueError("not what a spool holds")
