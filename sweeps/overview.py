"""A survey as a person reads it: tables and lines, wide where nobody counts columns."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sweeps.pages import pages
from sweeps.survey import Arm, Run, Survey
from sweeps.terminal import aligned, duration, printable

MOST = 10  # missing runs that are listed
SILENT = 60.0  # seconds without a step that are worth saying
Rows = list[list[str]]


def overview(study: Survey, width: int | None = None) -> list[str]:
    """One study. Args: width: of the terminal; None: as wide as it takes."""
    lines = [*_head(study), "", *aligned(_arms(study), width)]
    if study.running:
        lines += ["", *aligned(_running(study), width)]
    lines += [*_missing(study), "", *pages(study.directory, trials=study.plan["trials"] > 0)]
    return [printable(line) for line in lines]


def listing(studies: Sequence[Survey], width: int | None = None) -> list[str]:
    """All studies below a folder, those that run first."""
    rows = [["study", "state", "runs", "missing", "trials", "best", "left"]]
    for study in sorted(studies, key=lambda s: (s.state != "running", s.directory.name)):
        runs, planned = sum(a.finished for a in study.arms), sum(a.planned for a in study.arms)
        tried, trials = sum(a.trials for a in study.arms), len(study.arms) * study.plan["trials"]
        best = f"{study.metric} {_number(study.best)}"
        counts = [f"{runs}/{planned}", _count(len(study.missing))]
        counts.append(f"{tried}/{trials}" if trials else "-")
        rows.append([study.directory.name, study.state, *counts, best, _left(study)])
    return aligned(rows, width)


def runs_of(study: Survey) -> list[str]:
    """Every run that has ended: plain lines, as there may be ten thousand."""
    rows = [
        f"{run.arm} seed {run.seed}: validation {study.metric} {_number(run.validation)} "
        f"({run.status}) in {'-' if run.seconds is None else duration(run.seconds)}"
        f"  runs/{run.fingerprint}"
        for run in study.ended
    ]
    return [*map(printable, rows), f"{len(rows)} runs"]


def _head(study: Survey) -> list[str]:
    plan, owner = study.plan, study.owner
    lines = [f"study {plan['study']}: {study.state}"]
    if owner is not None:
        who = f"process {owner.get('pid', '?')} on {owner.get('host', '?')}"
        lines[0] += f", by {who} since {owner.get('since', '?')}, {_left(study)} left"
    lines.append(f"base {plan.get('base', '?')}, task {plan.get('task', '?')}")
    if study.state in ("stopped", "incomplete"):
        lines.append(f"to go on: {plan.get('command', '?')}")
    return lines


def _arms(study: Survey) -> Rows:
    trials = study.plan["trials"]
    names = ["finished", "diverged", "running", "missing", "to do"] + ["trials"] * (trials > 0)
    rows = [["arm", *names, f"best validation {study.metric}"]]
    return rows + [[a.name, *_counts(a, trials), _number(a.best)] for a in study.arms]


def _counts(arm: Arm, trials: int) -> list[str]:
    counts = [arm.diverged, arm.running, arm.missing, arm.waiting]
    found = [f"{arm.finished}/{arm.planned}", *map(_count, counts)]
    return [*found, f"{arm.trials}/{trials}"] if trials else found


def _running(study: Survey) -> Rows:
    alive = study.owner is not None
    first = "running" if alive else "stopped in"
    rows = [[first, "step", "steps/s", f"validation {study.metric}", "for", "process"]]
    for run in study.running:
        where = run.where
        value = where.validation(study.metric)
        since = duration(max(0.0, time.time() - run.since)) if alive else "-"
        rate = "-" if where.rate is None or not alive else f"{where.rate:.3g}"
        step = f"{where.step}/{run.steps}"
        process = f"{where.pid} {where.host}{_silence(run, alive)}" if where.pid else "-"
        rows.append([run.label, step, rate, _number(value), since, process])
    return rows


def _silence(run: Run, alive: bool) -> str:  # noqa: FBT001
    seconds = 0.0 if run.where.at is None else time.time() - run.where.at
    return f", silent for {duration(seconds)}" if alive and seconds > SILENT else ""


def _missing(study: Survey) -> list[str]:
    lines = [
        f"missing: {each.label}: {each.status} ({each.reason})  runs/{each.fingerprint}"
        for each in study.missing[:MOST]
    ]
    if len(study.missing) > MOST:
        lines.append(f"and {len(study.missing) - MOST} more, in missing.json")
    return ["", *lines] if lines else []


def _count(number: int) -> str:
    return str(number) if number else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _left(study: Survey) -> str:
    if study.state != "running":
        return "-"
    return "?" if study.seconds_left is None else duration(study.seconds_left)
