"""What surrounds a run: progress lines, signals, provenance, the allocator, the plan's numbers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from sweeps import progress
from sweeps.allocator import SWITCH, keep_large_blocks
from sweeps.experiment import Experiment, Score, TrainSpec
from sweeps.interrupt import StopRequest
from sweeps.plan import seeds_for, underpowered
from sweeps.progress import Display, duration
from sweeps.provenance import code_hash, provenance, source_files
from tasks import make_task
from zoo.presets import preset


def test_code_hash_sees_every_source_file(tmp_path, monkeypatch):
    names = {p.name for p in source_files("sweeps")}
    assert {"train.py", "words.py", "track.py"} <= names
    before = code_hash()
    monkeypatch.setattr("sweeps.provenance._root", lambda package: tmp_path / package)
    for package in ("zoo", "tasks", "sweeps"):
        (tmp_path / package).mkdir()
    code_hash.cache_clear()
    empty = code_hash()
    (tmp_path / "zoo" / "kernel.py").write_text("k = 1\n")
    code_hash.cache_clear()
    one = code_hash()
    (tmp_path / "zoo" / "kernel.py").rename(tmp_path / "zoo" / "kernels.py")
    code_hash.cache_clear()
    renamed = code_hash()
    code_hash.cache_clear()
    assert len({before, empty, one, renamed}) == 4


def test_provenance_says_what_a_reader_asks():
    found = provenance("cpu")
    assert {"code", "torch", "threads", "device", "command", "versions", "hardware"} <= set(found)
    assert found["versions"]["torch"].startswith("2.")
    assert found["hardware"]["cores"] >= 1
    assert found["cpu_convolution"].partition(" ")[0] in ("compiled", "torch.fft")


def test_code_hash_sees_headers_and_sources_of_the_compiled_convolution():
    names = {p.name for p in source_files("zoo")}
    assert {"simd.h", "short_conv.cpp"} <= names


@pytest.mark.parametrize(
    ("arms", "seeds"), [(1, 6), (2, 7), (3, 7), (4, 8), (6, 8), (7, 9), (12, 9)]
)
def test_seeds_are_the_fewest_that_can_reach_significance(arms, seeds):
    assert seeds_for(arms) == seeds
    assert not underpowered(arms, range(seeds))
    assert underpowered(arms, range(seeds - 1))


def test_a_first_signal_asks_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_signal_leaves_at_once():
    code = """
import os, signal
from sweeps.interrupt import StopRequest
with StopRequest():
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
print("still here")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 130
    assert "still here" not in done.stdout


def test_the_allocator_can_be_left_alone(monkeypatch):
    monkeypatch.setenv(SWITCH, "stock")
    assert keep_large_blocks() == "stock"


@pytest.mark.parametrize("switch", ["", "stock"])
def test_provenance_says_which_allocator_is_in_force(switch):
    code = """
from sweeps.allocator import keep_large_blocks
from sweeps.provenance import provenance
assert provenance("cpu")["allocator"] == "stock"
done = keep_large_blocks()
print(done, "|", provenance("cpu")["allocator"])
"""
    environment = {**os.environ, SWITCH: switch}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    returned, _, recorded = done.stdout.strip().partition(" | ")
    assert returned == recorded
    wanted = "stock" if switch or not sys.platform.startswith("linux") else "mmap_max=0"
    assert recorded.startswith(wanted)


def test_plain_progress_names_arm_seed_step_accuracy_and_time_left(capfd, monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_EVERY", 0.0)
    experiment = Experiment(
        task=make_task("selective-copying"), model=preset("all-on"), train=TrainSpec(steps=40)
    )
    with Display(80, lambda: False) as display:
        shown = display.start("decay=off seed 3", experiment)
        shown.scored(10, [Score("validation", "all", "accuracy", 0.5)])
        shown.step(11)
        shown.finish("test accuracy 0.6")
    err = capfd.readouterr().err
    assert "decay=off seed 3 step 11/40 accuracy 0.500" in err
    assert "left]" in err
    assert "test accuracy 0.6" in err


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (720, "12 min"), (12240, "3.4 h")])
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text
