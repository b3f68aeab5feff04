"""The record of a study: what its files hold, how they are written, how they are read back.

    out/<study>/plan.json, results.parquet, trials.parquet, provenance.json (if any)
    out/runs/<fingerprint>/result.json, curve.parquet, kernels.npz

polars and numpy only: a report needs neither torch nor the code that trained.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sweeps.atomic import inside, slug, write_bytes, write_text

SCHEMA: dict[str, Any] = {
    "study": pl.String,
    "base": pl.String,
    "arm": pl.String,
    "changed": pl.String,
    "settings": pl.String,
    "trial": pl.Int64,  # number of the chosen tuning trial; null: not tuned
    "lr": pl.Float64,
    "seed": pl.Int64,
    "task": pl.String,
    "split": pl.String,
    "slice": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "status": pl.String,
    "fingerprint": pl.String,
    "parameters": pl.Int64,
    "state_bytes": pl.Int64,
    "steps": pl.Int64,
    "seconds": pl.Float64,
    "device": pl.String,
}
LOWER_IS_BETTER = ("loss", "bits", "rmse", "nrmse", "kl_bits", "total_variation", "excess_loss")
KEY = ("arm", "seed", "split", "slice", "metric")  # what one row is about
TRIALS: dict[str, Any] = {
    "arm": pl.String,
    "number": pl.Int64,
    "parameters": pl.String,  # JSON: {"train.lr": 0.003}
    "seed": pl.Int64,
    "value": pl.Float64,
    "state": pl.String,
    "costs": pl.String,  # JSON: {"state_bytes": 2048}, of a search for several things
    "steps": pl.Int64,
    "seconds": pl.Float64,
    "reason": pl.String,  # why it was not finished
}
LATER = ("costs", "steps", "seconds", "reason")  # columns that a record of before does not have
CURVE: dict[str, Any] = {
    "step": pl.Int64,
    "split": pl.String,
    "slice": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
}
CURVES: dict[str, Any] = {"arm": pl.String, "seed": pl.Int64, **CURVE}
RUNS: dict[str, Any] = {
    "arm": pl.String,
    "seed": pl.Int64,
    "fingerprint": pl.String,
    "status": pl.String,
    "steps": pl.Int64,
    "seconds": pl.Float64,
    "still_improving": pl.Boolean,
    "resumed_from": pl.String,  # steps, joined by spaces
    "code": pl.String,
    "device": pl.String,
}
STATUSES = ("finished", "diverged", "out-of-memory", "timeout", "killed", "failed")
NO_ARRAYS = (ValueError, OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)
REQUIRED = ("study", "arms", "primary", "seeds")
Rows = pl.DataFrame | Iterable[Mapping[str, Any]]
Kernels = dict[str, np.ndarray]  # "initial/<module path>", "final/<module path>": (channels, taps)

__all__ = [
    "CURVE",
    "CURVES",
    "KEY",
    "LATER",
    "RUNS",
    "SCHEMA",
    "STATUSES",
    "TRIALS",
    "Missing",
    "Study",
    "read_plan",
    "read_study",
    "slug",
    "write_bytes",
    "write_curve",
    "write_results",
    "write_text",
    "write_trials",
]


def merit(metric: str, value: float) -> float:
    """The value, negated where less is better: of two the larger is the better."""
    return -value if metric in LOWER_IS_BETTER else value


@dataclass(frozen=True)
class Missing:
    """A planned run that has no result, and why: an entry of missing.json."""

    label: str
    fingerprint: str
    status: str
    reason: str


@dataclass(frozen=True)
class Study:
    """A study as it is on disk, finished or not."""

    directory: Path
    plan: dict[str, Any]
    results: pl.DataFrame  # SCHEMA
    trials: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TRIALS))
    curves: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CURVES))
    runs: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RUNS))
    kernels: dict[str, Kernels] = field(default_factory=dict)  # by arm: its first seed's
    provenance: dict[str, Any] = field(default_factory=dict)
    searched: dict[str, Any] = field(default_factory=dict)  # by arm: search.json


def write_results(path: str | os.PathLike[str], rows: Rows) -> None:
    """Replace results.parquet. Raises: ValueError on a foreign column, status or a double row."""
    frame = _conform(rows, SCHEMA, "results")
    unknown = sorted({str(s) for s in frame["status"].unique()} - set(STATUSES))
    if unknown:
        raise ValueError(f"results: status {unknown[0]!r}; one of {', '.join(STATUSES)}")
    double = frame.filter(frame.select(KEY).is_duplicated())
    if len(double):
        raise ValueError(f"results: two rows for {double.select(KEY).row(0, named=True)}")
    _write_parquet(path, frame)


def write_trials(path: str | os.PathLike[str], rows: Rows) -> None:
    """Replace trials.parquet."""
    _write_parquet(path, _conform(rows, TRIALS, "trials"))


def write_curve(path: str | os.PathLike[str], rows: Rows) -> None:
    """Replace a run's curve.parquet."""
    _write_parquet(path, _conform(rows, CURVE, "curve"))


