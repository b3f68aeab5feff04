"""Where a run is, and who works on it: what others read in its progress file. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.progress_file import NAME, parsed

ENDS = 2**14  # bytes at the end of the file that are looked at
WINDOW = 60  # lines that the speed is taken from: half a minute


@dataclass(frozen=True)
class Whereabouts:
    """What the file says of a run, as far as it does."""

    step: int = 0
    taken: int = 0  # steps since it was begun, or gone on with
    rate: float | None = None  # steps per second, of late
    at: float | None = None  # seconds since 1970
    pid: int | None = None
    host: str = ""
    scores: tuple[tuple[str, str, str, float | None], ...] = ()  # split, slice, metric, value

    def validation(self, metric: str) -> float | None:
        """The last score of the whole validation split."""
        wanted = ("validation", "all", metric)
        return next((value for *place, value in self.scores if tuple(place) == wanted), None)


def whereabouts(run: Path) -> Whereabouts:
    """Where a run is and who works on it; where its checkpoint is, if nobody does."""
    return _told(run) or Whereabouts(step=_saved(run))


def _saved(run: Path) -> int:
    """The step of the newest checkpoint that can be gone on from."""
    states = sorted((run / "checkpoint").glob("[0-9]*/state.json"), reverse=True)
    return next((step for path in states if (step := _step(path)) is not None), 0)


def _step(path: Path) -> int | None:
    """What a checkpoint says; None: it is damaged, or the weights of the end."""
    try:
        return int(parsed(path.read_bytes())["step"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _told(run: Path) -> Whereabouts | None:
    """From the two ends of the file."""
    try:
        data = (run / NAME).read_bytes()
        rows = data[: data.rfind(b"\n") + 1]
        lines = [line for row in _ends(rows) if isinstance(line := parsed(row), dict)]
        steps = [line for line in lines if "scores" not in line]
        if not lines:
            return None
        return Whereabouts(
            step=int(lines[-1]["step"]),
            taken=int(lines[-1]["step"]) - int(lines[0]["step"]) + 1,
            rate=_rate(steps[-WINDOW:]),
            at=float(steps[-1]["at"]) if steps else None,
            pid=lines[0].get("pid"),
            host=str(lines[0].get("host", "")),
            scores=_last_scores(rows),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _ends(rows: bytes) -> list[bytes]:
    """The first line and the last ones: a file of days has hundreds of thousands."""
    first, _, rest = rows.partition(b"\n")
    tail = rest[-ENDS:] if len(rest) <= ENDS else rest[-ENDS:].partition(b"\n")[2]
    return [first, *tail.splitlines()]


def _rate(steps: list[dict[str, Any]]) -> float | None:
    if len(steps) < 2 or steps[-1]["at"] <= steps[0]["at"]:
        return None
    return (steps[-1]["step"] - steps[0]["step"]) / (steps[-1]["at"] - steps[0]["at"])


def _last_scores(rows: bytes) -> tuple[tuple[str, str, str, float | None], ...]:
    at = rows.rfind(b'"scores"')
    if at < 0:
        return ()
    line = parsed(rows[rows.rfind(b"\n", 0, at) + 1 :].partition(b"\n")[0])
    return tuple(
        (str(split), str(part), str(metric), None if value is None else float(value))
        for split, part, metric, value in line["scores"]
    )
