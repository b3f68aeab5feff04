"""What MLflow did not take is kept in a file, whatever ends the process; no point is lost."""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeps.address import Place, public
from sweeps.leftover import left, read
from sweeps.spool import Spool
from sweeps.sync import main as sync
from sweeps.track import Tracker
from sweeps.tracked import Point, Record
from tests.sweeps.mlflow_runs import closed_port, database, history, runs

ROOT = Path(__file__).resolve().parents[2]
Said = Callable[..., Path]
PROGRAM = """
import sys, time
from sweeps.track import Tracker
root, start, end, how = sys.argv[1:]
tracker = Tracker(root, "study")
tracker.start_study({"task": "mqar"}, {})
run = tracker.start_run(
    "baseline/1", "f" * 64, identity={"code": "c"}, steps=100, config={"lr": 1e-3}
)
for step in range(int(start), int(end)):
    run.metric(step, "loss", 1.0 / (step + 1))
if how == "killed":
    time.sleep(0.5)
    print("said", flush=True)
    sys.stdin.read()
run.finish(how, {"accuracy": 1.0})
print(tracker.close(100))
"""


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts PROGRAM in a process of its own, which does not outlive the test."""
    with contextlib.ExitStack() as children:

        def start(
            *args: object, preexec_fn: Callable[[], None] | None = None, **environment: str
        ) -> subprocess.Popen[str]:
            child = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *map(str, args)],
                cwd=ROOT, text=True, env={**os.environ, **environment}, preexec_fn=preexec_fn,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            children.enter_context(child)
            children.callback(child.kill)  # before the wait
            return child

        yield start


def killed(child: subprocess.Popen[str]) -> None:
    """kill -9 half a second after everything is said."""
    assert child.stdout is not None
    assert child.stdout.readline() == "said\n"
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)


def test_what_is_written_leaves_no_spool(root: Path) -> None:
    with Tracker(root, "study") as tracker:
        tracker.start_study({}, {})
        time.sleep(0.2)
        assert len(left(root)) == 1  # before the thread has imported mlflow
    assert not (root / "mlflow-spool").exists()


def test_no_credentials_are_written_down(said: Said) -> None:
    text = said().read_text()
    assert not [word for word in ("user", "pa@", "ss/word", "token", "secret") if word in text]
    assert json.loads(text.splitlines()[0])["uri"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("https://u:p@h:1/x", "https://h:1/x"),
        ("postgresql://u:p@/w@h/db?password=x#y", "postgresql://h/db"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("databricks://profile", "databricks://profile"),
    ],
)
def test_what_of_an_address_is_public(uri: str, kept: str) -> None:
    assert public(uri) == kept


def test_kill_9_takes_nothing_back(root: Path, program: Callable, capfd) -> None:
    killed(program(root, 0, 60, "killed", MLFLOW_TRACKING_URI=closed_port()))
    assert sync([str(root), database(root)]) == 0
    [run] = runs(root)[1]
    assert history(root, run, "loss") == [(i, 1.0 / (i + 1)) for i in range(60)]
    assert run.info.status == "RUNNING"  # nobody said that it has ended


def test_the_next_run_of_the_study_writes_what_a_killed_one_left(
    root: Path, program: Callable
) -> None:
    aside = root / "aside.db"
    (root / "mlflow.db").rename(aside)
    (root / "mlflow.db").mkdir()  # what it is killed with is in its spool only
    killed(program(root, 0, 60, "killed"))
    (root / "mlflow.db").rmdir()
    aside.rename(root / "mlflow.db")
    out, err = program(root, 40, 100, "finished").communicate(timeout=200)
    assert (out, err) == ("True\n", "")
    [run] = runs(root)[1]
    assert [step for step, _ in history(root, run, "loss")] == list(range(100))
    assert run.info.status == "FINISHED"
    assert not (root / "mlflow-spool").exists()


def test_a_spool_of_a_running_study_is_left_to_it(root: Path, program: Callable, capfd) -> None:
    child = program(root, 0, 60, "killed", MLFLOW_TRACKING_URI=closed_port())
    assert child.stdout.readline() == "said\n"
    [path] = left(root)
    content = path.read_bytes()
    assert sync([str(root), database(root)]) == 0
    assert "study: it is running" in capfd.readouterr().err
    assert path.read_bytes() == content


def test_a_full_disk_costs_what_was_said_last_and_says_so(
    root: Path, program: Callable, capfd
) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))

    child = program(
        root, 0, 100, "finished", MLFLOW_TRACKING_URI=closed_port(), preexec_fn=little_room
    )
    out, err = child.communicate(timeout=100)
    assert (out, child.returncode) == ("False\n", 0)
    assert "no room to keep what was said last (File too large)" in err
    assert sync([str(root), database(root)]) == 1  # the line that was cut is complained of
    assert "1 of " in capfd.readouterr().err
    [run] = runs(root)[1]
    kept = history(root, run, "loss")
    assert 10 < len(kept) < 100
    assert kept == [(i, 1.0 / (i + 1)) for i in range(len(kept))]


def test_a_disk_that_has_room_again_gets_what_it_missed(tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    study = Record("0" * 32, "study")
    spool = Spool(tmp_path, study, Place())
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
        for step in range(50):
            spool.append([(study, study.add, [Point("loss", step, 1.0)])])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    spool.append([(study, study.add, [Point("loss", 50, 1.0)])])
    spool.end()
    [path] = left(tmp_path)
    found = read(path)
    assert found.damaged == 0
    assert [point.step for point in found.records["0" * 32].points] == list(range(51))


def test_no_room_for_a_spool_costs_nothing_while_the_store_is_there(root: Path, capfd) -> None:
    (root / "mlflow-spool").write_text("a file where the folder should be")
    with Tracker(root, "study") as tracker:
        run = tracker.start_run("a", "f", identity={"code": "c"}, steps=10, config={})
        for step in range(10):
            run.metric(step, "loss", 1.0)
    assert capfd.readouterr().err == ""
    assert len(history(root, runs(root)[1][0], "loss")) == 10


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary() | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.just("0" * 32),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["run", "add", "finish", "describe", "name", "study", "started"]), inner),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_line_is_too_strange(tmp_path_factory, line: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "strange.jsonl"
    path.write_bytes(b'{"spool": 1, "study": "s", "uri": null, "experiment": null}\n' + line)
    found = read(path)
    assert found.place == Place()
    assert found.lines >= 1


def test_odd_names_and_numbers_come_back(tmp_path: Path) -> None:
    study = Record("0" * 32, "../../etc/'x' \udcff\0 é\n")
    run = Record("1" * 32, '"', study)
    spool = Spool(tmp_path, study, Place("http://h", "my experiment"))
    points = [
        Point("l\n\udcff", 1, math.nan, 5),
        Point("l", 2, -math.inf, 6),
        Point("l", 3, 0.1, 7),
    ]
    for point in points:
        spool.append([(run, run.add, [point])])
    spool.append([(run, run.describe, [{"a'b": object()}, {}, {"x": [1, None, "\0"]}])])
    spool.end()
    [path] = left(tmp_path)
    found = read(path)
    assert (found.damaged, found.place) == (0, Place("http://h", "my experiment"))
    again = found.records["1" * 32]
    assert again.parent is found.records["0" * 32]
    assert str(again.points) == str(points)
    assert again.config == {"x": [1, None, "\0"]}
    assert "NaN" not in path.read_text()


def test_a_point_costs_training_microseconds(tmp_path: Path, monkeypatch) -> None:
    """While mlflow is imported, and the spool written."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_port())
    tracker = Tracker(tmp_path, "study")
    run = tracker.start_run("a", "f", identity={"code": "c"}, steps=200, config={})
    times = []
    for step in range(200):
        for name in range(20):
            began = time.perf_counter()
            run.metric(step, f"validation/{name}", 0.1)
            times.append(time.perf_counter() - began)
    tracker.close(20)
    assert statistics.median(times) < 100e-6
    [path] = left(tmp_path)
    assert len(read(path).records[path.name[:32]].points) == 0
    assert sum(len(each.points) for each in read(path).records.values()) == 4000
