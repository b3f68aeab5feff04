"""Printed numbers against numbers computed here, from the values alone."""

import json

import numpy as np
import pytest
import scipy.stats

from reports.build import make_report, markdown
from reports.contrast import Outcome, analyse, chosen_trial, learning_rates
from reports.study_tables import in_short
from reports.table import Strong

BASE = [0.50, 0.55, 0.45, 0.60, 0.52, 0.48]
BETTER = [0.60, 0.66, 0.58, 0.69, 0.65, 0.56]


def arm(study, name="decay=off"):
    return next(a for a in analyse(study).arms if a.name == name)


def cells(study, name, table="outcome"):
    """A row of a printed table by column title; a title that comes twice gets a number."""
    t = next(t for t in make_report(study, draw=False).tables if t.name == table)
    row = t.cells()[t.frame["arm"].to_list().index(name)]
    titles, seen = [], {}
    for column in t.columns:
        seen[column.title] = seen.get(column.title, 0) + 1
        titles.append(column.title + (f" {seen[column.title]}" if seen[column.title] > 1 else ""))
    return dict(zip(titles, row, strict=True))


def test_the_outcome_row_says_what_scipy_says(make_study):
    study = make_study({"baseline": BASE, "decay=off": BETTER})
    low, high = scipy.stats.t.interval(0.95, 5, np.mean(BETTER), scipy.stats.sem(BETTER))
    d = np.subtract(BETTER, BASE)
    d_low, d_high = scipy.stats.t.interval(0.95, 5, d.mean(), scipy.stats.sem(d))
    assert cells(study, "decay=off") == {
        "arm": "decay=off",
        "n": "6/6",
        "test accuracy ↑": Strong(f"{np.mean(BETTER):.3f} ± {(high - low) / 2:.3f}"),
        "difference": f"{d.mean():+.3f}",
        "95 % CI": f"[{d_low:+.3f}, {d_high:+.3f}]",
        "p (Holm)": Strong("0.031"),  # 2^-5: all six differences are positive
        "d_z": f"{d.mean() / d.std(ddof=1):.2f}",
        "seed r": f"{np.corrcoef(BETTER, BASE)[0, 1]:.2f}",
        "diverged": "0",
    }
    base = cells(study, "baseline")
    assert {base[k] for k in ("difference", "95 % CI", "p (Holm)", "d_z", "seed r")} == {"–"}


def test_holm_is_over_all_arms_and_bold_is_below_five_percent(make_study):
    n = 8
    base = [0.5 + 0.01 * i for i in range(n)]
    up = [b + 0.1 + 0.003 * i for i, b in enumerate(base)]
    mixed = [b + 0.02 * (-1) ** i for i, b in enumerate(base)]
    study = make_study({"baseline": base, "a": up, "b": mixed, "c": [b - 0.2 for b in base]})
    found = {name: cells(study, name)["p (Holm)"] for name in "abc"}
    least = 3 * 2**-7  # the two smallest share p = 2^-7; Holm gives 3p and then at least that
    assert found == {"a": Strong(f"{least:.2g}"), "b": "1", "c": Strong(f"{least:.2g}")}
    assert cells(study, "a")["p"] == f"{2**-7:.2g}"


def test_an_arm_without_a_p_still_counts_in_holm(make_study):
    six = [0.5 + 0.01 * i for i in range(6)]
    better = [v + 0.1 + 0.001 * i for i, v in enumerate(six)]
    study = make_study({"baseline": six, "a": better, "b": [None] * 6})
    assert arm(study, "a").contrast.p_holm == 2 * 2**-5
    assert arm(study, "b").contrast.p is None
    assert arm(study, "b").contrast.p_holm is None


