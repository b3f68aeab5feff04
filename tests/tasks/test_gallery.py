"""The gallery in the documentation is what the tool writes today."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.__main__ import main

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "tasks"


def test_the_gallery_is_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery", f"out={tmp_path}"]) == 0
    assert "tasks in" in capsys.readouterr().out
    wanted, kept = ({f.name: f.read_bytes() for f in d.iterdir()} for d in (tmp_path, GALLERY))
    assert wanted.keys() == kept.keys()
    assert wanted["README.md"].decode().splitlines() == kept["README.md"].decode().splitlines()
    assert wanted == kept, "run: python -m tasks gallery out=docs/tasks"


def test_bad_words(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["gallery"], ["gallery", "out=x", "seed=1"]):
        assert main(words) == 2
        assert "gallery takes out=FOLDER and nothing else" in capsys.readouterr().err
