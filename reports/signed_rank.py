"""Wilcoxon's signed ranks: what the paired differences say by their order alone. Descriptive.

Legend: n paired seeds, d = arm - baseline, r_i the rank of |d_i| among all n, ties sharing theirs.
Zeros are ranked with the rest and then left out of the sums (Pratt 1959, JASA 54:655).
"""

from __future__ import annotations

import numpy as np

from reports.stats import ROUNDING, Values, differences, permutation_p, scale_of

MAX_COUNTED = 200


def signed_ranks(arm: Values, base: Values) -> np.ndarray:
    """sign(d_i) r_i, 0 where d_i is 0. Sizes that differ by rounding only are tied. (n,)"""
    d = differences(arm, base)
    order = np.argsort(np.abs(d), kind="stable")
    rises = np.diff(np.abs(d)[order]) > ROUNDING * scale_of(arm, base)
    group = np.cumsum(np.concatenate(([0], rises.astype(int)))[: len(d)])  # (n,) by size
    last = np.cumsum(np.bincount(group)) if len(d) else group
    ranks = np.empty(len(d))
    ranks[order] = (last - (np.bincount(group) - 1) / 2)[group] if len(d) else 0.0
    return np.sign(d) * ranks


def wilcoxon_p(arm: Values, base: Values) -> float | None:
    """Exact test: p = #{s in {-1, 1}^n : |sum s_i r_i| >= |sum sign(d_i) r_i|} / 2^n, two-sided.

    The permutation test of the signed ranks, hence exact with ties and zeros too, where tables of
    the statistic are not. All flips are counted by how many reach each sum, in time n^3; beyond
    n = 200 some are drawn, as in `permutation_p`. n = 0: None.
    Source: Wilcoxon 1945, Biometrics Bulletin 1:80.
    """
    ranks = signed_ranks(arm, base)
    if not 0 < len(ranks) <= MAX_COUNTED:
        return permutation_p(ranks, np.zeros(len(ranks)))
    sizes = np.rint(2 * np.abs(ranks)).astype(int)  # whole: tied ranks end in a half
    sums = sizes.sum() - 2 * np.arange(sizes.sum() + 1)  # by the ranks that are flipped
    return float(_subset_shares(sizes)[np.abs(sums) >= abs(round(2 * ranks.sum()))].sum())


def rank_biserial(arm: Values, base: Values) -> float | None:
    """Matched-pairs rank-biserial correlation r = (W+ - W-) / (n (n + 1) / 2), in [-1, 1].

    W+ and W- are the sums of the ranks of positive and of negative d: the share of the ranks that
    speaks for the arm, minus the share against it. A zero speaks for neither, so with zeros
    |r| < 1. n = 0: None.  Source: Kerby 2014, Comprehensive Psychology 3:11.IT.3.1.
    """
    ranks = signed_ranks(arm, base)
    n = len(ranks)
    return float(ranks.sum()) / (n * (n + 1) / 2) if n else None


def _subset_shares(sizes: np.ndarray) -> np.ndarray:
    """The share of the 2^n subsets with each sum, from 0 to that of all. (sum + 1,)"""
    shares = np.ones(1)
    for size in sizes:
        grown = np.zeros(len(shares) + size)
        grown[: len(shares)] += shares / 2
        grown[size:] += shares / 2
        shares = grown
    return shares
