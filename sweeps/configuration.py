"""The plan of `sweeps.run`: one configuration, trained as given."""

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
    tuning_budget,
    vocabulary,
)
from sweeps.options import ELSEWHERE, SHARED, Options, read_options
from sweeps.plan import BASELINE, PlannedArm, StudyPlan
from sweeps.words import sort_words, split


def make_plan(texts: Sequence[str], command: str) -> tuple[StudyPlan, Options]:
    """From the words; nothing is trained.

    Raises: WordError, one line, for everything that the user can mend.
    """
    known = vocabulary()
    words = sort_words(split(texts), SHARED, property_names(known))
    options = read_options(words.plan, trials=0, gain="keep")
    experiment = apply_settings(base_experiment(words.plan), words, known)
    experiment = apply_properties(experiment, words, known)
    experiment, notes = equal_gain(experiment, options.gain)
    model = outline(check(experiment))
    trials, said = tuning_budget(options.trials, words, experiment)
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
        settings=tuple(f"base.{w}" for w in words.baseline)
        + tuple(map(str, (*words.arms, *words.settings))),
        arms=(arm,),
        seeds=tuple(range(options.seeds or 1)),
        trials=trials,
        gain=options.gain,
        notes=(*notes, *said),
    )
    return plan, options
