from pathlib import Path

import pytest

from reports.gallery import gallery, main, old
from reports.writing import write_files

ROOT = Path(__file__).parents[2]
DATA, OUT = ROOT / "docs" / "data" / "gallery", ROOT / "docs" / "gallery"
KINDS = {"effects", "learning-curves", "learning-rates", "kernels", "importance", "front"}
KINDS |= {"recall-by-state", "parameters-by-length", "profiles", "overview"}
FAMILIES = ("factor-", "extrapolation-", "capacity-")
TABLES = {"outcome", "arms", "kernels", "metrics", "slices", "sensitivity", "learning-rates"}
TABLES |= {"runs", "search", "front", "trials", "by-task", "aggregates", "comparison"}
TABLES |= {"configuration", "published"}
MOST = 1.5e6  # bytes of the studies and the pages


@pytest.fixture(scope="module")
def made():
    return gallery(DATA)


def test_the_gallery_is_what_the_program_writes(made):
    assert old(made, OUT) == [], "python -m reports.gallery"


def test_every_kind_of_figure_and_table_is_there(made):
    figures = {name.removesuffix(".svg") for name in made if name.endswith(".svg")}
    assert figures >= KINDS
    assert all(any(name.startswith(family) for name in figures) for family in FAMILIES)
    text = made["README.md"].decode()
    tables = text.partition("## Tables")[2]
    assert all(f"### {name}\n" in tables for name in TABLES)
    assert all(f"]({name}.svg)" in text for name in figures)


def test_what_is_committed_is_small():
    files = [path for root in (DATA, OUT) for path in root.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST


def test_check_names_what_is_old_and_writes_nothing(made, tmp_path, capsys):
    write_files(tmp_path / "new", made)
    assert old(made, tmp_path / "new") == []
    first = tmp_path / "new" / "effects.svg"
    first.write_text("old")
    (tmp_path / "new" / "gone.svg").write_text("left over")
    assert old(made, tmp_path / "new") == ["effects.svg", "gone.svg"]
    assert main([f"data={tmp_path}", "check=yes"]) == 2
    assert "there are no studies" in capsys.readouterr().err
    assert first.read_text() == "old"
