"""Examples on disk: the same bits, and nothing else passes for them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tasks
from tasks import cache
from tasks.__main__ import main
from tasks.batch import Batch
from tasks.task import Task

NAMES = ["mqar", "adding", "delay", "string-copy", "reverse-string", "listops"]


def small(name: str) -> Task:
    sizes = {"listops": {"min_length": 5, "length": 60, "max_depth": 4, "max_args": 4}}
    return tasks.make_task(name, seed=3, **sizes.get(name, {}))


def same(a: Batch, b: Batch) -> bool:
    names = ["inputs", "targets", "mask", "lengths", *(["spans"] if b.spans is not None else [])]
    fine = all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)
    dtypes = all(getattr(a, n).dtype == getattr(b, n).dtype for n in names)
    return fine and dtypes and all(np.array_equal(a.factors[n], b.factors[n]) for n in b.factors)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_is_what_is_made(name: str, tmp_path: Path) -> None:
    task = small(name)
    assert list(cache.write(task, "train", 100, tmp_path))[-1] == 100
    held = cache.opened(task, tmp_path)
    assert isinstance(held, cache.Cached)
    rows = [99, 0, 7, 7]
    assert same(held.generate(rows), task.generate(rows))
    assert held.generate(rows).inputs.flags.writeable
    assert same(held.generate([3, 100]), task.generate([3, 100])), "beyond its end: made"
    assert same(held.generate([1], "test"), task.generate([1], "test")), "another split: made"
    assert same(held.generate([]), task.generate([]))


def test_it_is_read_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = small("mqar")
    list(cache.write(task, "train", 100, tmp_path))
    held = cache.opened(task, tmp_path)
    monkeypatch.setattr(Task, "generate", lambda *_: pytest.fail("it made examples"))
    assert len(held.generate(range(100))) == 100


def test_tokens_take_few_bytes(tmp_path: Path) -> None:
    task = tasks.make_task("mqar", vocab_size=200)
    list(cache.write(task, "train", 10, tmp_path))
    [file] = tmp_path.glob("*/train/inputs.npy")
    assert np.load(file, mmap_mode="r").dtype == np.uint8


def test_other_tasks_are_not_it(tmp_path: Path) -> None:
    list(cache.write(small("mqar"), "train", 10, tmp_path))
    for other in (tasks.make_task("mqar", seed=4), tasks.make_task("mqar", length=32)):
        assert cache.opened(other, tmp_path) is other


@pytest.mark.parametrize("damage", ["bit", "sha", "version", "short", "text", "missing"])
def test_damage_is_one_line(damage: str, tmp_path: Path) -> None:
    task = small("mqar")
    list(cache.write(task, "train", 20, tmp_path))
    [note] = tmp_path.glob("*/train/cache.json")
    written = json.loads(note.read_text())
    if damage == "bit":
        array = np.load(note.with_name("inputs.npy"))
        array[5, 5] ^= 1
        np.save(note.with_name("inputs.npy"), array)
    elif damage == "short":
        np.save(note.with_name("inputs.npy"), np.load(note.with_name("inputs.npy"))[:-1])
    elif damage == "missing":
        note.with_name("inputs.npy").unlink()
    elif damage == "text":
        note.write_text("{")
    else:
        key = {"sha": "sha256", "version": "version"}[damage]
        note.write_text(json.dumps(written | {key: 99}))
    with pytest.raises(cache.StaleCache, match="delete it") as caught:
        cache.opened(task, tmp_path)
    assert "\n" not in str(caught.value)


def test_what_was_interrupted_is_not_there(tmp_path: Path, monkeypatch) -> None:
    task = small("mqar")
    monkeypatch.setattr(cache, "PIECE", 640)
    writing = cache.write(task, "train", 100, tmp_path)
    next(writing)
    writing.close()
    assert cache.opened(task, tmp_path) is task
    assert not list(tmp_path.glob("*/.train*"))
    assert list(cache.write(task, "train", 25, tmp_path)) == [10, 20, 25]
    assert isinstance(cache.opened(task, tmp_path), cache.Cached)


def test_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "made")
    assert main(["make", "mqar", "seed=3", "num=50", "split=test", f"out={folder}"]) == 0
    assert "50 test examples of mqar" in capsys.readouterr().out
    held = cache.opened(small("mqar"), Path(folder))
    assert isinstance(held, cache.Cached)
    for words, message in (
        (["make"], "make needs the name of a task"),
        (["make", "mqar"], "make needs a folder: out=FOLDER"),
        (["make", "mqar", "out=x", "split=val"], "split=val: choose from train, validation, test"),
        (["make", "mqar", "out=x", "num=ten"], "num=ten: a whole number from 1 to 2^32"),
    ):
        assert main(words) == 2
        assert message in capsys.readouterr().err
