"""Tasks that are made of other tasks: their contents as one array, their batches at one length.

Each part owns its contents split by split, as it would by itself.

Axes: B examples, L positions, N numbers of content.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tasks.batch import IGNORE, Batch
from tasks.rng import U, Words
from tasks.task import Content, Task
from zoo.spec import Context

NOTHING = np.empty(0, U)


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
    """Why the task cannot have these lengths besides its own, in lines.

    A length of its own would be drawn by two laws that share the strings out in two ways: what one
    trains on, the other may test on.
    """
    for length in lengths:
        try:
            at_length(task, length)
        except ValueError as error:
            yield str(error)
            continue
        if length in (own := lengths_of(task)):
            yield f"lengths names {length}, but {task.kind} has {own[0]} to {own[-1]} of its own"


def lengths_of(task: Any) -> range:
    """From the shortest to the longest that is trained, of a task with the field `length`."""
    return range(getattr(task, "min_length", 0) or task.length, task.length + 1)


def every_length_of(task: Any) -> set[int]:
    """Those that are trained, and those that are tested."""
    longest = getattr(task, "test_length", 0)
    shortest = getattr(task, "test_min_length", 0) or longest
    return {*lengths_of(task), *(range(shortest, longest + 1) if longest else ())}


def overlaps(tasks: Sequence[Task]) -> Iterator[str]:
    """Tasks of random lengths which share some, in lines: see `other_lengths`."""
    ranged = [task for task in tasks if hasattr(task, "min_length")]
    for a, b in combinations(ranged, 2):
        mine, theirs = every_length_of(a), every_length_of(b)
        if a.kind == b.kind and mine != theirs and (shared := mine & theirs):
            yield (
                f"two parts of kind {a.kind} have lengths of {min(shared)} to {max(shared)} in "
                "common, so that one may train on what the other tests: set min_length apart"
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
    found = []
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
        if task.metric == "valid":
            found.append(f"{task.kind} has answers that a model writes out: train on it by itself")
        if first.is_real and other.num_outputs != first.num_outputs:
            found.append(
                f"{task.kind} has {other.num_outputs} real outputs and {tasks[0].kind} "
                f"{first.num_outputs}: parts need the same"
            )
    return found


def flattened(content: Content) -> NDArray[np.int64]:
    """A content as one array.                                                      (B, N)"""
    return np.concatenate(list(content.values()), axis=1)


def restored(task: Task, flat: NDArray[np.int64], split: str) -> Content:
    """The content that was flattened: its names and widths are those of any other."""
    found, start = {}, 0
    for name, array in task.draw(NOTHING, split).items():
        stop = start + array.shape[1]
        found[name] = flat[:, start:stop].astype(array.dtype)
        start = stop
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


def drawn_by(tasks: Sequence[Task], which: NDArray[np.int64], keys: Words, split: str) -> Content:
    """What the task `which[b]` draws for row b: contents that the split owns, and their keys."""
    widths = [flattened(task.draw(NOTHING, split)).shape[1] for task in tasks]
    flat, final = np.full((len(keys), max(widths)), -1), keys.copy()
    for number, (task, width) in enumerate(zip(tasks, widths, strict=True)):
        rows = np.flatnonzero(which == number)
        if rows.size:
            content, final[rows] = task.owned(keys[rows], split)
            flat[rows, :width] = flattened(content)
    return {"which": which[:, None], "flat": flat, "keys": final.view(np.int64)[:, None]}


def rendered_by(tasks: Sequence[Task], content: Content, context: Context, split: str) -> Batch:
    """The batches of the tasks, row by row, at the context's length; their factors are left out."""
    which, keys = content["which"][:, 0], content["keys"][:, 0].view(U)
    whole: Batch | None = None
    for number, task in enumerate(tasks):
        rows = np.flatnonzero(which == number)
        if rows.size == 0 and (whole is not None or number < len(tasks) - 1):
            continue
        own = restored(task, content["flat"][rows], split)
        part = padded_to(task.render(own, keys[rows], split), context)
        if whole is None:
            whole = replace(part.room(len(keys)), factors={})
        whole.put(rows, part)
    assert whole is not None
    return whole


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
