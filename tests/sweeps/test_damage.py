"""Files that are damaged or cannot be read: written again, done without, or one line; no loss."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import torch

from sweeps import record, stale
from sweeps.record import Table
from sweeps.results import write_results, write_trials
from sweeps.run import main as run
from sweeps.rundir import RunDirectory, read_experiment
from sweeps.words import WordError
from sweeps.worker import Order, finished
from tests.sweeps.small import TINY, experiment
from tests.sweeps.test_results import edit, row


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("text", [b"", b"PAR1 no", b"PAR1" + bytes(40) + b"PAR1"])
def test_a_table_that_cannot_be_read_is_written_again(tmp_path, text):
    path = tmp_path / "results.parquet"
    edit(path, text)
    Table(path, write_results).put(lambda: [row()], last=False)
    assert pl.read_parquet(path)["value"].to_list() == [0.5]


def test_a_long_table_is_written_less_often(tmp_path, monkeypatch):
    """At most a twentieth of the time: after a flush of 1 s not for 19 s or more."""
    clock, written = [0.0], []

    def slow(path, rows):
        clock[0] += 1.0
        written.append(clock[0])

    monkeypatch.setattr(record.time, "monotonic", lambda: clock[0])
    table = Table(tmp_path / "results.parquet", slow)
    while clock[0] < 100:
        table.put(lambda: [row()], last=False)
        clock[0] += 0.25
    assert len(written) == 5
    table.put(lambda: [row()], last=True)
    assert len(written) == 6


def test_trials_that_cannot_be_read_are_as_if_they_were_not_there(tmp_path):
    path = tmp_path / "trials.parquet"
    trial = {"arm": "baseline", "number": 0, "parameters": "{}", "seed": 10_000}
    write_trials(path, [trial | {"value": 0.4, "state": "finished"}])
    assert stale._trials_of_record(tmp_path) == {"baseline": [{}]}
    cut(path)
    assert stale._trials_of_record(tmp_path) == {}
    pl.DataFrame({"arm": [1]}).write_parquet(path)
    assert stale._trials_of_record(tmp_path) == {}
    write_trials(path, [trial | {"parameters": "{", "value": 0.4, "state": "finished"}])
    assert stale._trials_of_record(tmp_path) == {}


@pytest.mark.parametrize("harm", ["empty", "cut", "foreign", "flipped"])
def test_damaged_files_of_a_run_are_named_with_what_to_do(tmp_path, harm):
    run = RunDirectory(tmp_path, experiment())
    run.path.mkdir(parents=True)
    assert (run.curve(), run.kernels()) == ([], {})
    points = [(4, "validation", "all", "accuracy", 0.5)]
    run.write_curve(points)
    run.write_kernels({"m": torch.ones(2, 3)}, {"m": torch.zeros(2, 3)})
    assert run.curve() == points
    assert sorted(run.kernels()) == ["final/m", "initial/m"]
    for name, read in (("curve.parquet", run.curve), ("kernels.npz", run.kernels)):
        path = run.path / name
        data = path.read_bytes()
        flipped = bytes(255 - b for b in data[-40:])
        path.write_bytes({"empty": b"", "cut": data[:60], "flipped": data[:-40] + flipped}.get(
            harm, b"hello"))  # fmt: skip
        if harm == "foreign":
            foreign(path)
        with pytest.raises(WordError, match=f"{name} is damaged; remove {run.path} and") as caught:
            read()
        assert "\n" not in str(caught.value)


def foreign(path):
    if path.suffix == ".parquet":
        pl.DataFrame({"a": [1]}).write_parquet(path)
    else:
        with path.open("wb") as file:
            np.save(file, np.ones(3))


def test_kernels_that_cannot_be_measured_cost_their_rows_alone(tmp_path, capfd):
    run = RunDirectory(tmp_path, experiment())
    run.path.mkdir(parents=True)
    run.write_kernels({"m": torch.ones(2, 3)}, {"m": torch.ones(2, 3)})
    assert len(record.kernel_scores(run)) == 8
    cut(run.path / "kernels.npz")
    assert record.kernel_scores(run) == []
    said = capfd.readouterr().err
    assert said.startswith(f"{run.path / 'kernels.npz'} is damaged; remove {run.path} and")
    assert len(said.splitlines()) == 1


def test_damaged_tables_and_files_of_a_run_lose_no_result(trained, tmp_path, capfd):
    out = tmp_path / "out"
    shutil.copytree(trained[0].parents[1], out)
    (table,) = out.glob("*/results.parquet")
    whole = pl.read_parquet(table)
    damaged = [table, *out.glob("runs/*/curve.parquet"), *out.glob("runs/*/kernels.npz")]
    assert len(damaged) == 5
    for path in damaged:
        path.write_bytes(path.read_bytes()[:50])
    assert run(["base=all-on", *TINY, f"out={out}"]) == 0
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert err.count("kernels.npz is damaged; remove ") == 2
    assert pl.read_parquet(table).equals(whole.filter(pl.col("split") != "kernel"))


def test_a_damaged_curve_that_a_search_looks_at_is_one_line(trained):
    made = read_experiment(trained[0] / "experiment.json")
    root = trained[0].parents[1]
    order = Order(experiment=made, root=root, device="cpu", splits=("validation",), until=3)
    path = trained[0] / "curve.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:50])
    try:
        with pytest.raises(WordError, match=r"curve.parquet is damaged; remove .* is repeated"):
            finished(order)
    finally:
        path.write_bytes(data)
    outcome = finished(order)
    assert outcome is not None
    assert len(outcome.curve) > 0


LIMITED = """
import resource, sys
from sweeps.worker import _limit_memory
for hard in (resource.RLIM_INFINITY, 60 * 10**9):
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    for asked in (100.0, 50.0, None):
        _limit_memory(asked)
        print(resource.getrlimit(resource.RLIMIT_DATA)[0])
"""


def test_of_two_limits_of_memory_the_smaller_holds():
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = [100 * 10**9, 50 * 10**9, -1, 60 * 10**9, 50 * 10**9, 60 * 10**9]
    assert [int(line) for line in done.stdout.split()] == found
