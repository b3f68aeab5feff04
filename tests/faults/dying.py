"""A search that dies at its n-th touch of a file, and is begun again.

    python dying.py OUT STORAGE N ...

Everything is imported once; each life of a driver is a fork. What a database does to its file no
audit tells: just before and just after a commit are touches as well. Touch 0 is none: it lives.
OUT/0 is the search that nothing happened to; OUT/N died at touch N, then the same command went on.
Prints how many touches a whole life has, then what ended each first and second life, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import optuna  # noqa: F401  here once, not in every fork
import torch
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from sweeps import study
from sweeps.configuration import make_plan
from sweeps.launch import launch
from sweeps.track import NoTracker

SEARCH = [
    *("base=all-on", "task=selective-copying", "task.length=16", "width=8", "depth=1", "steps=12"),
    *("train.num_eval=16", "train.eval_every=6", "train.checkpoint_every=0", "batch_size=4"),
    *("search=lr,dropout", "trials=4", "seeds=1"),
]
TOUCHES = ("open", "os.rename", "os.remove", "os.mkdir", "sqlite3.connect")


def live(out: Path, storage: str, fatal: int) -> tuple[int, int]:
    """One life of the driver: (how it ended, as `os.wait` says, touches until then)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _search(out, storage, fatal, writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        touches = pipe.read()
    return os.waitpid(child, 0)[1], len(touches)


def _search(out: Path, storage: str, fatal: int, pipe: int) -> None:
    """In the fork; never returns."""
    touched, here = 0, str(out)

    def touch(*_: object) -> None:
        nonlocal touched
        touched += 1
        os.write(pipe, b".")
        if touched == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def see(name: str, args: tuple[object, ...]) -> None:
        if name in TOUCHES and args and str(args[0]).startswith(here):
            touch()

    sys.addaudithook(see)
    event.listen(Engine, "commit", touch)
    event.listen(Session, "after_commit", touch)
    code = 1
    try:
        plan, options = make_plan([*SEARCH, f"storage={storage}", f"out={out}"], "dying")
        with Path(os.devnull).open("w") as sys.stderr:
            code = int(bool(launch(plan, options).missing))
    finally:
        os._exit(code)


def main(words: Sequence[str]) -> None:
    study.Tracker = lambda *_: NoTracker()  # type: ignore[misc, assignment]
    torch.set_num_threads(1)
    root, storage = Path(words[0]), words[1]
    print(json.dumps(live(root / "0", storage, 0)), flush=True)
    for fatal in map(int, words[2:]):
        out = root / str(fatal)
        first, second = live(out, storage, fatal), live(out, storage, 0)
        print(json.dumps([fatal, first[0], second[0]]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
