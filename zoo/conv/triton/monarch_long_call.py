"""One call of the three-kernel convolution: pieces, scratch, constants, and what is launched.

A call goes through pieces of the channels, and of the batch, so that scratch stays within
SCRATCH_BYTES. Sums over the batch are taken in order, whatever the pieces.

Axes: B batch, D channels, L length; n = M P, M columns, P the inner length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import torch
from torch import Tensor

from zoo.conv.triton import launching
from zoo.conv.triton import monarch_long_kernels as kernels
from zoo.conv.triton.configurations import Configuration, Dots, find
from zoo.conv.triton.rounding import constants
from zoo.conv.triton.tables import (
    Radices,
    column_matrix,
    column_twiddles,
    matrices,
    operand_type,
    stage_twiddles,
)

SCRATCH_BYTES = 256 * 2**20
COLUMNS = ("columns", "columns_inverse")
Optional2 = tuple[Tensor | None, Tensor | None]


@dataclass(frozen=True)
class Piece:
    """Some rows of some channels: the shape that a launch sees, and where it begins."""

    rows: slice
    channels: slice

    @property
    def batch(self) -> int:
        return self.rows.stop - self.rows.start

    @property
    def width(self) -> int:
        return self.channels.stop - self.channels.start


@dataclass(frozen=True)
class Columns:
    """A piece of a gated signal between the first kernel and the last."""

    piece: Piece
    x: Tensor  # where the piece begins, in (B, D, L)
    gate: Tensor | None
    scratch: Tensor  # (rows of the piece, M, 2, P)
    sizes: Tensor | None  # (rows of the piece, PIECES), for float16 only


@dataclass(frozen=True)
class Spectrum:
    """K of some channels, and the largest |Re K|, |Im K| of each line."""

    values: Tensor  # (D, M, 2, P)
    peaks: Tensor  # (D, M)


@dataclass
class Total:
    """A of some channels: sum over the batch of F(gc) conj(F(x))."""

    values: Tensor  # (D, M, 2, P)
    held: Tensor  # the same, for the kernel's own use
    begun: bool = False


class Call:
    """The kernels of one call: they share rows of the table, tables of constants and sizes."""

    def __init__(self, like: Tensor, dots: Dots) -> None:
        self.like = like  # (B, D, L)
        self.dots: Dots = dots
        self.batch, self.channels, self.length = like.shape
        blocks = self._row("inner").blocks
        self.radices = Radices(blocks["N1"], blocks["N2"], blocks["N3"])
        tiles = [self._row(role).blocks for role in COLUMNS]
        least = max(max(tile["LINES"], tile["DEPTH"]) for tile in tiles)
        shortest = ceil(self.length / self.radices.length)
        self.num_columns = max(2 ** ceil(log2(shortest)), least)  # M
        self.scaled = constants(dots)["SCALED"]
        self.size_pieces = self._row("sizes").blocks["PIECES"] if self.scaled else 1

    def channel_pieces(self) -> Iterator[slice]:
        """Channels whose spectra, sums and scratch for one row each are within SCRATCH_BYTES."""
        width = max(1, SCRATCH_BYTES // 4 // self._bytes_per_row)
        for first in range(0, self.channels, width):
            yield slice(first, min(first + width, self.channels))

    def batch_pieces(self, channels: slice) -> Iterator[Piece]:
        """Rows of these channels whose two scratches are within half of SCRATCH_BYTES."""
        width = channels.stop - channels.start
        height = max(1, SCRATCH_BYTES // 4 // (self._bytes_per_row * width))
        for first in range(0, self.batch, height):
            yield Piece(slice(first, min(first + height, self.batch)), channels)

    @property
    def _bytes_per_row(self) -> int:
        return 8 * self.num_columns * self.radices.length

    def columns(self, piece: Piece, x: Tensor, gate: Tensor | None) -> Columns:
        """The first kernel."""
        x, gate = x[piece.rows, piece.channels], _at(piece, gate)
        count = piece.batch * piece.width
        sizes = None
        if self.scaled:
            sizes = self.empty(count, self.size_pieces)
            launching.launch(
                kernels.sizes_kernel, count * self.size_pieces, self._row("sizes"),
                x=x, gate=gate, sizes=sizes, width=piece.width, D=self.channels, L=self.length,
            )  # fmt: skip
        result = Columns(piece, x, gate, self._scratch(count, operand_type(self.dots)), sizes)
        self._columns(result, self.channels, self.length, constants(self.dots))
        return result

    def _columns(self, to: Columns, channels: int, length: int, how: dict[str, Any]) -> None:
        self._launch_tiles(
            "columns", kernels.columns_kernel, to, how,
            x=to.x, gate=to.gate, sizes=to.sizes, scratch=to.scratch, width=to.piece.width,
            column_twiddles=self._column_twiddles(), D=channels, L=length,
        )  # fmt: skip

    def inner(self, x: Columns, spectrum: Spectrum, *, transposed: bool = False) -> None:
        """The second kernel, in place."""
        self._launch_lines(
            "inner", kernels.inner_convolve_kernel, x.scratch.shape[0], constants(self.dots),
            scratch=x.scratch, spectrum=spectrum.values, k_peaks=spectrum.peaks,
            column_twiddles=self._column_twiddles(), batch=x.piece.batch, width=x.piece.width,
            TRANSPOSED=transposed, M=self.num_columns,
        )  # fmt: skip

    def columns_inverse(
        self,
        x: Columns,
        spectrum: Spectrum,
        skip: Tensor | None,
        outs: tuple[Optional2, ...],
        *,
        other: Optional2 = (None, None),
    ) -> Tensor | None:
        """The third kernel: out = gate * c for each (out, gate) of `outs`.

        Returns the sums of x other over each tile, given `other` and a skip    (b, d, tiles)
        """
        piece, row = x.piece, self._row("columns_inverse")
        sums = None
        if skip is not None and other[0] is not None:
            tiles = self.num_columns // row.blocks["LINES"]
            tiles *= self.radices.length // row.blocks["COLUMNS"]
            sums = self.empty(piece.batch, piece.width, tiles)
        used = other if sums is not None else (None, None)
        (out, out_gate), (also, also_gate) = (*outs, (None, None))[:2]
        self._launch_tiles(
            "columns_inverse", kernels.columns_inverse_kernel, x, constants(self.dots),
            scratch=x.scratch, k_peaks=spectrum.peaks, x=x.x, gate=x.gate, sizes=x.sizes, skip=skip,
            other=_at(piece, used[0]), other_gate=_at(piece, used[1]), sums=sums,
            out=_at(piece, out), out_gate=_at(piece, out_gate), also=_at(piece, also),
            also_gate=_at(piece, also_gate), width=piece.width, D=self.channels, L=self.length,
        )  # fmt: skip
        return sums

    def spectrum(self, forward: Tensor | None, backward: Tensor | None) -> Spectrum:
        """K = F(forward) + conj(F(backward)), in float32: kernels may be of any size."""
        present = forward if forward is not None else backward
        assert present is not None
        width, add = present.shape[0], False
        how = {"PRECISION": self._full_precision()["PRECISION"]}
        k = Spectrum(self._scratch(width, torch.float32), self.empty(width, self.num_columns))
        for taps, conj in ((forward, False), (backward, True)):
            if taps is not None:
                piece = Piece(slice(0, 1), slice(0, width))
                scratch = self._scratch(width, torch.float32)
                columns = Columns(piece, taps, None, scratch, None)
                self._columns(columns, width, taps.shape[1], self._full_precision())
                self._launch_lines(
                    "spectrum", kernels.inner_spectrum_kernel, width, how,
                    scratch=scratch, spectrum=k.values, k_peaks=k.peaks, ADD=add, CONJ=conj,
                )  # fmt: skip
                add = True
        return k

    def total(self, channels: slice) -> Total:
        """Where the sum over the batch will be."""
        width = channels.stop - channels.start
        return Total(self._scratch(width, torch.float32), self._scratch(width, torch.float32))

    def correlate(self, gc: Columns, x: Columns, total: Total) -> None:
        """Add the rows of a piece to the sum."""
        self._launch_lines(
            "correlate", kernels.inner_correlate_kernel, gc.piece.width, constants(self.dots),
            g_scratch=gc.scratch, u_scratch=x.scratch, g_sizes=gc.sizes, u_sizes=x.sizes,
            total=total.values, held=total.held, batch=gc.piece.batch, width=gc.piece.width,
            ADD=total.begun, M=self.num_columns, PIECES=self.size_pieces,
        )  # fmt: skip
        total.begun = True

    def finish(self, total: Total, taps: int, *, conj: bool = False) -> Tensor:
        """Re F^-1(A), or of conj(A): (channels, taps)."""
        width, how = total.values.shape[0], self._full_precision()
        result, scratch = self.empty(width, taps), self._scratch(width, torch.float32)
        self._launch_lines(
            "finish", kernels.inner_finish_kernel, width, {"PRECISION": how["PRECISION"]},
            total=total.values, scratch=scratch, column_twiddles=self._column_twiddles(),
            CONJ=conj, M=self.num_columns,
        )  # fmt: skip
        gates = ("gate", "other", "other_gate", "out_gate", "also", "also_gate")
        nothing = dict.fromkeys(("k_peaks", "sizes", "skip", "sums", *gates))
        columns = Columns(Piece(slice(0, 1), slice(0, width)), result, None, scratch, None)
        self._launch_tiles(
            "columns_inverse", kernels.columns_inverse_kernel, columns, how, scratch=scratch,
            x=result, out=result, width=width, D=width, L=taps, **nothing,
        )  # fmt: skip
        return result

    def _full_precision(self) -> dict[str, Any]:
        return constants("tf32x3" if self.dots == "tf32x3" else "tf32")

    def _launch_tiles(
        self, role: str, kernel: Any, of: Columns, how: dict[str, Any], **arguments: Any
    ) -> None:
        row, inner = self._row(role), self.radices.length
        tiles = self.num_columns // row.blocks["LINES"] * (inner // row.blocks["COLUMNS"])
        launching.launch(
            kernel, of.scratch.shape[0] * tiles, row, **arguments, **how,
            matrix=column_matrix(self.num_columns, of.scratch.dtype, self.like.device),
            M=self.num_columns, P=inner, PIECES=self.size_pieces if how.get("SCALED") else 1,
        )  # fmt: skip

    def _launch_lines(
        self, role: str, kernel: Any, count: int, how: dict[str, Any], **arguments: Any
    ) -> None:
        dtype = operand_type(self.dots) if "OPERAND" in how else torch.float32
        launching.launch(
            kernel, count * self.num_columns, self._row(role), **arguments, **how,
            matrices=matrices(self.radices, dtype, self.like.device, twist=False),
            twiddles=stage_twiddles(self.radices, self.like.device, twist=False),
        )  # fmt: skip

    def _column_twiddles(self) -> Tensor:
        return column_twiddles(self.num_columns, self.radices.length, self.like.device)

    def _row(self, role: str) -> Configuration:
        return find("monarch_long", role, self.length, self.dots, self.like.device)

    def _scratch(self, count: int, dtype: torch.dtype) -> Tensor:
        shape = (count, self.num_columns, 2, self.radices.length)
        return self.like.new_empty(shape, dtype=dtype)

    def empty(self, *shape: int) -> Tensor:
        """Room for float32."""
        return self.like.new_empty(shape, dtype=torch.float32)


def _at(piece: Piece, x: Tensor | None) -> Tensor | None:
    """A view that begins where the piece does."""
    return None if x is None else x[piece.rows, piece.channels]
