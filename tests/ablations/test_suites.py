"""Suites: what each names can be run, is fair, and gives way to what the user says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import zoo
from ablations.plan import _of_suite, _start, _suite, make_plan
from ablations.run import main
from ablations.suites import EVERY, SUITES, Suite
from sweeps.compose import base_experiment, property_names, vocabulary
from sweeps.options import ABLATION, OF_SUITES, read_options
from sweeps.plan import underpowered
from sweeps.words import WordError, sort_words, split
from tasks.files import FileTask
from zoo.spec import walk

NAMES = {
    *("sgconv-decay", "sgconv-dimension", "long-conv-regularization", "hyena-window"),
    *("hyena-frequency", "h3-parts", "gating", "truncation", "two-principles", "smoothness"),
    "five-properties",
}
HERE = [suite for suite in EVERY if suite.base in zoo.presets.names()]


def plan_of(*words: str):
    return make_plan(words, "test")[0]


def names(plan) -> list[str]:
    return [arm.name for arm in plan.arms]


def values(arm, name):
    return [v for _, _, n, v in walk(arm.experiment.model) if n == name]


def start_of(*texts: str):
    """The experiment and the suite's settings, before anything is built."""
    known = vocabulary()
    typed = sort_words(split(texts), (*ABLATION, *OF_SUITES), property_names(known))
    suite = _suite(typed)
    assert suite is not None
    typed = _of_suite(typed, suite, known)
    return _start(typed, suite, read_options(typed.plan, trials=5, gain="init"))


def test_no_suite_takes_long() -> None:
    """Two cores with jobs=2, at most 20 minutes of the clock, with half as much again to spare."""
    assert all(suite.minutes / 2 * 1.5 <= 20 for suite in EVERY)


def test_the_suites_are_those_of_the_crosswalk() -> None:
    assert set(SUITES) == NAMES
    assert all(name == suite.name for name, suite in SUITES.items())


@pytest.mark.parametrize("suite", HERE, ids=lambda s: s.name)
def test_a_suite_is_a_plan_by_itself(suite: Suite) -> None:
    plan = plan_of(f"suite={suite.name}")
    assert (plan.base, plan.task, plan.trials) == (suite.base, suite.task, 5)
    assert len(plan.arms) >= 3
    assert not underpowered(len(plan.arms) - 1, plan.seeds)
    refused = [note for note in plan.notes if "not possible" in note]
    assert not [note for note in refused if "cubic" not in note]
    assert plan.to_dict()["suite"] == suite.record("cpu")
    assert set(suite.cpu) <= set(plan.settings)
    for reported in suite.reported:
        assert {row.arm for row in reported.rows} <= set(names(plan)), "rows stand beside arms"
    json.dumps(plan.to_dict())


@pytest.mark.parametrize("suite", HERE, ids=lambda s: s.name)
def test_every_setting_of_a_size_changes_something(suite: Suite) -> None:
    for size in ("cpu", "published") if suite.published else ("cpu",):
        sized, settings = start_of(f"suite={suite.name}", f"size={size}")
        assert settings == suite.settings(size)
        preset = base_experiment({"base": suite.base, "task": suite.task_at(size)})
        wanted = dict(word.split("=") for word in settings)
        at = {path: value for path, _, _, value in walk(sized)}
        for path, text in wanted.items():
            assert str(at[path]) == text or float(at[path]) == float(text), path
        assert all(wanted[p] != str(v) for p, _, _, v in walk(preset) if p in wanted)
        if size == "published":
            assert sized.train.steps > 10_000


@pytest.mark.parametrize("suite", [s for s in HERE if s.published], ids=lambda s: s.name)
def test_the_published_size_plans_or_asks_for_files(suite: Suite) -> None:
    experiment, _ = start_of(f"suite={suite.name}", "size=published")
    if isinstance(experiment.task, FileTask):
        with pytest.raises(WordError, match="path=FOLDER"):
            plan_of(f"suite={suite.name}", "size=published")
    else:
        assert experiment.task.context.length >= 20


def test_what_the_user_says_is_done() -> None:
    plan = plan_of("suite=sgconv-decay", "steps=50", "width=16", "trials=0")
    assert {a.experiment.train.steps for a in plan.arms} == {50}
    assert {a.experiment.model.width for a in plan.arms} == {16}
    assert "train.steps=600" not in plan.settings
    assert plan_of("suite=sgconv-decay", "train.steps=70").arms[0].experiment.train.steps == 70
    other = plan_of("suite=hyena-window", "task=mqar", "task.vocab_size=64").arms[0].experiment
    assert (other.task.kind, other.task.context.length) == ("mqar", 64)
    shorter = plan_of("suite=hyena-window", "task.length=32")
    assert shorter.arms[0].experiment.task.length == 32  # pyright: ignore[reportAttributeAccessIssue]
    assert "task.length=64" not in shorter.settings


def test_another_base_has_its_own_size() -> None:
    experiment, settings = start_of("suite=long-conv-regularization", "size=published", "base=s4d")
    assert not [word for word in settings if word.startswith("model.")]
    assert experiment.model == zoo.preset("s4d")
    assert experiment.task.kind == "listops"


def test_a_grid_is_every_combination() -> None:
    assert names(plan_of("suite=two-principles"))[1:] == [
        "decay=off",
        "parameterization=off",
        "parameterization=off decay=off",
    ]
    both = plan_of("suite=long-conv-regularization").arms[-1]
    assert {v.kind for v in values(both, "smoothness")} == {"moving-average"}
    assert {v.kind for v in values(both, "regularization")} == {"none"}


