"""`python -m zoo`: what it prints, and that a wrong word is one helpful line."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.__main__ import main
from zoo.presets import names
from zoo.spec import Spec, replace_all


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(list(words)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def test_list_names_every_preset_and_every_component(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(capsys, "list")
    for name in names():
        assert any(line.split()[:1] == [name] for line in found)
    slots = [s for s in Spec.__subclasses__() if s.__module__.startswith("zoo.") and s.choices()]
    assert {"SequenceMixer", "ChannelMixer", "Decay", "Gating", "Length", "Parameterization"} <= {
        s.__name__ for s in slots
    }
    for slot in slots:
        (start,) = [i for i, line in enumerate(found) if line.startswith(f"{slot.__name__}: ")]
        below = found[start + 1 : start + 1 + len(slot.choices())]
        assert [line.split()[0] for line in below] == list(slot.choices())
        assert all(len(line.split()) > 2 for line in below), "every component has a line about it"


@pytest.mark.parametrize("name", names())
def test_show(capsys: pytest.CaptureFixture[str], name: str) -> None:
    found = lines(capsys, "show", name, "length=33")
    text = "\n".join(found)
    assert found[0].startswith(f"{name}: ")
    assert "differs:" in text
    assert "sequences of 33" in text
    model = zoo.preset(name).build(zoo.spec.Context(num_inputs=16, num_outputs=16, length=33))
    assert f"parameters        {model.num_parameters():,}" in text
    assert text.count("effective_length") == len(model.kernels())
    assert text.count("bandwidth") == text.count("dc ") == len(model.kernels())
    assert "kernel parameters " in text
    for mixer in zoo.preset(name).mixers:
        assert re.search(rf"mixers\.\d+: {mixer.kind}\b", text)


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_show_draws_a_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    file = tmp_path / f"kernels.{kind}"
    assert lines(capsys, "show", "base-conv", f"out={file}")[-1] == f"wrote {file}"
    assert file.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml", b"%PDF-")
    again = tmp_path / f"again.{kind}"
    lines(capsys, "show", "base-conv", f"out={again}")
    assert again.read_bytes() == file.read_bytes()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of long-conv without squash, as a trainer leaves it."""
    spec = replace_all(zoo.preset("long-conv"), "regularization", zoo.properties.NoRegularization())
    (tmp_path / "experiment.json").write_text(json.dumps({"model": spec.to_dict()}))
    context = zoo.spec.Context(num_inputs=4, num_outputs=4, length=20)
    kernels = {name: k.numpy() for name, k in spec.build(context).kernels().items()}
    half = np.exp(-np.arange(20) * math.log(2), dtype=np.float32)
    arrays = {f"initial/{name}": k for name, k in kernels.items()}
    arrays |= {f"final/{name}": np.broadcast_to(half, k.shape) for name, k in kernels.items()}
    np.savez_compressed(tmp_path / "kernels.npz", **arrays)  # pyright: ignore[reportArgumentType]
    return tmp_path


def test_show_of_a_run_is_before_and_after(
    capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path
) -> None:
    file = tmp_path / "run.png"
    alone = lines(capsys, "show", f"run={run}", f"out={file}")
    assert file.exists()
    named = lines(capsys, "show", "long-conv", f"run={run}")
    assert named[0].startswith("long-conv: ")
    assert [line for line in alone if line in named] == alone[:-1]
    assert any(line.strip() == "regularization: none" for line in alone), "the run's own model"
    (decay, _) = [line.split() for line in alone if line.strip().startswith("decay_rate")]
    assert (decay[2], float(decay[3])) == ("->", pytest.approx(math.log(2), rel=1e-3))
    (bars, _) = [line for line in alone if "after training    |" in line]
    assert bars.split("|")[1].startswith("█▄▂▁")


def test_a_run_that_is_none_is_one_line(
    capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path
) -> None:
    for words, said in (
        ([f"run={tmp_path}/nothing"], "there is no experiment.json"),
        ([f"run={run}", "length=3"], "the run has its own length"),
    ):
        assert main(["show", *words]) == 2
        assert said in capsys.readouterr().err
    (run / "kernels.npz").write_bytes(b"PK\x03\x04 cut off")
    assert main(["show", f"run={run}"]) == 2
    assert "damaged" in capsys.readouterr().err
    (run / "kernels.npz").unlink()
    assert main(["show", f"run={run}"]) == 2
    assert "there is no kernels.npz" in capsys.readouterr().err
    (run / "experiment.json").write_text('{"model": {"depth": "many"}}')
    assert main(["show", f"run={run}"]) == 2
    assert "depth" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lst"], "'lst' is not a command; nearest: list"),
        (["list", "sgconv"], "perhaps: show sgconv"),
        (["show"], "show needs the name of a model"),
        (["show", "hyna"], "'hyna' is not a model; nearest: hyena"),
        (["show", "xyzzy"], "nearest: all-on, attention"),
        (["show", "s4d", "lenght=3"], "'lenght' is not a word; nearest: length"),
        (["show", "s4d", "length"], "'length' is not word=value"),
        (["show", "s4d", "length="], "'length=' is not word=value"),
        (["show", "s4d", "length=0"], "length=0: expected a whole number, 1 to"),
        (["show", "s4d", "length=x"], "length=x: expected"),
        (["show", "length=3"], "show needs the name of a model"),
        (["show", "attention", "out=a.png"], "attention has no convolution kernel"),
        (["show", "s4d", "out=a.txt"], "expected a name that ends in .png"),
        (["show", "s4d", "out=/nowhere/at/all/a.png"], "there is no folder /nowhere/at/all"),
        (["gallery"], "gallery takes out=FOLDER and nothing else"),
        (["gallery", "out=x", "length=3"], "gallery takes out=FOLDER and nothing else"),
        (["gallery", "out="], "gallery takes out=FOLDER and nothing else"),
    ],
)
def test_a_wrong_word_is_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("zoo: ")
    assert err.count("\n") == 1


def test_help_is_quick() -> None:
    """It brings no torch: typing --help must not take seconds."""
    code = (
        "import sys; from zoo.__main__ import main; main(['--help']);"
        "sys.exit(len({'torch', 'numpy', 'matplotlib', 'pydantic'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("usage: python -m zoo")


def test_no_word_is_the_help_and_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().out.startswith("usage:")


def test_names_of_the_package_come_when_they_are_used() -> None:
    assert zoo.preset("s4d") is zoo.presets.preset("s4d")
    assert zoo.model.ModelSpec is zoo.ModelSpec
    assert callable(zoo.conv.fft_conv)
    assert set(zoo.__all__) <= set(dir(zoo))
    for name in zoo.__all__:
        assert getattr(zoo, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'modle'"):
        _ = zoo.modle
