"""The live table on terminals of several widths, what a step costs it, and what it leaves."""

from __future__ import annotations

import io
import json
import threading
import time

import pytest
from rich.console import Console

from sweeps.experiment import Score
from sweeps.live import view
from sweeps.progress import Display
from sweeps.tally import RUNNING, Going, Tally, left
from sweeps.terminal import aligned, printable, shortened, speed
from sweeps.whereabouts import Whereabouts, whereabouts
from tests.sweeps.small import experiment

EVIL = "decay=[bold red]x[/] \x1b[2J\x07\u202e seed 3"


def terminal(width=80, height=24):
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True)


def tally(runs, label="tuning decay=power-law lr=0.00311 seed {}"):
    found = Tally(steps=36 * 300, runs=36, began=time.time() - 100)
    for i in range(runs):
        run = Going(label.format(i), "baseline", "f", "accuracy", 300, time.time() - 10)
        run.step = run.taken = 10 * i % 300
        run.value, run.scored = i / 20, "accuracy"
        found.going[run] = None
    for arm, status in (("baseline", "finished"), ("decay=off", "diverged"), ("g", "failed")):
        run = Going(f"{arm} seed 1", arm, "f", "accuracy", 300)
        run.value, run.scored = 0.9, "accuracy"
        found.took(run, 300)
        found.ended(run, status, "ValueError: of no use")
    return found


def drawn(found, width, height=24):
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(view(found, width, height))
    return console.file.getvalue().rstrip("\n")


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("runs", [0, 1, 16, 200])
def test_everything_fits_the_terminal(width, runs):
    text = drawn(tally(runs), width)
    lines = text.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= width
    for words in ("3/36 runs", "best validation accuracy", "1 failed", " left", "steps/s"):
        assert words in " ".join(text.split()), text
    if runs:
        assert f"seed {min(runs, 14) - 1}" in text, "the end of a label tells seeds apart"
    if runs > 14:
        assert f"and {runs - 14} more running" in text


def test_a_row_tells_label_step_score_and_time():
    line = drawn(tally(6, "decay=off seed {}"), 80).splitlines()[5]
    assert line.startswith("decay=off seed 5 ")
    assert line.rstrip().endswith("50/300 accuracy 0.250 10 s")
    assert "━" in line


def test_what_is_told_of_the_whole():
    found = tally(0)
    text = " ".join(drawn(found, 120).split())
    assert "best validation accuracy: baseline 0.900, decay=off 0.900" in text
    assert "1 failed, the last g seed 1: failed (ValueError: of no use); 1 diverged" in text
    assert "9 steps/s, 108 runs/h, 18 min left" in text


def test_less_is_better_where_it_is():
    found = Tally(10, 2)
    for value in (0.5, 0.2, 0.9):
        run = Going("a seed 0", "a", "f", "loss", 5)
        run.value, run.scored = value, "loss"
        found.ended(run, "finished")
    assert found.best["a"].value == 0.2


def test_a_run_that_will_be_gone_on_with_is_not_done():
    with Display(24, lambda: False, runs=2, console=terminal()) as display:
        shown = display.start("a seed 0", experiment(), "a")
        shown.step(5)
        shown.finish("interrupted", "interrupted")
        assert (display.tally.done_runs, display.tally.done_steps) == (0, 0)
        assert not display.tally.going


def test_names_are_shown_and_not_obeyed():
    assert drawn(tally(1, EVIL.replace("3", "{}")), 120).startswith(r"decay=[bold red]x[/] \x1b[2J")
    console = terminal(120)
    with Display(24, lambda: False, runs=2, console=console) as display:
        display.start(EVIL, experiment(), EVIL).finish(f"failed ({EVIL})", "failed", EVIL)
    text = console.file.getvalue()
    assert "[bold red]x[/]" in text
    assert not {"\x1b[2J", "\x07", "\u202e"} & set(text.replace("\x1b[2J", "\x07"))


def test_what_has_ended_stays_above_the_table():
    console = terminal()
    with Display(24, lambda: False, runs=2, console=console) as display:
        display.start("a seed 0", experiment(), "a").finish("test accuracy 0.5 in 8 s")
        deadline = time.monotonic() + 10
        while "1/2 runs" not in console.file.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
    text = console.file.getvalue()
    assert "a seed 0: test accuracy 0.5 in 8 s" in text
    assert "1/2 runs" in text


