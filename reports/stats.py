"""The statistics of a paired design: few seeds, two arms that share each of them.

Legend: n paired seeds, d = arm - baseline per seed, m arms beside the baseline.
Beside it: ranks (`signed_rank`), equivalence, `power`, and aggregates over tasks (`across`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95
ALPHA = 0.05
MAX_EXACT = 40  # 2^20 sums in each half: 8 MB and a tenth of a second
NUM_DRAWS = 100_000
TABLE = 10  # flips
Values = Sequence[float] | np.ndarray
ROUNDING = 1e-12  # relative: below it two numbers differ by how they were computed only


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval; None where the data cannot give one."""

    n: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def includes_zero(self) -> bool:
        """Whether 0 lies in the interval, or there is no interval to say otherwise."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high


def mean_interval(values: Values, level: float = LEVEL) -> Estimate:
    """Mean and t interval: mean +- t_{n-1, (1+level)/2} * s / sqrt(n), s over n - 1.

    n = 1 has a mean and no interval, n = 0 neither.
    """
    n = len(values)
    if n == 0:
        return Estimate(0)
    x = np.asarray(values, dtype=np.float64)
    mean = float(x.mean())
    if n == 1:
        return Estimate(1, mean)
    half = float(stdtrit(n - 1, (1 + level) / 2)) * deviation(x) / math.sqrt(n)
    return Estimate(n, mean, mean - half, mean + half)


def paired_difference(arm: Values, base: Values, level: float = LEVEL) -> Estimate:
    """The t interval of mean(d), d_i = arm_i - base_i: what both arms owe to seed i cancels."""
    return mean_interval(differences(arm, base), level)


def permutation_p(arm: Values, base: Values) -> float | None:
    """Exact test: p = #{s in {-1, 1}^n : |sum s_i d_i| >= |sum d_i|} / 2^n.

    Two-sided. Under the null hypothesis each d_i is as likely as -d_i. All 2^n sign flips are
    counted, in time 2^(n/2): the sums of one half are looked up among the sorted sums of the other.
    Beyond n = 40: (1 + hits) / (1 + 10^5) over 10^5 random flips of a fixed seed. n = 0: None.
    """
    d = differences(arm, base)
    n = len(d)
    if n == 0:
        return None
    bar = abs(float(d.sum())) - ROUNDING * scale_of(arm, base)  # ties count, however rounded
    if bar <= 0:
        return 1.0
    if n > MAX_EXACT:
        return _sampled_p(d, bar)
    left, right = _signed_sums(d[: n // 2]), _signed_sums(d[n // 2 :])
    above = len(right) - np.searchsorted(right, bar - left, side="left")
    return 2 * int(above.sum()) / 2**n  # the sums are symmetric about 0


def holm(p_values: Values) -> list[float]:
    """p'_(i) = max_{j <= i} min(1, (m - j + 1) p_(j)), in the order given. Holm 1979."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def effect_size(arm: Values, base: Values) -> float | None:
    """Cohen's d_z = mean(d) / s(d). None where all d are equal: it would be 0/0 or infinite."""
    d = differences(arm, base)
    s = deviation(d, scale_of(arm, base)) if len(d) > 1 else 0.0
    return float(d.mean()) / s if s else None


def seed_correlation(arm: Values, base: Values) -> float | None:
    """Pearson's r between the arms over the paired seeds: how much pairing gains.

    var(d) = var(arm) + var(base) - 2 r s(arm) s(base). None where n < 3 or an arm is constant.
    """
    a, b = np.asarray(arm, dtype=np.float64), np.asarray(base, dtype=np.float64)
    if len(a) != len(b) or len(a) < 3 or not deviation(a) or not deviation(b):
        return None
    r = float(np.mean((a - a.mean()) * (b - b.mean())) / (a.std() * b.std()))
    return min(1.0, max(-1.0, r))


def smallest_p(n: int) -> float:
    """2^(1-n): the permutation p when all n differences have one sign."""
    return 2.0 ** (1 - n)


def reachable_p(pairs: Sequence[int]) -> list[float]:
    """The smallest p after Holm that each contrast could have, given every one's paired seeds.

    Holm's p of one rises with every other's, so it is least where all of them are: at 2^(1-n_j).
    Of equal n it is m * 2^(1-n); a contrast with fewer pairs than the others may still reach less.
    """
    return holm([min(1.0, smallest_p(n)) for n in pairs])


def is_underpowered(n: int, num_arms: int, alpha: float = ALPHA) -> bool:
    """Whether m * 2^(1-n) >= alpha: no outcome of Holm over m arms of n pairs could reach alpha."""
    return num_arms * smallest_p(n) >= alpha


def seeds_needed(num_arms: int, alpha: float = ALPHA) -> int:
    """The smallest n that is not underpowered: 6 for one arm, 7 for 2-3, 8 for 4-6."""
    n = 1
    while is_underpowered(n, num_arms, alpha):
        n += 1
    return n


def differences(arm: Values, base: Values) -> np.ndarray:
    """d, with 0 where two values differ by rounding only. Raises: ValueError if not paired."""
    if len(arm) != len(base):
        raise ValueError(f"{len(arm)} values of the arm, {len(base)} of the baseline: not paired")
    d = np.asarray(arm, dtype=np.float64) - np.asarray(base, dtype=np.float64)
    return np.where(np.abs(d) <= ROUNDING * scale_of(arm, base), 0.0, d)


def scale_of(*values: Values) -> float:
    """The largest size among the values."""
    return float(np.abs(np.asarray(values, dtype=np.float64)).max(initial=0.0))


def deviation(x: np.ndarray, scale: float | None = None) -> float:
    """Deviation s = sqrt(sum (x - mean)^2 / (n - 1)); 0 where the spread is rounding only."""
    s = float(x.std(ddof=1))
    return s if s > ROUNDING * (scale_of(x) if scale is None else scale) else 0.0


def _signed_sums(d: np.ndarray) -> np.ndarray:
    """All 2^n sums of +-d_i, rising."""
    sums = np.zeros(1)
    for value in np.abs(d):  # two rising runs, which a stable sort merges
        sums = np.sort(np.concatenate((sums - value, sums + value)), kind="stable")
    return sums


def _sampled_p(d: np.ndarray, bar: float) -> float:
    generator, totals = np.random.default_rng(0), np.zeros(NUM_DRAWS)
    for start in range(0, len(d), TABLE):  # a random entry of a table stands for that many flips
        sums = _signed_sums(d[start : start + TABLE])
        totals += sums[generator.integers(0, len(sums), NUM_DRAWS)]
    return (1 + int((np.abs(totals) >= bar).sum())) / (1 + NUM_DRAWS)
