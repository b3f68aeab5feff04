"""The live table: a row for every run that is going, and what the study has come to below."""

from __future__ import annotations

import time
from itertools import islice

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeps.tally import SOON, Going, Tally
from sweeps.terminal import duration, printable, shortened, speed

BAR, METRIC, SPEED = 56, 70, 100  # columns of the terminal from which a row has these
FOOTER = 7  # lines at most


def view(tally: Tally, width: int, height: int) -> Group:
    """Everything, no wider and no higher than the terminal.

    Args:
        tally: what there is to tell.
        width: columns.
        height: lines.
    """
    going = list(tally.going)
    room = max(1, height - FOOTER - 2)
    shown = going if len(going) <= room else going[: room - 1]
    parts: list[RenderableType] = [_rows(shown, width)] if shown else []
    if len(going) > len(shown):
        parts.append(cell(f"and {len(going) - len(shown)} more running", "dim"))
    return Group(*parts, *_footer(tally, width))


class Label:
    """A run's label, that takes the room that is left."""

    def __init__(self, text: str) -> None:
        self._text = printable(text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Shortened where it has to be."""
        yield cell(shortened(self._text, options.max_width))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as it likes, and no wider than there is room."""
        return Measurement(1, min(options.max_width, len(self._text)))


def cell(text: str, style: str = "") -> Text:
    """The text as it is: brackets are no markup."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _rows(going: list[Going], width: int) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=1, no_wrap=True)
    for _ in range(2 + 2 * (width >= BAR) + (width >= SPEED)):
        table.add_column(justify="right", no_wrap=True)
    for run in going:
        table.add_row(*_row(run, width))
    return table


def _row(run: Going, width: int) -> list[RenderableType]:
    seconds = time.time() - run.since
    row: list[RenderableType] = [Label(run.label)]
    if width >= BAR:
        row.append(ProgressBar(run.steps, run.step, width=min(20, width // 8)))
    row.append(cell(f"{run.step}/{run.steps}"))
    value = "" if run.value is None else f"{run.value:.3f}"
    row.append(cell(run.score if width >= METRIC else value, "bold"))
    if width >= SPEED:
        row.append(cell(speed(run.taken, seconds)))
    if width >= BAR:
        row.append(cell(duration(seconds)))
    return row


def _footer(tally: Tally, width: int) -> list[Text]:
    """At most two lines for each of: how far, how well, what went wrong."""
    lines = [(_far(tally), "cyan"), (_well(tally), "green"), (_wrong(tally), "red")]
    found = [Text(text, style, overflow="fold") for text, style in lines if text]
    for text in found:
        text.truncate(2 * width - 12, overflow="ellipsis")  # words break before the end of a line
    return found


def _far(tally: Tally) -> str:
    return ", ".join(filter(None, parts_of(tally)))


def parts_of(tally: Tally) -> list[str]:
    """How far it is: `12/36 runs`, `4 min left`, `21 steps/s`, `34 runs/h`."""
    runs = f"{tally.done_runs}/{tally.runs} runs" if tally.runs else ""
    share = f"{_share(tally)} %"
    remaining = "? left" if tally.left is None else f"{duration(tally.left)} left"
    seconds = tally.seconds if tally.seconds > SOON else 0.0
    rates = [speed(tally.trained, seconds), speed(tally.trained_runs, seconds, "run")]
    return [runs, share, *rates, remaining]


def _share(tally: Tally) -> int:
    done = tally.done_steps + tally.under_way
    return min(100, 100 * done // max(1, tally.steps))


def _well(tally: Tally) -> str:
    best = tally.leaders()
    if not best:
        return ""
    said = [f"{printable(arm)} {found.value:.3f}" for arm, found in islice(best, 9)]
    more = f", {len(best) - len(said)} more arms" if len(best) > len(said) else ""
    return f"best validation {best[0][1].metric}: {', '.join(said)}{more}"


def _wrong(tally: Tally) -> str:
    parts = []
    if tally.failed:
        parts.append(f"{tally.failed} failed, the last {printable(tally.fault)}")
    if tally.diverged:
        parts.append(f"{tally.diverged} diverged")
    return "; ".join(parts)
