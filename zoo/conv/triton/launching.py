"""The one place where a kernel is started: tests replace `launch` to look at what would run."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from zoo.conv.triton.configurations import Configuration


def launch(kernel: Any, programs: int, row: Configuration, **arguments: Any) -> None:
    """Run `programs` instances of a kernel along one axis of the grid.

    Families call it as `launching.launch(...)`, through the module: the static gate puts its own
    function here, that compiles in place of running. One axis, because the others end at 65535.

    Args:    kernel     a @triton.jit function
             row        its row of the table; `row.blocks` are constants of the kernel
             arguments  every other argument, by name, constants included
    """
    device = next(a.device for a in arguments.values() if isinstance(a, Tensor))
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        kernel[(programs,)](**arguments, **row.blocks, **row.options)


def ready(x: Tensor) -> Tensor:
    """As kernels read it: contiguous, from an address that is a multiple of 16 bytes."""
    x = x.contiguous()
    return x.clone() if x.data_ptr() % 16 else x


def pieces(count: int, size: int) -> int:
    """How many blocks of a size hold so many elements."""
    return -(-count // size)
