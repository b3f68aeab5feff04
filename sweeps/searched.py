"""What a command searches: `search=`, `fix=`, and ranges in the place of values.

    lr=1e-4..1e-2:log           a range; `:log` in logarithms, `:7` in seven points on a grid
    width=32,64,128             a choice
    search=lr,decay.fast        these fields, over the ranges that they carry, and no other
    search=decay                all fields of a property
    fix=width,depth             all fields but these

What the words give a value is fixed. Where `search=` names nothing, every field that carries a
range is searched.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from sweeps.axes import RATE, Place, find, places, with_values
from sweeps.experiment import Experiment
from sweeps.space import POINTS, Axis, Mark, Space, contains, including, moved_into
from sweeps.words import Sorted, Word, WordError, resolve
from zoo.spec import Choice, Range, explain, walk

RANGE = re.compile(r"(?P<low>[^:,]+?)\.\.(?P<high>[^:,]+)(?P<log>:log)?(:(?P<points>[0-9]{1,4}))?")
LOOKS = re.compile(r".*[0-9]\.\.[-+.]?[0-9].*")  # like a range, perhaps a mistyped one
MOST_POINTS = 1000


@dataclass(frozen=True)
class Taken:
    """A command's words without those whose value is a range or a choice, and these."""

    words: Sorted
    ranges: tuple[Word, ...]


@dataclass(frozen=True)
class Searched:
    """The experiment where a search begins, and what it varies."""

    experiment: Experiment
    space: Space
    notes: tuple[str, ...] = ()


def take_ranges(words: Sorted, *, choices: bool) -> Taken:
    """Settings, `base.decay.fast=` and `decay.fast=` may be ranges; with `choices`, lists too."""

    def searched(word: Word) -> bool:
        several = LOOKS.fullmatch(word.value) is not None or (choices and len(word.values) > 1)
        return several and word.head != "task"

    inner = tuple(word for word in words.baseline if word.rest and searched(word))
    outer = tuple(word for word in (*words.settings, *words.refinements) if searched(word))
    rest = replace(
        words,
        settings=tuple(word for word in words.settings if word not in outer),
        refinements=tuple(word for word in words.refinements if word not in outer),
        baseline=tuple(word for word in words.baseline if word not in inner),
    )
    return Taken(rest, (*outer, *inner))


def read_space(
    experiment: Experiment, taken: Taken, search: Sequence[str], fix: Sequence[str]
) -> Searched:
    """What is searched, around the configuration as the words give it.

    Raises: WordError, one line, for a word that names no field, or contradicts another.
    """
    known = places(experiment)
    ranges = _ranges(experiment, taken.ranges, known)
    fixed = _fixed(experiment, taken.words, known)
    wanted = _wanted(search, known, ranges, fixed)
    marked = [name for name, place in known.items() if place.mark and name not in fixed]
    names = {*ranges, *([name for each in wanted for name in each] if search else marked)}
    for word in fix:
        found = set(_find(word, known, names, f"fix={word}"))
        if not found & names:
            raise WordError(f"fix={word}: it is not searched; leave this out")
        if found & set(ranges) or any(set(each) <= found for each in wanted):
            raise WordError(f"fix={word}: another word searches it; leave one of the two out")
        names -= found
    if not names:
        raise WordError("nothing is left to search: every field with a range is fixed")
    moved, notes = _moved(experiment, known, ranges)
    order = sorted(names, key=lambda name: (name != RATE, list(known).index(name)))
    return Searched(moved, {n: ranges.get(n) or _own(known[n]) for n in order}, notes)


def rate_range(experiment: Experiment, taken: Taken, program: str) -> Searched:
    """Where only the rate is tuned: its range, if a word gives one."""
    known = places(experiment)
    for word in taken.ranges:
        if word.key not in (RATE, RATE.rpartition(".")[2]):
            raise WordError(f"{word}: {program} tunes {RATE} alone; sweeps.run searches ranges")
    ranges = _ranges(experiment, taken.ranges, known)
    moved, notes = _moved(experiment, known, ranges)
    return Searched(moved, ranges, notes)


