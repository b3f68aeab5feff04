"""Pathfinder: what it draws, its pictures, shortcuts, golden images."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

import tasks
from tasks import rng
from tasks.batch import IGNORE
from tasks.pathfinder import BY_DISTANCE, CONTOURS, Pathfinder
from tasks.stamps import SETTINGS


def keys(num: int) -> rng.Words:
    return rng.example_keys(11, np.arange(num, dtype=rng.U))


# What is drawn


def test_labels_are_drawn_first() -> None:
    content = Pathfinder().contents(range(4000))
    label, origin = content["label"][:, 0], content["origin"][:, 0]
    assert stats.chisquare(np.bincount(2 * label + origin, minlength=4)).pvalue > 1e-4
    margins = Pathfinder(resolution=128, difficulty="easy").contents(range(200))["margin"]
    assert abs((margins == 2).mean() - 0.5) < 4 * 0.5 / 200**0.5
    assert set(margins.reshape(-1).tolist()) == {2, 3}


def test_markers_lie_on_the_tips() -> None:
    task = Pathfinder(resolution=64, difficulty="easy")
    content = task.contents(range(300))
    num, size = task.num_dashes, 64
    ends = task.markers(content)
    for b in range(300):
        places = [(c // size % size, c % size) for c in content["dashes"][b].tolist()]
        origin, label = int(content["origin"][b, 0]), int(content["label"][b, 0])
        other = origin if label else 1 - origin
        assert tuple(ends[b, 0]) == places[origin * num]
        assert tuple(ends[b, 1]) == places[other * num + num - 1]
    images = task.images(content)
    rows = np.arange(300)[:, None]
    assert (images[rows, ends[:, :, 0], ends[:, :, 1]] > 240).all()


def test_a_second_seed_lies_at_the_seed_distance() -> None:
    content = Pathfinder().contents(range(2000))
    first, second = (content["dashes"][:, i] % 1024 for i in (0, 14))
    away = np.hypot(first // 32 - second // 32, first % 32 - second % 32)
    assert np.abs(away - 7).max() < 0.75
    direction = content["dashes"][:, 14] // 1024
    assert stats.chisquare(np.bincount(direction // 30, minlength=12)).pvalue > 1e-4


def test_statistics_of_the_published_generator() -> None:
    """At 32 pixels: means of 300 images by upstream's program, with their standard errors."""
    batch = Pathfinder().generate(range(3000))
    pixels = batch.inputs
    assert (pixels > 25.5).sum(axis=1).mean() == pytest.approx(156.5, abs=3 * 1.05)
    assert pixels.mean() == pytest.approx(20.36, abs=3 * 0.13)
    levels = np.mean([len(np.unique(row)) for row in pixels[:500]])
    assert levels == pytest.approx(64.6, abs=2.5)
    for label, mean in ((1, 13.9), (0, 13.2)):
        away = batch.factors["marker_distance"][batch.targets == label]
        assert away.mean() == pytest.approx(mean, abs=3 * 0.45)
    assert abs(batch.targets.mean() - 0.5) < 4 * 0.5 / 3000**0.5
    assert pixels.min(axis=1).max() == 0
    assert pixels.max(axis=1).min() == 255


def test_no_two_images_are_equal() -> None:
    rows = {row.tobytes() for row in Pathfinder().generate(range(3000)).inputs}
    assert len(rows) == 3000


def test_distractors_are_brighter_at_32_pixels_only() -> None:
    assert SETTINGS[32].distractor_contrast > SETTINGS[32].target_contrast
    for size in (64, 128, 256):
        assert SETTINGS[size].distractor_contrast == SETTINGS[size].target_contrast
    levels = Pathfinder(variant="canonical")._levels()
    assert (levels[0] == levels[1]).all()


def test_canonical_images_are_not_stretched() -> None:
    task = Pathfinder(variant="canonical")
    content = task.contents(range(200))
    content["dashes"][:] = -1
    content["dashes"][:, [0, 13, 14, 27]] = 32 * 16 + 16  # only something to mark
    blank = task.images(content)
    assert set(np.unique(blank[:, 16, 16]).tolist()) == {255}
    usual = task.images(task.contents(range(200)))
    dash = usual[:, :, :].reshape(200, -1)
    assert np.median([np.median(row[row > 0]) for row in dash]) < 128, "half a pixel wide"


