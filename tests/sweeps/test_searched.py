"""What a command searches, and by which means: every way to say it, and to say it wrong."""

from __future__ import annotations

import pytest

from ablations.plan import make_plan as plan_ablation
from sweeps.axes import find, places, with_values
from sweeps.compose import base_experiment
from sweeps.configuration import make_plan
from sweeps.run import main as run
from sweeps.search import first_trials
from sweeps.space import contains
from sweeps.words import WordError
from zoo.presets import names
from zoo.spec import Choice, Range, ranges, walk

BASE = ("base=hyena", "task=mqar", "trials=50")


def space_of(*words):
    return {n: str(a) for n, a in make_plan([*BASE, *words], "x")[0].method.space.items()}


@pytest.mark.parametrize("name", names())
def test_every_field_that_carries_a_range_is_searched(name):
    experiment = base_experiment({"base": name, "task": "mqar"})
    plan, _ = make_plan([f"base={name}", "task=mqar", "trials=9"], "x")
    searched = [path for axis in plan.method.space.values() for path in axis.paths]
    marked = [p for p in ranges(experiment) if p.partition(".")[0] in ("train", "model")]
    assert sorted(searched) == sorted(marked)
    assert next(iter(plan.method.space)) == "train.lr"
    for given in first_trials(experiment, plan.method.space, 5):
        for axis_name, axis in plan.method.space.items():
            assert given[axis_name] is None or contains(axis.mark, given[axis_name])


def test_marks_inside_optional_fields_are_found():
    marks = ranges(base_experiment({"base": "hyena"}))
    assert marks["model.mixers.0.kernel.decay.kernel_lr"] == Range(1e-4, 1e-1, log=True)


def test_one_axis_for_all_places_of_a_kind():
    words = ["base=hyena", "model.mixers=hyena+sgconv+hyena", "depth=3", "trials=9"]
    plan, _ = make_plan(words, "x")
    space = plan.method.space
    assert space["decay.fast"].paths == tuple(f"model.mixers.{i}.kernel.decay.fast" for i in (0, 2))
    assert len(space["decay.speed"].paths) == 1
    different = with_values(plan.arms[0].experiment, {"model.mixers.0.kernel.decay.fast": 0.2})
    apart = [name for name, place in places(different).items() if place.field == "fast"]
    assert apart == [f"model.mixers.{i}.kernel.decay.fast" for i in (0, 2)]
    assert find("decay.fast", places(different)) == apart


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["search=lr"], {"train.lr": "0.0001..0.1:log"}),
        (["search=decay.fast,lr"], {"train.lr": "0.0001..0.1:log", "decay.fast": "0.05..1:log"}),
        (["search=decay,lr", "fix=decay.kernel_lr"], ["train.lr", "decay.fast", "decay.slow"]),
        (["search=width", "lr=1e-4..1e-3:log"], ["train.lr", "model.width"]),
        (["search=lr", "batch_size=8,16,32"], {"train.lr": None, "train.batch_size": "8,16,32"}),
        (["search=lr", "decay.fast=0.1..0.4"], {"train.lr": None, "decay.fast": "0.1..0.4"}),
        (["search=lr", "base.decay.slow=1,2"], {"train.lr": None, "decay.slow": "1,2"}),
        (["search=lr", "width=32..128:3"], {"train.lr": None, "model.width": "32..128"}),
        (["search=model.mixers.0.kernel.decay.slow"], ["decay.slow"]),
        (["search=gating"], ["gating.short"]),
        (["decay=power-law", "search=decay", "fix=kernel_lr"], None),
    ],
)  # fmt: skip
def test_what_is_named_is_searched(words, expected):
    found = space_of(*words)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        assert all(found[n] == text for n, text in expected.items() if text)
    elif expected:
        assert list(found) == expected


def test_what_is_given_a_value_is_fixed_and_fix_takes_out():
    everything = set(space_of())
    assert everything - set(space_of("lr=1e-3")) == {"train.lr"}
    assert everything - set(space_of("base.decay.fast=0.2")) == {"decay.fast"}
    left = set(space_of("fix=width,depth", "model.mixers.0.channels=2"))
    assert everything - left == {"model.width", "model.depth", "mixers.channels"}
    assert {n for n in everything if n.startswith("decay.")} == everything - set(
        space_of("fix=decay")
    )


