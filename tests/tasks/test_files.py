"""Tasks of a user's files, whatever the format: missing files, epochs, splits, what they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tasks
from tasks.files import FilesMissing, FileTask
from tasks.files_arrays import ArrayFile
from tasks.records import RecordTask, content_hashes, epoch_order, share_out
from tasks.task import SPLITS, DataSpaceExhausted

KINDS = {kind: cls for kind, cls in tasks.kinds().items() if issubclass(cls, FileTask)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """200 different sequences of 6 tokens, in one file."""
    fresh = np.random.default_rng(0)
    inputs = np.unique(fresh.integers(0, 9, (220, 6)), axis=0)[:200]
    np.savez(tmp_path / "a.npz", inputs=inputs, targets=inputs.sum(1) % 3)
    return tmp_path


def made(folder: Path, **fields: Any) -> ArrayFile:
    return ArrayFile.model_validate({"path": str(folder / "a.npz"), **fields})


def test_every_kind_is_here() -> None:
    assert set(KINDS) == {
        *("arrays", "lra-image", "lra-retrieval", "lra-text", "pmnist", "scifar", "smnist"),
        *("speech-commands", "text-corpus", "time-series"),
    }
    assert issubclass(tasks.kinds()["digits"], RecordTask)


@pytest.mark.parametrize("kind", KINDS)
def test_without_files_one_line_says_how_to_lay_them_out(kind: str, tmp_path: Path) -> None:
    """A task can be made and named without its files."""
    task = KINDS[kind]()
    assert json.loads(json.dumps(task.to_dict()))["path"] == ""
    for use in (lambda: task.generate([0]), lambda: task.chance, lambda: task.data_hash):
        with pytest.raises(FilesMissing, match=rf"^{kind} reads files .* set path=F.*") as caught:
            use()
        assert "\n" not in str(caught.value)
    away = KINDS[kind](path=str(tmp_path / "away"))
    with pytest.raises(FilesMissing, match=rf"^{kind}: path=.*away does not exist; needs F"):
        away.generate([0])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FilesMissing, match=kind):
        KINDS[kind](path=str(tmp_path / "empty")).generate([0])


@pytest.mark.parametrize("kind", KINDS)
def test_fields_are_documented(kind: str) -> None:
    for name, field in KINDS[kind].model_fields.items():
        assert field.description or getattr(field.annotation, "__args__", None), name


def test_an_epoch_shows_every_record_once(folder: Path) -> None:
    task = made(folder)
    for split in SPLITS:
        own = task.records.splits[split]
        num = len(own)
        epochs = [task.numbers(np.arange(e * num, (e + 1) * num), split) for e in range(3)]
        for numbers in epochs:
            assert sorted(numbers) == own.tolist()
        assert not np.array_equal(epochs[0], epochs[1])
        across = task.numbers(np.arange(num - 3, num + 3), split)
        assert across.tolist() == [*epochs[0][-3:], *epochs[1][:3]]
        far = task.numbers([2**62], split)
        assert far[0] == own[_far_place(task, split, num)]


def _far_place(task: ArrayFile, split: str, num: int) -> int:
    from tasks.rng import stream_key

    stream = stream_key([task.kind, task.generator_version, task.seed, split])
    return int(epoch_order(stream, 2**62 // num, num)[2**62 % num])


def test_seeds_change_orders_but_not_splits(folder: Path) -> None:
    one, other = made(folder), made(folder, seed=5)
    assert one.records is other.records, "read once"
    assert not np.array_equal(one.generate(range(50)).inputs, other.generate(range(50)).inputs)
    assert one.content_key(range(5)).tolist() != other.content_key(range(5)).tolist()


def test_an_example_is_a_function_of_its_number(folder: Path) -> None:
    task = made(folder)
    whole = task.generate(range(300))
    order = np.random.default_rng(1).permutation(300)
    again = task.generate(order)
    assert np.array_equal(again.inputs, whole.inputs[order])
    assert np.array_equal(again.targets, whole.targets[order])
    assert len(task.generate([], "test")) == 0
    with pytest.raises(ValueError, match="split='dev': choose from"):
        task.generate([0], "dev")
    with pytest.raises(ValueError, match="indices"):
        task.generate([-1])


def test_splits_are_by_content(folder: Path) -> None:
    """No sequence is in two, and a file in another order is split alike."""
    task = made(folder)
    rows = [{r.tobytes() for r in task.generate(range(400), split).inputs} for split in SPLITS]
    assert sum(map(len, rows)) == 200 == len(set().union(*rows))
    with np.load(folder / "a.npz") as found:
        np.savez(folder / "b.npz", inputs=found["inputs"][::-1], targets=found["targets"][::-1])
    turned = ArrayFile(path=str(folder / "b.npz"))
    for split, own in zip(SPLITS, rows, strict=True):
        assert {r.tobytes() for r in turned.generate(range(400), split).inputs} == own
    assert [len(r) / 200 for r in rows] == pytest.approx([12 / 16, 2 / 16, 2 / 16], abs=0.08)


def test_a_tenth_of_training_validates() -> None:
    given = {"train": np.arange(5000), "test": np.arange(5000, 6000)}
    hashes = content_hashes(str(i).encode() for i in range(6000))
    splits = share_out(given, lambda numbers: hashes[numbers])
    assert splits["test"].tolist() == list(range(5000, 6000))
    assert sorted([*splits["train"], *splits["validation"]]) == list(range(5000))
    assert len(splits["validation"]) == pytest.approx(500, abs=80)
    three = given | {"validation": np.arange(3)}
    assert share_out(three, lambda numbers: hashes[numbers]) == three


def test_an_empty_split_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", inputs=np.zeros((3, 4), int), targets=np.array([0, 1, 0]))
    task = made(tmp_path)
    empty = [split for split in SPLITS if not len(task.records.splits[split])]
    assert len(empty) == 2, "equal sequences are in one split"
    with pytest.raises(
        DataSpaceExhausted, match=f"none of the 3 records is in the {empty[0]} split"
    ):
        task.generate([0], empty[0])


def test_chance_is_the_commonest_class_of_training(folder: Path) -> None:
    task = made(folder)
    train, test = (
        task.generate(range(len(task.records.splits[split])), split).targets
        for split in ("train", "test")
    )
    assert task.chance == (test == np.bincount(train).argmax()).mean()


def test_the_hash_is_of_names_and_bytes(folder: Path) -> None:
    first = made(folder).data_hash
    moved = folder / "moved"
    moved.mkdir()
    shutil.copy(folder / "a.npz", moved)
    assert made(moved).data_hash == first, "where the folder is does not count"
    assert made(moved, seed=3).data_hash == first
    shutil.copy(folder / "a.npz", folder / "other.npz")
    assert ArrayFile(path=str(folder / "other.npz")).data_hash != first
    assert len(first) == 64


def test_other_data_is_refused(folder: Path) -> None:
    task = made(folder).identified()
    assert task.sha256 == task.data_hash
    assert task == made(folder, sha256=task.data_hash)
    assert len(task.generate(range(3))) == 3
    with np.load(folder / "a.npz") as found:
        np.savez(folder / "b.npz", inputs=found["inputs"] + 1, targets=found["targets"])
    other = ArrayFile(path=str(folder / "b.npz"), sha256=task.sha256)
    with pytest.raises(ValueError, match=f"have sha256 .* the task is of {task.sha256[:12]}"):
        other.generate([0])
    with pytest.raises(ValueError, match="sha256"):
        tasks.make_task("arrays", sha256="abc")


def test_the_path_moves_no_data(folder: Path) -> None:
    moved = folder / "moved"
    moved.mkdir()
    shutil.copy(folder / "a.npz", moved)
    one, other = made(folder).generate(range(90)), made(moved).generate(range(90))
    assert np.array_equal(one.inputs, other.inputs)


def test_the_oracle_has_no_answer(folder: Path) -> None:
    task = made(folder)
    batch = task.generate(range(4), "test")
    assert not task.sees_all
    assert not task.determined("test")
    assert task.oracle(batch.inputs).tolist() == [-100] * 4


def test_draw_names_a_record_of_the_split(folder: Path) -> None:
    from tasks import rng

    task = made(folder)
    drawn = task.draw(rng.example_keys(1, np.arange(500, dtype=rng.U)), "test")["record"]
    assert drawn.shape == (500, 1)
    assert set(drawn[:, 0]) == set(task.records.splits["test"].tolist())


def kinds_of(cls: type) -> Iterator[type]:
    for sub in cls.__subclasses__():
        yield from (sub, *kinds_of(sub))


def test_layouts_name_a_file_or_a_folder() -> None:
    for cls in kinds_of(FileTask):
        if getattr(cls, "kind", None):
            assert cls.layout.startswith(("FILE", "FOLDER"))
