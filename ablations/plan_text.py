"""The plan of an ablation, for a person to read before anything is trained."""

from __future__ import annotations

from typing import Any

from sweeps.plan import StudyPlan


def plan_text(plan: StudyPlan, seconds: float | None) -> str:
    """The plan for a person: arms, what they change, sizes, strengths, cost."""
    rows: list[tuple[Any, ...]] = [("arm", "parameters", "strength", "changes")]
    for arm in plan.arms:
        weight = "-" if arm.strength is None else f"{arm.strength:.0%}"
        rows.append((arm.name, f"{arm.parameters:,}", weight, "; ".join(arm.changed) or "-"))
    widths = [max(len(str(row[i])) for row in rows) for i in range(3)]
    table = [
        "  ".join(str(c).ljust(w) for c, w in zip(row, widths, strict=False)) + f"  {row[3]}"
        for row in rows
    ]
    train = plan.arms[0].experiment.train
    tuning = f"{plan.trials} tuning trials an arm at half the steps" if plan.trials else "no tuning"
    facts = [
        f"study {plan.name}",
        f"base {plan.base}, task {plan.task}, {train.steps} steps of batch {train.batch_size}",
        f"{len(plan.seeds)} seeds, {tuning}; smallest reachable p = {plan.smallest_p:.3g}",
        f"primary outcome: {' '.join(plan.primary[k] for k in ('split', 'metric', 'slice'))}",
    ]
    if plan.margin is not None:
        facts.append(f"differences within {plan.margin:g} of the baseline count as none")
    if seconds is not None:
        from sweeps.progress import duration

        facts.append(f"about {duration(seconds)} on this machine")
    notes = [f"note: {note}" for note in plan.notes]
    return "\n".join([*facts, "", *table, *([""] if notes else []), *notes])
