"""What curves of accuracy say in one number: capacity, reach, time, bits for the state's size.

Axes: N points of a curve, S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Reached(NamedTuple):
    """A number; `censored`: at least this one, for the budget went no further."""

    value: float
    censored: bool

    def __str__(self) -> str:
        return f"> {self.value:g}" if self.censored else f"{self.value:g}"


def capacity(sizes: Sequence[float], accuracies: Sequence[float], least: float = 0.9) -> Reached:
    """The largest size, such as pairs to recall, with an accuracy of at least `least`.

    Between the last size that has it and the next, log2 of the size is interpolated; 0 if the first
    has it not, censored if all have it. Sizes rise.

    Raises: ValueError for sizes that do not rise, other numbers of accuracies, or one that is none.
    """
    _check_curve(sizes, accuracies)
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
    _check_curve(sizes, accuracies)
    if len(sizes) == 1:
        return float(accuracies[0])
    logs = [math.log2(size) for size in sizes]
    steps = zip(pairwise(logs), pairwise(accuracies), strict=True)
    area = sum((b - a) * (x + y) / 2 for (a, b), (x, y) in steps)
    return area / (logs[-1] - logs[0])


def time_to(
    times: Sequence[float],
    accuracies: Sequence[float],
    least: float = 0.99,
    in_a_row: int = 2,
    *,
    stopped: bool = False,
) -> Reached:
    """When accuracy has been at `least` on `in_a_row` evaluations: the time of the first of them.

    Times are steps, examples or seconds of the evaluations. Censored at the last one if never. Of a
    run that diverged (nan is below every level) that is too early to say how long it would have
    taken: give it the last time of the budget instead, as one that never arrived.

    stopped     whether the run was ended because it had arrived (`train.stop_at`): then its last
                evaluations count even if they are fewer than `in_a_row`
    """
    _check_rising(times, accuracies)
    run = 0
    for i, accuracy in enumerate(accuracies):
        run = run + 1 if accuracy >= least else 0
        if run == in_a_row:
            return Reached(float(times[i - in_a_row + 1]), censored=False)
    if stopped and run:
        return Reached(float(times[-run]), censored=False)
    return Reached(float(times[-1]), censored=True)


def median(values: Sequence[Reached]) -> Reached:
    """The median over seeds, as far as censored ones let it be known. (S,)

    Of an even number the upper of the two in the middle: of times the worse, and one of the values
    even where the other half never arrived, of which there is no mean. Censored if more than half
    never arrived, or if one that was censored early could move it.

    Raises: ValueError if there are none.
    """
    if not values:
        raise ValueError("the median of no values")
    first, last = (order[len(values) // 2] for order in _sorted(values))
    return first if first == last else Reached(first.value, censored=True)


def median_interval(values: Sequence[Reached], level: float = 0.95) -> tuple[Reached, Reached]:
    """An interval of the median from x_(k) to x_(S + 1 - k), k the largest with

    P(Bin(S, 1/2) < k) <= (1 - level) / 2. Inverts the sign test: it covers at least `level`
    whatever the distribution. A censored upper end is unbounded. At 95 % it takes 6 values.

    Raises: ValueError where there are too few: one line, with how many it takes.
    Source: Thompson 1936, Annals of Mathematical Statistics 7:122.
    """
    tail, count, k = (1 - level) / 2, len(values), 0
    while sum(math.comb(count, i) for i in range(k + 1)) <= tail * 2**count:
        k += 1
    if k == 0:
        least = math.ceil(-math.log2(tail))
        raise ValueError(f"{count} values: an interval of the median takes at least {least}")
    first, last = _sorted(values)
    high = last[-k]
    return first[k - 1], Reached(first[-k].value, censored=True) if high.censored else high


def _sorted(values: Sequence[Reached]) -> tuple[list[Reached], list[Reached]]:
    """With what is censored at its own time, and with it last: the truth lies between, by place."""
    return sorted(values), sorted(values, key=lambda each: (each.censored, each.value))


def extrapolation(
    lengths: Sequence[float], accuracies: Sequence[float], trained: float, least: float = 0.99
) -> float:
    """The largest length with `least`, all shorter ones having it too, over the trained length.

    Lengths up to the trained one count as one point: 0 if one of them has not.
    """
    _check_curve(lengths, accuracies)
    reach = 0.0
    for length, accuracy in zip(lengths, accuracies, strict=True):
        if accuracy < least:
            return 0.0 if length <= trained else reach / trained
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


def _check_curve(sizes: Sequence[float], accuracies: Sequence[float]) -> None:
    _check_rising(sizes, accuracies)
    if not all(map(math.isfinite, accuracies)):
        raise ValueError(f"accuracies must be numbers, got {list(accuracies)}; leave others out")


def _check_rising(sizes: Sequence[float], accuracies: Sequence[float]) -> None:
    if len(sizes) != len(accuracies) or not sizes:
        raise ValueError(f"{len(sizes)} sizes and {len(accuracies)} accuracies: needs one each")
    if any(a >= b for a, b in pairwise(sizes)):
        raise ValueError(f"sizes must rise, got {list(sizes)}")
