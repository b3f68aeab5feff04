"""`sweeps.status` on studies that run, were killed, are finished, damaged, or no studies at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from sweeps.results import SCHEMA, write_results, write_trials
from sweeps.status import main as status
from sweeps.survey import survey
from sweeps.whereabouts import whereabouts

ROOT = Path(__file__).resolve().parents[2]
WORDS = (
    *("base=all-on", "width=8", "depth=1", "train.num_eval=16", "train.eval_every=20"),
    *("batch_size=8", "task.length=16", "steps=100000", "seeds=3", "jobs=2"),
)
ARMS = ("baseline", "decay=[bold]\x1b[2Jx")


def write_study(root: Path, name: str, seeds: int, *, ended: int | None = None) -> Path:
    """A study with known numbers: two arms, of which `ended` seeds have results."""
    directory = root / name
    directory.mkdir(parents=True)
    plan = {"study": name, "command": "python -m ablations.run decay=off", "trials": 2}
    plan |= {"primary": {"metric": "accuracy", "split": "test", "slice": "all"}}
    plan |= {"seeds": list(range(seeds)), "arms": [{"name": arm} for arm in ARMS]}
    (directory / "plan.json").write_text(json.dumps(plan))
    (directory / "missing.json").write_text("[]")
    trials = [
        {"arm": arm, "number": n, "parameters": "{}", "seed": 10_000}
        | {"value": n / 10, "state": "finished"}
        for arm in ARMS
        for n in range(2)
    ]
    write_trials(directory / "trials.parquet", trials)
    write_results(directory / "results.parquet", rows(seeds if ended is None else ended))
    return directory


def rows(seeds: int) -> pl.DataFrame:
    """Four scores of every run; on validation the accuracy is the seed / 1000."""
    scores = [("validation", "all"), ("test", "all"), ("test", "long"), ("kernel", "final")]
    found = pl.DataFrame({"arm": ARMS}).join(pl.DataFrame({"seed": range(seeds)}), how="cross")
    found = found.join(pl.DataFrame(scores, schema=["split", "slice"], orient="row"), how="cross")
    found = found.with_columns(
        pl.lit("accuracy").alias("metric"),
        pl.lit("finished").alias("status"),
        pl.format("{}-{}", "arm", "seed").alias("fingerprint"),
        (pl.col("seed") / 1000).alias("value"),
    )
    others = {name: kind for name, kind in SCHEMA.items() if name not in found.columns}
    return found.with_columns(pl.lit(None, kind).alias(name) for name, kind in others.items())


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    return write_study(tmp_path / "out", "done-1", 3)


@pytest.fixture(scope="module")
def going(tmp_path_factory):
    """A real study with two workers that has far to go, and how to kill its driver."""
    out = tmp_path_factory.mktemp("going") / "out"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    driver = subprocess.Popen(
        [sys.executable, "-m", "sweeps.run", *WORDS, f"out={out}"],
        env=environment, cwd=out.parent, text=True, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield wait_for_two(out, driver), driver
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
        driver.communicate(timeout=60)


def wait_for_two(out: Path, driver: subprocess.Popen[str]) -> Path:
    """Until both workers train and have scored."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and driver.poll() is None:
        for plan in out.glob("*/plan.json"):
            found = survey(plan.parent)
            scored = [r for r in found.running if r.where.rate and r.where.validation("accuracy")]
            if len(scored) == 2 and found.seconds_left is not None:
                return plan.parent
        time.sleep(0.2)
    pytest.fail(f"no two runs: {driver.stderr.read() if driver.poll() is not None else driver}")


def told(capfd, *words: object) -> str:
    assert status([str(word) for word in words]) == 0
    out, err = capfd.readouterr()
    assert not err
    return out


