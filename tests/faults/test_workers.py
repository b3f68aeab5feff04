"""Several workers: killed, stuck, greedy, orphaned. Every planned run ends once, or is listed."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest

from tests.faults.causing import finish, results, start, wait_for_step, workers

SEEDS = 4
SLOW = pytest.mark.slow
MISCHIEF = '''
"""Kernels that behave until they are trained."""
import os, signal, time
import torch
from torch import nn
from zoo.properties.smoothness import Smoothness

class Trap(nn.Module):
    def forward(self, k):
        if k.requires_grad:
            k.register_hook(self.spring)
        return k

class Hang(Trap):
    def spring(self, gradient):
        time.sleep(1000)

class Explode(Trap):
    def spring(self, gradient):
        raise ZeroDivisionError("a kernel [bold]gave way[/bold]")

class Poison(Trap):
    def spring(self, gradient):
        return gradient * float("nan")

class Greedy(Trap):
    def spring(self, gradient):
        torch.ones(2**33)

class Deadly(Trap):
    def spring(self, gradient):
        os.kill(os.getpid(), signal.SIGKILL)

class HangSpec(Smoothness, kind="hang"):
    def build(self, context): return Hang()
class ExplodeSpec(Smoothness, kind="explode"):
    def build(self, context): return Explode()
class PoisonSpec(Smoothness, kind="poison"):
    def build(self, context): return Poison()
class GreedySpec(Smoothness, kind="greedy"):
    def build(self, context): return Greedy()
class DeadlySpec(Smoothness, kind="deadly"):
    def build(self, context): return Deadly()
'''


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """The runs that nothing happened to, by fingerprint, made one after the other."""
    out = tmp_path_factory.mktemp("whole") / "out"
    code, _, err = finish(start(out, f"seeds={SEEDS}"))
    assert code == 0, err
    return {found["fingerprint"]: found for found in results(out)}


def begin(out: Path, *words: str, **more) -> subprocess.Popen[str]:
    return start(out, f"seeds={SEEDS}", "jobs=2", *words, **more)


def assert_all_there(out: Path, whole: dict[str, dict]) -> None:
    """Every run of the plan, once, with the same bits; nothing is missing or left over."""
    found = {each["fingerprint"]: each for each in results(out)}
    assert found.keys() == whole.keys()
    for name, each in found.items():
        assert each["weights"] == whole[name]["weights"]
        assert each["scores"] == whole[name]["scores"]
    (study,) = [path.parent for path in out.glob("*/plan.json")]
    rows = pl.read_parquet(study / "results.parquet")
    test = rows.filter(
        pl.col("split") == "test", pl.col("metric") == "accuracy", pl.col("slice") == "all"
    )
    assert sorted(test["seed"]) == list(range(SEEDS))
    assert json.loads((study / "missing.json").read_text()) == []
    assert not list(study.glob(".stop-*"))
    assert not list(out.glob("runs/*/progress.jsonl"))


@pytest.mark.slow
def test_two_jobs_find_what_one_finds(tmp_path, whole):
    out = tmp_path / "out"
    code, _, err = finish(begin(out))
    assert code == 0, err
    assert_all_there(out, whole)


def test_killed_workers_cost_nothing(tmp_path, whole):
    """At random points, while the driver goes on."""
    out, dice = tmp_path / "out", random.Random()
    child = begin(out)
    killed = 0
    for _ in range(3):
        if not wait_for_step(out, child, dice.randint(1, 40)):
            break
        for pid in workers(child)[:1]:
            os.kill(pid, signal.SIGKILL)
            killed += 1
        time.sleep(dice.random())
    code, _, err = finish(child)
    assert code == 0, err
    assert killed
    assert_all_there(out, whole)


@pytest.mark.slow
def test_a_killed_driver_leaves_nothing_undone(tmp_path, whole):
    """Its workers save and end by themselves; the same command finishes the study."""
    out, dice = tmp_path / "out", random.Random()
    killed = 0
    for _ in range(2):
        child = begin(out)
        if wait_for_step(out, child, dice.randint(1, 30)):
            mine = workers(child)
            os.kill(child.pid, signal.SIGKILL)
            killed += child.wait(30) == -signal.SIGKILL
            assert all_end(mine)
        finish(child)
    code, _, err = finish(begin(out))
    assert code == 0, err
    assert killed
    assert_all_there(out, whole)


@pytest.mark.slow
def test_after_a_reboot_the_same_command_goes_on(tmp_path, whole):
    out = tmp_path / "out"
    child = begin(out)
    assert wait_for_step(out, child, 10)
    for pid in (child.pid, *workers(child)):
        os.kill(pid, signal.SIGKILL)
    finish(child)
    code, _, err = finish(begin(out))
    assert code == 0, err
    assert_all_there(out, whole)
    assert any(each["resumed_from"] for each in results(out))


def all_end(pids: list[int]) -> bool:
    """Whether the processes end within 30 s."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_every_run(tmp_path, whole, number):
    out = tmp_path / "out"
    child = begin(out)
    assert wait_for_step(out, child, 5)
    child.send_signal(number)
    code, _, err = finish(child)
    assert code == 130, err
    assert "Traceback" not in err
    code, _, err = finish(begin(out))
    assert code == 0, err
    assert_all_there(out, whole)