def test_distractors_that_found_room() -> None:
    batch = Pathfinder(resolution=256).generate(range(30))
    assert batch.factors["num_distractors"].mean() > 6.5
    assert batch.factors["margin"].tolist() == [3] * 30
    few = Pathfinder().generate(range(1000)).factors["num_distractors"]
    assert few.mean() == pytest.approx(1.16, abs=0.15), "32 pixels are hardly ever enough"


# What reads it, and what cannot


@pytest.mark.parametrize(
    ("size", "num", "least"),
    [(32, 2000, 0.98), (64, 150, 0.98), (128, 100, 0.99), (256, 100, 0.99)],
)
def test_the_oracle_of_paths(size: int, num: int, least: float) -> None:
    """From dashes in any order. The rest are contours that meet at a pivot, in the same step."""
    task = Pathfinder(resolution=size)
    content = task.contents(range(num), "test")
    margins, ends, dashes = content["margin"][:, 0], task.markers(content), content["dashes"]
    answers = task.path_oracle(dashes, margins, ends)
    right = answers == content["label"][:, 0]
    assert right.mean() >= least
    assert right[content["label"][:, 0] == 1].all(), "it never misses a path"
    order = np.random.default_rng(0).permutation(dashes.shape[1])
    again = task.path_oracle(dashes[:, order], margins, ends[:, ::-1])
    assert np.array_equal(again, answers)


def test_pixels_have_no_oracle() -> None:
    task = Pathfinder()
    assert task.oracle(task.generate(range(3)).inputs).tolist() == [IGNORE] * 3
    assert not task.determined("test")
    assert not task.sees_all


def best_threshold(values: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
    found = [
        (np.mean((s * values < s * t) == labels), t, s) for t in np.unique(values) for s in (1, -1)
    ]
    _, threshold, sign = max(found)
    return threshold, sign


def check_floor(task: Pathfinder, num: int) -> None:
    """A threshold on the distance, learnt from one half and scored on the other."""
    content = task.contents(range(num), "validation")
    away = np.rint(np.sqrt((np.diff(task.markers(content), axis=1) ** 2).sum(axis=(1, 2))))
    labels, half = content["label"][:, 0] == 1, num // 2
    threshold, sign = best_threshold(away[:half], labels[:half])
    share = np.mean((sign * away[half:] < sign * threshold) == labels[half:])
    floor = task.floors["marker distance"]
    assert abs(share - floor) < 3 * (0.25 / half + 0.25 / 5000) ** 0.5


def test_the_floor_of_marker_distance() -> None:
    task = Pathfinder()
    assert task.floor == pytest.approx(0.54, abs=0.006)
    check_floor(task, 12_000)
    assert set(BY_DISTANCE) == {"lra", "canonical"}
    for table in BY_DISTANCE.values():
        assert set(table) == {(size, name) for size in SETTINGS for name in CONTOURS}


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["lra", "canonical"])
@pytest.mark.parametrize("difficulty", CONTOURS)
@pytest.mark.parametrize("size", SETTINGS)
def test_every_floor(size: Any, difficulty: Any, variant: Any) -> None:
    task = Pathfinder(resolution=size, difficulty=difficulty, variant=variant)
    check_floor(task, 12_000 if size == 32 else 2000)


def test_simple_measures_hardly_tell() -> None:
    """A logistic regression on distance, brightness and distance from the centre: below 57 %."""
    task = Pathfinder()
    content = task.contents(range(8000))
    ends, images = task.markers(content), task.images(content)
    columns = [
        np.hypot(*np.moveaxis(np.diff(ends, axis=1)[:, 0], 1, 0)),
        images.mean(axis=(1, 2)),
        np.hypot(*np.moveaxis(ends[:, 0] - 15.5, 1, 0)),
        np.hypot(*np.moveaxis(ends[:, 1] - 15.5, 1, 0)),
    ]
    x = np.stack([(c - c.mean()) / c.std() for c in columns] + [np.ones(8000)], axis=1)
    signs = 2 * content["label"][:, 0] - 1
    fit = optimize.minimize(
        lambda w: np.logaddexp(0, -signs[:4000] * (x[:4000] @ w)).mean(), np.zeros(5)
    )
    share = (np.sign(x[4000:] @ fit.x) == signs[4000:]).mean()
    assert 0.47 < share < 0.57


# The task


