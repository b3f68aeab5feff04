"""Stamps: what Pathfinder is drawn with, made once and read from files.

A contour has few directions: 360 degrees for its first dash, and those to the lattice points of
a ring for the others.  Each direction's dash and the area that it forbids are small pictures,
and so are the markers.  `data/make_pathfinder.py` drew them, and computed all that needs a sine.

Coordinates are (y, x).  Axes: D directions (360 first, then the candidates), C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DEGREES = 360
SOLID = 458  # of two areas: where they add up to more, they overlap
FREE = 76  # of 255: up to here a pixel may be covered
UNIT = 2**24  # of weights


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is published for an image size; lengths in pixels."""

    padding: int  # border that nothing may touch
    dash: int
    thickness: float
    margins: tuple[int, ...]  # half the gap between dashes, drawn for each image
    seed_distance: int  # between the first dashes of the two contours
    marker_radius: float
    continuity: float  # the larger, the straighter
    num_distractors: int
    target_contrast: float
    distractor_contrast: float

    def half(self, margin: int) -> int:
        """Half the size of a dash's picture."""
        return self.dash + ceil(self.thickness) + margin

    def reach(self, margin: int) -> int:
        """From a pivot to the head of its dash."""
        return self.dash + margin

    @property
    def marker_half(self) -> int:
        """Half the size of a marker's picture: Lanczos reaches three pixels further."""
        return ceil(self.marker_radius) + 3


SETTINGS = {
    32: Setting(
        padding=1, dash=2, thickness=0.5, margins=(1,), seed_distance=7, marker_radius=1.5,
        continuity=1.0, num_distractors=5, target_contrast=1.5, distractor_contrast=2.0,
    ),
    64: Setting(
        padding=1, dash=5, thickness=1, margins=(1,), seed_distance=12, marker_radius=2.5,
        continuity=1.8, num_distractors=5, target_contrast=0.8, distractor_contrast=0.8,
    ),
    128: Setting(
        padding=1, dash=5, thickness=1.5, margins=(2, 3), seed_distance=20, marker_radius=3,
        continuity=1.8, num_distractors=8, target_contrast=0.9, distractor_contrast=0.9,
    ),
    256: Setting(
        padding=22, dash=5, thickness=2, margins=(3,), seed_distance=27, marker_radius=5,
        continuity=1.8, num_distractors=7, target_contrast=1.0, distractor_contrast=1.0,
    ),
}  # fmt: skip


class Spots(NamedTuple):
    """Some pixels of each picture, side by side."""

    places: NDArray[np.int32]  #                                                       (D, N)
    values: NDArray[np.int32]  #                                                       (D, N)
    sizes: NDArray[np.int64]  # how many there are                                       (D,)


class Stamps(NamedTuple):
    """The tables of one image size and margin, for the compiled loops.

    Places are counted in the flat plane of an image with `pad` more pixels on every side.
    """

    size: int
    pad: int
    ink: NDArray[np.uint8]  # the dash, from the tail of a first one, from the head of others
    #                                                                        (D, 2h+1, 2h+1)
    area: Spots  # what a dash forbids, where it matters: beyond FREE                  (D, N)
    near: Spots  # the largest of it within the margin                                 (D, N)
    core: Spots  # where a dash can overlap others, and what may lie there at most     (D, N)
    candidates: NDArray[np.int64]  # heads around a pivot                             (C, 2)
    turns: Spots  # candidates that may follow a direction, and their weights          (D, C)
    advance: NDArray[np.float64]  # from pivot to pivot                               (D, 2)
    to_head: NDArray[np.float64]  # of a first dash, from its tail                  (360, 2)
    to_pivot: NDArray[np.float64]  # of a first dash, from its head                 (360, 2)
    ring: NDArray[np.float64]  # from the first seed to the second, by degree       (360, 2)
    solid: NDArray[np.int64]  # what must be free around the tail of a first dash (360, S, 2)
    solid_sizes: NDArray[np.int64]  #                                                  (360,)
    seeds: NDArray[np.int64]  # where the first seed may lie: degree, y, x, rows, columns (U, 5)
    usable: NDArray[np.bool_]  # whether a distractor may begin in a direction         (360,)
    open_border: bool  # what lies outside the image counts as free
    empty_area: NDArray[np.uint8]  # `area` of an image without contours                 (P,)
    empty_near: NDArray[np.uint8]  # `near` likewise                                     (P,)


@lru_cache(maxsize=8)
def load(size: int, variant: str) -> tuple[tuple[Stamps, ...], NDArray[np.uint8]]:
    """The stamps of each margin, and the markers by distance to the border.

    Returns: stamps by margin; markers (2e+1, 2e+1, 2h+1, 2h+1), for `marker_class`
    """
    setting = SETTINGS[size]
    path = files("tasks").joinpath("data", f"pathfinder-{size}.npz")
    with path.open("rb") as file:
        tables = dict(np.load(file, allow_pickle=False))
    stamps = [
        _stamps(size, variant, margin, {k: tables[f"{k} {margin}"] for k in GEOMETRY}, tables)
        for margin in setting.margins
    ]
    return tuple(stamps), tables[f"markers {variant}"]


