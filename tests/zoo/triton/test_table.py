"""The table of configurations: complete, looked up as documented, covered by the numerics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.zoo.triton.cases import cases
from zoo.conv import triton as backend
from zoo.conv.triton import configurations
from zoo.conv.triton.configurations import (
    ARCHITECTURES,
    Configuration,
    dots_of,
    find_for,
    reach,
    read,
    shipped,
    write,
)

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
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "table.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=message):
        read(file)


@pytest.mark.parametrize("change", [{"length": 3}, {"warps": 0}])
def test_rows_of_another_version_are_refused(tmp_path: Path, change: dict[str, int]) -> None:
    file = tmp_path / "table.json"
    file.write_text(json.dumps(write([replace(shipped()[0], **change)])))  # pyright: ignore
    with pytest.raises(ValueError, match="tune again"):
        read(file)
