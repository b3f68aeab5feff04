"""The store: everything may be said again and again, in whatever pieces; all of it arrives once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeps.mlflow_store import MlflowStore
from sweeps.tracked import Point, Record, now
from tests.sweeps.mlflow_runs import client_of, history, runs

CONFIG = {"model": {"depth": 2}, "train": {"lr": 1e-3}}


def test_times_are_those_of_training_not_of_writing(root: Path) -> None:
    record = Record("k", "run", started=1_000)
    record.finish("finished", [], 2_500)
    MlflowStore(root, f"sqlite:///{root / 'mlflow.db'}").write(record)
    [run] = runs(root)[0]
    assert (run.info.start_time, run.info.end_time) == (1_000, 2_500)


def ended(name: str, scores: dict[str, float]) -> Record:
    """A run of study `study` that has been trained, as it is told to a store."""
    record = Record(name, name, Record("study", "study"))
    record.describe({"arm": name}, {"lr": "0.001"}, CONFIG)
    record.add(Point("train/loss", 5, 2.0))
    record.finish("finished", [Point(each, 10, value) for each, value in scores.items()], now())
    return record


def write(root: Path, names: str, scores: dict[str, float]) -> int:
    """Tell a new store of such runs. Returns: the points that it did not have."""
    store, study = MlflowStore(root, f"sqlite:///{root / 'mlflow.db'}"), Record("study", "study")
    records = [ended(name, scores) for name in names]
    for record in records:
        record.parent = study
    return sum(store.write(record) for record in records)


def failed(points: int, status: str = "timeout") -> Record:
    """A run that came as far as that, told in one go, as a spool tells it."""
    record = Record("run", "run", Record("study", "study"))
    record.describe({"arm": "baseline"}, {})
    for step in range(points):
        record.add(Point("train/loss", step, float(step)))
    record.finish(status, [], now())
    return record


def test_what_is_known_of_a_whole_study_is_asked_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    asked: list[str] = []
    for call in ("search_runs", "get_run", "get_metric_history", "log_batch", "log_dict"):
        plain = getattr(MlflowClient, call)

        def counted(self: Any, *args: Any, _plain: Any = plain, _call: str = call, **how: Any):
            asked.append(_call)
            return _plain(self, *args, **how)

        monkeypatch.setattr(MlflowClient, call, counted)
    assert write(root, "abc", {"test/accuracy": 0.75}) == 6
    asked.clear()
    assert write(root, "abc", {"test/accuracy": 0.75}) == 0
    assert asked == ["search_runs", "search_runs"]  # for the study, and for its runs
    assert write(root, "abcd", {"test/accuracy": 0.75}) == 2
    assert [run.info.run_name for run in runs(root)[1]] == list("abcd")


def test_a_finished_run_that_has_more_to_say_says_it(root: Path) -> None:
    write(root, "ab", {"validation/accuracy": 0.5})
    assert write(root, "ab", {"validation/accuracy": 0.5, "test/accuracy": 0.75}) == 2
    for run in runs(root)[1]:
        assert history(root, run, "validation/accuracy") == [(10, 0.5)]
        assert history(root, run, "test/accuracy") == [(10, 0.75)]
        assert history(root, run, "train/loss") == [(5, 2.0)]


def test_a_run_that_failed_again_further_on_has_the_points_of_both(root: Path) -> None:
    uri = f"sqlite:///{root / 'mlflow.db'}"
    assert MlflowStore(root, uri).write(failed(5)) == 5
    assert MlflowStore(root, uri).write(failed(10)) == 5
    assert MlflowStore(root, uri).write(failed(10)) == 0
    [run] = runs(root)[1]
    assert history(root, run, "train/loss") == [(step, float(step)) for step in range(10)]


def test_what_a_process_wrote_itself_is_not_compared_with_what_was_there_before(root: Path) -> None:
    uri = f"sqlite:///{root / 'mlflow.db'}"
    MlflowStore(root, uri).write(failed(5))
    store, study = MlflowStore(root, uri), Record("study", "study")
    for points, status in ((5, "timeout"), (8, "killed"), (5, "timeout")):
        record = failed(points, status)
        record.parent = study
        store.write(record)
    [run] = runs(root)[1]
    assert (run.info.status, run.data.tags["status"]) == ("FAILED", "timeout")
    assert len(history(root, run, "train/loss")) == 8


def test_an_artifact_store_that_is_away_gets_the_configuration_later(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from another process: until then the run has its points, and no end."""
    from mlflow import MlflowClient

    def away(*_: Any, **__: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "log_dict", away)
        with pytest.raises(ConnectionError):
            write(root, "a", {"test/accuracy": 0.75})
    [run] = runs(root)[1]
    assert run.info.status == "RUNNING"
    assert history(root, run, "train/loss") == [(5, 2.0)]
    assert history(root, run, "test/accuracy") == [(10, 0.75)]
    assert write(root, "a", {"test/accuracy": 0.75}) == 0
    [run] = runs(root)[1]
    assert run.info.status == "FINISHED"
    assert [each.path for each in client_of(root).list_artifacts(run.info.run_id)] == [
        "config.json"
    ]


def test_a_store_that_fails_halfway_gets_every_point_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a batch is lost after the batch was stored."""
    from mlflow import MlflowClient

    store = MlflowStore(root, f"sqlite:///{root / 'mlflow.db'}")
    record = Record("k", "run")
    log_batch, lost = MlflowClient.log_batch, []

    def lose(self: Any, run_id: str, metrics: Any = (), **rest: Any) -> None:
        log_batch(self, run_id, metrics=metrics, **rest)
        if metrics and not lost:
            lost.append(metrics)
            raise ConnectionError

    monkeypatch.setattr(MlflowClient, "log_batch", lose)
    for step in range(3):
        record.add(Point("loss", step, float(step)))
    with pytest.raises(ConnectionError):
        store.write(record)
    record.add(Point("loss", 3, 3.0))
    store.write(record)
    [run] = runs(root)[0]
    assert lost
    assert history(root, run, "loss") == [(i, float(i)) for i in range(4)]
