"""What MLflow is told of a run, beside its scores: what its result depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeps.provenance import identity
from sweeps.rundir import RunDirectory
from sweeps.track import NoTracker, TrackedRun
from sweeps.train import NoWatcher
from sweeps.watched import WatchedRun
from sweeps.worker import Order
from tests.sweeps.fakes import fake_result
from tests.sweeps.small import experiment


class Shown:
    """A display that shows nothing."""

    def start(self, *_: object) -> NoWatcher:
        return NoWatcher()


class Heard(NoTracker):
    """A tracker that keeps identities."""

    def start_run(self, *words: Any, identity: Mapping[str, object], **how: Any) -> TrackedRun:
        self.identity = identity
        return super().start_run(*words, identity=identity, **how)


def told(root: Path, *, any_code: bool) -> Mapping[str, object]:
    """The identity that is told of the small experiment."""
    heard, made = Heard(), experiment()
    order = Order(
        experiment=made, root=root, device="cpu", splits=("validation",), any_code=any_code
    )
    WatchedRun(order, "a", "a", (Shown(), heard), lambda _: None).begin()  # type: ignore[arg-type]
    return heard.identity


@pytest.mark.parametrize("any_code", [False, True])
def test_a_run_is_told_with_all_that_its_result_depends_on(tmp_path: Path, any_code: bool) -> None:
    assert told(tmp_path, any_code=any_code) == identity("cpu")


def test_a_result_that_other_hardware_made_is_told_as_such(tmp_path: Path) -> None:
    made, other = experiment(), identity("cpu") | {"device": "another"}
    run = RunDirectory(tmp_path, made)
    run.path.mkdir(parents=True)
    run.finish(replace(fake_result(made, 0.5), identity=other))
    assert told(tmp_path, any_code=True) == other
    assert told(tmp_path, any_code=False) == identity("cpu")
