"""What the tables say, in sentences: one per arm, and the caveats of the study."""

from __future__ import annotations

from reports.contrast import WEAK, Analysis, Arm, Contrast
from reports.formats import fixed, p_value, percent, plural, short, signed
from reports.stats import smallest_p

FLOOR = 0.05  # above chance: less is not learning
CEILING = 0.98
PARAMETERS = 0.02  # relative difference that a reader must know of


def sentences(analysis: Analysis) -> tuple[str, ...]:
    """What the study found: each arm against the baseline, then the baseline's own caveats."""
    found = [_arm_sentence(arm, analysis) for arm in analysis.others]
    own = _caveats(analysis.baseline)
    name = analysis.baseline.name
    return (*found, *([f"{name}: {' '.join(own)}"] if own else []))


def caveats(analysis: Analysis) -> tuple[str, ...]:
    """What limits the whole study."""
    found = []
    if analysis.underpowered:
        pairs = min(arm.contrast.difference.n for arm in analysis.others if arm.contrast)
        num_arms = len(analysis.others)
        least = min(1.0, num_arms * smallest_p(pairs)) if pairs else 1.0
        found.append(
            f"Underpowered: {plural(pairs, 'paired seed')} and {plural(num_arms, 'contrast')} "
            f"cannot give a Holm p below {p_value(least)}: intervals are printed, tests are not."
        )
    codes = analysis.study.runs["code"].drop_nulls().unique()
    if len(codes) > 1:
        found.append(f"These runs come from {len(codes)} versions of the code (reuse=yes).")
    devices = analysis.study.runs["device"].drop_nulls().unique().sort()
    if len(devices) > 1:
        found.append(f"These runs come from different devices: {', '.join(devices)}.")
    return tuple(found)


def _arm_sentence(arm: Arm, analysis: Analysis) -> str:
    assert arm.contrast is not None
    first = _difference(arm, arm.contrast, analysis)
    return " ".join((first, *_level(arm, analysis), *_caveats(arm)))


def _difference(arm: Arm, contrast: Contrast, analysis: Analysis) -> str:
    d, what = contrast.difference, str(analysis.outcome)
    if d.mean is None:
        return f"{arm.name}: no seed has a value in both arms, so there is nothing to compare."
    before, after = _paired_mean(analysis.baseline, arm), _paired_mean(arm, analysis.baseline)
    levels = f"from {fixed(before)} to {fixed(after)}"
    if d.n == 1:
        return (
            f"{arm.name} changed {what} by {signed(d.mean)} ({levels}) in a single paired seed: "
            "no interval and no test."
        )
    interval = f"95 % CI {signed(d.low)} to {signed(d.high)}"
    if contrast.identical:
        return (
            f"{arm.name}: {what} is exactly the baseline's in all {d.n} paired seeds; "
            "no difference was shown."
        )
    test = _test(contrast)
    if d.includes_zero:
        largest = max(abs(d.low or 0.0), abs(d.high or 0.0))
        return (
            f"{arm.name}: no difference in {what} was shown ({signed(d.mean)}, {interval}{test}); "
            f"a difference of up to {fixed(largest)} is compatible with these {d.n} paired seeds"
            f"{', and the test disagrees with the interval' if contrast.significant else ''}."
        )
    return (
        f"{arm.name} changed {what} by {signed(d.mean)} ({interval}{test}), {levels}, "
        f"over {d.n} paired seeds."
    )


def _test(contrast: Contrast) -> str:
    if contrast.underpowered:
        return "; underpowered: no test"
    verdict = "" if contrast.significant else ", not significant"
    excludes = not contrast.difference.includes_zero
    return f"; p = {p_value(contrast.p_holm)} Holm{verdict if excludes else ''}"


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


def _caveats(arm: Arm) -> list[str]:
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
        found.append(
            f"{arm.diverged} of {plural(arm.planned, 'run')} diverged "
            "and count with the chance score."
        )
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
