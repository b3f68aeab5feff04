"""What tasks there are, and what one looks like: `python -m tasks list`, `show mqar`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from tasks.task import Task

HELP = """usage: python -m tasks COMMAND

  list                       every task and every published setting
  show NAME [field=value]    fields, limits, vocabulary, chance, and an example
                             (NAME is a task or a published setting)

examples:
  python -m tasks show mqar
  python -m tasks show mqar length=32 num_pairs=2 random_fill=no
  python -m tasks show mamba-induction seed=1
"""
COMMANDS = ("list", "show")
WIDTH = 96
SHOWN = 192  # positions of an example to print, half from either end


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 2 for what the user can put right."""
    from zoo._guard import guard

    guard()
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if args else 2
    try:
        lines = list(_run(args))  # all or none: an error prints nothing else
    except ValueError as error:
        print(f"tasks: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


def _run(args: list[str]) -> Iterator[str]:
    command, *rest = args
    if command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, n=1) or COMMANDS
        raise ValueError(f"{command!r} is not a command; nearest: {', '.join(near)}")
    if command == "list":
        if rest:
            raise ValueError(f"list takes no words, got {rest[0]!r}; perhaps: show {rest[0]}")
        return _list()
    if not rest:
        raise ValueError("show needs the name of a task; `python -m tasks list` prints them")
    return _show(rest[0], _settings(rest[1:]))


def _settings(words: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise ValueError(f"{word!r} is not a setting; write it as field=value")
        if name in found:
            raise ValueError(f"{name} is given twice: {found[name]} and {value}")
        found[name] = value
    return found


def _list() -> Iterator[str]:
    from tasks import kinds, presets

    yield f"{'task':<20}{'ids':>7}{'length':>8}{'chance':>10}  what it asks"
    for kind, cls in kinds().items():
        task = cls()
        context = task.context
        size = context.num_inputs or context.input_dim
        yield f"{kind:<20}{size:>7}{context.length:>8}{task.chance:>10.4g}  {_about(task)}"
    yield ""
    yield f"{'published setting':<28}{'task':<20}source"
    for name in presets.names():
        preset = presets.find(name)
        yield f"{name:<28}{preset.value.kind:<20}{preset.paper}, {preset.section}"


def _about(task: Task) -> str:
    return (type(task).__doc__ or "").strip().splitlines()[0]


def _show(name: str, settings: dict[str, Any]) -> Iterator[str]:
    from tasks import make_task, presets

    task = make_task(name, **settings)
    context = task.context
    yield f"{task.kind}: {_about(task)}"
    if name in presets.names():
        preset = presets.find(name)
        yield f"{name}: {preset.paper}, {preset.section}; {preset.upstream}"
        yield from (f"  differs: {line}" for line in preset.differs)
    yield ""
    yield from _fields(task)
    yield ""
    ids = (f"{use} {_span(span)}" for use, span in task.vocabulary.items())
    yield f"vocabulary  {', '.join(ids)}"
    size = context.num_inputs or context.input_dim
    yield f"context     {size} ids, {context.length} positions, head {context.head}"
    floor = "" if task.floor is None else f"; shortcut floor {task.floor:.4g}"
    yield f"chance      {task.chance:.4g}{floor}"
    yield f"splits      {_splits(task)}"
    yield f"factors     {'; '.join(f'{k}: {v}' for k, v in task.factors.items())}"
    yield ""
    yield from _example(task)


def _span(ids: range) -> str:
    return str(ids.start) if len(ids) == 1 else f"{ids.start}-{ids.stop - 1}"


def _splits(task: Task) -> str:
    if not task.partitioned:
        return "train, validation, test: separate streams (contents are too many to meet)"
    size = math.log2(task.num_contents)
    return f"train, validation, test: each content in one of them only (2^{size:.1f} contents)"


def _fields(task: Task) -> Iterator[str]:
    rows = [("field", "value", "default", "limits", "")]
    for name, field in type(task).model_fields.items():
        value, default = getattr(task, name), field.default
        rows.append((name, str(value), str(default), _limits(field), field.description or ""))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[4]]).rstrip()


def _limits(field: FieldInfo) -> str:
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


def _example(task: Task) -> Iterator[str]:
    batch = task.generate([0])
    num = batch.inputs.shape[1]
    shown = (
        list(range(num)) if num <= SHOWN else [*range(SHOWN // 2), *range(num - SHOWN // 2, num)]
    )
    targets = [
        str(y) if scored else "."
        for y, scored in zip(batch.targets[0].tolist(), batch.mask[0].tolist(), strict=True)
    ]
    inputs = [str(x) for x in batch.inputs[0].tolist()]
    wide = max(len(str(num)), *(max(len(inputs[t]), len(targets[t])) for t in shown)) + 1
    per_line = (WIDTH - 10) // wide
    skipped = "" if num <= SHOWN else f" (first and last {SHOWN // 2} of {num} positions)"
    factors = ", ".join(f"{name}={column[0]}" for name, column in batch.factors.items())
    yield f"example 0 of train{skipped}: {factors}"
    for start in range(0, len(shown), per_line):
        line = shown[start : start + per_line]
        yield ""
        yield "position  " + "".join(str(t).rjust(wide) for t in line)
        yield "input     " + "".join(inputs[t].rjust(wide) for t in line)
        yield "target    " + "".join(targets[t].rjust(wide) for t in line)


if __name__ == "__main__":
    sys.exit(main())
