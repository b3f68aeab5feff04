"""Published figures: what the file says, what is returned, how it is shown."""

import re
from collections import Counter

import pytest

from reports.build import build_study, make_report
from reports.contrast import analyse
from reports.published import STATUSES, UNITS, all_rows, picks, rows, suites
from reports.published_below import published_below, published_table
from reports.table import PUBLISHED, to_html, to_latex, to_markdown, to_typst

BASE = [0.50, 0.55, 0.45, 0.60, 0.52, 0.48]
BETTER = [0.60, 0.66, 0.58, 0.69, 0.65, 0.56]
RANGES = {"percent": (0, 100), "fraction": (0, 1), "perplexity": (1, 1000)}
NOT_CONFIRMED = "from memory, not confirmed"


def values(**asked):
    return [(row.variant or row.system, row.value) for row in rows(**asked)]


# ------------------------------------------------------------------------------------ the file


def test_each_figure_has_a_source_and_a_value_of_its_unit():
    for row in all_rows():
        low, high = RANGES[row.unit]
        assert low <= row.value <= high, row
        assert row.status in STATUSES, row
        assert row.unit in UNITS, row
        assert all((row.system, row.task, row.metric, row.where)), row
        assert re.fullmatch(r".+ \d{4}, arXiv:\d{4}\.\d{5}", row.paper), row
        assert 0 <= row.about < 0.1, row
        assert ("read off" in row.where) == (row.about > 0), row


def test_no_figure_is_there_twice():
    keys = Counter((r.system, r.variant, r.task, r.setting, r.metric, r.paper) for r in all_rows())
    assert not [key for key, times in keys.items() if times > 1]


def test_averages_of_the_arena_are_those_of_their_rows():
    """Six tasks, a failed one counts 50: a figure copied wrong shows here."""
    tables = Counter()
    for row in all_rows():
        if row.task != "lra-average" or not row.table.startswith("lra"):
            continue
        own = [
            r.value
            for r in all_rows()
            if (r.table, r.system, r.variant) == (row.table, row.system, row.variant)
            and r.task != "lra-average"
        ]
        assert (sum(own) + 50 * (6 - len(own))) / 6 == pytest.approx(row.value, abs=0.06), row
        tables[row.table] += 1
    assert tables["lra-sgconv"] == 2
    assert sum(tables.values()) >= 15


def test_the_long_convolution_s_averages_are_those_of_its_rows():
    averages = {
        r.variant: r.value for r in rows(task="lra-average", system="LongConv", memory=True)
    }
    assert len(averages) == 5
    for variant, average in averages.items():
        own = [r.value for r in all_rows() if (r.table, r.variant) == ("long-conv-lra", variant)]
        assert (sum(own) + 50 * (6 - len(own))) / 6 == pytest.approx(average, abs=0.06)


def test_suites_find_their_rows():
    for suite in suites():
        found = picks(suite, memory=True)
        assert found, suite
        for pick in found:
            assert pick.baseline is not None, (suite, pick.rows[0].table)
            assert pick.baseline.metric == pick.rows[0].metric


def test_the_reference_ablations():
    assert values(suite="sgconv-decay") == [
        ("decay speed 0", 67.67),
        ("decay speed 0.5", 83.31),
        ("decay speed 0.75", 86.88),
        ("decay speed 1", 88.92),
        ("decay speed 1.5", 88.76),
        ("decay speed 2", 88.90),
    ]
    assert [v for _, v in values(suite="sgconv-dimension")] == [
        88.71, 89.08, 88.77, 88.92, 88.76, 88.30, 88.52,
    ]  # fmt: skip
    assert values(suite="long-conv-regularization") == [
        ("no regularization", 69.5),
        ("squash", 86.1),
    ]
    assert dict(values(suite="hyena-window"))["as published"] == 97.2
    assert dict(values(suite="h3-parts")) == {"H3": 100, "S4D": 35.6}  # induction comes last


# ------------------------------------------------------------------------------- what is asked


def test_what_is_from_memory_has_to_be_asked_for():
    assert not any(row.status == "memory" for row in rows())
    assert any(row.status == "memory" for row in rows(memory=True))
    assert set(rows()) < set(rows(memory=True)) == set(all_rows())
    remembered = rows(suite="long-conv-regularization", memory=True)[2:]
    assert [row.value for row in remembered] == [71.8, 73.7, 86.6]
    assert rows(task="selective-copying", system="Mamba") == ()
    [mamba] = rows(task="selective-copying", system="Mamba", memory=True)
    assert mamba.label == f"Mamba ({NOT_CONFIRMED})"
    assert NOT_CONFIRMED in mamba.source


def test_rows_are_about_all_that_is_asked():
    found = rows(task="mqar", system="Hyena", metric="accuracy")
    assert len(found) == 16
    assert {(row.task, row.system) for row in found} == {("mqar", "Hyena")}
    assert rows(task="mqar", metric="exact") == ()
    assert rows(suite="no such suite") == ()


