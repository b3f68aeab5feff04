"""What samplers propose, against scores in closed form."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from sweeps.options import SAMPLERS
from sweeps.samplers import Record
from sweeps.space import Axis, cells, contains, grid_values, num_cells
from sweeps.trial import Method
from sweeps.verdict import front, importance
from tests.sweeps.fakes import simulate, trial_of
from zoo.spec import Choice, Range

LR = Axis(Range(1e-4, 1e-1, log=True), ("train.lr",))
DROPOUT = Axis(Range(0.0, 0.5), ("model.dropout",))
DEPTH = Axis(Choice((1, 2, 4, 8)), ("model.depth",))
BATCH = Axis(Range(8, 64), ("train.batch_size",))
BOTH = {"train.lr": LR, "model.dropout": DROPOUT}
ALL = {**BOTH, "model.depth": DEPTH, "train.batch_size": BATCH}


def bowl(values):
    """Best, 1, at a rate of 1e-2 and a dropout of 0.4."""
    off = ((math.log10(values["train.lr"]) + 2) / 3) ** 2
    return (1 - off - (2 * (values["model.dropout"] - 0.4)) ** 2,)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_proposals_lie_in_the_space_and_can_be_typed_again(sampler):
    space = {n: Axis(a.mark, a.paths, 3) for n, a in ALL.items()}
    if sampler == "gp":  # it is slow where it climbs over whole numbers
        space = {n: space[n] for n in ("train.lr", "model.dropout")}
    trials = 25 if sampler != "grid" else num_cells(space)
    found = simulate(Method(sampler, space=space), space, bowl, trials)
    for trial in found:
        for name, axis in space.items():
            value = trial.parameters[name]
            assert contains(axis.mark, value)
            assert type(value) is (float if name in BOTH else int)
            assert float(f"{value:.3g}") == value


@pytest.mark.parametrize(("sampler", "trials"), [("tpe", 65), ("gp", 25), ("cmaes", 97)])
def test_what_learns_comes_near_the_best_place(sampler, trials):
    values = [t.value for t in simulate(Method(sampler, space=BOTH), BOTH, bowl, trials)]
    assert np.mean(values[-8:]) > 0.9 > np.mean(values[1:9])
    assert max(values) > 0.98


def test_cmaes_goes_on_whatever_failed_and_learns_which_choice_is_best():
    space = {"train.lr": LR, "model.depth": DEPTH}

    def score(values):
        fine = values["model.depth"] == 4
        return (fine - ((math.log10(values["train.lr"]) + 2) / 3) ** 2,)

    found = simulate(Method("cmaes", space=space), space, score, 121)
    assert Counter(t.parameters["model.depth"] for t in found[-24:])[4] >= 20


def test_a_sobol_sequence_covers_evenly_whatever_is_found():
    found = simulate(Method("qmc", space=BOTH), BOTH, bowl, 65)[1:]
    for name, low, high in (("train.lr", -4, -1), ("model.dropout", 0, 0.5)):
        values = np.array([t.parameters[name] for t in found])
        values = np.log10(values) if name == "train.lr" else values
        counts = np.histogram(values, bins=16, range=(low, high))[0]
        assert set(counts) <= {3, 4, 5}, "rounding may move one over an edge"


def test_random_draws_are_of_the_whole_range():
    found = simulate(Method("random", space=BOTH), BOTH, bowl, 129)[1:]
    assert len({t.parameters["train.lr"] for t in found}) > 110
    mean = np.mean([math.log10(t.parameters["train.lr"]) for t in found])
    assert abs(mean + 2.5) < 0.3


def test_a_grid_has_every_cell_once():
    space = {
        "train.lr": Axis(LR.mark, LR.paths, 4),
        "model.depth": DEPTH,
        "train.batch_size": BATCH,
    }
    assert num_cells(space) == 4 * 4 * 5
    found = simulate(Method("grid", space=space), space, lambda _: (0.0,), 80)
    assert [t.parameters for t in found] == cells(space)
    assert len({tuple(t.parameters.values()) for t in found}) == 80
    assert grid_values(space["train.lr"]) == [1e-4, 1e-3, 1e-2, 1e-1]
    assert grid_values(BATCH) == [8, 22, 36, 50, 64]
    assert grid_values(Axis(Range(1, 3), ())) == [1, 2, 3]
    assert grid_values(DROPOUT) == [0.0, 0.125, 0.25, 0.375, 0.5]


@pytest.mark.parametrize(("sampler", "trials"), [("tpe", 65), ("gp", 25), ("cmaes", 97)])
def test_what_cannot_be_built_is_avoided(sampler, trials):
    def score(values):
        return None if values["model.dropout"] < 0.25 else bowl(values)

    found = simulate(Method(sampler, space=BOTH), BOTH, score, trials)
    assert any(t.state == "infeasible" for t in found[1:9])
    assert sum(t.state == "infeasible" for t in found[-8:]) <= 1


def test_several_objectives_spread_over_the_front():
    def score(values):
        depth = values["model.depth"]
        return 1 - 1 / depth - abs(math.log10(values["train.lr"]) + 2) / 3, float(depth)

    space = {"train.lr": LR, "model.depth": DEPTH}
    method = Method("tpe", objectives=("accuracy", "state_bytes"), space=space)
    found = simulate(method, space, score, 65)
    best = [found[number] for number in front(found)]
    assert [t.parameters["model.depth"] for t in best] == [8, 4, 2, 1]
    assert all(abs(math.log10(t.parameters["train.lr"]) + 2) < 0.4 for t in best)
    assert [t.costs[0] for t in best] == [8, 4, 2, 1]


def test_the_front_keeps_what_nothing_beats_and_the_first_of_equals():
    points = [(0.5, 4.0), (0.9, 9.0), (0.9, 8.0), (0.9, 8.0), (0.2, 4.0), (0.1, 1.0)]
    trials = [trial_of(n, {}, lambda _, p=p: p) for n, p in enumerate(points)]
    assert front(trials) == [2, 0, 5]
    assert front([*trials[:1], trial_of(9, {}, lambda _: None)]) == [0]
    assert front([]) == []


def test_importance_names_the_field_that_decides():
    found = simulate(Method("random", space=ALL), ALL, lambda v: (math.log10(v["train.lr"]),), 65)
    shares = importance(ALL, found)
    assert shares is not None
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["train.lr"] > 0.7
    assert importance(ALL, found[:5]) is None
    assert importance({"train.lr": LR}, found) is None


def test_half_a_space_of_whole_numbers_is_not_lost():
    """A Sobol point and a proposal of CMA-ES reach the first and the last value of a side."""
    for sampler in ("qmc", "cmaes", "tpe", "random"):
        space = {"train.batch_size": Axis(Range(1, 3), ("x",)), "model.depth": DEPTH}
        found = simulate(Method(sampler, space=space), space, lambda _: (0.0,), 65)
        for name, expected in (("train.batch_size", {1, 2, 3}), ("model.depth", {1, 2, 4, 8})):
            assert {t.parameters[name] for t in found} == expected, sampler


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_where_nothing_could_be_built_there_are_no_scores(sampler):
    """A second objective is unknown then: there is no worst that was seen."""
    space = {n: Axis(a.mark, a.paths, 3) for n, a in BOTH.items()}
    method = Method(sampler, objectives=("accuracy", "state_bytes"), space=space)
    found = simulate(method, space, lambda _: None, 9)
    assert Record([], [], found).scores(found[0]) is None
    assert [t.state for t in found] == ["infeasible"] * 9
