"""Which backend convolves: a table, and the reasons for leaving it.

`benchmarks/conv.py --dispatch` measures what the table should say on the machine at hand.
"""

from __future__ import annotations

from importlib import import_module
from typing import Literal, Protocol, get_args

from torch import Tensor

from zoo.conv.arguments import Arguments, Gradients

Backend = Literal["auto", "reference", "spectral", "cpu", "triton"]
Precision = Literal["auto", "fp32", "tf32", "fp16", "bf16"]
BACKENDS: tuple[str, ...] = get_args(Backend)
PRECISIONS: tuple[str, ...] = get_args(Precision)

# For a device: the first length from which backends are tried, in this order.
PREFERRED: dict[str, tuple[tuple[int, tuple[str, ...]], ...]] = {
    "cpu": ((1, ("cpu", "spectral")),),
    "cuda": ((1, ("triton", "spectral")),),
}
ELSEWHERE = ("spectral",)  # any other device


class Convolution(Protocol):
    """What a backend is: three functions of plain tensors, none of them differentiable."""

    def refusal(self, u: Tensor, precision: str) -> str | None:
        """Why it cannot take the signal, in half a line; None if it can."""
        ...

    def convolve(self, a: Arguments, precision: str) -> Tensor:
        """The output, with the dtype of u and the strides of torch.empty_like(u): (B, D, L)."""
        ...

    def gradients(self, g: Tensor, a: Arguments, precision: str) -> Gradients:
        """The derivatives in each argument: signals like u, the others contiguous.

        With gc = post g and gx = C^T gc + skip gc, where C^T has forward and backward swapped:

            du = pre gx,  dpre = u gx,  dpost = g (C x + skip x),  dskip = sum_{b,t} gc_t x_t
            dforward[j] = sum_{b,t} gc_t x_{t-j},  dbackward[j] = sum_{b,t} gc_t x_{t+j}

        Args:    g  the gradient of the output, any strides                            (B, D, L)
        """
        ...

    def weight_gradient(self, g: Tensor, u: Tensor, taps: int, precision: str) -> Tensor:
        """w[d, j] = sum over b and t >= j of g[b, d, t] u[b, d, t - j]: (D, taps)."""
        ...


def choose(backend: str, u: Tensor, precision: str) -> Convolution:
    """The backend for a signal: the one that is named, or the table's first that can take it.

    Raises:  ValueError with the reason if none can.
    """
    names = (backend,) if backend != "auto" else preferred(u.device.type, u.shape[-1])
    reasons = []
    for name in names:
        found: Convolution = import_module(f"zoo.conv.{name}")  # pyright: ignore
        reason = found.refusal(u, precision)
        if reason is None:
            return found
        reasons.append(f"{name} cannot: {reason}")
    raise ValueError(f"backend={backend!r}, precision={precision!r}: {'; '.join(reasons)}")


def preferred(device: str, length: int) -> tuple[str, ...]:
    """The table's backends for a device and a length, best first."""
    rows = [row for row in PREFERRED.get(device, ()) if row[0] <= length]
    return rows[-1][1] if rows else ELSEWHERE
