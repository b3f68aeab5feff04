import json
from functools import partial

import polars as pl
import pytest

from reports.build import Order, build, gather, main, make_report
from reports.facts import facts
from reports.merging import merged
from reports.pooling import pool
from sweeps.results import read_study, write_results

BASE, UP = [0.50, 0.52, 0.51, 0.53, 0.50, 0.52], [0.60, 0.63, 0.61, 0.62, 0.60, 0.64]
MQAR = {"kind": "mqar", "length": 64, "num_pairs": 4, "seed": 0}


@pytest.fixture
def write(tmp_path, synthetic):
    """Writes a study below a folder of its own; `seeds`: only these, of those given."""

    def make(where, arms, seeds=None, **fields):
        if seeds is not None:
            fields["plan"] = {"seeds": list(seeds), **fields.get("plan", {})}
        directory = synthetic(arms, **fields).write(tmp_path / where)
        if seeds is not None:
            path = directory / "results.parquet"
            write_results(path, pl.read_parquet(path).filter(pl.col("seed").is_in(list(seeds))))
        return directory

    return make


def on_task(task, arm_fields=None):
    """Fields of a study on another task."""
    train = {"lr": 0.003, "steps": 500}
    experiment = {"task": task, "model": {"depth": 2}, "train": train, "seed": 0}
    entries = {"experiment": experiment, **(arm_fields or {})}
    return {
        "plan": {"task": task["kind"]},
        "entries": {"baseline": entries, "decay=off": entries},
        "name": f"on-{task['kind']}",
    }


make = partial(make_report, draw=False)


# ---------------------------------------------------------------------------------- one task


def test_further_seeds_are_pooled_into_one_contrast(write):
    arms = {"baseline": BASE, "decay=off": UP}
    parts = [write("a", arms, range(3)), write("b", arms, range(3, 6))]
    whole = make(read_study(write("c", arms)))
    study = pool([read_study(part) for part in parts])
    report = make(study)
    assert study.plan["seeds"] == [0, 1, 2, 3, 4, 5]
    assert report.analysis.arms == whole.analysis.arms
    assert make(read_study(parts[0])).analysis.underpowered
    assert not report.analysis.underpowered


def test_further_arms_share_the_baseline_and_count_its_runs_once(write):
    a = write("a", {"baseline": BASE, "decay=off": UP}, name="first")
    b = write("b", {"baseline": BASE, "length=off": UP}, name="second")
    document = merged([read_study(a), read_study(b)], make)
    [chapter] = document.chapters
    outcome = chapter.tables[0].frame
    assert outcome["arm"].to_list() == ["baseline", "decay=off", "length=off"]
    assert outcome["n"].to_list() == [6, 6, 6]
    assert outcome["pairs"].to_list() == [None, 6, 6]
    assert document.words == (
        "Pooled from 2 studies: first (2 arms, 6 seeds); second (2 arms, 6 seeds). "
        "6 runs in more than one of them agree and count once.",
    )
    assert [str(study.plan["study"]) for study in document.sources] == ["first", "second"]


def test_runs_of_three_studies_are_counted_once(write):
    names = {"first": "decay=off", "second": "length=off", "third": "gating=off"}
    parts = [write(name, {"baseline": BASE, arm: UP}, name=name) for name, arm in names.items()]
    document = merged([read_study(part) for part in parts], make)
    assert "6 runs in more than one of them agree and count once." in document.words[0]


def test_arms_of_unequal_seeds_say_so_in_caption_and_methods(write):
    a = write("a", {"baseline": BASE, "decay=off": UP}, range(6), name="first")
    b = write("b", {"baseline": BASE, "length=off": UP}, range(4), name="second")
    [chapter] = merged([read_study(a), read_study(b)], make).chapters
    assert "4 to 6 seeds" in chapter.tables[0].caption
    assert "trained with 4 to 6 seeds, not the same in each," in chapter.methods


def test_an_arm_is_not_missing_seeds_that_were_not_planned_for_it(write):
    a = write("a", {"baseline": BASE, "decay=off": UP}, range(6))
    b = write("b", {"baseline": BASE, "length=off": [*UP[:2], None]}, range(3))
    parts = [read_study(a), read_study(b)]
    assert {arm.name: (arm.planned, arm.missing) for arm in make(pool(parts)).analysis.arms} == {
        "baseline": (6, 0),
        "decay=off": (6, 0),
        "length=off": (3, 1),
    }
    assert merged(parts, make).chapters[0].limits[-1] == (
        "The arms have different seeds: baseline 0 to 5; decay=off 0 to 5; length=off 0 to 2."
    )


