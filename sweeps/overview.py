"""A survey as a person reads it: tables and lines, wide where nobody counts columns."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.table import Table

from sweeps.pages import pages
from sweeps.survey import Arm, Run, Survey, scores_of_runs
from sweeps.terminal import Label, cell, duration, printable

MOST = 10  # missing runs that are listed
SILENT = 60.0  # seconds without a step that are worth saying


def overview(study: Survey, width: int | None = None) -> list[str]:
    """One study. Args: width: of the terminal; None: as wide as it takes."""
    parts: list[str | RenderableType] = [*_head(study), "", _arms(study)]
    if study.running:
        parts += ["", _running(study)]
    parts += _missing(study)
    parts += ["", *pages(study.directory, trials=study.plan["trials"] > 0)]
    return rendered(parts, width)


def listing(studies: Sequence[Survey], width: int | None = None) -> list[str]:
    """All studies below a folder, those that run first."""
    table = _table("study", "state", "runs", "missing", "trials", "best", "left")
    for study in sorted(studies, key=lambda s: (s.state != "running", s.directory.name)):
        runs, planned = sum(a.finished for a in study.arms), sum(a.planned for a in study.arms)
        tried, trials = sum(a.trials for a in study.arms), len(study.arms) * study.plan["trials"]
        table.add_row(
            Label(study.directory.name),
            study.state,
            f"{runs}/{planned}",
            _count(len(study.missing)),
            f"{tried}/{trials}" if trials else "-",
            f"{study.metric} {_number(study.best)}",
            _left(study),
        )
    return rendered([table], width)


def runs_of(study: Survey) -> list[str]:
    """Every run that has ended: plain lines, as there may be ten thousand."""
    rows = [
        f"{printable(arm)} seed {seed}: validation {study.metric} {_number(value)} ({status})"
        f"{'' if seconds is None else f' in {duration(seconds)}'}  runs/{printable(fingerprint)}"
        for arm, seed, status, fingerprint, seconds, value in scores_of_runs(study).iter_rows()
    ]
    return [*rows, f"{len(rows)} runs"]


def rendered(parts: Iterable[str | RenderableType], width: int | None) -> list[str]:
    """Lines of text. Sentences stay whole: a terminal wraps them, and they can be copied."""
    console = Console(file=io.StringIO(), width=width or 1000, force_terminal=False)
    lines: list[str] = []
    for part in parts:
        if isinstance(part, str):
            lines.append(printable(part))
            continue
        with console.capture() as captured:
            console.print(part)
        lines += [line.rstrip() for line in captured.get().splitlines()]
    return lines


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


def _arms(study: Survey) -> Table:
    trials = study.plan["trials"]
    names = ["finished", "diverged", "running", "missing", "to do"] + ["trials"] * (trials > 0)
    table = _table("arm", *names, f"best validation {study.metric}")
    for arm in study.arms:
        table.add_row(Label(arm.name), *_counts(arm, trials), _number(arm.best))
    return table


def _counts(arm: Arm, trials: int) -> list[str]:
    counts = [arm.diverged, arm.running, arm.missing, arm.waiting]
    found = [f"{arm.finished}/{arm.planned}", *map(_count, counts)]
    return [*found, f"{arm.trials}/{trials}"] if trials else found


def _running(study: Survey) -> Table:
    alive = study.owner is not None
    first = "running" if alive else "stopped in"
    table = _table(first, "step", "steps/s", f"validation {study.metric}", "for", "process")
    for run in study.running:
        where = run.where
        value = where.validation(study.metric)
        since = duration(max(0.0, time.time() - run.since)) if alive else "-"
        rate = "-" if where.rate is None or not alive else f"{where.rate:.3g}"
        step = f"{where.step}/{run.steps}"
        process = cell(f"{where.pid} {where.host}{_silence(run, alive)}" if where.pid else "-")
        table.add_row(Label(run.label), step, rate, _number(value), since, process)
    return table


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


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _count(number: int) -> str:
    return str(number) if number else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _left(study: Survey) -> str:
    if study.state != "running":
        return "-"
    return "?" if study.seconds_left is None else duration(study.seconds_left)
