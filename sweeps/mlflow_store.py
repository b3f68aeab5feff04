"""MLflow's store, and the only file that imports mlflow: records in, runs and points out.

Writing is idempotent: a run is found by its key, and a point by its name and step, so everything
may be said again and nothing is there twice. mlflow is imported inside, as that takes seconds.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sweeps.atomic import file_lock
from sweeps.outbox import FLUSH_CHANGES
from sweeps.tracked import NAME_LENGTH, Record, clean, hash_of, text_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

KEY, PARENT = "seqzoo.key", "mlflow.parentRunId"
OVER = ("FINISHED", "FAILED")
PAGE = 1000  # runs of one answer


class Ended(NamedTuple):
    """What is known of a run that is over."""

    status: str
    tags: dict[str, str]
    last: dict[str, int]  # step of each metric

    def has(self, record: Record) -> bool:
        """Whether the record says nothing new: a later attempt can differ in its steps alone."""
        return (
            self.status == record.status
            and self.tags.items() >= record.tags.items()
            and all(p.step <= self.last.get(clean(p.name), -math.inf) for p in record.points)
        )


class MlflowStore:
    """The tracking store, through MlflowClient only: mlflow's global state stays untouched."""

    def __init__(self, root: Path, uri: str, experiment: str | None = None) -> None:
        self.uri, self._name = uri, experiment or "seqzoo"
        self._root = root
        path = uri.removeprefix("sqlite:///")
        self._database = None if path in (uri, ":memory:") else Path(path)
        self._experiment = ""
        self._opened: MlflowClient | None = None
        self._ended: dict[Record, dict[str, Ended]] = {}  # by study: its runs that are over, by key

    def write(self, record: Record) -> int:
        """Write what is new in a record. What a failure left is written by the next call.

        Returns: how many points the store did not have.
        """
        client = self._client()
        if self._has(client, record):
            record.forget()
            return 0
        for known in self._ended.values():
            known.pop(record.key, None)  # it goes on: that is of the past
        run_id = self._run_id(client, record)
        self._write_words(client, run_id, record)
        num_points = self._write_points(client, run_id, record)
        if record.config is not None:  # after the points: an artifact store can be away by itself
            client.log_dict(run_id, dict(record.config), "config.json")
            record.config = None
        self._write_status(client, run_id, record)
        return num_points

    def _has(self, client: MlflowClient, record: Record) -> bool:
        """Whether all of an ended run that is told again is there: one question for a study."""
        study = record.parent
        if study is None or record.run_id is not None or record.status not in OVER:
            return False
        if study not in self._ended:
            self._ended[study] = self._ended_of(client, self._run_id(client, study))
        known = self._ended[study].get(record.key)
        return known is not None and known.has(record)

    def _ended_of(self, client: MlflowClient, study: str) -> dict[str, Ended]:
        """A status is written after what it ends: what has ended has all that was said then."""
        which = f"tags.`{PARENT}` = '{study}' and attributes.status != 'RUNNING'"
        found: dict[str, Ended] = {}
        page: str | None = None
        while True:
            runs = client.search_runs([self._experiment], which, max_results=PAGE, page_token=page)
            found |= {run.data.tags[KEY]: _ended(run) for run in runs if KEY in run.data.tags}
            page = runs.token
            if not page:
                return found

    def _client(self) -> MlflowClient:
        if self._opened is None:
            from mlflow import MlflowClient

            for name in ("mlflow", "alembic", "urllib3.connectionpool"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
            with self._lock():
                if self._database is not None:
                    prepare_database(self._database, self._artifacts)
                client = MlflowClient(self.uri, self.uri)
                self._experiment = self._experiment_id(client)
            self._opened = client
        return self._opened

    def _lock(self) -> contextlib.AbstractContextManager[None]:
        """Processes that open a new database, or make the same run, do so one by one."""
        beside = self._database or self._root / "mlflow"
        beside.parent.mkdir(parents=True, exist_ok=True)
        return file_lock(beside.with_name(f".{beside.name}.lock"))

    @property
    def _artifacts(self) -> str:
        return (self._root / "mlflow-artifacts").as_uri()

    def _experiment_id(self, client: MlflowClient) -> str:
        name = self._name
        served = self.uri.startswith(("http:", "https:", "databricks"))
        place = None if served else self._artifacts
        found = client.get_experiment_by_name(name)
        if found is not None and place is not None and found.artifact_location != place:
            # the database was moved or is shared: artifacts of this root must not land elsewhere
            name = f"{name}-{hash_of(place)[:8]}"
            found = client.get_experiment_by_name(name)
        return found.experiment_id if found else client.create_experiment(name, place)

    def _run_id(self, client: MlflowClient, record: Record) -> str:
        if record.run_id is not None:
            return record.run_id
        tags = {KEY: record.key, **record.tags}
        if record.parent is not None:
            tags[PARENT] = self._run_id(client, record.parent)
        with self._lock():
            same = f"tags.`{KEY}` = '{record.key}'"
            found = client.search_runs([self._experiment], same, max_results=1)
            if not found:
                name = text_of(record.name, NAME_LENGTH)
                found = [client.create_run(self._experiment, record.started, tags, name)]
                record.fresh = True
        run = found[0].info
        record.run_id, record.stored_status, record.stored_end = (
            run.run_id, run.status, run.end_time or 0
        )  # fmt: skip
        return run.run_id

    def _write_words(self, client: MlflowClient, run_id: str, record: Record) -> None:
        from mlflow.entities import Param, RunTag

        if record.params:  # params are immutable: a second value is an error, the same one a waste
            known = client.get_run(run_id).data.params
            new = [Param(k, v) for k, v in record.params.items() if k not in known]
            client.log_batch(run_id, params=new)
            record.params = {}
        client.log_batch(run_id, tags=[RunTag(k, v) for k, v in record.tags.items()])
        record.tags = {}

    def _write_points(self, client: MlflowClient, run_id: str, record: Record) -> int:
        try:
            new = self._new_points(client, run_id, record)
            for start in range(0, len(new), FLUSH_CHANGES):
                client.log_batch(run_id, metrics=new[start : start + FLUSH_CHANGES])
        except Exception:
            record.stored_steps, record.fresh = {}, False  # unknown: part of it may have arrived
            raise
        record.points = []
        return len(new)

    def _new_points(self, client: MlflowClient, run_id: str, record: Record) -> list[Metric]:
        """The points that the store does not have: it would keep a second one for the step."""
        from mlflow.entities import Metric, RunTag

        new: list[Metric] = []
        for point in record.points:
            name = clean(point.name)
            if name not in record.stored_steps:
                old = [] if record.fresh else client.get_metric_history(run_id, name)
                record.stored_steps[name] = {metric.step for metric in old}
            if point.step in record.stored_steps[name]:
                continue
            record.stored_steps[name].add(point.step)
            if math.isinf(point.value):  # which a store turns into 1.8e308
                text = f"{name} is {point.value} at step {point.step}"
                client.log_batch(run_id, tags=[RunTag("infinite", text)])
            value = point.value if math.isfinite(point.value) else math.nan
            new.append(Metric(name, value, point.time, point.step))
        return new

    def _write_status(self, client: MlflowClient, run_id: str, record: Record) -> None:
        status = record.status
        if status is None or record.stored_status in (status, "FINISHED"):
            return  # a finished run that is only said again keeps its end
        if (record.started if status == "RUNNING" else record.ended) < record.stored_end:
            return  # from a spool: another process came later, and further
        if status == "RUNNING":
            client.update_run(run_id, status=status)
        else:
            client.set_terminated(run_id, status=status, end_time=record.ended)
            record.stored_end = record.ended
        record.stored_status = status


def _ended(run: Run) -> Ended:
    last = {metric.key: metric.step for metric in run.data.to_proto().metrics}
    return Ended(run.info.status, run.data.tags, last)


def prepare_database(path: Path, artifacts: str) -> None:
    """See that there is a database, and fail at once where mlflow would try for an hour.

    It is migrated under another name, then renamed: a kill on the way leaves no half-made one.
    """
    if set("%?") & set(str(path)):
        raise ValueError("use a path without '%' and '?', which have a meaning in its address")
    if path.exists():
        return _probe(path)
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    unfinished = path.with_name(f".{path.name}.new")
    for name in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):
        name.unlink(missing_ok=True)  # of a process that was killed
    _probe(unfinished)
    SqlAlchemyStore(f"sqlite:///{unfinished}", artifacts).engine.dispose()
    unfinished.replace(path)
    return None


def _probe(path: Path) -> None:
    """Raise what is wrong with a database; one that is not there is made, empty."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
