"""Draw the stamps of Pathfinder, and compute all that needs a sine: `pathfinder-*.npz`.

    python -m tasks.data.make_pathfinder [FOLDER]

`lra` follows the published generator: a line drawn twice as large by Pillow, and its dilation by
a disk, both halved with Pillow's Lanczos filter.  `canonical` counts the samples of a pixel that
lie in the line with round ends.  Nobody needs to run this again: the files are part of the
package, so that images are the same everywhere, and Pillow is not needed.

Source:  drewlinsley/pathfinder@ab9c130 snakes.py, snakes2.py, whose imresize is SciPy 1.0's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.stamps import DEGREES, SETTINGS, UNIT, Setting, dilated

SCALE = 2  # the lines are drawn so much larger
SAMPLES = 32  # of `canonical`, across a pixel

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]


def displacement(angles: Floats, distance: float) -> Floats:
    """(y, x) of these directions at a distance.                                   (..., 2)"""
    return float(distance) * np.stack([np.sin(angles), np.cos(angles)], axis=-1)


def flipped(angles: Floats) -> Floats:
    """The opposite directions, in [-pi, pi)."""
    return np.where(angles < 0, angles + np.pi, angles - np.pi)


def ring_of_candidates(reach: int) -> NDArray[np.int64]:
    """Lattice points at about this distance: one sample for each pixel of the arc.  (C, 2)"""
    angles = np.arange(0, 360, 360 / (2 * reach * np.pi)) * np.pi / 180
    return np.unique(np.floor(displacement(angles, reach)).astype(np.int64), axis=0)


def turning_weights(last: Floats, following: Floats, continuity: float) -> NDArray[np.uint32]:
    """cos^2 of `continuity` times the turn, 0 from a right angle on.                 (D, C)"""
    turn = np.abs(following[None] - last[:, None])
    turn = np.minimum(np.minimum(turn, 2 * np.pi - turn) * continuity, np.pi / 2)
    return np.rint(np.maximum(np.cos(turn), 0) ** 2 * UNIT).astype(np.uint32)


def halved(picture: Picture) -> Picture:
    """By the Lanczos filter, as Pillow does it: integers, rounded after each direction."""
    from PIL import Image

    shape = (-(-picture.shape[1] // SCALE), -(-picture.shape[0] // SCALE))
    return np.asarray(Image.fromarray(picture).resize(shape, Image.Resampling.LANCZOS))


def line(angle: float, setting: Setting, margin: int) -> Picture:
    """A dash from the centre, drawn twice as large."""
    from PIL import Image, ImageDraw

    centre = setting.half(margin) * SCALE
    head = np.ceil(centre + displacement(np.array(angle), setting.dash * SCALE)).astype(int)
    image = Image.new("L", (2 * centre + 1, 2 * centre + 1))
    ends = [(centre, centre), (int(head[1]), int(head[0]))]
    ImageDraw.Draw(image).line(ends, fill=255, width=round(setting.thickness * SCALE))
    return np.asarray(image)


def lanczos_stamps(angles: Floats, setting: Setting, margin: int) -> tuple[Picture, Picture]:
    """Dashes and the areas that they forbid.                                   2 (D, N, N)"""
    lines = np.stack([line(angle, setting, margin) for angle in angles.tolist()])
    areas = dilated(lines, margin * SCALE, grow=False)
    return np.stack([halved(x) for x in lines]), np.stack([halved(x) for x in areas])


def coverage(ends: Floats, radius: float, half: int) -> Picture:
    """How much of each pixel lies within the radius of the line from the centre to its end."""
    steps = (np.arange((2 * half + 1) * SAMPLES) + 0.5) / SAMPLES - 0.5 - half
    y, x = steps[:, None], steps[None, :]
    length = max(float(ends @ ends), 1e-9)
    along = np.clip((y * ends[0] + x * ends[1]) / length, 0, 1)
    inside = (y - along * ends[0]) ** 2 + (x - along * ends[1]) ** 2 <= radius**2
    shares = inside.reshape(2 * half + 1, SAMPLES, 2 * half + 1, SAMPLES).mean(axis=(1, 3))
    return np.rint(255 * shares).astype(np.uint8)


def exact_stamps(angles: Floats, setting: Setting, margin: int) -> tuple[Picture, Picture]:
    """Dashes with round ends and the areas that they forbid.                   2 (D, N, N)"""
    half, radius = setting.half(margin), setting.thickness / 2
    ends = displacement(angles, setting.dash)
    return (
        np.stack([coverage(end, radius, half) for end in ends]),
        np.stack([coverage(end, radius + margin, half) for end in ends]),
    )


def lanczos_markers(size: int, setting: Setting) -> Picture:
    """Disks by their distance to the upper and the left border: the filter is cut off there.

    Returns: (2e+1, 2e+1, 2h+1, 2h+1): the first e and the last e rows, and one between
    """
    half = setting.marker_half
    edge = half + 3
    places = [*range(edge), size // 2, *range(size - edge, size)]
    grid = np.arange(size * SCALE)
    found = np.zeros((len(places), len(places), 2 * half + 1, 2 * half + 1), np.uint8)
    for i, y in enumerate(places):
        for j, x in enumerate(places):
            squares = (grid[:, None] - y * SCALE) ** 2 + (grid - x * SCALE) ** 2
            disk = np.where(squares <= (setting.marker_radius * SCALE) ** 2, 255, 0)
            whole = np.pad(halved(disk.astype(np.uint8)), half)
            found[i, j] = whole[y : y + 2 * half + 1, x : x + 2 * half + 1]
    return found


def tables(size: int) -> dict[str, NDArray[Any]]:
    """All arrays of an image size."""
    setting = SETTINGS[size]
    degrees = np.arange(DEGREES)
    seeds = (degrees - 180) * np.pi / 180
    disk = coverage(np.zeros(2), setting.marker_radius, setting.marker_half)
    found: dict[str, NDArray[Any]] = {
        "ring": displacement(degrees * np.pi / 180, setting.seed_distance),
        "markers lra": lanczos_markers(size, setting),
        "markers canonical": disk[None, None],
    }
    for margin in setting.margins:
        reach = setting.reach(margin)
        candidates = ring_of_candidates(reach)
        onward = np.arctan2(candidates[:, 0], candidates[:, 1])
        angles = np.concatenate([seeds, onward])
        drawn = np.concatenate([seeds, flipped(onward)])  # back from the head
        found |= {
            f"candidates {margin}": candidates.astype(np.int8),
            f"weights {margin}": turning_weights(angles, onward, setting.continuity),
            f"advance {margin}": displacement(angles, setting.dash + 2 * margin),
            f"to_head {margin}": displacement(seeds, setting.dash),
            f"to_pivot {margin}": displacement(flipped(seeds), reach),
        }
        for variant, stamps in (("lra", lanczos_stamps), ("canonical", exact_stamps)):
            ink, area = stamps(drawn, setting, margin)
            found |= {f"ink {variant} {margin}": ink, f"area {variant} {margin}": area}
    return found


def main(folder: str = str(Path(__file__).parent)) -> None:
    """Write the files."""
    for size in SETTINGS:
        arrays: dict[str, Any] = tables(size)
        np.savez_compressed(Path(folder) / f"pathfinder-{size}.npz", **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
