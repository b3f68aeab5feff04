"""One driver a study: the second one is told who the first is."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sweeps.atomic import try_lock
from sweeps.words import WordError

NAME = "driver.json"
PATIENCE, PAUSE = 1.0, 0.02  # seconds: who only looks holds it for a moment


@contextlib.contextmanager
def owning(directory: Path) -> Iterator[None]:
    """Hold the study; the kernel lets go of it when this process ends, however it ends.

    Raises: WordError, that names the process which has it.
    """
    descriptor = os.open(directory / NAME, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _taken(descriptor):
            raise WordError(f"{directory} {_whose(descriptor)}")
        mine = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(mine).encode() + b"\n", 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """Try for a second."""
    until = time.monotonic() + PATIENCE
    while not (taken := try_lock(descriptor)) and time.monotonic() < until:
        time.sleep(PAUSE)
    return taken


def owner_of(directory: Path) -> dict[str, str | int] | None:
    """Who runs the study now: pid, host, since. None: nobody."""
    try:
        descriptor = os.open(directory / NAME, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    finally:
        os.close(descriptor)
    return None


def _read(descriptor: int) -> dict[str, str | int]:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        return found if isinstance(found, dict) else {}
    except ValueError:
        return {}


def _whose(descriptor: int) -> str:
    found = _read(descriptor)
    if not found:
        return "is being run by another process; wait for it"
    return (
        f"is being run by process {found.get('pid')} on {found.get('host')} since "
        f"{found.get('since')}; wait for it, or stop it and type the command again"
    )