@pytest.mark.parametrize(
    ("asked", "shown", "scaled"),
    [
        ({"suite": "sgconv-decay", "task": "lra"}, "0.6767", 0.6767),
        ({"task": "assoc-recall", "system": "attention"}, "1.00", 1.0),
        ({"task": "mqar", "system": "BaseConv"}, "≈ 0.70", 0.70),
    ],
)
def test_a_figure_keeps_its_digits_in_our_unit(asked, shown, scaled):
    row = rows(**asked)[0]
    assert (row.shown, row.scaled) == (shown, pytest.approx(scaled, abs=1e-12))


# ------------------------------------------------------------------------- below the outcome


@pytest.fixture
def suite(make_study):
    """A study of a suite, and what its outcome's table is."""

    def make(suite, **plan):
        arms = {"baseline": BASE, "decay=off": BETTER}
        study = make_study(arms, plan={"suite": suite, **plan}, name=f"{suite}".replace(" ", "-"))
        return study, make_report(study, draw=False).tables[0]

    return make


def apart(table):
    titles = [column.title for column in table.columns]
    return [dict(zip(titles, row, strict=True)) for row in table.apart]


def test_published_rows_stand_apart_and_are_labelled(suite):
    _, table = suite("sgconv-decay")
    found = apart(table)
    assert table.apart_title == PUBLISHED
    assert [row["arm"] for row in found][:2] == ["SGConv, decay speed 0", "SGConv, decay speed 0.5"]
    assert [row["test accuracy ↑"] for row in found][:2] == ["0.6767", "0.8331"]
    assert found[0]["difference"] == "-0.2125"  # 67.67 - 88.92
    assert found[3]["difference"] == "–"  # the baseline itself
    other = {v for row in found for t, v in row.items() if t in ("n", "95 % CI", "p (Holm)", "d_z")}
    assert other == {"–"}
    assert any("arXiv:2210.09298" in note and "read in the authors' files" in note
               for note in table.notes)  # fmt: skip
    assert "SGConv" not in table.frame.write_csv()
    for write in (to_markdown, to_html, to_latex, to_typst):
        assert "published: other hardware, data and code" in write(table)


def test_published_rows_have_a_csv_of_their_own(suite):
    study, _ = suite("hyena-window")
    files = {path.name: path for path in build_study(study.directory, ("csv",)).files}
    assert "Hyena" not in files["outcome.csv"].read_text()
    lines = files["outcome-published.csv"].read_text().splitlines()
    assert lines[0].startswith("arm,n,test accuracy ↑,difference,95 % CI")
    assert lines[1].startswith('"Hyena, as published",–,0.972,–,–')
    assert lines[2].startswith('"Hyena, no window, no short filters (CKConv)",–,0.143,-0.829,–')
    study, _ = suite(None)
    assert not [p for p in build_study(study.directory, ("csv",)).files if "published" in p.stem
                and p.stem != "published"]  # fmt: skip


@pytest.mark.parametrize("name", [None, "truncation", "no such suite", 3])
def test_a_suite_without_published_figures_has_no_rows_apart(suite, name):
    _, table = suite(name)
    assert (table.apart, table.apart_title) == ((), "")
    assert not any("ublished" in note for note in table.notes)


def test_figures_of_another_metric_are_not_set_below(suite, make_study):
    primary = {"metric": "exact", "split": "test", "slice": "all"}
    _, table = suite("sgconv-decay", primary=primary)
    assert table.apart == ()


def test_what_is_from_memory_is_marked_below_the_outcome(suite):
    study, table = suite("long-conv-regularization")
    assert [row["arm"] for row in apart(table)] == [
        "LongConv, no regularization",
        "LongConv, squash",
    ]
    titles = [column.title for column in table.columns]
    below = published_below(analyse(study), titles, memory=True)
    marked = [NOT_CONFIRMED in row[0] for row in below.rows]
    assert marked == [False, False, True, True, True]
    assert sum(NOT_CONFIRMED in note for note in below.notes) == 1
    assert below.rows[2][titles.index("difference")] == "+0.023"  # 71.8 - 69.5


def test_the_table_of_a_task_s_published_figures(make_study):
    study = analyse(make_study({"baseline": BASE}, plan={"task": "mqar"}))
    table = published_table(study)
    assert len(table.frame) == len(rows(task="mqar")) == 80
    assert table.cells()[0] == [
        "attention", "length 64, 4 pairs, width 64", "accuracy ↑", "≈ 1.0",
        "Arora et al. 2024, arXiv:2312.04927",
    ]  # fmt: skip
    assert "other hardware, data and code" in table.caption
    assert set(table.frame["status"]) == {"source"}


def test_a_task_on_which_nothing_is_confirmed_has_an_empty_table(make_study):
    study = analyse(make_study({"baseline": BASE}, plan={"task": "parity"}))
    assert not len(published_table(study).frame)
    remembered = published_table(study, memory=True)
    assert all(NOT_CONFIRMED in row[0] for row in remembered.cells())
    assert len(remembered.frame) == 7
