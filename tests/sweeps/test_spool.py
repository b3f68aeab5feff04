"""What MLflow did not take is kept in a file, and `sweeps.sync` writes it, every point once."""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeps import track
from sweeps.address import Place, public
from sweeps.leftover import left, read
from sweeps.spool import Spool
from sweeps.sync import main as sync
from sweeps.track import Tracker
from sweeps.tracked import Point, Record
from tests.sweeps.mlflow_runs import history, runs

ROOT = Path(__file__).resolve().parents[2]
Said = Callable[..., Path]
PROGRAM = """
import sys, time
from sweeps.track import Tracker
root, start, end, how = sys.argv[1:]
tracker = Tracker(root, "study")
tracker.start_study({"task": "mqar"}, {})
run = tracker.start_run("baseline/1", "f" * 64, code="c", steps=100, config={"lr": 1e-3})
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


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://user:pa@ss/word@127.0.0.1:{probe.getsockname()[1]}/?token=secret"


def database(root: Path) -> str:
    return f"uri=sqlite:///{root / 'mlflow.db'}"


@pytest.fixture
def said(root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Said:
    """Says a study while the server is away; returns its spool."""

    def say(end: int = 5, status: str = "finished", name: str = "baseline/1") -> Path:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_port())
        before = set(left(root))
        tracker = Tracker(root, "study")
        tracker.start_study({"task": "mqar"}, {"seeds": 1})
        run = tracker.start_run(name, "f" * 64, code="c", steps=10, config={"lr": 1e-3})
        for step in range(end):
            run.metric(step, "loss", float(step))
        run.finish(status, {"accuracy": 0.5})
        assert not tracker.close(20)
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        assert "has not everything; python -m sweeps.sync" in capfd.readouterr().err
        [path] = set(left(root)) - before
        return path

    return say


def test_what_is_written_leaves_no_spool(root: Path) -> None:
    with Tracker(root, "study") as tracker:
        tracker.start_study({}, {})
        time.sleep(0.2)
        assert len(left(root)) == 1  # before the thread has imported mlflow
    assert not (root / "mlflow-spool").exists()


def test_a_store_that_was_away_gets_every_point_once(
    root: Path, said: Said, capfd: pytest.CaptureFixture[str]
) -> None:
    path = said()
    content = path.read_bytes()
    assert sync([str(root), database(root)]) == 0
    assert "written: 6 new points in 2 runs" in capfd.readouterr().out
    [parent], [run] = runs(root)
    assert (parent.info.status, run.info.status) == ("FINISHED", "FINISHED")
    assert parent.data.tags["task"] == "mqar"
    assert run.data.params == {"lr": "0.001"}
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert history(root, run, "loss") == [(step, float(step)) for step in range(5)]
    assert history(root, run, "accuracy") == [(10, 0.5)]
    assert len(list((root / "mlflow-artifacts").rglob("config.json"))) == 1
    assert not (root / "mlflow-spool").exists()
    assert sync([str(root), database(root)]) == 0
    assert "nothing is left to write" in capfd.readouterr().out
    path.parent.mkdir()
    path.write_bytes(content)  # as if it had been killed before it removed the file
    assert sync([str(root), database(root)]) == 0
    assert "written: 0 new points in 2 runs" in capfd.readouterr().out
    assert history(root, run, "loss") == [(step, float(step)) for step in range(5)]


def test_a_store_that_is_still_away_is_one_line(
    root: Path, said: Said, capfd: pytest.CaptureFixture[str]
) -> None:
    path = said()
    content = path.read_bytes()
    assert sync([str(root)]) == 1
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    assert err.startswith("fault: MLflow: http://127.0.0.1:")
    assert "nothing is lost" in err
    assert path.read_bytes() == content


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
        run = tracker.start_run("a", "f", code="c", steps=10, config={})
        for step in range(10):
            run.metric(step, "loss", 1.0)
    assert capfd.readouterr().err == ""
    assert len(history(root, runs(root)[1][0], "loss")) == 10


DAMAGE = {
    "cut": lambda lines: [*lines[:-1], lines[-1][:-5]],
    "garbage": lambda lines: [*lines[:4], b"\xff\0{]" * 9, *lines[5:]],
    "path": lambda lines: [*lines[:4], b'{"run": "../x", "add": [["a", 1, 1, 1]]}', *lines[5:]],
    "nested": lambda lines: [*lines[:4], b"[" * 100_000, *lines[5:]],
    "no name": lambda lines: [line for line in lines if b'"baseline/1"' not in line] + [b"?"],
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_spool_is_told_and_kept_and_the_rest_is_written(
    root: Path, said: Said, capfd, damage: str
) -> None:
    path = said()
    lines = path.read_bytes().splitlines()
    assert len(lines) >= 9
    path.write_bytes(b"\n".join(DAMAGE[damage](lines)))
    content = path.read_bytes()
    assert sync([str(root), database(root)]) == 1
    err = capfd.readouterr().err
    [complaint] = [line for line in err.splitlines() if line.startswith("warning")]
    assert f"{path}: 1 of " in complaint
    [run] = runs(root)[1]
    values = dict(history(root, run, "loss"))
    assert len(values) >= 4
    assert all(values[step] == float(step) for step in values)
    assert not left(root)
    [kept] = (root / "mlflow-spool").iterdir()
    assert kept.read_bytes() == content
    assert sync([str(root)]) == 0


def test_a_spool_that_does_not_say_where_to_waits_for_an_address(
    root: Path, said: Said, capfd
) -> None:
    path = said()
    path.write_bytes(path.read_bytes()[9:])
    assert sync([str(root)]) == 1
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "say uri=ADDRESS" in err
    assert left(root) == [path]
    assert sync([str(root), database(root)]) == 1
    assert len(history(root, runs(root)[1][0], "loss")) == 5


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


def test_an_old_spool_does_not_undo_a_later_end(root: Path, said: Said, monkeypatch) -> None:
    path = said(status="killed")
    content = path.read_bytes()
    path.unlink()  # so that the run below does not take it over
    with Tracker(root, "study") as tracker:
        run = tracker.start_run("baseline/1", "f" * 64, code="c", steps=10, config={})
        run.finish("diverged")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    assert sync([str(root), database(root)]) == 0
    [run] = runs(root)[1]
    assert run.info.status == "FAILED"
    assert len(history(root, run, "loss")) == 5


def test_one_run_that_is_refused_does_not_hold_up_the_others(
    root: Path, said: Said, monkeypatch, capfd
) -> None:
    said()
    write = track.MlflowStore.write

    def refuse(self: track.MlflowStore, record: Record) -> int:
        if record.name == "study":
            raise ValueError("refused")
        return write(self, record)

    monkeypatch.setattr(track.MlflowStore, "write", refuse)
    assert sync([str(root), database(root)]) == 1
    assert "refused" in capfd.readouterr().err
    assert len(left(root)) == 1
    assert len(history(root, runs(root)[1][0], "loss")) == 5


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["uir=http://x"], "did you mean uri?"),
        ([".", "uri=nonsense"], "no address"),
        ([".", "uri="], "a value is missing"),
        (["a", "b"], "one output folder"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch, capfd, words: list[str], hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sync(words) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert hint in err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sweeps.sync import main; main(['--help']);"
        "print({'torch', 'mlflow', 'optuna', 'numpy', 'polars'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_point_costs_training_microseconds(tmp_path: Path, monkeypatch) -> None:
    """While mlflow is imported, and the spool written."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_port())
    tracker = Tracker(tmp_path, "study")
    run = tracker.start_run("a", "f", code="c", steps=200, config={})
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
