"""The searches of a study: every arm the same budget, the record after every trial."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sweeps.atomic import write_json
from sweeps.crew import Crew, Request
from sweeps.experiment import Experiment
from sweeps.plan import StudyPlan
from sweeps.provenance import identity
from sweeps.record import Table
from sweeps.results import write_trials
from sweeps.search import Search
from sweeps.train import pick_device
from sweeps.trial import Asked, Tuned, trial_rows
from sweeps.verdict import verdict
from sweeps.worker import Outcome

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


class Maker(Protocol):
    """Makes a request of the study: a run that is shown, tracked, and whose end is told."""

    def __call__(
        self,
        experiment: Experiment,
        label: str,
        arm: str,
        splits: tuple[str, ...],
        then: Callable[[Outcome], None],
        until: int | None = None,
    ) -> Request: ...


class Tuning:
    """The searches of all arms."""

    def __init__(
        self,
        plan: StudyPlan,
        directory: Path,
        storage: Path | BaseStorage,
        stamp: str,
        make: Maker,
    ) -> None:
        self._plan, self._directory, self._make = plan, directory, make
        self._table = Table(directory / "trials.parquet", write_trials)
        self._searches = [
            Search(
                arm.experiment,
                arm.name,
                plan.trials,
                storage,
                method=plan.method,
                stamp=stamp,
            )
            for arm in plan.arms
        ]

    def run(self, crew: Crew) -> dict[str, Tuned]:
        """Until every trial is over; what was chosen, by arm."""
        waiting: deque[Request] = deque()

        def take() -> Request | None:
            if not waiting:
                for search in self._searches:
                    waiting.extend(self._request(search, asked) for asked in search.ask())
            return waiting.popleft() if waiting else None

        try:
            crew.work_off(take)
        finally:
            self._table.flush()
        if self._plan.trials:
            self._record()  # also where everything was over already
            self._judge()
        return {search.arm: search.chosen for search in self._searches}

    def _request(self, search: Search, asked: Asked) -> Request:
        said = [f"{n.removeprefix('train.')}={v}" for n, v in asked.parameters.items()]
        seed = [f"seed {asked.experiment.seed}"] * (search.method.seeds > 1)
        label = " ".join([f"tuning {search.arm}", *said, *seed])

        def end(outcome: Outcome) -> None:
            search.tell(asked, outcome.result, outcome.curve, outcome.reason)
            self._record()

        made = asked.experiment
        return self._make(made, label, search.arm, ("validation",), end, asked.until)

    def _record(self) -> None:
        """trials.parquet"""
        self._table.put(self._rows, last=all(search.finished for search in self._searches))

    def _rows(self) -> list[dict[str, Any]]:
        found = [(search.arm, trial) for search in self._searches for trial in search.trials]
        return [
            row for arm, trial in found for row in trial_rows(arm, trial, self._plan.method.costs)
        ]

    def _judge(self) -> None:
        """search.json: what mattered, and what no other trial beats."""
        found = {s.arm: verdict(s.space, s.trials) for s in self._searches}
        write_json(self._directory / "search.json", found)


def stamp_of(device: str) -> str:
    """What trials depend on besides their words: results of other code are no trials of this."""
    text = json.dumps(identity(pick_device(device)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
