"""What the tables say, in sentences: one per arm, and the caveats of the study."""

from __future__ import annotations

from reports.contrast import WEAK, Analysis, Arm, Contrast
from reports.formats import count, digits_of, fixed, p_value, percent, plural, short, signed
from reports.stats import reachable_p

FLOOR = 0.05  # above chance: less is not learning
CEILING = 0.98
NO_SPREAD = " All differences are equal: such an interval says nothing of other seeds."
PARAMETERS = 0.02  # relative difference that a reader must know of


def sentences(analysis: Analysis) -> tuple[str, ...]:
    """What the study found: each arm against the baseline, then the baseline's own caveats."""
    found = [_arm_sentence(arm, analysis) for arm in analysis.others]
    own = _caveats(analysis.baseline, analysis)
    name = analysis.baseline.name
    return (*found, *([f"{name}: {' '.join(own)}"] if own else []))


def caveats(analysis: Analysis) -> tuple[str, ...]:
    """What limits the whole study."""
    found = [_underpowered(analysis)] if analysis.underpowered else []
    codes = analysis.study.runs["code"].drop_nulls().unique()
    if len(codes) > 1:
        found.append(f"These runs come from {len(codes)} versions of the code (reuse=yes).")
    devices = analysis.study.runs["device"].drop_nulls().unique().sort()
    if len(devices) > 1:
        found.append(f"These runs come from different devices: {', '.join(devices)}.")
    return tuple(found)


def _underpowered(analysis: Analysis) -> str:
    """Of all arms, or, where runs are missing, of those that lost too many."""
    pairs = {arm.name: arm.contrast.difference.n for arm in analysis.others if arm.contrast}
    weak = [arm.name for arm in analysis.others if arm.contrast and arm.contrast.underpowered]
    least = dict(zip(pairs, reachable_p(list(pairs.values())), strict=True))
    fewest = min(weak, key=lambda name: pairs[name])
    which = "" if len(weak) == len(pairs) else f" ({', '.join(weak)})"
    return (
        f"Underpowered{which}: {plural(pairs[fewest], 'paired seed')} and "
        f"{plural(len(pairs), 'contrast')} cannot give a Holm p below {p_value(least[fewest])}: "
        "intervals are printed, tests are not."
    )


def _arm_sentence(arm: Arm, analysis: Analysis) -> str:
    assert arm.contrast is not None
    first = _difference(arm, arm.contrast, analysis)
    further = _ranks(arm.contrast), _equivalence(arm.contrast, analysis), _power(arm.contrast)
    said = (first, *further, *_level(arm, analysis), *_caveats(arm, analysis))
    return " ".join(text for text in said if text)


def _difference(arm: Arm, contrast: Contrast, analysis: Analysis) -> str:
    d, what = contrast.difference, str(analysis.outcome)
    if d.mean is None:
        return f"{arm.name}: no seed has a value in both arms, so there is nothing to compare."
    before, after = _paired_mean(analysis.baseline, arm), _paired_mean(arm, analysis.baseline)
    digits = digits_of([d])
    change = signed(d.mean, digits)
    levels = f"from {fixed(before, digits)} to {fixed(after, digits)}"
    if d.n == 1:
        return (
            f"{arm.name} changed {what} by {change} ({levels}) in a single paired seed: "
            "no interval and no test."
        )
    interval = f"95 % CI {signed(d.low, digits)} to {signed(d.high, digits)}"
    if contrast.identical:
        return (
            f"{arm.name}: {what} is exactly the baseline's in all {d.n} paired seeds; "
            "no difference was shown."
        )
    test = _test(contrast)
    if d.includes_zero:
        largest = max(abs(d.low or 0.0), abs(d.high or 0.0))
        return (
            f"{arm.name}: no difference in {what} was shown ({change}, {interval}{test}); "
            f"a difference of up to {fixed(largest, digits)} is compatible with these {d.n} paired "
            f"seeds{', and the test disagrees with the interval' if contrast.significant else ''}."
        )
    return (
        f"{arm.name} changed {what} by {change} ({interval}{test}), {levels}, "
        f"over {d.n} paired seeds.{'' if contrast.deviation else NO_SPREAD}"
    )