def test_what_a_base_has_already_is_listed_and_left_out_of_combinations() -> None:
    plan = plan_of("suite=two-principles", "base=long-conv", "base.decay=power-law")
    assert names(plan) == ["baseline", "decay=off"]
    assert any(
        "already off in this base, so not run: parameterization=off" in n for n in plan.notes
    )
    decay = plan_of("suite=sgconv-decay")
    assert any("already so in this base, so not run: decay.speed=1" in n for n in decay.notes)
    assert "decay.speed=1" not in names(decay)


def test_what_a_base_cannot_have_is_listed_with_its_reason() -> None:
    plan = plan_of("suite=gating", "base=long-conv")
    assert names(plan) == ["baseline", "gating=off", "gating=multiplicative"]
    (said,) = [n for n in plan.notes if "not possible" in n]
    assert "gating=linear" in said
    assert "channels=2" in said
    assert any("already so in this base, so not run: gating=glu" in n for n in plan.notes)
    with pytest.raises(WordError, match="no decay of this model has 'speed'"):
        plan_of("suite=sgconv-decay", "base=hyena")


def test_refinements_of_the_user_replace_the_suites() -> None:
    assert len(plan_of("suite=truncation").arms) == 5
    assert names(plan_of("suite=truncation", "length.taps=2,8"))[1:] == [
        "length=taps length.taps=2",
        "length=taps length.taps=8",
    ]


def test_only_a_plan_of_a_suite_says_so() -> None:
    assert "suite" not in plan_of("decay=off").to_dict()
    assert plan_of("suite=two-principles").name.startswith("suite-two-principles-")
    assert plan_of("suite=two-principles").name != plan_of("suite=two-principles", "steps=9").name


def test_size_is_a_field_where_there_is_no_suite() -> None:
    with pytest.raises(WordError, match=r"write one of .*parameterization\.size.*decay\.size"):
        plan_of("base=sgconv", "size=16", "decay=off")


def test_a_field_of_a_property_is_an_arm_in_every_mixer_that_has_it() -> None:
    words = ("model.mixers=sgconv+hyena", "trials=0", "seeds=2")
    plan = plan_of("base=sgconv", *words, "arm.decay.speed=0.5,2")
    assert names(plan) == ["baseline", "decay.speed=0.5", "decay.speed=2"]
    old, new = (values(arm, "decay") for arm in plan.arms[:2])
    assert (new[0].speed, new[1]) == (0.5, old[1])
    twice = plan_of("base=base-conv", "arm.parameterization.kernel_lr=1e-4", "trials=0", "seeds=2")
    assert [v.kernel_lr for v in values(twice.arms[1], "parameterization")] == [1e-4, 1e-4]
    aliased = plan_of("base=sgconv", "arm.sublinearity.size=4", "trials=0", "seeds=2")
    assert names(aliased) == ["baseline", "sublinearity.size=4"]


BAD = {
    "a size that is none": (["suite=sgconv-decay", "size=16"], "known: cpu, published"),
    "a size without a suite": (["base=hyena", "decay=off", "size=published"], "size"),
    "never published": (["suite=five-properties", "size=published"], "leave out size"),
    "list and more": (["suite=list", "seeds=3"], "leave out seeds=3"),
    "misspelt": (["suite=sgconv-deacy"], "sgconv-decay"),
    "nothing to do": (["suite=sgconv-decay", "base=attention"], "no decay"),
    "a refinement of nothing": (["suite=two-principles", "length.taps=3"], "refines no arm"),
    "a field that there is not": (["arm.decay.spede=1"], "speed"),
    "a property as a field": (["arm.decay=off"], "decay=off"),
    "a field that is so": (["base=sgconv", "arm.decay.speed=1"], "changes nothing"),
    "a value that cannot be": (["base=sgconv", "arm.decay.speed=-1"], "decay.speed=-1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_one_helpful_line(name, capfd, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words, hint = BAD[name]
    assert main(words) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert hint in line


def test_the_list_has_every_suite_and_brings_no_torch() -> None:
    code = (
        "import sys; from ablations.run import main; code = main(['suite=list']);"
        "sys.exit(code or len({'torch', 'mlflow', 'optuna'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    for suite in EVERY:
        assert suite.name in lines
        assert f"  cpu        base={suite.base} task={suite.task}" in "\n".join(lines)
    assert "67.67" in run.stdout
    assert all(len(line) <= 100 for line in lines)


def test_reported_figures_are_those_of_the_data() -> None:
    """As SGConv's authors plot them: each arm with its own."""
    (found,) = SUITES["sgconv-decay"].record("cpu")["reported"]
    assert {row["arm"]: row["value"] for row in found["rows"]} == {
        "decay.speed=0": 67.67,
        "decay.speed=0.5": 83.31,
        "decay.speed=0.75": 86.88,
        "baseline": 88.92,
        "decay.speed=1.5": 88.76,
        "decay.speed=2": 88.90,
    }
    assert {row["status"] for row in found["rows"]} == {"source"}
    (pile,) = SUITES["gating"].record("cpu")["reported"]
    assert pile["lower_is_better"]
    assert [row["status"] for row in pile["rows"]] == ["memory", "text"]
