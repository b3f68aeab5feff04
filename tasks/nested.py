"""Tasks that are made of other tasks: their contents as one array, their batches at one length.

Each part owns its contents split by split, as it would by itself.

Axes: B examples, L positions, N numbers of content.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tasks.batch import IGNORE, Batch
from tasks.task import Task
from zoo.spec import Context


def with_seed(task: Task, seed: int) -> Task:
    """The task with another seed."""
    return task.model_copy(update={"seed": seed})


def at_length(task: Task, length: int) -> Task:
    """The task at this length only.

    Raises: ValueError, one line, where it cannot have it.
    """
    own = type(task).model_fields
    if "length" not in own:
        raise ValueError(f"{task.kind} has no field `length`: its size is set by {', '.join(own)}")
    fields = {name: getattr(task, name) for name in own} | {"length": length}
    fields |= {"min_length": length} if "min_length" in own else {}
    fields |= {name: 0 for name in ("test_length", "test_min_length") if name in own}  # as trained
    try:
        return type(task)(**fields)
    except ValidationError as error:
        line = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"{task.kind} at length={length}: {line}") from None


def other_lengths(task: Task, lengths: Sequence[int]) -> Iterator[str]:
    """Why the task cannot have these lengths besides its own, in lines."""
    for length in lengths:
        try:
            other = at_length(task, length)
        except ValueError as error:
            yield str(error)
            continue
        if other == task:
            yield f"lengths names {length}, which is the length of {task.kind} itself"


def overlaps(tasks: Sequence[Task]) -> Iterator[str]:
    """Tasks of which one may train on what the other tests, in lines.

    Two of a kind share few contents out between the splits, but not in one way: unless they are
    of random lengths, which make no difference, or of lengths that have nothing in common.
    """
    for a, b in combinations([getattr(task, "inner", task) for task in tasks], 2):
        few = a.partitioned or b.partitioned
        ranged = hasattr(a, "min_length")
        apart = not ranged and getattr(a, "length", None) != getattr(b, "length", None)
        if a.kind == b.kind and a != b and few and not ranged and not apart:
            num = min(a.num_contents, b.num_contents)
            yield (
                f"two tasks of kind {a.kind} have only {num} different contents, so that one may "
                "train on what the other tests: make them larger, or of different lengths"
            )


def common(tasks: Sequence[Task]) -> Context:
    """A context that holds all of them: the most ids, the most classes, the longest."""
    contexts = [task.context for task in tasks]
    first = contexts[0]
    return Context(
        num_inputs=None if first.num_inputs is None else max(c.num_inputs or 0 for c in contexts),
        input_dim=first.input_dim,
        num_outputs=max(c.num_outputs for c in contexts),
        length=max(c.length for c in contexts),
        head=first.head,
    )


def mismatches(tasks: Sequence[Task]) -> list[str]:
    """Why tasks cannot share a model, in lines: heads or kinds of input that differ."""
    first, *others = (task.context for task in tasks)
    found = [
        f"{task.kind} has answers that a model writes out: train on it by itself"
        for task in tasks
        if task.metric == "valid"
    ]
    for other, task in zip(others, tasks[1:], strict=True):
        if other.head != first.head:
            found.append(
                f"{task.kind} answers with head {other.head}, {tasks[0].kind} with {first.head}: "
                "parts need one head"
            )
        if other.input_dim != first.input_dim:
            found.append(
                f"{task.kind} and {tasks[0].kind} have inputs of different kinds: "
                "parts need tokens, or reals of one number of features"
            )
        if task.metric != tasks[0].metric:
            found.append(
                f"{task.kind} leads with {task.metric} and {tasks[0].kind} with "
                f"{tasks[0].metric}: parts need one metric"
            )
        if first.is_real and other.num_outputs != first.num_outputs:
            found.append(
                f"{task.kind} has {other.num_outputs} real outputs and {tasks[0].kind} "
                f"{first.num_outputs}: parts need the same"
            )
    return found


def longer(array: NDArray[Any], length: int, value: Any) -> NDArray[Any]:
    """The array with `length` entries in its second axis: `value` behind its own."""
    more = length - array.shape[1]
    width = [(0, 0), (0, more), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(array, width, constant_values=value) if more else array


def padded_to(batch: Batch, context: Context) -> Batch:
    """The batch with `context.length` positions: zeros behind its own, none of them scored."""
    length = context.length
    if length == batch.inputs.shape[1]:
        return batch
    at_positions = batch.targets.ndim > 1 and context.at_positions
    nothing = 0.0 if context.is_real else IGNORE
    return Batch(
        inputs=longer(batch.inputs, length, 0),
        targets=longer(batch.targets, length, nothing) if at_positions else batch.targets,
        mask=longer(batch.mask, length, value=False) if at_positions else batch.mask,
        lengths=batch.lengths,
        factors=batch.factors,
        spans=None if batch.spans is None else longer(batch.spans, length, -1),
    )


def cut_to(batch: Batch, context: Context) -> Batch:
    """The batch with `context.length` positions: what `padded_to` put behind is gone."""
    length = context.length
    if length == batch.inputs.shape[1]:
        return batch
    return Batch(
        inputs=batch.inputs[:, :length],
        targets=batch.targets[:, :length] if context.at_positions else batch.targets,
        mask=batch.mask[:, :length] if context.at_positions else batch.mask,
        lengths=batch.lengths,
        factors=batch.factors,
        spans=None if batch.spans is None else batch.spans[:, :length],
    )


def named_by_difference(tasks: Sequence[Task]) -> dict[str, Task]:
    """Names from the fields in which the tasks differ: `length=128 num_pairs=32`.

    Raises: ValueError if two are equal.
    """
    fields = [{"kind": task.kind, **task.model_dump(mode="json")} for task in tasks]
    every = {name: {str(own.get(name)) for own in fields} for own in fields for name in own}
    telling = [name for name, values in every.items() if len(values) > 1] or ["kind"]
    found = {}
    for task, own in zip(tasks, fields, strict=True):
        name = " ".join(f"{n}={own[n]}" for n in telling if n in own)
        if name in found:
            raise ValueError(f"two test tasks are the same: {name}")
        found[name] = task
    return found
