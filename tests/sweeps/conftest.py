"""Tracking in a database of the test's own, whatever the environment says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps.leftover import left
from sweeps.track import Tracker
from tests.sweeps.mlflow_runs import closed_port
from tests.sweeps.small import TINY

Root = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def root(tracked_root: Root) -> Path:
    return tracked_root("out")


@pytest.fixture
def said(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Path]:
    """Says a study while the server is away; returns its spool."""

    def say(end: int = 5, status: str = "finished", name: str = "baseline/1") -> Path:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_port())
        before = set(left(root))
        tracker = Tracker(root, "study")
        tracker.start_study({"task": "mqar"}, {"seeds": 1})
        run = tracker.start_run(
            name, "f" * 64, identity={"code": "c"}, steps=10, config={"lr": 1e-3}
        )
        for step in range(end):
            run.metric(step, "loss", float(step))
        run.finish(status, {"accuracy": 0.5})
        assert not tracker.close(20)
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        assert "has not everything; python -m sweeps.sync" in capfd.readouterr().err
        [path] = set(left(root)) - before
        return path

    return say


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_tracking_database: Path) -> list[Path]:
    """The folder of runs of a tiny configuration."""
    from sweeps.run import main as run

    root = tmp_path_factory.mktemp("out")
    (root / "mlflow.db").write_bytes(empty_tracking_database.read_bytes())
    assert run(["base=all-on", *TINY, f"out={root}"]) == 0
    folders = sorted(p.parent for p in root.glob("runs/*/result.json"))
    assert len(folders) == 2
    return folders
