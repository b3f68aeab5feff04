"""The table of backends says what was measured, and leaves a backend only for a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from zoo.conv import dispatch, spectral

MEASURED = Path(__file__).parents[2] / "benchmarks" / "dispatch.json"
TIE = 1.15  # the noise of a shared machine


def test_the_table_names_the_measured_winner():
    rows = json.loads(MEASURED.read_text())["ms"]
    assert len(rows) > 10
    for row in rows:
        length = row["size"][2]
        times = {name: row[name] for name in ("cpu", "spectral")}
        first = dispatch.preferred("cpu", length)[0]
        assert times[first] <= TIE * min(times.values()), (length, times)


def test_every_length_of_every_device_has_a_row_with_torch_fft():
    for device in ("cpu", "cuda", "meta", "mps"):
        for length in (1, 2, 1023, 2**20):
            names = dispatch.preferred(device, length)
            assert "spectral" in names  # takes any signal
            assert set(names) <= set(dispatch.BACKENDS) - {"auto", "reference"}


class Unable:
    @staticmethod
    def refusal(u, precision):
        return "no compiler"


def test_auto_takes_the_next_one_and_a_named_one_says_why_not(monkeypatch):
    modules = {"zoo.conv.cpu": Unable, "zoo.conv.spectral": spectral}
    monkeypatch.setattr(dispatch, "import_module", modules.__getitem__)
    u = torch.zeros(1, 1, 64)
    assert dispatch.choose("auto", u, "auto") is spectral
    with pytest.raises(ValueError, match=r"backend='cpu'.*cpu cannot: no compiler"):
        dispatch.choose("cpu", u, "auto")
    with pytest.raises(ValueError, match=r"no compiler; spectral cannot: .*float32"):
        dispatch.choose("auto", u, "tf32")
