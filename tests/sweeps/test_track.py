"""Tracking: what is said arrives once, whatever fails; what fails costs one line and no time."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeps import outbox
from sweeps.track import NoTracker, Tracker
from tests.sweeps.mlflow_runs import client_of, history, runs

CONFIG = {"model": {"depth": 2, "mixers": [{"kind": "attention"}]}, "train": {"lr": 1e-3}}
IDENTITY = {"code": "c0de", "torch": "2", "device": "cpu", "threads": 1}
Root = Callable[[str], Path]


def track(root: Path, values: list[float], *, status: str | None = "finished", **how: Any) -> None:
    """One study with one run whose loss at step i is values[i]."""
    with Tracker(root, how.pop("study", "decay-off-1234")) as tracker:
        tracker.start_study({"task": "mqar"}, {"seeds": [1, 2]})
        how = {"identity": IDENTITY, "steps": 10, "config": CONFIG, **how}
        run = tracker.start_run("baseline/1", "f" * 64, **how)
        for step, value in enumerate(values):
            run.metric(step, "train/loss", value)
        if status is not None:
            run.finish(status, {"test/accuracy": 0.75})


def test_a_run_is_read_back(root: Path) -> None:
    track(root, [3.0, 2.0, 1.5], tags={"arm": "baseline", "seed": 1})
    [parent], [run] = runs(root)
    assert (parent.info.run_name, parent.info.status) == ("decay-off-1234", "FINISHED")
    assert parent.data.tags["task"] == "mqar"
    assert parent.data.params == {"seeds.0": "1", "seeds.1": "2"}
    assert (run.info.run_name, run.info.status) == ("baseline/1", "FINISHED")
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    wanted = {"fingerprint": "f" * 64, "code": "c0de", "arm": "baseline", "seed": "1"}
    wanted |= {"torch": "2", "device": "cpu", "threads": "1"}
    assert wanted.items() <= run.data.tags.items()
    assert run.data.tags["status"] == "finished"
    assert run.data.params == {
        "model.depth": "2", "model.mixers.0.kind": "attention", "train.lr": "0.001"
    }  # fmt: skip
    assert history(root, run, "train/loss") == [(0, 3.0), (1, 2.0), (2, 1.5)]
    assert history(root, run, "test/accuracy") == [(11, 0.75)]
    [artifact] = client_of(root).list_artifacts(run.info.run_id)
    path = root / "mlflow-artifacts" / run.info.run_id / "artifacts" / artifact.path
    assert json.loads(path.read_text()) == CONFIG


def test_the_table_of_runs_shows_what_is_reported(root: Path) -> None:
    """Also where that is not how the curve ends, as with select=best-validation."""
    for _ in range(2):
        with Tracker(root, "study") as tracker:
            run = tracker.start_run("a", "f", identity=IDENTITY, steps=10, config=CONFIG)
            for step, value in ((5, 0.9), (10, 0.5)):
                run.metric(step, "validation/accuracy", value)
            run.finish("finished", {"validation/accuracy": 0.9, "test/accuracy": 0.75})
        [found] = runs(root)[1]
        assert found.data.metrics == {"validation/accuracy": 0.9, "test/accuracy": 0.75}
        assert history(root, found, "validation/accuracy") == [(5, 0.9), (10, 0.5), (11, 0.9)]


def test_saying_everything_again_adds_nothing(root: Path) -> None:
    track(root, [3.0, 2.0])
    before = [(r.info.run_id, r.info.end_time) for part in runs(root) for r in part]
    track(root, [3.0, 2.0])
    assert [(r.info.run_id, r.info.end_time) for part in runs(root) for r in part] == before
    [run] = runs(root)[1]
    assert history(root, run, "train/loss") == [(0, 3.0), (1, 2.0)]
    assert history(root, run, "test/accuracy") == [(11, 0.75)]


def test_an_interrupted_run_goes_on(root: Path) -> None:
    track(root, [3.0, 2.0], status="killed")
    assert runs(root)[1][0].info.status == "KILLED"
    track(root, [3.0, 2.0, 1.5, 1.25])
    [parent], [run] = runs(root)
    assert (parent.info.status, run.info.status) == ("FINISHED", "FINISHED")
    assert history(root, run, "train/loss") == [(0, 3.0), (1, 2.0), (2, 1.5), (3, 1.25)]


def test_what_has_another_identity_or_study_is_another_run(root: Path) -> None:
    track(root, [3.0])
    track(root, [4.0], identity=IDENTITY | {"code": "91bc"})
    track(root, [5.0], study="another")
    track(root, [6.0], identity=IDENTITY | {"device": "NVIDIA H200"})
    track(root, [7.0], identity=IDENTITY | {"threads": 2})
    track(root, [7.0], identity=dict(reversed(IDENTITY.items())) | {"threads": 2})  # in any order
    parents, children = runs(root)
    assert sorted(p.info.run_name for p in parents) == ["another", "decay-off-1234"]
    assert sorted(history(root, run, "train/loss")[0][1] for run in children) == [3, 4, 5, 6, 7]


def test_nan_and_infinities(root: Path) -> None:
    track(root, [1.0, math.nan, math.inf, -math.inf], status="diverged")
    [run] = runs(root)[1]
    values = [value for _, value in history(root, run, "train/loss")]
    assert values[0] == 1.0
    assert all(math.isnan(value) for value in values[1:])
    assert run.data.tags["infinite"] == "train/loss is -inf at step 3"
    assert (run.info.status, run.data.tags["status"]) == ("FAILED", "diverged")


def test_odd_names_and_values(tracked_root: Root, capfd: pytest.CaptureFixture[str]) -> None:
    root = tracked_root("o é # ut")
    with Tracker(root, "../../etc/'x' \udcff\0") as tracker:
        tracker.start_study({"": "x", "a'b`c": "\udcff" * 9999}, {"../x": 1, "..": 2, "": 3})
        config = {"long": "x" * 7000, "../../y=1": "模型", "empty": {}, "none": None, "off": False}
        run = tracker.start_run(
            "/" + "n" * 400, "' OR 1", identity={"code": ""}, steps=3, config=config
        )
        for name in ("../../evil", "/abs", "loss=%", "", ".", "é λ", "n" * 300):
            run.metric(1, name, 1.0)
        run.finish("finished")
    assert capfd.readouterr().err == ""
    [parent], [run] = runs(root)
    assert parent.data.params == {"x": "1", "_": "3"}
    assert run.data.params == {"y_1": "模型", "empty": "{}", "none": "null", "off": "false"}
    assert set(run.data.metrics) == {"evil", "abs", "loss__", "_", "é λ", "n" * 250}
    assert [p.name for p in root.parent.iterdir()] == [root.name]
    [config_file] = (root / "mlflow-artifacts").rglob("*.json")
    assert json.loads(config_file.read_text()) == config


def test_config_that_is_not_json_is_the_callers_error() -> None:
    with pytest.raises(TypeError):
        NoTracker().start_run("x", "f", identity={"code": "c"}, steps=1, config={"x": object()})


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://user:secret@127.0.0.1:{probe.getsockname()[1]}"


def test_a_server_that_is_away_is_a_line_and_one_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_port())
    monkeypatch.setattr(outbox, "FLUSH_SECONDS", 0.05)
    tracker = Tracker(tmp_path / "out", "study")
    tracker.start_study({}, {})
    run = tracker.start_run("a", "f", identity={"code": "c"}, steps=10, config=CONFIG)
    for step in range(10):
        run.metric(step, "loss", 1.0)
        time.sleep(0.1)  # several flushes fail
    run.finish("finished")
    started = time.monotonic()
    assert not tracker.close(10)
    assert time.monotonic() - started < 9
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    out, err = capfd.readouterr()
    assert (out, len(err.splitlines())) == ("", 2), err
    first, last = err.splitlines()
    assert first.startswith("warning: MLflow: http://")
    assert first.endswith("training goes on")
    assert last.endswith(
        f"has not everything; python -m sweeps.sync {tmp_path}/out writes the rest"
    )
    assert "secret" not in err
    assert not (tmp_path / "out" / "mlflow.db").exists()


def test_what_the_user_set_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    Tracker(tmp_path, "study")
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "3"


def test_nothing_tracked_starts_nothing(tmp_path: Path) -> None:
    assert Tracker(tmp_path / "out", "study").close()
    assert not (tmp_path / "out").exists()
    with NoTracker() as tracker:
        run = tracker.start_run("a", "f", identity={"code": "c"}, steps=1, config=CONFIG)
        run.metric(0, "loss", 1.0)
        run.finish("finished", {"x": 1.0})


@pytest.mark.parametrize("damage", ["garbage", "directory"])
def test_a_broken_database_is_told_soon(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], damage: str
) -> None:
    root = tmp_path / "out"
    root.mkdir()
    if damage == "garbage":
        (root / "mlflow.db").write_bytes(b"garbage" * 1000)
    else:
        (root / "mlflow.db").mkdir()
    started = time.monotonic()
    track(root, [1.0])
    assert time.monotonic() - started < 60  # mlflow itself would try for an hour
    first, last = capfd.readouterr().err.splitlines()
    assert "mlflow.db cannot be written" in first
    assert "python -m sweeps.sync" in last


def test_a_moved_database_does_not_send_artifacts_elsewhere(tracked_root: Root) -> None:
    old, new = tracked_root("old"), tracked_root("new")
    track(old, [1.0])
    (new / "mlflow.db").write_bytes((old / "mlflow.db").read_bytes())
    track(new, [1.0])
    assert len(list((old / "mlflow-artifacts").rglob("config.json"))) == 1
    assert len(list((new / "mlflow-artifacts").rglob("config.json"))) == 1
