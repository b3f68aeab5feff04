"""A methods paragraph, from the plan: what was run, how it was judged, what that is about."""

from __future__ import annotations

from typing import Any

from reports import captions
from reports.contrast import Analysis, baseline_entry
from reports.formats import count, fixed, percent, plural, short
from reports.stats import ALPHA, MAX_EXACT


def methods(analysis: Analysis) -> str:
    """What a paper's methods section would say; a plan that records less gives a shorter text."""
    experiment = baseline_entry(analysis.study).get("experiment") or {}
    searched = set((analysis.study.plan.get("search") or {}).get("space") or ())

    def given(part: str) -> dict[str, Any]:
        fields = experiment.get(part) or {}
        return {name: v for name, v in fields.items() if f"{part}.{name}" not in searched}

    parts = (
        _task(analysis, experiment.get("task") or {}),
        _model(analysis, given("model")),
        _training(analysis, given("train")),
        _tuning(analysis),
        _statistics(analysis),
        _scope(experiment.get("task") or {}),
        _hardware(analysis),
    )
    return " ".join(part for part in parts if part)


def _task(analysis: Analysis, task: dict[str, Any]) -> str:
    name = analysis.study.plan.get("task") or task.get("kind") or "not recorded"
    fields = ", ".join(f"{k} {_value(v)}" for k, v in task.items() if k not in ("kind", "seed"))
    scores = ", ".join(f"{fixed(score)} by {who}" for who, score in analysis.unsolved.items())
    floor = f"; without solving it: {scores}" if scores else ""
    return f"Task: {name}{f' ({fields})' if fields else ''}{floor}."


def _model(analysis: Analysis, model: dict[str, Any]) -> str:
    plan = analysis.study.plan
    size = [f"{key} {_value(model[key])}" for key in ("depth", "width") if key in model]
    size += [f"{count(analysis.baseline.parameters)} parameters"] * (
        analysis.baseline.parameters is not None
    )
    settings = plan.get("settings") or ()
    listed = f" ({', '.join(size)})" if size else ""
    text = f"Baseline: {plan.get('base', 'model')}{listed}"
    text += f", with the settings {' '.join(settings)} in every arm." if settings else "."
    if plan.get("gain"):
        text += f" Kernel gain: {plan['gain']}, in all arms, the baseline included."
    if plan.get("match") not in (None, "none", "no", "off"):
        text += f" Arms are matched by {plan['match']}."
    return text


def _training(analysis: Analysis, train: dict[str, Any]) -> str:
    if not train:
        return ""
    as_given = not analysis.study.plan.get("trials") and "lr" in train
    facts = [f"learning rate {short(train['lr'])}"] if as_given else []
    facts += [f"weight decay {short(train['weight_decay'])}"] if "weight_decay" in train else []
    facts += [f"batch size {train['batch_size']}"] if "batch_size" in train else []
    facts += [f"{count(train['steps'])} steps"] if "steps" in train else []
    fixed_set = train.get("num_train")
    facts += [f"on a fixed set of {count(fixed_set)} examples"] if fixed_set else []
    facts += [f"gradient norm clipped at {short(train['clip'])}"] if train.get("clip") else []
    facts += [f"stopped at validation accuracy {train['stop_at']}"] if train.get("stop_at") else []
    warmup = train.get("warmup")
    share = f" over {_warmup(warmup)}" if warmup is not None else ""
    best = train.get("select", "last") == "best-validation"
    which = "of the best validation score" if best else "at the last step"
    return (
        f"Training: AdamW ({', '.join(facts)}), linear warm-up{share}, then cosine decay to zero; "
        f"the model {which} is evaluated, on the test split once."
    )


def _warmup(warmup: float) -> str:
    return f"{percent(warmup)} of the steps" if warmup <= 1 else f"{count(warmup)} steps"


def _tuning(analysis: Analysis) -> str:
    plan = analysis.study.plan
    if not plan.get("trials"):
        return "Nothing was tuned: every arm was trained exactly as given."
    seeds = plan.get("tuning_seeds") or ()
    low_high = plan.get("lr_range")
    where = f" between {short(low_high[0])} and {short(low_high[1])}" if low_high else ""
    steps = f" of {count(plan['tuning_steps'])} steps" if plan.get("tuning_steps") else ""
    which = f" on {_seeds(seeds)}, disjoint from the reported ones" if seeds else ""
    if len((plan.get("search") or {}).get("space") or ()) > 1:
        return _search(analysis, f"{steps}, on the validation split{which}")
    score = ((plan.get("search") or {}).get("objectives") or [analysis.outcome.metric])[0]
    return (
        f"The learning rate was tuned for each arm separately with the same budget, "
        f"{plural(plan['trials'], 'trial')}{steps}{where}, on the validation split{which}; "
        f"that of the best validation {score} was used."
    )


