"""The gallery in the documentation is what the tool writes today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zoo.__main__ import main
from zoo.presets import names

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "presets"
NUMBER = re.compile(r"(?<![\w.:])-?\d+\.\d+(?:e-?\d+)?(?!\w|\.\d)")
LARGEST = 2_000_000  # bytes


def parts(text: str) -> tuple[str, list[float]]:
    """The text without its fractions, and they: another machine rounds the last digit otherwise."""
    return NUMBER.sub("#", text), [float(found) for found in NUMBER.findall(text)]


def test_the_gallery_is_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery", f"out={tmp_path}"]) == 0
    assert "models in" in capsys.readouterr().out
    wanted, kept = ({f.name: f.read_bytes() for f in d.iterdir()} for d in (tmp_path, GALLERY))
    hint = "run: python -m zoo gallery out=docs/presets"
    assert wanted.keys() == kept.keys(), hint
    (text, numbers), (old, before) = (parts(d["README.md"].decode()) for d in (wanted, kept))
    assert text.splitlines() == old.splitlines(), hint
    assert numbers == pytest.approx(before, rel=0.02, abs=0.02), hint
    assert sum(map(len, kept.values())) < LARGEST


def test_every_model_has_its_section() -> None:
    text = (GALLERY / "README.md").read_text()
    for name in names():
        assert f"\n## {name}\n" in text
        assert f"[{name}](#{name})" in text


def test_the_comparison_can_fail() -> None:
    assert parts("a 1.25 b 3") == ("a # b 3", [1.25])
    assert parts("L^0.20, v1.2.3, arXiv:2210.09298")[1] == [0.2]
    assert parts("-1e-3 0.01 -0.5e-7")[1] == [0.01, -0.5e-7]
