import json
import re
import subprocess
from dataclasses import replace

import pytest

from reports.build import Order, gather, main
from reports.paper import MARK, fitting, paper, sheet_of

MOST = 1.0  # points that a line may stick out


def compile_main(pdflatex, directory):
    """Compiles as an author would; the log, unwrapped, and the number of pages."""
    done = subprocess.run(
        [pdflatex, "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "main.tex"],
        cwd=directory,
        env={"max_print_line": "10000", "PATH": "/usr/bin:/bin", "HOME": str(directory)},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    pages = re.search(r"Output written on main.pdf \((\d+) page", done.stdout)
    assert pages
    return done.stdout, int(pages[1])


def assert_well_set(log):
    over = [float(width) for width in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert max(over, default=0) <= MOST
    assert "Float too large" not in log
    assert "mktexpk" not in log  # a font of pixels


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("neurips", "icml")]


@pytest.mark.parametrize("style", ["plain", *SLOW])
def test_main_tex_compiles_and_nothing_sticks_out(built, program, tmp_path, style, capsys):
    pdflatex = program("pdflatex")
    assert main([str(built.study.directory), f"paper={tmp_path / 'p'}", f"style={style}"]) == 0
    log, pages = compile_main(pdflatex, tmp_path / "p")
    assert_well_set(log)
    assert 3 <= pages <= 9
    source = (tmp_path / "p" / "main.tex").read_text()
    assert set(re.findall(r"\\usepackage\{(\w+)\}", source)) == {"booktabs", "graphicx"}
    assert rf"\setlength{{\textwidth}}{{{sheet_of(style).text}in}}" in source


def test_a_paper_of_two_hostile_studies_compiles(built, hostile_study, program, tmp_path):
    pdflatex = program("pdflatex")
    order = Order((str(built.study.directory),), compare=str(hostile_study.directory), formats=())
    files = paper(gather(replace(order, paper="p")), sheet_of("icml"))
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    log, _ = compile_main(pdflatex, tmp_path)
    assert_well_set(log)


@pytest.fixture(scope="module")
def written(built, tmp_path_factory):
    directory = tmp_path_factory.mktemp("paper") / "p"
    assert main([str(built.study.directory), f"paper={directory}"]) == 0
    return directory


def test_every_input_is_there_and_every_file_is_listed(written, built):
    source = (written / "main.tex").read_text()
    for name in re.findall(r"\\input\{(.*?)\}", source):
        assert (written / f"{name}.tex").is_file()
    readme = (written / "README.md").read_text().replace("\\", "")
    for path in written.rglob("*"):
        name = path.relative_to(written)
        if path.is_file() and path.name != "README.md":
            assert str(name.with_suffix("")) in readme
    for picture in built.pictures:
        assert rf"\input{{figures/{picture.name}}}" in source
        assert (written / f"figures/{picture.name}.pdf").read_bytes().startswith(b"%PDF")
    assert r"\includegraphics{effects.pdf}" in (written / "figures/effects.tex").read_text()


def test_methods_and_findings_are_those_of_the_report(written, built):
    methods = (written / "methods.tex").read_text().replace(r"\allowbreak{}", "")
    assert methods.startswith(f"% {MARK}\n")
    assert built.methods.split(".")[0].replace("_", r"\_") in methods
    findings = (written / "findings.tex").read_text()
    assert findings.count(r"\item") == len(built.found) + len(built.limits)
    sources = json.loads((written / "provenance.json").read_text())["sources"]
    assert sources[0]["command"] == built.study.plan["command"]


def test_long_tables_are_left_to_their_csv(make_study, tmp_path):
    study = make_study({"baseline": [0.01 * i for i in range(50)], "b": [0.5] * 50})
    assert main([str(study.directory), f"paper={tmp_path / 'p'}"]) == 0
    assert (tmp_path / "p/tables/runs.csv").is_file()
    assert not (tmp_path / "p/tables/runs.tex").exists()
    assert "tables/runs" not in (tmp_path / "p/main.tex").read_text()
    assert "(100 rows: not in main.tex)" in (tmp_path / "p/README.md").read_text()


def test_somebodys_own_main_tex_is_left_alone(make_study, tmp_path, capsys):
    study = make_study({"baseline": [0.5, 0.6]})
    own = tmp_path / "mine" / "main.tex"
    own.parent.mkdir()
    own.write_text(r"\documentclass{article}")
    assert main([str(study.directory), f"paper={own.parent}"]) == 2
    assert "main.tex is not by this program" in capsys.readouterr().err
    assert own.read_text() == r"\documentclass{article}"
    assert list(own.parent.iterdir()) == [own]


def test_paper_alone_leaves_the_study_as_it_is(make_study, tmp_path):
    study = make_study({"baseline": [0.5, 0.6]})
    before = sorted(study.directory.rglob("*"))
    assert main([str(study.directory), f"paper={tmp_path / 'p'}"]) == 0
    assert sorted(study.directory.rglob("*")) == before
    assert main([str(study.directory), f"paper={tmp_path / 'p'}", "format=markdown"]) == 0
    assert (study.directory / "report.md").is_file()


def test_a_tabular_is_wrapped_once():
    latex = "% needs \\usepackage{booktabs}\n  \\begin{tabular}{ll}\n  \\end{tabular}\n"
    assert fitting(latex).count(r"\resizebox") == 1
    assert fitting(latex).count("%\n  }") == 1
