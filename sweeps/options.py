"""The plan words of the programs that train, read and checked. No torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from sweeps.storage import checked
from sweeps.words import WordError, nearest

DEFAULT_BASE = "all-on"
DEFAULT_TASK = "selective-copying"
MOST = 10_000  # seeds and trials: tuning seeds begin there
YES_NO = {"yes": True, "no": False}


def whole(plan: Mapping[str, str], name: str, least: int, default: int | None) -> int | None:
    """A whole number from `least` to MOST."""
    text = plan.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not least <= int(text[:9]) <= MOST or len(text) > 9:
        raise WordError(
            f"{name}={text}: expected a whole number of at least {least}, at most {MOST}"
        )
    return int(text)


def one_of(plan: Mapping[str, str], name: str, known: tuple[str, ...], default: str) -> str:
    """One of a few names."""
    text = plan.get(name, default)
    if text not in known:
        raise WordError(f"{name}={text}: {nearest(text, known)}")
    return text


def several(plan: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(plan[name].split(",")) if name in plan else ()


def yes_no(plan: Mapping[str, str], name: str) -> bool | None:
    """`yes` or `no`; None if it was not said."""
    text = plan.get(name)
    if text is None:
        return None
    if text not in YES_NO:
        raise WordError(f"{name}={text}: write yes or no")
    return YES_NO[text]


def amount(plan: Mapping[str, str], name: str) -> float | None:
    """A positive number; None if it was not said."""
    text = plan.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise WordError(f"{name}={text}: expected a positive number")
    return value


SHARED = ("base", "task", "seeds", "steps", "trials", "jobs", "engine", "device", "out", "gain")
SHARED += ("timeout", "memory", "storage", "reuse", "replay", "dry-run")
ABLATION = (*SHARED, "suite", "match", "grid", "margin")
OF_SUITES = ("size",)  # plan words beside suite=, else fields as any other
SIZES = ("cpu", "published")
SEARCH = ("search", "fix", "sampler", "pruner", "objective", "tuning-seeds")
SWEEP = (*SHARED, *SEARCH)
REPLAY = ("replay", "out", "device")  # what goes with replay=
ENGINES = ("serial", "processes", "ray", "slurm")
SAMPLERS = ("tpe", "gp", "cmaes", "qmc", "random", "grid")
PRUNERS = ("none", "median", "hyperband", "wilcoxon")
# these change no number
ELSEWHERE = ("out", "jobs", "engine", "device", "timeout", "memory", "storage", "reuse")
ELSEWHERE += ("dry-run",)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a study is planned and run."""

    base: str
    task: str
    seeds: int | None
    trials: int
    device: str
    engine: str
    jobs: int
    timeout: float | None  # seconds a run may take
    memory: float | None  # GB
    storage: str  # of the trials of searches
    out: str
    suite: str | None
    match: str
    grid: bool
    gain: str
    reuse: bool | None
    replay: str | None
    dry_run: bool
    search: tuple[str, ...]  # fields
    fix: tuple[str, ...]
    sampler: str
    pruner: str
    objective: tuple[str, ...]  # none: what the task leads with
    tuning_seeds: int | None
    size: str = "cpu"  # of a suite
    margin: float | None = None  # a difference within it is none


def read_options(plan: Mapping[str, str], *, trials: int, gain: str) -> Options:
    """The options in a command's plan words; `trials` and `gain` are this program's defaults.

    Raises: WordError, one line, for a value that a word does not take.
    """
    jobs = whole(plan, "jobs", 1, 1) or 1
    budget = whole(plan, "trials", 0, trials) or 0
    for word in SEARCH if not budget else ():
        if word in plan:
            raise WordError(f"{word}={plan[word]}: nothing is searched without trials=N")
    timeout, memory = amount(plan, "timeout"), amount(plan, "memory")
    apart = jobs > 1 or timeout is not None or memory is not None
    engine = one_of(plan, "engine", ENGINES, "processes" if apart else "serial")
    if engine == "serial" and apart:
        why = next(word for word in ("jobs", "timeout", "memory") if word in plan)
        raise WordError(
            f"{why}={plan[why]}: engine=serial runs everything in its own process, one after the "
            "other; use engine=processes"
        )
    cores = os.cpu_count() or 1
    if engine == "processes" and jobs > cores:
        raise WordError(f"jobs={jobs}: engine=processes runs at most one a core, here {cores}")
    return Options(
        base=plan.get("base", DEFAULT_BASE),
        task=plan.get("task", DEFAULT_TASK),
        seeds=whole(plan, "seeds", 1, None),
        trials=budget,
        device=plan.get("device", "auto"),
        engine=engine,
        jobs=jobs,
        timeout=timeout,
        memory=memory,
        storage=checked(plan.get("storage", "sqlite")),
        out=plan.get("out", "out"),
        suite=plan.get("suite"),
        match=one_of(plan, "match", ("none", "parameters"), "none"),
        grid=bool(yes_no(plan, "grid")),
        gain=one_of(plan, "gain", ("init", "keep"), gain),
        reuse=yes_no(plan, "reuse"),
        replay=plan.get("replay"),
        dry_run=bool(yes_no(plan, "dry-run")),
        search=several(plan, "search"),
        fix=several(plan, "fix"),
        sampler=one_of(plan, "sampler", SAMPLERS, "tpe"),
        pruner=one_of(plan, "pruner", PRUNERS, "none"),
        objective=several(plan, "objective"),
        tuning_seeds=whole(plan, "tuning-seeds", 1, None),
        size=one_of(plan, "size", SIZES, "cpu"),
        margin=amount(plan, "margin"),
    )
