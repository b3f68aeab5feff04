"""Numbers as people read them. None and what is not a number print as a dash."""

from __future__ import annotations

import math
from collections.abc import Iterable

from reports.stats import Estimate

DASH = "–"
DIGITS, MOST_DIGITS = 3, 4  # decimals: where nothing says how sure a number is, and at most
NOISE = 1e-12  # what differences that cancel may leave of a mean that is zero


def fixed(value: float | None, digits: int = 3) -> str:
    """0.123; 0.0003 where its decimals would make it zero."""
    return DASH if _is_missing(value) else _decimals(value or 0.0, digits, "")


def signed(value: float | None, digits: int = 3) -> str:
    """+0.123: a difference; -0.0003 where its decimals would make it zero."""
    return DASH if _is_missing(value) else _decimals(value or 0.0, digits, "+")


def short(value: float | None, digits: int = 3) -> str:
    """Three significant digits of any size: 0.0031, 12.5, 1.2e-07."""
    return DASH if _is_missing(value) else f"{value:.{digits}g}"


def count(value: float | None) -> str:
    """12,345"""
    return DASH if _is_missing(value) else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """7 %; small shares keep a digit, so that a weak treatment is not printed as none."""
    if _is_missing(value):
        return DASH
    share = 100 * float(value or 0.0)
    if share == 0 or abs(share) >= 10:
        return f"{share:.0f} %"
    return f"{share:.2g} %" if abs(share) < 9.95 else f"{share:.3g} %"  # 9.99 is not 10


def p_value(value: float | None) -> str:
    """Two significant digits of a p value, or <0.0001."""
    if _is_missing(value):
        return DASH
    value = float(value or 0.0)
    return "<0.0001" if value < 1e-4 else f"{value:.2g}" if value < 0.995 else "1"


def interval(estimate: Estimate | None, digits: int = 3, *, sign: bool = False) -> str:
    """[0.123, 0.234], or a dash where there is none."""
    if estimate is None or estimate.low is None:
        return DASH
    show = signed if sign else fixed
    return f"[{show(estimate.low, digits)}, {show(estimate.high, digits)}]"


def mean_and_half(estimate: Estimate, digits: int = 3) -> str:
    """0.123 ± 0.045, without the second part where there is no interval."""
    if estimate.mean is None or estimate.high is None:
        return fixed(estimate.mean, digits)
    return f"{fixed(estimate.mean, digits)} ± {fixed(estimate.high - estimate.mean, digits)}"


def digits_of(estimates: Iterable[Estimate]) -> int:
    """Decimals that show two significant digits of the narrowest interval's half, at most 4.

    The same for all that stand in one column. An interval of no width says nothing of digits; where
    there is no other, 3.
    """
    halves = [(e.high - e.low) / 2 for e in estimates if e.low is not None and e.high is not None]
    narrowest = min((h for h in halves if 0 < h < math.inf), default=None)
    if narrowest is None:
        return DIGITS
    exponent = int(f"{narrowest:.1e}".partition("e")[2])  # of the rounded half: 0.0996 is 0.10
    return min(MOST_DIGITS, max(0, 1 - exponent))


def change(pair: tuple[float | None, float | None] | None) -> str:
    """12.5 → 9.1: initial and final; a dash where neither was measured."""
    if pair is None or (pair[0] is None and pair[1] is None):
        return DASH
    return f"{short(pair[0])} → {short(pair[1])}"


def plural(number: int, noun: str) -> str:
    """1 seed, 2 seeds"""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _is_missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def _decimals(value: float, digits: int, sign: str) -> str:
    """A fixed number of decimals, or the first significant digit: only zero is printed as zero."""
    value = value if abs(value) > NOISE else 0.0
    text = f"{value:{sign}.{digits}f}"
    return text if float(text) or not value else f"{value:{sign}.1g}"
