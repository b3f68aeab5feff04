"""The trials of a search in the study's Optuna storage: where people look, and what is recalled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        self._space = space
        self._asked: dict[int, optuna.Trial] = {}
        self._study = optuna.create_study(
            storage=f"sqlite:///{storage}" if isinstance(storage, Path) else storage,
            study_name=name,
            directions=directions(costs),
            load_if_exists=True,
        )

    def recall(self) -> dict[int, Trial]:
        """What an earlier command ended, by our own number; what it left running is closed."""
        from optuna.trial import TrialState

        found: dict[int, Trial] = {}
        for old in self._study.get_trials(deepcopy=False):
            if TRIAL in old.user_attrs:
                trial = Trial.load(old.user_attrs[TRIAL])
                found[trial.number] = trial
            elif not old.state.is_finished():  # its process is gone
                self._study.tell(old.number, state=TrialState.FAIL)
        return found

    def begin(self, number: int, parameters: Mapping[str, Any]) -> None:
        """A trial is on its way. A value outside of its range Optuna cannot be told."""
        inside = {n: v for n, v in parameters.items() if contains(self._space[n].mark, v)}
        self._study.enqueue_trial(inside)
        fields = {name: distribution(self._space[name].mark) for name in inside}
        self._asked[number] = self._study.ask(fields)

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
        if trial.state in ("finished", "diverged"):
            self._study.tell(asked, [trial.value, *trial.costs])
        else:
            ended = TrialState.PRUNED if trial.state == "pruned" else TrialState.FAIL
            self._study.tell(asked, state=ended)
