"""A study: tune every arm, train every arm with every seed, keep the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from sweeps.atomic import inside, write_json
from sweeps.crew import Crew, Request
from sweeps.edited import refuse_edited
from sweeps.engine import Engine
from sweeps.experiment import Experiment
from sweeps.owner import owning
from sweeps.pages import pages
from sweeps.plan import PlannedArm, StudyPlan, decided
from sweeps.program import say
from sweeps.progress import Display
from sweeps.provenance import study_provenance
from sweeps.record import Table, result_rows
from sweeps.results import Missing, write_results
from sweeps.storage import address, open_storage
from sweeps.tally import PAUSED
from sweeps.track import Tracker
from sweeps.train import pick_device
from sweeps.trial import Tuned
from sweeps.tuning import Tuning, stamp_of
from sweeps.watched import WatchedRun
from sweeps.worker import Order, Outcome


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where and how a study runs; nothing here changes a number."""

    root: Path
    engine: Engine
    device: str = "auto"
    devices: tuple[str, ...] = ()  # one for each slot of the engine; none: `device` for all
    threads: int = 1
    timeout: float | None = None  # seconds of a run
    memory: float | None = None  # GB of a run
    storage: str = "sqlite"  # of the trials of searches
    any_code: bool = False
    stopping: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Done:
    """A study that ran: its folder, and what is missing in it."""

    directory: Path
    missing: tuple[Missing, ...]


def run_study(plan: StudyPlan, around: Surroundings) -> Done:
    """Run what is not finished yet, and write the record after every run.

    Raises:
        Interrupted: a stop was asked for; the same call goes on from there.
        WordError: another process runs this study.
    """
    directory = inside(around.root, plan.name)
    directory.mkdir(parents=True, exist_ok=True)
    with owning(directory):
        return _run_owned(plan, directory, around)


def _run_owned(plan: StudyPlan, directory: Path, around: Surroundings) -> Done:
    refuse_edited(directory / "plan.json", plan.to_dict(), decided)
    write_json(directory / "plan.json", plan.to_dict())
    trials_at = address(around.storage, directory) if plan.trials else ""
    origin = study_provenance(pick_device(around.device), around.root, trials_at)
    if not (directory / "provenance.json").exists():
        write_json(directory / "provenance.json", origin)
    steps = plan.arms[0].experiment.train.steps
    trials = plan.trials * plan.method.seeds
    runs = len(plan.arms) * (len(plan.seeds) + trials)
    total = len(plan.arms) * (len(plan.seeds) * steps + trials * (steps // 2))
    if plan.trials:
        import_module("optuna")  # here, not while the tracker's thread imports what both need
    devices = around.devices or (around.device,) * around.engine.slots
    kept = address(around.storage, directory.resolve())
    for line in pages(directory, trials=plan.trials > 0, storage=kept):
        say(line)
    with (
        Tracker(around.root, plan.name) as tracker,
        Display(total, around.stopping, runs=runs, folder=directory) as display,
        Crew(around.engine, devices, directory, around.stopping) as crew,
    ):
        tracker.start_study(
            tags={"task": plan.task, "base": plan.base, "command": plan.command},
            params={"arms": len(plan.arms), "seeds": len(plan.seeds), "trials": plan.trials},
        )
        study = _Study(plan, directory, around, display, tracker)
        tuned = study.tune(crew)
        study.train(crew, tuned)
        if display.trained:  # not where everything was only read
            write_json(directory / "provenance.json", origin)
    return Done(directory, study.missing)


class _Study:
    """The running of one plan."""

    def __init__(
        self,
        plan: StudyPlan,
        directory: Path,
        around: Surroundings,
        display: Display,
        tracker: Tracker,
    ) -> None:
        self.plan, self.directory, self.around = plan, directory, around
        self.display, self.tracker = display, tracker
        self._missing: dict[str, Missing] = {}
        self._note_missing()

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What has no result, in the order in which it was found."""
        return tuple(self._missing.values())

    def tune(self, crew: Crew) -> dict[str, Tuned]:
        """Every arm, the same budget."""
        plan, around, directory = self.plan, self.around, self.directory
        kept = open_storage(around.storage, directory) if plan.trials else nullcontext(directory)
        stamp = f"{plan.name} {stamp_of(around.device)}"  # whoever else has the storage
        with kept as storage:
            return Tuning(plan, directory, storage, stamp, self._request).run(crew)

    def train(self, crew: Crew, tuned: dict[str, Tuned]) -> None:
        """Seed by seed, so that an unfinished study is paired as far as it goes."""
        table = Table(self.directory / "results.parquet", write_results)
        rows: dict[tuple[int, str], list[dict[str, Any]]] = {}
        planned = [(seed, arm) for seed in self.plan.seeds for arm in self.plan.arms]

        def requests() -> Iterator[Request]:
            for seed, arm in planned:
                experiment = tuned[arm.name].experiment.with_seed(seed)
                label, splits = f"{arm.name} seed {seed}", ("validation", "test")
                yield self._request(experiment, label, arm.name, splits, partial(end, seed, arm))

        def end(seed: int, arm: PlannedArm, outcome: Outcome) -> None:
            chosen, root = tuned[arm.name], self.around.root
            rows[seed, arm.name] = result_rows(self.plan, arm, chosen, seed, root, outcome)
            last = len(rows) == len(planned)
            table.put(
                lambda: [row for s, a in planned for row in rows.get((s, a.name), ())], last=last
            )

        source = requests()
        try:
            crew.work_off(lambda: next(source, None))
        finally:
            table.flush()

    def _request(
        self,
        experiment: Experiment,
        label: str,
        arm: str,
        splits: tuple[str, ...],
        then: Callable[[Outcome], None],
        until: int | None = None,
    ) -> Request:
        around = self.around
        order = Order(
            experiment=experiment,
            root=around.root,
            device=around.device,
            splits=splits,
            any_code=around.any_code,
            until=until,
            threads=around.threads,
            timeout=around.timeout,
            memory=around.memory,
        )

        def end(outcome: Outcome) -> None:
            self._note(label, experiment, outcome)
            then(outcome)

        return WatchedRun(order, label, arm, (self.display, self.tracker), end)

    def _note(self, label: str, experiment: Experiment, outcome: Outcome) -> None:
        """Keep the list of what is missing."""
        fingerprint = experiment.fingerprint
        if outcome.result is None and outcome.status != PAUSED:
            found = Missing(label, fingerprint, outcome.status, outcome.reason)
            self._missing[fingerprint] = found
            self._note_missing()

    def _note_missing(self) -> None:
        values = [each.__dict__ for each in self._missing.values()]
        write_json(self.directory / "missing.json", values)
