"""Where MLflow is: its address, what of that may be written down, and how long it is waited for."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

ENVIRONMENT = {  # unless the user set them
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # by default 7: four minutes. We try again ourselves
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
MEANT = str.maketrans({character: quote(character) for character in "%?{}"})
SECRET = re.compile(  # a field of a query: its value, up to a quote that a shell needs
    r"([?&][^=&\s]*(?:pass|pwd|secret|token|key|credential|auth)[^=&\s]*=)"
    r"([^&\s]*?)(?=['\"]?(?:[&\s]|$))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Place:
    """A store, in a form that may be written down: without user, password and query.

    Args:  uri         None for the database in the folder of all output, wherever that is
           experiment  None for seqzoo's own
    """

    uri: str | None = None
    experiment: str | None = None


def prepare_environment() -> None:
    """See that a server that is away is an error soon, before mlflow is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def database(path: Path) -> str:
    """The address of an sqlite file, for SQLAlchemy, in whichever folder it is.

    `?` would begin a query, `%` an escape, and Optuna fills in braces.
    """
    return f"sqlite:///{str(path).translate(MEANT)}"


def default_uri(root: Path) -> str:
    """The database in the folder of all output."""
    return f"sqlite:///{root.resolve() / 'mlflow.db'}"


def user_place(uri: str | None = None) -> Place:
    """What the user says: `uri`, MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or None
    return Place(uri and public(uri), os.environ.get("MLFLOW_EXPERIMENT_NAME") or None)


def public(uri: str) -> str:
    """The address without what may be a secret: all before the last `@`, which passwords hold too.

    A database file has neither, and its path may hold anything.
    """
    if uri.startswith(("sqlite:", "file:")):
        return uri
    return re.sub(r"//.*@", "//", re.sub(r"[?#].*", "", uri, flags=re.DOTALL), flags=re.DOTALL)


def masked(text: str) -> str:
    """A message, on one line and without the passwords of the addresses in it.

    A field that holds `@` may be part of a password before a host: its address is masked up to it.
    """

    def mask(field: re.Match[str]) -> str:
        return f"{field[1]}***{'@' if '@' in field[2] else ''}"

    return re.sub(r"//\S*@", "//***@", SECRET.sub(mask, " ".join(text.split())))
