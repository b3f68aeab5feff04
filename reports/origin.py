"""Where the numbers of a report come from, as a reader is told: code, machine, command, time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from reports.formats import count, plural
from sweeps.results import Study

DIFF = "git_diff"  # {"sha256", "bytes", "text"}: its text is shown folded
LIBRARIES = ("seqzoo", "matplotlib", "polars", "scipy")  # that make a report


def flatten(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of a nested record with its dotted name."""
    for key, value in values.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict):
            yield from flatten(value, name)
        elif isinstance(value, list | tuple):
            yield name, " ".join(map(str, value))
        else:
            yield name, str(value)


def origin(study: Study) -> list[tuple[str, str]]:
    """Name and value of everything that is known about where a study comes from."""
    plan = study.plan
    found = {
        "study": str(plan["study"]),
        "command": str(plan.get("command", "")),
        "seeds": numbers(plan["seeds"]),
        "tuning seeds": numbers(plan.get("tuning_seeds") or ()),
        "time": time_of(study),
    }
    said = dict(study.provenance)
    if "command" in said and said["command"] == plan.get("command"):
        del said["command"]
    diff = said.pop(DIFF, None)
    found |= {name.replace("_", " "): _line(value) for name, value in said.items()}
    if isinstance(diff, dict):
        size = count(diff.get("bytes"))
        found["git diff"] = f"{size} bytes, sha256 {diff.get('sha256')}"
    return [(name, value) for name, value in found.items() if value]


def diff_of(study: Study) -> str:
    """The uncommitted changes to the code, "" where there were none or none were recorded."""
    diff = study.provenance.get(DIFF)
    return str(diff.get("text") or "") if isinstance(diff, dict) else ""


def time_of(study: Study) -> str:
    """Seconds of training, as they were measured: of the reported runs and of the tuning."""
    parts = []
    for noun, frame in (("run", study.runs), ("trial", study.trials)):
        seconds = frame["seconds"].drop_nulls()
        if len(seconds):
            parts.append(f"{duration(float(seconds.sum()))} in {plural(len(seconds), noun)}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """3.2 s, 5 min, 2 h 5 min"""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{count(hours)} h {rest} min" if hours else f"{minutes} min"


def report_versions() -> dict[str, str]:
    """Of what makes the report."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def record(sources: Sequence[Study], command: str) -> dict[str, Any]:
    """provenance.json of a report: its own command and versions, and all about its sources."""
    return {
        "report": {"command": command, "versions": report_versions()},
        "sources": [
            {
                "directory": study.directory.as_posix(),
                "study": study.plan["study"],
                "command": study.plan.get("command"),
                "arms": [arm["name"] for arm in study.plan["arms"]],
                "seeds": study.plan["seeds"],
                "time": time_of(study),
                "provenance": study.provenance,
            }
            for study in sources
        ],
    }


def numbers(values: Sequence[Any]) -> str:
    """0 to 5, or 0, 2, 7"""
    values = list(values)
    if len(values) > 2 and values == list(range(values[0], values[0] + len(values))):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values))


def _line(value: Any) -> str:
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    return ", ".join(f"{name} {text}" for name, text in flatten(value))
