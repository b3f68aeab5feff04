"""How many seeds a difference needs, and which difference a number of seeds can show.

Legend: n paired seeds, s the deviation of their differences, delta the true mean difference,
m arms, T(v, c) noncentral t of v degrees of freedom and noncentrality c, t_q its quantile at c = 0.
Source: Cohen 1988, Statistical Power Analysis, chapter 2.
"""

from __future__ import annotations

import math

from scipy.special import nctdtr, ndtr, ndtri, stdtrit

from reports.stats import ALPHA, seeds_needed, smallest_p

POWER = 0.8
MOST = 1_000_000  # seeds: beyond this nobody wants to know how many
STEPS = 40  # halvings: to 12 digits


def paired_power(n: int, effect: float, alpha: float = ALPHA) -> float:
    """P(|T(n - 1, sqrt(n) |effect|)| > t_{1 - alpha/2}), effect = delta / s; n of at least 2.

    The power of the two-sided paired t test at level alpha.
    """
    bar, shift = float(stdtrit(n - 1, 1 - alpha / 2)), math.sqrt(n) * abs(effect)
    below, other_side = (float(nctdtr(n - 1, shift, end)) for end in (bar, -bar))
    return 1.0 - _or_zero(below) + _or_zero(other_side)


def reached_level(n: int, num_arms: int = 1, alpha: float = ALPHA) -> float:
    """The largest multiple of 2^(1-n) below alpha / m: at what level a permutation test decides.

    alpha / m is Holm's strictest step. Of 6 seeds 1/32 of 0.05, of 5 seeds 0: they decide nothing.
    """
    if n > 50:  # finer than float64 tells
        return alpha / num_arms
    return (math.ceil(alpha / num_arms * 2 ** (n - 1)) - 1) / 2 ** (n - 1)


def permutation_power(n: int, effect: float, level: float) -> float:
    """About the power of the exact permutation test of normal differences at a level it reaches.

    At its smallest, 2^(1-n), exactly: all d of one sign, Phi(effect)^n + Phi(-effect)^n. Above it
    that of the t test at this level: by simulation up to 0.04 too much, at 2 * 2^(1-n) up to 0.09.
    """
    if level == smallest_p(n):
        return float(ndtr(effect) ** n + ndtr(-effect) ** n)
    return paired_power(n, effect, level)


def seeds_for(
    delta: float, s: float, *, num_arms: int = 1, power: float = POWER, alpha: float = ALPHA
) -> int | None:
    """The fewest paired seeds that show a true difference delta with this power.

    By `permutation_power`, each of num_arms contrasts held against alpha / num_arms. None where s
    or delta is 0, or where more than a million were needed. s is itself an estimate: of 8 seeds its
    95 % interval reaches from 0.66 s to 2.04 s, and n goes with its square.
    """
    if not s > 0 or not delta:
        return None
    effect = abs(delta) / s
    known = ((ndtri(1 - alpha / num_arms / 2) + ndtri(power)) / effect) ** 2  # were s known: fewer
    if known > MOST:
        return None
    n = max(seeds_needed(num_arms, alpha), int(known) - 1)
    while permutation_power(n, effect, reached_level(n, num_arms, alpha)) < power:
        n += 1
    return n


def smallest_difference(
    n: int, s: float, *, num_arms: int = 1, power: float = POWER, alpha: float = ALPHA
) -> float | None:
    """The least true difference that n paired seeds show with this power (MDE), as `seeds_for`.

    None for s = 0, and where so few seeds cannot reach alpha whatever they find.
    """
    if n < seeds_needed(num_arms, alpha) or not s > 0:
        return None
    level, low, high = reached_level(n, num_arms, alpha), 0.0, 1.0
    while permutation_power(n, high, level) < power:
        low, high = high, 2 * high
    for _ in range(STEPS):
        middle = (low + high) / 2
        enough = permutation_power(n, middle, level) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high * s


def _or_zero(probability: float) -> float:
    """Zero where nctdtr gives nan: far out, where it is less than float64 tells from 0."""
    return 0.0 if math.isnan(probability) else probability
