"""Initial values as a pure function of (seed, path, name).

Every tensor has its own stream, so removing one module never moves another's initial values:
two arms of an ablation start equal wherever they have the same parts.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Draws:
    """Named, independent random streams below one path; torch's global generator is not touched."""

    seed: int
    path: str = ""

    def child(self, name: str) -> Draws:
        """The streams of a part."""
        return Draws(self.seed, f"{self.path}/{name}")

    def normal(self, name: str, *shape: int, std: float = 1.0) -> Tensor:
        """N(0, std^2), float32."""
        return _placed(shape, lambda: torch.randn(shape, generator=self._stream(name)) * std)

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """U[low, high), float32."""
        return _placed(
            shape, lambda: low + (high - low) * torch.rand(shape, generator=self._stream(name))
        )

    def linear(
        self, name: str, fan_in: int, fan_out: int, *, bias: bool = True, std: float | None = None
    ) -> nn.Linear:
        """A linear layer: PyTorch's own law U(+-1/sqrt(fan_in)), or N(0, std^2) and zero bias."""
        layer = _Undrawn(fan_in, fan_out, bias=bias)
        here, bound = self.child(name), 1 / math.sqrt(fan_in)
        if std is None:
            layer.weight = nn.Parameter(
                here.uniform("weight", fan_out, fan_in, low=-bound, high=bound)
            )
        else:
            layer.weight = nn.Parameter(here.normal("weight", fan_out, fan_in, std=std))
        if bias and std is None:
            layer.bias = nn.Parameter(here.uniform("bias", fan_out, low=-bound, high=bound))
        elif bias:
            layer.bias = nn.Parameter(torch.zeros(fan_out))
        return layer

    def embedding(self, name: str, num: int, dim: int, *, std: float = 0.02) -> nn.Embedding:
        """A table of `num` vectors, N(0, std^2)."""
        weight = self.child(name).normal("weight", num, dim, std=std)
        return nn.Embedding.from_pretrained(weight, freeze=False)

    def _stream(self, name: str) -> torch.Generator:
        # PyTorch's CPU generator keeps 32 bits of a seed, so more of the hash would be lost.
        digest = hashlib.sha256(f"{self.seed}/{self.path}/{name}".encode()).digest()
        return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:4], "big"))


class _Undrawn(nn.Linear):
    """A linear layer whose constructor draws nothing."""

    def reset_parameters(self) -> None:
        pass


def _placed(shape: tuple[int, ...], draw: Callable[[], Tensor]) -> Tensor:
    """Draw on the CPU, whatever the device: the same numbers everywhere; on meta shapes only."""
    device = torch.get_default_device()
    if device.type == "meta":
        return torch.empty(shape, dtype=torch.float32, device=device)
    with torch.device("cpu"):
        values = draw()
    return values.to(device, torch.float32)


def declare(parameter: nn.Parameter, lr: float | None = None) -> nn.Parameter:
    """Mark a parameter of a kernel: weight decay 0, and its own rate `lr` (None: the model's).

    The mark is the attribute `kernel_lr`. It survives `.double()` and `.cuda()`, not `deepcopy`.
    """
    parameter.kernel_lr = lr  # pyright: ignore[reportAttributeAccessIssue]
    return parameter


def allow_decay(parameter: nn.Parameter, *, allowed: bool) -> None:
    """Let a declared parameter have the model's weight decay after all, or not."""
    parameter.kernel_weight_decay = allowed  # pyright: ignore[reportAttributeAccessIssue]


def declare_all(module: nn.Module, lr: float | None = None) -> nn.Module:
    """Mark every parameter of a module."""
    for parameter in module.parameters():
        declare(parameter, lr)
    return module