def test_it_is_drawn_at_most_ten_times_a_second(monkeypatch):
    with Display(10**6, lambda: False, console=terminal()) as display:
        drawings = []
        refresh = display._live.refresh
        monkeypatch.setattr(display._live, "refresh", lambda: drawings.append(refresh()))
        shown, began = display.start("a seed 0", experiment(), "a"), time.monotonic()
        step = 0
        while time.monotonic() < began + 1:
            step += 1
            shown.step(step)
        assert 1 <= len(drawings) <= 10
    assert display.tally.trained == step


def test_without_a_terminal_nothing_is_drawn(capfd):
    with Display(24, lambda: False, runs=2) as display:
        display.start("a seed 0", experiment(), "a").finish("killed (exit code -9)", "killed", "x")
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "a seed 0: killed (exit code -9)  [1/2 runs, 50 %, 1 failed, ? left]\n"


def test_the_score_is_the_tasks_own_or_the_nearest(capfd):
    with Display(24, lambda: False) as display:
        shown = display.start("a seed 0", experiment(), "a")
        [run] = display.tally.going
        shown.scored(4, [Score("validation", "all", "loss", 2.0)])
        assert run.score == "loss 2.000"
        shown.scored(4, [Score("test", "all", "accuracy", 0.1), Score("train", "all", "loss", 1.0)])
        assert run.score == "loss 2.000"
        shown.scored(8, [Score("validation", "all", "accuracy", 0.4)])
        assert run.score == "accuracy 0.400"


def test_others_read_what_is_going_while_it_goes(tmp_path):
    with Display(24, lambda: False, runs=2, folder=tmp_path, console=terminal()) as display:
        made = experiment()
        display.start("a seed 0", made, "a").step(3)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if (tmp_path / RUNNING).exists():
                found = json.loads((tmp_path / RUNNING).read_text())
                if found["began"] is not None:
                    break
            time.sleep(0.02)
        assert (found["runs"], found["steps"], found["trained"]) == (2, 24, 0)
        [run] = found["running"]
        assert (run["label"], run["fingerprint"]) == ("a seed 0", made.fingerprint)
    assert not list(tmp_path.iterdir())
    assert "display" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(
    ("seconds", "trained", "missing", "found"),
    [(10, 100, 50, 5), (10, 0, 50, None), (0.5, 1, 50, None), (10, 100, -3, 0)],
)
def test_time_left_is_at_the_rate_so_far(seconds, trained, missing, found):
    assert left(seconds, trained, missing) == found


def test_where_a_run_is(tmp_path):
    path = tmp_path / "progress.jsonl"
    assert whereabouts(tmp_path) == Whereabouts()
    steps = [{"step": 100 + i, "at": 1000 + i / 2} for i in range(5000)]
    scores = {"step": 101, "scores": [["validation", "all", "accuracy", 0.25]]}
    rows = [{**steps[0], "pid": 7, "host": "h"}, steps[1], scores, *steps[2:]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 9')
    found = whereabouts(tmp_path)
    assert (found.step, found.taken, found.pid, found.host) == (5099, 5000, 7, "h")
    assert found.rate == pytest.approx(2)
    assert found.validation("accuracy") == 0.25
    assert found.validation("loss") is None
    for damage in (b"\xff\n", b'{"step": "x"}\n', b"[1]\n", b'{"step": Infinity}\n', b"\n"):
        path.write_bytes(damage)
        assert whereabouts(tmp_path) == Whereabouts()
    (tmp_path / "checkpoint" / "00000007").mkdir(parents=True)
    (tmp_path / "checkpoint" / "00000007" / "state.json").write_text('{"step": 120}')
    assert whereabouts(tmp_path) == Whereabouts(step=120), "nobody works on it"


def test_words_of_a_terminal():
    assert printable("a\tb\nc\x1b") == r"a\tb\nc\x1b"
    assert shortened("decay=power-law seed 12", 20) == "decay=powe…w seed 12"
    assert speed(0, 3) == ""
    assert speed(30, 2) == "15 steps/s"
    assert speed(3000, 2) == "1,500 steps/s"
    assert speed(3, 600, "run") == "18 runs/h"
    assert aligned([["a", "b"], ["long", "1"]]) == ["a     b", "long  1"]
