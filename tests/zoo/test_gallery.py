"""The gallery in the documentation is what the tool writes today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zoo import gallery
from zoo.__main__ import main
from zoo.gallery import kernels_of, page, shown
from zoo.presets import names

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "presets"
NUMBER = re.compile(r"(?<![\w.:])-?\d+\.\d+(?:e-?\d+)?(?!\w|\.\d)")
LARGEST = 2_000_000  # bytes


def parts(text: str) -> tuple[str, list[float]]:
    """The text without its fractions, and they: another machine rounds the last digit otherwise."""
    return NUMBER.sub("#", text), [float(found) for found in NUMBER.findall(text)]


def test_the_gallery_is_up_to_date() -> None:
    presets = shown()
    kernels = {name: kernels_of(preset.value) for name, preset in presets.items()}
    hint = "run: python -m zoo gallery out=docs/presets"
    pictures = {f"{name}.png" for name, found in kernels.items() if found}
    assert {file.name for file in GALLERY.iterdir()} == {"README.md", *pictures}, hint
    text, numbers = parts("\n".join(page(presets, kernels)))
    old, before = parts((GALLERY / "README.md").read_text())
    assert text.splitlines() == old.splitlines(), hint
    assert numbers == pytest.approx(before, rel=0.02, abs=0.02), hint
    assert sum(file.stat().st_size for file in GALLERY.iterdir()) < LARGEST


def test_the_program_writes_the_page_and_a_picture_of_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: preset for name, preset in shown().items() if name in ("attention", "base-conv")}
    monkeypatch.setattr(gallery, "shown", lambda: few)
    assert main(["gallery", f"out={tmp_path}"]) == 0
    assert capsys.readouterr().out.startswith("2 models in ")
    assert {file.name for file in tmp_path.iterdir()} == {"README.md", "base-conv.png"}
    assert (tmp_path / "base-conv.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "README.md").read_text()
    assert "No convolution kernel." in text
    assert "![kernels of base-conv](base-conv.png)" in text


def test_every_model_has_its_section() -> None:
    text = (GALLERY / "README.md").read_text()
    for name in names():
        assert f"\n## {name}\n" in text
        assert f"[{name}](#{name})" in text


def test_the_comparison_can_fail() -> None:
    assert parts("a 1.25 b 3") == ("a # b 3", [1.25])
    assert parts("L^0.20, v1.2.3, arXiv:2210.09298")[1] == [0.2]
    assert parts("-1e-3 0.01 -0.5e-7")[1] == [0.01, -0.5e-7]
