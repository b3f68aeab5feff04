"""How far an axis goes where an interval is huge."""

from __future__ import annotations

import pytest

from reports.figure import new_figure, style
from reports.lines import keep_in_view


@pytest.mark.parametrize(
    ("metric", "limits"), [("accuracy", (-0.05, 1.05)), ("loss", (-0.1, 1.5)), ("", (-0.1, 1.5))]
)
def test_a_share_does_not_leave_zero_and_one_and_a_loss_may(metric, limits):
    """Means of .3 and 1.1 let an axis go half of .8 farther; here intervals go from -9 to 9."""
    with style():
        axes = new_figure(2.0).add_subplot()
        axes.plot([0, 1], [-9, 9])
        keep_in_view(axes, [0.3, 1.1], metric=metric)
        low, high = axes.get_ylim()
    assert (low, high) == pytest.approx(limits, abs=1e-9)
