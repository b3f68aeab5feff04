"""A page with every task: what it asks, what guessing scores, an example. Written, not typed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from tasks.show import example_lines
from tasks.task import Task

HEAD = """# Tasks

Every task at its default size, with one training example: tokens by name, and below them what is to
be answered there (`.`: nothing). `python -m tasks show NAME` prints more, with fields and limits;
`python -m tasks list` also names the published settings.

Written by `python -m tasks gallery out=docs/tasks`.
"""


def is_drawn(task: Task) -> bool:
    """Whether an example is a picture or curves, which numbers would not show."""
    return task.context.num_inputs is None or task.picture is not None


def page(tasks: dict[str, Task], settings: dict[str, list[str]]) -> Iterator[str]:
    """The page in lines. settings: the published settings of each kind."""
    yield from HEAD.splitlines()
    for kind, task in tasks.items():
        yield ""
        yield f"## {kind}"
        yield ""
        yield summary(task)
        yield ""
        yield ". ".join(_facts(task)) + "."
        if settings.get(kind):
            yield ""
            yield f"Published settings: {', '.join(f'`{name}`' for name in settings[kind])}."
        yield ""
        if is_drawn(task):
            yield f"![examples of {kind}]({kind}.png)"
            continue
        yield "```text"
        yield from example_lines(task, task.generate([0]), 0)
        yield "```"


def summary(task: Task) -> str:
    """The first paragraph of a task's description, in one line."""
    return " ".join((inspect.getdoc(type(task)) or "").split("\n\n")[0].split("\n"))


def _facts(task: Task) -> Iterator[str]:
    context = task.context
    inputs = f"{context.num_inputs} ids" if context.num_inputs else f"{context.input_dim} reals"
    yield f"{inputs}, {context.length} positions, head `{context.head}`"
    what = "mean squared error" if context.is_real else "accuracy"
    yield f"Guessing: {what} {task.chance:.3g}"
    for name, value in task.floors.items():
        yield f"Shortcut ({name}): {value:.3g}"
    if task.ceiling < 1:
        yield f"The best there is: {task.ceiling:.3g}"
