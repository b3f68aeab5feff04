"""The plan of an ablation: a baseline, arms that each change one property, and fair terms."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from statistics import median

from ablations.suites import SUITES, Suite
from sweeps.arms import (
    AlreadyOff,
    Arm,
    Left,
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
    find_model,
    outline,
    property_names,
    tuning_budget,
    vocabulary,
    with_model,
    with_steps,
)
from sweeps.experiment import Experiment
from sweeps.options import ABLATION, ELSEWHERE, OF_SUITES, Options, read_options
from sweeps.plan import BASELINE, PlannedArm, StudyPlan, seeds_for, underpowered
from sweeps.searched import Taken, rate_range, take_ranges
from sweeps.trial import DEFAULT, Method
from sweeps.words import (
    NEUTRAL,
    Sorted,
    Vocabulary,
    Word,
    WordError,
    nearest,
    resolve,
    set_at,
    sort_words,
    split,
)
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
    words = split(texts)
    of_suites = OF_SUITES if any(word.key == "suite" for word in words) else ()
    typed = sort_words(words, (*ABLATION, *of_suites), property_names(known))
    read_options(typed.plan, trials=5, gain="init")  # a mistake in a plan word comes first
    suite = _suite(typed)
    typed = typed if suite is None else _of_suite(typed, suite, known)
    options = read_options(typed.plan, trials=5, gain="init")
    taken = take_ranges(typed, choices=False)
    words = taken.words
    start, sized = _start(words, suite, options)
    experiment = apply_settings(start, words, known, ABLATION)
    experiment, method, moved = _rates(experiment, taken, options)
    experiment, notes = equal_gain(experiment, options.gain)
    left: Left | None = None if suite is None else {}
    arms = make_arms(experiment.model, words, known, grid=_is_grid(suite, options), left=left)
    arms = [_on_equal_terms(arm, experiment, options.gain) for arm in arms]
    arms = _buildable(experiment, arms, left)
    _all_different(experiment, arms)
    if not arms:
        raise WordError(_nothing_to_do(experiment, known, left or {}))
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
        settings=(*(f"base.{w}" for w in words.baseline), *sized, *map(str, typed.settings)),
        arms=tuple(planned),
        seeds=seeds,
        trials=trials,
        gain=options.gain,
        match=options.match,
        method=method,
        suite=None if suite is None else suite.record(options.size),
        margin=options.margin,
    )
    return plan.noting(*moved, *notes, *said, *_left_notes(left or {}), *_warnings(plan)), options


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


def _suite(typed: Sorted) -> Suite | None:
    """The suite that a command names."""
    name = typed.plan.get("suite")
    if name is None:
        return None
    if name not in SUITES:
        said = nearest(name, (*SUITES, "list"))
        raise WordError(f"suite={name}: unknown suite; {said}")
    if typed.arms:
        raise WordError(f"suite={name} names its own arms; leave out {typed.arms[0]}")
    return SUITES[name]


def _of_suite(typed: Sorted, suite: Suite, known: Vocabulary) -> Sorted:
    """The command with the suite's arms, and its base and task where it names none."""
    find_model(typed.plan.get("base", suite.base))
    own = sort_words(split(suite.arms), (), property_names(known))
    assert not own.settings, own.settings
    heads = {word.head for word in own.arms}
    for word in typed.refinements:
        if word.head not in heads:
            raise WordError(f"{word.key!r} refines no arm of suite={suite.name}")
    given = {word.key for word in typed.refinements}
    refined = tuple(word for word in own.refinements if word.key not in given)
    task = suite.task_at(typed.plan.get("size", "cpu"))
    return replace(
        typed,
        plan={"base": suite.base, "task": task, **typed.plan},
        arms=own.arms,
        refinements=(*refined, *typed.refinements),
    )


def _start(
    words: Sorted, suite: Suite | None, options: Options
) -> tuple[Experiment, tuple[str, ...]]:
    """The base on the task at the suite's size, and the settings that make it so.

    They give way to the user's: a field that a word sets, the task's fields on another task, the
    model's on another base.
    """
    if suite is None:
        return base_experiment(words.plan), ()
    plan = {name: value for name, value in words.plan.items() if name != "steps"}
    experiment = base_experiment(plan)
    given = {"train.steps"} if "steps" in words.plan else set()
    for word in words.settings:
        with suppress(WordError):  # it is told apart when it is applied
            given.add(resolve(word, experiment, ()))
    if options.task != suite.task_at(options.size):
        given.add("task")
    if options.base != suite.base:
        given.add("model")
    try:
        wanted = split(suite.settings(options.size))
    except ValueError as error:
        raise WordError(str(error)) from None
    sized = tuple(word for word in wanted if not {word.key, word.head} & given)
    for word in sized:
        experiment = set_at(experiment, word.key, word, word.value, Vocabulary(off={}))
    if "steps" in words.plan:
        experiment = with_steps(experiment, words.plan["steps"])
    return experiment, tuple(map(str, sized))


def _is_grid(suite: Suite | None, options: Options) -> bool:
    return options.grid or (suite is not None and suite.grid)


def _buildable(experiment: Experiment, arms: Sequence[Arm], left: Left | None) -> list[Arm]:
    """The arms; of a suite's without those whose parts do not fit together."""
    if left is None:
        return list(arms)
    found = []
    for arm in arms:
        try:
            _of(experiment, arm)
            found.append(arm)
        except WordError as error:
            left[arm.name] = error
    return found


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


def _left_notes(left: Left) -> list[str]:
    """What a suite names and this base cannot do."""
    idle = [n for n, why in left.items() if isinstance(why, AlreadyOff | NoSuchProperty)]
    off = [name for name in idle if name.partition("=")[2] in NEUTRAL]
    so = [name for name in idle if isinstance(left[name], AlreadyOff) and name not in off]
    notes = [f"already off in this base, so not run: {', '.join(off)}"] if off else []
    notes += [f"already so in this base, so not run: {', '.join(so)}"] if so else []
    others = [str(why) for name, why in left.items() if name not in (*off, *so)]
    return notes + [f"not possible with this base, so not run: {why}" for why in others]


def _nothing_to_do(experiment: Experiment, known: Vocabulary, left: Left) -> str:
    if left:
        return f"nothing to compare: {'; '.join(_left_notes(left))}"
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
