"""The table of configurations: complete, looked up as documented, covered by the numerics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.zoo.triton.cases import cases
from zoo.conv import __main__ as program
from zoo.conv import triton as backend
from zoo.conv.triton import configurations
from zoo.conv.triton.configurations import (
    ARCHITECTURES,
    Configuration,
    dots_of,
    find_for,
    reach,
    shipped,
)
from zoo.conv.triton.table_file import read, write

DOTS = ("tf32x3", "tf32", "fp16", "bf16")


def rows_of(family: str) -> list[Configuration]:
    return [row for row in shipped() if row.family == family]


def test_every_shipped_row_is_interpreted_forward_and_backward() -> None:
    """test_numerics.py runs every case forward and backward: here, that no row is in none."""
    covered = {row.key for case in cases() for row in case.rows}
    missing = {str(r) for r in shipped() if r.family in backend.FAMILIES and r.key not in covered}
    assert not missing


def test_cases_look_up_what_a_call_looks_up() -> None:
    """For each length at the ends of a class, the launchers find the rows of the case."""
    for case in cases():
        for row in case.rows:
            for length in {case.shortest, case.length}:
                found = find_for(case.family, row.role, length, case.dots, row.architecture)
                assert found.length >= length
            found = find_for(case.family, row.role, case.length, case.dots, row.architecture)
            assert found == row


@pytest.mark.parametrize("family", sorted({row.family for row in shipped()}))
def test_a_family_has_the_same_rows_on_every_architecture(family: str) -> None:
    kinds = [
        {(r.role, r.length, r.dots) for r in rows_of(family) if r.architecture == architecture}
        for architecture in ARCHITECTURES
    ]
    assert kinds[0] == kinds[1] == kinds[2]


def test_classes_end_at_multiples_of_16() -> None:
    """Signals are extended to those: the family and the rows for a length stay the same."""
    assert not any(row.length % backend.STEPS for row in shipped())


@pytest.mark.parametrize("dots", DOTS)
def test_every_length_up_to_the_longest_is_served(dots: str) -> None:
    """Each family reaches further than those before it."""
    for architecture in ARCHITECTURES:
        lengths = [reach(name, dots, architecture) for name in backend.FAMILIES]  # pyright: ignore
        assert lengths == sorted(lengths)
        assert lengths[-1] == 2**20


def test_precision_words() -> None:
    assert dots_of("auto", torch.float32) == "tf32x3"
    assert dots_of("auto", torch.bfloat16) == dots_of("auto", torch.float16) == "fp16"
    assert dots_of("fp32", torch.bfloat16) == "tf32x3"
    assert [dots_of(w, torch.float32) for w in ("tf32", "fp16", "bf16")] == ["tf32", "fp16", "bf16"]


def test_no_row_is_long_enough() -> None:
    with pytest.raises(LookupError, match="length 99999999"):
        find_for("toeplitz", "convolve", 99999999, "fp16", 90)


@pytest.fixture
def fresh_tables() -> Iterator[None]:
    """Nothing remembered from before, nothing remembered after."""
    remembered = (configurations.table, configurations.find_for, configurations.reach)
    for function in remembered:
        function.cache_clear()
    yield
    for function in remembered:
        function.cache_clear()


@pytest.mark.usefixtures("fresh_tables")
def test_a_file_replaces_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `tune` wrote takes the place of the row with the same key, and of no other."""
    old = rows_of("toeplitz")[0]
    new = replace(old, warps=2 * old.warps)
    file = tmp_path / "table.json"
    file.write_text(json.dumps(write([new])))
    monkeypatch.setenv(configurations.TABLE_FILE, str(file))
    assert find_for(old.family, old.role, old.length, old.dots, old.architecture) == new
    assert set(configurations.table()) - set(shipped()) == {new}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a table"),
        ("[]", "not a table"),
        ('{"rows": [{"family": "toeplitz"}]}', "not a table"),
        ('{"rows": [3]}', "3 is not a row"),
        ('{"rows": 3}', "not a table"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "table.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read(file)
    assert "\n" not in str(caught.value)


def row_of(role: str, length: int = 1024, family: str = "monarch", dots: str = "tf32x3") -> Any:
    """A shipped row of sm_80, as it stands in a file."""
    keys = {row.key: row for row in shipped()}
    return write([keys[family, role, length, dots, 80]])["rows"][0]


@pytest.mark.parametrize(
    ("row", "change", "message"),
    [
        (row_of("spectrum"), {"blocks": {"N1": 16, "N2": 1, "N3": 64}}, "different N1, N2, N3"),
        (row_of("spectrum"), {"blocks": {"N1": 16, "N2": 1, "N3": 16}}, "is 256, not 1024"),
        (row_of("spectrum"), {"blocks": {"N1": 32, "N3": 32}}, "blocks N1, N3 in place of"),
        (row_of("spectrum"), {"blocks": {"N1": 24, "N2": 1, "N3": 32}}, "N1=24 is no power of two"),
        (row_of("spectrum"), {"blocks": {"N1": 1, "N2": 32, "N3": 32}}, "N1=1 is no power of two"),
        (row_of("spectrum"), {"blocks": {"N1": 32.0, "N2": 1, "N3": 32}}, "N1=32.0 is no int"),
        (row_of("spectrum"), {"blocks": [32, 1, 32]}, "is no dict"),
        (row_of("spectrum"), {"warps": 3}, "warps=3 is no power of two"),
        (row_of("spectrum"), {"warps": 64}, "warps=64 is no power of two"),
        (row_of("spectrum"), {"warps": True}, "warps=True is no int"),
        (row_of("spectrum"), {"warps": "4"}, "warps='4' is no int"),
        (row_of("spectrum"), {"stages": 0}, "stages=0 is not"),
        (row_of("spectrum"), {"registers": 256}, "registers=256 is not from 24 to 255"),
        (row_of("spectrum"), {"registers": True}, "registers=True is no int"),
        (row_of("spectrum"), {"family": ["monarch"]}, "is no str"),
        (row_of("spectrum"), {"more": 1}, "unexpected keyword"),
        (
            row_of("columns", 8192, "monarch_long"),
            {"blocks": {"LINES": 32, "COLUMNS": 512, "DEPTH": 32}},
            "COLUMNS=512 are more than a line has, 256",
        ),
    ],
)
@pytest.mark.usefixtures("fresh_tables")
def test_rows_that_kernels_could_not_run_are_one_line(
    row: Any,
    change: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They would read out of bounds, or compute another transform, without a word."""
    file = tmp_path / "table.json"
    file.write_text(json.dumps({"rows": [{**row, **change}]}))
    monkeypatch.setenv(configurations.TABLE_FILE, str(file))
    assert program.main(["show"]) == 2
    out, err = capsys.readouterr()
    assert not out.replace("sm_80\n", "")
    assert message in err
    assert err.startswith(f"zoo.conv: {file}: ")
    assert err.count("\n") == 1


def test_the_same_row_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    file.write_text(json.dumps({"rows": 2 * [row_of("spectrum")]}))
    with pytest.raises(ValueError, match="is there twice"):
        read(file)


def test_other_radices_in_every_role_are_taken(tmp_path: Path) -> None:
    """16 x 64 for 1024, where all kernels of the class agree on it."""
    blocks = {"N1": 16, "N2": 1, "N3": 64}
    rows = [row_of(role) for role in ("spectrum", "convolve", "correlate", "finish")]
    file = tmp_path / "table.json"
    file.write_text(json.dumps({"rows": [{**row, "blocks": blocks} for row in rows]}))
    assert all(row.blocks == blocks for row in read(file))


@pytest.mark.parametrize("change", [{"length": 3}, {"warps": 0}])
def test_rows_of_another_version_are_refused(tmp_path: Path, change: dict[str, int]) -> None:
    file = tmp_path / "table.json"
    file.write_text(json.dumps(write([replace(shipped()[0], **change)])))  # pyright: ignore
    with pytest.raises(ValueError, match="tune again"):
        read(file)