def test_pairs_are_by_seed_not_by_position(make_study):
    """The arm lost seed 0, the baseline seed 5: four pairs remain."""
    base, other = [*BASE[:5], None], [None, *BETTER[1:]]
    study = make_study({"baseline": base, "decay=off": other})
    found = arm(study)
    d = np.subtract(BETTER[1:5], BASE[1:5])
    assert found.contrast.difference.n == 4
    assert found.contrast.difference.mean == pytest.approx(d.mean(), rel=1e-12)
    assert found.estimate.mean == pytest.approx(np.mean(BETTER[1:]), rel=1e-12)
    assert cells(study, "decay=off")["n"] == "5/6"
    assert "1 of 6 planned runs is missing." in markdown(study)


def test_the_order_of_the_rows_does_not_matter(make_study):
    study = make_study({"baseline": BASE, "decay=off": BETTER})
    shuffled = study.results.sample(fraction=1.0, shuffle=True, seed=5)
    assert (
        analyse(type(study)(**{**study.__dict__, "results": shuffled})).arms == analyse(study).arms
    )


def test_one_seed_prints_dashes(make_study):
    study = make_study({"baseline": [0.5], "decay=off": [0.7]})
    row = cells(study, "decay=off")
    assert row["test accuracy ↑"] == "0.700"
    assert row["difference"] == "+0.200"
    assert {row[k] for k in ("95 % CI", "p (Holm)", "d_z", "seed r")} == {"–"}
    assert "in a single paired seed: no interval and no test." in markdown(study)


def test_too_few_seeds_give_intervals_and_no_test(make_study):
    study = make_study({"baseline": BASE[:5], "decay=off": BETTER[:5]})
    row = cells(study, "decay=off")
    assert row["p (Holm)"] == "–"
    assert row["95 % CI"].startswith("[+0.0")
    text = markdown(study)
    assert "underpowered: no test" in text
    assert "cannot give a Holm p below 0.062" in text
    assert "p =" not in text
    outcome = next(t for t in make_report(study, draw=False).tables if t.name == "outcome")
    assert outcome.frame["p"].to_list() == [None, None]


def test_diverged_runs_count_with_chance_and_are_counted(make_study):
    status = {("decay=off", s): "diverged" for s in range(6)}
    study = make_study({"baseline": BASE, "decay=off": [0.1] * 6}, status=status)
    row = cells(study, "decay=off")
    assert (row["n"], row["test accuracy ↑"]) == ("6/6", "0.100 ± 0.000")
    assert row["diverged"] == "6"
    assert row["p (Holm)"] == Strong("0.031")
    assert row["seed r"] == "–"
    assert "6 of 6 runs diverged and count with the chance score." in markdown(study)


def test_identical_arms_are_no_difference(make_study):
    study = make_study({"baseline": BASE, "decay=off": BASE})
    row = cells(study, "decay=off")
    assert (row["difference"], row["95 % CI"]) == ("+0.000", "[+0.000, +0.000]")
    assert (row["p (Holm)"], row["d_z"]) == ("1", "–")
    assert "exactly the baseline's in all 6 paired seeds; no difference was shown" in markdown(
        study
    )


def test_no_variance_at_all(make_study):
    study = make_study({"baseline": [0.5] * 6, "decay=off": [0.7] * 6})
    row = cells(study, "decay=off")
    assert (row["difference"], row["95 % CI"]) == ("+0.200", "[+0.200, +0.200]")
    assert (row["d_z"], row["seed r"]) == ("–", "–")
    assert row["p (Holm)"] == Strong("0.031")


def test_a_baseline_alone_is_a_study(make_study):
    study = make_study({"baseline": BASE})
    assert "difference" not in cells(study, "baseline")
    assert "minus" not in markdown(study)


def test_the_baseline_is_the_first_arm_where_none_is_called_so(make_study):
    study = make_study({"hyena": BASE, "s4d": BETTER})
    assert analyse(study).baseline.name == "hyena"


def test_not_a_number_is_missing(make_study):
    study = make_study({"baseline": [*BASE[:5], float("nan")], "decay=off": BETTER})
    assert arm(study, "baseline").estimate.n == 5
    assert arm(study).contrast.difference.n == 5


