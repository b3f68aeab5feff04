"""Speech Commands, on a small tree of true .wav files."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

import tasks
from tasks.files import FilesMissing
from tasks.files_speech import ALL, TEN, SpeechCommands


def write(file: Path, samples: np.ndarray, *, rate: int = 16_000, channels: int = 1) -> None:
    file.parent.mkdir(exist_ok=True)
    with wave.open(str(file), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.astype("<i2").tobytes())


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Six sounds of each word; the class in the first sample, the number in the second."""
    fresh = np.random.default_rng(0)
    for word in ALL:
        for i in range(6):
            samples = fresh.integers(-(2**15), 2**15, 16_000 - 1000 * (i == 2) + 500 * (i == 3))
            samples[:2] = ALL.index(word), i
            write(tmp_path / word / f"{i:08x}_nohash_{i}.wav", samples)
    (tmp_path / "_background_noise_").mkdir()
    lists = {"validation_list.txt": 4, "testing_list.txt": 5}
    for name, i in lists.items():
        (tmp_path / name).write_text("".join(f"{w}/{i:08x}_nohash_{i}.wav\n" for w in ALL))
    return tmp_path


def test_words_and_splits(sounds: Path) -> None:
    task = SpeechCommands(path=str(sounds))
    assert (task.context.length, task.context.input_dim, task.context.num_outputs) == (
        16_000,
        1,
        35,
    )
    assert len(ALL) == 35
    assert sorted(ALL) == list(ALL)
    for split, numbers in (("train", {0, 1, 2, 3}), ("validation", {4}), ("test", {5})):
        num = len(task.records.splits[split])
        assert num == 35 * len(numbers)
        batch = task.generate(range(num), split)
        first = np.rint(batch.inputs[:, :2, 0] * 2**15).astype(int)
        assert np.array_equal(first[:, 0], batch.targets)
        assert set(first[:, 1].tolist()) == numbers
    assert batch.inputs.dtype == np.float32
    assert np.abs(batch.inputs).max() <= 1
    assert task.chance == pytest.approx(1 / 35)
    assert task.metric == "accuracy"


def test_short_sounds_are_filled_and_long_ones_cut(sounds: Path) -> None:
    task = SpeechCommands(path=str(sounds))
    batch = task.generate(range(140))
    third = np.rint(batch.inputs[:, 1, 0] * 2**15) == 2
    assert third.sum() == 35
    assert not batch.inputs[third, 15_000:].any()
    assert (np.abs(batch.inputs[~third, 15_000:]).sum((1, 2)) > 0).all()
    assert (batch.lengths == 16_000).all()


def test_half_the_rate_keeps_every_second_sample(sounds: Path) -> None:
    one, two = SpeechCommands(path=str(sounds)), SpeechCommands(path=str(sounds), every=2)
    assert two.context.length == 8000
    a, b = one.generate(range(9), "test"), two.generate(range(9), "test")
    assert np.array_equal(a.inputs[:, ::2], b.inputs)
    assert np.array_equal(a.targets, b.targets)


def test_ten_commands(sounds: Path) -> None:
    task = SpeechCommands(path=str(sounds), num_words="10")
    assert task.words == TEN
    batch = task.generate(range(10), "test")
    first = np.rint(batch.inputs[:, 0, 0] * 2**15).astype(int)
    assert [ALL[i] for i in first] == [TEN[y] for y in batch.targets]
    assert sorted(batch.targets) == list(range(10))


def test_the_hash_is_of_all_sounds(sounds: Path) -> None:
    before = SpeechCommands(path=str(sounds), num_words="10").data_hash
    write(sounds / "zero" / "99_nohash_0.wav", np.zeros(9))
    assert SpeechCommands(path=str(sounds), num_words="10", seed=1).data_hash == before
    write(sounds / "yes" / "99_nohash_0.wav", np.zeros(9))
    other = SpeechCommands(path=f"{sounds}/", num_words="10")
    assert other.data_hash != before


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": 8000}, "1 channels of 16 bits at 8000 Hz: needs one of 16 bits"),
        ({"channels": 2}, "2 channels"),
    ],
)
def test_other_forms_are_refused(sounds: Path, fields: dict, message: str) -> None:
    write(sounds / "bed" / f"{0:08x}_nohash_0.wav", np.zeros(8), **fields)
    with pytest.raises(ValueError, match=f"00000000_nohash_0.wav: {message}"):
        SpeechCommands(path=str(sounds)).generate(range(140))


def test_broken_sounds_and_missing_lists_are_refused(sounds: Path) -> None:
    (sounds / "bed" / f"{0:08x}_nohash_0.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"not a whole \.wav file"):
        SpeechCommands(path=str(sounds)).generate(range(140))
    for file in (sounds / "bird").iterdir():
        file.unlink()
    with pytest.raises(FilesMissing, match=r"no bird/\*.wav"):
        SpeechCommands(path=str(sounds), seed=1, every=4).generate([0])
    (sounds / "testing_list.txt").unlink()
    with pytest.raises(FilesMissing, match=r"testing_list\.txt"):
        SpeechCommands(path=str(sounds), num_words="10", every=4).generate([0])
    with pytest.raises(ValueError, match="every=3 does not divide 16000"):
        tasks.make_task("speech-commands", every=3)
