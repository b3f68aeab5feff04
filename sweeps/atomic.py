"""Files that are either whole or not there, names that are safe, and a lock between processes.

The standard library only: everything that writes under `out/` writes through here.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SLUG_LENGTH = 80
LOOK_EVERY = 0.1  # seconds between tries to take a lock


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace the file by `data`, so that a reader sees the old file or the new one, never a part.

    Raises: OSError with the path, after removing its own temporary file; the old file stays.
    """
    target = Path(path)
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")  # the same directory: one rename
    try:
        write_synced(temporary, data)
        os.replace(temporary, target)
        sync_directory(target.parent)
    except OSError as error:
        # a failed write names no file and a failed rename the temporary one: say which file it was
        raise OSError(error.errno, error.strerror or str(error), str(target)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """`write_bytes` of UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """`write_bytes` of JSON that every reader accepts: NaN and infinities are a ValueError."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_synced(path: Path, data: bytes) -> None:
    """A new file whose bytes are on the disk when this returns; it must not exist before."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make the names in a directory (a rename, a new file) survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def slug(name: str) -> str:
    """A file name made of [a-z0-9._-], 1 to 80 characters, not beginning with a dot or a dash.

    Names that keep nothing become 8 hex digits. Different names may share a slug: add a hash
    where that matters.
    """
    text = re.sub(r"[^a-z0-9._-]+", "-", name.lower())
    text = re.sub(r"\.{2,}", ".", text).lstrip(".-")[:SLUG_LENGTH].rstrip(".-")
    return text or hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def inside(root: str | os.PathLike[str], name: str) -> Path:
    """`root/name`, which must lie below root when every link is followed, else ValueError."""
    path = Path(root) / name
    outside = "\0" in name or ".." in Path(name).parts
    if not outside:
        top, real = Path(root).resolve(), path.resolve()
        outside = real == top or not real.is_relative_to(top)
    if outside:
        raise ValueError(f"name {name!r} leads outside {root}; use a plain name without '..'")
    return path


@contextlib.contextmanager
def file_lock(
    path: str | os.PathLike[str], look: Callable[[], object] | None = None
) -> Iterator[None]:
    """Only one process (or thread) at a time is inside; the others wait.

    Who waits may `look` now and then, and raise to wait no longer.

    The kernel drops the lock when its holder dies, so a killed process leaves nothing to clean up.
    The empty file stays: removing it would let two processes hold two different locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while look is not None and not try_lock(descriptor):
            look()
            time.sleep(LOOK_EVERY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # of what is locked already: nothing
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file, if nobody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
