"""The files of a study, read without trust: what is damaged is told, and stands for nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from sweeps.results import read_plan
from sweeps.words import WordError

UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


@dataclass
class Files:
    """Those of one study.

    Args:
        directory: of the study.
        damages: a line for every file that could not be read.
    """

    directory: Path
    damages: list[str] = field(default_factory=list)

    def plan(self) -> dict[str, Any]:
        """plan.json, with what a reader relies on. Raises: WordError."""
        path = self.directory / "plan.json"
        try:
            plan = read_plan(path)
            said = [
                plan["study"],
                plan["primary"]["metric"],
                *(arm["name"] for arm in plan["arms"]),
            ]
            whole = all(isinstance(text, str) for text in said) and isinstance(plan["seeds"], list)
            plan["trials"] = int(plan.get("trials", 0))
        except OSError as error:
            raise WordError(f"{path}: {error.strerror}") from None
        except ValueError as error:
            raise WordError(str(error)) from None
        except (TypeError, KeyError, AttributeError):
            whole, plan = False, {}
        if not whole:
            raise WordError(f"{path}: not the plan of a study")
        return plan

    def json(self, name: str, default: Any) -> Any:
        """What a file holds, of the kind of `default`, which stands for none or a damaged one."""
        try:
            found = json.loads((self.directory / name).read_bytes())
        except FileNotFoundError:
            return default
        except (OSError, ValueError, RecursionError) as error:
            self.tell(name, getattr(error, "strerror", None) or "not JSON")
            return default
        if isinstance(found, type(default)):
            return found
        self.tell(name, "not what a study writes")
        return default

    def rows(self, name: str, columns: Sequence[str], keep: pl.Expr) -> Iterator[tuple[Any, ...]]:
        """Some columns of a table, of the rows that are to be kept."""
        path = self.directory / name
        if not path.exists():
            return
        try:
            found = pl.scan_parquet(path).filter(keep).select(*columns).collect()
        except UNREADABLE as error:
            self.tell(name, f"cannot be read ({str(error).splitlines()[0]})")
            return
        yield from found.iter_rows()

    def tell(self, name: str, what: str) -> None:
        """Something is wrong with a file."""
        self.damages.append(f"{self.directory / name}: {what}")