@pytest.mark.slow
def test_two_signals_end_it_at_once(tmp_path, whole):
    out = tmp_path / "out"
    child = begin(out)
    assert wait_for_step(out, child, 5)
    mine = workers(child)
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGINT)
    assert finish(child)[0] == 130
    assert all_end(mine)
    assert finish(begin(out))[0] == 0
    assert_all_there(out, whole)


def test_the_second_driver_of_a_study_is_told_who_the_first_is(tmp_path, whole):
    out = tmp_path / "out"
    first = begin(out)
    assert wait_for_step(out, first, 1)
    code, _, err = finish(begin(out))
    assert code == 2
    assert f"is being run by process {first.pid} on " in err
    assert err.count("\n") == 1
    assert finish(first)[0] == 0
    assert_all_there(out, whole)


@pytest.mark.slow
def test_two_studies_of_the_same_runs_train_each_once(tmp_path, whole):
    """Other words, other studies; the runs are the same, and so are their folders."""
    out = tmp_path / "out"
    both = [begin(out), start(out, f"seeds={SEEDS - 1}", "jobs=2")]
    for child in both:
        code, _, err = finish(child)
        assert code == 0, err
    assert {each["fingerprint"] for each in results(out)} == whole.keys()
    for each in results(out):
        assert each["weights"] == whole[each["fingerprint"]]["weights"]
        assert each["resumed_from"] == []


@pytest.fixture
def mischief(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed plug-in whose kernels hang, explode, take all memory or kill their process."""
    place = tmp_path / "plugin"
    info = place / "mischief-1.0.dist-info"
    info.mkdir(parents=True)
    (place / "mischief.py").write_text(MISCHIEF)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mischief\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[seqzoo.components]\nmischief = mischief\n")
    monkeypatch.setenv("MISCHIEF", str(place))


@pytest.mark.usefixtures("mischief")
@pytest.mark.parametrize(
    ("kind", "limits", "status", "reason"),
    [
        pytest.param("hang", ["timeout=15"], "timeout", "longer than timeout=15 s", marks=SLOW),
        ("explode", [], "failed", "ZeroDivisionError: a kernel [bold]gave way[/bold]"),
        pytest.param("greedy", ["memory=8"], "out-of-memory", "allocate", marks=SLOW),
        pytest.param("deadly", [], "killed", "its worker ended with exit code", marks=SLOW),
    ],
)
def test_one_bad_arm_is_listed_and_the_others_are_trained(tmp_path, kind, limits, status, reason):
    out = tmp_path / "out"
    words = ["jobs=2", "seeds=2", "trials=0", f"smoothness={kind}", *limits]
    child = start(out, *words, program="ablations.run", path=os.environ["MISCHIEF"])
    code, _, err = finish(child)
    assert code == 1, err
    assert "Traceback" not in err
    assert len(results(out)) == 2
    (study,) = [path.parent for path in out.glob("*/plan.json")]
    missing = json.loads((study / "missing.json").read_text())
    assert [each["label"] for each in missing] == [f"smoothness={kind} seed {n}" for n in (0, 1)]
    for each in missing:
        assert each["status"] == status
        assert reason in each["reason"]
        assert f"missing: {each['label']}: {status} ({each['reason']})" in err
    rows = pl.read_parquet(study / "results.parquet").filter(pl.col("arm") != "baseline")
    assert rows.select("seed", "value", "status").rows() == [(n, None, status) for n in (0, 1)]
    assert "n/a" not in (study / "report.md").read_text()


@pytest.mark.usefixtures("mischief")
def test_an_arm_whose_gradients_are_nan_counts_with_chance(tmp_path):
    """It is no fault of the study: nothing is missing, and nothing is dropped."""
    out = tmp_path / "out"
    words = ["jobs=2", "seeds=2", "trials=0", "smoothness=poison"]
    child = start(out, *words, program="ablations.run", path=os.environ["MISCHIEF"])
    code, _, err = finish(child)
    assert code == 0, err
    (study,) = [path.parent for path in out.glob("*/plan.json")]
    assert json.loads((study / "missing.json").read_text()) == []
    chance = json.loads((study / "plan.json").read_text())["chance"]
    rows = pl.read_parquet(study / "results.parquet").filter(
        pl.col("split") == "test", pl.col("metric") == "accuracy", pl.col("slice") == "all"
    )
    bad = rows.filter(pl.col("arm") == "smoothness=poison")
    assert bad.select("seed", "value", "status").rows() == [(n, chance, "diverged") for n in (0, 1)]
    assert set(rows.filter(pl.col("arm") == "baseline")["status"]) == {"finished"}
    assert (
        "2 of 2 runs diverged and count with the chance score" in (study / "report.md").read_text()
    )


@pytest.mark.slow
def test_a_full_disk_stops_the_study_and_loses_nothing(tmp_path, whole):
    out = tmp_path / "out"

    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    code, _, err = finish(begin(out, preexec_fn=little_room))
    assert code == 1, err
    assert err.count("fault: ") == 1, err
    assert "Traceback" not in err
    assert not results(out)
    assert finish(begin(out))[0] == 0
    assert_all_there(out, whole)
