"""`python -m sweeps.status out/STUDY`: how far a study is, from its files, wherever it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.program import FAULT, run_program, say

if TYPE_CHECKING:
    from sweeps.survey import Survey

USAGE = """\
usage: python -m sweeps.status [out | out/STUDY] [WORD ...]

How far a study is, running or not: who runs it, runs per arm, what is missing and why, the best
so far, time left, and how to open MLflow and optuna-dashboard. For a folder of studies: a line
for each.

  watch=SECONDS              again and again, until the study is over
  runs=yes                   list every run that has ended

exit codes: 0 done, 1 some files are damaged, 2 what you can fix, 130 interrupted
"""
WORDS = ("watch", "runs")


def main(arguments: Sequence[str] | None = None) -> int:
    """The program. Returns its exit code."""
    from zoo._guard import guard

    guard()
    return run_program(_main, sys.argv[1:] if arguments is None else arguments, USAGE)


def _main(arguments: list[str]) -> int:
    from sweeps.options import amount, yes_no
    from sweeps.words import WordError, nearest, split

    typed = [a for a in arguments if "=" in a.partition("/")[0]]  # a folder's name may have one
    words = {w.key: w.value for w in split(typed)}
    folders = [a for a in arguments if a not in typed]
    for key in words:
        if key not in WORDS:
            raise WordError(f"unknown word {key!r}; {nearest(key, WORDS)}")
    if len(folders) > 1:
        raise WordError("name one folder: of a study, or of all of them; see --help")
    folder, pause = Path(folders[0] if folders else "out"), amount(words, "watch")
    runs = bool(yes_no(words, "runs"))
    while True:
        studies, damages = look(folder)
        _show(folder, studies, runs=runs, again=pause is not None)
        for damage in damages:
            say(f"damaged: {damage}")
        if pause is None or all(study.state != "running" for study in studies):
            return FAULT if damages else 0
        time.sleep(pause)


def look(folder: Path) -> tuple[list[Survey], list[str]]:
    """The study that is in the folder, or all those below it; and what is damaged.

    Raises: WordError where there is none.
    """
    from sweeps.survey import survey
    from sweeps.words import WordError

    if (folder / "plan.json").exists():
        found = survey(folder)
        return [found], list(found.damages)
    studies, damages = [], []
    for plan in _plans(folder):
        try:
            found = survey(plan.parent)
        except WordError as error:
            damages.append(str(error))
            continue
        studies.append(found)
        damages += found.damages
    return studies, damages


def _plans(folder: Path) -> list[Path]:
    from sweeps.words import WordError

    try:
        plans = sorted(path / "plan.json" for path in folder.iterdir())
        found = [path for path in plans if path.exists()]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WordError(f"{folder}: {reason}; name a study, out/STUDY") from None
    if not found:
        what = "a run's folder" if (folder / "experiment.json").exists() else "no study in it"
        raise WordError(f"{folder}: {what}; name a study, out/STUDY, or the folder of all of them")
    return found


def _show(folder: Path, studies: Sequence[Survey], *, runs: bool, again: bool) -> None:
    from sweeps.overview import listing, overview, runs_of
    from zoo._lines import print_lines

    terminal = sys.stdout.isatty()
    width = _columns() if terminal else None
    single = len(studies) == 1 and studies[0].directory == folder
    lines = overview(studies[0], width) if single else listing(studies, width)
    if runs:
        lines += [line for study in studies for line in ("", *runs_of(study))]
    if again:
        sys.stdout.write("\x1b[2J\x1b[H" if terminal else "\n")
    print_lines(lines)


def _columns() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns


if __name__ == "__main__":
    sys.exit(main())
