"""A file of `python -m zoo.conv tune`: rows in place of shipped ones, or a reason to refuse it.

A row that does not fit would read out of bounds, or compute another transform: there is no message
at run time. So a file is checked whole, before any of its rows is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from math import prod
from pathlib import Path
from typing import Any

from zoo.conv.triton.configurations import Configuration, shipped

RADICES = ("N1", "N2", "N3")
TYPES = {
    **dict.fromkeys(("family", "role", "dots"), str),
    **dict.fromkeys(("length", "architecture", "warps", "stages"), int),
    "blocks": dict,
    "registers": int | None,
}
MOST_WARPS, MOST_STAGES = 32, 8
REGISTERS = range(24, 256)  # a thread's, on every GPU


def read(file: Path) -> list[Configuration]:
    """The rows of a file.

    Raises:  ValueError in one line for a file that is no such table, or that does not fit this
             version; OSError for one that cannot be read.
    """
    try:
        content = json.loads(file.read_text())
        found = [_row(row) for row in content["rows"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = str(error).replace("\n", " ") or type(error).__name__
        raise ValueError(f"{file}: not a table of `python -m zoo.conv tune` ({why})") from error
    for problem in _problems(found):
        raise ValueError(f"{file}: {problem}; tune again")
    return found


def write(found: list[Configuration]) -> dict[str, Any]:
    """What `read` reads."""
    return {"rows": [{**asdict(row), "blocks": dict(row.blocks)} for row in found]}


def in_force(own: list[Configuration]) -> tuple[Configuration, ...]:
    """The shipped rows, those of the file in place of those with the same key."""
    replaced = {row.key: row for row in own}
    return tuple(replaced.get(row.key, row) for row in shipped())


def _row(given: Any) -> Configuration:
    """A row of the right fields, of the right types."""
    if not isinstance(given, dict):
        raise TypeError(f"{given!r} is not a row")
    for each in fields(Configuration):
        value, wanted = given[each.name], TYPES[each.name]
        if isinstance(value, bool) or not isinstance(value, wanted):
            raise TypeError(f"{each.name}={value!r} is no {getattr(wanted, '__name__', wanted)}")
    for name, size in given["blocks"].items():
        if type(size) is not int:
            raise TypeError(f"{name}={size!r} is no int")
    return Configuration(**given)


def _problems(found: list[Configuration]) -> Iterator[str]:
    """What is wrong with rows: each alone first, then all together."""
    known = {row.key: row for row in shipped()}
    keys = [row.key for row in found]
    for row in found:
        if row.key not in known:
            yield f"no kernel has the row {row}"
            return
        if keys.count(row.key) > 1:
            yield f"{row} is there twice"
        yield from (f"{row}: {why}" for why in _misfits(row, known[row.key]))
    yield from _clashes(in_force(found))


def _misfits(row: Configuration, of: Configuration) -> Iterator[str]:
    """Where a row is not of the form of the shipped one."""
    if set(row.blocks) != set(of.blocks):
        yield f"blocks {', '.join(row.blocks)} in place of {', '.join(of.blocks)}"
        return
    for name, size in row.blocks.items():
        least = 1 if name == "N2" else 16  # of a side of a product of tensor cores
        if size < least or size & (size - 1):
            yield f"{name}={size} is no power of two from {least}"
    if "N1" in of.blocks and _points(row) != _points(of):
        yield f"N1 N2 N3 is {_points(row)}, not {_points(of)}"
    if not 1 <= row.warps <= MOST_WARPS or row.warps & (row.warps - 1):
        yield f"warps={row.warps} is no power of two up to {MOST_WARPS}"
    if not 1 <= row.stages <= MOST_STAGES:
        yield f"stages={row.stages} is not from 1 to {MOST_STAGES}"
    if row.registers is not None and row.registers not in REGISTERS:
        yield f"registers={row.registers} is not from {REGISTERS[0]} to {REGISTERS[-1]}"


def _points(row: Configuration) -> int:
    return prod(row.blocks[name] for name in RADICES)


def _clashes(rows: tuple[Configuration, ...]) -> Iterator[str]:
    """Rows that must agree: what one kernel writes another reads."""
    orders: dict[Any, Configuration] = {}
    for row in (row for row in rows if "N1" in row.blocks):
        kind = row.family, row.length, row.dots, row.architecture
        other = orders.setdefault(kind, row)
        if any(row.blocks[name] != other.blocks[name] for name in RADICES):
            yield f"{row} and {other} have different N1, N2, N3"
    for row in (row for row in rows if "COLUMNS" in row.blocks):
        kind = row.family, row.dots, row.architecture
        line = min(
            _points(r) for r in orders.values() if (r.family, r.dots, r.architecture) == kind
        )
        if row.blocks["COLUMNS"] > line:
            yield f"{row}: COLUMNS={row.blocks['COLUMNS']} are more than a line has, {line}"
