"""What is said of paired differences beside the test, and what once was said wrongly."""

import numpy as np
import pytest
import scipy.stats

from reports.build import markdown
from reports.contrast import analyse
from reports.power import seeds_for, smallest_difference

BASE = [0.50, 0.55, 0.45, 0.60, 0.52, 0.48]
BETTER = [0.60, 0.66, 0.58, 0.69, 0.65, 0.56]


def arm(study, name="decay=off"):
    return next(a for a in analyse(study).arms if a.name == name)


def closely(base, spread=0.001):
    """An arm that equals the baseline up to little, of both signs."""
    return [b + spread * (-1) ** i * (1 + i / 10) for i, b in enumerate(base)]


def test_ranks_and_equivalence_are_scipy_s(make_study):
    c = arm(make_study({"baseline": BASE, "decay=off": BETTER})).contrast
    d = np.subtract(BETTER, BASE)
    assert c.p_wilcoxon == pytest.approx(scipy.stats.wilcoxon(d, method="exact").pvalue)
    assert c.rank_biserial == 1.0
    assert c.deviation == pytest.approx(d.std(ddof=1))
    below = scipy.stats.ttest_1samp(d, 0.01, alternative="less").pvalue
    assert c.p_equivalence == pytest.approx(below)
    interval = scipy.stats.ttest_1samp(d, 0).confidence_interval(0.9)
    assert (c.inner.low, c.inner.high) == pytest.approx((interval.low, interval.high))
    assert not c.equivalent


def test_equivalence_has_a_holm_family_of_its_own(make_study):
    arms = {"baseline": BASE, "a": closely(BASE), "b": BETTER, "c": [None] * 6}
    contrasts = {a.name: a.contrast for a in analyse(make_study(arms)).others}
    small, large = contrasts["a"].p_equivalence, contrasts["b"].p_equivalence
    assert small < 0.01 < large
    assert contrasts["a"].p_equivalence_holm == pytest.approx(3 * small)
    assert contrasts["b"].p_equivalence_holm == pytest.approx(min(1.0, 2 * large))
    assert contrasts["c"].p_equivalence_holm is None
    without = {**arms, "a": BASE[::-1]}  # what equivalence finds changes no p of a difference
    other = arm(make_study(without, name="other"), "b").contrast
    assert other.p_holm == contrasts["b"].p_holm == 3 * 2**-5


def test_equal_by_rule_is_not_equivalent(make_study):
    """Runs that diverged in both arms have the same chance score, measured in neither."""
    base = [0.1] * 7 + [0.5]
    status = {(a, s): "diverged" for a in ("baseline", "decay=off") for s in range(7)}
    arms = {"baseline": base, "decay=off": [*base[:7], 0.501]}
    assert arm(make_study(arms, name="measured")).contrast.equivalent
    c = arm(make_study(arms, status=status)).contrast
    assert (c.p_equivalence, c.p_equivalence_holm, c.equivalent) == (None, None, False)


def test_too_few_seeds_show_no_equivalence(make_study):
    c = arm(make_study({"baseline": BASE[:5], "decay=off": closely(BASE[:5])})).contrast
    assert c.p_equivalence_holm < 0.001
    assert not c.equivalent


def test_the_margin_is_the_plan_s_or_the_tool_s_or_none(make_study):
    arms = {"baseline": BASE, "decay=off": closely(BASE, 0.02)}
    own = {"metric": "accuracy", "split": "test", "slice": "all", "margin": 0.05}
    found = analyse(make_study(arms, plan={"primary": own}))
    assert (found.margin, found.margin_named) == (0.05, True)
    assert found.others[0].contrast.equivalent
    found = analyse(make_study(arms, name="default"))
    assert (found.margin, found.margin_named) == (0.01, False)
    assert not found.others[0].contrast.equivalent
    loss = {"metric": "loss", "split": "test", "slice": "all"}
    found = analyse(make_study(arms, plan={"primary": loss}, name="loss"))
    assert found.margin is None
    assert found.others[0].contrast.p_equivalence is None