GEOMETRY = ("candidates", "weights", "advance", "to_head", "to_pivot")


def _stamps(
    size: int, variant: str, margin: int, geometry: dict[str, Any], tables: dict[str, Any]
) -> Stamps:
    setting = SETTINGS[size]
    half = setting.half(margin)
    pad = half + 2 * margin + 4
    stride = size + 2 * pad
    area = tables[f"area {variant} {margin}"]
    near = dilated(area, margin)
    weights = geometry["weights"]
    solid = [np.argwhere(picture == 255) - half + 1 for picture in area[:DEGREES]]
    usable = np.array([variant == "canonical" or _reaches(places, size) for places in solid])
    solid_places, solid_sizes = ragged(solid)
    empty_area, empty_near = _empty(size, setting.padding, margin, pad)
    return Stamps(
        size=size,
        pad=pad,
        ink=tables[f"ink {variant} {margin}"],
        area=spots(area, area > FREE, around(half, stride)),
        near=spots(near, near > 0, around(half + margin, stride)),
        core=spots(SOLID - area.astype(np.int64), area > SOLID - 255, around(half, stride)),
        candidates=geometry["candidates"].astype(np.int64),
        turns=spots(weights, weights > 0, np.arange(weights.shape[1])),
        advance=geometry["advance"],
        to_head=geometry["to_head"],
        to_pivot=geometry["to_pivot"],
        ring=tables["ring"],
        solid=solid_places,
        solid_sizes=solid_sizes,
        seeds=_seeds(size, setting, solid, usable),
        usable=usable,
        open_border=variant == "lra",
        empty_area=_flat(empty_area),
        empty_near=_flat(empty_near),
    )


def _flat(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Row by row, up to a multiple of eight: then it is copied as words."""
    return np.pad(plane.reshape(-1), (0, -plane.size % 8))


def around(half: int, stride: int) -> NDArray[np.int64]:
    """The places of a picture's pixels in the flat plane, from its centre.     (2h+1, 2h+1)"""
    steps = np.arange(-half, half + 1)
    return steps[:, None] * stride + steps


def spots(values: NDArray[Any], chosen: NDArray[np.bool_], places: NDArray[np.int64]) -> Spots:
    """The chosen pixels of each picture."""
    found, sizes = ragged([places[which] for which in chosen])
    those, _ = ragged([x[which] for x, which in zip(values, chosen, strict=True)])
    return Spots(found.astype(np.int32), those.astype(np.int32), sizes)


def ragged(rows: list[NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of different lengths side by side, and their lengths; what is left is 0."""
    sizes = np.array([len(row) for row in rows])
    whole = np.zeros((len(rows), sizes.max(), *rows[0].shape[1:]), np.int64)
    for row, place in zip(rows, whole, strict=True):
        place[: len(row)] = row
    return whole, sizes


def dilated(pictures: NDArray[np.uint8], radius: int, *, grow: bool = True) -> NDArray[np.uint8]:
    """The largest value within the radius of each pixel.        (D, N, N) -> (D, N + 2r, N + 2r)

    Args: grow  with the pixels that lie outside; False: pictures of the same size
    """
    edge = 2 * radius if grow else radius
    wide = np.pad(pictures, ((0, 0), (edge, edge), (edge, edge)))
    size = wide.shape[1] - 2 * radius
    found = np.zeros((len(wide), size, size), np.uint8)
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            if y * y + x * x <= radius * radius:
                rows, columns = slice(radius + y, radius + y + size), radius + x
                np.maximum(found, wide[:, rows, columns : columns + size], out=found)
    return found


def _reaches(solid: NDArray[np.int64], size: int) -> bool:
    """Whether every pixel of the image has a pixel of `solid`, moved there, in the image.

    The published generator's library gives up where one has none.
    """
    edge = 2 * int(np.abs(solid).max()) + 1
    here = np.arange(min(size, 2 * edge))
    inside = (here + solid[..., None] >= 0) & (here + solid[..., None] < len(here))  # (S, 2, n)
    return bool((inside[:, 0, :, None] & inside[:, 1, None, :]).any(axis=0).all())


def _seeds(
    size: int, setting: Setting, solid: list[NDArray[np.int64]], usable: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Rectangles of tails from which a first dash keeps to the middle of the image.  (U, 5)"""
    band = max(setting.padding, 2 * setting.seed_distance)
    found = []
    for degree in np.flatnonzero(usable).tolist():
        first = band - solid[degree].min(axis=0)
        beyond = size - band - solid[degree].max(axis=0)
        if (beyond > first).all():
            found.append([degree, *first, *(beyond - first)])
    return np.array(found)


def _empty(size: int, padding: int, margin: int, pad: int) -> NDArray[np.uint8]:
    """Only the border is forbidden, and no head may lie outside."""
    planes = np.zeros((2, size + 2 * pad, size + 2 * pad), np.uint8)
    inner = slice(pad + padding, -pad - padding)
    image = slice(pad, -pad)
    planes[0, image, image] = 255
    planes[0, inner, inner] = 0
    planes[1] = dilated(planes[:1], margin, grow=False)[0]
    outside = np.ones(planes[1].shape, np.bool_)
    outside[image, image] = False
    planes[1, outside] = 255
    return planes
