"""The long convolution against the formula that a researcher would type: speed, memory, error.

    y = irfft(rfft(u, 2L) rfft(k, 2L), 2L)[..., :L]        with torch's own derivatives

Forward and backward in float32, interleaved in one process on the same numbers, medians of ratios;
results are checked against each other and against float64 first, and nothing is printed if they
disagree. Each regime of the allocator (glibc's own, and the one that the runner sets) and each
number of threads has a process of its own: one thread by CPU time, all threads by the clock.

    python benchmarks/conv.py              the table
    python benchmarks/conv.py --lengths    the same for lengths that are no power of two
    python benchmarks/conv.py --dispatch   what zoo/conv/dispatch.py should say: dispatch.json
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from sweeps.allocator import keep_large_blocks
from zoo.conv import fft_conv
from zoo.conv.cpu import build

SIZES = [
    (64, 64, 64),
    (64, 64, 128),
    (64, 128, 256),
    (32, 128, 512),
    (16, 128, 1024),
    (8, 64, 4096),
    (4, 64, 16384),
    (1, 64, 65536),
    (1, 16, 131072),
]
ODD_LENGTHS = [1, 2, 3, 5, 8, 13, 31, 61, 100, 127, 257, 509, 520, 1000, 1021, 1030, 2053, 4099]
ODD_LENGTHS += [12289, 65537]
LADDER = [1, 2, 3, 4, 5, 6, 7, 8, 16, 31, 64, 127, 256, 520, 1024, 2053, 4096, 16384, 65537]
DISPATCH = Path(__file__).parent / "dispatch.json"
Convolve = Callable[[Tensor, Tensor], Tensor]
Size = tuple[int, int, int]


def typed(u: Tensor, k: Tensor) -> Tensor:
    """What a researcher would type."""
    length = u.shape[-1]
    return irfft(rfft(u, 2 * length) * rfft(k, 2 * length), 2 * length)[..., :length]


def by(backend: str) -> Convolve:
    """fft_conv with a backend."""
    return lambda u, k: fft_conv(u, k, backend=backend)  # pyright: ignore[reportArgumentType]


def results(convolve: Convolve, u: Tensor, k: Tensor, g: Tensor) -> list[Tensor]:
    """y, du and dk."""
    leaves = [x.detach().requires_grad_() for x in (u, k)]
    y = convolve(*leaves)
    return [y.detach(), *torch.autograd.grad(y, leaves, g)]


def drawn(size: Size) -> tuple[Tensor, Tensor, Tensor]:
    """u, k and the gradient of the output."""
    _, channels, length = size
    generator = torch.Generator().manual_seed(length)
    u, g = (torch.randn(size, generator=generator) for _ in range(2))
    return u, torch.randn(channels, length, generator=generator) / math.sqrt(length), g


def relative(x: Tensor, exact: Tensor) -> float:
    return float((x - exact).norm() / exact.norm())


def worst_error(size: Size) -> float:
    """The largest relative L2 error of y, du, dk against float64; the program ends above 1e-6."""
    u, k, g = drawn(size)
    exact = results(typed, u.double(), k.double(), g.double())
    found = results(by("auto"), u, k, g)
    errors = [relative(x, y) for x, y in zip(found, exact, strict=True)]
    if max(errors) > 1e-6:
        sys.exit(f"{size}: relative errors of y, du, dk are {errors}: nothing is measured")
    return max(errors)


def seconds(ways: dict[str, Convolve], size: Size, clock: Callable[[], float]) -> dict[str, float]:
    """The median of each way's time for forward and backward, interleaved."""
    inputs = drawn(size)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    began, rounds = time.monotonic(), 0
    while rounds < 5 or (rounds < 40 and time.monotonic() - began < 1.5):
        for name, convolve in ways.items():
            start = clock()
            results(convolve, *inputs)
            taken[name].append(clock() - start)
        rounds += 1
    return {name: statistics.median(times[1:]) for name, times in taken.items()}


def measured(sizes: list[Size], ways: list[str], *, tuned: bool, threads: int) -> list[dict]:
    """Times in a process of its own, in ms."""
    call = json.dumps({"sizes": sizes, "ways": ways, "tuned": tuned, "threads": threads})
    run = subprocess.run(
        [sys.executable, __file__, "--measure", call], check=True, capture_output=True, text=True
    )
    return json.loads(run.stdout)


def measure(call: str) -> None:
    """Print the times that `measured` asks for."""
    asked = json.loads(call)
    if asked["tuned"]:
        keep_large_blocks()
    torch.set_num_threads(asked["threads"])
    clock = time.process_time if asked["threads"] == 1 else time.perf_counter
    ways = {name: typed if name == "typed" else by(name) for name in asked["ways"]}
    rows = [seconds(ways, tuple(size), clock) for size in asked["sizes"]]
    print(json.dumps([{name: 1e3 * value for name, value in row.items()} for row in rows]))


