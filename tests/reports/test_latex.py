import re
import subprocess

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reports.table import Column, Strong, Table, escape_latex, to_latex

COMMANDS = (
    r"\\text(?:backslash|asciitilde|asciicircum|less|greater|bar|asciigrave)\{\}|\\ldots\{\}"
    r"|\\[&%$#_{}]|\$(?:-|\\[A-Za-z]+)\$|\{[][*]\}|\{\}"
)


def compiled(source, program, tmp_path, options=""):
    """The pages of a document with booktabs alone; what TeX says of lines too long is returned."""
    (tmp_path / "t.tex").write_text(
        f"\\documentclass[{options}]{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n"
        f"{source}\\end{{document}}\n",
        encoding="utf-8",
    )
    command = [program("pdflatex"), "-no-shell-escape", "-interaction=nonstopmode"]
    done = subprocess.run([*command, "-halt-on-error", "t.tex"], cwd=tmp_path, timeout=120,
                          capture_output=True, text=True, errors="replace")  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    pages = int(re.search(r"\((\d+) pages?,", done.stdout)[1])
    return pages, re.findall(r"Overfull.*", done.stdout)


def grid(num_rows, titles, *, text="0.123 ± 0.045", group=""):
    frame = pl.DataFrame({"arm": [f"arm {i}" for i in range(num_rows)]})
    columns = [Column(title, lambda r: text, group=group) for title in titles]
    return Table("grid", "Caption.", frame, (Column("arm", lambda r: r["arm"], "left"), *columns))


@given(st.text(max_size=40))
@example("\\&%$#_{}~^")
@example("αΩ·≈")
@settings(max_examples=300, deadline=None)
def test_nothing_special_reaches_latex(text):
    rest = re.sub(COMMANDS, "", escape_latex(text))
    assert not set(rest) & set('\\&%$#_{}~^<>|"[]*'), rest
    assert all(c.isprintable() for c in rest)


def test_latex_signs():
    assert escape_latex("-0.12 to +0.3, 1e-3, 0-7") == "$-$0.12 to +0.3, 1e-3, 0-7"
    assert escape_latex("a – b ± 1 †") == r"a -- b $\pm$ 1 $\dagger$"
    assert escape_latex("x--y") == "x-{}-y"
    assert escape_latex("é中") == "é?"
    assert escape_latex("accuracy ↑, λ = 1") == r"accuracy $\uparrow$, $\lambda$ = 1"


def test_latex_is_a_booktabs_table():
    table = Table(
        "t",
        "A & B",
        pl.DataFrame({"arm": ["x", "y_z"], "v": [1.0, 2.0]}),
        (
            Column("arm", lambda r: r["arm"], "left"),
            Column("mean", lambda r: Strong(str(r["v"]))),
            Column("CI", lambda r: "[0, 1]", group="interval"),
            Column("n", lambda r: "6", group="interval"),
            Column("p", lambda r: "1"),
        ),
        ("why",),
        (("Li", "0.5", "–", "–", "–"),),
        "published",
    )
    assert to_latex(table) == "\n".join(
        (
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering\footnotesize\setlength{\tabcolsep}{3pt}",
            r"  \setlength{\belowcaptionskip}{4pt}",
            r"  \caption{A \& B}",
            r"  \label{tab:t}",
            r"  \makebox[\linewidth][c]{%",
            r"  \begin{tabular}{@{}lrrrr@{}}",
            r"    \toprule",
            r"     &  & \multicolumn{2}{c}{interval} &  \\",
            r"    \cmidrule(lr){3-4}",
            r"    arm & mean & CI & n & p \\",
            r"    \midrule",
            r"    x & \textbf{1.0} & {[}0, 1{]} & 6 & 1 \\",
            r"    y\_z & \textbf{2.0} & {[}0, 1{]} & 6 & 1 \\",
            r"    \midrule",
            r"    \multicolumn{5}{@{}l@{}}{\emph{published}} \\",
            r"    Li & 0.5 & -- & -- & -- \\",
            r"    \bottomrule",
            r"  \end{tabular}}",
            r"  \par\smallskip\parbox{18.8em}{\scriptsize why}",
            r"\end{table}",
            "",
        )
    )


@pytest.mark.parametrize("options", ["", "twocolumn"])
def test_hostile_names_compile(hostile_table, program, tmp_path, options):
    compiled(to_latex(hostile_table), program, tmp_path, options)


def test_a_table_too_wide_has_its_columns_in_parts_that_fit(program, tmp_path):
    titles = [f"metric {i}" for i in range(30)]
    source = to_latex(grid(3, titles))
    parts = re.findall(r"toprule\s+(arm .*?) \\\\", source)
    assert len(parts) > 1
    assert [t for part in parts for t in part.split(" & ")[1:]] == titles  # each once, in order
    assert all(part.startswith("arm & ") for part in parts)
    assert source.count(r"\caption") == 1
    pages, overfull = compiled(source, program, tmp_path)
    assert (pages, overfull) == (1, [])


def test_a_table_too_long_for_a_page_becomes_several_floats(program, tmp_path):
    source = to_latex(grid(260, ["mean"]))
    assert source.count(r"\begin{table}[p]") == 6  # 50 rows each
    assert source.count(r"\label{tab:grid}") == 1
    assert re.findall(r"    arm (\d+) &", source) == [str(i) for i in range(260)]
    assert "Caption. (2 of 6)" in source
    assert compiled(source, program, tmp_path) == (6, [])


def test_a_long_text_wraps_where_the_page_is_too_narrow(program, tmp_path):
    name = "blocks.0.mixer.kernel.decay:exponential(fast=0.1,slow=2)->none; " * 4
    table = grid(2, ["mean"] * 4)
    long = Column("changed", lambda r: name, "left")
    source = to_latex(
        Table("long", "", table.frame, (*table.columns[:1], long, *table.columns[1:]))
    )
    assert re.search(r"\{@\{\}lp\{[\d.]+em\}rrrr@\{\}\}", source)
    assert compiled(source, program, tmp_path) == (1, [])


def test_groups_are_named_in_each_part():
    source = to_latex(grid(1, [f"m{i}" for i in range(12)], group="test accuracy"))
    assert source.count(r"\cmidrule(lr){2-") == source.count(r"\toprule") > 1
    spans = re.findall(r"\\multicolumn\{(\d+)\}\{c\}\{test accuracy\}", source)
    assert sum(map(int, spans)) == 12
