"""Pathfinder: its compiled law against a slow statement of it, and its tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import rng, stamps
from tasks._loops import pathfinder as loops
from tasks.data import make_pathfinder
from tasks.pathfinder import CONTOURS, Pathfinder
from tasks.stamps import SETTINGS
from tests.tasks.plain_pathfinder import Plain, picture

ROOT = Path(__file__).resolve().parents[2]
FIELD = 4  # of the dashes


def keys(num: int) -> rng.Words:
    return rng.example_keys(11, np.arange(num, dtype=rng.U))


def file_of(size: int) -> Any:
    return np.load(ROOT / "tasks" / "data" / f"pathfinder-{size}.npz")


def check_against_plain(size: int, margin: int, difficulty: str, chosen: slice) -> None:
    setting = SETTINGS[size]
    tables = dict(zip(setting.margins, stamps.load(size, "lra")[0], strict=True))[margin]
    num, short = CONTOURS[difficulty]
    shape = (num, setting.num_distractors, short)
    records, attempts = loops.draw(keys(60), FIELD, tables, shape, False)
    area = file_of(size)[f"area lra {margin}"]
    for b in np.argsort(attempts, kind="stable")[chosen].tolist():
        plain = Plain(keys(60)[b], FIELD, tables, margin, area)
        assert plain.image(shape) == records[b].tolist()


CASES = [(32, 1, slice(0, 30, 5)), (64, 1, slice(1)), (128, 2, slice(1)), (128, 3, slice(1))]


@pytest.mark.parametrize(("size", "margin", "chosen"), [*CASES, (256, 3, slice(1))], ids=str)
def test_the_compiled_loop_is_its_plain_statement(size: int, margin: int, chosen: slice) -> None:
    """The same dashes, from the same numbers: images that took few attempts."""
    check_against_plain(size, margin, "hard", chosen)


@pytest.mark.parametrize("difficulty", ["easy", "intermediate"])
def test_the_other_difficulties_are_plain_too(difficulty: str) -> None:
    check_against_plain(32, 1, difficulty, slice(0, 60, 10))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "margin"), [(32, 1), (64, 1), (128, 2), (128, 3), (256, 3)])
def test_images_of_many_attempts_are_plain_too(size: int, margin: int) -> None:
    check_against_plain(size, margin, "hard", slice(None) if size == 32 else slice(5, 30, 12))


@pytest.mark.parametrize("size", [32, 128])
def test_pictures_are_their_plain_statement(size: int) -> None:
    """Every pixel, the rounding of upstream's floats included."""
    task = Pathfinder(resolution=size)
    content = task.contents(range(12))
    found, edges = stamps.load(size, "lra")
    ends = task.markers(content)

    def marker(y: int, x: int) -> np.ndarray:
        edge = len(edges) // 2
        rows = [*range(edge), *[edge] * (size - 2 * edge), *range(edge + 1, 2 * edge + 1)]
        return edges[rows[y], rows[x]]

    for b, image in enumerate(task.images(content)):
        tables = found[SETTINGS[size].margins.index(content["margin"][b, 0])]
        records = content["dashes"][b].tolist()
        expected = picture(records, 2 * task.num_dashes, ends[b].tolist(), tables, marker)
        assert np.array_equal(image, expected)


def test_the_tables_are_what_the_program_draws() -> None:
    again, stored = make_pathfinder.tables(32), file_of(32)
    assert set(again) == set(stored)
    for name, array in again.items():
        if array.dtype.kind == "f":
            assert np.abs(array - stored[name]).max() < 1e-12
        elif name.startswith("weights"):
            assert np.abs(array.astype(int) - stored[name]).max() <= 1
        else:
            assert np.array_equal(array, stored[name])


def test_images_need_no_imaging_library() -> None:
    code = (
        "import sys, tasks\n"
        "tasks.make_task('pathfinder').generate(range(2))\n"
        "assert 'PIL' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=here)


@pytest.mark.parametrize("variant", ["lra", "canonical"])
@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_seeds_and_steps_cannot_leave_the_image(size: int, variant: str) -> None:
    """The loops do not look: the first seed keeps to the middle, the second near it."""
    setting = SETTINGS[size]
    for margin, tables in zip(setting.margins, stamps.load(size, variant)[0], strict=True):
        corners = [
            tables.seeds[:, 1:3].min(axis=0),
            (tables.seeds[:, 1:3] + tables.seeds[:, 3:]).max(axis=0) - 1,
        ]
        seconds = np.rint(np.array(corners)[:, None] + tables.ring).reshape(-1, 2)
        tails = np.concatenate([corners, seconds])[:, None]  # (T, 1, 2)
        heads = np.ceil(tails + tables.to_head)
        pivots = np.ceil(heads + tables.to_pivot)
        for places in (tails, heads, pivots):
            assert places.min() >= 0
            assert places.max() < size
        assert tables.pad >= setting.half(margin) + margin
        assert tables.turns.sizes.min() > 1
    usable = {32: 30, 64: 95, 128: 360, 256: 360}[size]
    assert tables.usable.sum() == (360 if variant == "canonical" else usable)


def test_where_the_first_seed_lies() -> None:
    """In 4 x 4, 16 x 16, 48 x 48 or 148 x 148 pixels in the middle: so upstream has it."""
    for size, width in ((32, 4), (64, 16), (128, 48), (256, 148)):
        seeds = np.concatenate([s.seeds for s in stamps.load(size, "lra")[0]])
        assert seeds[:, 1:3].min() >= (size - width) // 2
        assert (seeds[:, 1:3] + seeds[:, 3:]).max() <= (size + width) // 2


def test_attempts_at_a_pair() -> None:
    """Upstream's share of pairs that fit: it also tries directions that have no room."""
    for size, published, num in ((32, 320, 2000), (256, 8, 200)):
        setting, tables = SETTINGS[size], stamps.load(size, "lra")[0][0]
        shape = (14, setting.num_distractors, 4)
        _, attempts = loops.draw(keys(num), FIELD, tables, shape, False)
        mean = attempts.mean() * 360 / len(tables.seeds)
        assert mean == pytest.approx(published, rel=0.15)
