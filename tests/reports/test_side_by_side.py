"""Two studies: digits come from the intervals that are printed beside them."""

from reports.contrast import analyse
from reports.side_by_side import compare, comparison_table

BASE = [0.99931 + i * 1e-5 for i in range(8)]


def two(make_study):
    """The second lies 0.0003 above the first in both arms."""
    arms = {"baseline": BASE, "x": [b - 0.0002 - (i % 3) * 1e-5 for i, b in enumerate(BASE)]}
    lifted = {name: [v + 0.0003 for v in values] for name, values in arms.items()}
    return [analyse(make_study(arms, name=n)) for n, arms in (("a", arms), ("b", lifted))]


def test_small_changes_are_not_printed_as_none(make_study):
    a, b = two(make_study)
    row = comparison_table(a, b, ["baseline", "x"]).cells()[1]
    assert row[1:5] == ["0.9991", "0.9994", "+0.0003", "[+0.0003, +0.0003]"]
    assert row[5:7] == ["-0.0002", "-0.0002"]
    assert row[7] == "+0.0000"  # exactly none
    assert row[8].startswith("[-")
    assert "0.0000" not in row[8]


def test_the_sentence_has_the_digits_of_its_interval(make_study):
    found = compare(*two(make_study), ("a", "b")).found
    assert found[1] == (
        "baseline: 0.9993 and 0.9996, +0.0003 from the first to the second "
        "(95 % CI +0.0003 to +0.0003)."
    )