def test_a_run_that_failed_in_one_part_is_taken_from_the_other(write):
    a = write("a", {"baseline": BASE, "decay=off": [None, *UP[1:]]})
    b = write("b", {"baseline": BASE, "decay=off": UP})
    for parts in ((a, b), (b, a)):
        study = pool([read_study(part) for part in parts])
        assert study.results.filter(pl.col("status") != "finished").is_empty()
        assert make(study).analysis.arms[1].values == dict(enumerate(UP))


def refusal(*directories):
    with pytest.raises(ValueError) as error:  # noqa: PT011  the caller looks at the message
        merged([read_study(each) for each in directories], make)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_runs_that_disagree_are_refused(write):
    a = write("a", {"baseline": BASE, "decay=off": UP}, name="first")
    b = write("b", {"baseline": BASE, "decay=off": [*UP[:4], 0.7, UP[5]]}, name="second")
    assert refusal(a, b) == (
        "not to be pooled: test accuracy of decay=off seed 4 is 0.6 in first and 0.7 in second, "
        "of the same run"
    )


def test_runs_of_one_seed_with_other_fingerprints_are_refused(write):
    a = write("a", {"baseline": BASE}, name="first")
    b = write("b", {"baseline": BASE}, name="second")
    path = b / "results.parquet"
    write_results(path, pl.read_parquet(path).with_columns(fingerprint=pl.lit("ff")))
    assert "baseline seed 0 is run" in refusal(a, b)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"plan": {"primary": {"metric": "loss", "split": "test", "slice": "all"}}},
            "the primary outcome is accuracy test all in first and loss test all in second",
        ),
        ({"plan": {"trials": 5}}, "trials is 0 in first and 5 in second"),
        ({"plan": {"base": "sgconv"}}, "base is all-on in first and sgconv in second"),
        ({"plan": {"gain": "keep"}}, "gain is init in first and keep in second"),
        ({"lr": {"decay=off": 0.01}}, "decay=off has train.lr 0.003 in first and 0.01 in second"),
    ],
)
def test_what_is_not_one_experiment_is_refused(write, fields, message):
    arms = {"baseline": BASE, "decay=off": UP}
    a = write("a", arms, range(3), name="first")
    b = write("b", arms, range(3, 6), name="second", **fields)
    if "lr" in fields:
        path = b / "plan.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"seeds": [3, 4, 5]}))
    assert message in refusal(a, b)


def test_an_arm_of_another_configuration_is_refused(write):
    arms = {"baseline": BASE, "decay=off": UP}
    a = write("a", arms, name="first")
    plan = json.loads((a / "plan.json").read_text())
    other = plan["arms"][1]["experiment"] | {"model": {"depth": 2, "width": 64}}
    b = write("b", arms, name="second", entries={"decay=off": {"experiment": other}})
    assert "decay=off has model.width 32 in first and 64 in second" in refusal(a, b)


# --------------------------------------------------------------------------- several tasks


@pytest.fixture
def two_tasks(write):
    up = [value + 0.2 for value in UP]
    return (
        write("out", {"baseline": BASE, "decay=off": UP}, **on_task(MQAR)),
        write("out", {"baseline": UP, "decay=off": up}, **on_task({"kind": "copying", "seed": 0})),
    )


def test_other_tasks_get_a_chapter_each_and_one_together(two_tasks):
    document = merged([read_study(each) for each in two_tasks], make)
    assert document.title == "all-on on mqar, copying"
    assert [chapter.title for chapter in document.chapters] == ["Across tasks", "mqar", "copying"]
    names = [table.name for table in document.tables]
    assert len(set(names)) == len(names)
    assert {"across-by-task", "mqar-outcome", "copying-outcome"} <= set(names)
    by_task = document.chapters[0].tables[0].frame
    assert by_task["mqar mean"].to_list() == pytest.approx([sum(BASE) / 6, sum(UP) / 6])
    assert by_task["copying difference"][1] == pytest.approx(0.2)
    aggregates = document.chapters[0].tables[1].frame
    assert aggregates["runs"].to_list() == [12, 12]
    assert aggregates["mean"][0] == pytest.approx((sum(BASE) + sum(UP)) / 12)
    assert aggregates["improvement"][1] == 1.0  # every run of the arm beats every other
    [sentence] = document.chapters[0].found
    assert sentence.startswith("decay=off: better than baseline on 2 and worse on 0 of 2 tasks")


def test_tasks_of_one_kind_are_told_apart_by_what_differs(write):
    arms = {"baseline": BASE, "decay=off": UP}
    longer = MQAR | {"length": 128}
    parts = [write("a", arms, **on_task(MQAR)), write("b", arms, **on_task(longer))]
    document = merged([read_study(each) for each in parts], make)
    assert [c.title for c in document.chapters[1:]] == ["mqar length=64", "mqar length=128"]
    keys = [chapter.key for chapter in document.chapters[1:]]
    assert keys == ["mqar-length-64", "mqar-length-128"]


