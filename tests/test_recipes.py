"""The recipes of CONTRIBUTING.md, each one file, work as plug-ins that a user installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```python\n# (?P<path>\S+\.py)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^python -m (.+)$", re.MULTILINE)
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = {m["path"]: m["code"] for m in BLOCK.finditer(TEXT)}

# Runs in a process of its own: registering a class is for good.
CONTRACT = """
import contextlib, importlib, io, json, math, sys
import numpy as np
import torch
from ablations.plan import make_plan
from tasks.task import Task
from zoo.grid import KernelContext
from zoo.mixers import LayerContext, SequenceMixer
from zoo.draws import Draws
from zoo.kernel import KernelSpec
from zoo.parameterizations import Dense
from zoo.properties import Decay, NoDecay
from zoo.spec import import_components
import tasks

found = {}
import_components("zoo")
import_components("tasks")
found["registered"] = {
    "reversal": Task.choices()["reversal"].__module__,
    "hann": Decay.choices()["hann"].__module__,
    "token-shift": SequenceMixer.choices()["token-shift"].__module__,
}

task = tasks.make_task("reversal", seed=3, num_tokens=5)
keys, batch = [], None
for split in ("train", "validation", "test"):
    batch = task.generate(range(500), split)
    right = batch.targets == task.oracle(batch.inputs)
    assert right[batch.mask].all() and batch.mask.sum() == 500 * 5
    alone = task.generate([77], split)
    assert np.array_equal(alone.inputs[0], batch.inputs[77])
    keys.append(set(task.content_key(range(500), split).tolist()))
assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])
shown = batch.inputs[0].tolist()
assert batch.targets[0, 5:].tolist() == shown[4::-1] and shown[5:] == [9] * 5
counts = np.bincount(batch.targets[batch.mask], minlength=9) / batch.mask.sum()
found["chance"] = [task.chance, float(counts.max())]

context = KernelContext(3, 17, Draws(0))
spec = KernelSpec(parameterization=Dense(), decay="hann")
kernel = spec.build(context)()
flat = spec.model_copy(update={"decay": NoDecay()}).build(context)()
x = torch.arange(17) / 16
ratio = (kernel / kernel[:, :1]) / (flat / flat[:, :1])
error = ratio - (1 + torch.cos(math.pi * (x / 0.3).clamp(max=1))) / 2
found["window"] = float(error.detach().abs().max())

layer = LayerContext(width=4, length=9, draws=Draws(1))
mixer = SequenceMixer.model_validate("token-shift").build(layer)
u = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(5), requires_grad=True)
y = mixer(u)
before = torch.cat([torch.zeros(2, 1, 4), u[:, :-1]], 1)
found["mixer"] = float((y - mixer.output((u + before) / 2)).detach().abs().max())
reach = torch.autograd.grad(y[0, 4].sum(), u, retain_graph=True)[0][0].abs().sum(1)
found["reach"] = reach.nonzero().flatten().tolist()
y.sum().backward()
assert all(p.grad.abs().sum() > 0 for p in mixer.parameters())

words, commands = json.loads(sys.argv[1])
plan, _ = make_plan(words, "test")
found["arms"] = {arm.name: list(arm.changed) for arm in plan.arms}
found["model"] = plan.arms[-1].experiment.to_dict()["model"]
found["task"] = plan.arms[-1].experiment.to_dict()["task"]["kind"]
found["commands"] = {}
for command in commands:
    out, err = io.StringIO(), io.StringIO()
    program, *words = command.split()
    main = importlib.import_module({"tasks": "tasks.__main__"}.get(program, program)).main
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words + ["dry-run=yes"] * (program == "ablations.run"))
    found["commands"][command] = [code, out.getvalue(), err.getvalue()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each recipe as a module of an installed distribution that names it as an entry point."""
    place = tmp_path_factory.mktemp("plugins")
    lines = ["[seqzoo.components]"]
    for path, code in RECIPES.items():
        name = f"user_{Path(path).stem}"
        (place / f"{name}.py").write_text(code)
        lines.append(f"{name} = {name}")
    information = place / "user_recipes-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: user-recipes\nVersion: 1.0\n"
    )
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return place


def python(plugins: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{plugins}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, "-W", "error", *words],
        cwd=plugins, env=environment, text=True, capture_output=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(plugins: Path) -> dict[str, Any]:
    words = ["task=reversal", "base=long-conv", "decay=hann", "decay.width=0.2"]
    done = python(plugins, "-c", CONTRACT, json.dumps([words, COMMAND.findall(TEXT)]))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_there_is_a_recipe_for_each_kind_of_component() -> None:
    folders = [str(Path(path).parent) for path in RECIPES]
    assert folders == ["tasks", "zoo/properties", "zoo/mixers"]
    assert not [path for path in RECIPES if (ROOT / path).exists()]
    assert TEXT.count("```python") == len(RECIPES)


@pytest.mark.parametrize("path", RECIPES)
def test_recipes_are_in_style(path: str) -> None:
    code = RECIPES[path].encode()
    for words in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, "--stdin-filename", str(ROOT / path), "-"]
        done = subprocess.run(command, input=code, cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_the_components_are_registered(found: dict[str, Any]) -> None:
    assert found["registered"] == {
        "reversal": "user_reversal",
        "hann": "user_hann",
        "token-shift": "user_token_shift",
    }


def test_the_task_is_sound(found: dict[str, Any]) -> None:
    chance, best = found["chance"]
    assert chance == 1 / 9
    assert abs(best - chance) < 5 * (chance * (1 - chance) / 2500) ** 0.5


def test_the_property_reaches_the_kernel(found: dict[str, Any]) -> None:
    assert found["window"] < 1e-5


def test_the_mixer_computes_its_equation_and_is_causal(found: dict[str, Any]) -> None:
    assert found["mixer"] < 1e-6
    assert found["reach"] == [3, 4]


def test_words_reach_the_components(found: dict[str, Any]) -> None:
    assert found["task"] == "reversal"
    baseline, arm = found["arms"].values()
    assert baseline == []
    assert len(arm) == 1
    assert arm[0].endswith("-> hann")
    decay = found["model"]["mixers"][0]["kernel"]["decay"]
    assert decay == {"kind": "hann", "width": 0.2}


@pytest.mark.parametrize("command", COMMAND.findall(TEXT))
def test_the_commands_of_the_recipes_work(found: dict[str, Any], command: str) -> None:
    code, out, err = found["commands"][command]
    assert (code, err) == (0, "")
    named = re.findall(r"reversal|hann|token-shift", command)
    assert named
    assert all(name in out for name in named)
