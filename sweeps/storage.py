"""Where the trials of a search are kept: a file of the study, or a database that many share.

    storage=sqlite                        out/<study>/study.db                  (the default)
    storage=journal                       out/<study>/study.journal, for network file systems
    storage=postgresql://user@host/name   of a server                           (extra `postgresql`)

One driver a study asks and tells, whatever the storage: none of them hands a trial to one process
alone (optuna/optuna#4621).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.address import masked
from sweeps.words import WordError, nearest

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

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
    return f"sqlite:///{directory / FILES['sqlite']}" if word in FILES else masked(word)


@contextlib.contextmanager
def open_storage(word: str, directory: Path) -> Iterator[BaseStorage]:
    """The storage, there and writable; its connections are closed at the end.

    Raises: WordError, one line, for a server that does not answer, or has no such database.
    """
    from optuna.storages import RDBStorage

    storage = _opened(word, directory)
    try:
        yield storage
    finally:
        if isinstance(storage, RDBStorage):
            storage.remove_session()
            storage.engine.dispose()


def _opened(word: str, directory: Path) -> BaseStorage:
    import optuna

    if word == "journal":
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        path = str(directory / FILES["journal"])
        backend = JournalFileBackend(path, lock_obj=JournalFileOpenLock(path))
        return optuna.storages.JournalStorage(backend)
    if word in FILES:
        return optuna.storages.RDBStorage(f"sqlite:///{directory / FILES['sqlite']}")
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