def test_what_differs_besides_the_task_is_said(write):
    arms = {"baseline": BASE, "decay=off": UP}
    other = on_task({"kind": "copying", "seed": 0})
    for entry in other["entries"].values():
        entry["experiment"] |= {"train": {"lr": 0.003, "steps": 900}}
    parts = [write("a", arms, **on_task(MQAR)), write("b", arms, **other)]
    document = merged([read_study(each) for each in parts], make)
    assert document.chapters[0].limits == (
        "Not the task alone differs: train.steps is 500 on mqar, 900 on copying.",
    )


def test_tasks_of_which_none_has_a_run_of_every_arm_are_shown_one_by_one(write):
    none, copying = [None] * 6, on_task({"kind": "copying", "seed": 0})
    parts = [
        write("a", {"baseline": BASE, "decay=off": none}, **on_task(MQAR)),
        write("b", {"baseline": none, "decay=off": UP}, **copying),
    ]
    drawn = merged([read_study(each) for each in parts], make, draw=True)
    first = drawn.chapters[0]
    assert [table.name for table in first.tables] == ["across-by-task"]
    assert "across-overview" in [picture.name for picture in first.pictures]
    assert "across-profiles" not in [picture.name for picture in first.pictures]
    assert first.limits[0] == (
        "Nothing is said of all tasks together: on each of them an arm has no run."
    )
    assert first.found == (
        "decay=off: better than baseline on 0 and worse on 0 of 2 tasks, as their tests say "
        "(p (Holm) < 0.05).",
    )
    assert "interquartile" not in first.methods
    assert [chapter.title for chapter in drawn.chapters[1:]] == ["mqar", "copying"]
    assert main([*map(str, parts), "format=markdown,html,csv,latex"]) == 0


def test_tasks_with_other_arms_or_bases_are_refused(write):
    a = write("a", {"baseline": BASE, "decay=off": UP}, **on_task(MQAR))
    fields = on_task({"kind": "copying", "seed": 0})
    fields["entries"]["length=off"] = fields["entries"].pop("decay=off")
    b = write("b", {"baseline": BASE, "length=off": UP}, **fields)
    assert "there is no arm 'decay=off' in all-on on copying; each=yes" in refusal(a, b)
    fields = on_task({"kind": "copying", "seed": 0})
    fields["plan"] |= {"base": "sgconv"}
    c = write("c", {"baseline": BASE, "decay=off": UP}, **fields)
    assert "the base is all-on in" in refusal(a, c)


# ---------------------------------------------------------------------------- the program


def test_several_studies_go_into_a_new_directory_with_their_sources(two_tasks, capsys):
    (two_tasks[0] / "provenance.json").write_text('{"git_commit": "ab12"}')
    assert main([*map(str, two_tasks), "format=markdown,html,csv"]) == 0
    written = capsys.readouterr().out.split()
    [directory] = [p for p in two_tasks[0].parent.iterdir() if p.name.startswith("all-on-on-mqar")]
    assert len(directory.name.rpartition("-")[2]) == 8
    assert {str(p) for p in directory.rglob("*") if p.is_file()} == set(written)
    sources = json.loads((directory / "provenance.json").read_text())["sources"]
    assert [each["study"] for each in sources] == ["on-mqar", "on-copying"]
    assert sources[0]["provenance"] == {"git_commit": "ab12"}
    assert sources[0]["directory"] == two_tasks[0].as_posix()
    assert "ab12" in (directory / "report.html").read_text()
    assert not (two_tasks[0] / "report.md").exists()
    before = (directory / "report.html").read_bytes()
    assert main([*map(str, two_tasks), "format=html"]) == 0
    assert (directory / "report.html").read_bytes() == before


def test_each_writes_the_reports_that_were_asked_for(two_tasks):
    written = build(Order(tuple(map(str, two_tasks)), formats=("markdown",), each=True))
    assert written == tuple(each / "report.md" for each in two_tasks)


