"""What a kernel costs: making it and convolving with it, forward and backward, family by family.

    k = kernel();  y = k * u;  gradients of y to u and to the kernel's parameters

Every family makes one kernel for each of D features, from its preset, and convolves the same B
sequences with the same code: only how the kernel is made differs. Interleaved in one process, one
thread, CPU time, float32, medians; "kept" is what waits for backward beside inputs and parameters.
Outputs are checked against the formula in double first, and nothing is printed if they disagree.
Then the published claims, beside what the table says of them: other hardware, data and code.

    python benchmarks/kernels.py
    python benchmarks/kernels.py lengths=1024,8192 repeats=3 batch=4 width=8
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.fft import irfft, rfft

# beside this script lie others called sweeps.py and tasks.py
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sweeps.allocator import keep_large_blocks
from zoo.conv import fft_conv
from zoo.draws import Draws
from zoo.kernel import Kernel, KernelContext, KernelSpec
from zoo.presets import names, preset
from zoo.spec import import_components

FAMILIES = ("sgconv", "long-conv", "s4", "s4d", "hyena")
TYPED = "long-conv, typed"  # the same kernel with the formula that one would type
LENGTHS = tuple(2**n for n in range(10, 18))
BATCH, WIDTH, REPEATS = 8, 16, 9
LEAST = 2.0  # seconds for a row, where that is more than three rounds
WORST = 2e-6  # relative L2 error
WORDS = ("lengths", "repeats", "batch", "width")
Convolve = Callable[[Tensor, Tensor], Tensor]


def typed(u: Tensor, k: Tensor) -> Tensor:
    """What a researcher would type."""
    length = u.shape[-1]
    return irfft(rfft(u, 2 * length) * rfft(k, 2 * length), 2 * length)[..., :length]


class Way:
    """One family at one length: its kernel, and how it convolves."""

    def __init__(self, family: str, width: int, length: int, convolve: Convolve) -> None:
        context = KernelContext(channels=width, length=length, draws=Draws(0, family))
        self.kernel: Kernel = spec_of(family).build(context)
        self.parameters = [p for p in self.kernel.parameters() if p.requires_grad]
        self.convolve = convolve

    def output(self, u: Tensor) -> Tensor:
        return self.convolve(u, self.kernel())

    def step(self, u: Tensor, g: Tensor) -> None:
        """Forward and backward."""
        torch.autograd.grad(self.output(u), [u, *self.parameters], g)


def spec_of(family: str) -> KernelSpec:
    """The long kernel of a preset: that of its first mixer."""
    found = getattr(preset(family).mixers[0], "kernel", None)
    assert isinstance(found, KernelSpec), f"{family}: its first mixer has no field `kernel`"
    return found


def ways_at(width: int, length: int) -> dict[str, Way]:
    """Every family that there is."""
    here = [family for family in FAMILIES if family in names()]
    ways = {family: Way(family, width, length, fft_conv) for family in here}
    return {**ways, TYPED: Way("long-conv", width, length, typed)}


def inputs(batch: int, width: int, length: int) -> tuple[Tensor, Tensor]:
    """u, which has a gradient, and the gradient of the output."""
    generator = torch.Generator().manual_seed(length)
    u, g = (torch.randn(batch, width, length, generator=generator) for _ in range(2))
    return u.requires_grad_(), g


def check(ways: dict[str, Way], u: Tensor) -> None:
    """The same convolution in every way; the program ends where it is not."""
    for name, way in ways.items():
        with torch.no_grad():
            exact = typed(u.double(), way.kernel().double())
            error = float((way.output(u) - exact).norm() / exact.norm())
        if not error < WORST:
            sys.exit(f"{name} at {u.shape[-1]}: relative error {error:.1e}: nothing is measured")


def milliseconds(ways: dict[str, Way], u: Tensor, g: Tensor, repeats: int) -> dict[str, float]:
    """Medians of CPU time, in turns; the first round warms up."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    began, rounds = time.monotonic(), 0
    while rounds < 3 or (rounds <= repeats and time.monotonic() - began < LEAST * len(ways)):
        for name, way in ways.items():
            start = time.process_time()
            way.step(u, g)
            taken[name].append(1e3 * (time.process_time() - start))
        rounds += 1
    return {name: statistics.median(times[1:]) for name, times in taken.items()}


