"""Plain arrays: every form in every format, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from safetensors.numpy import save_file

from tasks.batch import IGNORE
from tasks.files import FilesMissing
from tasks.files_arrays import ArrayFile

FRESH = np.random.default_rng(0)
N, L, C = 120, 7, 3
INPUTS: dict[str, np.ndarray] = {
    "tokens": FRESH.integers(0, 11, (N, L)).astype(np.int32),
    "reals": FRESH.normal(size=(N, L)),
    "features": FRESH.normal(size=(N, L, C)).astype(np.float32),
}
TARGETS: dict[str, np.ndarray] = {
    "class": FRESH.integers(0, 4, N),
    "number": FRESH.normal(size=N),
    "numbers": FRESH.normal(size=(N, 2)).astype(np.float32),
    "tokens": np.where(FRESH.random((N, L)) < 0.5, FRESH.integers(0, 11, (N, L)), IGNORE),
}


def save(file: Path, **arrays: np.ndarray) -> Path:
    if file.suffix == ".npz":
        np.savez(file, **arrays)
    elif file.suffix == ".safetensors":
        save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, file)
    else:
        polars.DataFrame({n: a.tolist() for n, a in arrays.items()}).write_parquet(file)
    return file


def read(file: Path, **fields: Any) -> ArrayFile:
    return ArrayFile.model_validate({"path": str(file), **fields})


def every(task: ArrayFile) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All examples once: inputs, targets, lengths."""
    parts = [
        task.generate(range(len(own)), split)
        for split, own in task.records.splits.items()
        if len(own)
    ]
    return (
        np.concatenate([p.inputs for p in parts]),
        np.concatenate([p.targets for p in parts]),
        np.concatenate([p.lengths for p in parts]),
    )


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".parquet"])
@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("targets", TARGETS)
def test_every_form(tmp_path: Path, suffix: str, inputs: str, targets: str) -> None:
    given, due = INPUTS[inputs], TARGETS[targets]
    task = read(save(tmp_path / f"a{suffix}", inputs=given, targets=due))
    context = task.context
    assert context.length == L
    assert (context.num_inputs, context.input_dim) == {
        "tokens": (11, None),
        "reals": (None, 1),
        "features": (None, C),
    }[inputs]
    assert (context.head, context.num_outputs) == {
        "class": ("mean", 4),
        "number": ("regression", 1),
        "numbers": ("regression", 2),
        "tokens": ("token", 11),
    }[targets]
    assert task.metric == ("loss" if context.is_real else "accuracy")
    found, answers, lengths = every(task)
    assert found.dtype == (np.int64 if inputs == "tokens" else np.float32)
    assert answers.dtype == (np.float32 if context.is_real else np.int64)
    assert (lengths == L).all()
    order = {row.tobytes(): i for i, row in enumerate(given.astype(found.dtype).reshape(N, -1))}
    rows = [order[row.tobytes()] for row in found.reshape(N, -1)]
    assert sorted(rows) == list(range(N))
    expected = due.reshape(N, -1).astype(np.float32) if context.is_real else due
    assert np.array_equal(answers, expected[rows])
    assert 0 < task.chance < (2 if context.is_real else 1)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_sequences_that_end_early(tmp_path: Path, suffix: str) -> None:
    lengths = FRESH.integers(1, L + 1, N)
    task = read(
        save(
            tmp_path / f"a{suffix}",
            inputs=INPUTS["tokens"] + 1,
            targets=TARGETS["tokens"],
            lengths=lengths,
        )
    )
    found, answers, ends = every(task)
    behind = np.arange(task.context.length) >= ends[:, None]
    assert sorted(ends) == sorted(lengths.tolist())
    assert not found[behind].any()
    assert (found[~behind] > 0).all()
    assert (answers[behind] == IGNORE).all()
    short = read(tmp_path / f"a{suffix}", length=3)
    assert short.context.length == 3
    assert short.generate(range(9)).inputs.shape == (9, 3)


def test_lists_of_different_lengths_in_parquet(tmp_path: Path) -> None:
    rows = [list(range(1, 2 + i % 5)) for i in range(60)]
    file = tmp_path / "a.parquet"
    polars.DataFrame({"inputs": rows, "targets": [len(r) % 2 for r in rows]}).write_parquet(file)
    found, answers, lengths = every(read(file))
    assert found.shape == (60, 5)
    assert np.array_equal(answers, lengths % 2)
    assert np.array_equal((found > 0).sum(axis=1), lengths)


