"""Faults that are really caused: a child process is stopped, killed, starved; its files judged."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "sweeps.run"]
WORDS = [
    *("base=all-on", "task=selective-copying", "width=8", "depth=1", "steps=60"),
    *("train.num_eval=64", "train.eval_every=20", "train.checkpoint_every=0", "batch_size=16"),
]
ROOT = Path(__file__).resolve().parents[2]


def start(out: Path, *words: str, **kwargs) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"  # nobody there: one warning
    return subprocess.Popen(
        [*COMMAND, *WORDS, *words, f"out={out}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=out.parent,
        **kwargs,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def wait_for_step(out: Path, process: subprocess.Popen[str], count: int) -> bool:
    """Until `count` checkpoints have been written; False if the child ended before."""
    deadline = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < deadline:
        names = [int(p.name) for p in out.glob("runs/*/checkpoint/[0-9]*")]
        if names and max(names) >= count:
            return True
        time.sleep(0.002)
    return False


def results(out: Path) -> list[dict]:
    return [json.loads(p.read_text()) for p in sorted(out.glob("runs/*/result.json"))]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict:
    """The run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "out"
    code, _, err = finish(start(out))
    assert code == 0, err
    assert err.count("MLflow") == 1, err
    return results(out)[0]


def assert_same(found: dict, whole: dict) -> None:
    assert found["weights"] == whole["weights"]
    assert found["scores"] == whole["scores"]


def test_kill_at_random_points_loses_nothing(tmp_path, whole):
    out, dice = tmp_path / "out", random.Random()
    kills = 0
    for _ in range(3):
        child = start(out)
        if wait_for_step(out, child, dice.randint(1, 50)):
            time.sleep(dice.random() * 0.01)
            os.kill(child.pid, signal.SIGKILL)
            kills += child.wait(30) == -signal.SIGKILL
        finish(child)
        for file in out.rglob("*.json"):
            json.loads(file.read_text())
    code, _, err = finish(start(out))
    assert code == 0, err
    assert kills >= 1
    (found,) = results(out)
    assert_same(found, whole)
    assert found["resumed_from"] or kills == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_exits_130(tmp_path, whole, number):
    out = tmp_path / "out"
    child = start(out)
    assert wait_for_step(out, child, 5)
    child.send_signal(number)
    code, _, err = finish(child)
    assert code == 130, err
    assert "Traceback" not in err
    assert not results(out)
    assert finish(start(out))[0] == 0
    (found,) = results(out)
    assert found["resumed_from"]
    assert_same(found, whole)


def test_a_second_command_repeats_nothing(tmp_path):
    out = tmp_path / "out"
    assert finish(start(out))[0] == 0
    stamp = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/*") if p.is_file()}
    code, text, err = finish(start(out))
    assert code == 0, err
    assert "accuracy" in text
    kept = {p: p.stat().st_mtime_ns for p in stamp if p.name != "lock"}
    assert kept == {p: t for p, t in stamp.items() if p.name != "lock"}


def test_a_full_disk_is_one_line_and_the_command_goes_on(tmp_path, whole):
    out = tmp_path / "out"

    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    code, _, err = finish(start(out, preexec_fn=little_room))
    assert code == 1, err
    lines = [line for line in err.strip().splitlines() if "fault" in line]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    assert not results(out)
    assert finish(start(out))[0] == 0
    assert_same(results(out)[0], whole)


def test_other_code_stops_before_training_unless_told(tmp_path):
    out = tmp_path / "out"
    assert finish(start(out))[0] == 0
    (path,) = out.glob("runs/*/result.json")
    record = json.loads(path.read_text())
    record["identity"]["code"] = "0123456789abcdef"
    path.write_text(json.dumps(record))
    code, _, err = finish(start(out))
    assert code == 2
    assert "1 finished run comes from other code (0123456789ab ->" in err
    code, _, err = finish(start(out, "reuse=yes"))
    assert code == 0, err
    assert json.loads(path.read_text()) == record
    assert finish(start(out, "reuse=no"))[0] == 0
    assert json.loads(path.read_text())["identity"]["code"] != "0123456789abcdef"
