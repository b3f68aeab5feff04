"""Tuning: one budget for every arm, on validation data, by what the task leads with."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tasks
from sweeps.options import SAMPLERS
from sweeps.pruners import WAVE
from sweeps.search import Search, curve_of_rates, trial_experiment
from sweeps.train import run_experiment
from sweeps.trial import TUNING_SEED, Method, trial_rows
from sweeps.verdict import front
from tests.sweeps.fakes import fake_result, searching
from tests.sweeps.small import experiment, tune


def test_tuning_never_sees_the_test_split(tmp_path, monkeypatch):
    seen = set()
    generate = type(experiment().task).generate

    def spy(self, indices, split="train"):
        seen.add(split)
        return generate(self, indices, split)

    monkeypatch.setattr(type(experiment().task), "generate", spy)

    def run(trial):
        return run_experiment(trial, root=tmp_path, splits=("validation",))

    tuned = tune(experiment(), "arm", 3, tmp_path / "study.db", run)
    assert len(tuned.trials) == 3
    assert seen == {"train", "validation"}


def test_the_first_trials_are_the_given_rate_and_four_around_it(tmp_path):
    made = experiment(lr=3e-3)
    rates = curve_of_rates(made)
    assert rates[0] == 3e-3
    assert len(rates) == 5
    steps = np.diff(np.log(sorted(rates)))
    assert np.allclose(steps[:2], steps[0], rtol=0.02)
    assert np.allclose(steps[2:], steps[2], rtol=0.02)
    assert min(rates) > 1e-4
    assert max(rates) < 1e-1
    trial = trial_experiment(made, rates[1])
    assert (trial.seed, trial.train.steps) == (TUNING_SEED, made.train.steps // 2)


def test_tuning_goes_on_where_it_stopped_and_chooses_the_best(tmp_path):
    calls = []

    def run(trial):
        calls.append(trial.train.lr)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return run_experiment(trial, root=tmp_path, splits=("validation",))

    made, storage = experiment(), tmp_path / "study.db"
    with pytest.raises(KeyboardInterrupt):
        tune(made, "arm", 6, storage, run)
    tuned = tune(made, "arm", 6, storage, run)
    assert [t.number for t in tuned.trials] == list(range(6))
    assert calls[3] == calls[2]
    assert len(calls) == 7
    best = max(tuned.trials, key=lambda t: (t.value, -t.loss, -t.number))
    assert tuned.experiment == made.with_train(lr=best.parameters["train.lr"])
    assert tuned.trial == best.number
    before = len(calls)
    assert tune(made, "arm", 6, storage, run) == tuned
    assert len(calls) == before


def tuned_by(folder, kind, scores):
    """What tuning chooses among trials of these scores."""
    left = iter(scores)
    made = experiment().model_copy(update={"task": tasks.make_task(kind)})
    return tune(
        made, "arm", len(scores), folder / "study.db", lambda t: fake_result(t, **next(left))
    )


@pytest.mark.parametrize(
    ("kind", "scores", "best", "value"),
    [
        # whole answers, though another rate has more tokens right
        (
            "depo",
            [
                {"loss": 1.0, "accuracy": 0.9, "span_exact": 0.1},
                {"loss": 2.0, "accuracy": 0.5, "span_exact": 0.3},
            ],
            1,
            0.3,
        ),
        # no answer is whole yet: the loss says which rate learns
        (
            "depo",
            [
                {"loss": 2.0, "accuracy": 0.5, "span_exact": 0.0},
                {"loss": 1.0, "accuracy": 0.1, "span_exact": 0.0},
                {"loss": 1.5, "accuracy": 0.9, "span_exact": 0.0},
            ],
            1,
            0.0,
        ),
        ("lano", [{"loss": 0.7, "accuracy": 0.8}, {"loss": 0.6, "accuracy": 0.7}], 1, -0.6),
        ("adding", [{"loss": 0.02}, {"loss": 0.01}, {"loss": 0.03}], 1, -0.01),
        ("copying", [{"loss": 1.0, "accuracy": 0.5}, {"loss": 1.0, "accuracy": 0.5}], 0, 0.5),
    ],
)
def test_the_best_is_best_by_what_the_task_leads_with(tmp_path, kind, scores, best, value):
    tuned = tuned_by(tmp_path, kind, scores)
    assert tuned.trial == best
    assert tuned.trials[best].value == value
    assert tuned_by(tmp_path, kind, scores) == tuned, "read again from the record"


def test_a_trial_without_a_score_counts_with_a_guess(tmp_path):
    made = experiment().model_copy(update={"task": tasks.make_task("lano")})
    trial = tune(made, "arm", 1, tmp_path / "study.db", lambda _: None).trials[0]
    assert trial.state == "failed"
    assert trial.value == -math.log(made.task.context.num_outputs)


def test_a_diverged_trial_never_wins(tmp_path):
    def run(trial):
        high = trial.train.lr > 2e-2
        return fake_result(trial, 0.1 if high else 0.01, "diverged" if high else "finished")

    tuned = tune(experiment(lr=3e-3), "arm", 5, tmp_path / "study.db", run)
    assert tuned.experiment.train.lr < 2e-2
    assert {t.state for t in tuned.trials} == {"finished", "diverged"}


def test_a_trial_without_memory_is_tried_again(tmp_path):
    answers = [None, 0.5]

    def run(trial):
        value = answers.pop(0)
        return None if value is None else fake_result(trial, value)

    first = tune(experiment(), "arm", 1, tmp_path / "study.db", run)
    assert first.trials[0].state == "failed"
    assert tune(experiment(), "arm", 1, tmp_path / "study.db", run).trials[0].value == 0.5


def worth(trial):
    """A made-up score: best at a rate of 1e-3."""
    return 1 - abs(math.log10(trial.train.lr) + 3) / 10


def test_what_is_proposed_depends_neither_on_the_order_of_ends_nor_on_a_stop(tmp_path):
    made, trials = experiment(), 5 + 2 * WAVE
    plain = tune(made, "arm", trials, tmp_path / "1.db", lambda t: fake_result(t, worth(t)))
    assert len({t.parameters["train.lr"] for t in plain.trials}) > 5 + WAVE, "nothing is proposed"

    search = Search(made, "arm", trials, tmp_path / "2.db")
    while wave := search.ask():  # the last is told first
        assert search.ask() == [], "a wave is out"
        for asked in reversed(wave):
            search.tell(asked, fake_result(asked.experiment, worth(asked.experiment)))
    assert search.chosen == plain

    told = 0
    while told < trials:  # each search tells three trials and is no more
        search = Search(made, "arm", trials, tmp_path / "3.db")
        for asked in search.ask()[-3:]:
            search.tell(asked, fake_result(asked.experiment, worth(asked.experiment)))
            told += 1
    assert Search(made, "arm", trials, tmp_path / "3.db").chosen == plain


TWO = ("lr=1e-4..1e-1:log", "dropout=0..0.3:4")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_sampler_depends_on_the_order_of_ends_or_on_a_stop(tmp_path, sampler):
    found = searching(experiment(), *TWO, search="lr")
    method = Method(sampler, space=found.space)
    trials = 20 if sampler == "grid" else 5 + WAVE + 3

    def score(trial):
        return fake_result(trial, worth(trial) - trial.model.dropout)

    plain = tune(found.experiment, "arm", trials, tmp_path / "1.db", score, method=method)
    assert [t.number for t in plain.trials] == list(range(trials))
    told = 0
    while told < trials:  # each search tells three trials, the last first, and is no more
        search = Search(found.experiment, "arm", trials, tmp_path / "2.db", method=method)
        for asked in list(reversed(search.ask()))[:3]:
            search.tell(asked, score(asked.experiment))
            told += 1
    assert Search(found.experiment, "arm", trials, tmp_path / "2.db", method=method).chosen == plain
    if sampler != "grid":
        given = [t.parameters for t in plain.trials[:5]]
        assert len({p["train.lr"] for p in given}) == 5
        assert {p["model.dropout"] for p in given} == {0.0}


def test_what_cannot_be_built_is_recorded_and_not_trained(tmp_path):
    words = ("dt_min=1e-3..1e-2:log:2", "dt_max=5e-3..1e-1:log:2")
    found = searching(experiment(), *words, search="dt_min")
    method, calls = Method("grid", space=found.space), []

    def run(trial):
        calls.append(trial)
        return fake_result(trial, 0.5)

    tuned = tune(found.experiment, "arm", 4, tmp_path / "study.db", run, method=method)
    states = [t.state for t in tuned.trials]
    assert states == ["finished", "finished", "infeasible", "finished"]
    assert tuned.trials[2].parameters == {"length.dt_min": 1e-2, "length.dt_max": 5e-3}
    assert "dt_max" in tuned.trials[2].reason
    assert len(calls) == 3
    again = tune(found.experiment, "arm", 4, tmp_path / "study.db", run, method=method)
    assert again == tuned
    assert len(calls) == 3


def test_a_value_outside_of_its_range_is_tried_and_said_nothing_of(tmp_path):
    made = experiment(weight_decay=0.0)  # no place of a range in logarithms
    found = searching(made, search="lr,weight_decay")
    tuned = tune(
        found.experiment,
        "arm",
        5 + WAVE,
        tmp_path / "study.db",
        lambda t: fake_result(t, worth(t)),
        method=Method(space=found.space),
    )
    assert tuned.trials[0].parameters["train.weight_decay"] == 0.0
    assert all(t.parameters["train.weight_decay"] > 0 for t in tuned.trials[5:])


def test_costs_decide_between_equal_scores_and_make_a_front(tmp_path):
    found = searching(experiment(), "width=8,16,32", search="width")
    method = Method("grid", objectives=("accuracy", "state_bytes"), space=found.space)

    def run(trial):
        width = trial.model.width
        return fake_result(trial, min(0.9, width / 16), state_bytes=10 * width)

    tuned = tune(found.experiment, "arm", 3, tmp_path / "study.db", run, method=method)
    assert [t.costs for t in tuned.trials] == [(80.0,), (160.0,), (320.0,)]
    assert tuned.experiment.model.width == 16
    assert front(tuned.trials) == [1, 0]


def test_one_seed_more_is_one_run_more_and_the_mean_decides(tmp_path):
    seen = []

    def run(trial):
        seen.append((trial.train.lr, trial.seed))
        return fake_result(trial, worth(trial) + (trial.seed - TUNING_SEED) / 10)

    tuned = tune(experiment(), "arm", 2, tmp_path / "study.db", run, method=Method(seeds=3))
    seeds = [TUNING_SEED, TUNING_SEED + 1, TUNING_SEED + 2]
    assert seen == [(t.parameters["train.lr"], s) for t in tuned.trials for s in seeds]
    for trial in tuned.trials:
        first = trial.shown[0][0][0]
        assert trial.value == pytest.approx(first + 0.1)
        assert [row["seed"] for row in trial_rows("arm", trial)] == seeds


def test_later_trials_are_near_the_best_ones(tmp_path):
    made, trials = experiment(), 5 + 5 * WAVE
    tuned = tune(made, "arm", trials, tmp_path / "study.db", lambda t: fake_result(t, worth(t)))
    off = [abs(math.log10(t.parameters["train.lr"]) + 3) for t in tuned.trials]
    assert np.mean(off[-WAVE:]) < 0.5 * np.mean(off[5 : 5 + WAVE])
    assert min(off) < 0.02


def test_other_hardware_tunes_again(tmp_path):
    calls = []

    def run(trial):
        calls.append(trial)
        return fake_result(trial, 0.5)

    for stamp in ("one", "one", "two"):
        tune(experiment(), "arm", 2, tmp_path / "study.db", run, stamp=stamp)
    assert len(calls) == 4