def test_splits_of_ones_own(tmp_path: Path) -> None:
    given, due = INPUTS["tokens"], TARGETS["class"]
    parts = {"train": slice(0, 80), "validation": slice(80, 95), "test": slice(95, N)}
    arrays = {f"{s}_inputs": given[rows] for s, rows in parts.items()}
    arrays |= {f"{s}_targets": due[rows] for s, rows in parts.items()}
    one = read(save(tmp_path / "a.npz", **arrays))
    folder = tmp_path / "folder"
    folder.mkdir()
    for split, rows in parts.items():
        save(folder / f"{split}.npz", inputs=given[rows], targets=due[rows])
    for task in (one, read(folder)):
        for split, rows in parts.items():
            assert len(task.records.splits[split]) == rows.stop - rows.start
            batch = task.generate(range(rows.stop - rows.start), split)
            assert {r.tobytes() for r in batch.inputs} == {
                r.tobytes() for r in given[rows].astype(np.int64)
            }
    (folder / "validation.npz").unlink()
    sizes = {s: len(own) for s, own in read(folder, seed=1, vocab_size=20).records.splits.items()}
    assert sizes["train"] + sizes["validation"] == 80
    assert sizes["validation"] > 0


def test_sizes_may_be_given(tmp_path: Path) -> None:
    file = save(tmp_path / "a.npz", inputs=INPUTS["tokens"], targets=TARGETS["class"])
    task = read(file, vocab_size=50, num_classes=10, readout="last")
    assert (task.context.num_inputs, task.context.num_outputs, task.context.head) == (
        50,
        10,
        "last",
    )
    assert task.vocabulary == {"token": range(50)}
    with pytest.raises(ValueError, match="inputs go up to 10: vocab_size=10 needs < 10"):
        read(file, vocab_size=10).generate([0])
    with pytest.raises(ValueError, match="targets go up to 3: num_classes=3 needs < 3"):
        read(file, num_classes=3).generate([0])


BAD: list[tuple[dict[str, np.ndarray], str]] = [
    ({"inputs": INPUTS["tokens"]}, "no targets; it has inputs"),
    ({"x": INPUTS["tokens"]}, "no inputs; it has x"),
    ({"inputs": INPUTS["tokens"], "targets": np.zeros(5, int)}, r"targets \(5,\) for inputs"),
    (
        {"inputs": INPUTS["tokens"], "targets": np.zeros((N, 2), int)},
        r"targets \(120, 2\) for inputs",
    ),
    (
        {"inputs": INPUTS["tokens"] - 1, "targets": TARGETS["class"]},
        "inputs go down to -1: needs >= 0",
    ),
    ({"inputs": INPUTS["tokens"], "targets": TARGETS["class"] - 1}, "targets go down to -1"),
    (
        {"inputs": INPUTS["features"].astype(int), "targets": TARGETS["class"]},
        r".*needs \(N, L\), or reals",
    ),
    ({"inputs": np.zeros((0, 3)), "targets": np.zeros(0)}, r"inputs \(0, 3\) are empty"),
    ({"inputs": np.full((N, L), np.inf), "targets": TARGETS["class"]}, "inputs are not all finite"),
    ({"inputs": np.full((2, 2), "a"), "targets": np.zeros(2)}, "inputs are <U1"),
    (
        {"inputs": INPUTS["tokens"], "targets": TARGETS["class"], "lengths": np.full(N, 8)},
        "lengths 8 to 8: needs 1 to 7",
    ),
    (
        {"inputs": INPUTS["tokens"], "targets": TARGETS["class"], "lengths": np.full(N, 1.0)},
        "lengths .* float64: needs one whole number a sequence",
    ),
]


@pytest.mark.parametrize(
    ("arrays", "message"), BAD, ids=lambda x: str(x)[:30] if isinstance(x, str) else ""
)
def test_arrays_that_cannot_be(tmp_path: Path, arrays: dict, message: str) -> None:
    file = save(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=f"arrays: .*a.npz: {message}"):
        read(file).generate([0])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, data in (("a.npz", b"PK no"), ("b.safetensors", b"12"), ("c.parquet", b"PAR1")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=f"{name}: cannot be read as arrays") as caught:
            read(tmp_path / name).generate([0])
        assert "\n" not in str(caught.value)
    np.savez(tmp_path / "objects.npz", inputs=np.array([{}], object), targets=np.zeros(1))
    with pytest.raises(ValueError, match="cannot be read as arrays"):
        read(tmp_path / "objects.npz").generate([0])
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(
        ValueError, match=r"a.csv: .csv is not read; needs .npz, .safetensors, .parquet"
    ):
        read(tmp_path / "a.csv").generate([0])
    (tmp_path / "none").mkdir()
    with pytest.raises(FilesMissing, match="no train and test file"):
        read(tmp_path / "none").generate([0])
