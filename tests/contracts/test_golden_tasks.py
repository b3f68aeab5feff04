"""Every task makes the examples that it made: see golden.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.contracts import golden
from tests.contracts.registry import EVERY

NAMES = ["mqar", "delay"]


@pytest.mark.parametrize("name", sorted({*EVERY, *golden.kept()}))
def test_golden_examples(name: str) -> None:
    found = golden.entry(name) if name in EVERY else None
    wrong = golden.complaint(name, golden.kept(), found)
    assert not wrong, wrong


@pytest.fixture
def two_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of two entries, of the only tasks there are."""
    few = {name: EVERY[name] for name in NAMES}
    monkeypatch.setattr(golden, "EVERY", few)
    monkeypatch.setattr(golden, "FILE", tmp_path / "golden.json")
    assert golden.main(["--write"]) == 0
    return golden.FILE


def test_only_named_entries_are_changed(
    two_tasks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = golden.kept()
    assert list(before) == sorted(NAMES)
    two_tasks.write_text(json.dumps({"gone": "0", "mqar": "1"}))
    capsys.readouterr()
    for words in ([], ["--write"]):
        assert golden.main(words) == 1
        out = capsys.readouterr().out
        assert "mqar makes other examples than it did; if that is meant" in out
        assert "tasks.mqar.Mqar" in out
        assert "gone has golden examples but is no task" in out
        assert ("delay has no golden examples" in out) == (not words)
    assert golden.kept() == {"delay": before["delay"], "gone": "0", "mqar": "1"}
    assert golden.main(["--write", "--replace", "mqar", "gone"]) == 0
    assert golden.kept() == before
    for words in (["--replace", "mqar"], ["--write", "--replace", "mqra"]):
        with pytest.raises(SystemExit):
            golden.main(words)
    assert golden.kept() == before
