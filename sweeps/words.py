"""The command line's one grammar, `key=value`: plan words, arms, settings. Knows specs, not torch.

A word is one of
    plan word    `seeds=10`            what to run, how often, where: each program has its own
    arm          `decay=off,power-law` a property, in all kernels and mixers: one arm each
    refinement   `decay.fast=0.1`      of a value that the same command names: belongs to that arm
    other arm    `arm.depth=2,4`       any other field of the model
    baseline     `base.decay=off`      a property in the baseline, hence in all arms
    setting      `depth=1 train.lr=1e-3`  a field of task, train or model, in all arms
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from zoo.spec import Spec, explain, replace_at, walk

NEUTRAL = ("off", "no", "none")
ROOTS = ("task", "train", "model")
MOST_ITEMS = 1000


class WordError(ValueError):
    """What the user can mend before anything runs: one line, exit code 2."""


@dataclass(frozen=True)
class Word:
    """`key=value` as it was typed."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}"

    @property
    def head(self) -> str:
        """`decay` of `decay.fast`."""
        return self.key.partition(".")[0]

    @property
    def rest(self) -> str:
        """`fast` of `decay.fast`."""
        return self.key.partition(".")[2]

    @property
    def values(self) -> list[str]:
        """The comma-separated values."""
        return self.value.split(",")


@dataclass(frozen=True)
class Vocabulary:
    """What the words may name: the properties with what "off" means, aliases, named models."""

    off: Mapping[str, Spec]
    aliases: Mapping[str, str] = field(default_factory=dict)
    parts: Callable[[str], Sequence[Spec] | None] = lambda _: None  # mixers of a published model

    def property(self, name: str) -> str:
        """The field that a property's name stands for."""
        return self.aliases.get(name, name)

    def properties_of(self, model: Spec) -> dict[str, Spec]:
        """The properties that this model has, with their neutral objects."""
        declared = {
            name: getattr(owner, "off", {}).get(name)
            for _, owner, _, _ in walk(model)
            for name in getattr(owner, "properties", ())
        }
        has = {name for _, _, name, _ in walk(model)}
        known = {**self.off, **{k: v for k, v in declared.items() if v is not None}}
        return {name: value for name, value in known.items() if name in has}


def split(words: Iterable[str]) -> list[Word]:
    """Typed words to `Word`s; no word twice."""
    found: list[Word] = []
    for text in words:
        key, sign, value = text.partition("=")
        if not sign or not key.strip() or key != key.strip():
            hint = f"; did you mean {key.strip()}=off?" if key.strip().isidentifier() else ""
            raise WordError(f"{text!r} is not key=value{hint}")
        if not value.strip() or any(not v.strip() for v in value.split(",")):
            raise WordError(f"{text!r}: a value is missing after '=' or between commas")
        if any(word.key == key for word in found):
            raise WordError(f"{key!r} is given twice; list several values as {key}=A,B")
        found.append(Word(key, value))
    return found


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """`did you mean A or B?`, or all there is."""
    known = sorted(set(known))
    close = difflib.get_close_matches(name, known, count, 0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"


@dataclass(frozen=True)
class Sorted:
    """A command's words by what they do."""

    plan: dict[str, str]
    baseline: tuple[Word, ...]
    settings: tuple[Word, ...]
    arms: tuple[Word, ...]
    refinements: tuple[Word, ...]


def sort_words(
    words: Sequence[Word], plan_words: Iterable[str], properties: Iterable[str]
) -> Sorted:
    """What each word does. `properties`: every name that makes an arm, aliases included."""
    plan_words, properties = set(plan_words), set(properties)
    plan: dict[str, str] = {}
    groups: dict[str, list[Word]] = {"base": [], "set": [], "arm": [], "refine": []}
    for word in words:
        if word.key in plan_words:
            plan[word.key] = word.value
        elif word.head == "base" and word.rest:
            groups["base"].append(Word(word.rest, word.value))
        elif word.key in properties or (word.head == "arm" and word.rest):
            groups["arm"].append(word)
        elif word.head in properties:
            groups["refine"].append(word)
        else:
            groups["set"].append(word)
    return Sorted(plan, *(tuple(groups[g]) for g in ("base", "set", "arm", "refine")))


def set_at(root: Spec, path: str, word: Word, value: str, vocabulary: Vocabulary) -> Any:
    """`root` with the field at `path` set to what was typed."""
    owner, name = _owner(root, path, word)
    try:
        return replace_at(root, path, read_value(owner, name, value, vocabulary))
    except ValueError as error:
        said = explain(error) if isinstance(error, ValidationError) else str(error)
        prefix = f"{word.key}={value}: "
        raise WordError(said if said.startswith(prefix) else prefix + said) from None


def read_value(owner: type[Spec], name: str, text: str, vocabulary: Vocabulary) -> Any:
    """The typed text as something that pydantic accepts for this field."""
    info = owner.model_fields[name]
    is_tuple = isinstance(info.get_default(call_default_factory=True), tuple)
    if text in NEUTRAL:
        if name in vocabulary.off:
            return vocabulary.off[name]
        if is_tuple:
            return ()
        return None if type(None) in _options(info.annotation) else "none"
    if is_tuple:
        return _sequence(text, vocabulary)
    return text


def _options(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", ())


def _sequence(text: str, vocabulary: Vocabulary) -> tuple[Any, ...]:
    """`h3*5+attention`: five and one. A published model's name stands for its mixers."""
    items: list[Any] = []
    for part in text.split("+"):
        name, star, times = part.partition("*")
        if star and not (times.isdecimal() and 0 < int(times) <= MOST_ITEMS):
            raise ValueError(f"{part!r}: write NAME*COUNT with a COUNT of 1 to {MOST_ITEMS}")
        items += list(vocabulary.parts(name) or (name,)) * int(times or 1)
    return tuple(items)


def _owner(root: Spec, path: str, word: Word) -> tuple[type[Spec], str]:
    for found, owner, name, _ in walk(root):
        if found == path:
            return type(owner), name
    known = [p for p, _, _, _ in walk(root)]
    raise WordError(f"{word.key!r}: there is no field {path!r}; {nearest(path, known)}")


def resolve(word: Word, experiment: Spec, extra: Iterable[str]) -> str:
    """The dotted path in the experiment that a setting's key means."""
    paths = [p for p, _, _, _ in walk(experiment) if p.partition(".")[0] in ROOTS and "." in p]
    if word.head in ROOTS and word.rest:
        if word.key in paths:
            return word.key
        raise WordError(f"unknown word {word.key!r}; {nearest(word.key, paths)}")
    ends = [p for p in paths if p.endswith(f".{word.key}")]
    own = [p for p in ends if p in [f"{root}.{word.key}" for root in ROOTS]]
    ends = own or ends  # a field of task, train or model itself, before one deeper inside
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise WordError(f"{word.key!r} is ambiguous: write one of {', '.join(ends)}")
    names = {p.rpartition(".")[2] for p in paths} | set(extra)
    raise WordError(f"unknown word {word.key!r}; {nearest(word.key, names - {'0'})}")


def apply_setting(
    experiment: Spec, word: Word, vocabulary: Vocabulary, extra: Iterable[str] = ()
) -> Any:
    """The experiment with one setting applied; a setting that changes nothing is an error."""
    path = resolve(word, experiment, extra)
    new = set_at(experiment, path, word, word.value, vocabulary)
    # Saying what the rate is already takes it out of the tuning: that is a change.
    if new == experiment and path != "train.lr":
        raise WordError(f"{word}: changes nothing, {path} is {word.value} already")
    return new
