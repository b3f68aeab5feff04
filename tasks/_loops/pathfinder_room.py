"""Where an image of Pathfinder has room: planes of what is forbidden, and bits of what is free.

Two flat planes hold what an image forbids, from 0 to 255, with a border that pictures may reach
into: `area`, and `near`, its largest value within the margin.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.rng import Integers
from tasks.stamps import FREE, Spots, Stamps

NONE, ONE, ALL = np.uint64(0), np.uint64(1), np.uint64(2**64 - 1)

Plane = NDArray[np.uint8]
Bits = NDArray[np.uint64]

# A call would copy the descriptors of all tables, which costs more than most of these do
part = njit(forceinline=True)


class Room(NamedTuple):
    """What an image is made in."""

    area: Plane  # forbidden to dashes, flat
    near: Plane  # and to their heads
    sums: Integers  # of the candidates' weights                                          (C,)
    free: Bits  # pixels that may be covered                    (size, 1 + words + 1)
    tails: Bits  # pixels from which a first dash has room                      (size, words)


@part
def place(s: Stamps, y: int, x: int) -> int:
    """Where a pixel lies in the planes."""
    return (y + s.pad) * (s.size + 2 * s.pad) + x + s.pad


@part
def stamp(plane: Plane, spots: Spots, picture: int, at: int) -> None:
    """Raise the plane to the picture around a place."""
    for i in range(spots.sizes[picture]):
        here = at + spots.places[picture, i]
        plane[here] = max(plane[here], spots.values[picture, i])


@part
def find_free(s: Stamps, room: Room) -> int:
    """One bit for each pixel that a dash may cover: how many."""
    outside = ALL if s.open_border else NONE
    image = ALL >> np.uint64(max(0, 64 - s.size))  # of a word
    room.free[:] = outside
    num = 0
    for y in range(s.size):
        for w in range(room.tails.shape[1]):
            here, bits = place(s, y, 64 * w), NONE
            for x in range(min(64, s.size)):
                bits |= np.uint64(room.area[here + x] <= FREE) << np.uint64(x)
            room.free[y, 1 + w] = bits | (outside & ~image)
            num += ones(bits)
    return num


@part
def find_tails(s: Stamps, room: Room, degree: int) -> int:
    """One bit for each pixel from which a first dash has room: how many."""
    tails = room.tails
    tails[:] = ALL >> np.uint64(max(0, 64 - s.size))
    for i in range(s.solid_sizes[degree]):
        down, right = s.solid[degree, i, 0], s.solid[degree, i, 1]
        high, low = np.uint64(abs(right)), np.uint64(64 - abs(right))
        for y in range(s.size):
            if not 0 <= y + down < s.size:
                if not s.open_border:
                    tails[y] = NONE
                continue
            row = room.free[y + down]
            for w in range(tails.shape[1]):
                if right > 0:
                    tails[y, w] &= (row[w + 1] >> high) | (row[w + 2] << low)
                elif right < 0:
                    tails[y, w] &= (row[w + 1] << high) | (row[w] >> low)
                else:
                    tails[y, w] &= row[w + 1]
    num = 0
    for y in range(s.size):
        for w in range(tails.shape[1]):
            num += ones(tails[y, w])
    return num


@part
def ones(bits: np.uint64) -> int:
    """How many bits are set."""
    num = 0
    while bits:
        bits &= bits - ONE
        num += 1
    return num


@part
def nth_bit(found: Bits, rank: int) -> tuple[int, int]:
    """Row and column of the bit of this rank, row by row."""
    for y in range(found.shape[0]):
        for w in range(found.shape[1]):
            bits = found[y, w]
            num = ones(bits)
            if rank >= num:
                rank -= num
                continue
            for x in range(64):
                if (bits >> np.uint64(x)) & ONE:
                    if rank == 0:
                        return y, 64 * w + x
                    rank -= 1
    return -1, -1
