"""Pathfinder's images: the pictures of dashes and markers laid over each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.rng import Integers
from tasks.stamps import Stamps

TARGET, DISTRACTOR, MARKER = 0, 1, 2


class Look(NamedTuple):
    """How dashes and markers look."""

    markers: NDArray[np.uint8]  # by distance to the border          (2e+1, 2e+1, 2h+1, 2h+1)
    levels: NDArray[np.float64]  # brightness of targets, distractors, markers, by ink  (3, 256)
    stretch: bool  # from the darkest to the brightest pixel; False: from 0 to 1


@njit(cache=True)
def merge(
    raw: NDArray[np.float64],
    picture: NDArray[np.uint8],
    levels: NDArray[np.float64],
    y: int,
    x: int,
) -> None:
    """Raise the brightness to the picture's around (y, x)."""
    half = picture.shape[0] // 2
    for i in range(2 * half + 1):
        for j in range(2 * half + 1):
            ink = picture[i, j]
            if ink:
                here = (y + i - half, x + j - half)
                raw[here] = max(raw[here], levels[ink])


@njit(cache=True)
def marker_class(place: int, size: int, edge: int) -> int:
    """Which marker to take at this distance from the border."""
    if place < edge:
        return place
    return max(edge, 2 * edge + 1 - (size - place))


@njit(cache=True)
def quantise(
    raw: NDArray[np.float64],
    pad: int,
    image: Integers,
    stretch: bool,  # noqa: FBT001
) -> None:
    """Brightness as 0 to 255; most pixels are black."""
    size = len(image)
    low, high = raw[pad, pad], raw[pad, pad]
    for y in range(pad, pad + size):
        for x in range(pad, pad + size):
            value = raw[y, x]
            low, high = min(low, value), max(high, value)
    if not stretch:
        low, high = 0.0, 1.0
    scale = 255.0 / (high - low)
    for y in range(size):
        for x in range(size):
            value = raw[y + pad, x + pad] - low
            image[y, x] = int(value * scale + 0.5) if value else 0


@njit(cache=True)
def paint(records: Integers, num_targets: int, ends: Integers, s: Stamps, look: Look) -> Integers:
    """The images of records, 0 to 255.                                       (B, size * size)

    Args: num_targets  records of target contours; the others are distractors
          ends         where the two markers lie                            (B, 2, 2)
    """
    size, pad, edge = s.size, s.pad, look.markers.shape[0] // 2
    images = np.empty((len(records), size, size), np.int64)
    raw = np.empty((size + 2 * pad, size + 2 * pad))
    for b in range(len(records)):
        raw[:] = 0
        for i in range(records.shape[1]):
            code = records[b, i]
            if code >= 0:
                levels = look.levels[TARGET if i < num_targets else DISTRACTOR]
                y, x = code // size % size, code % size
                merge(raw, s.ink[code // (size * size)], levels, y + pad, x + pad)
        for i in range(2):
            y, x = ends[b, i]
            disk = look.markers[marker_class(y, size, edge), marker_class(x, size, edge)]
            merge(raw, disk, look.levels[MARKER], y + pad, x + pad)
        quantise(raw, pad, images[b], look.stretch)
    return images.reshape(len(records), size * size)
