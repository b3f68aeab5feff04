"""What a caption must say for its table to be read alone: task, split, seeds, test and budget."""

from __future__ import annotations

from typing import Any

from reports.contrast import Analysis, Outcome
from reports.formats import count, plural
from reports.stats import MAX_EXACT
from sweeps.results import LOWER_IS_BETTER

UP, DOWN = "↑", "↓"


def arrow(metric: str) -> str:
    """Which way is better."""
    return DOWN if metric in LOWER_IS_BETTER else UP


def with_arrow(outcome: Outcome) -> str:
    """`test accuracy ↑`: the title of a column of an outcome."""
    return f"{outcome} {arrow(outcome.metric)}"


def of_what(analysis: Analysis) -> str:
    """`Test accuracy, task mqar`: split, metric and task."""
    what = str(analysis.outcome)
    return f"{what[:1].upper()}{what[1:]}{task(analysis)}"


def task(analysis: Analysis) -> str:
    """`, task mqar`, where the plan says which."""
    name = analysis.study.plan.get("task")
    return f", task {name}" if name else ""


def seeds(analysis: Analysis) -> str:
    """`6 seeds`: those that were planned; `6 to 8 seeds` where arms have different ones."""
    planned = sorted({arm.planned for arm in analysis.arms})
    return (
        plural(planned[-1], "seed") if len(planned) == 1 else f"{planned[0]} to {planned[-1]} seeds"
    )


def which_test(analysis: Analysis) -> str:
    """Which test the p values are of; that there is none, where none could say anything."""
    contrasts = [arm.contrast for arm in analysis.others if arm.contrast]
    if all(contrast.underpowered for contrast in contrasts):
        return "no test: too few paired seeds"
    exact = max(contrast.difference.n for contrast in contrasts) <= MAX_EXACT
    return (
        f"p: {'exact ' if exact else ''}paired permutation test, two-sided, Holm over "
        f"{plural(len(contrasts), 'arm')}"
    )


def budget(analysis: Analysis) -> str:
    """`Each arm: 2,000 steps, learning rate tuned in 5 trials.`: the same for all, or the range."""
    plan = analysis.study.plan
    steps = sorted({s for arm in plan["arms"] if (s := _steps(arm)) is not None})
    long = "" if not steps else f"{count(steps[0])} steps"
    if len(steps) > 1:
        long = f"{count(steps[0])} to {count(steps[-1])} steps"
    parts = [part for part in (long, _tuning(plan)) if part]
    return f"Each arm: {', '.join(parts)}."


def trial_budget(analysis: Analysis) -> str:
    """`5 trials of 1,000 steps for each arm, on the validation split`: the budget of a tuning."""
    plan = analysis.study.plan
    steps = f" of {count(plan['tuning_steps'])} steps" if plan.get("tuning_steps") else ""
    return (
        f"{plural(plan.get('trials') or 0, 'trial')}{steps} for each arm, on the validation split"
    )


def _steps(arm: dict[str, Any]) -> int | None:
    return ((arm.get("experiment") or {}).get("train") or {}).get("steps")


def _tuning(plan: dict[str, Any]) -> str:
    trials = plan.get("trials")
    if not trials:
        return "nothing tuned"
    several = len((plan.get("search") or {}).get("space") or ()) > 1
    return f"{'configuration' if several else 'learning rate'} tuned in {plural(trials, 'trial')}"
