"""From words to an experiment: the published model, the task, the settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from pydantic import ValidationError

import tasks
import zoo
from sweeps.arms import apply_baseline, differences, set_property
from sweeps.axes import RATE
from sweeps.experiment import Experiment
from sweeps.options import DEFAULT_BASE, DEFAULT_TASK
from sweeps.words import (
    Sorted,
    Vocabulary,
    Word,
    WordError,
    apply_setting,
    nearest,
    resolve,
    set_at,
)
from tasks.files import FileTask
from tasks.task import Task
from zoo.mixers import Mixer
from zoo.model import Model, ModelSpec
from zoo.properties import ALIASES, OFF
from zoo.properties.gain import Gain
from zoo.spec import explain, import_components, replace_all, walk

SMALL = 1e6  # numbers of a model, roughly


def vocabulary() -> Vocabulary:
    """All components imported, and what words may name among them."""
    import_components("zoo")
    import_components("tasks")

    def parts(name: str) -> Sequence[Any] | None:
        return zoo.preset(name).mixers if name in zoo.presets.names() else None

    return Vocabulary(off=OFF, aliases=ALIASES, parts=parts)


def property_names(words: Vocabulary) -> set[str]:
    """Every name that makes an arm: the kernel's properties, aliases, and what mixers declare."""
    from zoo.mixers import SequenceMixer

    declared = {p for m in SequenceMixer.choices().values() for p in getattr(m, "properties", ())}
    return {*words.off, *words.aliases, *declared}


def find_model(name: str) -> ModelSpec:
    """A published model by name."""
    if name not in zoo.presets.names():
        raise WordError(f"base={name}: unknown model; {nearest(name, zoo.presets.names())}")
    return zoo.preset(name)


def find_task(name: str) -> Task:
    """A task by kind, or a published setting of one by name."""
    known = {*tasks.names(), *tasks.presets.names()}
    if name not in known:
        raise WordError(f"task={name}: unknown task; {nearest(name, known)}")
    return tasks.make_task(name)


def base_experiment(plan: Mapping[str, str]) -> Experiment:
    """The model and the task that `base=` and `task=` name, with the default training."""
    model = find_model(plan.get("base", DEFAULT_BASE))
    experiment = Experiment(task=find_task(plan.get("task", DEFAULT_TASK)), model=model)
    return with_steps(experiment, plan["steps"]) if "steps" in plan else experiment


def with_steps(experiment: Experiment, steps: str) -> Experiment:
    """`steps=N`, a plan word, is `train.steps`."""
    return set_at(experiment, "train.steps", Word("steps", steps), steps, Vocabulary(off={}))


def apply_settings(
    experiment: Experiment, words: Sorted, known: Vocabulary, plan_words: Iterable[str] = ()
) -> Experiment:
    """The settings, in any order that makes sense, then the baseline's properties.

    plan_words: what else the program knows, where a word is unknown.
    """
    extra = property_names(known) | {"base", "task", "seeds", "trials", *plan_words}
    waiting = list(words.settings)
    while waiting:
        experiment, left = _one_pass(experiment, waiting, known, extra)
        if len(left) == len(waiting):
            apply_setting(experiment, left[0], known, extra)  # raises what stands in its way
        waiting = left
    model = apply_baseline(experiment.model, words.baseline, known)
    return check(with_model(experiment, model))


def _one_pass(
    experiment: Experiment, words: Sequence[Word], known: Vocabulary, extra: set[str]
) -> tuple[Experiment, list[Word]]:
    """Apply what can be; a setting may wait for another (three mixers for depth=3)."""
    left = []
    for word in words:
        try:
            experiment = apply_setting(experiment, word, known, extra)
        except WordError:
            left.append(word)
    return experiment, left


def apply_properties(experiment: Experiment, words: Sorted, known: Vocabulary) -> Experiment:
    """`decay=off` where one configuration is trained: set, not an arm."""
    model = experiment.model
    for word in words.arms:
        if word.head == "arm" or len(word.values) > 1:
            raise WordError(f"{word}: one configuration takes one value; ablations.run makes arms")
        new = set_property(model, word, word.value, known)
        if new == model:
            raise WordError(f"{word}: changes nothing, it is so already")
        model = new
    if words.refinements:
        word = words.refinements[0]
        raise WordError(f"{word}: write base.{word}")
    return check(with_model(experiment, model))


def equal_gain(experiment: Experiment, gain: str) -> tuple[Experiment, list[str]]:
    """Decay off multiplies the energy of a kernel: so every arm starts at unit norm."""
    kernels = [p for p, _, name, _ in walk(experiment.model) if name == "gain"]
    if gain == "keep" or not kernels:
        return experiment, []
    neutral = Gain.choices()["init"]()
    model = replace_all(experiment.model, "gain", neutral)
    changed = differences(experiment.model, model)
    said = f" ({'; '.join(changed)})" if changed else ""
    note = f"gain=init: every kernel of every arm starts at unit norm{said}"
    return with_model(experiment, model), [note]


def tuning_budget(trials: int, words: Sorted, experiment: Experiment) -> tuple[int, list[str]]:
    """How many trials, and why none: a field that the user set is fixed."""
    if trials and any(resolve(word, experiment, ()) == RATE for word in words.settings):
        return 0, [f"{RATE} was given, so there is nothing to tune"]
    return trials, []


def with_model(experiment: Experiment, model: ModelSpec) -> Experiment:
    """The same experiment with another model."""
    return experiment.model_copy(update={"model": model})


def outline(experiment: Experiment) -> Model:
    """The model before training, for its shapes: a large one on meta tensors, without numbers.

    A small one is built for real: that takes less than what torch imports at its first operation
    on meta tensors (1.5 s).
    """
    model, context = experiment.model, experiment.task.context
    ends = (context.num_inputs or context.input_dim or 0) + context.num_outputs
    per_layer = 8 * model.width + 8 * context.length
    numbers = model.width * (ends + model.depth * per_layer)
    with nullcontext() if numbers < SMALL else torch.device("meta"):
        return model.build(context, seed=experiment.seed)


def is_causal(model: Model) -> bool:
    """Whether no mixer looks ahead."""
    return all(m.causal for m in model.modules() if isinstance(m, Mixer))


def check(experiment: Experiment, name: str = "") -> Experiment:
    """Build it: what cannot be built is one line, before anything trains.

    A task made of files gets their sha256: results are of these data.
    """
    try:
        if isinstance(experiment.task, FileTask):
            experiment = experiment.model_copy(update={"task": experiment.task.identified()})
        model = outline(experiment)
        if experiment.task.answers_follow and not is_causal(model):
            raise ValueError(
                f"task={experiment.task.kind} shows answers after the place where they are due, "
                "and this model looks ahead: use direction=causal"
            )
    except ValidationError as error:
        raise WordError(f"{name}: {explain(error)}" if name else explain(error)) from None
    except (ValueError, RuntimeError, OverflowError) as error:
        raise WordError(f"{name}: {error}" if name else str(error)) from None
    return experiment
