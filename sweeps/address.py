"""Where MLflow is: its address, what of that may be written down, and how long it is waited for."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = {  # unless the user set them
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # by default 7: four minutes. We try again ourselves
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


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
    """A message, on one line and without the passwords of the addresses in it."""
    return re.sub(r"//\S*@", "//***@", " ".join(text.split()))
