"""Who is bold, in studies whose p values can be counted by hand."""

import numpy as np
import pytest

from reports.best import best_and_ties
from reports.build import make_report
from reports.contrast import analyse
from reports.stats import holm, permutation_p
from reports.table import Strong

SEEDS = range(8)
BASE = [0.5 + 0.01 * s for s in SEEDS]


def shifted(by, noise=0.001):
    """All differences from BASE of one sign: p = 2^-7 of 8 seeds."""
    return [b + by + noise * s for s, b in zip(SEEDS, BASE, strict=True)]


def mixed(by):
    """Differences of both signs, four each: nothing is significant."""
    return [b + by * (-1) ** s for s, b in zip(SEEDS, BASE, strict=True)]


def best(study):
    return set(best_and_ties(analyse(study)))


def test_one_best(make_study):
    assert best(make_study({"baseline": BASE, "a": shifted(0.2), "b": shifted(-0.1)})) == {"a"}


def test_a_tie_is_bold_too(make_study):
    arms = {"baseline": BASE, "a": shifted(0.2), "b": [v + 0.3 * (-1) ** i - 0.01 for i, v in
            enumerate(shifted(0.2))]}  # fmt: skip
    assert best(make_study(arms)) == {"a", "b"}


def test_the_baseline_may_be_best(make_study):
    arms = {"baseline": BASE, "a": shifted(-0.2), "b": mixed(0.02)}
    assert best(make_study(arms)) == {"baseline", "b"}


def test_lower_may_be_better(make_study):
    rows = [
        {"arm": arm, "seed": s, "split": "test", "slice": "all", "metric": "loss", "value": v}
        for arm, values in (("baseline", BASE), ("a", shifted(0.2)), ("b", shifted(-0.1)))
        for s, v in enumerate(values)
    ]
    plan = {"primary": {"metric": "loss", "split": "test", "slice": "all"}}
    arms = {"baseline": BASE, "a": BASE, "b": BASE}
    assert best(make_study(arms, rows=rows, plan=plan)) == {"b"}


def test_arms_that_are_equal_are_tied(make_study):
    assert best(make_study({"baseline": BASE, "a": BASE})) == {"baseline", "a"}


def test_too_few_seeds_say_nothing(make_study):
    study = make_study({"baseline": BASE[:4], "a": shifted(0.2)[:4]})
    assert best(study) == set()
    table = make_report(study, draw=False).tables[0]
    assert not any(isinstance(cell, Strong) for row in table.cells() for cell in row)
    assert table.frame["best_or_tie"].to_list() == [None, None]
    assert not any("Bold" in note for note in table.notes)


def test_an_arm_of_too_few_pairs_is_not_judged(make_study):
    few = [*shifted(-0.1)[:3], *[None] * 5]
    assert best(make_study({"baseline": BASE, "a": shifted(0.2), "b": few})) == {"a"}
    many = [*shifted(-0.1)[:7], None]
    assert best(make_study({"baseline": BASE, "a": shifted(0.2), "b": many}, name="m")) == {"a"}


def test_a_best_mean_of_few_seeds_is_no_best(make_study):
    lucky = [*shifted(0.4)[:2], *[None] * 6]
    assert best(make_study({"baseline": BASE, "a": shifted(0.1), "b": lucky})) == set()


def test_an_arm_without_runs_has_no_part(make_study):
    arms = {"baseline": BASE, "a": shifted(0.2), "b": [None] * 8}
    assert best(make_study(arms)) == {"a"}  # and counts in Holm: 2 * 2^-7 < 0.05


def test_alone_nothing_is_best(make_study):
    assert best(make_study({"baseline": BASE})) == set()


def test_better_over_the_paired_seeds_is_not_worse(make_study):
    """a has the better mean over its own seeds, b over those that both have."""
    a = [None, *shifted(0.2)[1:]]
    b = [0.0, *shifted(0.21)[1:]]
    assert best(make_study({"baseline": shifted(-0.3), "a": a, "b": b})) == {"a", "b"}


@pytest.mark.parametrize("seed", range(20))
def test_against_the_definition(make_study, seed):
    """Each arm against the best one, Holm over these tests, worse below 0.05."""
    rng = np.random.default_rng(seed)
    arms = {
        name: list(rng.normal(0.05 * i, 0.06, 9)) for i, name in enumerate(["baseline", *"abc"])
    }
    means = {name: np.mean(values) for name, values in arms.items()}
    top = max(means, key=means.get)
    others = [name for name in arms if name != top]
    p = dict(zip(others, holm([permutation_p(arms[n], arms[top]) for n in others]), strict=True))
    assert best(make_study(arms)) == {top} | {name for name in others if p[name] >= 0.05}


def test_the_table_prints_them_bold(make_study):
    study = make_study({"baseline": BASE, "a": shifted(0.2), "b": shifted(-0.1)})
    table = make_report(study, draw=False).tables[0]
    at = [column.title for column in table.columns].index("test accuracy ↑")
    bold = [isinstance(row[at], Strong) for row in table.cells()]
    assert bold == table.frame["best_or_tie"].to_list() == [False, True, False]
    assert any(note.startswith("Bold mean: the best") for note in table.notes)
