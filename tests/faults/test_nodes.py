"""Workers and nodes that die or hang under a run: it is gone on with, and counted once."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from sweeps.atomic import file_lock
from sweeps.engine import Engine, Size, make_engine
from sweeps.engine_slurm import PATIENCE
from sweeps.experiment import Result
from sweeps.rundir import read_experiment
from sweeps.train import NoWatcher, run_experiment
from sweeps.whereabouts import whereabouts
from tests.faults import slurm_stand_in
from tests.sweeps.orders import (
    Wanted,
    ancestors,
    as_if_at_once,
    descendants,
    long,
    one_thread,
    require,
    wait_for_worker,
    work_off,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Engine]]:
    """One of each kind for the whole module: starting Ray takes seconds."""
    made: dict[str, Engine] = {}
    yield made
    for engine in made.values():
        engine.close()


@pytest.fixture
def engine(
    request: pytest.FixtureRequest, engines: dict[str, Engine], tmp_path_factory, monkeypatch
) -> Engine:
    name = request.param
    require(name)
    if name not in engines:
        monkeypatch.setenv("RAY_ADDRESS", "local")
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        root = tmp_path_factory.mktemp(name)
        engines[name] = make_engine(name, Size(jobs=2, root=root))
    return engines[name]


def later(work) -> Future:
    """Do it in a thread; `result()` waits for it."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def assert_once_and_the_same(wanted: list[Wanted], there: Path) -> None:
    """Every run has one end, and it is that of a run to which nothing happened."""
    with one_thread():
        for each in wanted:
            ends = [outcome for outcome in each.outcomes if outcome.status != "interrupted"]
            assert [outcome.status for outcome in ends] == ["finished"]
            whole = run_experiment(each.order.experiment, root=there, device="cpu")
            assert ends[0].result is not None
            assert as_if_at_once(ends[0].result, whole)


@pytest.mark.parametrize(
    ("engine", "number"),
    [
        ("ray", signal.SIGKILL),
        ("ray", signal.SIGTERM),
        ("slurm", signal.SIGKILL),
        pytest.param("slurm", signal.SIGTERM, marks=pytest.mark.slow),
    ],
    indirect=["engine"],
)
def test_a_dead_worker_costs_a_beginning(
    engine: Engine, number: signal.Signals, tmp_path: Path
) -> None:
    order = long(tmp_path / "out")
    working = later(lambda: work_off(engine, [order], tmp_path))
    os.kill(wait_for_worker(order, step=5), number)
    [wanted] = working.result(300)
    assert wanted.begun == 2
    assert wanted.outcomes[-1].result.resumed_from
    assert_once_and_the_same([wanted], tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["slurm"], indirect=True)
def test_a_job_that_is_taken_away_goes_into_the_queue_again(engine: Engine, tmp_path: Path) -> None:
    """SIGUSR2 is how a job hears of it; here the queue is submitit's own."""
    order = long(tmp_path / "out")
    working = later(lambda: work_off(engine, [order], tmp_path))
    os.kill(wait_for_worker(order, step=5), signal.SIGUSR2)
    [wanted] = working.result(300)
    assert wanted.begun == 1
    assert wanted.outcomes[-1].result.resumed_from
    assert_once_and_the_same([wanted], tmp_path / "whole")


