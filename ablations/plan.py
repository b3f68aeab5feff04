"""The plan of an ablation: a baseline, arms that each change one property, and fair terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from ablations.suites import SUITES
from sweeps.arms import (
    AlreadyOff,
    Arm,
    NoSuchProperty,
    differences,
    make_arms,
    set_property,
)
from sweeps.compose import (
    apply_settings,
    base_experiment,
    check,
    equal_gain,
    outline,
    property_names,
    tuning_budget,
    vocabulary,
    with_model,
)
from sweeps.experiment import Experiment
from sweeps.options import ABLATION, ELSEWHERE, Options, read_options
from sweeps.plan import BASELINE, PlannedArm, StudyPlan, seeds_for, underpowered
from sweeps.searched import Taken, rate_range, take_ranges
from sweeps.trial import DEFAULT, Method
from sweeps.words import Sorted, Vocabulary, Word, WordError, nearest, sort_words, split
from zoo.measure import treatment_strength
from zoo.model import Model, ModelSpec
from zoo.spec import replace_at, walk

WEAK = 0.10  # treatment strength below which a switch is too weak to test
WIDEST = 64  # times the width: where the search for a twin ends
UNEQUAL = 0.02  # relative difference of parameter counts that `match=parameters` mends


def make_plan(texts: Sequence[str], command: str) -> tuple[StudyPlan, Options]:
    """Everything that `ablations.run` will do, from its words; nothing is trained.

    Raises: WordError, one line, for everything that the user can mend.
    """
    known = vocabulary()
    typed = sort_words(split(texts), ABLATION, property_names(known))
    options = read_options(typed.plan, trials=5, gain="init")
    taken = take_ranges(_with_suite(typed, options), choices=False)
    words = taken.words
    experiment = apply_settings(base_experiment(words.plan), words, known, ABLATION)
    experiment, method, moved = _rates(experiment, taken, options)
    experiment, notes = equal_gain(experiment, options.gain)
    arms, already = _arms(experiment, words, known, options)
    arms = [_on_equal_terms(arm, experiment, options.gain) for arm in arms]
    _all_different(experiment, arms)
    if not arms:
        raise WordError(_nothing_to_do(experiment, known, already))
    planned = [_planned(BASELINE, experiment, experiment, ())]
    planned += [_planned(a.name, experiment, _of(experiment, a), a.changed) for a in arms]
    if options.match == "parameters":
        planned += _twins(planned)
    trials, said = tuning_budget(options.trials, words, experiment)
    contrasts = len(planned) - 1
    seeds = tuple(range(options.seeds or seeds_for(contrasts)))
    plan = StudyPlan(
        command=command,
        words=_identifying(texts),
        base=options.base,
        task=options.task,
        settings=tuple(f"base.{w}" for w in words.baseline) + tuple(map(str, typed.settings)),
        arms=tuple(planned),
        seeds=seeds,
        trials=trials,
        gain=options.gain,
        match=options.match,
        method=method,
    )
    return plan.noting(*moved, *notes, *said, *_already_notes(already), *_warnings(plan)), options


def _rates(
    experiment: Experiment, taken: Taken, options: Options
) -> tuple[Experiment, Method, tuple[str, ...]]:
    """The range of the rate, where a word gives one: the same for all arms."""
    found = rate_range(experiment, taken, "ablations.run")
    if not found.space:
        return experiment, DEFAULT, ()
    if not options.trials:
        raise WordError(f"{taken.ranges[0]}: nothing is tuned with trials=0; give one value")
    return found.experiment, Method(space=found.space), found.notes


def _identifying(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(t for t in texts if t.partition("=")[0] not in ELSEWHERE)


def _with_suite(words: Sorted, options: Options) -> Sorted:
    """The suite's words as arms of the command."""
    if options.suite is None:
        return words
    if options.suite not in SUITES:
        raise WordError(f"suite={options.suite}: unknown suite; {nearest(options.suite, SUITES)}")
    if words.arms:
        raise WordError(f"suite={options.suite} names its own arms; leave out {words.arms[0]}")
    return replace(words, arms=tuple(split(SUITES[options.suite])))


def _arms(
    experiment: Experiment, words: Sorted, known: Vocabulary, options: Options
) -> tuple[list[Arm], list[str]]:
    """The arms, and those that a suite names but this base has off already, or has not."""
    if options.suite is None:
        return make_arms(experiment.model, words, known, grid=options.grid), []
    heads = {word.head for word in words.arms}
    for word in words.refinements:
        if word.head not in heads:
            raise WordError(f"{word.key!r} refines no arm of suite={options.suite}")
    arms, already = [], []
    for word in words.arms:
        own = tuple(r for r in words.refinements if r.head == word.head)
        try:
            one = replace(words, arms=(word,), refinements=own)
            arms += make_arms(experiment.model, one, known)
        except (AlreadyOff, NoSuchProperty):
            already.append(str(word))
    return arms, already


def _on_equal_terms(arm: Arm, experiment: Experiment, gain: str) -> Arm:
    """Kernels that the arm brought along start at unit norm like all others."""
    equal, _ = equal_gain(with_model(experiment, arm.model), gain)
    return replace(
        arm, model=equal.model, changed=tuple(differences(experiment.model, equal.model))
    )


