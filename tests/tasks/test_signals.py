"""Band-limited signals: their spectrum and power, and the two questions about them."""

from __future__ import annotations

import numpy as np
import pytest

import tasks
from tasks import rng
from tasks.signals import Delay, Reconstruction


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def test_the_worked_example() -> None:
    """lag 2 on 0, a, b, c -> 0, 0, 0, a."""
    inputs = np.array([[[0], [1], [2], [3]]], np.float32)
    assert Delay(length=4, lag=2, dt=1, freq=0.5).oracle(inputs)[0, :, 0].tolist() == [0, 0, 0, 1]
    both = Delay(length=4, lag=1, num_lags=2, dt=1, freq=0.5).oracle(inputs)[0]
    assert both.tolist() == [[0, 0], [0, 0], [1, 0], [2, 1]]
    end = Reconstruction(length=4, num_kept=3, dt=1, freq=0.5).oracle(inputs)
    assert end.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("length", "dt", "freq", "waves"),
    [
        (256, 1e-3, 50.0, 12),
        (64, 1e-3, 500.0, 32),
        (4000, 2.5e-4, 1000.0, 1000),
        (8, 1.0, 0.125, 1),
    ],
)
def test_no_wave_is_above_the_limit(length: int, dt: float, freq: float, waves: int) -> None:
    task = Delay(length=length, dt=dt, freq=freq, lag=1)
    assert task.num_waves == waves
    signals = task.signals(keys(20))
    assert (signals[:, 0] == 0).all()
    size = np.abs(np.fft.rfft(signals, axis=1))
    assert size[:, waves + 1 :].max(initial=0) < 1e-9 * size.max()
    assert (size[:, 1 : waves + 1] > 0).all()


@pytest.mark.parametrize(("freq", "length"), [(50.0, 256), (500.0, 64), (100.0, 40)])
def test_power_is_exact(freq: float, length: int) -> None:
    """The mean square at each time, and rms of the signal before it is shifted."""
    task = Delay(length=length, freq=freq, lag=1)
    signals = task.signals(keys(20_000))
    square = (signals**2).mean(axis=0)
    sigma = (signals**2).std(axis=0) / 20_000**0.5
    assert (np.abs(square - task.power()) <= 5 * sigma).all()
    around = signals - signals.mean(axis=1, keepdims=True)
    assert (around**2).mean() == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize(
    "task",
    [Delay(), Delay(lag=20, num_lags=3), Reconstruction(), Reconstruction(num_kept=256)],
    ids=["delay", "delays", "end", "all"],
)
def test_chance_is_the_mean_square(task: tasks.Task) -> None:
    batch = task.generate(range(8000), "test")
    square = (batch.targets.astype(np.float64) ** 2).reshape(8000, -1).mean(axis=1)
    assert abs(square.mean() - task.chance) < 4 * square.std() / 8000**0.5
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)
    assert batch.inputs.dtype == batch.targets.dtype == np.float32
    assert batch.mask.all()
    assert batch.mask.shape == batch.targets.shape


def test_samples_are_independent_between_examples() -> None:
    signals = Delay().signals(keys(5000))
    assert np.abs(np.corrcoef(signals[:, 100], signals[::-1, 100])[0, 1]) < 4 / 5000**0.5
    assert np.array_equal(Delay().signals(keys(7)), signals[:7])


def test_published_settings() -> None:
    delay, end = tasks.preset("httyh-delay"), tasks.preset("httyh-reconstruction")
    assert (delay.context.length, delay.context.num_outputs, delay.context.head) == (
        4000,
        1,
        "trace",
    )
    assert (end.context.length, end.context.num_outputs) == (4000, 1000)
    assert end.context.head == "regression"


REFUSED = [
    ("delay", {"length": 255}, "length=255 is odd: needs an even one, such as 256"),
    ("delay", {"freq": 3.0}, "freq=3.0 is below the lowest wave .*needs >= 3.90625"),
    ("reconstruction", {"freq": 501.0}, "freq=501.0 is above half the sampling rate: needs <= 500"),
    ("delay", {"lag": 128, "num_lags": 2}, "lag=128 times num_lags=2 does not fit .*needs < 256"),
    ("reconstruction", {"num_kept": 257}, "num_kept=257 exceeds length=256"),
]


@pytest.mark.parametrize(("kind", "fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(kind: str, fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task(kind, **fields)