@pytest.mark.slow
def test_jobs_by_the_programs_of_slurm(tmp_path: Path, monkeypatch) -> None:
    """By stand-ins for them: what a job asks for; taken away and queued again; lost; cancelled."""
    require("slurm")
    jobs = slurm_stand_in.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setitem(PATIENCE, "slurm", 1.0)
    engine = make_engine("slurm", Size(jobs=2, root=tmp_path / "out", memory=4, timeout=600))
    try:
        orders = [long(tmp_path / "out", seed) for seed in range(3)]
        working = later(lambda: work_off(engine, orders[:2], tmp_path))
        os.kill(wait_for_worker(orders[0], step=5), signal.SIGUSR2)
        os.kill(wait_for_worker(orders[1], step=5), signal.SIGKILL)
        wanted = working.result(300)
        assert [each.begun for each in wanted] == [1, 2]
        assert_once_and_the_same(wanted, tmp_path / "whole")
        engine.submit(orders[2], NoWatcher())
        process = wait_for_worker(orders[2])
    finally:
        engine.close()
    wait_until(lambda: not Path(f"/proc/{process}").exists(), seconds=30)
    asked = (jobs / "7000" / "script.sh").read_text()
    for line in ("cpus-per-task=1", "mem=4GB", "time=13", "signal=USR2@90"):
        assert f"#SBATCH --{line}" in asked
    assert "srun --unbuffered" in asked


