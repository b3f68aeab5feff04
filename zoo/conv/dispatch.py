"""Which backend convolves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from zoo.conv import reference, spectral
from zoo.conv.lags import Mode

Backend = Literal["auto", "reference", "spectral", "cpu", "triton"]
Precision = Literal["auto", "fp32", "tf32", "fp16", "bf16"]
Convolve = Callable[[Tensor, tuple[Tensor, ...], Mode], Tensor]

BACKENDS: dict[str, Convolve] = {"reference": reference.convolve, "spectral": spectral.convolve}
PRECISIONS = ("auto", "fp32")


def choose(backend: Backend, precision: Precision) -> Convolve:
    """The function for a backend and a precision; `auto` is spectral.

    Raises:  ValueError for what does not exist (cpu and triton are names reserved for compiled
             backends; reduced precisions need one of those).
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}: choose from {', '.join(PRECISIONS)}")
    name = "spectral" if backend == "auto" else backend
    if name not in BACKENDS:
        raise ValueError(f"backend={backend!r}: choose from auto, {', '.join(BACKENDS)}")
    return BACKENDS[name]
