"""CIFAR-10 and MNIST, on small trees of the true formats."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tasks
from tasks.files import FilesMissing
from tasks.files_image import (
    LraImage,
    PermutedMnist,
    SequentialCifar,
    SequentialMnist,
    pixel_order,
)

NUM = 30  # pictures of a batch


@pytest.fixture
def cifar(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """Six batches: the folder, labels (180,) and pictures (180, 3, 32, 32)."""
    fresh = np.random.default_rng(0)
    labels = fresh.integers(0, 10, 6 * NUM).astype(np.uint8)
    pictures = fresh.integers(0, 256, (6 * NUM, 3, 32, 32)).astype(np.uint8)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    for i, name in enumerate(names):
        rows = slice(i * NUM, (i + 1) * NUM)
        cells = np.concatenate([labels[rows, None], pictures[rows].reshape(NUM, -1)], axis=1)
        (folder / name).write_bytes(cells.tobytes())
    return tmp_path, labels, pictures


def test_grey_is_what_the_image_library_makes(cifar: tuple) -> None:
    folder, labels, pictures = cifar
    expected = {}
    for label, picture in zip(labels.tolist(), pictures, strict=True):
        grey = Image.fromarray(picture.transpose(1, 2, 0)).convert("L")
        expected[np.asarray(grey).astype(np.int64).tobytes()] = label
    for path in (folder, folder / "cifar-10-batches-bin"):
        task = LraImage(path=str(path))
        assert (task.context.num_inputs, task.context.length) == (256, 1024)
        assert task.picture == (32, 32)
        found = {}
        for split, num in (("train", 150), ("validation", 20), ("test", NUM)):
            batch = task.generate(range(num), split)
            found |= {r.tobytes(): int(y) for r, y in zip(batch.inputs, batch.targets, strict=True)}
        assert found == expected
    test = task.generate(range(NUM), "test")
    assert sorted(test.targets) == sorted(labels[-NUM:].tolist())
    sizes = [len(task.records.splits[s]) for s in ("train", "validation", "test")]
    assert sum(sizes[:2]) == 150
    assert sizes[1] > 3
    assert sizes[2] == NUM


def test_grey_as_reals(cifar: tuple) -> None:
    ids, reals = LraImage(path=str(cifar[0])), LraImage(path=str(cifar[0]), variant="s4")
    assert reals.context.input_dim == 1
    assert reals.vocabulary == {}
    a, b = ids.generate(range(20), "test"), reals.generate(range(20), "test")
    assert np.allclose(b.inputs[..., 0], (a.inputs / 255 - 122.6 / 255) / (61 / 255), atol=1e-5)
    assert b.inputs.dtype == np.float32


def test_colours(cifar: tuple) -> None:
    task = SequentialCifar(path=str(cifar[0]))
    batch = task.generate(range(NUM), "test")
    assert batch.inputs.shape == (NUM, 1024, 3)
    back = batch.inputs * [0.247, 0.2435, 0.2616] + [0.4914, 0.4822, 0.4465]
    found = {np.rint(255 * row).astype(np.uint8).tobytes() for row in back}
    assert found == {p.reshape(3, 1024).T.copy().tobytes() for p in cifar[2][-NUM:]}


def test_pickles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(FilesMissing, match=r"pickled batches, .* get cifar-10-binary.tar.gz"):
        LraImage(path=str(tmp_path)).generate([0])
    (tmp_path / "data_batch_1").write_bytes(b"")
    with pytest.raises(FilesMissing, match="pickled"):
        SequentialCifar(path=str(tmp_path)).generate([0])


def test_broken_batches_are_refused(cifar: tuple) -> None:
    file = cifar[0] / "cifar-10-batches-bin" / "data_batch_3.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"data_batch_3.bin: 92189 bytes are not pictures of 3073"):
        LraImage(path=str(cifar[0])).generate([0])
    file.unlink()
    with pytest.raises(FilesMissing, match=r"no file .*data_batch_3.bin; path is FOLDER"):
        LraImage(path=str(cifar[0])).generate([0])


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def mnist(folder: Path, *, packed: bool) -> tuple[np.ndarray, np.ndarray]:
    fresh = np.random.default_rng(1)
    images, labels = fresh.integers(0, 256, (80, 28, 28)), fresh.integers(0, 10, 80)
    for part, rows in (("train", slice(0, 60)), ("t10k", slice(60, 80))):
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            data = idx(array[rows])
            file = folder / f"{part}-{name}-ubyte"
            if packed:
                file.with_name(file.name + ".gz").write_bytes(gzip.compress(data))
            else:
                file.write_bytes(data)
    return images, labels


@pytest.mark.parametrize("packed", [False, True])
def test_digits_by_row(tmp_path: Path, packed: bool) -> None:
    images, labels = mnist(tmp_path, packed=packed)
    task = SequentialMnist(path=str(tmp_path))
    assert (task.context.length, task.context.input_dim, task.picture) == (784, 1, (28, 28))
    batch = task.generate(range(20), "test")
    back = np.rint((batch.inputs[..., 0] * 0.3081 + 0.1307) * 255).astype(int)
    expected = {
        tuple(i.reshape(-1)): y
        for i, y in zip(images[60:].tolist() and images[60:], labels[60:], strict=True)
    }
    assert {tuple(i): y for i, y in zip(back, batch.targets, strict=True)} == expected
    assert sum(len(task.records.splits[s]) for s in ("train", "validation")) == 60


@pytest.mark.parametrize("order", ["random", "bit-reversed", "numpy-92916"])
def test_digits_in_another_order(tmp_path: Path, order: str) -> None:
    mnist(tmp_path, packed=False)
    rows = SequentialMnist(path=str(tmp_path)).records
    other = PermutedMnist.model_validate({"path": str(tmp_path), "order": order})
    assert other.picture is None
    same = rows.values.reshape(80, 784)[:, pixel_order(order)]
    assert np.array_equal(other.records.values.reshape(80, 784), same)
    assert np.array_equal(other.records.targets, rows.targets)
    assert sorted(pixel_order(order)) == list(range(784))


def test_orders() -> None:
    assert PermutedMnist().order == "random"
    assert pixel_order("rows").tolist() == list(range(784))
    assert pixel_order("bit-reversed", 8).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert pixel_order("bit-reversed", 6).tolist() == [0, 4, 2, 1, 5, 3]
    assert pixel_order("random")[:4].tolist() == pixel_order("random")[:4].tolist()
    assert (pixel_order("random") != np.arange(784)).mean() > 0.9
    assert pixel_order("numpy-92916")[:5].tolist() == NUMPY_FIRST


NUMPY_FIRST = np.random.RandomState(92916).permutation(784)[:5].tolist()


def test_broken_idx_files_are_refused(tmp_path: Path) -> None:
    mnist(tmp_path, packed=False)
    file = tmp_path / "train-images-idx3-ubyte"
    whole = file.read_bytes()
    for data, message in (
        (whole[:-5], "47035 bytes for 60 x 28 x 28"),
        (b"\0\0\x08\x01" + whole[4:], "not an idx file of magic number 2051"),
        (b"", "not an idx file"),
        (idx(np.zeros((59, 28, 28))), r"\(59, 28, 28\) pictures for 60 labels"),
    ):
        file.write_bytes(data)
        with pytest.raises(ValueError, match=f"train-images-idx3-ubyte: {message}"):
            SequentialMnist(path=str(tmp_path)).generate([0])
    file.unlink()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(whole)[:100])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz: not a whole gzip file"):
        SequentialMnist(path=str(tmp_path)).generate([0])


def test_published_settings() -> None:
    for name, kind in (
        ("lra-image-grey", "lra-image"),
        ("s4-image", "lra-image"),
        ("s4-pmnist", "pmnist"),
    ):
        assert tasks.preset(name).kind == kind
        assert tasks.preset(name).context.num_outputs == 10