def kept_bytes(convolve: Convolve, size: Size) -> int:
    """Distinct storage that waits for backward."""
    u, k, _ = (x.requires_grad_() for x in drawn(size))
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        convolve(u, k)
    return sum(kept.values())


def peak_bytes(name: str, size: Size) -> int:
    """The most resident memory that forward and backward add, in a process of its own."""
    call = json.dumps([name, size])
    run = subprocess.run(
        [sys.executable, __file__, "--peak", call], check=True, capture_output=True, text=True
    )
    return int(run.stdout)


def peak(call: str) -> None:
    """Print what `peak_bytes` asks for."""
    name, size = json.loads(call)
    convolve = typed if name == "typed" else by(name)
    results(convolve, *drawn((1, size[1], 64)))  # libraries loaded
    inputs = drawn(tuple(size))
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    results(convolve, *inputs)
    print(_resident("VmHWM") - before)


def _resident(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(what))


def geometric_mean(values: list[float]) -> float:
    return math.exp(statistics.fmean(math.log(x) for x in values))


def table(sizes: list[Size]) -> None:
    """Print how many times faster fft_conv is, in four regimes, and its error."""
    errors = [worst_error(size) for size in sizes]
    threads = torch.get_num_threads()
    regimes = [(tuned, n) for tuned in (False, True) for n in sorted({1, threads})]
    columns = [measured(sizes, ["typed", "auto"], tuned=tuned, threads=n) for tuned, n in regimes]
    heads = [
        f"{'tuned' if tuned else 'stock'} allocator, "
        + ("1 thread, CPU time" if n == 1 else f"{n} threads, clock")
        for tuned, n in regimes
    ]
    print("| B, D, L | typed, ms | " + " | ".join(heads) + " | worst error |")
    print("|---|---:|" + "---:|" * len(heads) + "---:|")
    ratios = [[row["typed"] / row["auto"] for row in column] for column in columns]
    for i, size in enumerate(sizes):
        cells = [f"{column[i]:.1f} x" for column in ratios]
        print(
            f"| {', '.join(map(str, size))} | {columns[0][i]['typed']:.2f} | "
            + " | ".join(cells)
            + f" | {errors[i]:.1e} |"
        )
    means = " | ".join(f"{geometric_mean(column):.1f} x" for column in ratios)
    print(f"| geometric mean | | {means} | |")


def memory(size: Size) -> None:
    """Print what is kept for backward and the peak of forward and backward."""
    batch, channels, length = size
    own = 4 * (batch * channels * length + channels * length)
    print(
        f"\n| memory at {', '.join(map(str, size))} | kept / (u + k) | peak, MiB |\n|---|---:|---:|"
    )
    for name, convolve in (("typed", typed), ("spectral", by("spectral")), ("cpu", by("cpu"))):
        ratio, most = kept_bytes(convolve, size) / own, peak_bytes(name, size) / 2**20
        print(f"| {name} | {ratio:.2f} | {most:.0f} |")


def dispatch() -> None:
    """Write which backend is faster at each length, float32, one thread, the runner's allocator."""
    sizes = [_at(length) for length in LADDER]
    rows = measured(sizes, ["cpu", "spectral"], tuned=True, threads=1)
    found = {
        "device": "cpu",
        "ms": [{"size": size, **row} for size, row in zip(sizes, rows, strict=True)],
    }
    DISPATCH.write_text(json.dumps(found, indent=1) + "\n")
    for size, row in zip(sizes, rows, strict=True):
        print(f"{size}: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in row.items()))


def _at(length: int) -> Size:
    """64 channels and a batch that makes a quarter of a million elements."""
    return max(1, 2**18 // (64 * length)), 64, length


def main() -> None:
    """Print the tables, or do what the flag says."""
    flag = sys.argv[1] if len(sys.argv) > 1 else ""
    if flag == "--measure":
        return measure(sys.argv[2])
    if flag == "--peak":
        return peak(sys.argv[2])
    if build.extension() is None:
        sys.exit(f"the compiled backend is missing: {build.reason()}")
    if flag == "--dispatch":
        return dispatch()
    if flag == "--lengths":
        return table([_at(length) for length in ODD_LENGTHS])
    if flag:
        sys.exit(f"{flag}: choose from --lengths, --dispatch, or nothing")
    table(SIZES)
    return memory((8, 64, 16384))


if __name__ == "__main__":
    main()