def read_study(directory: str | os.PathLike[str]) -> Study:
    """Everything that the files of a study say; what a run has not written yet is left out.

    Raises: ValueError, one line, where there is no study or a file does not hold what it should.
    """
    directory = Path(directory)
    plan = read_plan(directory / "plan.json")
    results = _read_parquet(directory / "results.parquet", SCHEMA)
    names = [arm["name"] for arm in plan["arms"]]
    strangers = sorted(set(results["arm"]) - set(names))
    if strangers:
        raise ValueError(f"{directory}: results of {strangers[0]!r}, which plan.json does not name")
    provenance = _read_json(directory / "provenance.json", {})
    found = _read_runs(results, directory.parent / "runs", provenance=not provenance)
    trials = directory / "trials.parquet"
    return Study(
        directory=directory,
        plan=plan,
        results=results,
        trials=_read_parquet(trials, TRIALS) if trials.exists() else pl.DataFrame(schema=TRIALS),
        curves=found.curves,
        runs=found.runs,
        kernels=found.kernels,
        provenance=provenance or found.provenance,
        searched=_read_json(directory / "search.json", {}),
    )


@dataclass
class _Found:
    curves: pl.DataFrame
    runs: pl.DataFrame
    kernels: dict[str, Kernels]
    provenance: dict[str, Any]


def _read_runs(results: pl.DataFrame, root: Path, *, provenance: bool) -> _Found:
    """What the folders of the runs hold; provenance: of the first that has one, if asked for."""
    columns = ("arm", "seed", "fingerprint", "status", "steps", "seconds", "device")
    unique = results.unique(("arm", "seed"), maintain_order=True).select(columns)
    curves: dict[Path, tuple[str, int]] = {}
    runs: list[dict[str, Any]] = []
    kernels: dict[str, Kernels] = {}
    origin: dict[str, Any] = {}
    for row in unique.iter_rows(named=True):
        folder, files = _run_files(root, row["fingerprint"])
        result = _read_json(folder / "result.json", {}) if "result.json" in files else {}
        resumed = " ".join(str(step) for step in result.get("resumed_from") or ())
        code = (result.get("identity") or {}).get("code")
        extra = {"still_improving": result.get("still_improving"), "code": code}
        runs.append({**row, **extra, "resumed_from": resumed})
        if "curve.parquet" in files:
            curves[folder / "curve.parquet"] = row["arm"], row["seed"]
        if row["arm"] not in kernels and "kernels.npz" in files:
            kernels[row["arm"]] = _read_arrays(folder / "kernels.npz")
        if provenance and not origin and "provenance.json" in files:
            origin = _read_json(folder / "provenance.json", {})
    return _Found(_read_curves(curves), pl.DataFrame(runs, schema=RUNS), kernels, origin)


