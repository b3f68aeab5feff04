"""Pathfinder: are two marked dots joined by a dashed line, among others?

    o - - - - .  .  o        1: both dots mark ends of the same contour
      - - - .  - - -         0: one dot on each of the two long contours

Two target contours of n dashes wind through the image, beginning not far apart; shorter ones
distract.  One marker lies on the beginning of a target, the other on the end of one.  The label
is drawn before anything else.  Path-X is 128 x 128 pixels, read row by row.

Source:  Linsley et al. 2018, arXiv:1805.08315;  Kim et al. 2020, arXiv:1906.01558;
         Tay et al. 2021, "Long Range Arena", arXiv:2011.04006, whose settings are in
         google-research/long-range-arena@211e07d lra_benchmarks/data/pathfinder.py;
         drewlinsley/pathfinder@ab9c130 snakes.py, snakes2.py.
Differs: `lra` has the law of the published generator, its oddities included: some directions
         that no first dash can take at 32 and 64 pixels, distractors that may touch the end of the
         first contour, brightness stretched image by image, and at 32 pixels distractors that are
         brighter than targets, which gives them away.  `canonical` has none of these.
         Images are drawn with Pillow's lines and filter (`tasks/data/`), not from the released
         files, which differ where the generator's libraries did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks import stamps
from tasks.batch import IGNORE, Batch
from tasks.counting import MANY
from tasks.published import Preset
from tasks.rng import Integers, Words, example_keys, integers
from tasks.stamps import DEGREES, SETTINGS, Stamps
from tasks.task import Content, Task, checked, stream_of
from zoo.spec import Context

LABEL, MARGIN, ORIGIN, DASHES = 1, 2, 3, 4  # fields of the draws
CONTOURS = {"easy": (6, 2), "intermediate": (9, 3), "hard": (14, 4)}  # dashes: target, distractor


class Pathfinder(Task, kind="pathfinder"):
    """Pathfinder: whether two dots lie on the same dashed contour, in a grey image.

    `lra` is the published law with its oddities, `canonical` is without them.  Path-X is
    `resolution=128`.  Inputs are pixels row by row: grey levels as ids (`tokens`, as in LRA) or
    one real feature from -1 to 1 (`float`, as in S4).  The answer is one label for the
    image, read from the mean over its positions.

    No oracle reads it off the pixels; `path_oracle` follows the dashes.
    """

    factors: ClassVar[dict[str, str]] = {
        "marker_distance": "pixels between the markers, rounded",
        "num_distractors": "distractors that found room",
        "margin": "half the gap between dashes, in pixels",
    }
    sees_all: ClassVar[bool] = False

    resolution: Annotated[
        Literal[32, 64, 128, 256], Field(description="rows and columns of pixels")
    ] = 32
    difficulty: Annotated[
        Literal["easy", "intermediate", "hard"],
        Field(description="dashes of a target and of a distractor: 6 and 2, 9 and 3, 14 and 4"),
    ] = "hard"
    variant: Literal["lra", "canonical"] = "lra"
    output: Annotated[
        Literal["tokens", "float"], Field(description="grey levels as ids, or as reals in [-1, 1]")
    ] = "tokens"

    @property
    def num_dashes(self) -> int:
        """Dashes of a target contour."""
        return CONTOURS[self.difficulty][0]

    @property
    def vocabulary(self) -> dict[str, range]:
        return {"grey": range(256)} if self.output == "tokens" else {}

    @property
    def picture(self) -> tuple[int, int]:
        return self.resolution, self.resolution

    @property
    def context(self) -> Context:
        num = self.resolution**2
        if self.output == "tokens":
            return Context(num_inputs=256, num_outputs=2, length=num, head="mean")
        return Context(input_dim=1, num_outputs=2, length=num, head="mean")

    @property
    def chance(self) -> float:
        """The labels are equally frequent."""
        return 0.5

    @property
    def floors(self) -> dict[str, float]:
        """A threshold on the distance of the markers."""
        return {"marker distance": BY_DISTANCE[self.variant][self.resolution, self.difficulty]}

    @property
    def num_contents(self) -> int:
        """Four dashes alone have 360^4 directions; each dash doubles that several times."""
        return MANY

    def determined(self, split: str) -> bool:
        """An image settles its label for whoever sees contours, not for a program."""
        return False

    def _stamps(self) -> dict[int, Stamps]:
        margins = SETTINGS[self.resolution].margins
        found, _ = stamps.load(self.resolution, self.variant)
        return dict(zip(margins, found, strict=True))

    def draw(self, keys: Words, split: str) -> Content:
        from tasks._loops import pathfinder as loops

        num, short = CONTOURS[self.difficulty]
        setting = SETTINGS[self.resolution]
        shape = (num, setting.num_distractors, short)
        margins = np.array(setting.margins)[integers(keys, MARGIN, 1, len(setting.margins))]
        dashes = np.empty((len(keys), 2 * num + shape[1] * short), np.int64)
        for margin, tables in self._stamps().items():
            rows = np.flatnonzero(margins[:, 0] == margin)
            both_ends = self.variant == "canonical"
            dashes[rows], _ = loops.draw(keys[rows], DASHES, tables, shape, both_ends)
        return {
            "label": integers(keys, LABEL, 1, 2),
            "origin": integers(keys, ORIGIN, 1, 2),
            "margin": margins,
            "dashes": dashes,
        }

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        ends = self.markers(content)
        away = (np.diff(ends, axis=1) ** 2).sum(axis=(1, 2))
        pixels = self._paint(content, ends)
        return Batch.of(
            pixels if self.output == "tokens" else scaled(pixels),
            content["label"][:, 0],
            marker_distance=np.rint(np.sqrt(away)).astype(np.int64),
            num_distractors=self._distractors(content),
            margin=content["margin"][:, 0],
        )

    def _distractors(self, content: Content) -> Integers:
        num, short = CONTOURS[self.difficulty]
        return (content["dashes"][:, 2 * num :: short] >= 0).sum(axis=1)

    def _paint(self, content: Content, ends: Integers) -> Integers:
        """Grey levels, row by row.                                       (B, H W)"""
        from tasks._loops.painting import Look, paint

        _, markers = stamps.load(self.resolution, self.variant)
        look = Look(markers, self._levels(), self.variant == "lra")
        pixels = np.empty((len(ends), self.resolution**2), np.int64)
        for margin, tables in self._stamps().items():
            rows = np.flatnonzero(content["margin"][:, 0] == margin)
            dashes = content["dashes"][rows]
            pixels[rows] = paint(dashes, 2 * self.num_dashes, ends[rows], tables, look)
        return pixels

    def _levels(self) -> NDArray[np.float64]:
        """Brightness of targets, distractors and markers, by ink.          (3, 256)"""
        setting, ink = SETTINGS[self.resolution], np.arange(256) / 255
        if self.variant == "canonical":
            return np.stack([ink, ink, ink])
        contrasts = (setting.target_contrast, setting.distractor_contrast)
        dashes = [(ink * x).astype(np.float32).astype(np.float64) for x in contrasts]
        return np.stack([*dashes, ink])  # upstream rounds dashes to 32 bits, markers not

    def images(self, content: Content) -> NDArray[np.uint8]:
        """The images of these contents, to be looked at.                     (B, H, W)"""
        pixels = self._paint(content, self.markers(content)).astype(np.uint8)
        return pixels.reshape(-1, self.resolution, self.resolution)

    def contents(self, indices: Sequence[int] | NDArray[Any], split: str = "train") -> Content:
        """The labels and the dashes of these numbers, as `draw` makes them."""
        return self.owned(example_keys(stream_of(self, split), checked(indices)), split)[0]

    def markers(self, content: Content) -> Integers:
        """Where the markers lie, (y, x): on a beginning and on an end.           (B, 2, 2)"""
        num, size = self.num_dashes, self.resolution
        origin, label = content["origin"], content["label"]
        first = origin * num
        last = np.where(label == 1, origin, 1 - origin) * num + num - 1
        records = np.take_along_axis(content["dashes"], np.concatenate([first, last], 1), 1)
        return np.stack([records // size % size, records % size], axis=2)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        """None is known that is always right from the pixels."""
        return np.full(len(inputs), IGNORE)

    def path_oracle(self, dashes: Integers, margins: Integers, markers: Integers) -> Integers:
        """The labels, from dashes in any order: it links those that follow each other.

        Args:    dashes   records, -1 where none                          (B, N)
                 margins  half the gap between dashes                     (B,)
                 markers  (y, x), in any order                            (B, 2, 2)
        Returns: 1 where a path of dashes leads from one marker to the other    (B,)
        """
        labels = np.empty(len(dashes), np.int64)
        for margin, tables in self._stamps().items():
            rows = np.flatnonzero(margins == margin)
            there = _joined(tables, dashes[rows], markers[rows], self.num_dashes)
            back = _joined(tables, dashes[rows], markers[rows, ::-1], self.num_dashes)
            labels[rows] = there | back
        return labels


def scaled(pixels: Integers) -> NDArray[np.float32]:
    """Grey levels from -1 to 1, one feature.                                    (B, L, 1)"""
    return ((pixels[..., None] / 255 - 0.5) / 0.5).astype(np.float32)


def _joined(s: Stamps, dashes: Integers, markers: Integers, num: int) -> NDArray[np.bool_]:
    """Whether `num` dashes lead from the tail at one marker to the head at the other.    (B,)

    A dash's pivot, and the one that it predicts, are known from its place and direction; the
    next dash is one with that pivot whose direction may follow.
    """
    here = np.stack([dashes // s.size % s.size, dashes % s.size], axis=2)  # (B, N, 2)
    direction = np.where(dashes < 0, 0, dashes // s.size**2)
    first = direction < DEGREES
    degree, candidate = np.where(first, direction, 0), np.where(first, 0, direction - DEGREES)
    head = np.ceil(here + s.to_head[degree])
    pivot = np.where(
        first[..., None], np.ceil(head + s.to_pivot[degree]), here - s.candidates[candidate]
    )
    onward = np.ceil(pivot + s.advance[direction])
    links = (onward[:, :, None] == pivot[:, None]).all(axis=3)  # (B, N, N): from, to
    links &= _may_follow(s)[direction[:, :, None], candidate[:, None]]
    links &= (dashes >= 0)[:, :, None] & (~first)[:, None]
    reached = first & (dashes >= 0) & (here == markers[:, None, 0]).all(axis=2)
    for _ in range(num - 1):
        reached = (reached[:, :, None] & links).any(axis=1)
    return (reached & (here == markers[:, None, 1]).all(axis=2)).any(axis=1)


def _may_follow(s: Stamps) -> NDArray[np.bool_]:
    """Which candidates may follow a direction.                            (D, C)"""
    found = np.zeros((len(s.advance), len(s.candidates)), np.bool_)
    for row, candidates, num in zip(found, s.turns.places, s.turns.sizes, strict=True):
        row[candidates[:num]] = True
    return found


# Learnt from one half of 40,000 images at 32 pixels, of 10,000 at others, scored on the other half
BY_DISTANCE = {
    "lra": {
        (32, "easy"): 0.547, (32, "intermediate"): 0.547, (32, "hard"): 0.536,
        (64, "easy"): 0.648, (64, "intermediate"): 0.549, (64, "hard"): 0.559,
        (128, "easy"): 0.638, (128, "intermediate"): 0.568, (128, "hard"): 0.510,
        (256, "easy"): 0.754, (256, "intermediate"): 0.694, (256, "hard"): 0.587,
    },
    "canonical": {
        (32, "easy"): 0.537, (32, "intermediate"): 0.540, (32, "hard"): 0.523,
        (64, "easy"): 0.647, (64, "intermediate"): 0.572, (64, "hard"): 0.547,
        (128, "easy"): 0.653, (128, "intermediate"): 0.568, (128, "hard"): 0.524,
        (256, "easy"): 0.755, (256, "intermediate"): 0.676, (256, "hard"): 0.581,
    },
}  # fmt: skip


def _lra(name: str, section: str, *differs: str, **fields: Any) -> Preset:
    return Preset(
        name=name,
        paper="Tay et al. 2021, Long Range Arena, arXiv:2011.04006",
        section=section,
        upstream="google-research/long-range-arena@211e07d lra_benchmarks/data/pathfinder.py",
        differs=(
            "the generator's law under upstream's settings; the released files are not read",
            "splits are separate streams; upstream cuts one set of 200,000 images",
            *differs,
        ),
        value=Pathfinder(**fields),
    )


PUBLISHED = (
    _lra("lra-pathfinder", "Pathfinder", resolution=32),
    _lra("lra-pathfinder-easy", "Pathfinder", resolution=32, difficulty="easy"),
    _lra("lra-pathfinder-intermediate", "Pathfinder", resolution=32, difficulty="intermediate"),
    _lra("lra-pathfinder-64", "not in the paper; settings of its code", resolution=64),
    _lra("lra-path-x", "Pathfinder-X", resolution=128),
    _lra("lra-path-256", "not in the paper; settings of its code", resolution=256),
)
