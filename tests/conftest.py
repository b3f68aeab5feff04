"""What all tests share: what may not be missing, and a tracking database made once."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sweeps.atomic import file_lock

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the convolution once, before any worker or any program under test would."""
    if not hasattr(session.config, "workerinput"):
        from zoo.conv.cpu.build import extension

        extension()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A skip that names a word of SEQZOO_REQUIRE is a failure: there it must be in place."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]).lower()
        for name in filter(None, os.environ.get("SEQZOO_REQUIRE", "").split(",")):
            if re.search(rf"\b{re.escape(name)}\b", reason):  # "ray" is not in "arrays"
                report.outcome = "failed"
                report.longrepr = f"{item.nodeid}: {name} is required here, but: {reason}"
    return report


@pytest.fixture(scope="session")
def empty_tracking_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs. Making one takes seconds: all processes share it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    database = shared / "empty-mlflow.db"
    with file_lock(shared / "empty-mlflow.lock"):
        if not database.exists():
            from sweeps.mlflow_store import prepare_database

            prepare_database(database, (shared / "nowhere").as_uri())
    return database


@pytest.fixture
def tracked_root(tmp_path: Path, empty_tracking_database: Path) -> Callable[[str], Path]:
    """Makes a directory for output (`root = tracked_root("out")`) that has its database already."""

    def make(name: str) -> Path:
        root = tmp_path / name
        root.mkdir(parents=True)
        shutil.copy(empty_tracking_database, root / "mlflow.db")
        return root

    return make


@pytest.fixture(scope="session")
def program() -> Callable[..., str]:
    """The path of a program; a skip without it, or a failure where SEQZOO_REQUIRE names it."""
    places = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])

    def find(name: str, *others: str) -> str:
        paths = (shutil.which(each, path=places) for each in (name, *others))
        found = next(filter(None, paths), None)
        if found is None and name in os.environ.get("SEQZOO_REQUIRE", "").split(","):
            pytest.fail(f"SEQZOO_REQUIRE names {name}, and it is not installed")
        return found or pytest.skip(f"{name} is not installed")

    return find
