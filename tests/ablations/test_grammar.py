"""What the words of a command mean: arms, settings, refinements, and one line for every mistake."""

from __future__ import annotations

import json

import pytest

from ablations.plan import make_plan
from ablations.plan_text import plan_text
from ablations.run import main
from sweeps.plan import decided
from sweeps.words import WordError
from zoo.spec import walk

SMALL = ("trials=0", "seeds=2")


def plan_of(*words: str):
    return make_plan([*words, *SMALL], "test")[0]


def values(arm, name):
    """Every value of a field of that name in an arm's model."""
    return [value for _, _, n, value in walk(arm.experiment.model) if n == name]


def test_settings_reach_both_arms():
    plan = plan_of("decay=off", "depth=1", "lr=1e-3")
    assert [arm.name for arm in plan.arms] == ["baseline", "decay=off"]
    for arm in plan.arms:
        assert arm.experiment.model.depth == 1
        assert arm.experiment.train.lr == 1e-3
    assert {d.kind for d in values(plan.arms[1], "decay")} == {"none"}
    assert "none" not in {d.kind for d in values(plan.arms[0], "decay")}


def test_length_off_is_the_kernels_length_not_the_tasks():
    plan = plan_of("length=off")
    baseline, arm = plan.arms
    assert arm.experiment.task == baseline.experiment.task
    assert arm.experiment.train == baseline.experiment.train
    assert {v.kind for v in values(arm, "length")} == {"taps"}


def test_an_arm_changes_only_the_model():
    for word in ("decay=off", "gating=off", "smoothness=off", "sublinearity=off", "length=off"):
        baseline, arm = plan_of(word).arms
        assert arm.experiment.task == baseline.experiment.task
        assert arm.experiment.train == baseline.experiment.train
        assert arm.experiment.model != baseline.experiment.model
        assert arm.changed


def test_commas_and_several_property_words_make_one_arm_each():
    plan = plan_of("decay=off,power-law", "length=off", "base.decay=exponential")
    names = [arm.name for arm in plan.arms]
    assert names == ["baseline", "decay=off", "decay=power-law", "length=off"]
    assert {d.kind for d in values(plan.arms[3], "decay")} == {"exponential"}


def test_grid_is_the_product():
    plan = plan_of("decay=off", "length=off", "grid=yes")
    names = [arm.name for arm in plan.arms]
    assert names == ["baseline", "length=off", "decay=off", "decay=off length=off"]


def test_a_refinement_belongs_to_its_arm():
    plan = plan_of("decay=exponential,off", "decay.fast=0.1", "base.decay=power-law")
    assert [a.name for a in plan.arms[1:]] == ["decay=exponential decay.fast=0.1", "decay=off"]
    assert {d.fast for d in values(plan.arms[1], "decay")} == {0.1}
    assert {d.kind for d in values(plan.arms[0], "decay")} == {"power-law"}


def test_a_refinement_with_several_values_makes_several_arms():
    plan = plan_of("decay=exponential", "decay.fast=0.1,0.2", "base.decay=off")
    found = [values(arm, "decay")[0].fast for arm in plan.arms[1:]]
    assert found == [0.1, 0.2]


def test_arms_of_any_other_field():
    plan = plan_of("arm.depth=1,3")
    assert [arm.experiment.model.depth for arm in plan.arms] == [2, 1, 3]
    assert [arm.name for arm in plan.arms[1:]] == ["depth=1", "depth=3"]


def test_off_no_and_none_name_the_same_object():
    arms = [plan_of(f"decay={word}").arms[1] for word in ("off", "no", "none")]
    assert len({arm.experiment.canonical() for arm in arms}) == 1
    assert {arm.name for arm in arms} == {"decay=off"}


def test_sublinearity_is_another_name_of_parameterization():
    one, other = (plan_of(f"{word}=off").arms[1] for word in ("sublinearity", "parameterization"))
    assert one.experiment == other.experiment


def test_lists_use_plus_and_star():
    plan = plan_of("model.mixers=long-conv*2+attention", "depth=3", "arm.depth=6")
    kinds = [mixer.kind for mixer in plan.arms[0].experiment.model.mixers]
    assert kinds == ["long-conv", "long-conv", "attention"]


def test_a_published_models_name_stands_for_its_mixers():
    plan = plan_of("base=attention", "model.mixers=hyena+attention", "gating=off")
    kinds = [mixer.kind for mixer in plan.arms[0].experiment.model.mixers]
    assert kinds == ["long-conv", "attention"]


