"""A run that did not come to its result goes on from its checkpoint; who waits for one may stop."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from sweeps.atomic import file_lock
from sweeps.rundir import RunDirectory
from sweeps.state import read_state
from sweeps.train import Interrupted, run_experiment
from tests.sweeps.small import StopAt, curve, experiment


@contextmanager
def full_at_the_end() -> Iterator[None]:
    """A disk without room for the result."""

    def finish(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "finish", finish)
        yield


def test_a_disk_that_is_full_at_the_very_end_costs_no_step(tmp_path):
    """The weights of the end are there, the result is not: go on from before them."""
    made = experiment(checkpoint_every=0)
    whole = run_experiment(made, root=tmp_path / "whole")
    with full_at_the_end(), pytest.raises(OSError, match="No space left"):
        run_experiment(made, root=tmp_path / "parts")
    watcher = StopAt()
    found = run_experiment(made, root=tmp_path / "parts", watcher=watcher)
    assert watcher.now == 0, "no step was taken again"
    assert found.resumed_from == (12,)
    assert (found.weights, found.scores) == (whole.weights, whole.scores)
    assert curve(tmp_path / "parts", made).equals(curve(tmp_path / "whole", made))


def test_where_only_the_weights_of_the_end_are_kept_it_begins_anew(tmp_path):
    with full_at_the_end(), pytest.raises(OSError, match="No space left"):
        run_experiment(experiment(), root=tmp_path)
    assert read_state(RunDirectory(tmp_path, experiment()).checkpoints) == {}
    assert run_experiment(experiment(), root=tmp_path).resumed_from == ()


def test_a_stop_is_heard_while_another_process_works_on_the_run(tmp_path):
    made = experiment()
    run = RunDirectory(tmp_path, made).path
    run.mkdir(parents=True)
    with file_lock(run / "lock"), pytest.raises(Interrupted, match="another process works on it"):
        run_experiment(made, root=tmp_path, watcher=StopAt(0))
    assert run_experiment(made, root=tmp_path).status == "finished"


def test_who_waits_goes_on_when_the_other_is_done(tmp_path):
    made = experiment()
    run = RunDirectory(tmp_path, made).path
    run.mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:
        with file_lock(run / "lock"):
            waiting = pool.submit(run_experiment, made, root=tmp_path)
            time.sleep(0.3)
            assert not waiting.done()
        assert waiting.result(timeout=60).status == "finished"
