"""A real MLflow server that is killed, stopped and started again: no point is lost, none twice."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeps.sync import main
from tests.sweeps.small import curve, experiment

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from sweeps.track import Tracker
from sweeps.train import NoWatcher, run_experiment
from tests.sweeps.small import experiment

class Watcher(NoWatcher):
    def scored(self, step, scores):
        for score in scores:
            if score.value is not None:
                tracked.metric(step, f"{score.split}/{score.metric}", score.value)
        if step == 4:
            print("said", flush=True)
            sys.stdin.readline()

made = experiment()
with Tracker(sys.argv[1], sys.argv[2]) as tracker:
    tracker.start_study({"task": "selective-copying"}, {"seeds": 1})
    tracked = tracker.start_run(
        "seed 0", made.fingerprint,
        identity={"code": "c"}, steps=made.train.steps, config=made.to_dict(),
    )
    result = run_experiment(made, root=sys.argv[1], watcher=Watcher())
    tracked.finish(result.status)
alone = run_experiment(made, root=f"{sys.argv[1]}/alone")
print("same" if alone.weights == result.weights else "other")
"""


class Server:
    """`mlflow server` on one database and one port, started and killed as often as needed."""

    def __init__(self, folder: Path, database: Path) -> None:
        self.folder = folder
        shutil.copy(database, folder / "server.db")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        where = ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        where += ["--artifacts-destination", str(self.folder / "artifacts")]
        where += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *where],
                stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            time.sleep(0.2)
        raise AssertionError((self.folder / "log").read_text())

    def signal(self, number: int) -> None:
        """To the server and its workers."""
        assert self.process is not None
        os.killpg(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait(30)

    def points(self, study: str) -> dict[tuple[str, int], list[float]]:
        """All that the server has of the one run of a study."""
        client, run = self.client(), self.run(study)
        found: dict[tuple[str, int], list[float]] = {}
        for name in run.data.metrics:
            for point in client.get_metric_history(run.info.run_id, name):
                found.setdefault((name, point.step), []).append(point.value)
        return found

    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.uri, self.uri)

    def run(self, study: str) -> Any:
        client = self.client()
        place = client.get_experiment_by_name("seqzoo")
        same = f"tags.study = '{study}' and attributes.run_name = 'seed 0'"
        [run] = client.search_runs([place.experiment_id], same)
        return run


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, empty_tracking_database: Path
) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), empty_tracking_database)
    made.start()
    yield made
    with contextlib.suppress(ProcessLookupError):
        made.signal(signal.SIGKILL)


Train = Callable[..., subprocess.Popen[str]]


def environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {**own, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def train(server: Server) -> Iterator[Train]:
    """Starts PROGRAM, which waits in the middle of its training for a line."""
    with contextlib.ExitStack() as children:

        def start(out: Path, study: str, **how: Any) -> subprocess.Popen[str]:
            child = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(out), study],
                cwd=ROOT, text=True, env={**environment(), "MLFLOW_TRACKING_URI": server.uri},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how,
            )  # fmt: skip
            children.enter_context(child)
            children.callback(child.kill)  # before the wait
            assert child.stdout is not None
            assert child.stdout.readline() == "said\n"
            return child

        yield start


def sync(out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sweeps.sync", str(out)],
        cwd=out.parent, text=True, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], line: str = "") -> tuple[int, str, str]:
    out, err = process.communicate(line, timeout=200)
    return process.returncode, out, err


def wait_for_points(server: Server, study: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):
            if server.points(study):
                return
        time.sleep(0.3)
    raise AssertionError("no point came")


def all_points(out: Path) -> dict[tuple[str, int], list[float]]:
    """What the training wrote down itself: each point once."""
    rows = curve(out, experiment()).drop_nulls("value").iter_rows(named=True)
    return {(f"{row['split']}/{row['metric']}", row["step"]): [row["value"]] for row in rows}


def test_a_server_killed_in_the_middle_gets_the_rest_later(
    tmp_path: Path, server: Server, train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    child = train(out, "killed-server")
    wait_for_points(server, "killed-server")
    server.signal(signal.SIGKILL)
    code, weights, err = finish(child, "\n")
    assert (code, weights) == (0, "same\n"), err
    last = err.splitlines()[-1]
    assert last.startswith(f"warning: MLflow: {server.uri} has not everything")
    assert last.endswith(f"python -m sweeps.sync {out} writes the rest")
    assert main([str(out)]) == 1
    text, err = capfd.readouterr()
    assert (text, err.count("\n")) == ("", 1), err
    server.start()
    syncs = [sync(out), sync(out)]  # two at once
    ended = [finish(process) for process in syncs]
    assert [code for code, _, _ in ended] == [0, 0], ended
    said = "".join(text for _, text, _ in ended)
    assert "new points in 2 runs" in said
    wanted = all_points(out)
    assert {4, 8, 12} <= {step for _, step in wanted}
    assert server.points("killed-server") == wanted
    run = server.run("killed-server")
    assert run.info.status == "FINISHED"
    study = server.client().get_run(run.data.tags["mlflow.parentRunId"])
    assert study.info.status == "FINISHED"
    assert not (out / "mlflow-spool").exists()


@pytest.mark.slow
def test_kill_9_between_two_batches_then_the_same_command(
    tmp_path: Path, server: Server, train: Train
) -> None:
    out = tmp_path / "out"
    child = train(out, "killed-study")
    time.sleep(0.5)
    child.kill()
    child.communicate()
    assert list((out / "mlflow-spool").glob("*.jsonl"))
    code, _, err = finish(train(out, "killed-study"), "\n")
    assert (code, err) == (0, "")
    assert server.points("killed-study") == all_points(out)
    assert server.run("killed-study").info.status == "FINISHED"
    assert not (out / "mlflow-spool").exists()


@pytest.mark.slow
def test_a_server_that_hangs_delays_nothing_but_its_own_points(
    tmp_path: Path, server: Server, train: Train
) -> None:
    out = tmp_path / "out"
    child = train(out, "hanging")
    wait_for_points(server, "hanging")
    server.signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        code, _, err = finish(child, "\n")
        assert code == 0, err
        assert time.monotonic() - began < 90
        assert "python -m sweeps.sync" in err
    finally:
        server.signal(signal.SIGCONT)
    code, _, err = finish(sync(out))
    assert code == 0, err
    assert server.points("hanging") == all_points(out)


@pytest.mark.slow
def test_a_full_disk_in_the_middle_then_the_same_command(
    tmp_path: Path, server: Server, train: Train
) -> None:
    out = tmp_path / "out"
    child = train(out, "full-disk")
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    code, _, err = finish(child, "\n")
    assert code == 1  # training itself has no room for its results
    assert "File too large" in err
    for path in out.rglob("*.json"):
        json.loads(path.read_text())
    code, _, err = finish(train(out, "full-disk"), "\n")
    assert (code, err) == (0, "")
    assert server.points("full-disk") == all_points(out)
    assert server.run("full-disk").info.status == "FINISHED"
