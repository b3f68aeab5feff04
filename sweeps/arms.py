"""Arms: what the property words of a command make of a baseline model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from sweeps.words import NEUTRAL, Sorted, Vocabulary, Word, WordError, nearest, set_at
from zoo.spec import Spec, explain, replace_all, walk

Change = tuple[str, Callable[[Any], Any]]


@dataclass(frozen=True)
class Arm:
    """One arm: its name in the table, and its model."""

    name: str
    model: Any  # a ModelSpec
    changed: tuple[str, ...]


class NoSuchProperty(WordError):
    """The model does not have the property."""


class AlreadyOff(WordError):
    """An arm that equals its baseline."""


class NotPossible(WordError):
    """A value that does not go together with the rest of the model."""


Left = dict[str, WordError]  # arms that a model cannot have, and why


def set_property(model: Spec, word: Word, value: str, vocabulary: Vocabulary) -> Any:
    """The model with a property set in every kernel and mixer that has it."""
    name = vocabulary.property(word.head)
    known = vocabulary.properties_of(model)
    if name not in known:
        has = f"its properties are {', '.join(known)}" if known else "it has none"
        raise NoSuchProperty(f"{word.key}={value}: this model has no {word.head}; {has}")
    if value in NEUTRAL:
        return replace_all(model, name, known[name])
    try:
        return replace_all(model, name, _component(known[name].slot(), value))
    except ValidationError as error:
        raise NotPossible(f"{word.key}={value}: {explain(error)}") from None


def _component(slot: type[Spec], value: str) -> Spec | tuple[Spec, ...]:
    """A kind of this slot; `squash+kernel-dropout` is a tuple applied in order."""
    found = []
    for name in value.split("+"):
        if name not in slot.choices():
            options = ["off", *(k for k in slot.choices() if k != "none")]
            raise WordError(
                f"{value!r} is no {slot.__name__.lower()}; {nearest(name, options)}"
                f" (off, {', '.join(options[1:])})"
            )
        found.append(slot.choices()[name]())
    return found[0] if len(found) == 1 else tuple(found)


def refine(model: Spec, name: str, word: Word, value: str, vocabulary: Vocabulary) -> Any:
    """`decay.fast=0.1`: set a field inside every value of the property `decay`."""
    paths = [p for p, _, n, v in walk(model) if n == name and isinstance(v, Spec)]
    for path in paths:
        model = set_at(model, f"{path}.{word.rest}", word, value, vocabulary)
    return model


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """`mixers.0.kernel.decay: per-scale -> none` for every place where two specs differ."""
    if old == new:
        return []
    if isinstance(old, Spec) and type(old) is type(new):
        names = type(old).model_fields
        prefix = f"{path}." if path else ""
        return [
            line
            for n in names
            for line in differences(getattr(old, n), getattr(new, n), prefix + n)
        ]
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{path}.{i}")]
    return [f"{path}: {_short(old)} -> {_short(new)}"]


def _short(value: Any) -> str:
    if isinstance(value, Spec) and value.kind is not None:
        return value.kind
    if isinstance(value, tuple):
        return "+".join(_short(v) for v in value) or "none"
    return "none" if value is None else str(value)


def apply_baseline(model: Spec, words: Sequence[Word], vocabulary: Vocabulary) -> Any:
    """`base.decay=power-law base.decay.low=0.5`: properties of the baseline, hence of all arms."""
    for word in words:
        name = vocabulary.property(word.head)
        if name not in vocabulary.properties_of(model):
            known = vocabulary.properties_of(model)
            raise WordError(f"base.{word}: base.* sets a property; {nearest(word.head, known)}")
        new = (
            refine(model, name, word, word.value, vocabulary)
            if word.rest
            else set_property(model, word, word.value, vocabulary)
        )
        if new == model:
            raise WordError(f"base.{word}: changes nothing, it is so already")
        model = new
    return model


def make_arms(
    model: Spec,
    sorted_words: Sorted,
    vocabulary: Vocabulary,
    *,
    grid: bool = False,
    left: Left | None = None,
) -> list[Arm]:
    """The arms of a plan, without the baseline. An arm equal to its baseline is an error.

    left: arms that were named for any model (a suite's) and that this one cannot have go in here,
    with the reason, and are left out of all combinations.
    """
    axes = [_axis(model, word, sorted_words, vocabulary, left) for word in sorted_words.arms]
    _check_refinements(sorted_words)
    if left is not None:
        axes = [[c for c in axis if _tried(model, [c], left)] for axis in axes]
    found = [_tried(model, changes, left) for changes in _combined(axes, grid=grid)]
    return [arm for arm in found if arm is not None]


def _tried(model: Spec, changes: Sequence[Change], left: Left | None) -> Arm | None:
    try:
        return _arm(model, changes)
    except (AlreadyOff, NoSuchProperty, NotPossible) as error:
        if left is None:
            raise
        left[" ".join(name for name, _ in changes)] = error
        return None


def _check_refinements(sorted_words: Sorted) -> None:
    for word in sorted_words.refinements:
        if not any(word.head == w.head for w in sorted_words.arms):
            raise WordError(
                f"{word.key!r} refines no value that this command names; write "
                f"{word.head}=VALUE {word}, base.{word} for all arms, or arm.PATH={word.value}"
            )


def _combined(axes: Sequence[Sequence[Change]], *, grid: bool) -> list[list[Change]]:
    """Each change by itself, or every product of at most one of each axis."""
    if not grid:
        return [[change] for axis in axes for change in axis]
    picks = itertools.product(*([None, *axis] for axis in axes))
    return [[change for change in pick if change] for pick in picks if any(pick)]


def _axis(
    model: Spec, word: Word, words: Sorted, vocabulary: Vocabulary, left: Left | None = None
) -> list[Change]:
    """The changes that one arm word stands for; those that this model cannot have go to `left`."""
    axis: list[Change] = []
    used: set[Word] = set()
    refinements = [r for r in words.refinements if r.head == word.head]
    for value in word.values:
        try:
            if word.head == "arm":
                axis.append(_field_change(model, word, value, vocabulary, words.baseline))
                continue
            target = set_property(model, word, value, vocabulary)
        except (NoSuchProperty, NotPossible) as error:
            if left is None:
                raise
            left[f"{word.rest if word.head == 'arm' else word.key}={value}"] = error
            continue
        mine = [
            r for r in refinements if _has_field(target, vocabulary.property(word.head), r.rest)
        ]
        used.update(mine)
        for combination in itertools.product(*([(r, v) for v in r.values] for r in mine)):
            axis.append(_property_change(word, value, combination, vocabulary))
    if axis and word.head != "arm":
        _check_used(model, word, [r for r in refinements if r not in used], vocabulary)
    return axis


def _check_used(model: Spec, word: Word, unused: Sequence[Word], vocabulary: Vocabulary) -> None:
    for refinement in unused:
        fields = sorted(
            {
                f
                for v in word.values
                for _, _, n, x in walk(set_property(model, word, v, vocabulary))
                if n == vocabulary.property(word.head) and isinstance(x, Spec)
                for f in type(x).model_fields
            }
        )
        known = f"{nearest(refinement.rest, fields)}" if fields else "it has no fields"
        raise WordError(f"{refinement.key!r}: no value of {word} has {refinement.rest!r}; {known}")


def _has_field(model: Spec, name: str, path: str) -> bool:
    return any(p.endswith(f"{name}.{path}") for p, _, _, _ in walk(model))


def _property_change(
    word: Word, value: str, refinements: Sequence[tuple[Word, str]], vocabulary: Vocabulary
) -> Change:
    value = "off" if value in NEUTRAL else value
    name = " ".join([f"{word.key}={value}", *(f"{r.key}={v}" for r, v in refinements)])

    def change(model: Any) -> Any:
        model = set_property(model, word, value, vocabulary)
        for refinement, v in refinements:
            model = refine(model, vocabulary.property(word.head), refinement, v, vocabulary)
        return model

    return name, change


def _field_change(
    model: Spec, word: Word, value: str, vocabulary: Vocabulary, baseline: Sequence[Word]
) -> Change:
    """`arm.depth=2`: one field of the model, by its path or its only name.

    `arm.decay.fast=0.1`: this field of a property, in every kernel and mixer that has it.
    Mixers that an arm brings along take the baseline's properties where they have them.
    """
    paths = [p for p, _, _, _ in walk(model)]
    path = word.rest.removeprefix("model.")
    known = {*vocabulary.off, *vocabulary.properties_of(model)}
    if vocabulary.property(path.partition(".")[0]) in known:
        return _inner_change(model, word, value, vocabulary)
    ends = [path] if path in paths else [p for p in paths if p.endswith(f".{path}")]
    if len(ends) != 1:
        said = f"ambiguous: {', '.join(ends)}" if ends else nearest(word.rest, paths)
        raise WordError(f"{word.key!r} is no single field of the model; {said}")

    def change(old: Any) -> Any:
        new = set_at(old, ends[0], word, value, vocabulary)
        return _again(new, baseline, vocabulary) if ends[0] == "mixers" else new

    return f"{word.rest}={value}", change


def _inner_change(model: Spec, word: Word, value: str, vocabulary: Vocabulary) -> Change:
    """`arm.decay.fast=0.1`: all else of the property stays."""
    head, _, field = word.rest.removeprefix("model.").partition(".")
    name = vocabulary.property(head)
    if not field:
        raise WordError(
            f"{word.key}={value}: a property makes an arm by itself; write {head}={value}"
        )
    values = [(p, v) for p, _, n, v in walk(model) if n == name and isinstance(v, Spec)]
    places = [f"{p}.{field}" for p, v in values if field in [path for path, *_ in walk(v)]]
    if not places:
        fields = sorted({path for _, v in values for path, *_ in walk(v)})
        has = nearest(field, fields) if fields else f"no {head} of this model has fields"
        raise NoSuchProperty(f"{word.key}={value}: no {head} of this model has {field!r}; {has}")

    def change(old: Any) -> Any:
        for place in places:
            try:
                old = set_at(old, place, word, value, vocabulary)
            except WordError as error:
                raise NotPossible(str(error)) from None
        return old

    return f"{head}.{field}={value}", change


def _again(model: Any, baseline: Sequence[Word], vocabulary: Vocabulary) -> Any:
    for word in baseline:
        name = vocabulary.property(word.head)
        if name not in vocabulary.properties_of(model):
            continue
        if word.rest:
            model = refine(model, name, word, word.value, vocabulary)
        else:
            model = set_property(model, word, word.value, vocabulary)
    return model


def _arm(model: Spec, changes: Sequence[Change]) -> Arm:
    new: Any = model
    name = " ".join(n for n, _ in changes)
    for _, change in changes:
        try:
            new = change(new)
        except ValidationError as error:
            raise NotPossible(f"{name}: {explain(error)}") from None
    if new == model:
        raise AlreadyOff(f"{name}: changes nothing, the baseline is so already")
    return Arm(name, new, tuple(differences(model, new)))