def test_off_never_becomes_false_on_its_way_to_disk_and_back():
    from sweeps.experiment import Experiment

    plan = plan_of("decay=off")
    text = json.dumps(plan.to_dict())
    models = json.dumps([arm["experiment"]["model"] for arm in json.loads(text)["arms"]])
    assert "false" not in models.lower().replace('"learned": false', "")
    stored = json.loads(text)["arms"][1]
    assert stored["name"] == "decay=off"
    again = Experiment.model_validate(stored["experiment"])
    assert again == plan.arms[1].experiment
    assert again.fingerprint == plan.arms[1].experiment.fingerprint


def test_gain_is_equal_in_all_arms_unless_kept():
    plan = plan_of("decay=off", "base=sgconv")
    assert {g.kind for arm in plan.arms for g in values(arm, "gain")} == {"init"}
    assert any("gain=init" in note for note in plan.notes)
    kept = plan_of("decay=off", "base=sgconv", "gain=keep")
    assert "init" not in {g.kind for arm in kept.arms for g in values(arm, "gain")}


def test_seeds_follow_the_number_of_arms():
    def seeds(*words):
        return len(make_plan([*words, "trials=0"], "test")[0].seeds)

    assert seeds("decay=off") == 6
    assert seeds("decay=off", "length=off") == 7
    assert seeds("decay=off", "length=off", "smoothness=off", "gating=off") == 8


def test_a_fixed_rate_is_not_tuned():
    plan, _ = make_plan(["decay=off", "lr=1e-3"], "test")
    assert plan.trials == 0
    assert any("train.lr" in note for note in plan.notes)
    tuned, _ = make_plan(["decay=off"], "test")
    assert tuned.trials == 5


def test_equal_commands_have_equal_studies_and_others_do_not():
    same = {plan_of("decay=off").name, plan_of("decay=off", "out=elsewhere").name}
    assert len(same) == 1
    assert plan_of("decay=off", "depth=1").name not in same


def test_a_suite_lists_what_is_off_already():
    plan, _ = make_plan(["suite=five-properties", "base=long-conv", "trials=0"], "test")
    listed = [note for note in plan.notes if "already off" in note]
    assert listed
    names = {arm.name for arm in plan.arms[1:]}
    assert names
    assert not any(name in listed[0] for name in names)


def test_a_margin_is_named_before_training_and_part_of_the_study():
    named, plain = plan_of("decay=off", "margin=0.02"), plan_of("decay=off")
    assert named.to_dict()["primary"]["margin"] == 0.02
    assert "margin" not in plain.to_dict()["primary"]
    assert len({named.name, plain.name, plan_of("decay=off", "margin=0.03").name}) == 3
    assert decided(named.to_dict()) != decided(plain.to_dict())
    assert "within 0.02 of the baseline count as none" in plan_text(named, None)


def test_match_parameters_adds_a_twin_of_equal_size():
    plan, _ = make_plan(["gating=off", "match=parameters", *SMALL], "test")
    baseline, arm = plan.arms[:2]
    twins = [a for a in plan.arms[2:] if "width=" in a.name]
    assert len(twins) == 1
    larger = max(baseline.parameters, arm.parameters)
    assert abs(twins[0].parameters - larger) / larger < 0.25
    assert twins[0].experiment.model.width % 8 == 0


