"""What the README tells a newcomer works as written, and its tables are the tools' own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from reports.markers import check, names

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
DATA = ROOT / "docs" / "data"
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", README, re.DOTALL)
COMMANDS = sorted(
    {
        line.partition("#")[0].strip()
        for language, block in BLOCKS
        if language == "bash"
        for line in block.splitlines()
        if line.startswith("python -m")
    }
)


def test_there_are_commands_and_marked_tables():
    assert len(COMMANDS) >= 10
    assert {"decay-off", "start-up", "mqar-attention"} <= set(names(README))


def test_tables_are_what_the_tools_wrote():
    assert check(ROOT / "README.md", DATA), "python -m reports.markers README.md data=docs/data"


@pytest.mark.parametrize("command", [c for c in COMMANDS if not re.search(r"[A-Z]{4,}", c)])
def test_a_command_is_understood(command, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, _, module, *words = shlex.split(command)
    program = import_module(module if "." in module else f"{module}.__main__")
    trains = module in ("ablations.run", "sweeps.run")
    dry = ["dry-run=yes"] if trains and "dry-run=yes" not in words else []
    assert program.main([*words, *dry]) == 0, capfd.readouterr().err
    assert capfd.readouterr().out.strip()


@pytest.mark.parametrize("command", [c for c in COMMANDS if re.search(r"[A-Z]{4,}", c)])
def test_a_command_with_a_place_to_fill_names_real_words(command, capfd, tmp_path, monkeypatch):
    """Without such a run it is one line that says so, not a complaint about a word."""
    monkeypatch.chdir(tmp_path)
    _, _, module, *words = shlex.split(command)
    assert import_module(module).main(words) == 2
    err = capfd.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert "unknown" not in err


def ran(block: str, tmp_path: Path) -> str:
    """What the block prints, in a fresh directory."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_blocks_run(tmp_path):
    first, second = [text for language, text in BLOCKS if language == "python"]
    printed = ran(first, tmp_path)
    assert "chance" in printed
    assert "decay=off" in printed
    ran(second + "\nassert u.grad.shape == u.shape and k.grad.shape == k.shape", tmp_path)
