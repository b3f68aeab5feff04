"""Files that say what was run, changed by hand."""

from __future__ import annotations

import json

import pytest

from sweeps.edited import refuse_edited
from sweeps.rundir import RunDirectory
from sweeps.train import run_experiment
from sweeps.words import WordError
from tests.sweeps.small import experiment


def test_an_edited_experiment_is_refused_with_what_differs(tmp_path):
    made = experiment()
    run_experiment(made, root=tmp_path)
    folder = RunDirectory(tmp_path, made).path
    (folder / "result.json").unlink()  # as if it had been cut short
    content = json.loads((folder / "experiment.json").read_text())
    content["train"]["lr"] = 0.5
    (folder / "experiment.json").write_text(json.dumps(content))
    with pytest.raises(WordError, match=r"experiment.json was edited: train.lr is 0.5, was 0.01;"):
        run_experiment(made, root=tmp_path)
    assert json.loads((folder / "experiment.json").read_text()) == content, "it is not written over"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1, "b": [1, 2]}', None),
        ('{"a": 2, "b": [1, 2]}', "a is 2, was 1"),
        ('{"a": 1, "b": [1, 3]}', "b.1 is 3, was 2"),
        ('{"a": 1, "b": [1]}', r"b is \[1\], was \[1, 2\]"),
        ('{"b": [1, 2]}', "a is null, was 1"),
        ('{"a": 1, "b": [1, 2], "c": 5}', "c is 5, was null"),
        ("[]", "it is"),
        ("{", "is damaged"),
    ],
)
def test_differences_are_named(tmp_path, text, says):
    path = tmp_path / "plan.json"
    path.write_text(text)
    wanted = {"a": 1, "b": (1, 2)}
    if says is None:
        refuse_edited(path, wanted)
    else:
        with pytest.raises(WordError, match=says) as caught:
            refuse_edited(path, wanted)
        assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_fine(tmp_path):
    refuse_edited(tmp_path / "plan.json", {"a": 1})


def test_another_form_is_named(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text("[]")
    with pytest.raises(WordError, match="another form"):
        refuse_edited(path, {"a": 1}, lambda content: content["a"])
