import pytest

from reports import formats
from reports.stats import Estimate


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        ("fixed", 0.12345, "0.123"),
        ("fixed", -0.0001, "-0.0001"),
        ("fixed", 0.000031, "3e-05"),
        ("fixed", 0.0005, "0.001"),
        ("fixed", 0.0, "0.000"),
        ("fixed", -0.0, "0.000"),
        ("fixed", 2e-17, "0.000"),  # what was rounded, not a value
        ("fixed", None, "–"),
        ("fixed", float("nan"), "–"),
        ("signed", 0.12345, "+0.123"),
        ("signed", -0.5, "-0.500"),
        ("signed", -0.0001, "-0.0001"),
        ("signed", -0.00031, "-0.0003"),
        ("signed", 0.00031, "+0.0003"),
        ("signed", 0.0, "+0.000"),
        ("signed", -0.0, "+0.000"),
        ("signed", -2e-17, "+0.000"),
        ("short", 0.00031, "0.00031"),
        ("short", 12.345, "12.3"),
        ("short", float("inf"), "–"),
        ("count", 12345, "12,345"),
        ("count", None, "–"),
        ("percent", 0.83, "83 %"),
        ("percent", 0.0, "0 %"),
        ("percent", 0.004, "0.4 %"),
        ("percent", 0.0999, "9.99 %"),
        ("percent", 0.1, "10 %"),
        ("percent", None, "–"),
        ("p_value", 0.03125, "0.031"),
        ("p_value", 1.0, "1"),
        ("p_value", 0.997, "1"),
        ("p_value", 0.00005, "<0.0001"),
        ("p_value", 0.0078125, "0.0078"),
        ("p_value", None, "–"),
    ],
)
def test_numbers_as_people_read_them(function, value, expected):
    assert getattr(formats, function)(value) == expected


def test_intervals_and_pairs():
    assert formats.interval(Estimate(3, 0.5, 0.25, 0.75)) == "[0.250, 0.750]"
    assert formats.interval(Estimate(3, 0.5, -0.25, 0.75), sign=True) == "[-0.250, +0.750]"
    assert formats.interval(Estimate(1, 0.5)) == formats.interval(None) == "–"
    assert formats.mean_and_half(Estimate(3, 0.5, 0.25, 0.75)) == "0.500 ± 0.250"
    assert formats.mean_and_half(Estimate(1, 0.5)) == "0.500"
    assert formats.mean_and_half(Estimate(0)) == "–"
    assert formats.change((12.0, 17.53)) == "12 → 17.5"
    assert formats.change((None, 17.53)) == "– → 17.5"
    assert formats.change((None, None)) == "–"
    assert (formats.plural(1, "seed"), formats.plural(2, "seed")) == ("1 seed", "2 seeds")


def about(half, middle=0.5):
    return Estimate(6, middle, middle - half, middle + half)


@pytest.mark.parametrize(
    ("halves", "digits"),
    [
        ([0.039], 3),
        ([0.0996], 2),  # rounds to 0.10
        ([0.25], 2),
        ([0.0123, 0.3], 3),  # the narrowest decides for the whole column
        ([0.000012], 4),  # at most
        ([1.2], 1),
        ([12.0], 0),
        ([340.0], 0),
        ([0.0, 0.2], 2),  # no width says nothing
        ([0.0], 3),
        ([], 3),
    ],
)
def test_digits_come_from_the_interval(halves, digits):
    assert formats.digits_of(map(about, halves)) == digits


def test_digits_of_what_has_no_interval():
    assert formats.digits_of([Estimate(0), Estimate(1, 0.5)]) == 3
    assert formats.mean_and_half(about(12.0, 345.6), 0) == "346 ± 12"


def test_no_half_and_no_bound_is_rounded_to_nothing():
    small = about(0.00002, 0.000235)
    assert formats.mean_and_half(small, formats.digits_of([small])) == "0.0002 ± 2e-05"
    assert formats.interval(about(0.0001, 0.0), sign=True) == "[-0.0001, +0.0001]"
    assert formats.fixed(0.3, 0) == "0.3"
