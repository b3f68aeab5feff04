"""A study from its files alone, whether it runs, was stopped or is over. No torch, no database.

Beside the record it reads what is there only while somebody works: `driver.json` (who),
`running.json` (on what) and each run's `progress.jsonl` (how far).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sweeps.atomic import inside
from sweeps.owner import owner_of
from sweeps.results import SCHEMA, TRIALS, merit, read_plan
from sweeps.tally import DONE, RUNNING, left
from sweeps.whereabouts import Whereabouts, whereabouts
from sweeps.words import WordError

WRONG = (ValueError, TypeError, KeyError, AttributeError, OverflowError)  # in JSON of no sense
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


@dataclass(frozen=True)
class Run:
    """A run that is worked on, or was when everything stopped."""

    label: str
    arm: str
    fingerprint: str
    steps: int
    since: float
    where: Whereabouts


@dataclass(frozen=True)
class Missing:
    """A run without a result."""

    label: str
    fingerprint: str
    status: str
    reason: str


@dataclass(frozen=True)
class Arm:
    """How far an arm is."""

    name: str
    planned: int
    finished: int
    diverged: int
    running: int
    missing: int
    trials: int  # that are done
    best: float | None  # validation score

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
    plan, damages = _plan(directory), []
    owner = owner_of(directory)  # first: a study that ends meanwhile is still told as running
    now = _json(directory / RUNNING, damages, {})
    missing = _missing(_json(directory / "missing.json", damages, []))
    running = _running(now, directory.parent / "runs", damages)
    arms = _arms(plan, directory, running, missing, damages)
    remaining = None if owner is None else _left(now, running)
    return Survey(directory, plan, owner, arms, running, missing, remaining, tuple(damages))


def scores_of_runs(study: Survey) -> pl.DataFrame:
    """A row for every run that has ended: arm, seed, status, validation, seconds, fingerprint."""
    rows = _results(study.directory / "results.parquet", study.metric, [])
    validation = pl.col("value").filter(pl.col("split") == "validation").first()
    keys = ("arm", "seed", "status", "fingerprint", "seconds")
    return rows.group_by(keys, maintain_order=True).agg(validation.alias("validation"))


def _plan(directory: Path) -> dict[str, Any]:
    path = directory / "plan.json"
    try:
        plan = read_plan(path)
        said = [plan["study"], plan["primary"]["metric"], *(arm["name"] for arm in plan["arms"])]
        whole = all(isinstance(text, str) for text in said) and isinstance(plan["seeds"], list)
        plan["trials"] = int(plan.get("trials", 0))
    except OSError as error:
        raise WordError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise WordError(str(error)) from None
    except (TypeError, KeyError, AttributeError):
        whole, plan = False, {}
    if not whole:
        raise WordError(f"{path}: not the plan of a study")
    return plan


def _json(path: Path, damages: list[str], default: Any) -> Any:
    """What the file holds, of the kind of `default`, which stands for no file or a damaged one."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return default
    except (OSError, ValueError, RecursionError) as error:
        damages.append(f"{path}: {getattr(error, 'strerror', None) or 'not JSON'}")
        return default
    if isinstance(found, type(default)):
        return found
    damages.append(f"{path}: not what a study writes")
    return default


def _missing(entries: list[Any]) -> tuple[Missing, ...]:
    names = ("label", "fingerprint", "status", "reason")
    return tuple(
        Missing(*(str(entry.get(name, "?")) for name in names))
        for entry in entries
        if isinstance(entry, dict)
    )


def _running(now: dict[str, Any], runs: Path, damages: list[str]) -> tuple[Run, ...]:
    try:
        return tuple(
            Run(
                label=str(entry["label"]),
                arm=str(entry["arm"]),
                fingerprint=str(entry["fingerprint"]),
                steps=int(entry["steps"]),
                since=float(entry["since"]),
                where=whereabouts(inside(runs, entry["fingerprint"])) or Whereabouts(),
            )
            for entry in now.get("running", ())
        )
    except WRONG:
        damages.append(f"{RUNNING}: not what a study writes")
        return ()


def _left(now: dict[str, Any], running: tuple[Run, ...]) -> float | None:
    """At the rate since the command began, all runs together."""
    try:
        trained = int(now["trained"]) + sum(run.where.taken for run in running)
        done = int(now["done_steps"]) + sum(run.where.step for run in running)
        return left(time.time() - float(now["began"]), trained, int(now["steps"]) - done)
    except WRONG:
        return None


def _arms(
    plan: dict[str, Any],
    directory: Path,
    running: tuple[Run, ...],
    missing: tuple[Missing, ...],
    damages: list[str],
) -> tuple[Arm, ...]:
    metric, names = plan["primary"]["metric"], [arm["name"] for arm in plan["arms"]]
    results = _results(directory / "results.parquet", metric, damages)
    trials = _table(directory / "trials.parquet", ("arm", "value", "state"), damages)
    runs = results.unique(("arm", "seed")).filter(pl.col("status").is_in(DONE))
    tried = trials.filter(pl.col("state").is_in(DONE))
    worth = pl.col("value") * merit(metric, 1.0)
    validated = results.filter(pl.col("split") == "validation").select("arm", worth)
    best = _by_arm(pl.concat([validated, tried.select("arm", "value")]), pl.col("value").max())
    finished, diverged = _by_arm(runs, pl.len()), _by_arm(runs, pl.col("status").eq(DONE[1]).sum())
    done = _by_arm(tried, pl.len())
    final = [entry.label for entry in missing]
    return tuple(
        Arm(
            name=name,
            planned=len(plan["seeds"]),
            finished=int(finished.get(name, 0)),
            diverged=int(diverged.get(name, 0)),
            running=sum(run.label.startswith(f"{name} seed ") for run in running),
            missing=sum(label.startswith(f"{name} seed ") for label in final),
            trials=int(done.get(name, 0)),
            best=merit(metric, best[name]) if best.get(name) is not None else None,
        )
        for name in names
    )


def _by_arm(rows: pl.DataFrame, what: pl.Expr) -> dict[str, float]:
    return dict(rows.group_by("arm").agg(what.alias("found")).iter_rows())


def _results(path: Path, metric: str, damages: list[str]) -> pl.DataFrame:
    """The rows of the task's own metric, on the whole splits."""
    columns = ("arm", "seed", "split", "slice", "metric", "value", "status")
    rows = _table(path, (*columns, "fingerprint", "seconds"), damages)
    return rows.filter((pl.col("slice") == "all") & (pl.col("metric") == metric))


def _table(path: Path, columns: tuple[str, ...], damages: list[str]) -> pl.DataFrame:
    known = {name: (SCHEMA | TRIALS)[name] for name in columns}
    if path.exists():
        try:
            return pl.read_parquet(path, columns=list(columns)).cast(pl.Schema(known))
        except UNREADABLE as error:
            damages.append(f"{path}: cannot be read ({str(error).splitlines()[0]})")
    return pl.DataFrame(schema=known)