def kept_bytes(way: Way, u: Tensor) -> int:
    """Distinct storage that waits for backward, but for the input and what the kernel owns."""
    own = {x.untyped_storage().data_ptr() for x in (u, *_tensors(way.kernel))}
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        y = way.output(u)
    own.add(y.untyped_storage().data_ptr())
    return sum(size for place, size in kept.items() if place not in own)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def main() -> None:
    """Print the table and the claims."""
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    if set(words) - set(WORDS):
        sys.exit(f"{' '.join(set(words) - set(WORDS))}: choose from {', '.join(WORDS)}")
    import_components("zoo")
    torch.set_num_threads(1)
    keep_large_blocks()
    batch, width = int(words.get("batch", BATCH)), int(words.get("width", WIDTH))
    lengths = [int(n) for n in words["lengths"].split(",")] if "lengths" in words else [*LENGTHS]
    rows = [measured(batch, width, n, int(words.get("repeats", REPEATS))) for n in lengths]
    times, kept = [row[0] for row in rows], [row[1] for row in rows]
    print("\n".join(table(f"CPU ms, B = {batch}, D = {width}; L", lengths, times, "{:.1f}".format)))
    print()
    mebibytes = [{name: size / 2**20 for name, size in row.items()} for row in kept]
    print("\n".join(table("kept, MiB; L", lengths, mebibytes, "{:.2f}".format)))
    print()
    print("\n".join(claims(lengths, times, kept)))


def measured(
    batch: int, width: int, length: int, repeats: int
) -> tuple[dict[str, float], dict[str, int]]:
    """CPU ms and kept bytes of every way at one length."""
    ways, (u, g) = ways_at(width, length), inputs(batch, width, length)
    check(ways, u)
    return milliseconds(ways, u, g, repeats), {n: kept_bytes(w, u) for n, w in ways.items()}


def table(
    title: str,
    lengths: Sequence[int],
    rows: Sequence[Mapping[str, float]],
    shown: Callable[[float], str],
) -> Iterator[str]:
    """A row for each length."""
    yield f"| {title} | " + " | ".join(rows[0]) + " |"
    yield "|---:|" + "---:|" * len(rows[0])
    for length, row in zip(lengths, rows, strict=True):
        yield f"| {length:,} | " + " | ".join(shown(value) for value in row.values()) + " |"


def claims(
    lengths: Sequence[int], times: list[dict[str, float]], kept: list[dict[str, int]]
) -> Iterator[str]:
    """What papers say, and what the table says."""
    yield "| claim | source | here |"
    yield "|---|---|---|"
    for claim, rows, unit in (("is faster", times, "ms"), ("keeps less", kept, "bytes kept")):
        said = _against(rows, lengths, unit) if "s4" in rows[0] else "not measured: no preset s4"
        yield f"| SGConv {claim} than S4, at every length | arXiv:2210.09298 | {said} |"
    ratios = [row[TYPED] / row["long-conv"] for row in times]
    said = ", ".join(f"{r:.1f} x at {n:,}" for n, r in zip(lengths, ratios, strict=True))
    claim = "FlashButterfly makes a long convolution 2.2 x faster at best, 1.8 x at 131,072"
    unsure = "a GPU; 1.8 not read at the source"
    yield f"| {claim} | arXiv:2302.06646 ({unsure}) | typed / long-conv in ms: {said} |"


def _against(rows: Sequence[Mapping[str, float]], lengths: Sequence[int], unit: str) -> str:
    ratios = [row["s4"] / max(row["sgconv"], 1e-9) for row in rows]
    where = [f"{n:,}" for n, r in zip(lengths, ratios, strict=True) if r <= 1]
    verdict = f"not at {', '.join(where)}" if where else "so at every length"
    said = ", ".join(f"{r:.1f} x" for r in ratios)
    return f"{verdict}: s4 / sgconv in {unit} {said}"


if __name__ == "__main__":
    main()