def test_into_names_the_directory_and_no_study_is_overwritten(two_tasks, tmp_path, capsys):
    words = [*map(str, two_tasks), "format=markdown"]
    assert main([*words, f"into={tmp_path / 'new'}"]) == 0
    assert (tmp_path / "new" / "report.md").is_file()
    assert main([str(two_tasks[0]), "format=csv", f"into={tmp_path / 'one'}"]) == 0
    assert (tmp_path / "one" / "tables" / "outcome.csv").is_file()
    capsys.readouterr()
    assert main([*words, f"into={two_tasks[1]}"]) == 2
    assert "plan.json is there; name a new directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare=x", "each=yes"], "each=yes writes into the studies' own directories"),
        (["each=maybe"], "each=maybe: choose from no, yes"),
        (["style=acl"], "style=acl: choose from plain, neurips, icml"),
        (["compare=nowhere"], "name one directory and compare=OTHER"),
    ],
)
def test_words_that_contradict_are_one_line(two_tasks, words, message, capsys):
    assert main([*map(str, two_tasks), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_study_named_twice_is_one_line(two_tasks, capsys):
    assert main([str(two_tasks[0]), f"{two_tasks[0]}/"]) == 2
    assert capsys.readouterr().err == "a study is named twice\n"


# ---------------------------------------------------------------------------- side by side


@pytest.fixture
def compared(write):
    """Two studies: in the second the baseline is 0.1 better and the arm's difference 0.05 less."""
    arms = {"baseline": BASE, "decay=off": UP, "length=off": UP}
    lifted = [value + 0.1 for value in BASE]
    less = [value + 0.05 for value in UP]
    first = write("a", arms, name="first")
    experiment = json.loads((first / "plan.json").read_text())["arms"][0]["experiment"]
    experiment["train"]["steps"] = 900
    entries = {name: {"experiment": experiment} for name in ("baseline", "decay=off")}
    second = write("b", {"baseline": lifted, "decay=off": less}, name="second", entries=entries,
                   lr={"decay=off": 0.01})  # fmt: skip
    (first / "provenance.json").write_text('{"git_commit": "aa", "versions": {"torch": "2.10"}}')
    (second / "provenance.json").write_text('{"git_commit": "bb", "versions": {"torch": "2.10"}}')
    return gather(Order((str(first),), compare=str(second), formats=("markdown",)))


def test_arms_of_one_name_are_matched_and_their_differences_compared(compared):
    comparison = compared.chapters[0]
    table = comparison.tables[0].frame
    assert table["arm"].to_list() == ["baseline", "decay=off"]
    assert table["change"].to_list() == pytest.approx([0.1, 0.05])
    row = table.row(1, named=True)
    assert row["second_difference"] - row["first_difference"] == pytest.approx(-0.05)
    assert row["twofold"] == pytest.approx(-0.05)
    assert row["twofold_low"] < -0.05 < row["twofold_high"]
    assert "Only in first: length=off." in comparison.limits
    assert [chapter.title for chapter in compared.chapters] == ["Side by side", "first", "second"]


def test_what_differs_in_the_configurations_is_listed_once(compared):
    rows = compared.chapters[0].tables[1].frame.rows()
    assert ("all arms", "train.steps", "500", "900") in rows
    assert ("decay=off", "train.lr", "0.003", "0.01") in rows
    assert ("code", "git_commit", "aa", "bb") in rows
    assert not [row for row in rows if "torch" in row[1] or "seed" in row[1]]
    assert len(rows) == len(set(rows)) == 3


def test_other_outcomes_are_not_compared(write):
    a = write("a", {"baseline": BASE})
    plan = {"primary": {"metric": "loss", "split": "test", "slice": "all"}}
    b = write("b", {"baseline": BASE}, plan=plan)
    with pytest.raises(ValueError, match="the primary outcomes differ: accuracy test all and loss"):
        gather(Order((str(a),), compare=str(b)))


def test_studies_without_a_common_arm_are_not_compared(write):
    a, b = write("a", {"baseline": BASE}), write("b", {"other": BASE})
    with pytest.raises(ValueError, match="have no arm of one name"):
        gather(Order((str(a),), compare=str(b)))


# --------------------------------------------------------------------------- what is told first


def told(*directories):
    return {name: (value, warn) for name, value, warn in facts(list(map(read_study, directories)))}


def test_a_run_of_two_studies_is_told_once(write):
    arms = {"baseline": BASE, "decay=off": [None, *UP[1:]]}
    a = write("a", arms, name="first", status={("decay=off", 5): "diverged"})
    b = write("b", {"baseline": BASE, "length=off": UP}, name="second")
    assert told(a)["runs"] == ("11 of 12", True)
    assert told(a, b)["runs"] == ("17 of 18", True)
    assert told(a, b)["diverged"] == ("1", True)
    assert told(a, b)["arms"] == ("3", False)
    assert told(a, b)["training time"] == ("1 min", False)


def test_runs_of_another_configuration_are_other_runs(write):
    a = write("a", {"baseline": BASE}, name="first")
    experiment = json.loads((a / "plan.json").read_text())["arms"][0]["experiment"]
    experiment["train"]["steps"] = 900
    entries = {"baseline": {"experiment": experiment}}
    b = write("b", {"baseline": [None, *BASE[1:]]}, name="second", entries=entries)
    assert told(a, b)["runs"] == ("11 of 12", True)
