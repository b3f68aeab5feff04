"""A study from its files alone, whether it runs, was stopped or is over. No torch, no database.

Beside the record it reads what is there only while somebody works: `driver.json` (who),
`running.json` (on what) and each run's `progress.jsonl` (how far).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from sweeps.atomic import inside
from sweeps.owner import owner_of
from sweeps.results import Missing, merit
from sweeps.study_files import Files
from sweeps.tally import DONE, RUNNING, left
from sweeps.whereabouts import Whereabouts, whereabouts

WRONG = (ValueError, TypeError, KeyError, AttributeError, OverflowError)  # in JSON of no sense
ENDED = ("arm", "seed", "status", "fingerprint", "seconds")


@dataclass(frozen=True)
class Run:
    """A run that is worked on, or was when everything stopped."""

    label: str
    arm: str
    steps: int
    since: float
    where: Whereabouts


@dataclass(frozen=True)
class Ended:
    """A run of the results table, with its score on the validation split."""

    arm: str
    seed: int
    status: str
    fingerprint: str
    seconds: float | None
    validation: float | None = None


@dataclass(frozen=True)
class Arm:
    """How far an arm is."""

    name: str
    planned: int
    running: int
    missing: int
    finished: int = 0
    diverged: int = 0  # of those
    trials: int = 0  # that are done
    best: float | None = None  # validation score

    @property
    def waiting(self) -> int:
        """Runs that nobody has begun, or that have to be gone on with."""
        return max(0, self.planned - self.finished - self.running - self.missing)


@dataclass(frozen=True)
class Survey:
    """All of it."""

    directory: Path
    plan: dict[str, Any]
    owner: dict[str, str | int] | None
    arms: tuple[Arm, ...]
    running: tuple[Run, ...]
    ended: tuple[Ended, ...]
    missing: tuple[Missing, ...]
    seconds_left: float | None
    damages: tuple[str, ...]

    @property
    def metric(self) -> str:
        """What the task leads with."""
        return self.plan["primary"]["metric"]

    @property
    def best(self) -> float | None:
        """The best validation score of all arms."""
        found = [arm.best for arm in self.arms if arm.best is not None]
        return max(found, key=lambda value: merit(self.metric, value), default=None)

    @property
    def over(self) -> bool:
        """Whether every planned run has been tried."""
        return not any(arm.waiting or arm.running for arm in self.arms)

    @property
    def state(self) -> str:
        """One of: running | finished | incomplete (runs are missing) | stopped."""
        if self.owner is not None:
            return "running"
        if not self.over:
            return "stopped"
        return "incomplete" if self.missing else "finished"


def survey(directory: Path) -> Survey:
    """What the files say.

    Raises: WordError where there is no plan that can be read. Of other damage it tells.
    """
    files = Files(directory)
    plan = files.plan()
    metric = plan["primary"]["metric"]
    owner = owner_of(directory)  # first: a study that ends meanwhile is still told as running
    now = files.json(RUNNING, {})
    running = tuple(_running(now, files))
    missing = _missing(files.json("missing.json", []))
    ended = tuple(_ended(files, metric))
    tried = tuple(_tried(files))
    going = () if owner is None else running
    arms = (_arm(each["name"], plan, going, missing) for each in plan["arms"])
    arms = tuple(_with_results(arm, ended, tried, metric) for arm in arms)
    remaining = None if owner is None else _left(now, running)
    damages = tuple(files.damages)
    return Survey(directory, plan, owner, arms, running, ended, missing, remaining, damages)


def _missing(entries: list[Any]) -> tuple[Missing, ...]:
    names = ("label", "fingerprint", "status", "reason")
    return tuple(
        Missing(*(str(entry.get(name, "?")) for name in names))
        for entry in entries
        if isinstance(entry, dict)
    )


def _running(now: dict[str, Any], files: Files) -> Iterator[Run]:
    runs = files.directory.parent / "runs"
    try:
        for entry in now.get("running", ()):
            yield Run(
                label=str(entry["label"]),
                arm=str(entry["arm"]),
                steps=int(entry["steps"]),
                since=float(entry["since"]),
                where=whereabouts(inside(runs, entry["fingerprint"])),
            )
    except WRONG:
        files.tell(RUNNING, "not what a study writes")


def _left(now: dict[str, Any], running: tuple[Run, ...]) -> float | None:
    """At the rate since the command began, all runs together."""
    try:
        trained = int(now["trained"]) + sum(run.where.taken for run in running)
        done = int(now["done_steps"]) + sum(run.where.step for run in running)
        return left(time.time() - float(now["began"]), trained, int(now["steps"]) - done)
    except WRONG:
        return None


def _ended(files: Files, metric: str) -> Iterator[Ended]:
    """A run for each arm and seed: of the rows of the task's own metric, on whole splits."""
    whole = (pl.col("slice") == "all") & (pl.col("metric") == metric)
    found: dict[tuple[str, int], Ended] = {}
    for split, value, *run in files.rows("results.parquet", ("split", "value", *ENDED), whole):
        known = found.setdefault((run[0], run[1]), Ended(*run))
        if split == "validation":
            found[known.arm, known.seed] = replace(known, validation=value)
    yield from found.values()


def _tried(files: Files) -> Iterator[tuple[str, float]]:
    """Arm and merit of every trial that is done."""
    done = pl.col("state").is_in(DONE)
    yield from files.rows("trials.parquet", ("arm", "value"), done)


def _arm(
    name: str, plan: dict[str, Any], running: Iterable[Run], missing: Iterable[Missing]
) -> Arm:
    """Of its seeds, as tuning has labels of another kind."""
    mine = f"{name} seed "
    return Arm(
        name=name,
        planned=len(plan["seeds"]),
        running=sum(run.label.startswith(mine) for run in running),
        missing=sum(each.label.startswith(mine) for each in missing),
    )


def _with_results(
    arm: Arm, ended: Iterable[Ended], tried: Iterable[tuple[str, float]], metric: str
) -> Arm:
    runs = [run for run in ended if run.arm == arm.name and run.status in DONE]
    worth = [merit(metric, run.validation) for run in runs if run.validation is not None]
    trials = [value for name, value in tried if name == arm.name]
    worth += [value for value in trials if value is not None]
    return replace(
        arm,
        finished=len(runs),
        diverged=sum(run.status == DONE[1] for run in runs),
        trials=len(trials),
        best=merit(metric, max(worth)) if worth else None,
    )
