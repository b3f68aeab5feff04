"""The sentences: what may be said, and what may not."""

import json

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from reports.build import make_report, markdown
from reports.contrast import analyse
from reports.findings import sentences
from reports.power import seeds_for, smallest_difference
from reports.study_tables import outcome_table
from sweeps.results import read_study

BASE = [0.50, 0.55, 0.45, 0.60, 0.52, 0.48]


def found(study):
    return make_report(study, draw=False).found


def test_a_shown_difference(make_study):
    study = make_study(
        {"baseline": BASE, "decay=off": [b + 0.1 + i / 100 for i, b in enumerate(BASE)]}
    )
    assert found(study) == (
        "decay=off changed test accuracy by +0.125 (95 % CI +0.105 to +0.145; p = 0.031 Holm), "
        "from 0.517 to 0.642, over 6 paired seeds. "
        "By ranks: r = +1.00, Wilcoxon p = 0.031 (uncorrected, descriptive).",
    )


def test_no_difference_shown_is_not_no_effect(make_study):
    changes = (0.02, -0.03, 0.01, 0.02, -0.01, 0.0)
    values = [b + c for b, c in zip(BASE, changes, strict=True)]
    (sentence,) = found(make_study({"baseline": BASE, "decay=off": values}))
    assert sentence.startswith(
        "decay=off: no difference in test accuracy was shown (+0.002, 95 % CI"
    )
    assert "a difference of up to 0.022 is compatible with these 6 paired seeds" in sentence
    assert "no effect" not in sentence
    assert "changed" not in sentence


def test_a_small_interval_that_the_corrected_test_does_not_support(make_study):
    """Six arms of eight seeds: one seed of the other sign leaves p above 0.05 after Holm."""
    base = [0.5 + i / 100 for i in range(8)]
    one_off = [b + d for b, d in zip(base, [0.1] * 7 + [-0.02], strict=True)]
    noise = [b + 0.01 * (-1) ** i for i, b in enumerate(base)]
    arms = {"baseline": base, "a": one_off} | dict.fromkeys("bcdef", noise)
    sentence = found(make_study(arms))[0]
    assert "a changed test accuracy by +0.085" in sentence
    assert f"p = {6 * 4 / 2**8:.2g} Holm, not significant)" in sentence


def near(base, spread):
    return [b + spread * (-1) ** i * (1 + i / 10) for i, b in enumerate(base)]


def test_equivalence_is_said_where_it_was_shown(make_study):
    (sentence,) = found(make_study({"baseline": BASE, "decay=off": near(BASE, 0.001)}))
    assert "no difference in test accuracy was shown" in sentence
    assert "Equivalent within ±0.01, this tool's default margin (TOST p < 0.0001 Holm, " in sentence
    interval = ttest_1samp(np.subtract(near(BASE, 0.001), BASE), 0).confidence_interval(0.9)
    assert f"90 % CI {interval.low:+.4f} to {interval.high:+.4f})." in sentence
    assert "would be needed" not in sentence


def test_the_plan_s_margin_is_called_so(make_study):
    plan = {"primary": {"metric": "accuracy", "split": "test", "slice": "all", "margin": 0.05}}
    study = make_study({"baseline": BASE, "decay=off": near(BASE, 0.01)}, plan=plan)
    assert "Equivalent within ±0.05, the margin of the plan (TOST" in found(study)[0]
    assert "within a margin of ±0.05 (named in the plan)" in make_report(study, draw=False).methods


def test_a_difference_may_be_shown_and_small(make_study):
    values = [b + 0.002 + 0.0001 * i for i, b in enumerate(BASE)]
    (sentence,) = found(make_study({"baseline": BASE, "decay=off": values}))
    assert sentence.startswith("decay=off changed test accuracy by +0.002")
    assert "Equivalent within ±0.01" in sentence


def test_equivalence_is_never_said_of_too_few_seeds(make_study):
    study = make_study({"baseline": BASE[:5], "decay=off": near(BASE[:5], 0.001)})
    assert "quivalen" not in " ".join((*found(study), make_report(study, draw=False).methods))


