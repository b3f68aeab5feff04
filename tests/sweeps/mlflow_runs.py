"""What a tracking database holds, for the tests that read it back."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any


def client_of(root: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{root / 'mlflow.db'}")


def runs(root: Path, experiment: str = "seqzoo") -> tuple[list[Any], list[Any]]:
    """Parent runs and child runs, children in the order of their names."""
    client = client_of(root)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    children = [r for r in found if "mlflow.parentRunId" in r.data.tags]
    return [r for r in found if r not in children], sorted(children, key=lambda r: r.info.run_name)


def history(root: Path, run: Any, name: str) -> list[tuple[int, float]]:
    return sorted(
        (m.step, m.value) for m in client_of(root).get_metric_history(run.info.run_id, name)
    )


def closed_port() -> str:
    """An address with secrets, where nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://user:pa@ss/word@127.0.0.1:{probe.getsockname()[1]}/?token=secret"


def database(root: Path) -> str:
    """The word that names the database of an output folder."""
    return f"uri=sqlite:///{root / 'mlflow.db'}"
