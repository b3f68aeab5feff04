"""The same orders give the same results on every engine, bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sweeps import engine_ray, engine_slurm
from sweeps.engine import Engine, Size, environment, make_engine
from sweeps.train import run_experiment
from sweeps.words import WordError
from tests.sweeps.orders import as_if_at_once, one_thread, order, require, work_off

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = ("processes", "ray", "slurm")


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch) -> Iterator[Engine]:
    require(request.param)
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = make_engine(request.param, Size(jobs=2, root=tmp_path / "out"))
    yield made
    made.close()


@pytest.mark.parametrize("engine", ELSEWHERE, indirect=True)
def test_orders_give_the_same_results_as_here(engine: Engine, tmp_path: Path) -> None:
    orders = [order(tmp_path / "out", seed) for seed in range(2)]
    wanted = work_off(engine, orders, tmp_path)
    with one_thread():
        for each in wanted:
            here = run_experiment(each.order.experiment, root=tmp_path / "here", device="cpu")
            [outcome] = each.outcomes
            assert outcome.result is not None
            assert as_if_at_once(outcome.result, here)
            assert outcome.result.weights == here.weights


WORDS = (
    *("decay=off", "width=8", "depth=1", "steps=30", "seeds=2", "trials=2", "batch_size=16"),
    *("train.num_eval=64", "out=out"),
)


def record(folder: Path, engine: str) -> dict[str, Any]:
    """What a program leaves behind that is to be equal everywhere."""
    folder.mkdir()
    jobs = () if engine == "serial" else ("jobs=2",)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment |= {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "RAY_ADDRESS": "local"}
    command = [sys.executable, "-m", "ablations.run", *WORDS, *jobs, f"engine={engine}"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [study] = (folder / "out").glob("decay-off-*")
    results = pl.read_parquet(study / "results.parquet").drop("seconds")
    trials = pl.read_parquet(study / "trials.parquet").drop("seconds")
    runs = {
        path.parent.name: json.loads(path.read_text())
        for path in (folder / "out" / "runs").glob("*/result.json")
    }
    for run in runs.values():
        run.pop("seconds")
    return {
        "results": results.sort(*results.columns).to_dicts(),
        "trials": trials.sort("arm", "number").to_dicts(),
        "runs": runs,
    }


@pytest.mark.slow
def test_a_program_leaves_the_same_record_on_every_engine(tmp_path: Path) -> None:
    """Scores, chosen rates, trials, digests of weights, identities: all."""
    for name in ELSEWHERE:
        require(name)
    serial = record(tmp_path / "serial", "serial")
    assert len(serial["runs"]) == 8
    for name in ELSEWHERE:
        assert record(tmp_path / name, name) == serial, name


NODES = [
    {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0, "memory": 32e9}},
    {"Alive": True, "Resources": {"CPU": 4.0, "memory": 64e9}},
    {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 9.0, "memory": 1e12}},
]


@pytest.mark.parametrize(("jobs", "gpu"), [(1, 1.0), (2, 0.5), (3, 0.3333), (7, 0.1428)])
def test_what_a_ray_task_would_ask_for_where_jobs_share_a_gpu(jobs: int, gpu: float) -> None:
    """The options of a task only: no GPU has run one here."""
    size = Size(jobs=jobs, device="cuda", threads=2, memory=16)
    options = engine_ray.options(size, engine_ray.demand(size, NODES))
    assert options["num_gpus"] == gpu
    assert jobs * options["num_gpus"] <= 1.0
    assert (options["num_cpus"], options["memory"]) == (2, 16_000_000_000)
    assert options["max_retries"] == 0


@pytest.mark.parametrize(("jobs", "gpus", "each"), [(4, 2, 0.5), (3, 2, 0.5), (2, 4, 1.0)])
def test_shares_of_several_gpus(jobs: int, gpus: int, each: float) -> None:
    assert engine_ray.share(jobs, gpus) == each


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (Size(device="cuda"), "no node of the Ray cluster has a GPU"),
        (Size(threads=9), "CPU 9"),
        (Size(threads=8, memory=33), "memory 3.3e+10"),
    ],
)
def test_what_no_ray_node_has_is_said_at_once(size: Size, words: str) -> None:
    nodes = [{**NODES[0], "Resources": {"CPU": 8.0, "memory": 32e9}}, *NODES[1:]]
    with pytest.raises(WordError, match=words.replace("+", r"\+")):
        engine_ray.demand(size, nodes)


def test_an_address_where_nobody_answers_is_one_line(monkeypatch) -> None:
    require("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(WordError, match=r"RAY_ADDRESS=127\.0\.0\.1:9: nobody answers"):
        make_engine("ray", Size())


@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_an_engine_that_is_not_installed_says_how_to(name: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, {"ray": "ray", "slurm": "submitit"}[name], None)
    with pytest.raises(WordError, match=rf"pip install 'seqzoo\[{name}\]'"):
        make_engine(name, Size())


def test_workers_elsewhere_have_the_code_and_what_decides_bits(monkeypatch) -> None:
    monkeypatch.setenv("SEQZOO_COMPILER", "off")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = environment(3)
    assert found["PYTHONPATH"].split(os.pathsep)[0] == str(ROOT)
    assert (found["OMP_NUM_THREADS"], found["SEQZOO_COMPILER"]) == ("3", "off")


def test_what_a_slurm_job_asks_for() -> None:
    asked = engine_slurm.parameters(Size(threads=4, memory=16, timeout=600, device="cuda:1"))
    assert (asked["cpus_per_task"], asked["mem_gb"], asked["gpus_per_node"]) == (4, 16, 1)
    assert asked["timeout_min"] == 13  # 600 s, a minute late, and the warning before the end
    assert engine_slurm.parameters(Size())["timeout_min"] > 24 * 60