def test_defaults_and_presets() -> None:
    task = Pathfinder()
    assert (task.resolution, task.difficulty, task.variant, task.output) == (
        32, "hard", "lra", "tokens",
    )  # fmt: skip
    assert tasks.preset("lra-pathfinder") == task
    assert tasks.preset("lra-path-x") == Pathfinder(resolution=128)
    assert tasks.preset("lra-path-x").context.length == 16_384
    assert tasks.preset("lra-path-256").context.length == 65_536
    assert tasks.preset("lra-pathfinder-64").context.length == 4096
    assert tasks.preset("lra-pathfinder-easy") == Pathfinder(difficulty="easy")
    assert tasks.preset("lra-pathfinder-intermediate") == Pathfinder(difficulty="intermediate")
    assert task.picture == (32, 32)


def test_reals_are_pixels_from_minus_one_to_one() -> None:
    task = Pathfinder(output="float")
    context = task.context
    assert (context.input_dim, context.num_inputs, context.head) == (1, None, "mean")
    content = task.contents(range(20))
    batch = task.render(content, keys(20), "train")
    assert batch.inputs.shape == (20, 1024, 1)
    assert batch.inputs.dtype == np.float32
    pixels = task.images(content).reshape(20, 1024, 1)
    assert np.abs(batch.inputs - (pixels / 127.5 - 1)).max() < 1e-6


REFUSED = [
    ({"resolution": 48}, "resolution: .*32, 64, 128 or 256, got 48"),
    ({"difficulty": "harder"}, "difficulty: .*'easy', 'intermediate' or 'hard', got 'harder'"),
    ({"variant": "s4"}, "variant: .*'lra' or 'canonical', got 's4'"),
    ({"output": "image"}, "output: .*'tokens' or 'float', got 'image'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=str)
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("pathfinder", **fields)


GOLDEN = {
    ("lra", 32, "easy"): "b1fdd2d86be9d45e9900f20ad02f2133",
    ("lra", 32, "intermediate"): "8df27b89b868537846c35a3fa2cd9446",
    ("lra", 32, "hard"): "9da2c9b27e721373624c735721f398c1",
    ("lra", 64, "easy"): "0bec7b3d64b959f3dc54697acc9b58dd",
    ("lra", 64, "intermediate"): "ab9ca26602abc9fbe248eb52f6589018",
    ("lra", 64, "hard"): "df75e5b09475f1d2f0c21494be81ec73",
    ("lra", 128, "easy"): "db0600d3b9033f36502adcc0797bbea3",
    ("lra", 128, "intermediate"): "113cd8f7428edca9f610a9a51f25ea7b",
    ("lra", 128, "hard"): "6a44b91742398a8f07365846bf7a2d95",
    ("lra", 256, "easy"): "a431c2b04d74311436e8d268cf49e509",
    ("lra", 256, "intermediate"): "3b469ce6b81569bf04ec26cc1d04144c",
    ("lra", 256, "hard"): "9269e0b39c3bdf6372889148d5c28fdf",
    ("canonical", 32, "easy"): "749edef39626ec5f80cc877c74cd813b",
    ("canonical", 32, "intermediate"): "91bed887984761886a7fdd9c793bb860",
    ("canonical", 32, "hard"): "ccdc7126f4093dfa50621a1e0ec85421",
    ("canonical", 64, "easy"): "6819eca73001f3a59304576d7aa03b39",
    ("canonical", 64, "intermediate"): "65efc0e25b2613628c7413c97086fa31",
    ("canonical", 64, "hard"): "2afb709d04b4d4b41471aa17c850b237",
    ("canonical", 128, "easy"): "9154e39597abbf69a5c2e0835f28269b",
    ("canonical", 128, "intermediate"): "9c117d840e3f0d9df3474f30f12cb000",
    ("canonical", 128, "hard"): "694d346b44b4929ff3f4bf261fc64252",
    ("canonical", 256, "easy"): "2803936b967bca342c8e2794a1f1a47b",
    ("canonical", 256, "intermediate"): "aaf47835e12d29c4bf00699cd5d22007",
    ("canonical", 256, "hard"): "220e6ef7e6d181ca1afb559f3ec4a411",
}


@pytest.mark.parametrize(("variant", "size", "difficulty"), GOLDEN)
def test_golden_images(variant: Any, size: Any, difficulty: Any) -> None:
    """The first four images and labels of every setting."""
    task = Pathfinder(resolution=size, variant=variant, difficulty=difficulty)
    batch = task.generate(range(4))
    found = hashlib.sha256(batch.inputs.astype(np.uint8).tobytes() + batch.targets.tobytes())
    assert found.hexdigest()[:32] == GOLDEN[variant, size, difficulty]
