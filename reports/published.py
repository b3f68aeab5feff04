"""Published figures, as data: what was reported of which system, where, and how sure that is.

They come from other hardware, data and code, so no table mixes them with runs of this code: they
stand apart, below a rule, and are labelled. A figure from memory is never returned unless it is
asked for, and then says so wherever it is shown.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "data" / "published.toml"
STATUSES = {
    "source": "read in the authors' files",
    "text": "read in a text of the paper, or in another paper's table",
    "memory": "from memory, not confirmed",
}
UNITS = {"percent": -2, "fraction": 0, "perplexity": 0}  # powers of ten


@dataclass(frozen=True)
class PublishedRow:
    """One figure."""

    table: str  # of the file
    system: str
    variant: str  # what was changed; "": nothing
    task: str
    setting: str
    metric: str
    value: float
    digits: str  # the value as it was published
    unit: str
    paper: str
    where: str
    status: str
    about: float = 0.0  # how far a figure that was read off a plot may be off

    @property
    def label(self) -> str:
        """Who it is about, and that it is not confirmed where it is not."""
        name = ", ".join(part for part in (self.system, self.variant) if part)
        return name if self.status != "memory" else f"{name} ({STATUSES['memory']})"

    @property
    def scaled(self) -> float:
        """The figure as this code scores: a percentage as a fraction."""
        return float(self._exact)

    @property
    def shown(self) -> str:
        """The digits that were published, as this code scores: 88.92 % is 0.8892."""
        return f"{'≈ ' if self.about else ''}{self._exact:f}"

    @property
    def source(self) -> str:
        """The paper, where in it, and how it was read."""
        return f"{self.paper} ({self.where}; {STATUSES[self.status]})"

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller figure is the better one."""
        return self.unit == "perplexity"

    @property
    def about_what(self) -> str:
        """Task and setting."""
        return f"{self.task} ({self.setting})" if self.setting else self.task

    @property
    def _exact(self) -> Decimal:
        return Decimal(self.digits).scaleb(UNITS[self.unit])


@dataclass(frozen=True)
class Pick:
    """Rows of one table that stand below the outcome of a suite, and what they are changes of."""

    rows: tuple[PublishedRow, ...]
    baseline: PublishedRow | None = None


def rows(
    *,
    task: str | None = None,
    system: str | None = None,
    suite: str | None = None,
    metric: str | None = None,
    memory: bool = False,
) -> tuple[PublishedRow, ...]:
    """The figures that are about all of what is given, in the file's order.

    memory      also those that are from memory, not confirmed
    """
    wanted = {"task": task, "system": system, "metric": metric}
    asked = {name: value for name, value in wanted.items() if value is not None}
    found = all_rows() if suite is None else _of_suite(suite)
    return tuple(
        row
        for row in found
        if (memory or row.status != "memory")
        and all(getattr(row, name) == value for name, value in asked.items())
    )


def figure(table: str, key: str) -> PublishedRow:
    """One figure of a table that has one column, from memory or not. Raises: KeyError."""
    for row in all_rows():
        if row.table == table and _key(row) == key:
            return row
    raise KeyError(f"{table}: {key}")


def picks(suite: str, *, memory: bool = False) -> tuple[Pick, ...]:
    """The rows of a suite, table by table, with their baseline; () for one that has none."""
    found = []
    for pick in _suites().get(suite, []):
        own = tuple(
            row
            for row in all_rows()
            if row.table == pick["table"]
            and _key(row) in pick.get("only", [_key(row)])
            and (memory or row.status != "memory")
        )
        if own:
            found.append(Pick(own, _baseline(pick["baseline"], own[0])))
    return tuple(found)


def _baseline(name: str, row: PublishedRow) -> PublishedRow | None:
    """The row of that name which is of the same paper, task, setting and metric."""
    same = ("paper", "task", "setting", "metric")
    alike = (r for r in all_rows() if all(getattr(r, f) == getattr(row, f) for f in same))
    return next((other for other in alike if _key(other) == name), None)


def suites() -> tuple[str, ...]:
    """The suites that something was published on."""
    return tuple(_suites())


@cache
def all_rows() -> tuple[PublishedRow, ...]:
    """Every figure of the file, those from memory too."""
    return tuple(row for table in _read()["tables"] for row in _rows_of(table))


def _rows_of(table: dict[str, Any]) -> Iterator[PublishedRow]:
    shared = {name: table[name] for name in ("metric", "unit", "paper", "where", "status")}
    columns = _columns(table)
    for key, values in table["rows"].items():
        who = {"system": table.get("system", key), "variant": key if "system" in table else ""}
        values = values if isinstance(values, list) else [values]
        for (task, setting), value in zip(columns, values, strict=True):
            if math.isfinite(value):
                yield PublishedRow(
                    table=table["name"],
                    task=task,
                    setting=setting,
                    value=float(value),
                    digits=str(value),
                    about=float(table.get("about", 0)),
                    **who,
                    **shared,
                )


def _columns(table: dict[str, Any]) -> list[tuple[str, str]]:
    """(task, setting) of each column."""
    setting = table.get("setting", "")
    if "tasks" in table:
        return [(task, setting) for task in table["tasks"]]
    return [(table["task"], each) for each in table.get("settings", [setting])]


def _key(row: PublishedRow) -> str:
    return row.variant or row.system


def _of_suite(suite: str) -> tuple[PublishedRow, ...]:
    return tuple(row for pick in picks(suite, memory=True) for row in pick.rows)


def _suites() -> dict[str, list[dict[str, Any]]]:
    return _read()["suites"]


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"), parse_float=Decimal)
