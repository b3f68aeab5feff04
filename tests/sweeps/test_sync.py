"""`sweeps.sync` writes what was kept, every point once; what is damaged is told of, not lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps.leftover import left
from sweeps.mlflow_store import MlflowStore
from sweeps.sync import main as sync
from sweeps.track import Tracker
from sweeps.tracked import Record
from tests.sweeps.mlflow_runs import database, history, runs

ROOT = Path(__file__).resolve().parents[2]
Said = Callable[..., Path]


def test_a_store_that_was_away_gets_every_point_once(
    root: Path, said: Said, capfd: pytest.CaptureFixture[str]
) -> None:
    path = said()
    content = path.read_bytes()
    assert sync([str(root), database(root)]) == 0
    assert "written: 6 new points in 2 runs" in capfd.readouterr().out
    [parent], [run] = runs(root)
    assert (parent.info.status, run.info.status) == ("FINISHED", "FINISHED")
    assert parent.data.tags["task"] == "mqar"
    assert run.data.params == {"lr": "0.001"}
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert history(root, run, "loss") == [(step, float(step)) for step in range(5)]
    assert history(root, run, "accuracy") == [(11, 0.5)]
    assert len(list((root / "mlflow-artifacts").rglob("config.json"))) == 1
    assert not (root / "mlflow-spool").exists()
    assert sync([str(root), database(root)]) == 0
    assert "nothing is left to write" in capfd.readouterr().out
    path.parent.mkdir()
    path.write_bytes(content)  # as if it had been killed before it removed the file
    assert sync([str(root), database(root)]) == 0
    assert "written: 0 new points in 2 runs" in capfd.readouterr().out
    assert history(root, run, "loss") == [(step, float(step)) for step in range(5)]


def test_a_store_that_is_still_away_is_one_line(
    root: Path, said: Said, capfd: pytest.CaptureFixture[str]
) -> None:
    path = said()
    content = path.read_bytes()
    assert sync([str(root)]) == 1
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    assert err.startswith("fault: MLflow: http://127.0.0.1:")
    assert "nothing is lost" in err
    assert path.read_bytes() == content


DAMAGE = {
    "cut": lambda lines: [*lines[:-1], lines[-1][:-5]],
    "garbage": lambda lines: [*lines[:4], b"\xff\0{]" * 9, *lines[5:]],
    "path": lambda lines: [*lines[:4], b'{"run": "../x", "add": [["a", 1, 1, 1]]}', *lines[5:]],
    "nested": lambda lines: [*lines[:4], b"[" * 100_000, *lines[5:]],
    "no name": lambda lines: [line for line in lines if b'"baseline/1"' not in line] + [b"?"],
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_spool_is_told_and_kept_and_the_rest_is_written(
    root: Path, said: Said, capfd, damage: str
) -> None:
    path = said()
    lines = path.read_bytes().splitlines()
    assert len(lines) >= 9
    path.write_bytes(b"\n".join(DAMAGE[damage](lines)))
    content = path.read_bytes()
    assert sync([str(root), database(root)]) == 1
    err = capfd.readouterr().err
    [complaint] = [line for line in err.splitlines() if line.startswith("warning")]
    assert f"{path}: 1 of " in complaint
    [run] = runs(root)[1]
    values = dict(history(root, run, "loss"))
    assert len(values) >= 4
    assert all(values[step] == float(step) for step in values)
    assert not left(root)
    [kept] = (root / "mlflow-spool").iterdir()
    assert kept.read_bytes() == content
    assert sync([str(root)]) == 0


def test_a_spool_that_does_not_say_where_to_waits_for_an_address(
    root: Path, said: Said, capfd
) -> None:
    path = said()
    path.write_bytes(path.read_bytes()[9:])
    assert sync([str(root)]) == 1
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "say uri=ADDRESS" in err
    assert left(root) == [path]
    assert sync([str(root), database(root)]) == 1
    assert len(history(root, runs(root)[1][0], "loss")) == 5


def test_an_old_spool_does_not_undo_a_later_end(root: Path, said: Said, monkeypatch) -> None:
    path = said(status="killed")
    content = path.read_bytes()
    path.unlink()  # so that the run below does not take it over
    with Tracker(root, "study") as tracker:
        run = tracker.start_run("baseline/1", "f" * 64, identity={"code": "c"}, steps=10, config={})
        run.finish("diverged")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    assert sync([str(root), database(root)]) == 0
    [run] = runs(root)[1]
    assert run.info.status == "FAILED"
    assert len(history(root, run, "loss")) == 5


def test_one_run_that_is_refused_does_not_hold_up_the_others(
    root: Path, said: Said, monkeypatch, capfd
) -> None:
    said()
    write = MlflowStore.write

    def refuse(self: MlflowStore, record: Record) -> int:
        if record.name == "study":
            raise ValueError("refused")
        return write(self, record)

    monkeypatch.setattr(MlflowStore, "write", refuse)
    assert sync([str(root), database(root)]) == 1
    assert "refused" in capfd.readouterr().err
    assert len(left(root)) == 1
    assert len(history(root, runs(root)[1][0], "loss")) == 5


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["uir=http://x"], "did you mean uri?"),
        ([".", "uri=nonsense"], "no address"),
        ([".", "uri="], "a value is missing"),
        (["a", "b"], "one output folder"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch, capfd, words: list[str], hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sync(words) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert hint in err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sweeps.sync import main; main(['--help']);"
        "print({'torch', 'mlflow', 'optuna', 'numpy', 'polars'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "set()"
