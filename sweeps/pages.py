"""Where a study can be looked at in a browser: the commands that open MLflow and optuna-dashboard.

Neither is imported: what is printed is for a person, or a script, to start.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import socket
import sqlite3
import sys
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

from sweeps.address import database as address_of
from sweeps.address import public

HOST = "127.0.0.1"
MLFLOW_PORT, OPTUNA_PORT = 5000, 8080  # where both are looked for by habit
PATIENCE = 1.0  # seconds, with a tracking server
BY_NAME = "orderByKey=tags.%60mlflow.runName%60&orderByAsc=true"
STUDY = """
SELECT experiment_id FROM runs JOIN tags USING (run_uuid)
WHERE key = 'study' AND value = ? LIMIT 1
"""


def pages(directory: Path, *, trials: bool, storage: str = "") -> list[str]:
    """A line for MLflow, and one for Optuna where there are trials.

    Args:
        directory: of the study.
        trials: whether it tunes.
        storage: where these are, as optuna-dashboard is told; "" for the study's own file.
    """
    directory = directory.resolve()
    port = free_port(MLFLOW_PORT)
    lines = [f"runs:   {_mlflow(directory, port)}"]
    if trials:
        storage = storage or address_of(directory / "study.db")
        lines.append(f"trials: {_optuna(storage, free_port(OPTUNA_PORT, but=port))}")
    return lines


def _mlflow(directory: Path, port: int) -> str:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith(("http:", "https:")):
        address = public(uri).rstrip("/")
        return _linked(address, _served_experiment(address), directory.name)
    database = directory.parent / "mlflow.db"
    # an address that the user chose may hold a password: it is named, not shown
    store = '"$MLFLOW_TRACKING_URI"' if uri else shlex.quote(f"sqlite:///{database}")
    experiment = None if uri else _kept_experiment(database, directory.name)
    page = _linked(f"http://{HOST}:{port}", experiment, directory.name)
    # one worker, not MLflow's four: half the memory, and it is there sooner
    start = program("mlflow")
    if start == "mlflow" and shutil.which(start) is None:
        start = f"{shlex.quote(sys.executable)} -m mlflow"
    command = f"{start} ui --backend-store-uri {store} --workers 1 --port {port}"
    return f"{command}  ->  {page}"


def _optuna(storage: str, port: int) -> str:
    dashboard = "optuna-dashboard"
    found = program(dashboard)
    line = f"{found} {shlex.quote(storage)} --port {port}  ->  http://{HOST}:{port}"
    missing = found == dashboard and shutil.which(dashboard) is None
    return f"{line}  (pip install optuna-dashboard)" if missing else line


def program(name: str) -> str:
    """How to start it: by name, or with its path if it lies beside this Python only."""
    beside = Path(sys.executable).with_name(name)
    if shutil.which(name) is None and beside.exists():
        return shlex.quote(str(beside))
    return name


def free_port(first: int, but: int = 0) -> int:
    """The first from there on that nobody listens on; it may be taken by the time it is used."""
    for port in range(first, first + 100):
        with contextlib.suppress(OSError), socket.socket() as tried:
            tried.bind((HOST, port))
            if port != but:
                return port
    return first


def _linked(address: str, experiment: str | None, study: str) -> str:
    """The page of the study's runs; the front page where the experiment is not known yet.

    In the order of names, as in that of time MLflow folds all runs into the study's own.
    """
    if experiment is None:
        return address
    chosen = quote(f"tags.study = '{study}' and tags.arm != ''", safe="")
    return f"{address}/#/experiments/{experiment}/runs?searchFilter={chosen}&{BY_NAME}"


def _kept_experiment(database: Path, study: str) -> str | None:
    """Its number in a database, whose tables are MLflow's own affair: only if they are as known."""
    with contextlib.suppress(sqlite3.Error):
        uri = f"file:{quote(str(database))}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=0.2)) as connection:
            row = connection.execute(STUDY, (study,)).fetchone()
            return None if row is None else str(row[0])
    return None


def _served_experiment(address: str) -> str | None:
    """Its number on a tracking server, if the server answers soon."""
    name = quote(os.environ.get("MLFLOW_EXPERIMENT_NAME") or "seqzoo")
    asked = f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}"
    try:
        with urlopen(asked, timeout=PATIENCE) as answer:
            number = json.load(answer)["experiment"]["experiment_id"]
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return None
    return number if isinstance(number, str) and number.isalnum() else None