def test_the_search_begins_inside_the_ranges_that_are_named():
    plan, _ = make_plan([*BASE, "search=width", "lr=1e-4..1e-3:log", "width=48,100"], "x")
    experiment = plan.arms[0].experiment
    assert (experiment.train.lr, experiment.model.width) == (1e-3, 48)
    assert sum("the search begins at" in note for note in plan.notes) == 2
    marks = {name: axis.mark for name, axis in plan.method.space.items()}
    assert marks["model.width"] == Choice((48, 100))
    assert plan.to_dict()["lr_range"][1] == 1e-3


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["serch=lr"], "did you mean search"),
        (["search=lrr"], "did you mean lr?"),
        (["search=kernel_lr"], "write one of"),
        (["search=batch_size"], "batch_size=LOW..HIGH"),
        (["search=steps"], "there is no 'steps' to search"),
        (["search=lr", "lr=1e-3"], "lr=1e-3 fixes it"),
        (["search=lr", "fix=lr"], "leave one of the two out"),
        (["fix=widht"], "did you mean"),
        (["fix=batch_size"], "not searched"),
        (["lr=1e-4..1e-2:log", "fix=lr"], "leave one of the two out"),
        (["lr=1e-2..1e-4"], "the first number must be the smaller one"),
        (["lr=1e-3..1e-3"], "the first number must be the smaller one"),
        (["weight_decay=0..1:log"], "begins above 0"),
        (["lr=-1..1"], "greater than 0"),
        (["lr=1e-4..nan"], "valid number"),
        (["lr=1e-4..1e-2:lgo"], "LOW..HIGH:log:7"),
        (["lr=1e-4..1e-2:log:1"], "2 to 1000 points"),
        (["width=32.5..64"], "integer"),
        (["width=0..64"], "greater than or equal to 1"),
        (["depth=1,two"], "integer"),
        (["block_norm=layer,rms"], "there is no 'block_norm' to search"),
        (["sampler=tpr"], "did you mean tpe?"),
        (["pruner=hyper"], "did you mean hyperband?"),
        (["sampler=grid", "search=lr,width"], "20 cells"),
        (["sampler=grid"], "cells of 18 fields"),
        (["sampler=cmaes", "search=lr"], "two fields"),
        (["sampler=cmaes", "objective=accuracy,parameters"], "one objective"),
        (["objective=accurcy,parameters"], "did you mean accuracy?"),
        (["objective=accuracy,state"], "did you mean state_bytes?"),
        (["objective=accuracy,parameters,parameters"], "twice"),
        (["objective=accuracy,parameters", "pruner=median"], "objective="),
        (["pruner=hyperband", "steps=60"], "eval_every=50"),
        (["pruner=wilcoxon", "tuning-seeds=4"], "5 or more"),
        (["tuning-seeds=0"], "whole number"),
        (["decay=off,power-law"], "ablations.run"),
        (["decay.fast=0.2"], "base.decay.fast"),
    ],
)
def test_a_mistake_is_one_line(words, hint, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run([*BASE, *words]) == 2
    err = capfd.readouterr().err
    assert len(err.strip().splitlines()) == 1, err
    assert hint in err, err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("word", ["search=lr", "sampler=gp", "lr=1e-4..1e-2", "width=32,64"])
def test_nothing_is_searched_without_trials(word):
    with pytest.raises(WordError, match="trials=N"):
        make_plan(["base=hyena", word], "x")


def test_all_fields_fixed_leave_nothing():
    with pytest.raises(WordError, match="nothing is left"):
        make_plan(["trials=5", *fixing_everything()], "x")


def fixing_everything():
    experiment = base_experiment({})
    marked = [p for p in ranges(experiment) if p.partition(".")[0] in ("train", "model")]
    values = {path: value for path, _, _, value in walk(experiment)}
    numbers = {path: values[path] for path in marked}
    return [f"{p}={v + 1 if isinstance(v, int) else 0.9 * v or 0.1}" for p, v in numbers.items()]


def test_an_ablation_takes_a_range_of_rates_and_no_other():
    words = ["decay=off", "lr=1e-4..1e-3:log"]
    plan, _ = plan_ablation(words, "x")
    assert plan.trials == 5
    assert plan.to_dict()["lr_range"][1] == 1e-3
    assert {arm.experiment.train.lr for arm in plan.arms} == {1e-3}
    assert plan.name != plan_ablation(["decay=off"], "x")[0].name
    for word, hint in (
        ("width=8..16", "sweeps.run"),
        ("decay.fast=0.1..0.2", "sweeps.run"),
        ("sampler=gp", "unknown word"),
        ("search=lr", "unknown word"),
    ):
        with pytest.raises(WordError, match=hint):
            plan_ablation(["decay=exponential", "base=sgconv", word], "x")
    with pytest.raises(WordError, match="trials=0"):
        plan_ablation([*words, "trials=0"], "x")
