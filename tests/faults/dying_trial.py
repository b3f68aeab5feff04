"""A trial of an archive whose driver dies just before and just after every write of it.

    python dying_trial.py OUT STORAGE

Prints a line of JSON for each life: how it ended, then what the next one found and left: trials
that were recalled, and the states of all that Optuna has.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from pathlib import Path

import optuna
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from sweeps.archive import Archive
from sweeps.axes import RATE
from sweeps.search import rate_only
from sweeps.storage import open_storage
from sweeps.trial import TUNING_SEED, Trial
from tests.sweeps.small import experiment

SPACE = rate_only(experiment())


def try_one(folder: Path, word: str, fatal: int) -> tuple[list[int], list[str]]:
    """Recall, then a trial from its beginning to its end, with a death at a touch on the way."""
    touches = itertools.count(1)

    def touch(*_: object) -> None:
        if next(touches) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def see(name: str, args: tuple[object, ...]) -> None:
        if name == "open" and str(args[0]).endswith(".journal"):
            touch()

    with open_storage(word, folder) as storage:
        kept = Archive(storage, "arm", SPACE)
        found = sorted(kept.recall())
        if fatal:
            sys.addaudithook(see)
            event.listen(Engine, "commit", touch)
            event.listen(Session, "after_commit", touch)
        number = len(found)
        kept.begin(number, {RATE: 1e-2})
        kept.end(Trial(number, {RATE: 1e-2}, TUNING_SEED, 0.5, "finished"))
        study = optuna.load_study(study_name="arm", storage=storage)
        return found, [trial.state.name for trial in study.get_trials()]


def main(out: Path, word: str) -> None:
    for fatal in itertools.count(1):
        folder = out / str(fatal)
        folder.mkdir(parents=True)
        with open_storage(word, folder) as storage:
            Archive(storage, "arm", SPACE)
        child = os.fork()
        if child == 0:
            try_one(folder, word, fatal)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(json.dumps([status, *try_one(folder, word, 0)]), flush=True)
        if status == 0:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