def test_a_study_that_runs(going, capfd):
    study, driver = going
    text = told(capfd, study)
    lines = text.splitlines()
    assert f"study {study.name}: running, by process {driver.pid} on " in lines[0]
    assert lines[0].endswith(" left")
    assert "? left" not in lines[0]
    assert any(line.split() == ["baseline", "0/3", "-", "2", "-", "1", "-"] for line in lines)
    for seed in (0, 1):
        [row] = [line for line in lines if line.startswith(f"baseline seed {seed} ")]
        step, _, steps = row.split()[3].partition("/")
        assert 0 < int(step) < int(steps) == 100_000
        assert float(row.split()[4]) > 0
        assert 0 <= float(row.split()[5]) <= 1
    assert "runs:   " in text
    assert "trials: " not in text
    assert " running " in told(capfd, study.parent).splitlines()[1]


def test_a_look_again_and_again_ends_with_ctrl_c(going):
    study, _ = going
    child = subprocess.Popen(
        [sys.executable, "-m", "sweeps.status", str(study), "watch=0.1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # a shell lets what it starts in the background ignore the signal, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    heads = 0
    for line in child.stdout:
        heads += line.startswith("study ")
        if heads == 3:
            child.send_signal(signal.SIGINT)
            break
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err.strip() == "interrupted"


def test_nothing_heavy_is_imported(going):
    code = (
        "import sys\nfrom sweeps.status import main\nassert main(sys.argv[1:]) == 0\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(going[0])],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"torch", "mlflow", "optuna", "matplotlib", "scipy", "numba"}


def test_a_study_whose_driver_was_killed(going, capfd):
    """The last of the three: it ends the study."""
    study, driver = going
    driver.kill()
    driver.wait(timeout=60)
    text = told(capfd, study)
    assert text.startswith(f"study {study.name}: stopped\n")
    assert "to go on: " in text
    assert "sweeps.run base=all-on" in text
    assert "stopped in" in text
    [row] = [line.split() for line in text.splitlines() if line.startswith("baseline  ")]
    assert row == ["baseline", "0/3", "-", "-", "-", "3", "-"]


def test_a_finished_study(finished, capfd):
    lines = told(capfd, finished).splitlines()
    assert lines[0] == "study done-1: finished"
    assert lines[4].split() == ["baseline", "3/3", "-", "-", "-", "-", "2/2", "0.100"]
    assert r"decay=[bold]\x1b[2Jx" in lines[5]
    assert not any(line.startswith("to go on") for line in lines)
    assert [line[:8] for line in lines[-2:]] == ["runs:   ", "trials: "]
    assert told(capfd, finished, "watch=60").splitlines()[1:] == lines, "it is over: said once"
    listed = told(capfd, finished.parent).splitlines()
    assert listed[1].split() == ["done-1", "finished", "6/6", "-", "4/4", "accuracy", "0.100", "-"]


def test_what_is_missing_has_its_reason(tmp_path, capfd):
    study = write_study(tmp_path / "out", "holes", 3, ended=2)
    entry = {"label": "baseline seed 2", "fingerprint": "feed", "status": "out-of-memory"}
    (study / "missing.json").write_text(json.dumps([{**entry, "reason": "14\x07 GB"}]))
    lines = told(capfd, study).splitlines()
    assert lines[0] == "study holes: stopped"
    assert lines[2] == "to go on: python -m ablations.run decay=off"
    assert lines[5].split()[:6] == ["baseline", "2/3", "-", "-", "1", "-"]
    assert lines[6].split()[1:6] == ["2/3", "-", "-", "-", "1"]
    assert r"missing: baseline seed 2: out-of-memory (14\x07 GB)  runs/feed" in lines


@pytest.mark.parametrize("name", ["results.parquet", "trials.parquet", "missing.json"])
@pytest.mark.parametrize("damage", ["text", "empty", "cut", "flipped", "foreign"])
def test_a_damaged_file_is_told_and_the_rest_is_shown(finished, capfd, name, damage):
    path = finished / name
    data = path.read_bytes()
    middle = len(data) // 2
    flipped = data[: middle - 8] + bytes(255 - b for b in data[middle - 8 : middle + 8])
    foreign = io_parquet() if path.suffix == ".parquet" else b'{"a": 1}'
    changed = {"text": b"hello", "empty": b"", "cut": data[:middle], "foreign": foreign}
    path.write_bytes(changed.get(damage, flipped + data[middle + 8 :]))
    code = status([str(finished)])
    out, err = capfd.readouterr()
    assert out.startswith("study done-1: ")
    assert "Traceback" not in err
    if damage == "flipped" and code == 0:
        return  # parquet does not know: it was in what is not read
    assert code == 1
    assert err.startswith("damaged: ")
    assert len(err.splitlines()) == 1
    assert name in err


def io_parquet() -> bytes:
    import io

    held = io.BytesIO()
    pl.DataFrame({"a": [1]}).write_parquet(held)
    return held.getvalue()


@pytest.mark.parametrize(
    "text",
    ['{"running": 3}', '{"running": [{"label": "a"}]}', "[]", "{", '{"began": "x", "running": []}'],
)
def test_a_damaged_list_of_what_runs_is_no_fault(finished, capfd, text):
    (finished / "running.json").write_text(text)
    assert status([str(finished)]) in (0, 1)
    assert capfd.readouterr().out.startswith("study done-1: finished")


@pytest.mark.parametrize(
    "text", ["", "hello", "[]", '{"arms": 3}', '{"study": 1, "arms": [], "primary": 2, "seeds": 3}']
)
def test_a_damaged_plan_is_one_line(finished, capfd, text):
    shutil.copytree(finished, finished.parent / "whole")
    (finished / "plan.json").write_text(text)
    assert status([str(finished)]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert status([str(finished.parent)]) == 1
    out, err = capfd.readouterr()
    assert "whole" in out
    assert err.startswith("damaged: ")


@pytest.mark.parametrize("kind", ["missing", "empty", "foreign", "file", "run", "nul"])
def test_what_is_no_study_is_one_line(tmp_path, capfd, kind):
    folder = tmp_path / ("a\0b" if kind == "nul" else kind)
    if kind in ("empty", "foreign", "run"):
        folder.mkdir()
    if kind == "foreign":
        (folder / "notes.txt").write_text("hello")
    if kind == "run":
        (folder / "experiment.json").write_text("{}")
    if kind == "file":
        folder.write_text("hello")
    assert status([str(folder)]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "name a study, out/STUDY" in err


@pytest.mark.parametrize(
    "words", [["wach=2"], ["watch=0"], ["watch=x"], ["runs=maybe"], ["a", "b"], ["watch="]]
)
def test_mistakes_are_one_line(words, capfd):
    assert status(words) == 2
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_ten_thousand_finished_runs(tmp_path, capfd):
    study = write_study(tmp_path / "out", "many", 5000)
    assert any("5000/5000" in line for line in told(capfd, study).splitlines())
    lines = told(capfd, study, "runs=yes").splitlines()
    assert lines[-1] == "10000 runs"
    first = "baseline seed 4999: validation accuracy 4.999 (finished) in -  runs/baseline-4999"
    assert first in lines


def test_the_step_of_a_run_that_nobody_works_on_is_its_checkpoint_s(tmp_path):
    """Their folders are numbered; the weights of the end have no step."""
    for number, state in enumerate(({"step": 1000}, {"step": 2000}, {"final": True}), start=1):
        folder = tmp_path / "checkpoint" / f"{number:08d}"
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(json.dumps(state))
    assert whereabouts(tmp_path).step == 2000
    (tmp_path / "checkpoint" / "00000002" / "state.json").write_bytes(b"\xff{")
    assert whereabouts(tmp_path).step == 1000
    (tmp_path / "checkpoint" / "00000001" / "state.json").unlink()
    assert whereabouts(tmp_path).step == 0
