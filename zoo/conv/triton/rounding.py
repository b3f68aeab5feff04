"""How the operands of a tensor-core product are rounded, and kept clear of underflow.

float16 has three bits of mantissa more than bfloat16 and costs the same, but nothing below 6e-8 and
little precision below 6e-5. So what goes into a float16 product is first brought to a fixed size
by a power of two, and what comes out is brought back: both are exact.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from zoo.conv.triton.configurations import Dots

# The constants of a kernel: type of the operands, input_precision of tl.dot (for float32 operands),
# and whether they must be scaled.
_CONSTANTS: dict[Dots, tuple[Any, str, bool]] = {
    "tf32x3": (tl.float32, "tf32x3", False),
    "tf32": (tl.float32, "tf32", False),
    "fp16": (tl.float16, "tf32", True),
    "bf16": (tl.bfloat16, "tf32", False),
}


PRODUCTS: tuple[Dots, ...] = tuple(_CONSTANTS)


def constants(dots: Dots) -> dict[str, Any]:
    """OPERAND, PRECISION and SCALED of a kernel, by name."""
    operand, precision, scaled = _CONSTANTS[dots]
    return {"OPERAND": operand, "PRECISION": precision, "SCALED": scaled}


@triton.jit
def powers_of_two(largest):
    """(down, up): powers of two that bring `largest` >= 0 into [2^14, 2^15), and back.

    Halves reach 65504: what is 2^29 times smaller than the largest still has its full mantissa. The
    exponent is kept where both are normal float32 numbers; zero gives finite ones too.
    """
    exponent = (largest.to(tl.int32, bitcast=True) >> 23) - 127
    shift = tl.minimum(14 - exponent, 126)
    down = ((127 + shift) << 23).to(tl.float32, bitcast=True)
    up = ((127 - shift) << 23).to(tl.float32, bitcast=True)
    return down, up
