"""The long convolution on GPUs: what a model of bytes and products predicts, beside measurements.

Predictions need no GPU; where CUDA is, the same sizes are timed, interleaved with the textbook
formula irfft(rfft(u, 2L) rfft(k, 2L)) and with FlashFFTConv if it is installed, once the results
have been found equal. Until somebody has run it on a GPU, all is predicted, nothing measured.

The model, per element of the output and one way (forward, without gates, a batch of 64 or more):

    time = max(bytes / (0.75 memory rate), operations / (share x tensor-core rate))

bytes: each signal once, in and out; of the three-kernel scheme also its scratch, a complex number
written and read twice. Operations: 2 for each multiply-add of the dots, x 3 for tf32x3. Share of
the peak: 0.5 for independent Toeplitz tiles, 0.35 for chained transforms. torch: 92 bytes in fp32
(pad 12, rfft 16, product 16, copy 16, irfft 16, scaling 16), 12 more for casts from halves, 32 more
for each further pass of an FFT of more than 8192 points. The shares and the 75 % are assumptions,
and traffic of the caches is left out; by bytes alone, the model is within 20 % of the times of
torch that FlashFFTConv published for an H100.

    python benchmarks/gpu_conv.py      predictions for the GPUs below; measurements if there is one
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from zoo.conv.triton import FAMILIES
from zoo.conv.triton.configurations import Configuration, dots_of, find_for, reach

LENGTHS = tuple(2**n for n in range(6, 21))
MEMORY_SHARE = 0.75
PRODUCT_SHARE = {"toeplitz": 0.5}  # of the tensor cores' peak; all else: 0.35
ELEMENTS = 2**26
REPEATS = 20


@dataclass(frozen=True)
class Gpu:
    """What the model knows of a GPU: dense rates, without sparsity."""

    name: str
    architecture: int
    bytes_per_s: float
    half_per_s: float  # float16 and bfloat16
    tf32_per_s: float
    source: str


GPUS = (
    Gpu("A100 SXM 80GB", 80, 2.039e12, 312e12, 156e12, "NVIDIA A100 data sheet, 2021"),
    Gpu(
        "H100 SXM", 90, 3.35e12, 989e12, 494e12, "NVIDIA H100 data sheet, 2023, half of its sparse"
    ),
    Gpu("H200 SXM", 90, 4.8e12, 989e12, 494e12, "NVIDIA H200 data sheet, 2024, half of its sparse"),
    Gpu(
        "B200", 100, 8.0e12, 2250e12, 1100e12, "NVIDIA DGX B200 data sheet, 2024, an eighth, dense"
    ),
)


def main() -> None:
    """Print the tables."""
    if sys.argv[1:]:
        sys.exit(f"{sys.argv[1]}: this takes no words")
    for gpu in GPUS:
        print(f"{gpu.name}, PREDICTED, ps per element of the forward convolution ({gpu.source})")
        print_predictions(gpu)
        print()
    if torch.cuda.is_available():
        print_measurements()
    else:
        print("No CUDA device here: nothing was measured.")


def print_predictions(gpu: Gpu) -> None:
    """One row a length: float32 signals with tf32x3 products, bfloat16 ones with float16."""
    head = ["kernels", "ps", "torch ps", "ratio"]
    print(f"| L | {' | '.join(f'{io} {word}' for io in ('fp32', 'bf16') for word in head)} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for length in LENGTHS:
        cells = [f"{length}"]
        for io in (torch.float32, torch.bfloat16):
            name, ours = predicted(gpu, length, io)
            theirs = 1e12 * torch_bytes(length, io) / (MEMORY_SHARE * gpu.bytes_per_s)
            cells += [name, f"{ours:.1f}", f"{theirs:.0f}", f"{theirs / ours:.1f} x"]
        print(f"| {' | '.join(cells)} |")


def predicted(gpu: Gpu, length: int, io: torch.dtype) -> tuple[str, float]:
    """The kernels and picoseconds per element."""
    dots = dots_of("auto", io)
    family = next(f for f in (*FAMILIES, "") if not f or reach(f, dots, gpu.architecture) >= length)
    if not family:
        return "none", math.nan
    row = find_for(family, main_role(family), length, dots, gpu.architecture)
    moved = 2 * io.itemsize + scratch_bytes(row)
    rate = gpu.tf32_per_s if dots in ("tf32", "tf32x3") else gpu.half_per_s
    work = operations(row, length) * (3 if dots == "tf32x3" else 1)
    seconds = max(
        moved / (MEMORY_SHARE * gpu.bytes_per_s), work / (PRODUCT_SHARE.get(family, 0.35) * rate)
    )
    return f"{family} {dots}", 1e12 * seconds


def main_role(family: str) -> str:
    """The role whose blocks tell the operations."""
    return "inner" if family == "monarch_long" else "convolve"


def operations(row: Configuration, length: int) -> float:
    """Of the dots, per element: to every past tile; or the stages of a transform, both ways.

    A stage of n points costs 8 n forward and 8 n back, half of it where one side is real.
    """
    if row.family == "toeplitz":
        return length + row.blocks["STEPS"]
    stages = [n for n in (row.blocks[f"N{i}"] for i in (1, 2, 3)) if n > 1]
    if row.family == "monarch_long":  # columns of real signals around transforms of complex ones
        stages = [max(16, length // math.prod(stages)), *stages]
    return 8 * stages[0] + 16 * sum(stages[1:])


def scratch_bytes(row: Configuration) -> float:
    """The three kernels write and read complex numbers twice, of the type of the products."""
    number = 4 if row.dots in ("fp16", "bf16") else 8
    return 4 * number if row.family == "monarch_long" else 0


def torch_bytes(length: int, io: torch.dtype) -> float:
    """Of the textbook formula, per element."""
    passes = max(0, math.ceil(math.log2(2 * length) / 13) - 1)
    return 92 + 32 * passes + (12 if io != torch.float32 else 0)


def textbook(u: Tensor, k: Tensor) -> Tensor:
    """The formula that everybody writes."""
    n = 2 * u.shape[-1]
    return irfft(rfft(u.float(), n) * rfft(k, n), n)[..., : u.shape[-1]].to(u.dtype)


def print_measurements() -> None:
    """Forward, and forward with backward, interleaved; medians."""
    name = torch.cuda.get_device_name()
    print(f"{name}, MEASURED, ms of {ELEMENTS:,} elements (ratio to torch.fft)")
    print("| L | signals | pass | torch.fft | zoo | FlashFFTConv |\n|---|---|---|---|---|---|")
    for length in LENGTHS:
        for io in (torch.float32, torch.bfloat16):
            for backward in (False, True):
                print(measured_row(length, io, backward=backward), flush=True)


def measured_row(length: int, io: torch.dtype, *, backward: bool) -> str:
    """One row of the table; equal results first."""
    from zoo.conv import fft_conv

    channels = min(256, max(1, ELEMENTS // length // 4))
    u = torch.randn(ELEMENTS // channels // length, channels, length, device="cuda", dtype=io)
    k = torch.randn(channels, length, device="cuda") / length**0.5
    methods: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "torch.fft": textbook,
        "zoo": lambda u, k: fft_conv(u, k, backend="triton"),
    }
    if (flash := flash_fft_conv(length, io)) is not None:
        methods["FlashFFTConv"] = flash
    exact = textbook(u[:1].double(), k.double())
    for name, method in methods.items():
        wrong = ((method(u, k)[:1].double() - exact).norm() / exact.norm()).item()
        assert wrong < (1e-5 if io == torch.float32 else 2e-2), f"{name} is off by {wrong:.1e}"
    ms = times(methods, u, k, backward=backward)
    cells = [f"{length}", f"{io}".removeprefix("torch."), "f + b" if backward else "f"]
    for name in ("torch.fft", "zoo", "FlashFFTConv"):
        took = ms.get(name)
        cells.append("-" if took is None else f"{took:.3f} ({ms['torch.fft'] / took:.1f} x)")
    return f"| {' | '.join(cells)} |"


def flash_fft_conv(length: int, io: torch.dtype) -> Callable[[Tensor, Tensor], Tensor] | None:
    """FlashFFTConv for a causal convolution, where it is installed and takes the size."""
    if io == torch.float32:
        return None
    try:
        from flashfftconv import FlashFFTConv  # pyright: ignore

        return FlashFFTConv(2 * length, dtype=io).cuda()
    except (ImportError, ValueError, NotImplementedError, AssertionError):
        return None


def times(
    methods: dict[str, Callable[[Tensor, Tensor], Tensor]], u: Tensor, k: Tensor, *, backward: bool
) -> dict[str, float]:
    """The median milliseconds of each method, taken in turn."""
    u, k = u.detach().requires_grad_(backward), k.detach().requires_grad_(backward)
    g = torch.randn_like(u)
    taken: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(REPEATS + 3):
        for name, method in methods.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            y = method(u, k)
            if backward:
                torch.autograd.grad(y, (u, k), g)
            end.record()
            torch.cuda.synchronize()
            taken[name].append(begin.elapsed_time(end))
    return {name: statistics.median(each[3:]) for name, each in taken.items()}


if __name__ == "__main__":
    main()
