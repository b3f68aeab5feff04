"""What every program does alike: help without heavy imports, exit codes, one line for a fault."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Sequence

from sweeps.words import WordError

USER, FAULT, INTERRUPTED = 2, 1, 130
HELP = ("-h", "--help", "help")


class Fault(Exception):
    """Something outside the program failed during a run: one line, exit code 1."""


def say(line: str) -> None:
    """A line for a person, on standard error."""
    sys.stderr.write(line.rstrip() + "\n")
    sys.stderr.flush()


def show(text: str) -> None:
    """What the program was asked for, on standard output."""
    sys.stdout.write(text.rstrip() + "\n")
    sys.stdout.flush()


def run_program(main: Callable[[list[str]], int], arguments: Sequence[str], usage: str) -> int:
    """Run `main` on the words; what a user can mend is one line and exit code 2.

    0 done, 1 a fault during a run, 2 what the user can fix before training, 130 interrupted.
    """
    # Before torch is imported: threads that wait by spinning take the cores from each other.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(arguments)
    if any(word in HELP for word in words):
        show(usage)
        return 0
    try:
        return main(words)
    except WordError as error:
        say(f"error: {_one_line(error)}")
        return USER
    except Fault as error:
        say(f"fault: {_one_line(error)}")
        return FAULT
    except BrokenPipeError:
        return FAULT
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except Exception as error:
        cause = _outside_cause(error)
        if cause is None:
            raise
        say(f"fault: {_one_line(cause)}; the same command goes on from here")
        return FAULT


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _outside_cause(error: BaseException | None) -> BaseException | None:
    """The operating system's or the database's complaint below an exception, if there is one."""
    while error is not None:
        if isinstance(error, OSError | sqlite3.Error | MemoryError):
            return error
        error = error.__cause__ or error.__context__
    return None