def test_what_it_would_take_to_show_a_difference(make_study):
    (sentence,) = found(make_study({"baseline": BASE, "decay=off": near(BASE, 0.02)}))
    d = np.subtract(near(BASE, 0.02), BASE)
    seeds = seeds_for(0.01, d.std(ddof=1))
    assert (
        f"To show a difference of 0.01 with 80 % power, about {seeds} seeds would be needed "
        f"(standard deviation of the paired differences {d.std(ddof=1):.2g})."
    ) in sentence
    assert "Equivalent" not in sentence


def test_what_these_seeds_can_show_where_no_margin_is_known(make_study):
    plan = {"primary": {"metric": "loss", "split": "test", "slice": "all"}}
    rows = [
        {"arm": a, "seed": s, "split": "test", "slice": "all", "metric": "loss", "value": v}
        for a, values in (("baseline", BASE), ("decay=off", near(BASE, 0.02)))
        for s, v in enumerate(values)
    ]
    study = make_study({"baseline": BASE, "decay=off": BASE}, rows=rows, plan=plan)
    shown = smallest_difference(6, np.subtract(near(BASE, 0.02), BASE).std(ddof=1))
    assert f"With 80 % power, 6 seeds show a difference of about {shown:.2g}." in found(study)[0]
    text = make_report(study, draw=False).methods
    assert "Equivalence" not in text
    assert "differences that can be shown, are for 80 % power" in text


def test_an_interval_of_no_width_is_explained(make_study):
    (sentence,) = found(make_study({"baseline": [0.5] * 6, "decay=off": [0.7] * 6}))
    assert "+0.200 to +0.200" in sentence
    assert "All differences are equal: such an interval says nothing of other seeds." in sentence


def test_p_values_too_small_to_print_are_below(make_study):
    base = [0.5 + i / 100 for i in range(16)]
    study = make_study({"baseline": base, "decay=off": [b + 0.2 + b / 9 for b in base]})
    assert "p < 0.0001 Holm" in found(study)[0]


def test_underpowered_is_said_with_the_interval_and_without_p(make_study):
    study = make_study({"baseline": BASE[:3], "decay=off": [0.7, 0.76, 0.64]})
    (sentence,) = found(study)
    assert sentence.startswith("decay=off changed test accuracy by +0.2")
    assert "underpowered: no test" in sentence
    assert "p =" not in sentence
    assert "3 paired seeds and 1 contrast cannot give a Holm p below 0.25" in markdown(study)


def test_without_a_chance_score_a_diverged_run_is_missing_and_said_so(make_study):
    arms = {"baseline": [0.5] * 6, "x": [0.6, 0.7, 0.6, 0.7, 0.6, None]}
    analysis = analyse(make_study(arms, status={("x", 5): "diverged"}, plan={"chance": None}))
    (sentence,) = sentences(analysis)
    assert "1 of 6 runs diverged without a score." in sentence
    assert "1 of 6 planned runs is missing." in sentence
    notes = " ".join(outcome_table(analysis).notes)
    assert "Diverged runs have no score here and are missing." in notes
    assert "chance score" not in notes


def test_nothing_to_compare(make_study):
    (sentence,) = found(make_study({"baseline": BASE, "decay=off": [None] * 6}))
    assert sentence == (
        "decay=off: no seed has a value in both arms, so there is nothing to compare. "
        "6 of 6 planned runs are missing."
    )


def two_arms(base, other):
    noise = [0.001 * i for i in range(6)]
    return {"baseline": [base + n for n in noise], "decay=off": [other + n for n in noise]}


def test_a_shortcut_is_a_floor_too(make_study):
    """An arm that scores what the last token alone gives has not learned the task."""
    plan = {"floors": {"last token": 0.36, "length": 0.2}}
    study = make_study(two_arms(0.33, 0.36), plan=plan)
    (sentence,) = found(study)
    assert "Neither arm is more than 0.05 above last token (0.360)" in sentence
    (sentence,) = found(make_study(two_arms(0.33, 0.45), plan=plan, name="learned"))
    assert "Neither" not in sentence
    scores = "0.100 by chance, 0.200 by length, 0.360 by last token."
    assert f"without solving it: {scores}" in make_report(study, draw=False).methods
    assert f"Without solving the task: {scores}" in markdown(study)


