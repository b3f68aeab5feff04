"""What a report says of a tuning: over which rates a score holds, what mattered, what it costs."""

from __future__ import annotations

import json
import math

import pytest

from reports.build import build_study, make_report
from reports.contrast import analyse
from reports.rates import chosen_trial, learning_rates
from reports.tuning import rate_curve, sensitivity, trials_of
from reports.tuning_figures import front_plot, importance_bars, rate_curves
from reports.tuning_tables import front_table, search_table, sensitivity_table, trials_table
from sweeps.results import read_study

SPACE = {"train.lr": "0.0001..0.1:log", "model.width": "8,16,32"}


def trial(number, value, seed=10_000, state="finished", costs=None, reason="", **parameters):
    return {
        "arm": "baseline",
        "number": number,
        "parameters": json.dumps({n.replace("_", "."): v for n, v in parameters.items()}),
        "seed": seed,
        "value": value,
        "state": state,
        "costs": json.dumps(costs or {}),
        "reason": reason,
    }


@pytest.fixture
def tuned(make_study):
    """Five rates: 0.6 0.9 0.92 0.88 0.3; the given one is the third, the chosen one too."""
    values = {0: (1e-3, 0.92), 1: (1e-5, 0.6), 2: (1e-4, 0.9), 3: (1e-2, 0.88), 4: (1e-1, 0.3)}
    trials = [trial(n, value, train_lr=lr) for n, (lr, value) in values.items()]
    return analyse(make_study({"baseline": [0.9, 0.8]}, trials=trials, plan={"trials": 5}))


@pytest.fixture
def wide(make_study):
    """Rates around a width of 16, then others: one is pruned, one cannot be built."""
    rates = {0: 1e-3, 1: 1e-4, 2: 1e-2}
    trials = [
        trial(n, 0.5 + n / 10, train_lr=lr, model_width=16, costs={"state_bytes": 160})
        for n, lr in rates.items()
    ]
    trials += [
        trial(3, 0.4, train_lr=5e-3, model_width=8, costs={"state_bytes": 80}),
        trial(4, 0.9, train_lr=2e-2, model_width=32, costs={"state_bytes": 320}),
        trial(5, 0.95, state="pruned", train_lr=3e-3, model_width=16),
        trial(6, 0.1, state="infeasible", reason="too wide", train_lr=3e-3, model_width=32),
    ]
    search = {"sampler": "tpe", "pruner": "none", "seeds": 1, "space": SPACE}
    search |= {"objectives": ["accuracy", "state_bytes"]}
    study = make_study(
        {"baseline": [0.9, 0.8]},
        trials=trials,
        plan={"trials": 7, "search": search, "tuning_seeds": [10_000]},
    )
    shares = {"train.lr": 0.75, "model.width": 0.25}
    said = {"space": SPACE, "importance": shares, "front": [4, 2, 3]}
    (study.directory / "search.json").write_text(json.dumps({"baseline": said}))
    return analyse(read_study(study.directory))


def test_good_rates_are_a_stretch_about_the_best(tuned):
    found = sensitivity(tuned, "baseline")
    assert found is not None
    assert found.good == (1e-4, 1e-2)
    assert found.decades == pytest.approx(2)
    assert (found.given.lr, found.chosen.lr) == (1e-3, 1e-3)
    (row,) = sensitivity_table(tuned).frame.iter_rows(named=True)
    assert (row["rates"], row["worst"]) == (5, 0.3)


def test_a_good_rate_beyond_a_bad_one_does_not_count(make_study):
    values = {0: (1e-3, 0.92), 1: (1e-4, 0.5), 2: (1e-5, 0.91), 3: (1e-2, 0.88)}
    trials = [trial(n, value, train_lr=lr) for n, (lr, value) in values.items()]
    analysis = analyse(make_study({"baseline": [0.9]}, trials=trials, plan={"trials": 4}))
    assert sensitivity(analysis, "baseline").good == (1e-3, 1e-2)


def test_of_a_loss_the_share_counts(make_study):
    values = {0: (1e-3, -0.010), 1: (1e-4, -0.0104), 2: (1e-2, -0.02)}
    trials = [trial(n, value, train_lr=lr) for n, (lr, value) in values.items()]
    plan = {"trials": 3, "primary": {"metric": "loss", "split": "test", "slice": "all"}}
    analysis = analyse(make_study({"baseline": [0.9]}, trials=trials, plan=plan))
    assert sensitivity(analysis, "baseline").good == (1e-4, 1e-3)


