"""Band-limited white signals: repeat one after a delay, or its end from memory.

    delay           x0 x1 x2 x3 x4 ...      target at t: x[t - lag], and 0 before
    reconstruction  x0 x1 ... x[L-1]        target, once: the last num_kept samples

A signal is the inverse Fourier transform of independent normal coefficients up to `freq`, of
size `rms`, shifted to begin at 0.  T = length dt is its duration.

Source:  Gu et al. 2022, "How to train your HiPPO", arXiv:2206.12037, section 4;
         state-spaces/s4@d27bdf9 src/dataloaders/datasets/{delay,reconstruct}.py and
         src/dataloaders/utils/signal.py.
Differs: odd lengths are refused, where upstream returns a sample more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import Batch
from tasks.normals import normals
from tasks.published import Preset
from tasks.rng import Floats, Words
from tasks.task import Content, Task
from zoo.spec import Context

COEFFICIENTS = 1


class _Signal(Task):
    """What both tasks share: the law of the signals."""

    metric: ClassVar[Any] = "loss"
    factors: ClassVar[dict[str, str]] = {}

    length: Annotated[int, Field(ge=2, le=2**24, description="samples L, even")] = 256
    dt: Annotated[float, Field(gt=0, le=1e6, description="time of a sample")] = 1e-3
    freq: Annotated[float, Field(gt=0, le=1e9, description="highest frequency")] = 50.0
    rms: Annotated[float, Field(gt=0, le=1e6, description="size of the signals")] = 0.5

    def problems(self) -> Iterator[str]:
        if self.length % 2:
            yield f"length={self.length} is odd: needs an even one, such as {self.length + 1}"
        elif self.num_waves < 1:
            yield (
                f"freq={self.freq} is below the lowest wave of length={self.length}, dt="
                f"{self.dt}: needs >= {1 / (self.length * self.dt):.6g}"
            )
        if self.freq * self.dt > 0.5:
            yield f"freq={self.freq} is above half the sampling rate: needs <= {0.5 / self.dt:.6g}"

    @property
    def num_waves(self) -> int:
        """Waves k / T of the signal that are not above `freq`."""
        whole = int(self.freq * self.length * self.dt * (1 + 1e-12))
        return min(whole, self.length // 2)

    @property
    def vocabulary(self) -> dict[str, range]:
        return {}

    @property
    def num_contents(self) -> int:
        return 2**64  # real numbers

    def draw(self, keys: Words, split: str) -> Content:
        return {"key": keys.view(np.int64)[:, None].copy()}

    @property
    def scale(self) -> float:
        """What coefficients are multiplied by: missing power is made up for."""
        half = self.length // 2
        kept = self.num_waves / half
        return self.rms * (self.length / 2 / kept) ** 0.5

    def signals(self, keys: Words) -> Floats:
        """(B, L)"""
        half, num = self.length // 2, self.num_waves
        drawn = normals(keys, COEFFICIENTS, 2 * num) * self.scale
        coefficients = np.zeros((len(keys), half + 1), np.complex128)
        coefficients[:, 1 : num + 1] = drawn[:, :num] + 1j * drawn[:, num:]
        coefficients[:, half] = coefficients[:, half].real
        made = np.fft.irfft(coefficients, self.length, axis=1)
        return made - made[:, :1]

    def power(self) -> Floats:
        """The mean square at each time: 2 (R(0) - R(t)), R the autocovariance.          (L,)"""
        half, num = self.length // 2, self.num_waves
        spectrum = np.zeros(half + 1)
        spectrum[1 : num + 1] = 2 * self.scale**2  # real and imaginary part
        spectrum[half] /= 2  # real
        covariance = np.fft.irfft(spectrum, self.length) / self.length
        return 2 * (covariance[0] - covariance)


class Delay(_Signal, kind="delay"):
    """Delay: at every time the sample of `lag` earlier, and of 2 lag, ..., num_lags lag."""

    lag: Annotated[int, Field(ge=1, description="samples to wait")] = 64
    num_lags: Annotated[int, Field(ge=1, le=2**16, description="multiples of it, outputs")] = 1

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.lag * self.num_lags >= self.length:
            yield (
                f"lag={self.lag} times num_lags={self.num_lags} does not fit in length="
                f"{self.length}: needs < {self.length}"
            )

    @property
    def context(self) -> Context:
        return Context(input_dim=1, num_outputs=self.num_lags, length=self.length, head="trace")

    @property
    def chance(self) -> float:
        """The mean square of the targets: 0 is the best constant."""
        power = self.power()
        lags = [power[: self.length - i * self.lag].sum() for i in self._multiples()]
        return float(sum(lags) / self.length / self.num_lags)

    def _multiples(self) -> range:
        return range(1, self.num_lags + 1)

    def _delayed(self, signals: NDArray[Any]) -> NDArray[np.float32]:
        found = np.zeros((*signals.shape, self.num_lags), np.float32)
        for i in self._multiples():
            found[:, i * self.lag :, i - 1] = signals[:, : signals.shape[1] - i * self.lag]
        return found

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        inputs = self.signals(keys).astype(np.float32)
        return Batch.of(inputs[..., None], self._delayed(inputs))

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.float32]:
        return self._delayed(inputs[..., 0])


class Reconstruction(_Signal, kind="reconstruction"):
    """Reconstruction: the last num_kept samples at once, when the signal is over."""

    num_kept: Annotated[int, Field(ge=1, description="samples to give back, outputs")] = 64

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.num_kept > self.length:
            yield f"num_kept={self.num_kept} exceeds length={self.length}: needs <= it"

    @property
    def context(self) -> Context:
        return Context(
            input_dim=1, num_outputs=self.num_kept, length=self.length, head="regression"
        )

    @property
    def chance(self) -> float:
        """The mean square of the targets: 0 is the best constant."""
        return float(self.power()[-self.num_kept :].mean())

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        inputs = self.signals(keys).astype(np.float32)
        return Batch.of(inputs[..., None], inputs[:, -self.num_kept :].copy())

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.float32]:
        return inputs[:, -self.num_kept :, 0].astype(np.float32)


PUBLISHED = (
    Preset(
        name="httyh-delay",
        section="continuous delay, 1,000 of 4,000 samples",
        upstream="state-spaces/s4@d27bdf9 src/dataloaders/datasets/delay.py",
        paper="Gu et al. 2022, How to train your HiPPO, arXiv:2206.12037",
        differs=("fresh examples", "one output; upstream's runs had four by a mistake"),
        value=Delay(length=4000, lag=1000, dt=2.5e-4, freq=1000.0),
    ),
    Preset(
        name="httyh-reconstruction",
        section="reconstruction, 1,000 of 4,000 samples",
        upstream="state-spaces/s4@d27bdf9 src/dataloaders/datasets/reconstruct.py",
        paper="Gu et al. 2022, How to train your HiPPO, arXiv:2206.12037",
        differs=("fresh examples",),
        value=Reconstruction(length=4000, num_kept=1000, dt=1e-3, freq=100.0),
    ),
)
