"""How many parameters the kernels of a model have, over the length that it is built for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from functools import lru_cache

import torch

from zoo.draws import Draws
from zoo.kernel import Kernel
from zoo.mixers import LayerContext
from zoo.model import ModelSpec

FARTHEST = 16  # times the task's length
LARGE = 2**22  # numbers of a kernel: larger ones are only outlined, on meta tensors


@lru_cache(maxsize=256)
def kernel_parameters(model: ModelSpec, length: int) -> int:
    """Those of all convolution kernels of the model. A mixer is built once for all its layers.

    Raises: ValueError where a mixer cannot have this length.
    """
    total, every = 0, len(model.mixers)
    for i, mixer in enumerate(model.mixers):
        layer = LayerContext(model.width, length, Draws(0, "growth"), i, model.depth)
        # a small one is made for real: quicker than what torch imports for meta tensors
        with nullcontext() if model.width * length < LARGE else torch.device("meta"):
            built = mixer.build(layer)
        kernels = [module for module in built.modules() if isinstance(module, Kernel)]
        own = sum(p.numel() for kernel in kernels for p in kernel.parameters())
        total += own * len(range(i, model.depth, every))
    return total


def parameters_by_length(model: ModelSpec, length: int) -> dict[int, int]:
    """Over powers of two, from half the length or less to FARTHEST times as long.

    Empty for a model without kernels; lengths that a mixer cannot have are left out.
    """
    return {n: count for n, count in _counts(model, length) if count}


def _counts(model: ModelSpec, length: int) -> Iterator[tuple[int, int]]:
    place = max(1, 2 ** (length.bit_length() - 2))
    while place <= FARTHEST * length:
        with suppress(ValueError):
            yield place, kernel_parameters(model, place)  # pyright: ignore[reportArgumentType]
        place *= 2