def test_the_primary_outcome_is_the_plan_s(make_study):
    rows = [
        {"arm": a, "seed": s, "split": "test", "slice": "gap=8", "metric": "exact", "value": v}
        for a, values in (("baseline", BETTER), ("decay=off", BASE))
        for s, v in enumerate(values)
    ]
    plan = {"primary": {"metric": "exact", "split": "test", "slice": "gap=8"}}
    study = make_study({"baseline": BASE, "decay=off": BETTER}, rows=rows, plan=plan)
    assert arm(study).estimate.mean == pytest.approx(np.mean(BASE))
    assert "decay=off changed test exact on gap=8 by -0.1" in markdown(study)


def test_only_the_primary_outcome_has_tests(rich_study):
    from sweeps.results import read_study

    for table in make_report(read_study(rich_study), draw=False).tables:
        titles = {c.title for c in table.columns}
        bold = any(isinstance(cell, Strong) for row in table.cells() for cell in row)
        assert ("p (Holm)" in titles, bold) == ((table.name == "outcome",) * 2)


# --------------------------------------------------------------------------------------- tuning


def trials(values, arm_name="baseline", seeds=(10_000,)):
    return [
        {"arm": arm_name, "number": i, "parameters": json.dumps({"train.lr": lr}), "seed": seed}
        | {"value": value, "state": "finished"}
        for i, (lr, value) in enumerate(values)
        for seed in seeds
    ]


@pytest.mark.parametrize(
    ("lr", "edge"), [(0.001, False), (0.003, False), (0.0003, True), (0.03, True)]
)
def test_a_rate_is_at_the_edge_if_nothing_beyond_it_was_tried(make_study, lr, edge):
    tried = trials([(0.003, 0.5), (0.0003, 0.2), (0.001, 0.3), (0.01, 0.4), (0.03, 0.1)])
    plan = {"trials": 5, "lr_range": [0.0003, 0.03]}
    study = make_study({"baseline": BASE}, trials=tried, plan=plan, lr={"baseline": lr})
    assert arm(study, "baseline").lr_at_edge is edge
    assert ("†" in cells(study, "baseline", "arms")["lr"]) is edge
    assert ("at the edge of the rates searched" in markdown(study)) is edge


def test_the_edge_without_a_record_of_trials_is_the_plan_s(make_study):
    for trials_planned, edge in ((5, True), (0, False)):
        plan = {"trials": trials_planned, "lr_range": [1e-4, 0.1]}
        name = f"s{trials_planned}"
        study = make_study({"baseline": BASE}, plan=plan, lr={"baseline": 0.1}, name=name)
        assert arm(study, "baseline").lr_at_edge is edge


def test_a_rate_that_is_not_an_end_is_no_edge_even_at_the_first_range(make_study):
    """Later trials looked beyond the first ones' range and found nothing better."""
    tried = trials([(0.003, 0.4), (0.001, 0.3), (0.03, 0.5), (0.08, 0.2)])
    plan = {"trials": 4, "lr_range": [0.001, 0.03]}
    study = make_study({"baseline": BASE}, trials=tried, plan=plan, lr={"baseline": 0.03})
    assert not arm(study, "baseline").lr_at_edge


def test_rates_are_averaged_over_tuning_seeds_and_sorted(make_study):
    tried = trials([(0.01, 0.4), (0.001, 0.6)], seeds=(10_000, 10_001))
    tried[0]["value"], tried[3]["value"] = 0.2, None
    study = make_study({"baseline": BASE}, trials=tried)
    found = learning_rates(study, "baseline")
    assert found.select("number", "lr", "value").rows() == [
        (1, 0.001, 0.6),
        (0, 0.01, pytest.approx(0.3)),
    ]
    assert chosen_trial(study, "baseline") == 1


def test_the_trial_that_was_used_is_the_chosen_one(make_study):
    study = make_study({"baseline": BASE}, trials=trials([(0.01, 0.4), (0.001, 0.6)]))
    results = study.results.with_columns(trial=0)
    assert chosen_trial(type(study)(**{**study.__dict__, "results": results}), "baseline") == 0


