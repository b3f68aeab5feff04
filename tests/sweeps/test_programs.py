"""`sweeps.run`, `sweeps.evaluate` and `replay=`: one configuration, other data, the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from ablations.run import main as ablate
from sweeps import launch as launching
from sweeps.configuration import make_plan
from sweeps.evaluate import main as evaluate
from sweeps.evaluate import read_batch
from sweeps.owner import owning
from sweeps.run import main as run
from sweeps.rundir import read_experiment
from sweeps.words import WordError
from tests.sweeps.small import TINY
from zoo.spec import Context


def write(path, **arrays):
    np.savez(path, **arrays)
    return f"data={path}"


def test_a_configuration_is_trained_exactly_as_given(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    words = ["base=sgconv", "decay=off", "lr=2e-3", *TINY, f"out={tmp_path}"]
    assert run(words) == 0
    found = [read_experiment(p) for p in tmp_path.glob("runs/*/experiment.json")]
    assert {e.seed for e in found} == {0, 1}
    for experiment in found:
        assert experiment.train.lr == 2e-3
        assert experiment.model.mixers[0].kernel.decay.kind == "none"
        assert experiment.model.mixers[0].kernel.gain.kind == "raw"
    assert len(capfd.readouterr().out.split("seed ")) == 3


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([], "base="),
        (["base=all-on", "decay=off,power-law"], "ablations.run"),
        (["base=all-on", "suite=five-properties"], "unknown word"),
        (["base=all-on", "match=parameters"], "unknown word"),
        (["base=all-on", "decay=off", "decay.fast=1"], "base.decay.fast"),
        (["base=long-conv", "decay=off"], "nothing"),
    ],
)
def test_mistakes_of_one_configuration(words, hint, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    err = capfd.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert hint in err


def test_evaluation_agrees_with_the_runs_own_test_score(trained, tmp_path, capfd):
    folder = trained[0]
    experiment = read_experiment(folder / "experiment.json")
    batch = experiment.task.generate(range(40), "test")
    targets = np.where(batch.mask, batch.targets, -100)
    word = write(tmp_path / "test.npz", inputs=batch.inputs.astype(np.uint8), targets=targets)
    assert evaluate([str(folder), word]) == 0
    out = capfd.readouterr().out
    assert len(out.strip().splitlines()) == 1
    found = json.loads(out)
    result = json.loads((folder / "result.json").read_text())
    own = {
        s["metric"]: s["value"]
        for s in result["scores"]
        if s["split"] == "test" and s["slice"] == "all"
    }
    assert found["examples"] == 40
    for metric in ("accuracy", "loss", "exact"):
        assert found[metric] == pytest.approx(own[metric], abs=1e-6)


def test_shorter_sequences_of_any_integer_type_are_scored(trained, tmp_path, capfd):
    inputs = np.arange(12, dtype=np.int16).reshape(2, 6) % 4
    word = write(tmp_path / "short.npz", inputs=inputs, targets=inputs.astype(np.uint32))
    assert evaluate([str(trained[0]), word]) == 0
    assert 0 <= json.loads(capfd.readouterr().out)["accuracy"] <= 1


GOOD = np.ones((2, 6), np.int64)


@pytest.mark.parametrize(
    ("arrays", "hint"),
    [
        ({"inputs": GOOD * 12, "targets": GOOD}, "vocabulary is 0 to 11"),
        ({"inputs": -GOOD, "targets": GOOD}, "vocabulary is 0 to 11"),
        ({"inputs": GOOD, "targets": GOOD * 99}, "target ids"),
        ({"inputs": GOOD, "targets": GOOD[:1]}, "expected (2, 6)"),
        ({"inputs": np.ones((2, 99), np.int64), "targets": GOOD}, "trained for 22"),
        ({"inputs": GOOD.astype(float), "targets": GOOD}, "not integers"),
        ({"inputs": GOOD, "targets": GOOD * -100}, "nothing is scored"),
        ({"inputs": GOOD[0], "targets": GOOD}, "(N, L)"),
        ({"inputs": GOOD[:0], "targets": GOOD[:0]}, "shape"),
        ({"inputs": GOOD}, "no array 'targets'"),
        ({"inputs": GOOD, "targets": GOOD, "lengths": np.array([1, 7])}, "lengths"),
        ({"inputs": np.array([{}, {}]), "targets": GOOD}, "plain arrays"),
    ],
)
def test_data_that_cannot_be_read_is_one_line(trained, tmp_path, capfd, arrays, hint):
    word = write(tmp_path / "bad.npz", **arrays)
    assert evaluate([str(trained[0]), word]) == 2
    err = capfd.readouterr().err
    assert len(err.strip().splitlines()) == 1, err
    assert hint in err, err


@pytest.mark.parametrize("damage", ["absent", "text", "cut", "npy", "member", "flipped"])
def test_a_file_that_is_no_npz_is_one_line(trained, tmp_path, capfd, damage):
    path = tmp_path / "file.npz"
    if damage == "text":
        path.write_text("hello")
    elif damage == "cut":
        write(path, inputs=GOOD, targets=GOOD)
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "npy":
        with path.open("wb") as file:
            np.save(file, GOOD)
    elif damage == "member":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("inputs", "hello")
            file.writestr("targets", "hello")
    elif damage == "flipped":
        np.savez_compressed(path, inputs=GOOD, targets=GOOD)
        data = bytearray(path.read_bytes())
        data[60:90] = bytes(255 - b for b in data[60:90])
        path.write_bytes(data)
    assert evaluate([str(trained[0]), f"data={path}"]) == 2
    assert len(capfd.readouterr().err.strip().splitlines()) == 1


def test_a_folder_that_is_no_run_is_one_line(tmp_path, capfd):
    word = write(tmp_path / "x.npz", inputs=GOOD, targets=GOOD)
    assert evaluate([str(tmp_path), word]) == 2
    assert evaluate([word]) == 2
    assert evaluate([str(tmp_path), word, "colour=red"]) == 2
    assert len(capfd.readouterr().err.strip().splitlines()) == 3


@pytest.mark.parametrize("program", [run, ablate])
def test_a_replay_says_bit_identical(trained, program, capfd, monkeypatch):
    root = trained[0].parents[1]
    words = [f"replay={trained[0] / 'experiment.json'}", f"out={root}"]
    assert program(words) == 0
    assert "bit-identical" in capfd.readouterr().out


def test_a_replay_says_what_differs(trained, capfd):
    folder = trained[1]
    path, text = folder / "result.json", (folder / "result.json").read_text()
    record = json.loads(text)
    record["weights"] = "0" * 64
    record["scores"][0]["value"] = 0.123
    record["identity"]["code"] = "feedfacefeedface"
    path.write_text(json.dumps(record))
    try:
        assert run([f"replay={folder}", f"out={folder.parents[1]}"]) == 1
    finally:
        path.write_text(text)
    out = capfd.readouterr().out
    assert "different" in out
    assert "0.123" in out
    assert "feedfacefeedface" in out


def test_a_fresh_process_knows_every_kind(trained, tmp_path):
    """Nothing else has imported the task before."""
    batch = read_experiment(trained[0] / "experiment.json").task.generate(range(4), "test")
    word = write(tmp_path / "x.npz", inputs=batch.inputs, targets=batch.targets)
    root, out = os.getcwd(), trained[0].parents[1]
    for words in (
        ["sweeps.evaluate", str(trained[0]), word],
        ["sweeps.run", f"replay={trained[0]}", f"out={out}"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["dry-run=yes"], ["seeds=3"], ["decay=off"], ["task=mqar"]])
def test_a_replay_takes_no_other_words(trained, words, capfd):
    assert run([f"replay={trained[0]}", *words]) == 2
    assert "leave this out" in capfd.readouterr().err


def test_an_unfinished_or_damaged_run_is_one_line(trained, tmp_path, capfd):
    path = trained[0] / "result.json"
    text = path.read_text()
    word = write(tmp_path / "x.npz", inputs=GOOD, targets=GOOD)
    try:
        path.write_text(text[:50])
        assert run([f"replay={trained[0]}"]) == 2
        path.unlink()
        assert evaluate([str(trained[0]), word]) == 2
    finally:
        path.write_text(text)
    err = capfd.readouterr().err
    assert "damaged" in err
    assert "not finished" in err
    copied = tmp_path / "experiment.json"
    copied.write_text((trained[0] / "experiment.json").read_text())
    assert run([f"replay={copied}"]) == 2
    assert "no finished run" in capfd.readouterr().err


REAL = Context(input_dim=2, num_outputs=1, length=8, head="regression")


@pytest.mark.parametrize("name", ["inputs", "targets"])
@pytest.mark.parametrize(
    "value",
    ["a", 1e300, -1e39, np.nan, 1 + 5j, np.datetime64("2020-01-01"), np.timedelta64(1), True],
)
def test_what_is_no_finite_real_number_is_one_line(tmp_path, name, value):
    arrays = {"inputs": np.zeros((2, 8, 2)), "targets": np.zeros((2, 1))}
    arrays[name] = np.full(arrays[name].shape, value)
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(WordError, match=f"{name} .*finite") as caught:
        read_batch(tmp_path / "x.npz", REAL)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.float16, np.float64, np.longdouble])
def test_real_numbers_of_any_width_are_read(tmp_path, kind):
    inputs, targets = np.full((2, 8, 2), 3, kind), np.full(2, 3, kind)
    np.savez(tmp_path / "x.npz", inputs=inputs, targets=targets)
    batch = read_batch(tmp_path / "x.npz", REAL)
    assert (batch.inputs == 3).all()
    assert (batch.targets == 3).all()
    assert batch.inputs.dtype == batch.targets.dtype == np.float32


def test_an_engine_is_closed_once_whether_or_not_the_study_is_begun(trained, monkeypatch):
    closed = []

    class Engine:
        slots, submit = 1, None

        def close(self):
            closed.append(1)

    out = trained[0].parents[1]
    plan, options = make_plan(["base=all-on", *TINY, f"out={out}"], "run")
    monkeypatch.setattr(launching, "make_engine", lambda *_: Engine())
    with owning(out / plan.name), pytest.raises(WordError, match="is being run by process"):
        launching.launch(plan, options)
    assert closed == [1]
    assert launching.launch(plan, options).missing == ()
    assert closed == [1, 1]