@pytest.mark.parametrize("margin", [0, -0.01, "0.01", True, float("nan")])
def test_a_margin_that_is_no_positive_number_is_refused(make_study, margin):
    plan = {"primary": {"metric": "accuracy", "split": "test", "slice": "all", "margin": margin}}
    with pytest.raises(ValueError, match=r"plan\.json: primary\.margin=.*a positive number"):
        analyse(make_study({"baseline": BASE}, plan=plan))


def test_seeds_for_the_margin_and_the_difference_that_these_show(make_study):
    arms = {"baseline": BASE, "decay=off": closely(BASE, 0.02)}
    c = arm(make_study(arms)).contrast
    assert c.seeds_for == seeds_for(0.01, c.deviation) > 6
    assert c.mde == smallest_difference(6, c.deviation)
    both = arm(make_study({**arms, "b": BETTER}, name="both")).contrast
    assert both.seeds_for == seeds_for(0.01, c.deviation, num_arms=2) > c.seeds_for
    assert both.mde is None  # six seeds can show nothing of two arms


# --------------------------------------------------------------------- numbers that were once wrong


def test_a_diverged_run_without_a_row_of_the_outcome_counts_with_chance(make_study):
    """A run that diverged has scores of whole splits only; an outcome on a slice has none of it."""
    rows = [
        {"arm": a, "seed": s, "split": "test", "slice": "gap=8", "metric": "accuracy", "value": 0.9}
        for a in ("baseline", "decay=off")
        for s in range(6)
        if (a, s) != ("decay=off", 2)
    ]
    plan = {"primary": {"metric": "accuracy", "split": "test", "slice": "gap=8"}}
    status = {("decay=off", 2): "diverged"}
    arms = {"baseline": BASE, "decay=off": BETTER}
    found = arm(make_study(arms, rows=rows, plan=plan, status=status))
    assert (found.estimate.n, found.missing, found.diverged) == (6, 0, 1)
    assert found.values == {0: 0.9, 1: 0.9, 2: 0.1, 3: 0.9, 4: 0.9, 5: 0.9}
    assert list(found.values) == sorted(found.values)
    unknown = make_study(arms, rows=rows, plan=plan | {"chance": None}, status=status, name="none")
    assert arm(unknown).missing == 1


def test_half_a_run_has_no_value(make_study):
    status = {("decay=off", 1): "timeout"}
    found = arm(make_study({"baseline": BASE, "decay=off": BETTER}, status=status))
    assert (1 in found.values, found.missing) == (False, 1)


def test_missing_runs_of_one_arm_do_not_take_the_test_from_another(make_study):
    """Two arms: 8 and 6 pairs. The arm of 6 can reach 2^-5 once the other has been rejected."""
    base = [0.5 + i / 100 for i in range(8)]
    up = [b + 0.1 + i / 1000 for i, b in enumerate(base)]
    study = make_study({"baseline": base, "a": up, "b": [*up[:6], None, None]})
    assert not arm(study, "b").contrast.underpowered
    assert arm(study, "b").contrast.p_holm == 2**-5
    assert arm(study, "b").contrast.significant
    lost = make_study({"baseline": base, "a": up, "b": [*up[:4], *[None] * 4]}, name="lost")
    assert [arm(lost, n).contrast.underpowered for n in "ab"] == [False, True]
    assert "Underpowered (b): 4 paired seeds and 2 contrasts cannot give a Holm p below 0.12" in (
        markdown(lost)
    )


def test_parameters_that_a_search_chose_are_compared_with_those_it_chose(make_study):
    """The runs have 10,000, whatever the plan began with."""
    plan = {"trials": 4, "search": {"space": {"train.lr": "", "model.width": ""}, "seeds": 1}}
    plan["search"] |= {"sampler": "tpe", "pruner": "none", "objectives": []}
    entries = {"baseline": {"parameters": 4_000}}
    study = make_study({"baseline": BASE}, plan=plan, entries=entries)
    assert arm(study, "baseline").extra_parameters == 0.0
    assert "more parameters than the baseline" not in markdown(study)


def test_runs_of_seeds_that_are_not_planned_count_nowhere(make_study):
    plan = {"seeds": [0, 1, 2]}
    improving = {("baseline", 1), ("baseline", 5)}
    found = arm(make_study({"baseline": BASE}, plan=plan, still_improving=improving), "baseline")
    assert (found.planned, found.estimate.n, found.still_improving) == (3, 3, 1)
