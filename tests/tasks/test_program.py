"""`python -m tasks`, `tasks.make_task`, presets, and what importing costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tasks
from tasks import presets
from tasks.__main__ import main
from tasks.files import FileTask
from tasks.task import Task

ROOT = Path(__file__).resolve().parents[2]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    captured = capsys.readouterr()
    assert not captured.err
    return captured.out


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    first = [line.split()[0] for line in run(capsys, "list").splitlines() if line]
    assert first == ["task", *tasks.names(), "published", *presets.names()]


SETTINGS = [pytest.param(name, marks=pytest.mark.slow) for name in presets.names()]


@pytest.mark.parametrize("name", [*tasks.names(), *SETTINGS])
def test_show_anything(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "show", name)
    task = tasks.make_task(name)
    if isinstance(task, FileTask):
        assert text.splitlines()[-1].startswith(f"files       {task.kind} reads files of yours")
        return
    for field in type(task).model_fields:
        assert f"\n{field} " in text
    assert len(text.splitlines()) < 250
    for line in ("vocabulary  ", "context     ", "chance      ", "splits      ", "factors     "):
        assert f"\n{line}" in text
    assert max(map(len, text.split("\n\n", 3)[3].splitlines())) <= 96


def test_show_prints_an_example_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["length=16", "num_pairs=2", "vocab_size=12", "random_fill=no", "seed=3"]
    lines = run(capsys, "show", "mqar", *words).splitlines()
    positions, inputs, targets = lines[-3:]
    batch = tasks.make_task(
        "mqar", seed=3, length=16, num_pairs=2, vocab_size=12, random_fill=False
    ).generate([2])
    names = {0: "_", **{1 + i: f"k{i}" for i in range(5)}, **{6 + i: f"v{i}" for i in range(6)}}
    row = batch.inputs[0].tolist()
    assert inputs.split()[1:] == [names[x] for x in row]
    answers = [names[y] if y >= 0 else "." for y in batch.targets[0].tolist()]
    assert targets.split()[1:] == answers
    assert positions.split()[1:] == [str(t) for t in range(16)]
    assert len(positions) == len(inputs) == len(targets)
    assert "filler 0 (_), key 1-5 (k0, ...), value 6-11 (v0, ...)" in "\n".join(lines)
    assert sum(line.startswith("example ") for line in lines) == 3


def test_examples_are_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("mqar", "adding", "delay"):
        file = tmp_path / f"{name}.png"
        assert f"drawn: {file}" in run(capsys, "show", name, f"out={file}")
        first = file.read_bytes()
        assert first.startswith(b"\x89PNG")
        run(capsys, "show", name, f"out={file}")
        assert file.read_bytes() == first


def test_a_class_is_not_shown_as_an_id(capsys: pytest.CaptureFixture[str]) -> None:
    """Five places on the cycle, and five ids: padding, three moves, the question."""
    assert main(["show", "cycle-navigation"]) == 0
    lines = capsys.readouterr().out.splitlines()
    targets = {cell for x in lines if x.startswith("target ") for cell in x.split()[1:]}
    assert "." in targets
    assert targets - {"."} <= {"0", "1", "2", "3", "4"}


def test_long_examples_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "show", "mamba-selective-copying")
    assert "(first and last 48 of 4112 positions)" in text
    assert len(text.splitlines()) < 120


BAD = [
    (["lst"], "'lst' is not a command; nearest: list"),
    (["show"], "show needs the name of a task"),
    (["show", "mqr"], "'mqr' is not a task; nearest: mqar"),
    (["show", "zoology-mqar-46"], "nearest: zoology-mqar-64"),
    (["show", "mqar", "lenght=8"], "mqar has no field 'lenght'; nearest: length"),
    (["show", "mqar", "length=sixty"], "length=sixty: expected a whole number"),
    (["show", "mqar", "length=60", "num_pairs=16"], "needs >= 64"),
    (["show", "mqar", "length"], "'length' is not a setting; write it as field=value"),
    (["show", "mqar", "length="], "'length=' is not a setting"),
    (["show", "mqar", "length=64", "length=32"], "length is given twice: 64 and 32"),
    (["show", "mqar", "random_fill=maybe"], "random_fill"),
    (["show", "mqar", "out=x.jpg"], "out=x.jpg: a picture file, such as x.png"),
    (["show", "mqar", "out=no/x.png"], "there is no folder no; make it first"),
    (["list", "mqar"], "list takes no words, got 'mqar'; perhaps: show mqar"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=lambda x: str(x)[:40])
def test_a_bad_word_is_one_line_and_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("tasks: ")
    assert len(captured.err.splitlines()) == 1
    assert not captured.out


def test_a_split_without_examples_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["make", "parity", "length=1", "min_length=1", "split=test", f"out={tmp_path}"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "make the task larger" in error
    assert not list(tmp_path.rglob("*.npy"))


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words, code in ((["--help"], 0), (["-h"], 0), ([], 2)):
        assert main(words) == code
        assert "python -m tasks COMMAND" in capsys.readouterr().out


HEAVY = "[m for m in ('torch', 'scipy', 'numpy', 'pydantic', 'optuna') if m in sys.modules]"


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("import tasks", "[]"),
        ("import tasks.__main__ as m; m.main(['--help'])", "[]"),
        ("import tasks; tasks.names()", "['numpy', 'pydantic']"),
        ("import tasks.__main__ as m; m.main(['show', 'mqar'])", "['numpy', 'pydantic']"),
    ],
)
def test_imports_are_light(code: str, loaded: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print({HEAVY})"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert run.stdout.splitlines()[-1] == loaded


def test_the_program_runs_as_a_module() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tasks", "shw"], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 2
    assert run.stderr == "tasks: 'shw' is not a command; nearest: show\n"


def test_kinds_are_those_of_the_design() -> None:
    assert set(tasks.names()) >= {
        "assoc-recall",
        "in-context-recall",
        "induction",
        "mqar",
        "selective-copying",
    }
    assert not set(tasks.names()) & set(presets.names())


@pytest.mark.parametrize("name", presets.names())
def test_presets_say_where_they_are_from(name: str) -> None:
    preset = presets.find(name)
    assert preset.name == name
    assert preset.paper
    assert preset.section
    assert preset.upstream
    assert isinstance(preset.value, Task)
    assert preset.value.seed == 0
    assert tasks.preset(name) == preset.value == tasks.make_task(name)


def test_published_sizes() -> None:
    found = {
        name: (task.vocab_size, task.length, task.num_pairs, task.random_fill)
        for name in presets.names()
        if "mqar" in name
        for task in [tasks.preset(name)]
        if isinstance(task, tasks.kinds()["mqar"])
    }
    assert found["zoology-mqar-256"] == (8192, 256, 16, False)
    assert found["based-mqar-1024-256"] == (8192, 1024, 256, True)
    assert len(found) == 14


def test_a_preset_takes_settings() -> None:
    task = tasks.make_task("zoology-mqar-64", seed=5, num_pairs=8)
    own = tasks.preset("zoology-mqar-64").to_dict()
    assert task.to_dict() == own | {"seed": 5, "num_pairs": 8}
    assert (own["variant"], own["random_fill"]) == ("zoology", False)
    assert tasks.preset("zoology-mqar-64").to_dict()["num_pairs"] == 4


def test_names_outside_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"'selective-copy' is not a task; nearest: selective-copying"
    ):
        tasks.make_task("selective-copy")
    with pytest.raises(
        ValueError, match=r"'zoology-mqar' is not a task preset; nearest: zoology-mqar-64"
    ):
        tasks.preset("zoology-mqar")
    with pytest.raises(ValueError, match="'zzz' is not a task; `python -m tasks list` prints them"):
        tasks.make_task("zzz")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tasks.nothing  # pyright: ignore[reportAttributeAccessIssue]


def test_words_from_a_command_line_become_values() -> None:
    task = tasks.make_task("mqar", length="32", power_a="0.5", random_fill="no")
    assert task == tasks.make_task("mqar", length=32, power_a=0.5, random_fill=False)


def test_several_values_are_typed_as_in_the_other_programs() -> None:
    suite = tasks.make_task("length-suite", lengths="100+200")
    assert suite == tasks.make_task("length-suite", lengths=(100, 200))
    assert tasks.make_task("mqar-memory-cpu", lengths="96").test_slices().keys() == {"length=96"}
    assert tasks.make_task("listops", ops="MIN+MAX").ops == ("MIN", "MAX")  # pyright: ignore
    with pytest.raises(ValueError, match="lengths is empty"):
        tasks.make_task("length-suite", lengths="none")
    with pytest.raises(ValueError, match=r"lengths\.1: .*got 'x'"):
        tasks.make_task("length-suite", lengths="100+x")


def test_what_is_shown_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "length-suite", "lengths=100+200"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("lengths"))
    assert line.split()[:4] == ["lengths", "100+200", "64+128", "A+B+..."]
    assert main(["show", "length-suite"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("inner"))
    assert line.split()[:3] == ["inner", "induction", "length=32"]


@pytest.mark.parametrize("program", ["tasks", "zoo"])
def test_a_reader_may_leave_early(program: str) -> None:
    """As in `python -m tasks list | head -1`."""
    code = f"""
import os, subprocess, sys
left, right = os.pipe()
os.close(left)
words = [sys.executable, "-m", "{program}", "list"]
run = subprocess.run(words, stdout=right, stderr=subprocess.PIPE, text=True)
print(run.returncode, run.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["0"]


def test_show_takes_no_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "mamba-induction", "kind=copying"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
