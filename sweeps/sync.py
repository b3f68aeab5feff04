"""`python -m sweeps.sync [out] [uri=...]`: what MLflow did not take while it was away."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from sweeps.address import Place, default_uri, masked, prepare_environment, public, user_place
from sweeps.leftover import Spooled, is_live, left, read, replaying, restore
from sweeps.program import FAULT, Fault, run_program, say, show
from sweeps.tracked import Store
from sweeps.words import WordError, nearest, split

USAGE = """\
usage: python -m sweeps.sync [out] [uri=ADDRESS]

Write to MLflow what is left in out/mlflow-spool: what a study said while MLflow was away, or before
it was killed. Nothing is written twice, and only what is written is removed.

  out            the output folder of the study (out)
  uri=ADDRESS    where to, like http://127.0.0.1:5000 or sqlite:////path/mlflow.db; by default
                 MLFLOW_TRACKING_URI, else where the study would have written

exit codes: 0 done, 1 MLflow is away or a file is damaged, 2 what you can fix, 130 interrupted
"""
TELL_EVERY = 10.0  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """The program. Returns its exit code."""
    from zoo._guard import guard

    guard()
    return run_program(_main, sys.argv[1:] if arguments is None else arguments, USAGE)


def _main(arguments: list[str]) -> int:
    folders = [a for a in arguments if "=" not in a]
    words = {w.key: w.value for w in split(a for a in arguments if "=" in a)}
    for key in words:
        if key not in ("out", "uri"):
            raise WordError(f"unknown word {key!r}; {nearest(key, ('out', 'uri'))}")
    folders += [words["out"]] if "out" in words else []
    if len(folders) > 1:
        raise WordError(f"one output folder at a time, not {' and '.join(folders)}")
    root = Path(*folders or ["out"])
    if not root.is_dir():
        raise WordError(f"{root}: no such folder; name the output folder of a study")
    uri = words.get("uri")
    if uri is not None and "://" not in uri and not uri.startswith("databricks"):
        raise WordError(f"uri={masked(uri)}: no address; like http://127.0.0.1:5000")
    return Sync(root, uri or os.environ.get("MLFLOW_TRACKING_URI") or None).run()


class Sync:
    """One pass over the spools of an output folder."""

    def __init__(self, root: Path, uri: str | None) -> None:
        prepare_environment()
        self._root, self._uri = root, uri
        self._stores: dict[tuple[str, str | None], Store] = {}
        self._away: dict[Store, str] = {}  # and what it said
        self._runs = self._points = self._damaged = self._files = self._left = 0
        self._told = time.monotonic()

    def run(self) -> int:
        """Returns: the exit code. Raises: Fault where a store is away."""
        if not left(self._root):
            show(f"nothing is left to write in {self._root}")
            return 0
        with replaying(self._root):
            for _, group in groupby(left(self._root), lambda path: path.name.partition("-")[0]):
                self._study(list(group))
        if self._files:
            show(f"written: {_count(self._points, 'new point')} in {_count(self._runs, 'run')}")
        if self._away:
            raise Fault(
                f"MLflow: {'; '.join(self._away.values())}; {_count(self._left, 'file')} left,"
                f" nothing is lost: the same command goes on from here"
            )
        return FAULT if self._damaged or self._left else 0

    def _study(self, paths: list[Path]) -> None:
        if any(is_live(path) for path in paths):
            say(f"{read(paths[0]).study}: it is running, and writes what it can; sync it later")
            return
        for path in paths:
            self._file(read(path))

    def _file(self, spooled: Spooled) -> None:
        if spooled.damaged:
            self._damaged += 1
            kept = self._uri or spooled.place
            say(
                f"warning: {spooled.path}: {spooled.damaged} of {_count(spooled.lines, 'line')}"
                f" cannot be read; {KEPT if kept else NOWHERE}"
            )
            if not kept:
                return
        store = self._store(spooled.place or Place())
        if store in self._away:
            self._left += 1
            return
        before = self._runs
        try:
            restore(spooled, store, self._tell)
            self._files += 1
        except Exception as error:  # whatever it is, the other spools are tried
            self._left += 1
            line = f"{public(store.uri)} cannot be written ({type(error).__name__}: {error})"
            if self._runs == before:
                self._away[store] = masked(line)[:300]
            else:  # a run of the file is refused, not the store away
                say(f"warning: {spooled.path}: {masked(line)[:300]}")

    def _store(self, place: Place) -> Store:
        from sweeps.mlflow_store import MlflowStore

        meant = place.uri or default_uri(self._root)
        uri = self._uri or meant
        experiment = user_place().experiment or place.experiment
        if (uri, experiment) not in self._stores:
            self._stores[uri, experiment] = MlflowStore(self._root.resolve(), uri, experiment)
            if public(uri) != meant:
                say(f"note: meant for {meant}, goes to {public(uri)}")
        return self._stores[uri, experiment]

    def _tell(self, num_points: int) -> None:
        self._runs += 1
        self._points += num_points
        if time.monotonic() - self._told >= TELL_EVERY:
            self._told = time.monotonic()
            say(f"{_count(self._points, 'new point')} in {_count(self._runs, 'run')} so far")


KEPT = "the rest is written, and the file kept as *.damaged"
NOWHERE = "so it is not known where the rest belongs: say uri=ADDRESS"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


if __name__ == "__main__":
    sys.exit(main())
