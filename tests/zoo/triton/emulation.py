"""Triton's interpreter, made honest: it rounds as tensor cores do, and counts what a kernel moves.

As it is, the interpreter computes every dot in float32 (so tf32 looks exact), multiplies the bit
patterns of bfloat16 as if they were integers, and cuts float32 off to bfloat16 where GPUs round to
the nearest (twice the error). Inside `emulated()` a dot rounds its operands as its input_precision
says, casts round to the nearest, and every load, store and dot is counted.

    with emulated(addresses=True) as traffic:
        y = toeplitz.convolve(...)          # CPU tensors
    traffic.unique_bytes / u.numel()

`interpreted()` (part of `emulated`) turns the kernels of zoo.conv.triton into interpreted ones for
the time being, so that no environment variable has to be set before anything imports triton.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import triton.language as tl
from triton.language import standard
from triton.runtime import interpreter
from triton.runtime.jit import JITFunction

PACKAGE = "zoo.conv.triton"
BUILDER: Any = interpreter.InterpreterBuilder
# what the interpreter patches and, for device functions, does not put back
LANGUAGE = (tl, tl.core, tl.math, tl.tensor, tl.core.tensor_descriptor_base)


@dataclass
class Traffic:
    """What the kernels of a `with` block did.

    Bytes are those of the lanes that a mask lets through. Unique bytes count an address once for
    each launch, loads and stores apart: what must cross the memory bus if the caches are ideal.
    """

    flops: int = 0  # of dots
    loaded: int = 0
    stored: int = 0
    programs: list[int] = field(default_factory=list)  # of each launch
    unique_loaded: int = 0
    unique_stored: int = 0
    addresses: bool = False  # whether to look for unique ones: it takes as long as the kernels do
    _seen: dict[str, list[np.ndarray]] = field(default_factory=lambda: {"load": [], "store": []})

    @property
    def unique_bytes(self) -> int:
        """Compulsory traffic, both ways."""
        return self.unique_loaded + self.unique_stored

    @property
    def total_bytes(self) -> int:
        """What the caches must serve as well."""
        return self.loaded + self.stored

    def touch(self, kind: str, pointers: Any, mask: Any) -> None:
        """One load or store."""
        width = pointers.get_element_ty().primitive_bitwidth // 8
        mask = np.broadcast_to(mask.data, pointers.data.shape)
        bytes_ = int(mask.sum()) * width
        if kind == "load":
            self.loaded += bytes_
        else:
            self.stored += bytes_
        if self.addresses:  # below 2^61, so that the width can be coded beside them
            self._seen[kind].append(np.unique(pointers.data[mask]) * 8 + width.bit_length())

    def finish_launch(self, programs: int) -> None:
        """Settle what was touched since the last launch ended."""
        self.programs.append(programs)
        self.unique_loaded += _bytes(self._seen["load"])
        self.unique_stored += _bytes(self._seen["store"])
        self._seen = {"load": [], "store": []}


def _bytes(seen: list[np.ndarray]) -> int:
    """The bytes of the distinct (address, width) pairs; the width is coded as its bit length."""
    if not seen:
        return 0
    widths = np.unique(np.concatenate(seen)) % 8
    return int((1 << (widths.astype(np.int64) - 1)).sum())


def to_mantissa(x: np.ndarray, bits: int) -> np.ndarray:
    """Round float32 to `bits` bits of mantissa, ties to even; what is not finite stays as it is."""
    shift = 23 - bits
    v = np.array(x, dtype=np.float32, ndmin=1)  # a copy; a view of a scalar would not work
    bits_ = v.view(np.uint32)
    bits_ += np.where(np.isfinite(v), (1 << (shift - 1)) - 1 + ((bits_ >> shift) & 1), 0).astype(
        np.uint32
    )
    bits_ &= np.uint32(0xFFFFFFFF << shift & 0xFFFFFFFF)
    return v.reshape(np.shape(x))


def _decode(handle: Any) -> np.ndarray:
    """The values of an operand; the interpreter keeps bfloat16 as its 16 bits."""
    if handle.dtype.scalar == tl.bfloat16:
        return (handle.data.astype(np.uint32) << 16).view(np.float32)
    return handle.data.astype(np.float32)


def _product(a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
    """The matrix product in float32, of operands rounded as tensor cores round them."""
    if precision == "tf32":
        return np.matmul(to_mantissa(a, 10), to_mantissa(b, 10))
    if precision == "tf32x3":
        a_high, b_high = to_mantissa(a, 10), to_mantissa(b, 10)
        a_low, b_low = to_mantissa(a - a_high, 10), to_mantissa(b - b_high, 10)
        small = np.matmul(a_low, b_high) + np.matmul(a_high, b_low)
        return small + np.matmul(a_high, b_high)
    return np.matmul(a, b)


def _call_inside(self: Any, *args: Any, **kwargs: Any) -> Any:
    """A device function. The original patches triton.language each time; `emulated` has done so."""
    return self.rewrite()(*args, **kwargs)


def _cast(original: Callable[..., Any]) -> Callable[..., Any]:
    def cast_impl(self: Any, source: Any, to: Any) -> Any:
        kinds = source.dtype.scalar, to.scalar
        if kinds == (tl.bfloat16, tl.float32):
            return interpreter.TensorHandle(_decode(source), tl.float32)
        if kinds == (tl.float32, tl.bfloat16):
            bits = to_mantissa(source.data, 7).view(np.uint32) >> 16
            return interpreter.TensorHandle(bits.astype(np.uint16), tl.bfloat16)
        return original(self, source, to)

    return cast_impl


def _dot_for(traffic: Traffic) -> Callable[..., Any]:
    def create_dot(
        self: Any, a: Any, b: Any, d: Any, input_precision: Any, max_num_imprecise_acc: Any
    ) -> Any:
        x, y = _decode(a), _decode(b)
        traffic.flops += 2 * x.size * y.shape[-1]
        full = a.dtype.scalar == tl.float32 and b.dtype.scalar == tl.float32
        name = str(getattr(input_precision, "name", input_precision)).lower()
        product = _product(x, y, name if full else "exact")
        return interpreter.TensorHandle(product.astype(d.data.dtype) + d.data, d.dtype.scalar)

    return create_dot


def _counted(kind: str, original: Callable[..., Any], traffic: Traffic) -> Callable[..., Any]:
    def load(self: Any, pointers: Any, mask: Any, *rest: Any) -> Any:
        traffic.touch("load", pointers, mask)
        return original(self, pointers, mask, *rest)

    def store(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        traffic.touch("store", pointers, mask)
        return original(self, pointers, value, mask, *rest)

    return load if kind == "load" else store


@contextmanager
def emulated(*, addresses: bool = False) -> Iterator[Traffic]:
    """Kernels run here, on CPU tensors, with honest rounding; what they do is counted.

    Args:    addresses  count unique bytes as well
    """
    from zoo.conv.triton import launching

    traffic = Traffic(addresses=addresses)
    plain = launching.launch

    def launch(kernel: Any, programs: int, row: Any, **arguments: Any) -> None:
        plain(kernel, programs, row, **arguments)
        traffic.finish_launch(programs)

    load, store = BUILDER.create_masked_load, BUILDER.create_masked_store
    with (
        interpreted(),
        mock.patch.object(interpreter.InterpretedFunction, "__call__", _call_inside),
        mock.patch.object(BUILDER, "cast_impl", _cast(BUILDER.cast_impl)),
        mock.patch.object(BUILDER, "create_dot", _dot_for(traffic)),
        mock.patch.object(BUILDER, "create_masked_load", _counted("load", load, traffic)),
        mock.patch.object(BUILDER, "create_masked_store", _counted("store", store, traffic)),
        mock.patch.object(launching, "launch", launch),
    ):
        interpreter._patch_lang(standard.sum.fn)  # what tl.sum, tl.cdiv and the like see
        yield traffic


@contextmanager
def interpreted() -> Iterator[None]:
    """Every @triton.jit function of zoo.conv.triton and of triton.language is interpreted."""
    from zoo.conv.triton import configurations

    configurations.shipped()  # imports every family
    with suppress(
        ImportError
    ):  # some versions import this at the first launch, and expect it compiled
        import_module("triton.experimental.gluon")
    known: dict[Any, Any] = {}
    swapped: list[tuple[ModuleType, str, Any]] = []
    for module in _modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, JITFunction):
                if value.fn not in known:
                    known[value.fn] = interpreter.InterpretedFunction(value.fn)
                swapped.append((module, name, value))
                setattr(module, name, known[value.fn])
    language = [(place, dict(vars(place))) for place in LANGUAGE]
    try:
        yield
    finally:
        for module, name, value in swapped:
            setattr(module, name, value)
        for place, names in language:
            for name, value in names.items():
                if vars(place)[name] is not value:
                    setattr(place, name, value)


def _modules() -> list[ModuleType]:
    own = [m for name, m in sorted(sys.modules.items()) if name.startswith(PACKAGE) and m]
    return [tl, standard, *own]
