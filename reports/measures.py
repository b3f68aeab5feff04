"""What curves of accuracy say in one number: capacity, reach, time, bits for the state's size.

Axes: N points of a curve, S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Reached(NamedTuple):
    """A number, or at least it, or at most: `censored` where the truth lies beyond the budget."""

    value: float
    censored: bool

    def __str__(self) -> str:
        return f"> {self.value:g}" if self.censored else f"{self.value:g}"


def capacity(sizes: Sequence[float], accuracies: Sequence[float], least: float = 0.9) -> Reached:
    """The largest size, such as pairs to recall, with an accuracy of at least `least`.

    Between the last size that has it and the next, log2 of the size is interpolated; 0 if the first
    has it not, censored if all have it. Sizes rise.

    Raises: ValueError for sizes that do not rise, or other numbers of accuracies.
    """
    _check_rising(sizes, accuracies)
    if accuracies[0] < least:
        return Reached(0.0, censored=False)
    for i in range(1, len(sizes)):
        if accuracies[i] < least:
            share = (accuracies[i - 1] - least) / (accuracies[i - 1] - accuracies[i])
            low, high = math.log2(sizes[i - 1]), math.log2(sizes[i])
            return Reached(2 ** (low + share * (high - low)), censored=False)
    return Reached(float(sizes[-1]), censored=True)


def area_over_log_size(sizes: Sequence[float], accuracies: Sequence[float]) -> float:
    """The mean accuracy over log2 of the size, by the trapezoidal rule: in [0, 1]."""
    _check_rising(sizes, accuracies)
    if len(sizes) == 1:
        return float(accuracies[0])
    logs = [math.log2(size) for size in sizes]
    steps = zip(pairwise(logs), pairwise(accuracies), strict=True)
    area = sum((b - a) * (x + y) / 2 for (a, b), (x, y) in steps)
    return area / (logs[-1] - logs[0])


def time_to(
    times: Sequence[float], accuracies: Sequence[float], least: float = 0.99, in_a_row: int = 2
) -> Reached:
    """When accuracy has been at `least` on `in_a_row` evaluations: the time of the first of them.

    Times are steps, examples or seconds of the evaluations. Censored at the last one if never.
    """
    _check_rising(times, accuracies)
    run = 0
    for i, accuracy in enumerate(accuracies):
        run = run + 1 if accuracy >= least else 0
        if run == in_a_row:
            return Reached(float(times[i - in_a_row + 1]), censored=False)
    return Reached(float(times[-1]), censored=True)


def median(values: Sequence[Reached]) -> Reached:
    """The median over seeds; what is censored is longer than all that is not. (S,)

    Of an even number the upper of the two in the middle, which is one of the values.

    Raises: ValueError if there are none.
    """
    if not values:
        raise ValueError("the median of no values")
    ordered = sorted(values, key=lambda each: (each.censored, each.value))
    return ordered[len(ordered) // 2]


def extrapolation(
    lengths: Sequence[float], accuracies: Sequence[float], trained: float, least: float = 0.99
) -> float:
    """The largest length with `least`, all shorter ones having it too, over the trained length.

    Lengths up to the trained one count as one point: 0 if even they have not.
    """
    _check_rising(lengths, accuracies)
    reach = 0.0
    for length, accuracy in zip(lengths, accuracies, strict=True):
        if accuracy < least:
            break
        reach = float(length)
    return reach / trained


def bits_recalled(num_pairs: int, num_values: int, accuracy: float, chance: float) -> float:
    """Bits of values that recall shows to be held: K log2 V, in the part above chance.

    Source:  the axis of figure 2 of Arora et al. 2024, "Based", arXiv:2402.18668, made a number.
    """
    above = max(0.0, (accuracy - chance) / (1 - chance))
    return num_pairs * math.log2(num_values) * above


def state_efficiency(bits: float, state_bytes: float) -> float:
    """Bits recalled for each bit of the state that inference keeps."""
    if state_bytes <= 0:
        raise ValueError(f"state_bytes={state_bytes}: a model keeps more than nothing")
    return bits / (8 * state_bytes)


def _check_rising(sizes: Sequence[float], accuracies: Sequence[float]) -> None:
    if len(sizes) != len(accuracies) or not sizes:
        raise ValueError(f"{len(sizes)} sizes and {len(accuracies)} accuracies: needs one each")
    if any(a >= b for a, b in pairwise(sizes)):
        raise ValueError(f"sizes must rise, got {list(sizes)}")