def _run_files(root: Path, fingerprint: str | None) -> tuple[Path, Sequence[str]]:
    """A run's folder and the names in it; none where it has no folder."""
    if not fingerprint:
        return root, ()
    folder = root / fingerprint
    if not (fingerprint.isascii() and fingerprint.isalnum()) or folder.is_symlink():
        folder = inside(root, fingerprint)
    try:
        return folder, os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return folder, ()


def _read_curves(paths: Mapping[Path, tuple[str, int]]) -> pl.DataFrame:
    """The curves of all runs: CURVES. At once, which takes a tenth of the time, or one by one."""
    if not paths:
        return pl.DataFrame(schema=CURVES)
    try:
        whole = pl.scan_parquet([*paths], include_file_paths="path", glob=False).collect()
        found = whole.select("path", *CURVE).cast(pl.Schema({"path": pl.String, **CURVE}))
    except pl.exceptions.PolarsError:  # not all are alike: which one is it?
        parts = [_read_parquet(path, CURVE).select(pl.lit(str(path)).alias("path"), "*")
                 for path in paths]  # fmt: skip
        found = pl.concat(parts)
    rows = [(str(path), *who) for path, who in paths.items()]
    runs = pl.DataFrame(rows, schema={"path": pl.String, "arm": pl.String, "seed": pl.Int64},
                        orient="row")  # fmt: skip
    return found.join(runs, on="path", how="left", maintain_order="left").select(*CURVES)


def _conform(rows: Rows, schema: dict[str, Any], what: str) -> pl.DataFrame:
    """The rows as a frame with exactly the schema's columns, in its order."""
    if not isinstance(rows, pl.DataFrame):
        rows = list(rows)
        given = {name for row in rows for name in row} if rows else set(schema)
    else:
        given = set(rows.columns)
    later = LATER if schema is TRIALS else ()
    if isinstance(rows, pl.DataFrame):
        rows = rows.with_columns(pl.lit(None).alias(name) for name in later if name not in given)
    foreign, missing = sorted(given - set(schema)), [n for n in schema if n not in {*given, *later}]
    if foreign or missing:
        parts = [f"unknown column {n!r}" for n in foreign] + [f"no column {n!r}" for n in missing]
        raise ValueError(f"{what}: {', '.join(parts)}; the columns are {' '.join(schema)}")
    try:
        frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, schema=schema)
        return frame.select(*schema).cast(pl.Schema(schema))
    except (pl.exceptions.PolarsError, TypeError) as error:
        line = str(error).splitlines()[0]
        raise ValueError(f"{what}: a value has the wrong type: {line}") from None


def _write_parquet(path: str | os.PathLike[str], frame: pl.DataFrame) -> None:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    write_bytes(path, buffer.getvalue())


def _read_parquet(path: Path, schema: dict[str, Any]) -> pl.DataFrame:
    if not path.exists():
        raise ValueError(f"{path.parent}: no {path.name}; run the study's command first")
    try:
        return _conform(pl.read_parquet(path.read_bytes()), schema, str(path))
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path}: not a parquet file ({str(error).splitlines()[0]})") from None


def read_plan(path: Path) -> dict[str, Any]:
    """plan.json, with what a reader relies on. Raises: ValueError, one line."""
    plan = _read_json(path, None)
    if plan is None:
        raise ValueError(f"{path.parent}: no plan.json; name the directory of a study, out/STUDY")
    missing = [name for name in REQUIRED if name not in plan]
    if missing or plan.get("schema", 1) != 1:
        what = f"no {missing[0]!r}" if missing else f"schema {plan['schema']!r}, this code reads 1"
        raise ValueError(f"{path}: {what}")
    names = [arm["name"] for arm in plan["arms"]]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{path}: {'two arms of one name' if names else 'no arms'}")
    return plan


def _read_json(path: Path, default: Any) -> Any:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return default
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: a JSON object was expected, got {type(value).__name__}")
    return value


def _read_arrays(path: Path) -> Kernels:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file.files}
    except NO_ARRAYS as error:
        raise ValueError(f"{path}: not an npz file of plain arrays ({error})") from None
