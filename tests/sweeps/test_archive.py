"""The trials of a search in Optuna's storages: what is written when, and what a death leaves."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import Engine, event

from sweeps.archive import Archive
from sweeps.axes import RATE
from sweeps.search import rate_only
from sweeps.storage import FILES, address, open_storage
from sweeps.trial import TUNING_SEED, Trial
from tests.sweeps.small import experiment


def archive(storage: optuna.storages.BaseStorage) -> Archive:
    return Archive(storage, "arm", rate_only(experiment()))


def states(storage: optuna.storages.BaseStorage) -> list[TrialState]:
    return [t.state for t in optuna.load_study(study_name="arm", storage=storage).get_trials()]


def ended(number: int) -> Trial:
    return Trial(number, {RATE: 1e-2}, TUNING_SEED, 0.5, "finished")


def test_a_trial_begins_in_one_commit(tmp_path):
    """Of two, a death between them would leave a trial that is neither over nor running."""
    commits, written = [], set()

    def commit(connection: object) -> None:
        commits.append(connection)

    def write(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("SELECT"):
            written.add(len(commits))

    with open_storage("sqlite", tmp_path) as storage:
        kept = archive(storage)
        seers = (("commit", commit), ("before_cursor_execute", write))
        for name, seen in seers:
            event.listen(Engine, name, seen)
        kept.begin(0, {RATE: 1e-2})
        for name, seen in seers:
            event.remove(Engine, name, seen)
        [trial] = optuna.load_study(study_name="arm", storage=storage).get_trials()
    assert len(written) == 1
    assert (trial.params, trial.state) == ({RATE: 1e-2}, TrialState.RUNNING)


def test_a_trial_begins_in_one_line_of_a_journal(tmp_path):
    with open_storage("journal", tmp_path) as storage:
        kept, path = archive(storage), tmp_path / FILES["journal"]
        before = path.read_bytes().count(b"\n")
        kept.begin(0, {RATE: 1e-2})
        assert path.read_bytes().count(b"\n") == before + 1


@pytest.mark.parametrize("word", FILES)
def test_whatever_a_dead_driver_left_open_is_closed(tmp_path, word):
    """A trial that waits, one that runs, and one whose end was written down and not told."""
    with open_storage(word, tmp_path) as storage:
        kept = archive(storage)
        kept.begin(0, {RATE: 1e-2})
        study = optuna.load_study(study_name="arm", storage=storage)
        study.ask().set_user_attr("trial", ended(5).dump())
        study.enqueue_trial({RATE: 3e-2})
    for _ in range(2):
        with open_storage(word, tmp_path) as storage:
            kept = archive(storage)
            assert kept.recall() == {5: ended(5)}
            fail, done = TrialState.FAIL, TrialState.COMPLETE
            assert states(storage) == [fail, done, fail]
    with open_storage(word, tmp_path) as storage:
        kept = archive(storage)
        kept.begin(0, {RATE: 1e-2})
        kept.end(ended(0))
        assert kept.recall() == {5: ended(5), 0: ended(0)}


@pytest.mark.parametrize("lost", [1, 10])
def test_half_a_line_of_a_journal_is_cut_off(tmp_path, lost):
    path = tmp_path / FILES["journal"]
    with open_storage("journal", tmp_path) as storage:
        kept = archive(storage)
        kept.begin(0, {RATE: 1e-2})
        kept.end(ended(0))
        kept.begin(1, {RATE: 1e-2})
    path.write_bytes(path.read_bytes()[:-lost])
    for number in (1, 2):
        with open_storage("journal", tmp_path) as storage:
            kept = archive(storage)
            assert sorted(kept.recall()) == list(range(number))
            kept.begin(number, {RATE: 1e-2})
            kept.end(ended(number))


@pytest.mark.parametrize("name", ["a?b", "a%20b", "{x}", "{}", "a#b", "ü", "a b", "a:b@c"])
@pytest.mark.parametrize("word", FILES)
def test_a_folder_may_have_any_name(tmp_path, name, word):
    folder = tmp_path / name
    folder.mkdir()
    with open_storage(word, folder) as storage:
        archive(storage).begin(0, {RATE: 1e-2})
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in folder.iterdir()] == [FILES[word]]
    if word == "sqlite":  # as optuna-dashboard opens it
        assert optuna.load_study(study_name="arm", storage=address(word, folder)).get_trials()
