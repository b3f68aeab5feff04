"""Arms can be told apart by readers of every kind of colour vision, and without colour."""

import itertools

import numpy as np
import pytest

from reports.figure import COLOURS, INK, look
from reports.lines import MAX_LINES

# Machado, Oliveira and Fernandes 2009, "A physiologically-based model for simulation of color
# vision deficiency", table 1, severity 1.0; of linear RGB
VISION = {
    "all": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
SEEN = 15  # a distance in CIE Lab that nobody overlooks; 2.3 is just noticeable


def lab(colour, vision):
    """CIE 1976 L*a*b* of what is seen of an sRGB colour."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    xyz = TO_XYZ @ seen / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_simulation_confuses_what_it_should():
    """White stays white; to a deutan red and green of one luminance come close."""
    for vision in VISION:
        assert lab("#ffffff", vision) == pytest.approx([100, 0, 0], abs=0.1)
    far = np.linalg.norm(lab("#c05000", "all") - lab("#608000", "all"))
    near = np.linalg.norm(lab("#c05000", "deutan") - lab("#608000", "deutan"))
    assert near < far / 3


@pytest.mark.parametrize("vision", list(VISION))
def test_neighbours_differ_in_colour_for_all_eyes(vision):
    for a, b in itertools.pairwise(look(i)["color"] for i in range(MAX_LINES)):
        assert np.linalg.norm(lab(a, vision) - lab(b, vision)) > SEEN, (a, b)


def test_arms_differ_in_more_than_colour():
    """Neighbours in marker; any two of one hue in dash or marker; all of them in something."""
    looks = [look(i) for i in range(MAX_LINES)]
    assert all(a["marker"] != b["marker"] for a, b in itertools.pairwise(looks))
    assert len({(x["linestyle"], x["marker"]) for x in looks}) == MAX_LINES
    assert len({(x["color"], x["linestyle"]) for x in looks}) == MAX_LINES


def test_the_baseline_is_darker_than_all():
    dark = lab(INK, "all")[0]
    assert all(lab(colour, "all")[0] > dark + 30 for colour in COLOURS)