def _search(analysis: Analysis, how: str) -> str:
    """A search over several fields."""
    plan = analysis.study.plan
    search = plan["search"]
    fields = ", ".join(f"{name} in {values}" for name, values in search["space"].items())
    trained = "" if len(plan.get("tuning_seeds") or ()) < 2 else " each"
    aims = " against ".join(search["objectives"]) or analysis.outcome.metric
    pruner = "" if search["pruner"] == "none" else f", pruner {search['pruner']}"
    return (
        f"The configuration was searched for with {plural(plan['trials'], 'trial')}{trained}{how} "
        f"(sampler {search['sampler']}{pruner}, by {aims}) over {fields}. The best was trained in "
        "full."
    )


def _statistics(analysis: Analysis) -> str:
    listed = _seeds(analysis.study.plan["seeds"])
    if len({arm.planned for arm in analysis.arms}) > 1:
        listed = f"{captions.seeds(analysis)}, not the same in each,"
    chance = "" if analysis.chance is None else f" ({fixed(analysis.chance)})"
    return (
        f"Each arm was trained with {listed}; a seed fixes the initial values and the "
        "training batches, and is shared by all arms. The primary outcome, named before training, "
        f"is {analysis.outcome}. Means and differences, paired by seed, have 95 % t intervals, not "
        f"adjusted for the number of arms.{_test(analysis)}{_power(analysis)} Runs that diverged "
        f"count with the task's chance score{chance}; runs that ended otherwise are missing."
    )


def _test(analysis: Analysis) -> str:
    contrasts = [arm.contrast for arm in analysis.others if arm.contrast]
    if not contrasts:
        return ""
    if all(contrast.underpowered for contrast in contrasts):
        return " No test was made: with so few seeds none could reach 0.05."
    most = max(contrast.difference.n for contrast in contrasts if not contrast.underpowered)
    flips = "exact: all 2^n sign flips" if most <= MAX_EXACT else "100,000 random sign flips"
    return (
        f" p is from the paired permutation test ({flips}, two-sided), corrected by Holm over "
        f"{plural(len(contrasts), 'contrast')} of the primary outcome and in bold below {ALPHA}."
        f"{_equivalence(analysis, len(contrasts))} All other numbers are descriptive, Wilcoxon's "
        "signed-rank p (exact, zeros ranked after Pratt) and rank-biserial correlation among them."
    )


def _equivalence(analysis: Analysis, num_arms: int) -> str:
    if analysis.margin is None:
        return ""
    named = "named in the plan" if analysis.margin_named else "this tool's default"
    return (
        " Equivalence is tested by two one-sided paired t tests (TOST) within a margin of "
        f"±{short(analysis.margin)} ({named}), corrected by Holm over "
        f"{plural(num_arms, 'contrast')} as a family of its own; not where runs diverged."
    )


def _power(analysis: Analysis) -> str:
    found = [arm.contrast for arm in analysis.others if arm.contrast]
    if not any(contrast.seeds_for or contrast.mde for contrast in found):
        return ""
    return (
        " Numbers of seeds needed, and differences that can be shown, are for 80 % power of the "
        f"permutation test at {ALPHA} over the number of contrasts, by noncentral t, with the "
        "differences' standard deviation as observed."
    )


def _scope(task: dict[str, Any]) -> str:
    seed = f" (task seed {task['seed']})" if "seed" in task else ""
    return (
        f"All seeds share the task's validation and test sets{seed}, and one learning rate per "
        "arm: the intervals are about the variation over initial values and training data for "
        "this test set and these rates, not about other tasks, test sets or a repeated tuning."
    )


def _hardware(analysis: Analysis) -> str:
    """What the runs say of it, and of a CPU the name that provenance has."""
    devices = sorted(analysis.study.runs["device"].drop_nulls().unique())
    found = analysis.study.provenance
    processor = (found.get("hardware") or {}).get("processor")
    if devices == ["cpu"] and processor:
        devices = [f"cpu ({processor})"]
    where = f" on {' and '.join(map(str, devices))}" if devices else ""
    torch = found.get("torch") or (found.get("versions") or {}).get("torch")
    with_torch = f" with torch {torch}" if torch else ""
    return f"The runs were made{where}{with_torch}." if where or with_torch else ""


def _seeds(seeds: Any) -> str:
    seeds = list(seeds)
    consecutive = len(seeds) > 2 and seeds == list(range(seeds[0], seeds[0] + len(seeds)))
    listed = f"{seeds[0]} to {seeds[-1]}" if consecutive else ", ".join(map(str, seeds))
    return f"{plural(len(seeds), 'seed')} ({listed})"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("kind", "set"))
    if isinstance(value, list):
        return "+".join(map(_value, value)) or "none"
    return short(value, 6) if isinstance(value, float) else str(value)