@pytest.mark.parametrize(
    ("base", "other", "words"),
    [
        (0.11, 0.13, "Neither arm is more than 0.05 above chance (0.100)"),
        (0.985, 0.992, "Both arms are above 0.98"),
        (0.11, 0.3, None),
        (0.9, 0.99, None),
    ],
)
def test_floor_and_ceiling(make_study, base, other, words):
    (sentence,) = found(make_study(two_arms(base, other)))
    assert ("Neither arm" in sentence or "Both arms" in sentence) is (words is not None)
    assert words is None or words in sentence


def test_a_weak_switch_is_said_in_its_sentence(make_study):
    arms = {"baseline": BASE, "decay=off": BASE[::-1]}
    entries = {"decay=off": {"treatment_strength": 0.07}}
    (sentence,) = found(make_study(arms, entries=entries))
    assert "Treatment strength 7 % is below 10 %: the switch is too weak to test." in sentence
    entries = {"decay=off": {"treatment_strength": 0.11}}
    assert "weak" not in found(make_study(arms, entries=entries, name="strong"))[0]


def test_the_baseline_s_own_caveats_have_a_line(make_study):
    arms = {"baseline": BASE, "decay=off": BASE[::-1]}
    study = make_study(arms, still_improving={("baseline", 1), ("baseline", 4)})
    assert found(study)[1].startswith("baseline: Still improving at the last step in 2 of 6 runs")


def test_results_of_two_codes_have_a_footnote(make_study):
    study = make_study({"baseline": BASE, "decay=off": BASE[::-1]})
    run = study.directory.parent / "runs" / study.runs["fingerprint"][0] / "result.json"
    for i, run in enumerate(sorted((study.directory.parent / "runs").glob("*/result.json"))):
        run.write_text(f'{{"identity": {{"code": "{"ab"[i % 2]}"}}}}')
    assert "These runs come from 2 versions of the code (reuse=yes)." in markdown(
        read_study(study.directory)
    )
    assert "versions of the code" not in markdown(study)


def test_methods_are_written_from_the_plan(rich_study):
    text = make_report(read_study(rich_study), draw=False).methods
    for part in (
        "Task: selective-copying (length 64, num_tokens 6); without solving it: 0.100 by chance.",
        "Baseline: all-on (depth 2, width 32, 10,000 parameters), with the settings depth=2",
        "AdamW (weight decay 0.01, batch size 64, 500 steps), linear warm-up over 10 % of the",
        "5 trials between 0.0001 and 0.1, on the validation split on 1 seed (10000), disjoint",
        "8 seeds (0 to 7)",
        "named before training, is test accuracy",
        "all 2^n sign flips, two-sided), corrected by Holm over 3 contrasts",
        "Kernel gain: init, in all arms",
        "All seeds share the task's validation and test sets (task seed 0)",
        "not about other tasks, test sets or a repeated tuning.",
        "the model at the last step is evaluated, on the test split once.",
        "that of the best validation accuracy was used.",
        "within a margin of ±0.01 (this tool's default), corrected by Holm over 3 contrasts as a",
        "All other numbers are descriptive, Wilcoxon's signed-rank p",
        "The runs were made on cpu.",
    ):
        assert part in text
    assert "learning rate 0.003" not in text  # each arm has its own


def train(**fields):
    given = {"lr": 0.02, "weight_decay": 0.01, "batch_size": 64, "steps": 500, "warmup": 0.1}
    model = {"depth": 2, "width": 32}
    return {"experiment": {"task": {"kind": "mqar"}, "model": model, "train": given | fields}}


def test_methods_say_what_was_trained_as_given(make_study):
    """Of the baseline, wherever it stands."""
    fields = {"select": "best-validation", "num_train": 4096, "stop_at": 0.99, "clip": 1.0}
    entries = {"decay=off": train(lr=9.0), "baseline": train(**fields)}
    study = make_study({"decay=off": BASE, "baseline": BASE}, entries=entries)
    text = make_report(study, draw=False).methods
    assert (
        "AdamW (learning rate 0.02, weight decay 0.01, batch size 64, 500 steps, on a fixed set of "
        "4,096 examples, gradient norm clipped at 1, stopped at validation accuracy 0.99)"
    ) in text
    assert "the model of the best validation score is evaluated, on the test split once." in text


