"""A file that says what was run must still say it: an edited one is refused, with a diff."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sweeps.words import WordError

SHOWN = 3  # differences in the one line


def refuse_edited(path: Path, wanted: Any, view: Callable[[Any], Any] = lambda x: x) -> None:
    """Compare a JSON file with what this command would write; one that is not there is fine.

    Args:    view  what of a file's content counts
    Raises:  WordError, one line, that says what differs.
    """
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return
    except ValueError:
        raise WordError(f"{path} is damaged; remove it and type the command again") from None
    wanted = json.loads(json.dumps(wanted))  # tuples become lists, as in the file
    try:
        lines = list(_differences(view(found), view(wanted), ""))
    except (KeyError, TypeError, AttributeError):
        lines = ["it has another form"]
    if lines:
        more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        raise WordError(
            f"{path} was edited: {'; '.join(lines[:SHOWN])}{more}; results would be of something "
            "else: put it back, or remove the file and name what you want in the command"
        )


def _differences(found: Any, wanted: Any, at: str) -> Iterator[str]:
    """`train.lr is 0.01, was 0.003` for every leaf."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in dict.fromkeys((*wanted, *found)):
            yield from _differences(found.get(key), wanted.get(key), f"{at}.{key}".lstrip("."))
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            yield from _differences(one, other, f"{at}.{number}")
    elif found != wanted:
        yield f"{at or 'it'} is {_short(found)}, was {_short(wanted)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
