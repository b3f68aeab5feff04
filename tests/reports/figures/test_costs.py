"""Recall against state, parameters against length."""

import json

import pytest
import scipy.stats

from reports.contrast import analyse
from reports.cost_figures import in_bits, parameters_by_length, recall_by_state
from sweeps.results import read_study

MQAR = {"experiment": {"task": {"kind": "mqar", "num_pairs": 8, "length": 64}}}
OTHER = {"experiment": {"task": {"kind": "copying", "num_tokens": 8}}}
VALUES = {"baseline": [0.5, 0.7, 0.6], "width=64": [0.9, 0.8, 1.0], "width=128": [1.0, 1.0, 1.0]}
BYTES = {"baseline": 1024, "width=64": 2048, "width=128": 4096}


def states(more):
    return {arm: {"state_bytes": size, **more} for arm, size in BYTES.items()}


def points(figure):
    """Legend name -> (x, y)."""
    lines = figure.axes[0].lines
    return {
        line.get_label(): (line.get_xdata()[0], line.get_ydata()[0])
        for line in lines
        if not line.get_label().startswith("_")
    }


def test_accuracy_over_state(make_study):
    figure = recall_by_state(analyse(make_study(VALUES, entries=states(OTHER))))
    assert figure is not None
    assert points(figure) == {
        "baseline": (1024, pytest.approx(0.6)),
        "width=64": (2048, pytest.approx(0.9)),
        "width=128": (4096, 1.0),
    }
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_ylabel()) == ("log", "test accuracy")
    assert [t.get_text() for t in axes.get_xticklabels()] == ["1,024", "2,048", "4,096"]
    low, high = axes.collections[0].get_paths()[0].vertices[:, 1]
    expected = scipy.stats.t.interval(0.95, 2, 0.6, scipy.stats.sem(VALUES["baseline"]))
    assert (low, high) == pytest.approx(expected)


def test_recall_of_pairs_is_in_bits(make_study):
    """K log2 V (accuracy - chance) / (1 - chance): 8 pairs of 32 values, 5 bits each."""
    plan = {"chance": 1 / 32}
    analysis = analyse(make_study(VALUES, entries=states(MQAR), plan=plan))
    figure = recall_by_state(analysis)
    assert figure is not None
    expected = 40 * (0.6 - 1 / 32) / (31 / 32)
    assert points(figure)["baseline"] == (1024, pytest.approx(expected))
    assert points(figure)["width=128"] == (4096, 40)
    assert figure.axes[0].get_ylabel() == "bits recalled"


def test_bits_are_of_recall_only(make_study):
    study = make_study(VALUES, entries=states(OTHER))
    assert in_bits(analyse(study)) is None


def test_one_size_of_state_is_no_picture(make_study):
    assert recall_by_state(analyse(make_study(VALUES))) is None


def test_trials_of_a_search_are_points(make_study):
    trials = [
        {"arm": "baseline", "number": n, "parameters": json.dumps({"model.width": n}), "seed": 1}
        | {"value": value, "state": state, "costs": json.dumps({"state_bytes": size})}
        | {"steps": None, "seconds": None, "reason": ""}
        for n, (value, size, state) in enumerate(
            [(0.4, 512, "finished"), (0.6, 1024, "finished"), (0.9, 256, "pruned")]
        )
    ]
    search = {"sampler": "tpe", "objectives": ["accuracy", "state_bytes"]}
    study = make_study({"baseline": [0.5]}, trials=trials, plan={"search": search, "trials": 3})
    figure = recall_by_state(analyse(read_study(study.directory)))
    assert figure is not None
    (dots,) = [x for x in figure.axes[0].lines if x.get_label() == "trials (validation)"]
    assert sorted(zip(dots.get_xdata(), dots.get_ydata(), strict=True)) == [(512, 0.4), (1024, 0.6)]
    search["objectives"] = ["loss", "state_bytes"]  # another quantity than the outcome
    other = make_study({"baseline": [0.5]}, name="o", trials=trials, plan={"search": search})
    assert recall_by_state(analyse(other)) is None


def test_parameters_over_length_arms_of_the_same_numbers_together(make_study):
    grows, stays = {"64": 4096, "32": 2048, "128": 8192}, {"32": 512, "64": 512, "128": 512}
    counts = {"baseline": grows, "b": stays, "c": grows, "d": stays, "e": {}, "f": {"64": 0}}
    entries = {arm: {"parameters_by_length": own} for arm, own in counts.items()}
    study = make_study({arm: [0.5] for arm in counts}, entries=entries)
    figure = parameters_by_length(analyse(study))
    assert figure is not None
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert set(lines) == {"baseline and 1 other", "b and 1 other"}
    assert list(lines["baseline and 1 other"].get_xdata()) == [32, 64, 128]
    assert list(lines["baseline and 1 other"].get_ydata()) == [2048, 4096, 8192]
    assert list(lines["b and 1 other"].get_ydata()) == [512] * 3


def test_an_old_plan_has_no_such_picture(make_study):
    assert parameters_by_length(analyse(make_study(VALUES))) is None
