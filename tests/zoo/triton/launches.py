"""What the shipped table would launch, taken from the launchers themselves.

They run on meta tensors, and launching.launch is replaced by a recorder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from triton.compiler import ASTSource

from zoo.conv import triton as backend
from zoo.conv.arguments import Arguments
from zoo.conv.triton import configurations, launching, short_conv
from zoo.conv.triton.configurations import ARCHITECTURES, Configuration

TYPES = {
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float64: "fp64",
}
TYPES |= {torch.int32: "i32", torch.int64: "i64", torch.bool: "i1"}
BATCH, CHANNELS = 64, 32  # any multiples of 16: what divides by 16 is compiled as such


@dataclass(frozen=True)
class Recorded:
    """One launch: everything that the compiler would have been told."""

    kernel: Any
    row: Configuration
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """The row, the types of tensors, which of them are there, and the flags that are set."""
        tensors = {k: v for k, v in self.arguments.items() if isinstance(v, Tensor)}
        kinds = sorted({TYPES[v.dtype] for v in tensors.values()} - {"fp32"})
        flags = sorted(k for k, v in self.arguments.items() if v is True and k != "SCALED")
        words = [str(self.row), self.kernel.__name__, "+".join(kinds) or "fp32"]
        return " ".join([*words, *sorted(tensors), *flags])

    @property
    def words(self) -> set[str]:
        """What a launch can be chosen by: `sm90`, `toeplitz`, `convolve`, `bf16`, ..."""
        return {*self.name.split(), *str(self.row).split("-")}

    @property
    def identity(self) -> Any:
        """What the compiler sees."""
        source = source_of(self)
        constants = {k: str(v) for k, v in source.constants.items()}
        options = self.row.architecture, self.row.warps, self.row.stages
        return self.kernel.__name__, str((source.signature, constants, source.attrs)), options


def recorded() -> list[Recorded]:
    """Every launch that the shipped table can lead to, what compiles to the same once."""
    found: dict[Any, Recorded] = {}
    for architecture in ARCHITECTURES:
        for launch in _of_architecture(architecture):
            found.setdefault(launch.identity, launch)
    return list({launch.name: launch for launch in found.values()}.values())


def _of_architecture(architecture: int) -> list[Recorded]:
    seen: list[Recorded] = []

    def record(kernel: Any, programs: int, row: Configuration, **arguments: Any) -> None:
        assert programs > 0
        mine = replace(row, architecture=architecture)  # short_conv has one row for all
        seen.append(Recorded(kernel, mine, {**arguments, **row.blocks}))

    with (
        mock.patch.object(launching, "launch", record),
        mock.patch.object(configurations, "architecture_of", return_value=architecture),
    ):
        exercise_convolutions(architecture)
        exercise_short_convolution()
    return seen


def exercise_convolutions(architecture: int) -> None:
    """Call every family with everything and with the least.

    Signals of the type that is not natural for the dots: with everything, and on sm_80 only, where
    products take most registers.
    """
    for family, dots, length in _classes(architecture):
        natural, other = torch.float32, torch.bfloat16
        if dots in ("fp16", "bf16"):
            natural, other = other, natural
        for io in (natural, other)[: 2 if architecture == 80 else 1]:
            u, g, pre, post = (
                torch.empty(BATCH, CHANNELS, length, dtype=io, device="meta") for _ in range(4)
            )
            f, b = (torch.empty(CHANNELS, length, device="meta") for _ in range(2))
            skip = torch.empty(CHANNELS, device="meta")
            family.gradients(g, Arguments(u, f, b, skip, pre, post), dots)  # convolves as well
            if io == natural:
                family.convolve(Arguments(u, f), dots)
                family.gradients(g, Arguments(u, f), dots)


def exercise_short_convolution() -> None:
    """Four taps, with bias and activation and without."""
    for io in (torch.bfloat16, torch.float32):
        u = torch.empty(BATCH, 1024, CHANNELS, dtype=io, device="meta")
        w, bias = (torch.empty(*shape, device="meta") for shape in ((CHANNELS, 4), (CHANNELS,)))
        for b, silu in ((bias, True), (None, False)):
            short_conv.convolve(u, w, b, silu)
            short_conv.gradients(u, u, w, b, silu)


def _classes(architecture: int) -> Iterator[tuple[Any, Any, int]]:
    """(family, dots, length) of the rows of an architecture, convolutions only."""
    keys = {
        (row.family, row.dots, row.length)
        for row in configurations.shipped()
        if row.architecture == architecture
    }
    for name, dots, length in sorted(keys):
        if name in backend.FAMILIES:
            yield import_module(f"{backend.__name__}.{name}"), dots, length


def source_of(launch: Recorded) -> Any:
    """The types as a launch would find them: None and 1 are constants, 16 n are marked."""
    signature: dict[str, str] = {}
    constants: dict[str, Any] = {}
    attributes: dict[tuple[int, ...], list[list[Any]]] = {}
    for i, parameter in enumerate(launch.kernel.params):
        value = launch.arguments[parameter.name]
        if parameter.is_constexpr or value is None or (isinstance(value, int) and value == 1):
            signature[parameter.name] = "constexpr"
            constants[parameter.name] = value
            continue
        signature[parameter.name] = _type_of(value)
        if isinstance(value, Tensor) or (isinstance(value, int) and value % 16 == 0):
            attributes[(i,)] = [["tt.divisibility", 16]]
    return ASTSource(launch.kernel, signature, constants, attributes)


def _type_of(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"*{TYPES[value.dtype]}"
    if isinstance(value, int):
        return "i32" if abs(value) < 2**31 else "i64"
    assert isinstance(value, float), value
    return "fp32"
