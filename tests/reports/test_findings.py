"""The sentences: what may be said, and what may not."""

import pytest

from reports.build import make_report, markdown
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


def test_underpowered_is_said_with_the_interval_and_without_p(make_study):
    study = make_study({"baseline": BASE[:3], "decay=off": [0.7, 0.76, 0.64]})
    (sentence,) = found(study)
    assert sentence.startswith("decay=off changed test accuracy by +0.2")
    assert "underpowered: no test" in sentence
    assert "p =" not in sentence
    assert "3 paired seeds and 1 contrast cannot give a Holm p below 0.25" in markdown(study)


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
    ):
        assert part in text


def test_methods_of_a_plan_that_says_little(make_study):
    study = make_study({"baseline": BASE[:2], "b": BASE[2:4]}, entries={
        "baseline": {"experiment": {}}})  # fmt: skip
    text = make_report(study, draw=False).methods
    assert "Nothing was tuned: every arm was trained exactly as given." in text
    assert "No test was made: with so few seeds none could reach 0.05." in text
    assert "Training:" not in text
