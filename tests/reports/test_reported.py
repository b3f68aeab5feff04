"""What a paper reports stands beside what was found, and nothing is said that was not shown."""

from __future__ import annotations

from reports.build import contents, make_report, markdown
from reports.contrast import analyse
from reports.reported import reported_table

ROWS = [
    {"arm": "baseline", "value": 88.92, "status": "read"},
    {"arm": "decay=off", "value": 67.67, "status": "read"},
    {"arm": "decay=fast", "value": 90.0, "status": "from memory"},
    {"arm": "never run", "value": 1.0, "status": "read"},
]
REPORTED = {"metric": "accuracy, %", "task": "Text", "source": "arXiv:1", "rows": ROWS}
REPORTED |= {"lower_is_better": False}


def study(make_study, arms, *reported):
    plan = {"suite": {"name": "sgconv-decay", "reported": list(reported)}}
    return make_study(arms, plan=plan if reported else {})


ARMS = {
    "baseline": [0.80, 0.81, 0.82, 0.83, 0.84, 0.85],
    "decay=off": [0.60, 0.61, 0.62, 0.63, 0.64, 0.66],
    "decay=fast": [0.70, 0.91, 0.72, 0.93, 0.74, 0.95],
    "unreported": [0.5] * 6,
}


def rows(found):
    return {row["arm"]: row for row in reported_table(analyse(found)).frame.to_dicts()}


def test_values_differences_and_directions(make_study):
    table = rows(study(make_study, ARMS, REPORTED))
    assert list(table) == ["baseline", "decay=off", "decay=fast"]
    base, off, fast = table.values()
    assert (base["reported"], base["reported_difference"], base["direction"]) == (88.92, None, None)
    assert round(off["reported_difference"], 2) == -21.25
    assert round(off["difference"], 3) == -0.198
    assert off["direction"] == "same"
    assert fast["direction"] == "not shown"


def test_an_opposite_direction_is_said(make_study):
    worse = {**ARMS, "decay=off": [0.90, 0.91, 0.92, 0.93, 0.94, 0.95]}
    assert rows(study(make_study, worse, REPORTED))["decay=off"]["direction"] == "opposite"


def test_lower_may_be_better_there(make_study):
    perplexity = {**REPORTED, "lower_is_better": True}
    assert rows(study(make_study, ARMS, perplexity))["decay=off"]["direction"] == "opposite"


def test_it_is_in_every_format_with_its_sources(make_study):
    found = study(make_study, ARMS, REPORTED)
    report = make_report(found, draw=False)
    written = contents(report, ("markdown", "html"))
    for text in (markdown(found), *(data.decode() for data in written.values())):
        assert "88.9" in text
        assert "other hardware, data and code" in text
        assert "decay=fast: from memory" in text
    assert reported_table(analyse(found)).columns[0].title == "arm"


def test_several_tables_are_told_apart(make_study):
    other = {**REPORTED, "task": "Image", "rows": ROWS[:2]}
    table = reported_table(analyse(study(make_study, ARMS, REPORTED, other)))
    assert [cells[0] for cells in table.cells()] == ["[1]", "[1]", "[1]", "[2]", "[2]"]
    assert [note[:3] for note in table.notes[1:]] == ["[1]", "[2]"]


def test_without_a_suite_there_is_no_table(make_study):
    nothing = study(make_study, ARMS)
    assert reported_table(analyse(nothing)).frame.is_empty()
    assert "other hardware" not in markdown(nothing)


def test_without_the_papers_baseline_there_is_no_table(make_study):
    alone = {**REPORTED, "rows": ROWS[1:]}
    assert reported_table(analyse(study(make_study, ARMS, alone))).frame.is_empty()


def test_figures_from_memory_are_shown_only_when_asked_for_and_say_so(make_study):
    unsure = [*ROWS[:2], {"arm": "decay=fast", "value": 90.0, "status": "memory"}]
    found = analyse(study(make_study, ARMS, {**REPORTED, "rows": unsure}))
    assert list(reported_table(found).frame["arm"]) == ["baseline", "decay=off"]
    table = reported_table(found, memory=True)
    assert list(table.frame["arm"]) == ["baseline", "decay=off", "decay=fast"]
    assert "decay=fast: from memory, not confirmed" in table.notes[-1]


def test_without_a_confirmed_baseline_nothing_is_compared(make_study):
    unsure = [{**ROWS[0], "status": "memory"}, *ROWS[1:]]
    found = analyse(study(make_study, ARMS, {**REPORTED, "rows": unsure}))
    assert reported_table(found).frame.is_empty()


def test_the_direction_of_a_loss_here_is_turned_round(make_study):
    """A lower loss than the baseline's is better, as a higher accuracy in the paper is."""
    primary = {"metric": "loss", "split": "test", "slice": "all"}
    losses = [
        {"arm": name, "seed": s, "split": "test", "slice": "all", "metric": "loss", "value": v}
        for name, values in ARMS.items()
        for s, v in enumerate(values)
    ]
    for theirs, expected in (
        (REPORTED, "opposite"),
        (REPORTED | {"lower_is_better": True}, "same"),
    ):
        plan = {"suite": {"name": "s", "reported": [theirs]}, "primary": primary, "chance": None}
        name = f"loss-{expected}"
        found = make_study(ARMS, name=name, plan=plan, rows=losses)
        assert rows(found)["decay=off"]["direction"] == expected
