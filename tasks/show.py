"""Examples to look at: tokens by name with their targets below, signals and pictures drawn.

Axes: L positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any, get_origin

from tasks.batch import Batch
from tasks.task import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pydantic.fields import FieldInfo

WIDTH = 96
SHOWN = 96  # positions of an example to print, half from either end; of reals a quarter
FEATURES = 4  # of real inputs or targets, to print
NOTHING = {"filler", "blank", "pad", "padding", "empty", "no-op"}  # ids that say nothing: `_`


def short_names(task: Task) -> dict[range, str]:
    """A short name for each range of ids: k for keys, v for values, SEP for a single separator."""
    found: dict[range, str] = {}
    for name, span in task.vocabulary.items():
        if len(span) == 1:
            found[span] = "_" if name in NOTHING else name.replace(" ", "")[:5].upper()
            continue
        others = [other for other in task.vocabulary if other != name]
        sizes = range(1, len(name) + 1)
        unique = (n for n in sizes if not any(o.startswith(name[:n]) for o in others))
        found[span] = name[: next(unique, len(name))]
    return found


def spelled(task: Task, ids: Sequence[int]) -> list[str]:
    """Each id by name: that which the task gives it, or its range's with its place there."""
    names, written = short_names(task), []
    for token in ids:
        own = task.spell(token)
        if own is None:
            span = next(span for span in names if token in span)
            own = names[span] + ("" if len(span) == 1 else str(token - span.start))
        written.append(own)
    return written


def example_lines(task: Task, batch: Batch, row: int) -> Iterator[str]:
    """One example in lines of at most WIDTH characters."""
    length = int(batch.lengths[row])
    shown, skipped = _chosen(length, SHOWN if task.context.num_inputs else SHOWN // 4)
    factors = ", ".join(f"{name}={_plain(column[row])}" for name, column in batch.factors.items())
    yield from wrap(f"example {row} of train{skipped}: {factors}".rstrip(": "), WIDTH)
    rows = {"position": [str(t) for t in shown]}
    if task.context.num_inputs is None:
        rows |= _reals("input", batch.inputs[row, shown])
    else:
        rows["input"] = spelled(task, batch.inputs[row, shown].tolist())
    if not task.context.at_positions:
        yield from _table(rows)
        yield ""
        yield f"target    {_plain(batch.targets[row])}"
        return
    targets, mask = batch.targets[row, shown], batch.mask[row, shown]
    if task.context.is_real:
        rows |= _reals("target", targets, mask.all(-1))
    else:
        rows["target"] = [
            _answer(task, y) if m else "." for y, m in zip(targets, mask, strict=True)
        ]
    yield from _table(rows)


def _chosen(length: int, most: int) -> tuple[list[int], str]:
    if length <= most:
        return list(range(length)), ""
    half = most // 2
    ends = [*range(half), *range(length - half, length)]
    return ends, f" (first and last {half} of {length} positions)"


def _answer(task: Task, target: Any) -> str:
    if task.answers_in_ids:
        return spelled(task, [int(target)])[0]
    return str(int(target))


def _reals(name: str, values: Any, mask: Any = None) -> dict[str, list[str]]:
    """A row for each feature, the first few if there are many."""
    columns = values.reshape(len(values), -1).T[:FEATURES]
    names = [name] if values.ndim == 1 else [f"{name} {i}" for i in range(len(columns))]
    scored = [True] * len(values) if mask is None else mask.tolist()
    return {
        n: [f"{x:.2f}" if m else "." for x, m in zip(column, scored, strict=True)]
        for n, column in zip(names, columns, strict=True)
    }


def _plain(value: Any) -> str:
    if getattr(value, "ndim", 0):
        some = ", ".join(_plain(x) for x in value[:6])
        return some + (f", ... ({len(value)} numbers)" if len(value) > 6 else "")
    return f"{value:.4g}" if isinstance(value.item(), float) else str(value)


def _table(rows: dict[str, list[str]]) -> Iterator[str]:
    """The rows side by side, broken where the line is full."""
    margin = max(10, *(len(name) + 2 for name in rows))
    wide = max(len(cell) for cells in rows.values() for cell in cells) + 1
    num, per_line = len(next(iter(rows.values()))), max(1, (WIDTH - margin) // wide)
    for start in range(0, num, per_line):
        yield ""
        for name, cells in rows.items():
            line = "".join(cell.rjust(wide) for cell in cells[start : start + per_line])
            yield name.ljust(margin) + line


def draw(task: Task, batch: Batch, row: int, axes: Axes) -> None:
    """One example on axes: a picture, curves, or tokens as a strip above their targets."""
    length = int(batch.lengths[row])
    if task.picture is not None:
        height, width = task.picture
        image = batch.inputs[row].reshape(height, width, -1)[..., 0]
        axes.imshow(image, cmap="gray", interpolation="nearest")
        axes.set_title(f"target {_plain(batch.targets[row])}")
        axes.set_axis_off()
        return
    if task.context.num_inputs is None:
        for feature in batch.inputs[row, :length].T:
            axes.plot(feature)
        if task.context.head == "trace":
            axes.plot(batch.targets[row, :length], linestyle="--")
        axes.set_xlabel("position")
        return
    axes.imshow(batch.inputs[row : row + 1, :length], aspect="auto", interpolation="nearest")
    if task.context.at_positions:
        scored = batch.mask[row, :length].nonzero()[0]
        axes.plot(scored, [0.62] * len(scored), "^", markersize=3)
    axes.set_yticks([])
    axes.set_xlabel("position; triangles: where an answer is scored")


def field_lines(task: Task) -> Iterator[str]:
    """The fields of a task, with their limits and what they mean."""
    rows: list[tuple[str, ...]] = [("field", "value", "default", "limits", "")]
    for name, field in type(task).model_fields.items():
        value, default = getattr(task, name), field.default
        rows.append((name, _said(value), _said(default), _limits(field), field.description or ""))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()


def _said(value: Any) -> str:
    """A field's value; a task in it by its kind and the fields that are not the defaults."""
    if isinstance(value, tuple) and value:
        return "+".join(map(_said, value))
    if not isinstance(value, Task):
        return str(value)
    changed = {n: v for n, v in value if v != type(value).model_fields[n].default}
    return " ".join([str(value.kind), *(f"{name}={_said(v)}" for name, v in changed.items())])


def _limits(field: FieldInfo) -> str:
    if get_origin(field.annotation) is tuple:
        return "A+B+..."
    options = getattr(field.annotation, "__args__", None)
    if options:
        return " | ".join(map(str, options))
    if field.annotation is bool:
        return "yes | no"
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    parts = [
        f"{sign} {_short(getattr(mark, attribute))}"
        for mark in field.metadata
        for attribute, sign in signs.items()
        if hasattr(mark, attribute)
    ]
    return ", ".join(parts)


def _short(limit: float) -> str:
    if isinstance(limit, int) and limit > 2**16 and limit & (limit - 1) == 0:
        return f"2^{limit.bit_length() - 1}"
    return str(limit)