def _ranks(contrast: Contrast) -> str:
    """Beside a difference that was shown; descriptive."""
    if not contrast.significant or contrast.rank_biserial is None:
        return ""
    return (
        f"By ranks: r = {signed(contrast.rank_biserial, 2)}, Wilcoxon {_p(contrast.p_wilcoxon)} "
        "(uncorrected, descriptive)."
    )


def _equivalence(contrast: Contrast, analysis: Analysis) -> str:
    """Only where it was shown: that it was not says no more than the interval."""
    if not contrast.equivalent or contrast.inner is None:
        return ""
    low, high = signed(contrast.inner.low, 4), signed(contrast.inner.high, 4)
    margin = "the margin of the plan" if analysis.margin_named else "this tool's default margin"
    return (
        f"Equivalent within ±{short(contrast.margin)}, {margin} "
        f"(TOST {_p(contrast.p_equivalence_holm)} Holm, 90 % CI {low} to {high})."
    )


def _power(contrast: Contrast) -> str:
    """What it would take, beside a difference that was not shown; nothing of what is no spread."""
    d, s = contrast.difference, contrast.deviation
    if not d.includes_zero or contrast.significant or contrast.equivalent or d.n < 3 or not s:
        return ""
    if contrast.seeds_for is not None and contrast.seeds_for > d.n:
        return (
            f"To show a difference of {short(contrast.margin)} with 80 % power, about "
            f"{count(contrast.seeds_for)} seeds would be needed (standard deviation of the paired "
            f"differences {short(s, 2)})."
        )
    if contrast.mde is None:
        return ""
    shown = short(contrast.mde, 2)
    return f"With 80 % power, {plural(d.n, 'seed')} show a difference of about {shown}."


def _test(contrast: Contrast) -> str:
    if contrast.underpowered:
        return "; underpowered: no test"
    verdict = "" if contrast.significant else ", not significant"
    excludes = not contrast.difference.includes_zero
    return f"; {_p(contrast.p_holm)} Holm{verdict if excludes else ''}"


def _p(value: float | None) -> str:
    """`p = 0.031`, `p < 0.0001`"""
    text = p_value(value)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def _paired_mean(arm: Arm, other: Arm) -> float | None:
    """The mean over the seeds that both have: the two differ by exactly the difference."""
    shared = [value for seed, value in arm.values.items() if seed in other.values]
    return sum(shared) / len(shared) if shared else None


def _level(arm: Arm, analysis: Analysis) -> list[str]:
    """A floor or a ceiling leaves no room for a difference."""
    means = [a.estimate.mean for a in (arm, analysis.baseline)]
    if analysis.outcome.lower_is_better or any(m is None for m in means):
        return []
    low, high = min(m for m in means if m is not None), max(m for m in means if m is not None)
    name, score = next(reversed(analysis.unsolved.items()), ("", None))
    if score is not None and high < score + FLOOR:
        bar = f"{fixed(FLOOR, 2)} above {name} ({fixed(score)})"
        return [
            f"Neither arm is more than {bar}: a task that was not learned tells arms apart badly."
        ]
    if low > CEILING:
        return [f"Both arms are above {CEILING}: there is little room for a difference."]
    return []


def _caveats(arm: Arm, analysis: Analysis) -> list[str]:
    found = []
    if arm.contrast is not None and arm.weak:
        found.append(
            f"Treatment strength {percent(arm.strength)} is below {percent(WEAK)}: "
            "the switch is too weak to test."
        )
    if arm.extra_parameters is not None and abs(arm.extra_parameters) > PARAMETERS:
        more = "more" if arm.extra_parameters > 0 else "fewer"
        found.append(
            f"It has {percent(abs(arm.extra_parameters))} {more} parameters than the baseline."
        )
    if arm.diverged:
        counts = f"and count{'s' if arm.diverged == 1 else ''} with the chance score"
        how = "without a score" if analysis.chance is None else counts
        found.append(f"{arm.diverged} of {plural(arm.planned, 'run')} diverged {how}.")
    if arm.missing:
        found.append(
            f"{arm.missing} of {plural(arm.planned, 'planned run')} {_is(arm.missing)} missing."
        )
    if arm.lr_at_edge:
        found.append(
            f"Its learning rate {short(arm.lr)} is at the edge of the rates searched: "
            "a better one may lie beyond."
        )
    if arm.still_improving:
        found.append(
            f"Still improving at the last step in {arm.still_improving} of "
            f"{plural(arm.planned, 'run')}: more steps may change this."
        )
    return found


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