def test_one_rate_has_no_sensitivity(make_study):
    analysis = analyse(make_study({"baseline": [0.9]}, trials=[trial(0, 0.5, train_lr=1e-3)]))
    assert sensitivity(analysis, "baseline") is None
    assert not len(sensitivity_table(analysis).frame)


def test_a_trial_of_several_seeds_counts_with_its_mean(make_study):
    trials = [trial(0, v, seed=10_000 + i, train_lr=1e-3) for i, v in enumerate((0.2, 0.4))]
    trials.append(trial(1, math.nan, train_lr=1e-2))
    found = trials_of(make_study({"baseline": [0.9]}, trials=trials), "baseline")
    assert [one.value for one in found] == [pytest.approx(0.3), None]


def test_the_curve_is_of_trials_that_differ_in_the_rate_alone(wide):
    assert [one.number for one in rate_curve(wide.study, "baseline")] == [1, 0, 5, 2]
    found = sensitivity(wide, "baseline")
    assert [one.number for one in found.tried] == [1, 0, 2], "what was given up is no score"
    assert found.chosen.number == 4


def test_the_given_rate_and_the_chosen_one_are_marked(wide):
    axes = rate_curves(wide).axes[0]
    by_size = {line.get_markersize(): line.get_xdata()[0] for line in axes.lines}
    assert (by_size[11], by_size[8]) == (1e-3, 2e-2)


def test_what_was_searched_and_what_mattered(wide):
    frame = search_table(wide).frame
    assert frame["field"].to_list() == list(SPACE)
    assert frame["importance"].to_list() == [0.75, 0.25]
    assert [json.loads(text) for text in frame["chosen"]] == [2e-2, 32]
    axes = importance_bars(wide).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["model.width", "train.lr"]
    assert [bar.get_width() for bar in axes.patches] == [25, 75]


def test_the_front_is_shown_with_what_it_costs(wide):
    frame = front_table(wide).frame
    assert frame["trial"].to_list() == [4, 2, 3]
    assert frame["state_bytes"].to_list() == [320, 160, 80]
    assert frame["trained"].to_list() == [True, False, False]
    axes = front_plot(wide).axes[0]
    front = next(line for line in axes.lines if line.get_drawstyle() == "steps-post")
    assert front.get_xdata().tolist() == [80, 160, 320]
    assert len(axes.lines[0].get_xdata()) == 5, "neither what was given up nor what was not built"


def test_every_trial_is_listed_with_why(wide):
    frame = trials_table(wide).frame
    assert frame["reason"].to_list()[-1] == "too wide"
    assert frame["model.width"].to_list() == [16, 16, 16, 8, 32, 16, 32]
    assert frame["value"].to_list()[-1] is None


def test_the_report_of_a_search_says_how_it_was_done(wide):
    report = build_study(wide.study.directory)
    assert "sampler tpe, by accuracy against state_bytes" in report.methods
    assert {"importance", "front", "learning-rates"} <= {p.name for p in report.pictures}
    page = (wide.study.directory / "report.html").read_text()
    assert "PED-ANOVA" in page
    assert 'id="figure-front"' in page


def test_a_tuning_of_the_rate_alone_has_no_table_of_a_search(tuned):
    names = {table.name for table in make_report(tuned.study).tables}
    assert {"sensitivity", "learning-rates"} <= names
    assert not {"search", "front", "trials"} & names


def test_a_score_of_nothing_is_a_score(make_study):
    values = {0: (1e-3, 0.04), 1: (3e-3, 0.0), 2: (1e-2, 0.0)}
    trials = [trial(n, value, train_lr=lr) for n, (lr, value) in values.items()]
    analysis = analyse(make_study({"baseline": [0.9]}, trials=trials, plan={"trials": 3}))
    found = sensitivity(analysis, "baseline")
    assert found.good == (1e-3, 1e-2)
    assert found.decades == pytest.approx(1)


def test_the_guess_of_a_trial_that_failed_is_no_score(make_study):
    trials = [trial(0, 0.04, train_lr=1e-3), trial(1, 0.1, state="failed", train_lr=1e-2)]
    study = make_study({"baseline": [None]}, trials=trials, plan={"trials": 2})
    assert learning_rates(study, "baseline")["value"].to_list() == [0.04, None]
    assert chosen_trial(study, "baseline") == 0
