"""The axes of an experiment: each field that can be searched, by a name and with all its places.

A field of training or of the model as a whole is one axis, `train.lr`, `model.width`. Deeper down,
fields of one name in parts of one kind are one axis, `decay.fast`, whichever layer or mixer they
belong to: a model of two kernels has one decay that is searched, not two. Where their values differ
as given, or two kinds have a field of that name, they are axes of their own with longer names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from sweeps.words import WordError, nearest
from zoo.spec import Choice, Range, Spec, ranges, replace_at, walk

RATE = "train.lr"
ROOTS = ("train", "model")  # another task is another question
# what a trial costs, and how it is scored: equal for all
UNSEARCHED = ("steps", "num_train", "eval_every", "num_eval", "stop_at", "checkpoint_every")


@dataclass(frozen=True)
class Place:
    """A number of an experiment: where it is, what part it belongs to, what it is."""

    paths: tuple[str, ...]
    part: str  # `decay`, or `train`
    field: str
    kind: str | None  # of the part
    value: Any
    mark: Range | Choice | None  # what the field carries

    @property
    def short(self) -> str:
        """`decay.fast`"""
        return f"{self.part}.{self.field}"


def places(experiment: Spec) -> dict[str, Place]:
    """Every number that can be searched, by its name."""
    groups: dict[tuple[Any, ...], list[Place]] = {}
    for found in _numbers(experiment):
        key = (found.short, found.kind, found.value)
        groups.setdefault(key, []).append(found)
    merged = [_merged(group) for group in groups.values()]
    return {_name(place, merged): place for place in merged}


def _numbers(experiment: Spec) -> Iterable[Place]:
    marks = ranges(experiment)
    for path, owner, name, value in walk(experiment):
        parts = [part for part in path.split(".") if not part.isdigit()]
        searched = parts[0] in ROOTS and len(parts) > 1 and name not in UNSEARCHED
        if searched and _is_number(type(owner).model_fields[name].annotation):
            yield Place((path,), parts[-2], name, owner.kind, value, marks.get(path))


def _is_number(annotation: Any) -> bool:
    """Of `int`, `float`, either with marks, either or None."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return any(map(_is_number, get_args(annotation)))
    return annotation in (int, float)


def _merged(group: list[Place]) -> Place:
    first = group[0]
    paths = tuple(path for place in group for path in place.paths)
    return Place(paths, first.part, first.field, first.kind, first.value, first.mark)


def _name(place: Place, among: Iterable[Place]) -> str:
    """As short as it can be."""
    same = [other for other in among if other.short == place.short]
    if len(same) == 1:
        return place.short
    if place.kind is not None and sum(other.kind == place.kind for other in same) == 1:
        return f"{place.part}.{place.kind}.{place.field}"
    return place.paths[0]


def find(key: str, known: Mapping[str, Place], word: str = "") -> list[str]:
    """The axes that a word means: a name, a dotted path, a bare field, or all of a property.

    Raises: WordError with the nearest names, or with those that a bare field may mean.
    """
    said = f"{word}: " if word else ""
    if key in known:
        return [key]
    by_path = [name for name, place in known.items() if key in place.paths]
    roots = [f"{root}.{key}" for root in ROOTS if f"{root}.{key}" in known]
    if by_path or roots:
        return (by_path or roots)[:1]
    whole = [name for name, p in known.items() if key in (p.part, p.short) and p.part not in ROOTS]
    if whole:
        return whole
    ends = [name for name, place in known.items() if place.field == key]
    if len(ends) > 1:
        raise WordError(f"{said}{key!r} is ambiguous: write one of {', '.join(ends)}")
    if not ends:
        names = {*known, *(p.field for p in known.values()), *(p.part for p in known.values())}
        raise WordError(f"{said}there is no {key!r} to search; {nearest(key, names - set(ROOTS))}")
    return ends


def with_values(experiment: Any, values: Mapping[str, Any]) -> Any:
    """The experiment with these values by dotted path, put in in whatever order is valid.

    Raises: ValueError where there is no such order.
    """
    waiting = dict(values)
    while waiting:
        error, before = None, len(waiting)
        for path, value in list(waiting.items()):
            try:
                experiment = replace_at(experiment, path, value)
                del waiting[path]
            except ValueError as wrong:  # it may wait for another: dt_max before dt_min
                error = error or wrong
        if error is not None and len(waiting) == before:
            raise error
    return experiment
