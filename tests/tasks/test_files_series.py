"""Time series in .ts files, as the archives write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.files import FilesMissing
from tasks.files_series import TimeSeries

HEADER = """# a comment
@problemName Toy
@timeStamps false
@missing false
@univariate {univariate}
@equalLength false
{label}
@data
"""
CLASSES = "@classLabel true standing walking"
NUMBERS = "@targetlabel true"


def write(file: Path, lines: list[str], label: str = CLASSES) -> Path:
    file.write_text(HEADER.format(univariate="true", label=label) + "\n".join(lines) + "\n")
    return file


def lines(num: int, channels: int = 1, seed: int = 0) -> tuple[list[str], list[np.ndarray]]:
    fresh = np.random.default_rng(seed)
    series = [np.round(fresh.normal(size=(3 + i % 4, channels)), 4) for i in range(num)]
    written = [
        ":".join(",".join(map(str, column)) for column in one.T)
        + (":walking" if i % 3 else ":standing")
        for i, one in enumerate(series)
    ]
    return written, series


@pytest.mark.parametrize("channels", [1, 3])
def test_train_and_test(tmp_path: Path, channels: int) -> None:
    train, held = lines(40, channels), lines(20, channels, seed=1)
    write(tmp_path / "Toy_TRAIN.ts", train[0])
    write(tmp_path / "Toy_TEST.ts", held[0])
    task = TimeSeries(path=str(tmp_path), standardize=False)
    context = task.context
    assert (context.input_dim, context.length, context.num_outputs) == (channels, 6, 2)
    assert context.head == "mean"
    batch = task.generate(range(20), "test")
    found = {
        r[:n].tobytes(): y
        for r, n, y in zip(batch.inputs, batch.lengths, batch.targets, strict=True)
    }
    assert found == {s.astype(np.float32).tobytes(): int(i % 3 > 0) for i, s in enumerate(held[1])}
    assert not batch.inputs[np.arange(6) >= batch.lengths[:, None]].any()
    sizes = {split: len(own) for split, own in task.records.splits.items()}
    assert sizes["train"] + sizes["validation"] == 40
    assert sizes["test"] == 20
    assert task.metric == "accuracy"
    assert TimeSeries(path=str(tmp_path), length=4).context.length == 4


def test_channels_are_standardized_by_training_series(tmp_path: Path) -> None:
    written, series = lines(60, 2)
    write(tmp_path / "Toy_TRAIN.ts", written)
    write(tmp_path / "Toy_TEST.ts", [f"{5 + i},9:1,1:walking" for i in range(5)])
    task = TimeSeries(path=str(tmp_path))
    records = task.records
    own = np.concatenate(
        [records.values[records.begins[i] : records.ends[i]] for i in records.splits["train"]]
    )
    assert np.abs(own.mean(axis=0)).max() < 1e-5
    assert np.abs(own.std(axis=0) - 1).max() < 1e-5
    raw = np.concatenate([series[i] for i in records.splits["train"]])
    test = records.values[records.begins[-1] : records.ends[-1], 0]
    assert np.allclose(test, (np.array([9, 9]) - raw[:, 0].mean()) / raw[:, 0].std(), atol=1e-4)


def test_numbers_to_predict(tmp_path: Path) -> None:
    written = [f"{i},{i + 1}:{i / 2}" for i in range(100)]
    task = TimeSeries(path=str(write(tmp_path / "a.ts", written, NUMBERS)), standardize=False)
    assert (task.context.head, task.context.num_outputs, task.metric) == ("regression", 1, "loss")
    batch = task.generate(range(40), "train")
    assert np.array_equal(batch.inputs[:, 0, 0] / 2, batch.targets[:, 0])
    records = task.records
    train, test = (records.targets[records.splits[s]] for s in ("train", "test"))
    assert task.chance == pytest.approx(((test - train.mean()) ** 2).mean(), rel=1e-5)
    assert np.isnan(task.oracle(batch.inputs)).all()


def test_missing_values_are_those_before(tmp_path: Path) -> None:
    file = write(tmp_path / "a.ts", [f"?,{i},NaN,?,4:walking" for i in range(1, 90)])
    batch = TimeSeries(path=str(file), standardize=False).generate(range(9))
    for row in batch.inputs[..., 0]:
        assert row.tolist() == [0, row[1], row[1], row[1], 4]


def test_one_file_is_split_by_content(tmp_path: Path) -> None:
    task = TimeSeries(path=str(write(tmp_path / "a.ts", lines(200)[0])))
    sizes = [len(own) for own in task.records.splits.values()]
    assert sum(sizes) == 200
    assert min(sizes) > 8


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2:swimming", "line 9: class 'swimming' is none of"),
        ("1,x:walking", "line 9: could not convert string to float: 'x'"),
        ("1,2:3:walking", "line 9: channels of different lengths"),
        ("walking", "line 9: class 'walking' is none|line 9: .*"),
    ],
)
def test_lines_that_cannot_be_read(tmp_path: Path, line: str, message: str) -> None:
    file = write(tmp_path / "a.ts", [line])
    with pytest.raises(ValueError, match=f"a.ts: {message}"):
        TimeSeries(path=str(file)).generate([0])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "a.ts"
    for text, message in (
        ("hello", "'hello' before @data: not a .ts file"),
        ("@timeStamps true\n@data\n", "series with time stamps are not read"),
        ("@classLabel false\n@data\n1:2\n", "series without classes"),
        ("@data\n", "no series behind a line @data"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=f"a.ts: {message}"):
            TimeSeries(path=str(file)).generate([0])
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match="it is no text"):
        TimeSeries(path=str(file)).generate([0])


def test_folders_that_do_not_fit(tmp_path: Path) -> None:
    write(tmp_path / "A_TRAIN.ts", lines(9)[0])
    with pytest.raises(FilesMissing, match="has 1 training and 0 test files, needs one of each"):
        TimeSeries(path=str(tmp_path)).generate([0])
    write(tmp_path / "A_TEST.ts", lines(9)[0], "@classLabel true walking standing")
    with pytest.raises(ValueError, match=r"A_TEST.ts: classes .*A_TRAIN.ts has"):
        TimeSeries(path=str(tmp_path)).generate([0])
    write(tmp_path / "A_TEST.ts", lines(9, 2)[0])
    with pytest.raises(ValueError, match=r"A_TEST.ts: series have \[2\] channels"):
        TimeSeries(path=str(tmp_path)).generate([0])