def _wanted(
    search: Sequence[str],
    known: Mapping[str, Place],
    ranges: Mapping[str, Axis],
    fixed: Mapping[str, Word],
) -> list[list[str]]:
    """The axes that each word of `search=` names."""
    wanted: list[list[str]] = []
    marked = {name for name, place in known.items() if place.mark or name in ranges}
    for word in search:
        found = _find(word, known, marked, f"search={word}")
        able = [name for name in found if known[name].mark or name in ranges]
        if not able:
            raise WordError(
                f"search={word}: {found[0]} carries no range; give it one: {word}=LOW..HIGH"
            )
        if all(name in fixed for name in able):
            raise WordError(f"search={word}: {fixed[able[0]]} fixes it; leave one of the two out")
        wanted.append([name for name in able if name not in fixed])
    return wanted


def _find(key: str, known: Mapping[str, Place], first: Container[str], word: str) -> list[str]:
    """The axes that a name means: among those that may be meant, else among all."""
    with suppress(WordError):
        return find(key, {name: place for name, place in known.items() if name in first}, word)
    return find(key, known, word)


def _fixed(experiment: Experiment, words: Sorted, known: Mapping[str, Place]) -> dict[str, Word]:
    """The axes that a word gives a value."""
    fixed: dict[str, Word] = {}
    for word in words.settings:
        path = resolve(word, experiment, ())
        fixed |= {name: word for name, place in known.items() if path in place.paths}
    for word in (*words.baseline, *words.refinements):
        short = f"{word.head}.{word.rest}"
        fixed |= {name: word for name, place in known.items() if place.short == short}
    return fixed


def _ranges(
    experiment: Experiment, words: Sequence[Word], known: Mapping[str, Place]
) -> dict[str, Axis]:
    """The axes that words give a range or a choice."""
    found: dict[str, Axis] = {}
    for word in words:
        for name in find(word.key, known, str(word)):
            if known[name].part == word.key:  # a whole property
                raise WordError(f"{word}: name one of its fields, {name}=LOW..HIGH")
            found[name] = _read(word, _reader(experiment, known[name].paths[0]), known[name])
    return found


def _read(word: Word, reader: TypeAdapter[Any], place: Place) -> Axis:
    """The axis that a word's value spells."""

    def value(text: str) -> Any:
        try:
            return reader.validate_python(text)
        except ValidationError as error:
            raise WordError(f"{word}: {explain(error)}") from None

    if len(word.values) > 1:
        return Axis(Choice(tuple(dict.fromkeys(map(value, word.values)))), place.paths)
    match = RANGE.fullmatch(word.value)
    if match is None:
        raise WordError(f"{word}: write a range as LOW..HIGH, LOW..HIGH:log or LOW..HIGH:log:7")
    low, high, points = value(match["low"]), value(match["high"]), match["points"]
    if low is None or high is None or low >= high:
        raise WordError(f"{word}: the first number must be the smaller one")
    if match["log"] and low <= 0:
        raise WordError(f"{word}: a range in logarithms begins above 0")
    if points and not 2 <= int(points) <= MOST_POINTS:
        raise WordError(f"{word}: 2 to {MOST_POINTS} points")
    mark = Range(low, high, bool(match["log"]))
    return Axis(mark, place.paths, int(points) if points else POINTS)


def _reader(experiment: Experiment, path: str) -> TypeAdapter[Any]:
    """Reads what is typed for a field, and checks it as the field does."""
    owner, name = next((o, n) for p, o, n, _ in walk(experiment) if p == path)
    info = type(owner).model_fields[name]
    limits = [each for each in info.metadata if not isinstance(each, Mark)]
    field: Any = Annotated[(info.annotation, *limits)] if limits else info.annotation
    return TypeAdapter(field, config=ConfigDict(allow_inf_nan=False))


def _own(place: Place) -> Axis:
    """The range that the field carries, and the value that is given."""
    assert place.mark is not None
    return Axis(including(place.mark, place.value), place.paths)


def _moved(
    experiment: Experiment, known: Mapping[str, Place], ranges: Mapping[str, Axis]
) -> tuple[Experiment, tuple[str, ...]]:
    """Where the search begins: a value outside of the range that a word gives is moved into it."""
    values, notes = {}, []
    for name, axis in ranges.items():
        old = known[name].value
        if not contains(axis.mark, old):
            new = moved_into(axis.mark, old)
            values |= dict.fromkeys(axis.paths, new)
            notes.append(f"{name}={old} lies outside of {axis}: the search begins at {new:g}")
    try:
        return with_values(experiment, values), tuple(notes)
    except ValueError as error:
        said = explain(error) if isinstance(error, ValidationError) else str(error)
        raise WordError(said) from None
