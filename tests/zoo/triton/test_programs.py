"""`python -m zoo.conv`: the table shown, the table tuned."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from zoo.conv import __main__ as program
from zoo.conv.triton import configurations, table_file, tuning
from zoo.conv.triton.configurations import Configuration, shipped


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tun"], "'tun' is not a command; nearest: tune"),
        (["show", "arch=9"], "'arch' is not a word; nearest: architecture"),
        (["show", "architecture=75"], "'75' is not a architecture; nearest: 100, 80, 90"),
        (["tune", "out="], "'out=' is not word=value"),
        (
            ["show", "architecture=80", "architecture=90"],
            "architecture is given twice: architecture=80 and architecture=90",
        ),
        (["tune"], "finds no CUDA device here"),
    ],
)
@pytest.mark.usefixtures("no_gpu")
def test_what_cannot_be_is_one_line_and_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("zoo.conv: ")
    assert message in err
    assert err.count("\n") == 1


def test_show_prints_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["show"]) == 0
    out = capsys.readouterr().out
    assert out.count("warps") == len(shipped())
    assert "toeplitz to 1024, monarch to 8192, monarch_long to 1048576" in out


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--help"]) == 0
    assert program.main([]) == 2
    assert capsys.readouterr().out == 2 * program.HELP


def row() -> Configuration:
    return next(r for r in shipped() if r.key == ("toeplitz", "convolve", 1024, "fp16", 90))


def test_candidates_are_other_ways_to_compile_the_same_row() -> None:
    others = list(tuning.candidates(row()))
    assert len(others) > 100
    assert all(other.key == row().key and other != row() for other in others)


@pytest.mark.parametrize(("fast", "slow", "found"), [(1.0, 2.0, 2), (1.98, 2.0, None)])
def test_the_fastest_is_taken_if_it_gains(fast: float, slow: float, found: int | None) -> None:
    """A row with two stages less and the same blocks takes `fast`; all else takes `slow`."""
    best = replace(row(), warps=found or 2)

    def seconds(other: Configuration) -> float:
        return fast if other == best else slow

    new, took, before = tuning.best(row(), seconds)
    assert before == slow
    assert (new, took) == ((best, fast) if found else (row(), slow))


def test_a_row_can_be_put_in_force() -> None:
    other = replace(row(), warps=1)
    with tuning.using(other):
        assert configurations.find_for("toeplitz", "convolve", 700, "fp16", 90) == other
    assert configurations.find_for("toeplitz", "convolve", 700, "fp16", 90) == row()


def test_tune_writes_what_it_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock in place of a GPU: every row wants one stage."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a clock")
    monkeypatch.setattr(configurations, "architecture_of", lambda device: 90)
    monkeypatch.setattr(tuning, "timer", lambda row: lambda other: float(other.stages))
    file = tmp_path / "found.json"
    assert program.main(["tune", f"out={file}", "family=toeplitz"]) == 0
    rows = table_file.read(file)
    assert rows
    assert all(r.family == "toeplitz" and r.architecture == 90 and r.stages == 1 for r in rows)
    assert [p.name for p in tmp_path.iterdir()] == ["found.json"]
    assert json.loads(file.read_text())["rows"][0]["blocks"]


def test_tune_into_a_place_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a clock")
    monkeypatch.setattr(tuning, "tunable", lambda architecture: [])
    monkeypatch.setattr(configurations, "architecture_of", lambda device: 90)
    assert program.main(["tune", f"out={tmp_path}/no/such.json"]) == 2
    assert f"No such file or directory: '{tmp_path}/no/" in capsys.readouterr().err


def test_the_benchmark_takes_no_words() -> None:
    """A word that does nothing would be believed to do something."""
    script = Path(__file__).parents[3] / "benchmarks" / "gpu_conv.py"
    command = [sys.executable, str(script), "length=64"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert not run.stdout
    assert run.stderr == "length=64: this takes no words\n"
