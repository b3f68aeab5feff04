"""What a study says to MLflow: a run per trained model, a parent run per study.

A run is found by its study, its fingerprint and what else its result depends on, so a resumed or
repeated command may say everything again. It is written by a thread of `sweeps.outbox` into
`sweeps.mlflow_store`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from sweeps.address import default_uri, prepare_environment, user_place
from sweeps.mlflow_store import MlflowStore
from sweeps.outbox import Outbox
from sweeps.spool import Spool
from sweeps.tracked import Point, Record, Thinning, flatten, hash_of, now


class Tracker:
    """Tracks one study. Nothing waits for MLflow but `close`, and that no longer than told.

    Args:  root   the directory of all output: mlflow.db and mlflow-artifacts/ lie there
           study  the name of the parent run
           uri    where MLflow is; by default MLFLOW_TRACKING_URI, else the database in root
    """

    def __init__(self, root: str | os.PathLike[str], study: str, *, uri: str | None = None) -> None:
        prepare_environment()
        top = Path(root).resolve()
        place = user_place(uri)
        uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or default_uri(top)
        self._study = Record(hash_of(study), study)
        store = MlflowStore(top, uri, place.experiment)
        self._outbox = Outbox(store, Spool(root, self._study, place))

    def start_study(self, tags: Mapping[str, object], params: Mapping[str, object]) -> None:
        own = {"study": self._study.name, "seqzoo.role": "study"}
        self._put(self._study.describe, {**tags, **own}, flatten(params))

    def start_run(
        self,
        name: str,
        fingerprint: str,
        *,
        identity: Mapping[str, object],
        steps: int,
        config: Mapping[str, Any],
        tags: Mapping[str, object] | None = None,
    ) -> TrackedRun:
        """The run of this study with that fingerprint and identity: a new one, or that of before.

        `identity` is what must be equal for two results to be one; it becomes tags.
        `config` (JSON values) becomes the artifact config.json and, flattened, the params.
        `steps` is the planned number of training steps: it says how curves are thinned.
        """
        study = self._study
        key = hash_of(study.name, fingerprint, json.dumps(identity, sort_keys=True))
        record, config = Record(key, name, study), json.loads(json.dumps(config))
        own = {"study": study.name, "fingerprint": fingerprint}
        about = {**(tags or {}), **identity, **own}, flatten(config), config
        self._put(record.describe, *about, of=record)
        return TrackedRun(record, self._put, steps)

    def close(self, timeout: float = 60.0, *, status: str = "finished") -> bool:
        """Write what is left, at most `timeout` seconds long; whether everything is written."""
        if not self._outbox.started:
            return True
        self._put(self._study.finish, status, [], now())
        return self._outbox.close(timeout)

    def _put(self, change: Callable[..., None], *args: object, of: Record | None = None) -> None:
        self._outbox.put(of or self._study, change, *args)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        self.close(status="finished" if kind is None else "killed" if interrupted else "failed")


class TrackedRun:
    """One run, made by `Tracker.start_run`."""

    def __init__(self, record: Record, put: Callable[..., None], steps: int) -> None:
        self._record, self._put, self._steps = record, put, steps
        self._thinning = Thinning(steps)

    def metric(self, step: int, name: str, value: float) -> None:
        """One point of a curve. `value` is a Python number: reading a tensor may have to wait."""
        if self._thinning.keeps(name, step):
            self._put(self._record.add, Point(name, step, float(value)), of=self._record)

    def finish(self, status: str, metrics: Mapping[str, float] | None = None) -> None:
        """End, with a status of the results table and the final metrics.

        They are put one step after the last: MLflow's table of runs shows what comes last, and the
        weights that are reported need not be those of the last step.
        """
        after = self._steps + 1
        points = [Point(name, after, float(value)) for name, value in (metrics or {}).items()]
        self._put(self._record.finish, status, points, now(), of=self._record)


class NoTracker(Tracker):
    """Tracks nothing."""

    def __init__(self) -> None:
        self._study = Record("", "")

    def close(self, timeout: float = 0.0, *, status: str = "finished") -> bool:
        return True

    def _put(self, change: Callable[..., None], *args: object, of: Record | None = None) -> None:
        pass
