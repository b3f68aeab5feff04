"""The tables of all metrics and slices: which runs they are over."""

import pytest

from reports.contrast import analyse
from reports.detail_tables import metrics_table, slices_table

DESCRIPTIVE = 1  # notes that every such table has


def row(arm, seed, value, metric="accuracy", part="gap=2", split="test"):
    return {"arm": arm, "seed": seed, "split": split, "slice": part} | {
        "metric": metric,
        "value": value,
    }


@pytest.fixture
def analysed(make_study):
    """Two arms of three seeds with these rows; the last two runs of x diverged."""

    def make(rows, status=None, **fields):
        lost = {("x", 1): "diverged", ("x", 2): "diverged"} if status is None else status
        arms = {"baseline": [0.5] * 3, "x": [0.7, 0.1, 0.1]}
        return analyse(make_study(arms, rows=rows, status=lost, **fields))

    return make


def rows_of(metric="accuracy", part="gap=2", split="test"):
    of_base = [row("baseline", seed, 0.4, metric, part, split) for seed in range(3)]
    return [*of_base, row("x", 0, 0.7, metric, part, split)]


def cell(table, arm, metric="accuracy", split="test"):
    [one] = [
        r
        for r in table.frame.iter_rows(named=True)
        if r["metric"] == metric and r["split"] == split
    ]
    return one[f"{arm} n"], one[f"{arm} mean"]


def test_a_slice_counts_runs_that_diverged_with_chance(analysed):
    table = slices_table(analysed(rows_of()))
    assert cell(table, "x") == (3, pytest.approx((0.7 + 0.1 + 0.1) / 3))
    assert cell(table, "baseline") == (3, pytest.approx(0.4))
    assert table.notes[DESCRIPTIVE:] == (
        "In test accuracy a run that diverged counts with the chance score.",
    )


def test_an_arm_whose_runs_all_diverged_is_at_chance_on_every_slice(analysed):
    status = {("x", seed): "diverged" for seed in range(3)}
    rows = [each for each in rows_of() if each["arm"] == "baseline"]
    assert cell(slices_table(analysed(rows, status)), "x") == (3, pytest.approx(0.1))


def test_a_metric_that_diverged_runs_have_no_score_of_is_said_to_be_without_them(analysed):
    table = metrics_table(analysed(rows_of("loss", "all")))
    assert cell(table, "x", "loss") == (1, 0.7)
    assert cell(table, "x")[0] == 3
    assert table.notes[-1] == "Without runs that diverged (x: 2): they have no such score."


def test_the_outcome_on_another_split_is_not_filled(analysed):
    table = metrics_table(analysed(rows_of("accuracy", "all", "validation")))
    assert cell(table, "x", split="validation") == (1, 0.7)
    assert table.notes[-1] == "Without runs that diverged (x: 2): they have no such score."


def test_without_a_chance_score_nothing_is_filled(analysed):
    table = slices_table(analysed(rows_of(), plan={"chance": None}))
    assert cell(table, "x") == (1, 0.7)
    assert table.notes[DESCRIPTIVE:] == (
        "Without runs that diverged (x: 2): they have no such score.",
    )


def test_only_planned_runs_that_ended_are_in_these_tables(analysed):
    rows = [*rows_of(), row("x", 1, 0.9), row("x", 2, 0.9)]
    killed = analysed(rows, {("x", 1): "killed"}, plan={"seeds": [0, 1]})
    assert cell(slices_table(killed), "x") == (1, 0.7)
    assert cell(slices_table(killed), "baseline")[0] == 2


def test_a_study_in_which_nothing_diverged_has_no_note_on_it(analysed):
    for make in (metrics_table, slices_table):
        assert len(make(analysed(rows_of(), {}, name=make.__name__)).notes) == DESCRIPTIVE
