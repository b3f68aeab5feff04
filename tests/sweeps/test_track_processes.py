"""Tracking from several processes: they share a new store; one that is killed goes on."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sweeps.mlflow_runs import history, runs

ROOT = Path(__file__).resolve().parents[2]
Program = Callable[..., subprocess.Popen[str]]
PROGRAM = """
import sys
from sweeps.track import Tracker
root, study, name, points = sys.argv[1:]
tracker = Tracker(root, study)
tracker.start_study({}, {})
run = tracker.start_run(name, name, identity={"code": "c"}, steps=100, config={"name": name})
for step in range(int(points)):
    run.metric(step, "loss", 1.0 / (step + 1))
if "killed" in name:
    print("ready", flush=True)
    sys.stdin.read()
run.finish("finished", {"accuracy": 1.0})
assert tracker.close(200)
"""


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts PROGRAM in a process of its own, which does not outlive the test."""
    with contextlib.ExitStack() as children:

        def start(*args: object) -> subprocess.Popen[str]:
            child = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *map(str, args)],
                cwd=ROOT, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            children.enter_context(child)
            children.callback(child.kill)  # before the wait
            return child

        yield start


def test_four_processes_open_a_new_store_at_once(tmp_path: Path, program: Program) -> None:
    root = tmp_path / "new" / "out"
    root.mkdir(parents=True)
    (root / ".mlflow.db.new").write_bytes(b"killed while migrating")
    (root / ".mlflow.db.new-journal").write_bytes(b"journal")
    children = [program(root, "study", f"run {i}", 20) for i in range(4)]
    for child in children:
        out, err = child.communicate(timeout=240)
        assert (out, err, child.returncode) == ("", "", 0)
    parents, found = runs(root)
    assert len(parents) == 1
    assert [run.info.run_name for run in found] == [f"run {i}" for i in range(4)]
    assert {run.info.status for run in found} == {"FINISHED"}
    assert all(len(history(root, run, "loss")) == 20 for run in found)
    assert sorted(p.name for p in root.iterdir()) == [
        ".mlflow-spool.lock", ".mlflow.db.lock", "mlflow-artifacts", "mlflow.db"
    ]  # fmt: skip


def points_in(root: Path) -> int:
    with contextlib.suppress(Exception):
        [run] = runs(root)[1]
        return len(history(root, run, "loss"))
    return 0


def test_kill_9_then_resume_has_each_point_once(root: Path, program: Program) -> None:
    child = program(root, "study", "killed", 60)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 120
    while points_in(root) == 0 and time.monotonic() < deadline:
        time.sleep(0.2)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    [run] = runs(root)[1]
    assert run.info.status == "RUNNING"
    again = program(root, "study", "killed", 100)
    _, err = again.communicate(input="", timeout=240)
    assert (err, again.returncode) == ("", 0)
    [run] = runs(root)[1]
    assert [step for step, _ in history(root, run, "loss")] == list(range(100))
    assert run.info.status == "FINISHED"
