"""A table is read alone: its caption says task, split, seeds, test and budget."""

import math
import subprocess

import numpy as np
import pytest

from reports.build import make_report
from reports.captions import arrow, budget, of_what, which_test
from reports.contrast import analyse
from reports.detail_tables import mean_intervals
from reports.stats import mean_interval
from reports.table import to_latex, to_typst
from sweeps.results import read_study

BASE = [0.50, 0.55, 0.45, 0.60, 0.52, 0.48]
BETTER = [0.60, 0.66, 0.58, 0.69, 0.65, 0.56]


def table(study, name="outcome"):
    return next(t for t in make_report(study, draw=False).tables if t.name == name)


def trained(steps):
    return {"experiment": {"train": {"steps": steps, "lr": 0.003}}}


def test_the_outcome_s_caption_says_all_of_it(make_study):
    arms = {"baseline": BASE, "a": BETTER, "b": BETTER[::-1]}
    long = [*BASE, 0.5, 0.51]
    arms = {name: [*values, *long[6:]] for name, values in arms.items()}
    study = make_study(arms, plan={"trials": 5})
    assert table(study).caption == (
        "Test accuracy, task selective-copying: mean ± half of the 95 % t interval over 8 seeds. "
        "Differences: arm minus baseline, paired by seed; p: exact paired permutation test, "
        "two-sided, Holm over 2 arms. Each arm: 500 steps, learning rate tuned in 5 trials."
    )


def test_a_study_alone_has_no_test_to_state(make_study):
    caption = table(make_study({"baseline": BASE})).caption
    assert caption == (
        "Test accuracy, task selective-copying: mean ± half of the 95 % t interval over 6 seeds. "
        "Each arm: 500 steps, nothing tuned."
    )


def test_too_few_seeds_are_no_test(make_study):
    analysis = analyse(make_study({"baseline": BASE[:3], "a": BETTER[:3]}))
    assert which_test(analysis) == "no test: too few paired seeds"


def test_beyond_forty_seeds_the_test_is_not_exact(make_study):
    many = [0.5 + 0.01 * (i % 7) for i in range(41)]
    analysis = analyse(make_study({"baseline": many, "a": [v + 0.1 for v in many]}))
    assert which_test(analysis).startswith("p: paired permutation test")


@pytest.mark.parametrize(
    ("entries", "plan", "said"),
    [
        ({"a": trained(2000)}, {}, "Each arm: 500 to 2,000 steps, nothing tuned."),
        ({}, {"trials": 1}, "Each arm: 500 steps, learning rate tuned in 1 trial."),
        (
            {},
            {"trials": 30, "search": {"space": {"train.lr": "", "depth": ""}}},
            "Each arm: 500 steps, configuration tuned in 30 trials.",
        ),
        ({n: {"experiment": {}} for n in ("a", "baseline")}, {}, "Each arm: nothing tuned."),
    ],
)
def test_the_budget(make_study, entries, plan, said):
    study = make_study({"baseline": BASE, "a": BETTER}, entries=entries, plan=plan)
    assert budget(analyse(study)) == said


def test_a_plan_that_names_no_task_has_a_caption(make_study):
    study = make_study({"baseline": BASE, "a": BETTER}, plan={"task": None})
    assert of_what(analyse(study)) == "Test accuracy"


def test_arrows_point_to_the_better_side():
    assert [arrow(metric) for metric in ("accuracy", "exact", "loss", "rmse")] == [
        "↑",
        "↑",
        "↓",
        "↓",
    ]


def test_metrics_have_digits_and_arrows_of_their_own(make_study):
    rows = [
        {"arm": arm, "seed": s, "split": "test", "slice": "all", "metric": "loss", "value": v}
        for arm in ("baseline", "a")
        for s, v in enumerate([12.5, 14.0, 13.0, 12.0, 15.0, 16.0])
    ]
    study = make_study({"baseline": BASE, "a": BETTER}, rows=rows)
    found = {row[1]: row[2] for row in table(study, "metrics").cells()}
    assert found == {"accuracy ↑": "0.517 ± 0.056", "loss ↓": "13.8 ± 1.6"}


@pytest.mark.parametrize("n", [1, 2, 3, 8, 41])
def test_many_intervals_are_each_one_s(n):
    values = np.random.default_rng(n).normal(0.5, 0.2, (50, n))
    values[0] = 0.1 + 0.2  # equal
    values[1] = 0.3 + 1e-17 * np.arange(n)  # by rounding only
    assert mean_intervals(values) == [mean_interval(row) for row in values]
    assert all(math.isfinite(each.mean or 0.0) for each in mean_intervals(values))


def test_every_table_of_a_study_compiles_in_typst(rich_study):
    typst = pytest.importorskip("typst", reason="typst: it is not installed")
    tables = make_report(read_study(rich_study), draw=False).tables
    source = "#show figure: set block(breakable: true)\n" + "\n".join(map(to_typst, tables))
    assert typst.compile(source.encode()).startswith(b"%PDF")


def test_no_table_of_a_study_is_too_wide(rich_study, program, tmp_path):
    """In one column of text as wide as a conference's, nothing is split and nothing sticks out."""
    tables = make_report(read_study(rich_study), draw=False).tables
    assert all(to_latex(table).count(r"\begin{tabular}") == 1 for table in tables)
    bodies = [to_latex(table).replace(r"\makebox[\linewidth][c]", r"\mbox") for table in tables]
    source = "\\documentclass{article}\n\\usepackage{booktabs}\n\\setlength{\\textwidth}{5.8in}\n"
    (tmp_path / "t.tex").write_text(
        f"{source}\\begin{{document}}\n{''.join(bodies)}\\end{{document}}\n", encoding="utf-8"
    )
    command = [program("pdflatex"), "-no-shell-escape", "-interaction=nonstopmode", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, timeout=120, capture_output=True, text=True,
                          errors="replace")  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
