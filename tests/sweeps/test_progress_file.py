"""What a run's file says is passed on once, and nothing of a worker that is dead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sweeps.experiment import Score
from sweeps.progress_file import NAME, Follower, Reporter
from sweeps.train import NoWatcher


class Heard(NoWatcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.points: list[tuple[int, float | None]] = []

    def scored(self, step: int, scores: Sequence[Score]) -> None:
        self.points += [(step, score.value) for score in scores]


def say(reporter: Reporter, value: float, *steps: int) -> None:
    for step in steps:
        reporter.scored(step, [Score("train", "all", "loss", value)])


@pytest.mark.parametrize("more", [0, 5])
def test_what_a_dead_worker_left_is_not_told_of_the_next(tmp_path: Path, more: int) -> None:
    """Whether the new file is shorter or longer than the old one when it is looked at."""
    with Reporter(tmp_path, NoWatcher()) as killed:
        say(killed, 1.0, 1, 2, 3)
        text = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(text)
    heard = Heard()
    follower = Follower(tmp_path, heard)
    follower.look()
    with Reporter(tmp_path, NoWatcher()) as reporter:
        say(reporter, 2.0, *range(1, 3 + more))
        follower.look()
        say(reporter, 2.0, 9)
        follower.look()
        follower.look()
    assert heard.points == [(step, 2.0) for step in (*range(1, 3 + more), 9)]


def test_the_same_worker_is_not_heard_twice_and_half_a_line_waits(tmp_path: Path) -> None:
    heard = Heard()
    follower = Follower(tmp_path, heard)
    with Reporter(tmp_path, NoWatcher()) as reporter:
        say(reporter, 1.0, 1, 2)
        text = (tmp_path / NAME).read_bytes()
        for length in (10, len(text) - 10, len(text)):
            (tmp_path / NAME).write_bytes(text[:length])
            follower.look()
    assert heard.points == [(1, 1.0), (2, 1.0)]
