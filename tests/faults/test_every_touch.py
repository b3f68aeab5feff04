"""A driver that dies at any touch of a file: the same command finds what it would have found."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from sweeps.results import read_study
from tests.faults.causing import ROOT, results


def die_at(out: Path, storage: str, count: int) -> list[int]:
    """Let searches die at `count` random touches, one in each of as many stretches of a life."""
    out.mkdir()
    script = [sys.executable, str(Path(__file__).with_name("dying.py")), str(out), storage]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    how = {"capture_output": True, "text": True, "env": environment, "check": True}
    ended, touches = json.loads(subprocess.run(script, **how).stdout)
    assert ended == 0
    assert touches > 100, "the search touches files: else nothing is tested"
    dice, edges = random.Random(), [1 + touches * i // count for i in range(count + 1)]
    fatal = [dice.randrange(*edges[i : i + 2]) for i in range(count)]
    lives = subprocess.run([*script, *map(str, fatal)], **how).stdout.splitlines()[1:]
    assert [json.loads(life) for life in lives] == [[n, signal.SIGKILL, 0] for n in fatal]
    return fatal


def record(out: Path) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, tuple]]:
    """Trials, results and runs, without what may differ: seconds."""
    (directory,) = (path.parent for path in out.glob("*/plan.json"))
    assert json.loads((directory / "missing.json").read_text()) == []
    study = read_study(directory)
    runs = {each["fingerprint"]: (each["weights"], each["scores"]) for each in results(out)}
    return study.trials.drop("seconds"), study.results.drop("seconds"), runs


@pytest.mark.parametrize(
    ("storage", "count"),
    [
        ("sqlite", 3),
        pytest.param("sqlite", 30, marks=pytest.mark.slow),
        pytest.param("journal", 20, marks=pytest.mark.slow),
    ],
)
def test_a_search_that_dies_at_any_touch_of_a_file_is_finished_as_if_it_had_not(
    tmp_path, storage, count
):
    fatal = die_at(tmp_path / "lives", storage, count)
    trials, rows, runs = record(tmp_path / "lives/0")
    assert len(trials) == 4
    assert len(runs) == 4 + 1
    for number in fatal:
        found = record(tmp_path / f"lives/{number}")
        assert found[0].equals(trials), number
        assert found[1].equals(rows), number
        assert found[2] == runs, number


@pytest.mark.slow  # a journal waits for the lock of its dead driver
@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_a_driver_that_dies_at_any_write_of_a_trial_leaves_no_open_one(tmp_path, storage):
    """Not of some touches: of each, from a trial's beginning to its end."""
    script = [sys.executable, str(Path(__file__).with_name("dying_trial.py")), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([*script, storage], capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    lives = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [life[0] for life in lives] == [signal.SIGKILL] * (len(lives) - 1) + [0]
    assert len(lives) > 5, "the storage is touched: else nothing is tested"
    for _, recalled, states in lives:
        assert recalled in ([], [0])
        assert states[-1] == "COMPLETE"
        assert set(states) <= {"COMPLETE", "FAIL"}
        assert states.count("COMPLETE") == len(recalled) + 1
