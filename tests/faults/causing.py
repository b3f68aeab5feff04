"""Programs as child processes, and ways to see how far they are and what they left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

WORDS = [
    *("base=all-on", "task=selective-copying", "width=8", "depth=1", "steps=60"),
    *("train.num_eval=64", "train.eval_every=20", "train.checkpoint_every=0", "batch_size=16"),
]
ROOT = Path(__file__).resolve().parents[2]


def start(
    out: Path, *words: str, program: str = "sweeps.run", path: str = "", **more
) -> subprocess.Popen[str]:
    """A program on a small experiment; `path` is searched for plug-ins as well."""
    places = os.pathsep.join([str(ROOT), path]) if path else str(ROOT)
    environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
    environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"  # nobody there: one warning
    return subprocess.Popen(
        [sys.executable, "-m", program, *WORDS, *words, f"out={out}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=out.parent,
        **more,
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


def workers(process: subprocess.Popen[str]) -> list[int]:
    """The pids of the worker processes below a driver, those that spawn helpers aside."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            words = (path / "cmdline").read_text()
        except (OSError, ValueError, IndexError):
            continue
        if parent == process.pid and "spawn_main" in words:
            found.append(int(path.name))
    return found


def assert_same(found: dict, whole: dict) -> None:
    assert found["weights"] == whole["weights"]
    assert found["scores"] == whole["scores"]
