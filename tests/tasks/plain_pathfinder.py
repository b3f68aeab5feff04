"""Pathfinder's law said slowly: whole images, and a filter of the whole image at each step.

It follows the published generator, from the same numbers as the compiled loops; `dilate` is what
its library does, oddities included.  Only the pictures of dashes are those of the tables.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from tasks import rng
from tasks._loops import pathfinder as loops
from tasks.stamps import SETTINGS, Setting, Stamps


def dilate(mask: np.ndarray, structure: np.ndarray) -> np.ndarray:
    """The largest value under the structure; far below 0 where none of it is in the image."""
    return ndimage.maximum_filter(mask, footprint=structure, mode="constant", cval=-1e9)


def disk(radius: int) -> np.ndarray:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return x**2 + y**2 <= radius**2


def step(place: Any, angle: float, distance: float) -> list[int]:
    y, x = place
    return [int(np.ceil(y + distance * np.sin(angle))), int(np.ceil(x + distance * np.cos(angle)))]


def flipped(angle: float) -> float:
    return angle + np.pi if angle < 0 else angle - np.pi


def inside(size: int, *places: Any) -> bool:
    return all(0 <= c < size for place in places for c in place)


class Contour:
    """Where a contour has come to."""

    def __init__(self, place: Any, pivot: Any, angle: float, area: np.ndarray, code: int) -> None:
        self.place, self.pivot, self.angle, self.area, self.codes = (
            place,
            pivot,
            angle,
            area,
            [code],
        )


class Plain:
    """One image. `area` pictures are (directions, N, N), 0 to 255."""

    def __init__(self, key: Any, field: int, tables: Stamps, margin: int, area: np.ndarray) -> None:
        self.key, self.field, self.tables, self.margin = key, field, tables, margin
        self.setting: Setting = SETTINGS[tables.size]
        self.size, self.areas, self.slot = tables.size, area, 0
        self.reach = self.setting.reach(margin)

    def draw(self) -> np.uint64:
        keys = np.array([self.key], np.uint64)
        self.slot += 1
        return rng.words_at(keys, self.field, np.array([self.slot - 1]))[0, 0]

    def below(self, high: int) -> int:
        return int(rng.below(np.array([self.draw()]), high)[0])

    def unit(self) -> float:
        return float(self.draw() >> np.uint64(11)) * 2.0**-53

    def place_area(self, direction: int, place: Any, size: int | None = None) -> np.ndarray:
        """The picture of what a dash forbids, in an image of its own."""
        size = size or self.size
        half = self.areas.shape[1] // 2
        wide = np.zeros((size + 4 * half, size + 4 * half))
        y, x = place[0] + half, place[1] + half
        wide[y : y + 2 * half + 1, x : x + 2 * half + 1] = self.areas[direction] / 255
        return wide[2 * half : -2 * half, 2 * half : -2 * half]

    def tails(self, mask: np.ndarray, degree: int) -> np.ndarray:
        """Where a first dash has room, row by row.  (n, 2)"""
        start = self.reach + 1
        structure = self.place_area(degree, [start, start], 2 * self.reach + 1) == 1
        room = np.ceil(dilate(mask, structure) - 0.3)
        return np.empty((0, 2), int) if room.min() < 0 else np.argwhere(room == 0)

    def begin(self, degree: int, tail: Any) -> Contour | None:
        angle = (degree - 180) * np.pi / 180
        head = step(tail, angle, self.setting.dash)
        pivot = step(head, flipped(angle), self.reach)
        if not inside(self.size, head, pivot):
            return None
        code = (degree * self.size + int(tail[0])) * self.size + int(tail[1])
        return Contour(tail, pivot, angle, self.place_area(degree, tail), code)

    def extend(self, contour: Contour, mask: np.ndarray) -> np.ndarray | None:
        """One dash more: the mask with the dash before it."""
        pivot = step(contour.pivot, contour.angle, self.setting.dash + 2 * self.margin)
        arc = np.arange(0, 360, 360 / (2 * self.reach * np.pi)) * np.pi / 180
        y, x = pivot[0] + self.reach * np.sin(arc), pivot[1] + self.reach * np.cos(arc)
        kept = (y >= 0) & (y < self.size) & (x >= 0) & (x < self.size)
        heads = np.unique(np.stack([y, x], 1)[kept].astype(int), axis=0)
        if not len(heads):
            return None
        onward = np.arctan2(heads[:, 0] - pivot[0], heads[:, 1] - pivot[1])
        turn = np.abs(onward - contour.angle)
        turn = np.minimum(np.minimum(turn, 2 * np.pi - turn) * self.setting.continuity, np.pi / 2)
        free = 1 - dilate(mask, disk(self.margin))[heads[:, 0], heads[:, 1]]
        weights = free * np.cos(turn) ** 2
        if weights.sum() < 1e-4:
            return None
        for _ in range(3):
            which = int(np.argmax(np.cumsum(weights / weights.sum()) > self.unit()))
            candidate = (heads[which] - pivot).tolist()
            direction = 360 + self.tables.candidates.tolist().index(candidate)
            area = self.place_area(direction, heads[which])
            if np.rint(255 * (mask + area)).max() <= 458:
                mask = np.maximum(mask, contour.area)
                contour.place, contour.pivot = heads[which], pivot
                contour.angle, contour.area = float(onward[which]), area
                y, x = heads[which].tolist()
                contour.codes.append((direction * self.size + y) * self.size + x)
                return mask
        return None

    def border(self, width: int) -> np.ndarray:
        mask = np.ones((self.size, self.size))
        mask[width:-width, width:-width] = 0
        return mask

    def pair(self, num: int) -> tuple[np.ndarray, list[Contour]] | None:
        """Both targets; directions without room are left out beforehand."""
        band = self.border(max(self.setting.padding, 2 * self.setting.seed_distance))
        if not hasattr(self, "usable"):
            self.usable = [d for d in range(360) if len(self.tails(band, d))]
        degree = self.usable[self.below(len(self.usable))]
        places = self.tails(band, degree)
        first = self.begin(degree, places[self.below(len(places))])
        assert first is not None
        degree, away = self.below(360), self.below(360) * np.pi / 180
        ring = self.setting.seed_distance * np.array([np.sin(away), np.cos(away)])
        second = self.begin(degree, np.round(first.place + ring).astype(int))
        assert second is not None
        mask = self.border(self.setting.padding)
        for _ in range(num - 1):
            for contour in (first, second):
                extended = self.extend(contour, mask)
                if extended is None:
                    return None
                mask = extended
        return mask, [first, second]

    def distractor(self, num: int, mask: np.ndarray) -> tuple[np.ndarray, list[int]] | None:
        for _ in range(3):
            degree = self.below(360)
            places = self.tails(np.maximum(mask, self.border(1)), degree)
            if not len(places):
                return None
            contour = self.begin(degree, places[self.below(len(places))])
            if contour is not None:
                break
        else:
            return None
        for _ in range(num - 1):
            extended = self.extend(contour, mask)
            if extended is None:
                return None
            mask = extended
        return np.maximum(mask, contour.area), contour.codes

    def image(self, shape: tuple[int, int, int]) -> list[int]:
        """The record of dashes that `tasks._loops.pathfinder.draw` writes."""
        num, num_distractors, short = shape
        found = None
        while found is None:
            found = self.pair(num)
        mask, targets = found
        mask = np.maximum(mask, targets[1].area)
        codes = targets[0].codes + targets[1].codes
        for _ in range(num_distractors):
            one = None
            for _ in range(loops.RETRIES):
                if (np.ceil(mask - 0.3) == 0).mean() >= 0.01:
                    one = self.distractor(short, mask)
                if one is not None:
                    break
            mask, added = one if one is not None else (mask, [-1] * short)
            codes += added
        return codes


def picture(records: list[int], num: int, ends: Any, tables: Stamps, marker: Any) -> np.ndarray:
    """An `lra` image: brightness as floats of 32 bits, markers of 64, stretched to 0 to 255."""
    size, setting = tables.size, SETTINGS[tables.size]
    image = np.zeros((size, size))

    def lay(small: np.ndarray, y: int, x: int) -> None:
        half = len(small) // 2
        wide = np.zeros((size + 4 * half, size + 4 * half), small.dtype)
        wide[y + half : y + 3 * half + 1, x + half : x + 3 * half + 1] = small
        np.maximum(image, wide[2 * half : -2 * half, 2 * half : -2 * half], out=image)

    for i, code in enumerate(records):
        if code >= 0:
            contrast = setting.target_contrast if i < num else setting.distractor_contrast
            ink = tables.ink[code // size**2].astype(float) / 255 * contrast
            lay(ink.astype(np.float32), code // size % size, code % size)
    for y, x in ends:
        lay(marker(y, x) / 255, y, x)
    scale = 255.0 / (image.max() - image.min())
    return (((image - image.min()) * scale).clip(0, 255) + 0.5).astype(np.uint8)