@pytest.mark.parametrize("engine", ["ray", "slurm"], indirect=True)
def test_a_stop_reaches_the_workers_and_saves(engine: Engine, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    order = replace(long(tmp_path / "out"), stop=stop)
    future = engine.submit(order, NoWatcher())
    wait_for_worker(order, step=3)
    stop.touch()
    assert future.result(120).status == "interrupted"
    assert list(order.run.checkpoints.glob("[0-9]*"))
    assert order.run.result() is None


@pytest.mark.parametrize("engine", ["ray"], indirect=True)
def test_a_hang_past_its_timeout_is_killed(engine: Engine, tmp_path: Path, monkeypatch) -> None:
    """It hangs in the kernel, where no Python is run that could look at a clock."""
    monkeypatch.setattr("sweeps.engine_ray.GRACE", 1.0)
    order = replace(long(tmp_path / "out"), timeout=2.0)
    order.run.path.mkdir(parents=True)
    with file_lock(order.run.path / "lock"):
        outcome = engine.submit(order, NoWatcher()).result(120)
    assert (outcome.status, outcome.reason) == ("timeout", "longer than timeout=2 s")


@pytest.mark.parametrize("engine", ["ray"], indirect=True)
def test_a_long_run_says_itself_that_its_time_is_up(engine: Engine, tmp_path: Path) -> None:
    order = replace(long(tmp_path / "out"), timeout=1.0)
    assert engine.submit(order, NoWatcher()).result(120).status == "timeout"


@pytest.mark.parametrize("engine", ["ray", "slurm"], indirect=True)
def test_what_ends_a_study_ends_it(engine: Engine, tmp_path: Path) -> None:
    """A file where the folder of runs should be: an OSError, as such."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "runs").touch()
    with pytest.raises(OSError, match="runs"):
        engine.submit(long(tmp_path / "out"), NoWatcher()).result(120)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    """`ray start`, in the foreground."""

    def __init__(self, folder: Path, environment: dict[str, str], *words: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
        command += ["--node-ip-address=127.0.0.1", "--object-store-memory=80000000"]
        command += [f"--temp-dir={folder}", *words]
        self.log = folder.with_suffix(".log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """All that it started, at once, without a word."""
        for each in (*descendants(self.process.pid), self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self.process.wait(30)

    def works_as(self, process: int) -> bool:
        return self.process.pid in ancestors(process)


@pytest.fixture
def two_nodes() -> Iterator[tuple[dict[str, str], Node]]:
    """What tells a program of a cluster, and the node of it that is not its head."""
    require("ray")
    quick = {"initial_delay_ms": 1000, "period_ms": 500, "timeout_ms": 1000}
    environment = {
        **os.environ,
        **{f"RAY_health_check_{name}": str(value) for name, value in quick.items()},
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "OMP_NUM_THREADS": "1",
    }
    port = free_port()
    address = {"RAY_ADDRESS": f"127.0.0.1:{port}"}
    top = Path(tempfile.mkdtemp(prefix="two-", dir="/tmp"))  # short: sockets lie below
    nodes: list[Node] = []
    try:
        words = ("--head", f"--port={port}", "--include-dashboard=false")
        nodes.append(Node(top / "a", environment, *words))
        wait_until(lambda: "Ray runtime started" in nodes[0].log.read_text(), nodes)
        nodes.append(Node(top / "b", environment, f"--address=127.0.0.1:{port}"))
        wait_until(lambda: "Ray runtime started" in nodes[1].log.read_text(), nodes)
        yield environment | address, nodes[1]
    finally:
        for node in reversed(nodes):
            node.kill()
        shutil.rmtree(top, ignore_errors=True)


def wait_until(there: Callable[[], bool], nodes: Sequence[Node] = (), seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not there():
        for node in nodes:
            assert node.process.poll() is None, node.log.read_text()
        assert time.monotonic() < until, [node.log.read_text() for node in nodes]
        time.sleep(0.1)


WORDS = (
    *("task=selective-copying", "task.length=16", "task.num_tokens=4", "width=8", "depth=1"),
    *("steps=200", "batch_size=8", "train.num_eval=32", "train.checkpoint_every=0", "seeds=4"),
    *("jobs=2", "out=out"),
)


def start(folder: Path, environment: dict[str, str], engine: str) -> subprocess.Popen[str]:
    """The program, in a process group of its own, as a terminal has it."""
    environment |= {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    return subprocess.Popen(
        [sys.executable, "-m", "sweeps.run", *WORDS, f"engine={engine}"],
        cwd=folder, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.slow
def test_a_node_that_dies_costs_no_run(two_nodes, tmp_path: Path) -> None:
    """Two nodes of one CPU work on two runs at once; one node is no more; all runs are finished."""
    environment, second = two_nodes
    program = start(tmp_path, environment, "ray")

    def working() -> dict[bool, Path]:
        """The runs, by whether the second node has them."""
        assert program.poll() is None, program.communicate()
        runs = [path.parent for path in tmp_path.glob("out/runs/*/progress.jsonl")]
        found = {run: whereabouts(run) for run in runs}
        return {
            second.works_as(said.pid): run
            for run, said in found.items()
            if said.pid is not None and said.step >= 5
        }

    try:
        wait_until(lambda: len(working()) == 2)
        hit = working()[True]
        second.kill()
        err = program.communicate(timeout=300)[1]
    finally:
        program.kill()
    assert program.returncode == 0, err
    assert err.count("interrupted (") == 1, err
    [study] = tmp_path.glob("out/*/results.parquet")
    rows = pl.read_parquet(study).filter(split="test", slice="all", metric="accuracy")
    assert rows["seed"].to_list() == [0, 1, 2, 3]
    assert rows["status"].unique().to_list() == ["finished"]
    with one_thread():
        for name in rows["fingerprint"]:
            run = tmp_path / "out" / "runs" / name
            found = Result.from_dict(json.loads((run / "result.json").read_text()))
            made = read_experiment(run / "experiment.json")
            assert as_if_at_once(found, run_experiment(made, root=tmp_path / "whole", device="cpu"))
            assert bool(found.resumed_from) == (run == hit)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["ray", "slurm"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_program_saves_every_run(
    engine: str, number: signal.Signals, tmp_path: Path
) -> None:
    """As ctrl-C in a terminal: everybody in the process group gets it. Nothing stays behind."""
    require(engine)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_ADDRESS": "local"}
    program = start(tmp_path, environment, engine)
    try:
        wait_until(lambda: len(list(tmp_path.glob("out/runs/*/checkpoint/[0-9]*"))) >= 2)
        below = descendants(program.pid)
        os.killpg(program.pid, number)
        err = program.communicate(timeout=300)[1]
    finally:
        program.kill()
    assert program.returncode == 130, err
    assert "Traceback" not in err
    assert below
    wait_until(lambda: not any(Path(f"/proc/{each}").exists() for each in below), seconds=30)
    for run in tmp_path.glob("out/runs/*"):
        assert (run / "result.json").exists() or list(run.glob("checkpoint/[0-9]*")), run
    assert not list(tmp_path.glob("out/*/.stop-*"))
