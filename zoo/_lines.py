"""What the small programs print: to a reader that may leave early, as `head` does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable


def print_lines(lines: Iterable[str]) -> None:
    """Print them; a reader that has gone is no fault."""
    try:
        sys.stdout.write("\n".join([*lines, ""]))
        sys.stdout.flush()
    except BrokenPipeError:  # and nothing more when Python closes its output at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
