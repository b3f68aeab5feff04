"""Which blocks, warps and stages a kernel runs with: a table, in place of tuning at run time.

    (family, role, length class, dots, architecture) -> (blocks, warps, stages)

A family is a module of this package; it keeps its own rows, in a tuple `CONFIGURATIONS`, beside the
kernels that they are about. A role is one kernel of the family ("convolve", "weight", ...). A row
serves signals of up to `length` steps, from where the next shorter row of its kind ends. Every row
is compiled and run through the interpreter by tests/zoo/triton, the moment it exists.

Choosing by table costs nothing at run time, and the same call always takes the same path. Who has a
GPU can look for better rows: `python -m zoo.conv tune` writes a file, and SEQZOO_CONV_TABLE=FILE
puts its rows in place of those with the same key.
"""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Literal

import torch

# What the operands of a tensor-core product are rounded to; "none": the kernel has no such product.
Dots = Literal["tf32x3", "tf32", "fp16", "bf16", "none"]
ARCHITECTURES = (80, 90, 100)
TABLE_FILE = "SEQZOO_CONV_TABLE"
Key = tuple[str, str, int, str, int]


@dataclass(frozen=True)
class Choice:
    """How one kernel is compiled: its block sizes by the names of its constants, warps, stages.

    `registers` is what a thread may take. Left alone, assemblers choose, and some would rather
    spill a little than take more than the number at which twice as many programs fit on a core.
    """

    blocks: Mapping[str, int]
    warps: int
    stages: int = 2
    registers: int | None = None


@dataclass(frozen=True)
class Configuration:
    """One row of the table."""

    family: str
    role: str
    length: int  # the longest signal that it serves
    dots: Dots
    architecture: int
    blocks: Mapping[str, int] = field(hash=False)
    warps: int
    stages: int
    registers: int | None = None

    @property
    def options(self) -> dict[str, int]:
        """What the compiler is told besides the constants."""
        limit = {} if self.registers is None else {"maxnreg": self.registers}
        # Triton 3.10 turns the default of enable_fp_fusion off; a * b + c would round twice
        return {
            "num_warps": self.warps,
            "num_stages": self.stages,
            "enable_fp_fusion": True,
            **limit,
        }

    @property
    def key(self) -> Key:
        """What a caller knows, and the row is looked up by."""
        return self.family, self.role, self.length, self.dots, self.architecture

    def __str__(self) -> str:
        return f"{self.family}-{self.role}-{self.length}-{self.dots}-sm{self.architecture}"


def rows(
    family: str,
    role: str,
    length: int,
    dots: tuple[Dots, ...],
    choices: Mapping[int, Choice],
) -> Iterator[Configuration]:
    """The rows of one kernel and one length class: the same choice for several kinds of dots.

    Args:    choices  by architecture; each of 80, 90 and 100 must be there
    """
    for kind in dots:
        for architecture in ARCHITECTURES:
            c = choices[architecture]
            yield Configuration(
                family, role, length, kind, architecture, c.blocks, c.warps, c.stages, c.registers
            )


def dots_of(precision: str, signal: torch.dtype) -> Dots:
    """What a word for precision means: `auto` is float32-accurate for float32 signals.

    Half signals carry errors of 2^-9 (bfloat16) or 2^-12 (float16) themselves, so float16 dots add
    little to them; fp32 asks for the accuracy of float32 whatever the signal.
    """
    if precision == "auto":
        return "tf32x3" if signal == torch.float32 else "fp16"
    words: dict[str, Dots] = {"fp32": "tf32x3", "tf32": "tf32", "fp16": "fp16", "bf16": "bf16"}
    return words[precision]


@lru_cache(maxsize=1)
def shipped() -> tuple[Configuration, ...]:
    """Every row of every family: a view of the modules beside this one."""
    import zoo.conv.triton as package

    modules = (
        import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
    )
    table = tuple(row for module in modules for row in getattr(module, "CONFIGURATIONS", ()))
    assert len({row.key for row in table}) == len(table), "two rows with one key"
    return table


@lru_cache(maxsize=1)
def table() -> tuple[Configuration, ...]:
    """The rows in force: those shipped, or in their place those of SEQZOO_CONV_TABLE."""
    file = os.environ.get(TABLE_FILE)
    if not file:
        return shipped()
    from zoo.conv.triton.table_file import in_force, read

    return in_force(read(Path(file)))


def architecture_of(device: torch.device) -> int:
    """The rows that a device takes: 80 also serves whatever else has plain mma instructions.

    Consumer Blackwell (12.x) has no tcgen05, Ada and consumer Ampere are 8.x: all run the rows of
    80, whose shared memory is kept within their 99 KB. Without CUDA (the interpreter): 80 as well.
    """
    if device.type != "cuda":
        return 80
    major, _ = torch.cuda.get_device_capability(device)
    return {9: 90, 10: 100}.get(major, 80)


@lru_cache(maxsize=4096)
def find_for(family: str, role: str, length: int, dots: Dots, architecture: int) -> Configuration:
    """The row that serves a length: that of the shortest class that holds it.

    Raises:  LookupError where no row is long enough.
    """
    fits = [
        row
        for row in table()
        if (row.family, row.role, row.dots, row.architecture) == (family, role, dots, architecture)
        and row.length >= length
    ]
    if not fits:
        raise LookupError(f"no row for {family} {role} of length {length}, {dots}, {architecture}")
    return min(fits, key=lambda row: row.length)


def find(family: str, role: str, length: int, dots: Dots, device: torch.device) -> Configuration:
    """The row for a kernel on a device."""
    return find_for(family, role, length, dots, architecture_of(device))


@lru_cache(maxsize=256)
def reach(family: str, dots: Dots, architecture: int) -> int:
    """The longest signal that every role of a family has a row for; 0: none."""
    longest: dict[str, int] = {}
    for row in table():
        if (row.family, row.dots, row.architecture) == (family, dots, architecture):
            longest[row.role] = max(longest.get(row.role, 0), row.length)
    return min(longest.values(), default=0)
