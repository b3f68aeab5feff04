"""Several studies as one report: pooled where they are about one task, a chapter for each task.

Chapters of several tasks follow one that says what they say together.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import polars as pl

from reports.contrast import SCORED
from reports.document import Document, Report, chapter_of
from reports.formats import plural
from reports.origin import flatten, numbers
from reports.pooling import configuration, differing, pool, reference, renamed
from reports.tasks_together import together
from reports.venues import Name
from sweeps.results import Study, slug

Maker = Callable[[Study], Report]


def merged(
    studies: Sequence[Study], make: Maker, *, draw: bool = True, look: Name = "plain"
) -> Document:
    """One document about all of them.

    Args:
        studies: as they were read; those of one task are pooled.
        make: makes the report of one.
        draw: whether to draw the figures of all tasks together.
        look: the style of those.
    Raises: ValueError, one line, where they do not go together.
    """
    groups = by_task(studies)
    names = task_names([group[0] for group in groups])
    base = str(studies[0].plan.get("base", "model"))
    pooled = [
        renamed(pool(group), f"{base} on {name}") for group, name in zip(groups, names, strict=True)
    ]
    check_across(pooled)
    reports = [_with_limits(make(study)) for study in pooled]
    words = tuple(_pooled_sentence(group) for group in groups if len(group) > 1)
    if len(groups) == 1:
        title = str(pooled[0].plan["study"])
        return Document(title, (chapter_of(reports[0]),), tuple(studies), words)
    chapters = [
        chapter_of(report, name, key)
        for report, name, key in zip(reports, names, _keys(names), strict=True)
    ]
    analyses = [report.analysis for report in reports]
    settings = _settings_that_differ(pooled, names)
    first = together(analyses, names, limits=settings, draw=draw, look=look)
    title = f"{base} on {', '.join(names)}"
    return Document(title, (first, *chapters), tuple(studies), words)


def by_task(studies: Sequence[Study]) -> list[list[Study]]:
    """Those of one task together, in the order in which the tasks were named."""
    groups: dict[str, list[Study]] = {}
    for study in studies:
        groups.setdefault(json.dumps(_task(study), sort_keys=True, default=str), []).append(study)
    return list(groups.values())


def check_across(studies: Sequence[Study]) -> None:
    """Raise ValueError where studies of different tasks have no common base, arms or outcome."""
    for a, b in pairwise(studies):
        names = str(a.plan["study"]), str(b.plan["study"])
        for what, of in (("base", _base), ("primary outcome", _primary), ("baseline", _reference)):
            if of(a) != of(b):
                raise ValueError(
                    f"these do not go together: the {what} is {of(a)} in {names[0]} and {of(b)} in "
                    f"{names[1]}; each=yes makes a report of each"
                )
        for x, y, where in ((a, b, names[1]), (b, a, names[0])):
            for arm in x.plan["arms"]:
                if arm["name"] not in [other["name"] for other in y.plan["arms"]]:
                    raise ValueError(
                        f"these do not go together: there is no arm {arm['name']!r} in {where}; "
                        "each=yes makes a report of each"
                    )


def task_names(studies: Sequence[Study]) -> list[str]:
    """A name for each task: its kind, with what differs where two are of one kind."""
    kinds = [str(study.plan.get("task", "task")) for study in studies]
    names = []
    for study, kind in zip(studies, kinds, strict=True):
        alike = [s for s, k in zip(studies, kinds, strict=True) if k == kind]
        fields = {f for other in alike for f in differing(_task(study), _task(other))}
        values = dict(flatten(_task(study)))
        told = [f"{f}={values.get(f, '-')}" for f in values if f in fields]
        names.append(" ".join([kind, *told]))
    return names


def _settings_that_differ(studies: Sequence[Study], names: Sequence[str]) -> tuple[str, ...]:
    """What besides the task is not the same for all: `train.steps is 300 on a, 600 on b`."""
    own = [_without_task(study) for study in studies]
    fields = dict.fromkeys(f for other in own[1:] for f in differing(own[0], other))
    flat = [dict(flatten(one)) for one in own]
    told = [_by_task(field, flat, names) for field in fields]
    return (f"Not the task alone differs: {'; '.join(told)}.",) if told else ()


def _with_limits(report: Report) -> Report:
    """Of pooled studies: which arms have which seeds, where that differs."""
    arms = report.study.plan["arms"]
    own = {arm["name"]: tuple(arm.get("seeds") or ()) for arm in arms}
    if len(set(own.values())) < 2:
        return report
    told = "; ".join(f"{name} {numbers(seeds)}" for name, seeds in own.items())
    return replace(report, limits=(*report.limits, f"The arms have different seeds: {told}."))


def _by_task(field: str, flat: Sequence[dict[str, str]], names: Sequence[str]) -> str:
    values = (f"{one.get(field, '-')} on {name}" for one, name in zip(flat, names, strict=True))
    return f"{field} is {', '.join(values)}"


def _without_task(study: Study) -> dict[str, Any]:
    own = configuration(_reference_arm(study))
    own.pop("task", None)
    tuning = {key: study.plan.get(key) for key in ("trials", "gain", "match")}
    return {**own, **tuning, "seeds": study.plan["seeds"]}


def _reference_arm(study: Study) -> dict[str, Any]:
    return next(arm for arm in study.plan["arms"] if arm["name"] == reference(study.plan))


def _task(study: Study) -> dict[str, Any]:
    task = configuration(_reference_arm(study)).get("task")
    return task if isinstance(task, dict) else {"kind": study.plan.get("task")}


def _base(study: Study) -> str:
    return str(study.plan.get("base"))


def _primary(study: Study) -> str:
    return " ".join(str(value) for value in study.plan["primary"].values())


def _reference(study: Study) -> str:
    return reference(study.plan)


def _keys(names: Sequence[str]) -> list[str]:
    """Beginnings of file names, one for each chapter."""
    keys = [slug(name.replace("=", "-"))[:40].strip("-.") for name in names]
    keys = [key.replace(".", "-").replace("_", "-") for key in keys]
    return [key if keys.count(key) == 1 else f"{key}-{i + 1}" for i, key in enumerate(keys)]


def _pooled_sentence(group: Sequence[Study]) -> str:
    parts = [
        f"{study.plan['study']} ({plural(len(study.plan['arms']), 'arm')}, "
        f"{plural(len(study.plan['seeds']), 'seed')})"
        for study in group
    ]
    ended = pl.col("status").is_in(SCORED)
    runs = Counter(
        run
        for study in group
        for run in set(study.runs.filter(ended).select("arm", "seed").iter_rows())
    )
    twice = sum(count > 1 for count in runs.values())
    agree = f" {plural(twice, 'run')} in more than one of them agree and count once."
    return f"Pooled from {plural(len(group), 'study').replace('studys', 'studies')}: " + (
        f"{'; '.join(parts)}.{agree if twice else ''}"
    )
