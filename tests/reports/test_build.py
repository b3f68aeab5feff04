import csv
import re
import subprocess
import sys

import polars as pl
import pytest

from reports.build import FORMATS, build_study, main, make_report, markdown
from sweeps.results import read_study

TABLES = ("outcome", "arms", "kernels", "metrics", "slices", "sensitivity", "learning-rates")
TABLES += ("published", "runs")
FIGURES = ("effects", "learning-curves", "factor-gap", "learning-rates", "kernels")


def names(report):
    return {path.relative_to(report.study.directory).as_posix() for path in report.files}


def test_the_report_is_written_beside_the_results(built):
    expected = {"report.md", "report.html"}
    expected |= {f"tables/{name}.{kind}" for name in TABLES for kind in ("tex", "csv")}
    expected |= {f"figures/{name}.{kind}" for name in FIGURES for kind in ("pdf", "svg", "png")}
    assert names(built) == expected
    on_disk = {p for p in built.study.directory.rglob("*") if p.is_file()}
    record = {"plan.json", "results.parquet", "trials.parquet"}
    assert {p for p in on_disk if p.name not in record} == set(built.files)  # nothing half-written


def test_a_second_report_is_the_same_bytes(built):
    before = {path: path.read_bytes() for path in built.files}
    again = build_study(built.study.directory, ("markdown", "html", "latex", "csv"))
    assert {p: p.read_bytes() for p in again.files} == {p: before[p] for p in again.files}


@pytest.mark.parametrize("formats", [("markdown",), ("latex",), ("csv", "markdown")])
def test_only_what_was_asked_for_is_written(make_study, formats):
    report = build_study(make_study({"baseline": [0.1, 0.2], "b": [0.3, 0.5]}).directory, formats)
    kinds = {"markdown": "md", "latex": "tex", "csv": "csv"}
    assert {path.suffix[1:] for path in report.files} == {kinds[name] for name in formats}


def test_every_table_says_the_same_in_every_format(built):
    root = built.study.directory
    document = (root / "report.md").read_text()
    page = (root / "report.html").read_text()
    for table in built.tables:
        assert pl.read_csv(root / f"tables/{table.name}.csv").height == len(table.frame)
        tex = (root / f"tables/{table.name}.tex").read_text()
        for row in table.cells():
            for cell in row:
                text = cell if isinstance(cell, str) else cell.text
                if re.fullmatch(r"[+\d.,/]+", text):
                    assert text in document
                    assert text in page
                    assert text in tex


def test_the_csv_holds_what_was_computed(built):
    with (built.study.directory / "tables" / "outcome.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, arm in zip(rows, built.analysis.arms, strict=True):
        assert row["arm"] == arm.name
        assert float(row["mean"]) == arm.estimate.mean
        assert row["p_holm"] == ("" if arm.contrast is None else str(arm.contrast.p_holm))


def test_the_terminal_gets_the_main_tables_only(built):
    text = markdown(built.study)
    assert text.count("\n|--") == 3
    assert "decay=off changed test accuracy by +0.165" in text
    assert "Every run." not in text
    report = (built.study.directory / "report.md").read_text()
    assert report.startswith(text.strip())


def test_the_report_links_its_figures_and_quotes_the_methods(built):
    report = (built.study.directory / "report.md").read_text()
    for target in re.findall(r"!\[.*?\]\((.*?)\)", report):
        assert (built.study.directory / target).is_file()
    assert "## Methods\n\nTask: selective-copying" in report


def test_the_tables_of_a_paper_compile(hostile_study, built, program, tmp_path):
    pdflatex = program("pdflatex")
    build_study(hostile_study.directory, ("latex",))
    tables = [path for path in built.files if path.suffix == ".tex" and path.stem != "runs"]
    tables += sorted((hostile_study.directory / "tables").glob("*.tex"))
    inputs = "\n".join(path.read_text(encoding="utf-8") for path in tables)
    source = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
    (tmp_path / "paper.tex").write_text(f"{source}{inputs}\\end{{document}}\n", encoding="utf-8")
    done = subprocess.run(
        [pdflatex, "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]


# ------------------------------------------------------------------------- unfinished studies


def test_a_study_that_has_just_begun_has_a_report(make_study):
    study = make_study({"baseline": [0.5, None, None], "decay=off": [None, None, None]})
    started = study.results.filter(study.results["value"].is_not_null())
    started.write_parquet(study.directory / "results.parquet")
    report = build_study(study.directory)
    assert report.analysis.baseline.missing == 2
    assert "no seed has a value in both arms" in report.found[0]
    assert (study.directory / "report.html").is_file()


def test_a_study_without_any_row_has_a_report(make_study):
    study = make_study({"baseline": [0.5], "decay=off": [0.6]})
    study.results.clear().write_parquet(study.directory / "results.parquet")
    report = build_study(study.directory)
    assert [arm.missing for arm in report.analysis.arms] == [1, 1]


# --------------------------------------------------------------------------------- the program


def run(*words):
    command = [sys.executable, "-m", "reports.build", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_program_writes_and_says_what(make_study, capsys):
    study = make_study({"baseline": [0.5, 0.6], "decay=off": [0.6, 0.8]})
    assert main([str(study.directory), "format=latex,csv"]) == 0
    written = capsys.readouterr().out.split()
    assert f"{study.directory}/tables/outcome.tex" in written
    assert not (study.directory / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["format=pdf"], "format 'pdf': choose from markdown, html, latex, typst, csv, figures"),
        (["format="], "a value is missing"),
        (["fromat=html"], "unknown word 'fromat'; did you mean format?"),
        (["format=html"], "name the directory of a study"),
        (["nowhere"], "no plan.json; name the directory of a study, out/STUDY"),
        (["format=html", "format=csv"], "given twice"),
    ],
)
def test_a_bad_word_is_one_line_and_exit_2(words, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_bad_format_writes_nothing(make_study):
    study = make_study({"baseline": [0.5]})
    with pytest.raises(ValueError, match="format 'tex'"):
        build_study(study.directory, ("html", "tex"))
    assert not (study.directory / "report.html").exists()


def test_what_cannot_be_written_is_one_line(make_study, capsys):
    study = make_study({"baseline": [0.5, 0.6]})
    (study.directory / "tables").write_text("in the way")
    assert main([str(study.directory), "format=csv"]) == 2
    error = capsys.readouterr().err
    assert str(study.directory / "tables") in error
    assert error.count("\n") == 1


def test_no_word_prints_the_usage(capsys):
    assert main([]) == 2
    usage = capsys.readouterr().out
    assert all(name in usage for name in FORMATS)


def test_help_is_light():
    code = (
        "import sys; from reports.build import main; from reports.markers import main as other; "
        "main(['--help']); other(['--help']); print(sorted({m.partition('.')[0] for m in "
        "sys.modules} & {'torch', 'scipy', 'numpy', 'polars', 'matplotlib', 'pydantic', 'optuna'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "usage: python -m reports.build" in done.stdout


def test_a_whole_report_needs_no_torch(make_study):
    study = make_study({"baseline": [0.5, 0.6], "decay=off": [0.6, 0.8]})
    code = (
        "import sys; from reports.build import build_study; build_study(sys.argv[1]); "
        "print({'torch', 'pyplot', 'pandas'} & {n.rpartition('.')[2] for n in sys.modules})"
    )
    command = [sys.executable, "-c", code, str(study.directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_markdown_draws_nothing(built):
    assert make_report(read_study(built.study.directory), draw=False).pictures == ()
