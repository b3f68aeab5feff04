"""The plan of `sweeps.run`: one configuration, trained as given or searched for."""

from __future__ import annotations

from collections.abc import Sequence

from sweeps.compose import (
    apply_properties,
    apply_settings,
    base_experiment,
    check,
    equal_gain,
    outline,
    property_names,
    vocabulary,
)
from sweeps.experiment import Experiment
from sweeps.method import make_method
from sweeps.options import ELSEWHERE, SWEEP, Options, read_options
from sweeps.plan import BASELINE, PlannedArm, StudyPlan
from sweeps.searched import Taken, read_space, take_ranges
from sweeps.trial import DEFAULT, Method
from sweeps.words import WordError, sort_words, split


def make_plan(texts: Sequence[str], command: str) -> tuple[StudyPlan, Options]:
    """From the words; nothing is trained.

    Raises: WordError, one line, for everything that the user can mend.
    """
    known = vocabulary()
    typed = sort_words(split(texts), SWEEP, property_names(known))
    options = read_options(typed.plan, trials=0, gain="keep")
    taken = take_ranges(typed, choices=True)
    words = taken.words
    experiment = apply_settings(base_experiment(words.plan), words, known, SWEEP)
    experiment = apply_properties(experiment, words, known)
    experiment, notes = equal_gain(experiment, options.gain)
    experiment, method, said = _search(experiment, taken, options)
    model = outline(check(experiment))
    arm = PlannedArm(
        name=BASELINE,
        experiment=experiment,
        parameters=model.num_parameters(),
        state_bytes=model.state_bytes(experiment.task.context.length),
    )
    plan = StudyPlan(
        command=command,
        words=tuple(t for t in texts if t.partition("=")[0] not in ELSEWHERE),
        base=options.base,
        task=options.task,
        settings=tuple(f"base.{w}" for w in typed.baseline)
        + tuple(map(str, (*typed.arms, *typed.settings))),
        arms=(arm,),
        seeds=tuple(range(options.seeds or 1)),
        trials=options.trials,
        gain=options.gain,
        method=method,
        notes=(*notes, *said),
    )
    return plan, options


def _search(
    experiment: Experiment, taken: Taken, options: Options
) -> tuple[Experiment, Method, tuple[str, ...]]:
    """Where the search begins, how it goes about, and what must be known of it."""
    if not options.trials:
        for word in taken.ranges:
            raise WordError(f"{word}: one configuration takes one value; trials=N searches several")
        return experiment, DEFAULT, ()
    found = read_space(experiment, taken, options.search, options.fix)
    method = make_method(options, found.experiment, found.space)
    fields = ", ".join(f"{name} {axis}" for name, axis in found.space.items())
    return found.experiment, method, (*found.notes, f"searched: {fields}")
