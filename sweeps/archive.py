"""The trials of a search in the study's Optuna storage: where people look, and what is recalled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.address import database
from sweeps.space import Space, contains, distribution
from sweeps.trial import Trial

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.study import StudyDirection

TRIAL = "trial"  # the attribute that holds all of it


def directions(costs: int) -> list[StudyDirection]:
    """A score that is to be large, and what it costs."""
    from optuna.study import StudyDirection

    return [StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * costs]


class Archive:
    """One Optuna study. Its trial numbers are its own: ours are in what is recalled.

    Args:
        storage: of Optuna, or the path of an sqlite file.
        name: of the study in it.
        space: what is searched.
        costs: how many objectives are to be small.
    """

    def __init__(
        self, storage: Path | BaseStorage, name: str, space: Space, costs: int = 0
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if isinstance(storage, Path):
            storage = optuna.storages.RDBStorage(database(storage))
        self._space, self._storage = space, storage
        self._asked: dict[int, optuna.Trial] = {}
        self._study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=directions(costs),
            load_if_exists=True,
        )
        self._id = storage.get_study_id_from_name(name)

    def recall(self) -> dict[int, Trial]:
        """What an earlier command ended, by our own number; what it left open is closed."""
        found: dict[int, Trial] = {}
        for old in self._study.get_trials(deepcopy=False):
            trial = None
            if TRIAL in old.user_attrs:
                trial = Trial.load(old.user_attrs[TRIAL])
                found[trial.number] = trial
            if not old.state.is_finished():  # its process is gone
                self._close(old.number, trial)
        return found

    def _close(self, number: int, trial: Trial | None) -> None:
        """End what is open; one that nobody took up yet Optuna cannot be told of."""
        from optuna.trial import TrialState

        if trial is not None:
            self._tell(number, trial)
            return
        asked = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        self._storage.set_trial_state_values(asked, TrialState.FAIL)

    def begin(self, number: int, parameters: Mapping[str, Any]) -> None:
        """A trial is on its way, in one write: there is no half of it, whenever a driver dies.

        A value outside of its range Optuna cannot be told.
        """
        import optuna

        inside = {n: v for n, v in parameters.items() if contains(self._space[n].mark, v)}
        begun = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=inside,
            distributions={name: distribution(self._space[name].mark) for name in inside},
        )
        asked = self._storage.create_new_trial(self._id, begun)
        self._asked[number] = optuna.Trial(self._study, asked)

    def end(self, trial: Trial) -> None:
        """A trial has ended; one that failed is forgotten, so that it is tried again."""
        from optuna.trial import TrialState

        asked = self._asked.pop(trial.number)
        if trial.state == "failed":
            self._study.tell(asked, state=TrialState.FAIL)
            return
        if trial.state == "pruned":
            for stage, seen in enumerate(trial.shown):
                if len(self._study.directions) == 1:
                    asked.report(seen[-1][0], stage)
        asked.set_user_attr(TRIAL, trial.dump())
        self._tell(asked, trial)

    def _tell(self, asked: optuna.Trial | int, trial: Trial) -> None:
        from optuna.trial import TrialState

        if trial.state in ("finished", "diverged"):
            self._study.tell(asked, [trial.value, *trial.costs])
        else:
            ended = TrialState.PRUNED if trial.state == "pruned" else TrialState.FAIL
            self._study.tell(asked, state=ended)
