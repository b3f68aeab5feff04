"""LRA Text, LRA Retrieval and corpora, on small trees of the true formats."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tasks
from tasks.files import FilesMissing
from tasks.files_corpus import TextCorpus
from tasks.files_text import LraRetrieval, LraText


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    for part in ("train", "test"):
        for label in ("pos", "neg", "unsup"):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            for i in range(40):
                text = f"{part} {label} {i} " + "é" * (i % 5)
                (folder / f"{i}_7.txt").write_text(text, encoding="utf-8")
    (tmp_path / "train" / "labeledBow.feat").write_text("0 9:1")
    return tmp_path


def test_reviews(reviews: Path) -> None:
    task = LraText(path=str(reviews), length=20)
    assert (task.context.num_inputs, task.context.num_outputs, task.context.head) == (
        257,
        2,
        "mean",
    )
    sizes = [len(task.records.splits[s]) for s in ("train", "validation", "test")]
    assert sum(sizes[:2]) == sizes[2] == 80
    assert 2 <= sizes[1] <= 16
    for split in ("train", "test"):
        batch = task.generate(range(60), split)
        assert batch.inputs.dtype == np.int64
        for row, label, length in zip(batch.inputs, batch.targets, batch.lengths, strict=True):
            text = bytes((row[:length] - 1).tolist())
            assert not row[length:].any()
            assert row[:length].min() > 0
            assert text.startswith(f"{split} {('neg', 'pos')[label]} ".encode())
    assert batch.lengths.max() == 20, "cut"
    assert task.chance == 0.5
    assert task.spell(ord("a") + 1) == "a"
    assert task.spell(0) is None


def test_reviews_that_are_not_there(reviews: Path) -> None:
    for file in (reviews / "test" / "neg").iterdir():
        file.unlink()
    with pytest.raises(
        FilesMissing, match=r"lra-text: no test/neg/\*.txt in .*FOLDER with train/pos"
    ):
        LraText(path=str(reviews)).generate([0])


def pairs(folder: Path, **columns: Any) -> Path:
    for name, num in (("train", 12), ("eval", 5), ("test", 7)):
        lines = [f"{i % 2}.0\tP{i}\tQ{i}\t{name} one {i}\ttwo {'x' * i}\n" for i in range(num)]
        (folder / f"new_aan_pairs.{name}.tsv").write_text("".join(lines))
    return folder


def test_pairs(tmp_path: Path) -> None:
    task = LraRetrieval(path=str(pairs(tmp_path)), length=9)
    assert (task.context.length, task.context.num_inputs) == (19, 258)
    for split, name, num in (
        ("train", "train", 12),
        ("validation", "eval", 5),
        ("test", "test", 7),
    ):
        assert len(task.records.splits[split]) == num
        batch = task.generate(range(num), split)
        seen = set()
        for row, label, length in zip(
            batch.inputs.tolist(), batch.targets, batch.lengths, strict=True
        ):
            middle = row.index(257)
            one, two = (
                bytes(x - 1 for x in part) for part in (row[:middle], row[middle + 1 : length])
            )
            assert not any(row[length:])
            assert one == f"{name} one 0"[:9].encode()
            assert two.startswith(b"two ")
            seen.add((len(two), int(label)))
        assert seen == {(min(9, 4 + i), i % 2) for i in range(num)}
    assert task.num_contents == 24
    assert 0.5 <= task.chance < 0.6
    assert task.content_key(range(3)).shape == (3,)


def test_a_line_that_is_no_pair(tmp_path: Path) -> None:
    file = pairs(tmp_path) / "new_aan_pairs.eval.tsv"
    file.write_text(file.read_text() + "1.0\tonly\tthree\n")
    with pytest.raises(ValueError, match=r"new_aan_pairs.eval.tsv: line 6 is not a label, two ids"):
        LraRetrieval(path=str(tmp_path)).generate([0])
    (tmp_path / "new_aan_pairs.test.tsv").unlink()
    with pytest.raises(FilesMissing, match=r"no file .*new_aan_pairs.test.tsv; path is FOLDER"):
        LraRetrieval(path=str(tmp_path)).generate([0])


TEXT = "the cat sat on the mat and the dog sat on the log; " * 60


def test_a_file_is_cut_in_three(tmp_path: Path) -> None:
    file = tmp_path / "book"
    data = bytes(np.random.default_rng(0).integers(0, 256, 4000).tolist())
    file.write_bytes(data)
    task = TextCorpus(path=str(file), length=20)
    assert task.context.num_inputs == 256
    parts = {"train": data[:3600], "validation": data[3600:3800], "test": data[3800:]}
    for split, text in parts.items():
        num = len(task.records.splits[split])
        assert num == (len(text) - 1) // 20
        batch = task.generate(range(num), split)
        assert batch.mask.all()
        windows = sorted(
            (bytes(a.tolist()), bytes(b.tolist()))
            for a, b in zip(batch.inputs, batch.targets, strict=True)
        )
        expected = sorted((text[i : i + 20], text[i + 1 : i + 21]) for i in range(0, 20 * num, 20))
        assert windows == expected
    common = np.bincount(task.generate(range(179)).targets.reshape(-1)).argmax()
    assert task.chance == (task.generate(range(9), "test").targets == common).mean()


@pytest.mark.parametrize("unit", ["character", "word"])
def test_symbols_are_those_of_training(tmp_path: Path, unit: str) -> None:
    (tmp_path / "wiki.train.tokens").write_text(TEXT)
    (tmp_path / "wiki.valid.tokens").write_text(TEXT)
    (tmp_path / "wiki.test.tokens").write_text(TEXT.replace("cat", "ÿak"))
    task = TextCorpus.model_validate({"path": str(tmp_path), "unit": unit, "length": 12})
    parts = TEXT.split() if unit == "word" else list(TEXT)
    counts = Counter(parts)
    ordered = task.symbols
    assert set(ordered) == set(counts)
    assert [counts[s] for s in ordered] == sorted(counts.values(), reverse=True)
    assert task.context.num_inputs == len(counts) + 1
    batch = task.generate(range(3), "validation")
    spelled = [task.spell(i) for i in batch.inputs[0].tolist()]
    joined = " ".join(map(str, spelled)) if unit == "word" else "".join(map(str, spelled))
    assert joined in " ".join(parts) if unit == "word" else joined in TEXT
    assert (task.generate(range(8), "test").inputs == 0).any(), "unknown"
    few = TextCorpus.model_validate(
        {"path": str(tmp_path), "unit": unit, "length": 12, "vocab_size": 4}
    )
    assert few.symbols == ordered[:3]
    assert few.context.num_outputs == 4
    assert set(few.vocabulary) == {"unknown", unit}


def test_texts_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a" * 500)
    with pytest.raises(FilesMissing, match="has 0 files for validation, needs one"):
        TextCorpus(path=str(tmp_path)).generate([0])
    for name in ("valid.txt", "test.txt"):
        (tmp_path / name).write_text("short")
    with pytest.raises(ValueError, match="the validation text has 5 symbols, a window needs 101"):
        TextCorpus(path=str(tmp_path), length=100).generate([0])
    (tmp_path / "bytes").write_bytes(b"\xff\xfe" * 100)
    with pytest.raises(ValueError, match="byte 0 is not UTF-8 text: unit=byte reads any file"):
        TextCorpus(path=str(tmp_path / "bytes"), unit="word").generate([0])
    for fields, message in (
        ({"vocab_size": 9}, "vocab_size=9 with unit=byte"),
        ({"vocab_size": 1, "unit": "word"}, "vocab_size=1 leaves only the unknown"),
    ):
        with pytest.raises(ValueError, match=message):
            tasks.make_task("text-corpus", **fields)