def _all_different(experiment: Experiment, arms: Sequence[Arm]) -> None:
    """An arm equal to its baseline, or to another arm, is a lie in a table."""
    models = {"the baseline": experiment.model}
    for arm in arms:
        if arm.name in models:
            raise WordError(f"two arms are called {arm.name!r}")
        for other, model in models.items():
            if model == arm.model:
                raise WordError(f"{arm.name}: the same model as {other}")
        models[arm.name] = arm.model


def _of(experiment: Experiment, arm: Arm) -> Experiment:
    return check(with_model(experiment, arm.model), arm.name)


def _planned(
    name: str, baseline: Experiment, experiment: Experiment, changed: Sequence[str]
) -> PlannedArm:
    model = outline(experiment)
    return PlannedArm(
        name=name,
        experiment=experiment,
        changed=tuple(changed),
        parameters=model.num_parameters(),
        state_bytes=model.state_bytes(experiment.task.context.length),
        strength=strength(baseline, experiment, changed),
    )


def build(experiment: Experiment) -> Model:
    """The model of an experiment at its first step."""
    return experiment.model.build(experiment.task.context, seed=experiment.seed)


def strength(baseline: Experiment, arm: Experiment, changed: Sequence[str]) -> float | None:
    """How far the switch moves the kernels at initialisation: the median over kernels.

    None where it moves no kernel, or by design starts at the same function (parameterization=off).
    """
    touched = [line for line in changed if ".kernel." in line]
    same_start = all(".parameterization:" in line for line in touched)
    if not touched or (same_start and _starts_at_baseline(arm.model)):
        return None
    old, new = build(baseline).kernels(), build(arm).kernels()
    shared = [name for name in old if name in new and old[name].shape[0] == new[name].shape[0]]
    if not shared:
        return None
    return float(median(treatment_strength(new[name], old[name]) for name in shared))


def _starts_at_baseline(model: ModelSpec) -> bool:
    return any(getattr(v, "init", None) == "baseline" for _, _, _, v in walk(model))


def _twins(planned: Sequence[PlannedArm]) -> list[PlannedArm]:
    """For each arm of another size: the smaller of the two, widened to the other's count."""
    baseline, found = planned[0], []
    for arm in planned[1:]:
        small, large = sorted((baseline, arm), key=lambda a: a.parameters)
        if large.parameters <= (1 + UNEQUAL) * small.parameters:
            continue
        twin = _widened(small.experiment, large.parameters)
        width = twin.model.width
        if width == small.experiment.model.width:
            continue
        name = f"{small.name} width={width}"
        if any(twin.model == other.experiment.model for other in (*planned, *found)):
            continue
        start = baseline.experiment
        lines = differences(start.model, twin.model)
        found.append(_planned(name, start, twin, lines))
    return found


def _widened(experiment: Experiment, parameters: int) -> Experiment:
    """The experiment at the multiple of 8 of `width` whose parameter count is nearest.

    Widths that the model cannot have (heads that do not divide them) are passed over.
    """
    start = experiment.model.width
    best, gap = experiment, parameters - outline(experiment).num_parameters()
    first = -(-start // 8) * 8
    for width in range(first, WIDEST * first + 1, 8):
        try:
            wide = with_model(experiment, replace_at(experiment.model, "width", width))
            count = outline(wide).num_parameters()
        except ValueError:
            continue
        if abs(count - parameters) < gap:
            gap, best = abs(count - parameters), wide
        if count >= parameters:
            break
    return best


def _already_notes(already: Sequence[str]) -> list[str]:
    if not already:
        return []
    return [f"already off in this base, so not run: {', '.join(already)}"]


def _nothing_to_do(experiment: Experiment, known: Vocabulary, already: Sequence[str]) -> str:
    if already:
        return f"nothing to compare: already off in this base: {', '.join(already)}"
    able = [
        name
        for name in known.properties_of(experiment.model)
        if set_property(experiment.model, Word(name, "off"), "off", known) != experiment.model
    ]
    if not able:
        return "name an arm, for example arm.depth=2,4: this model has no property to switch off"
    return f"name an arm: {' '.join(f'{name}=off' for name in able)}, or arm.depth=2,4"


def _warnings(plan: StudyPlan) -> list[str]:
    """What a reader must know before the numbers."""
    notes = [
        f"{arm.name}: treatment strength {arm.strength:.0%} is below {WEAK:.0%},"
        " so the switch is too weak to test"
        for arm in plan.arms[1:]
        if arm.strength is not None and arm.strength < WEAK
    ]
    for arm in plan.arms:
        silent, total = _silent_channels(arm.experiment)
        if silent:
            notes.append(
                f"{arm.name}: {silent} of {total} kernel channels are zero at initialisation"
                " (regularization leaves none of their taps), so they cannot learn"
            )
    contrasts = len(plan.arms) - 1
    if underpowered(contrasts, plan.seeds):
        notes.append(
            f"underpowered: {len(plan.seeds)} seeds cannot reach p < 0.05 with {contrasts}"
            f" arm{'s' * (contrasts > 1)}; seeds={seeds_for(contrasts)} can"
        )
    return notes


def _silent_channels(experiment: Experiment) -> tuple[int, int]:
    kernels = build(experiment).kernels().values()
    silent = sum(int((k == 0).all(1).sum()) for k in kernels)
    return silent, sum(len(k) for k in kernels)