# -------------------------------------------------------------------------------------- measures


def test_measures_are_means_over_seeds_at_both_times(make_study):
    rows = [
        {"arm": "baseline", "seed": s, "split": "kernel", "slice": when, "metric": "roughness"}
        | {"value": value + s}
        for s in range(3)
        for when, value in (("initial", 1.0), ("final", 5.0))
    ]
    study = make_study({"baseline": BASE[:3]}, rows=rows)
    assert arm(study, "baseline").measured["roughness"] == (2.0, 6.0)
    assert arm(study, "baseline").measured["effective_length"] == (None, None)
    row = cells(study, "baseline", "kernels")
    assert (row["roughness"], row["effective length"]) == ("2 → 6", "–")


def test_parameters_are_compared_with_the_baseline_s(make_study):
    entries = {"decay=off": {"parameters": 12_500, "treatment_strength": 0.0999}}
    study = make_study({"baseline": BASE, "decay=off": BETTER}, entries=entries)
    text = markdown(study)
    assert "It has 25 % more parameters than the baseline." in text
    assert "Treatment strength 9.99 % is below 10 %" in text
    assert "too weak to test" in text


def test_outcome_in_words():
    assert str(Outcome()) == "test accuracy"
    assert str(Outcome("loss", "validation", "gap=2")) == "validation loss on gap=2"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("", ""),
        ("mixers.0.kernel.decay: a -> none", "decay: a -> none"),
        ("depth: 2 -> 4", "depth: 2 -> 4"),
        (
            "mixers.0.kernel.decay: a -> b; mixers.1.kernel.decay: a -> b",
            "decay: a -> b (2 places)",
        ),
        ("mixers.0.gating: x -> none; width: 8 -> 16", "gating: x -> none; width: 8 -> 16"),
    ],
)
def test_changes_in_short(changed, expected):
    assert in_short(changed) == expected


def test_what_six_seeds_can_show_of_one_arm_they_cannot_show_of_two(make_study):
    two = make_study({"baseline": BASE, "a": BETTER, "b": BASE[::-1]}, name="two")
    one = make_study({"baseline": BASE, "a": BETTER}, name="one")
    assert arm(two, "a").contrast.underpowered
    assert not arm(one, "a").contrast.underpowered
    assert (cells(two, "a")["p (Holm)"], cells(one, "a")["p (Holm)"]) == ("–", Strong("0.031"))


def test_a_p_that_holm_raises_above_five_percent_is_not_bold(make_study):
    """One difference of the other sign, the smallest: p = 4/256, times 6 arms 0.094."""
    base = [0.5 + i / 100 for i in range(8)]
    one_off = [b + d for b, d in zip(base, [0.1] * 7 + [-0.02], strict=True)]
    noise = [b + 0.01 * (-1) ** i for i, b in enumerate(base)]
    study = make_study({"baseline": base, "a": one_off} | dict.fromkeys("bcdef", noise))
    assert (cells(study, "a")["p"], cells(study, "a")["p (Holm)"]) == ("0.016", "0.094")
    assert not arm(study, "a").contrast.significant


def test_chance_scores_of_the_baseline_show_no_equivalence(make_study):
    """All eight pairs are within the margin; one of them only by the rule for diverged runs."""
    base = [0.1 + 0.001 * (-1) ** i for i in range(8)]
    other = [b + 0.0005 * (-1) ** (i // 2) for i, b in enumerate(base)]
    arms = {"baseline": base, "decay=off": other}
    assert arm(make_study(arms, name="trained")).contrast.equivalent
    study = make_study(arms, name="lost", status={("baseline", 0): "diverged"})
    found = arm(study).contrast
    assert (found.equivalent, found.p_equivalence, found.p_equivalence_holm) == (False, None, None)
    assert "Equivalent within" not in markdown(study)
