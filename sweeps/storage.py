"""Where the trials of a search are kept: a file of the study, or a database that many share.

    storage=sqlite                        out/<study>/study.db                  (the default)
    storage=journal                       out/<study>/study.journal, for network file systems
    storage=postgresql://user@host/name   of a server                           (extra `postgresql`)

One driver a study asks and tells, whatever the storage: none of them hands a trial to one process
alone (optuna/optuna#4621).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.address import database, masked
from sweeps.words import WordError, nearest

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage

FILES = {"sqlite": "study.db", "journal": "study.journal"}
SERVERS = ("postgresql", "postgres", "postgresql+psycopg")
DRIVER = "postgresql+psycopg"


def checked(word: str) -> str:
    """The word as it is used.

    Raises: WordError for what is no storage.
    """
    scheme, sign, rest = word.partition("://")
    if not sign and word in FILES:
        return word
    if sign and scheme in SERVERS and rest:
        return f"{DRIVER}://{rest}"
    known = (*FILES, "postgresql://USER@HOST/NAME")
    raise WordError(f"storage={masked(word)}: {nearest(scheme, known)}")


def address(word: str, directory: Path) -> str:
    """What optuna-dashboard is started with; a password is left out."""
    if word == "journal":
        return str(directory / FILES["journal"])
    return database(directory / FILES["sqlite"]) if word in FILES else masked(word)


@contextlib.contextmanager
def open_storage(word: str, directory: Path) -> Iterator[BaseStorage]:
    """The storage, there and writable; its connections are closed at the end.

    Raises: WordError, one line, for a server that does not answer, or has no such database, or
            where another process has the study: a folder of files has an owner, a server many.
    """
    from optuna.storages import RDBStorage

    storage = _opened(word, directory)
    owned = contextlib.nullcontext()
    if isinstance(storage, RDBStorage) and word not in FILES:
        owned = _owning(storage, word, directory.name)
    try:
        with owned:
            yield storage
    finally:
        if isinstance(storage, RDBStorage):
            storage.remove_session()
            storage.engine.dispose()


@contextlib.contextmanager
def _owning(storage: RDBStorage, word: str, study: str) -> Iterator[None]:
    """Hold the study on its server, which lets go of it when this connection ends."""
    from sqlalchemy import text

    key = int.from_bytes(hashlib.sha256(study.encode()).digest()[:8], signed=True)
    with storage.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")  # no transaction is held
        mine = connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key})
        if not mine:
            raise WordError(
                f"storage={masked(word)}: {study} is being run by another process, with another "
                "out= or on another machine; wait for it"
            )
        yield


def _opened(word: str, directory: Path) -> BaseStorage:
    import optuna

    if word == "journal":
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        path = str(directory / FILES["journal"])
        _cut_to_lines(Path(path))
        backend = JournalFileBackend(path, lock_obj=JournalFileOpenLock(path))
        return optuna.storages.JournalStorage(backend)
    if word in FILES:
        return optuna.storages.RDBStorage(database(directory / FILES["sqlite"]))
    try:
        return optuna.storages.RDBStorage(word, engine_kwargs={"pool_pre_ping": True})
    except ImportError as error:
        raise WordError(
            f"storage={masked(word)}: {error.name or 'its driver'} is not installed; "
            "pip install 'seqzoo[postgresql]'"
        ) from None
    except Exception as error:  # a driver raises anything
        why = masked(str(error.__cause__ or error))[:200]
        raise WordError(f"storage={masked(word)}: {why}") from None


def _cut_to_lines(path: Path) -> None:
    """Without the half of a line that a kill or a full disk left: it was never told to anybody."""
    with contextlib.suppress(FileNotFoundError), path.open("rb+") as file:
        kept = file.read().rfind(b"\n") + 1
        if kept < file.seek(0, os.SEEK_END):
            file.truncate(kept)
