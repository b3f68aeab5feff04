"""Who is trained further: against made-up curves, and on real runs."""

from __future__ import annotations

from collections import Counter

import pytest

from sweeps.experiment import TrainSpec
from sweeps.pruners import Hyperband, Median, Wilcoxon, rungs, worse
from sweeps.rundir import RunDirectory
from sweeps.search import Search
from sweeps.train import NoWatcher, run_experiment
from sweeps.trial import TUNING_SEED, Method, Trial
from sweeps.worker import PAUSED, Order, attempt, finished
from tests.sweeps.fakes import fake_result, searching
from tests.sweeps.small import experiment
from tests.sweeps.test_search import worth

TRAIN = TrainSpec(steps=90, eval_every=10)


def test_rungs_are_evaluations_on_the_way():
    assert rungs(TRAIN, (1 / 9, 1 / 3)) == [10, 30]
    assert rungs(TRAIN, (0.25, 0.5, 0.75)) == [20, 40, 60]
    assert rungs(TrainSpec(steps=90, eval_every=50), (1 / 9, 1 / 3, 0.6)) == [50]
    assert rungs(TrainSpec(steps=20, eval_every=50), (0.5,)) == []


def test_hyperband_takes_the_best_third_and_begins_later_and_later():
    pruner = Hyperband()
    steps = [[s.step for s in pruner.stages(turn, 1, TRAIN)] for turn in range(5)]
    assert steps == [[None], [10, 30, None], [30, None], [None], [10, 30, None]]
    shown = {n: [(n / 10, 0.0)] for n in range(9)}
    assert pruner.kept(0, shown, ()) == {6, 7, 8}
    assert pruner.kept(1, {n: shown[n] for n in (6, 7, 8)}, ()) == {8}
    equal = {4: [(0.5, 2.0)], 5: [(0.5, 1.0)], 6: [(0.5, 1.0)]}
    assert pruner.kept(0, equal, ()) == {5}, "less loss, then the earlier one"


def trial(number, *shown, state="finished"):
    return Trial(number, {}, TUNING_SEED, shown[-1][0][0], state, shown=shown)


def test_the_median_is_of_all_that_came_so_far_before():
    earlier = [trial(n, ((n / 10, 0.0),)) for n in range(5)]
    pruner = Median()
    shown = {9: [(0.2, 0.0)], 10: [(0.19, 0.0)]}
    assert pruner.kept(0, shown, earlier) == {9}
    assert pruner.kept(0, shown, ()) == {9, 10}
    assert pruner.kept(1, shown, earlier) == {9, 10}, "nobody came so far"


def test_the_signed_rank_test_needs_four_seeds_and_gives_up_what_is_worse():
    best = [(0.9, 0.0)] * 6
    assert worse([(0.1, 0.0)] * 3, best) == 1 / 8
    assert worse([(0.1, 0.0)] * 4, best) == 1 / 16
    assert worse(best, best) == 1
    pruner, before = Wilcoxon(), [trial(0, tuple(best))]
    low = [(0.8, 0.0), (0.7, 0.0), (0.6, 0.0), (0.5, 0.0)]
    mixed = [(0.95, 0.0), (0.7, 0.0), (0.92, 0.0), (0.5, 0.0)]
    assert pruner.kept(0, {1: low, 2: mixed}, before) == {2}
    assert pruner.kept(0, {1: low, 2: mixed}, ()) == {1, 2}
    assert [s.seeds for s in pruner.stages(1, 6, TRAIN)] == [4, 5, 6]


def curve_of(trial, until):
    """Scores on the way to the last one."""
    steps = range(10, trial.train.steps + 1, 10)
    share = {step: step / trial.train.steps for step in steps if step <= (until or 1e9)}
    return [[s, "validation", "all", "accuracy", worth(trial) * f] for s, f in share.items()]


def told(search, asked):
    if asked.until is None:
        search.tell(asked, fake_result(asked.experiment, worth(asked.experiment)))
    else:
        search.tell(asked, None, curve_of(asked.experiment, asked.until))


def searched(storage, method, trials, seeds_noise=0.0):
    made = experiment(steps=180, eval_every=10)
    space = searching(made, "lr=1e-4..1e-1:log", search="lr").space
    method = Method("random", method, seeds=6 if method == "wilcoxon" else 1, space=space)
    return lambda: Search(made, "arm", trials, storage, method=method)


@pytest.mark.parametrize("pruner", ["median", "hyperband", "wilcoxon"])
def test_what_is_given_up_depends_neither_on_order_nor_on_a_stop(tmp_path, pruner):
    trials = 19
    search = searched(tmp_path / "1.db", pruner, trials)()
    runs = Counter()
    while wave := search.ask():
        assert search.ask() == []
        for asked in wave:
            runs[asked.number] += 1
            told(search, asked)
    plain = search.chosen
    states = Counter(t.state for t in plain.trials)
    assert states["pruned"] >= 3
    assert states["finished"] >= 6
    assert plain.trials[plain.trial or 0].value == max(t.value for t in plain.trials)

    make, seen = searched(tmp_path / "2.db", pruner, trials), set()
    while not (search := make()).finished:  # each makes eleven runs more, and is no more
        go_on(search, seen, 11)
    assert search.chosen == plain


def go_on(search, seen, left):
    """Tell the last first: what was run before, which costs nothing, and `left` runs more."""
    while wave := search.ask():
        for asked in reversed(wave):
            key = (asked.number, asked.experiment.seed, asked.until)
            if key not in seen and not left:
                return
            left -= key not in seen
            seen.add(key)
            told(search, asked)


def test_a_finished_run_is_judged_by_what_it_scored_at_the_step(tmp_path):
    """A study that finds whole runs of another gives up what it would have given up."""
    make = searched(tmp_path / "1.db", "hyperband", 14)
    search, other = make(), searched(tmp_path / "2.db", "hyperband", 14)()
    for one, whole in ((search, False), (other, True)):
        while wave := one.ask():
            for asked in wave:
                if whole:
                    result = fake_result(asked.experiment, worth(asked.experiment))
                    one.tell(asked, result, curve_of(asked.experiment, None))
                else:
                    told(one, asked)
    states = [[(t.number, t.state, t.value) for t in each.trials] for each in (search, other)]
    assert states[0] == states[1]


def test_a_run_that_goes_on_has_the_bits_of_one_that_never_stopped(tmp_path):
    made = experiment(steps=12, eval_every=2)
    whole = run_experiment(made, root=tmp_path / "whole", device="cpu", splits=("validation",))
    order = Order(
        experiment=made, root=tmp_path / "out", device="cpu", splits=("validation",), until=4
    )
    assert finished(order) is None
    paused = attempt(order, NoWatcher())
    assert paused.status == PAUSED
    assert paused.result is None
    assert max(point[0] for point in paused.curve) == 4
    assert RunDirectory(tmp_path / "out", made).result() is None, "no finished run"
    again = finished(order)
    assert again is not None
    assert again.curve == paused.curve
    last = attempt(Order(**{**order.__dict__, "until": None}), NoWatcher())
    assert last.result is not None
    assert last.result.weights == whole.weights
    assert last.result.scores == whole.scores
    assert last.result.resumed_from == (4,)
    seen = finished(order)
    assert seen is not None
    assert seen.result == last.result
    ends = [point for point in seen.curve if point[0] <= 4]
    assert [tuple(p) for p in ends] == [tuple(p) for p in paused.curve]
