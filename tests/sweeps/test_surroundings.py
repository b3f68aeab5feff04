"""What surrounds a run: progress lines, signals, provenance, the allocator, the plan's numbers."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps import progress
from sweeps import provenance as origin
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


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one committed file, which stands for the code."""

    def git(*words):
        who = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, check=True)
        return done.stdout

    git("init", "-q")
    (tmp_path / "__init__.py").write_text("k = 1\n")
    git("add", "-A")
    git("commit", "-qm", "first")
    monkeypatch.setattr(origin, "_root", lambda package: tmp_path)
    caches = (origin._git, origin.git_diff, origin.code_hash)
    for cached in caches:
        cached.cache_clear()
    yield tmp_path, git
    for cached in caches:
        cached.cache_clear()


def test_a_clean_checkout_has_a_commit_and_no_diff(checkout):
    _, git = checkout
    assert origin._git("rev-parse", "HEAD") == git("rev-parse", "HEAD").decode().strip()
    assert origin.git_diff() is None


def test_uncommitted_changes_are_kept_with_the_hash_of_all_of_them(checkout, monkeypatch):
    folder, git = checkout
    (folder / "__init__.py").write_bytes(b"k = 2  # \xff\n" + b"# more\n" * 100)
    monkeypatch.setattr(origin, "DIFF_LIMIT", 200)
    diff, whole = origin.git_diff(), git("diff", "HEAD")
    assert diff is not None
    assert diff["sha256"] == hashlib.sha256(whole).hexdigest()
    assert diff["bytes"] == len(whole) > 200
    assert "+k = 2  # \N{REPLACEMENT CHARACTER}" in diff["text"]
    assert len(diff["text"]) <= 200


def test_a_run_keeps_the_hash_and_a_study_the_text(monkeypatch, tmp_path):
    diff = {"sha256": "ab", "bytes": 3, "text": "+k"}
    monkeypatch.setattr(origin, "git_diff", lambda: diff)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host:5000")
    assert provenance("cpu")["git_diff"] == {"sha256": "ab", "bytes": 3}
    found = origin.study_provenance("cpu", tmp_path, "postgresql://***@host/db")
    assert found["git_diff"] == diff
    assert found["stores"] == {
        "mlflow": "http://host:5000",
        "optuna": "postgresql://***@host/db",
    }
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    stores = origin.study_provenance("cpu", Path("out"), "")["stores"]
    assert stores["mlflow"] == "sqlite:///out/mlflow.db"


def test_code_below_somebody_elses_repository_has_no_commit(checkout):
    _, git = checkout
    git("rm", "-q", "--cached", "__init__.py")
    git("commit", "-qm", "gone", "--allow-empty")
    origin._git.cache_clear()
    assert provenance("cpu")["git_commit"] is None
    assert provenance("cpu")["git_dirty"] is None
    assert origin.git_diff() is None


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
