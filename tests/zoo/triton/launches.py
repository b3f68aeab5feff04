"""What the shipped table would launch, taken from the launchers themselves.

They run on meta tensors, and launching.launch is replaced by a recorder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
from zoo.conv.triton.configurations import ARCHITECTURES, Configuration, Dots
from zoo.conv.triton.rounding import PRODUCTS

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
        """All that the compiler sees: the row, tensors by type, constants, what divides by 16.

        An integer that is 1 is a constant to Triton; one that is no multiple of 16 is `odd`.
        """
        kinds: dict[str, list[str]] = {}
        constants: list[str] = []
        for parameter in self.kernel.params:
            name, value = parameter.name, self.arguments[parameter.name]
            if isinstance(value, Tensor):
                kinds.setdefault(TYPES[value.dtype], []).append(name)
            elif isinstance(value, bool):
                constants += [name] if value and name != "SCALED" else []
            elif isinstance(value, int) and parameter.is_constexpr:
                constants += [] if name in self.row.blocks else [f"{name}={value}"]
            elif isinstance(value, int) and value == 1:
                constants.append(f"{name}=1")
            elif isinstance(value, int) and value % 16:
                kinds.setdefault("odd", []).append(name)
        tensors = [f"{kind}:{','.join(names)}" for kind, names in sorted(kinds.items())]
        return " ".join([str(self.row), self.kernel.__name__, *tensors, *constants])

    @property
    def words(self) -> set[str]:
        """What a launch can be chosen by: `sm90`, `toeplitz`, `convolve`, `bf16`, ..."""
        return {*self.name.split(), *str(self.row).split("-")}

    @property
    def identity(self) -> Any:
        """What the compiler sees."""
        source = source_of(self)
        constants = {k: str(v) for k, v in source.constants.items()}
        told = self.row.architecture, *self.row.options.items()
        return self.kernel.__name__, str((source.signature, constants, source.attrs)), told


def recorded() -> list[Recorded]:
    """Every launch that the shipped table can lead to, what compiles to the same once."""
    found: dict[Any, Recorded] = {}
    for architecture in ARCHITECTURES:
        for launch in (*_of_architecture(architecture), *_of_any_shape(architecture)):
            found.setdefault(launch.identity, launch)
    names = {launch.name for launch in found.values()}
    assert len(names) == len(found), "launches that compile to different code have one name"
    return list(found.values())


def _of_architecture(architecture: int) -> list[Recorded]:
    with recording(architecture) as seen:
        exercise_convolutions(architecture)
        exercise_short_convolution()
    return seen


def _of_any_shape(architecture: int) -> list[Recorded]:
    """B and D that no number divides, and B = D = 1: each role of the longest class once.

    Rows begin at multiples of 16 elements whatever B and D are, because L is one. So this should
    cost nothing, and a sample shows it: float16 products, the architectures in turn.
    """
    with recording(architecture) as seen:
        for name in backend.FAMILIES:
            family = import_module(f"{backend.__name__}.{name}")
            length = configurations.reach(name, "fp16", architecture)
            for shape in ((5, 3, length), (1, 1, length)):
                family.gradients(*_everything(shape, torch.bfloat16), "fp16")
    roles = sorted({(launch.row.family, launch.row.role) for launch in seen})
    return [
        launch
        for launch in seen
        if architecture == _in_turn(roles.index((launch.row.family, launch.row.role)))
    ]


def _in_turn(number: int) -> int:
    return ARCHITECTURES[number % len(ARCHITECTURES)]


@contextmanager
def recording(architecture: int) -> Iterator[list[Recorded]]:
    """Launches are written down in place of running."""
    seen: list[Recorded] = []

    def record(kernel: Any, programs: int, row: Configuration, **arguments: Any) -> None:
        assert programs > 0
        mine = replace(row, architecture=architecture)  # short_conv has one row for all
        seen.append(Recorded(kernel, mine, {**arguments, **row.blocks}))

    with (
        mock.patch.object(launching, "launch", record),
        mock.patch.object(configurations, "architecture_of", return_value=architecture),
    ):
        yield seen


def exercise_convolutions(architecture: int) -> None:
    """Call every family with everything and with the least.

    With everything only: on sm_80, where products take most registers, signals of the type that is
    not natural for the dots; and lengths between the rows.
    """
    for family, dots, length in _classes():
        natural, other = torch.float32, torch.bfloat16
        if dots in ("fp16", "bf16"):
            natural, other = other, natural
        is_end = length in _ends(family, dots)
        for io in (natural, other)[: 2 if architecture == 80 and is_end else 1]:
            g, a = _everything((BATCH, CHANNELS, length), io)
            family.gradients(g, a, dots)  # convolves as well
            if io == natural and is_end:
                family.convolve(Arguments(a.u, a.forward), dots)
                family.gradients(g, Arguments(a.u, a.forward), dots)


def _everything(shape: tuple[int, int, int], io: torch.dtype) -> tuple[Tensor, Arguments]:
    """The gradient of the output, and all arguments."""
    g, u, pre, post = (torch.empty(shape, dtype=io, device="meta") for _ in range(4))
    forward, backward = (torch.empty(shape[1:], device="meta") for _ in range(2))
    skip = torch.empty(shape[1], device="meta")
    return g, Arguments(u, forward, backward, skip, pre, post)


def exercise_short_convolution() -> None:
    """Four taps, with bias and activation and without."""
    for io in (torch.bfloat16, torch.float32):
        u = torch.empty(BATCH, 1024, CHANNELS, dtype=io, device="meta")
        w, bias = (torch.empty(*shape, device="meta") for shape in ((CHANNELS, 4), (CHANNELS,)))
        for b, silu in ((bias, True), (None, False)):
            short_conv.convolve(u, w, b, silu)
            short_conv.gradients(u, u, w, b, silu)


def _classes() -> Iterator[tuple[Any, Dots, int]]:
    """(family, dots, length): the ends of the rows.

    The three kernels have a constant M that doubles with the length: there, the powers of two
    between the ends as well.
    """
    for name in backend.FAMILIES:
        family = import_module(f"{backend.__name__}.{name}")
        for dots in sorted(PRODUCTS):
            lengths = _ends(family, dots)
            if name == "monarch_long":
                lengths |= {2**n for n in range(20) if 2**n > min(lengths)}
            yield from ((family, dots, length) for length in sorted(lengths))


def _ends(family: Any, dots: Dots) -> set[int]:
    """The lengths of the rows of a family: the same on every architecture."""
    return {row.length for row in family.CONFIGURATIONS if row.dots == dots}


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