BAD = {
    "unknown word": (["dekay=off"], "did you mean decay"),
    "unknown plan word": (["decay=off", "sedes=3"], "seeds"),
    "a margin below nothing": (["decay=off", "margin=-1"], "positive"),
    "misspelt value": (["decay=of"], "off"),
    "misspelt kind": (["decay=powerlaw"], "power-law"),
    "unknown field of a value": (["decay=exponential", "decay.fats=1", "base.decay=off"], "fast"),
    "not a number": (["decay=off", "depth=many"], "depth"),
    "fraction for a whole number": (["decay=off", "depth=1.0"], "whole number"),
    "impossible size": (["decay=off", "depth=0"], "depth"),
    "impossible task": (["decay=off", "task=mqar", "task.length=10"], "length"),
    "negative rate": (["decay=off", "lr=-1"], "lr"),
    "infinite rate": (["decay=off", "lr=inf"], "lr"),
    "property that the model lacks": (["base=attention", "decay=off"], "no decay"),
    "arm that changes nothing": (["base=long-conv", "decay=off"], "nothing"),
    "setting that changes nothing": (["decay=off", "depth=2"], "already"),
    "refinement of nothing": (["length=off", "decay.fast=0.1"], "arm."),
    "empty command": ([], "decay=off"),
    "no arm": (["depth=1"], "decay=off"),
    "empty word": ([""], "key=value"),
    "no value": (["decay="], "value"),
    "hole in a list": (["decay=off,,power-law"], "value"),
    "no equals sign": (["decay"], "decay=off"),
    "word twice": (["decay=off", "decay=power-law"], "twice"),
    "same arm twice": (["decay=off,no"], "decay=off"),
    "unknown model": (["base=hiena", "decay=off"], "hyena"),
    "unknown task": (["task=mqra", "decay=off"], "mqar"),
    "zero seeds": (["decay=off", "seeds=0"], "at least 1"),
    "seeds in words": (["decay=off", "seeds=six"], "whole number"),
    "zero steps": (["decay=off", "steps=0"], "steps"),
    "a look at the answers": (
        ["decay=off", "task=in-context-recall", "direction=two_sided"],
        "direction=causal",
    ),
    "an arm that looks at the answers": (
        ["arm.direction=two_sided", "task=induction", "task.variant=bigram"],
        "direction=causal",
    ),
    "too deep": (["decay=off", "depth=99999999999"], "depth"),
    "too many mixers": (["gating=off", "model.mixers=attention*99999999999"], "COUNT"),
    "too many seeds": (["decay=off", "seeds=99999999"], "at most"),
    "too many trials": (["decay=off", "trials=99999999999999"], "at most"),
    "too many steps": (["decay=off", "steps=99999999999999999999999"], "steps"),
    "too large a batch": (["decay=off", "batch_size=99999999999"], "batch_size"),
    "no number at all": (["decay=off", "steps=0x10"], "steps=0x10: expected a whole number"),
    "a long input": (["replay=/etc/services"], "replay"),
    "many jobs in one process": (["decay=off", "jobs=2", "engine=serial"], "engine=processes"),
    "a time limit in one process": (["timeout=9", "engine=serial", "decay=off"], "processes"),
    "no jobs": (["decay=off", "jobs=0"], "at least 1"),
    "no time": (["decay=off", "timeout=0"], "positive"),
    "memory in words": (["decay=off", "memory=lots"], "positive"),
    "unknown engine": (["decay=off", "engine=warp"], "serial"),
    "unknown device": (["decay=off", "device=tpu"], "cpu"),
    "gain": (["decay=off", "gain=maybe"], "keep"),
    "reuse": (["decay=off", "reuse=perhaps"], "yes or no"),
    "unknown suite": (["suite=six-properties"], "five-properties"),
    "suite and arm": (["suite=five-properties", "decay=off"], "decay=off"),
    "per-mode without poles": (["decay=per-mode"], "poles"),
    "base with a setting": (["decay=off", "base.depth=3"], "property"),
    "too few mixers": (["gating=off", "model.mixers=long-conv*3"], "depth"),
    "bad count in a list": (["gating=off", "model.mixers=long-conv*x"], "COUNT"),
    "unknown mixer": (["gating=off", "model.mixers=transformer"], "attention"),
    "ambiguous field": (["decay=off", "kernel_lr=1e-3"], "mixers.0"),
    "unicode": (["décay=off"], "decay"),
    "a path": (["../../etc/passwd=off"], "unknown word"),
    "replay of nothing": (["replay=nowhere/experiment.json"], "nowhere"),
    "replay with an arm": (["replay=x", "decay=off"], "replay"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_one_helpful_line(name, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, hint = BAD[name]
    code = main(words)
    out, err = capfd.readouterr()
    assert code == 2, (out, err)
    assert "Traceback" not in err + out
    lines = err.strip().splitlines()
    assert len(lines) == 1, lines
    assert hint in lines[0], lines[0]
    assert len(lines[0]) < 1200
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_an_unwritable_out_is_one_line(capfd, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    code = main(["decay=off", "trials=0", "seeds=1", "steps=1", f"out={blocker}/below"])
    err = capfd.readouterr().err
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert "out=" in err


def test_help_and_dry_run(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--help"]) == 0
    assert "decay=off" in capfd.readouterr().out
    assert main(["decay=off", "dry-run=yes"]) == 0
    out = capfd.readouterr().out
    for word in ("baseline", "decay=off", "6 seeds", "primary outcome", "parameters", "smallest"):
        assert word in out
    assert not (tmp_path / "out").exists()


def test_word_errors_name_the_word():
    with pytest.raises(WordError, match="depth"):
        plan_of("decay=off", "depth=x")