def test_methods_do_not_state_what_was_searched_for(make_study):
    space = {"train.lr": "[1e-4, 0.1]", "train.weight_decay": "[1e-4, 1]", "model.width": "[8, 64]"}
    search = {"space": space, "sampler": "tpe", "pruner": "none", "objectives": [], "seeds": 1}
    study = make_study(
        {"baseline": BASE}, plan={"trials": 9, "search": search}, entries={"baseline": train()}
    )
    text = make_report(study, draw=False).methods
    assert "Baseline: all-on (depth 2, 10,000 parameters)" in text
    assert "AdamW (batch size 64, 500 steps)" in text
    assert "train.weight_decay in [1e-4, 1]" in text


def test_methods_name_the_machine(make_study):
    study = make_study({"baseline": BASE})
    said = {"hardware": {"processor": "A Chip <9>"}, "torch": "2.13.0"}
    (study.directory / "provenance.json").write_text(json.dumps(said))
    text = make_report(read_study(study.directory), draw=False).methods
    assert text.endswith("The runs were made on cpu (A Chip <9>) with torch 2.13.0.")


def test_methods_of_a_plan_that_says_little(make_study):
    study = make_study({"baseline": BASE[:2], "b": BASE[2:4]}, entries={
        "baseline": {"experiment": {}}})  # fmt: skip
    text = make_report(study, draw=False).methods
    assert "Nothing was tuned: every arm was trained exactly as given." in text
    assert "No test was made: with so few seeds none could reach 0.05." in text
    assert "Training:" not in text


def test_enough_seeds_for_the_margin_are_not_called_too_few(make_study):
    """Between no difference and the margin: neither was shown, and more seeds were not missing."""
    base = [0.5 + 0.01 * i for i in range(16)]
    values = [b + 0.028 + 0.053 * (-1) ** i for i, b in enumerate(base)]
    plan = {"primary": {"metric": "accuracy", "split": "test", "slice": "all", "margin": 0.05}}
    study = make_study({"baseline": base, "decay=off": values}, plan=plan)
    contrast = make_report(study, draw=False).analysis.others[0].contrast
    assert 0 < contrast.seeds_for <= 16
    (sentence,) = found(study)
    assert "no difference in test accuracy was shown" in sentence
    assert "Equivalent" not in sentence
    assert "would be needed" not in sentence
    assert "With 80 % power, 16 seeds show a difference of about" in sentence


def of_metric(metric, **arms):
    """Fields of a study whose primary outcome is not the accuracy."""
    rows = [
        {"arm": a, "seed": s, "split": "test", "slice": "all", "metric": metric, "value": v}
        for a, values in arms.items()
        for s, v in enumerate(values)
    ]
    primary = {"metric": metric, "split": "test", "slice": "all"}
    return {"rows": rows, "plan": {"primary": primary, "chance": None}}


def test_a_small_difference_that_was_shown_is_not_printed_as_none(make_study):
    base = [0.99931 + i * 1e-5 for i in range(8)]
    values = [b - 0.0003 - (i % 3) * 1e-5 for i, b in enumerate(base)]
    (sentence,) = found(make_study({"baseline": base, "x": values}))
    assert sentence.startswith(
        "x changed test accuracy by -0.0003 (95 % CI -0.0003 to -0.0003; p = 0.0078 Holm), "
        "from 0.9993 to 0.9990, over 8 paired seeds."
    )


def test_a_small_loss_is_not_printed_as_none(make_study):
    base = [2e-4 + i * 1e-5 for i in range(8)]
    values = [b - 1e-5 - i * 1e-6 for i, b in enumerate(base)]
    arms = dict.fromkeys(("baseline", "x"), [0.5] * 8)
    study = make_study(arms, **of_metric("kl_bits", baseline=base, x=values))
    report = make_report(study, draw=False)
    (sentence,) = report.found
    assert "changed test kl_bits by -1e-05 (95 % CI -2e-05 to -1e-05; p = 0.0078 Holm)" in sentence
    outcome = next(table for table in report.tables if table.name == "outcome")
    assert "0.0000" not in " ".join(str(cell) for row in outcome.cells() for cell in row)


def test_a_wide_interval_has_fewer_digits(make_study):
    values = [b + 0.4 * (-1) ** i for i, b in enumerate(BASE)]
    (sentence,) = found(make_study({"baseline": BASE, "x": values}))
    assert "(+0.00, 95 % CI -0.46 to +0.46; p = 1 Holm)" in sentence
    assert "a difference of up to 0.46 is compatible" in sentence
