"""The short convolution against torch's depthwise conv1d: forward and backward, one thread.

    (B, L, D)   what a model holds: conv1d gets it transposed, padded and cut off
    (B, D, L)   conv1d in its own layout, for a model that would hold that

First checks that outputs and all gradients agree, then times the three in turn; ratios of medians.
The second table is with glibc keeping large blocks, as the trainer does.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sweeps.allocator import keep_large_blocks
from zoo.conv.cpu import build
from zoo.conv.short_conv import short_conv

SIZES = [(64, 64), (32, 256), (8, 1024)]  # batch, length
WIDTHS = (32, 64, 128)
TAPS = 4


def main() -> None:
    """Print the tables. `repeats` may be given as a word; `width` adds one."""
    words = dict(word.split("=") for word in sys.argv[1:])
    widths = (*WIDTHS, int(words["width"])) if "width" in words else WIDTHS
    torch.set_num_threads(1)
    print(f"compiled: {build.reason() or 'yes'}\n")
    for title, prepare in (("stock allocator", None), ("large blocks kept", keep_large_blocks)):
        if prepare is not None:
            prepare()
        print(f"| B, L, D ({title}) | CPU ms: conv1d | conv1d (B, D, L) | here | ratio | ratio to "
              "(B, D, L) | wall: ratio | ratio to (B, D, L) |\n" + "|---" * 8 + "|")  # fmt: skip
        for batch, length in SIZES:
            for width in widths:
                print(row(batch, length, width, int(words.get("repeats", 25))), flush=True)
        print()


def row(batch: int, length: int, width: int, repeats: int) -> str:
    """One line of the table."""
    u, g = torch.randn(batch, length, width), torch.randn(batch, length, width)
    w, bias = torch.randn(width, TAPS).requires_grad_(), torch.randn(width).requires_grad_()
    turned, turned_g = u.mT.contiguous().requires_grad_(), g.mT.contiguous()
    u.requires_grad_()

    def conv1d(x: Tensor) -> Tensor:
        return F.conv1d(F.pad(x, (TAPS - 1, 0)), w[:, None], bias, groups=width)

    ways: dict[str, Callable[[], tuple[Tensor, ...]]] = {
        "conv1d": lambda: both(conv1d(u.mT).mT, (u, w, bias), g),
        "native": lambda: both(conv1d(turned), (turned, w, bias), turned_g),
        "here": lambda: both(short_conv(u, w, bias), (u, w, bias), g),
    }
    y, du, *others = ways["native"]()
    wanted = (y.mT, du.mT, *others)
    for name in ("conv1d", "here"):
        for one, two in zip(ways[name](), wanted, strict=True):
            torch.testing.assert_close(one, two, atol=2e-4, rtol=2e-4)
    cpu, wall = interleaved(ways, repeats)
    return (
        f"| {batch}, {length}, {width} | {cpu['conv1d']:.2f} | {cpu['native']:.2f} "
        f"| {cpu['here']:.2f} | {cpu['conv1d'] / cpu['here']:.1f} x "
        f"| {cpu['native'] / cpu['here']:.1f} x | {wall['conv1d'] / wall['here']:.1f} x "
        f"| {wall['native'] / wall['here']:.1f} x |"
    )


def both(y: Tensor, inputs: tuple[Tensor, ...], g: Tensor) -> tuple[Tensor, ...]:
    """The output and the gradients."""
    return (y.detach(), *torch.autograd.grad(y, inputs, g))


def interleaved(
    ways: dict[str, Callable[[], object]], repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Medians of CPU and of wall time, in ms."""
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 3):
        for name, way in ways.items():
            began = time.process_time(), time.perf_counter()
            way()
            cpu[name].append(1e3 * (time.process_time() - began[0]))
            wall[name].append(1e3 * (time.perf_counter() - began[1]))
    return tuple({name: statistics.median(t[3:]) for name, t in x.items()} for x in (cpu, wall))  # pyright: ignore


if __name__ == "__main__":
    main()
