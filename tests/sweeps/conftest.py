"""Tracking in a database of the test's own, whatever the environment says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Root = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def root(tracked_root: Root) -> Path:
    return tracked_root("out")
