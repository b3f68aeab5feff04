"""Forward-mode derivatives (jvp): operators have none, the plain formulas do."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.autograd import forward_ad


def needs_reference(inputs: Iterable[Tensor | None], backend: str) -> bool:
    """Whether an input carries a tangent, so that only the plain formula will do.

    Raises:  ValueError if another backend was asked for by name.
    """
    if forward_ad._current_level < 0 or torch.compiler.is_compiling():
        return False
    if not any(x is not None and forward_ad.unpack_dual(x).tangent is not None for x in inputs):
        return False
    if backend != "auto":
        raise ValueError(
            f"backend={backend!r} has no derivative in forward mode: "
            "use backend='reference' or 'auto'"
        )
    return True
