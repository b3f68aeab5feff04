"""Specs: frozen, typed, nested descriptions of what can be built; without torch.

A slot is a base class (`class Decay(Spec)`); what fills it names its kind
(`class PowerLaw(Decay, kind="power-law")`).
The registry is a view of the classes that exist: `Decay.choices()`.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import UnionType
from typing import Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

KIND = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
INTEGER = re.compile(r"\s*[+-]?[0-9]+(_[0-9]+)*\s*")
LONGEST = 60  # characters of an input that an error repeats
PLUGINS = "seqzoo.components"
S = TypeVar("S", bound="Spec")


@dataclass(frozen=True)
class Range:
    """Where a search may look: metadata of a field, `Annotated[float, Range(1e-4, 1e-1)]`."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """Which values a search may try: metadata of a field, `Annotated[int, Choice((2, 4, 8))]`."""

    values: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Context:
    """All that a model may know of a task.

    head  where it answers, and with what:
          token       a class at every position that is asked for
          last, mean  a class for the sequence: from its last state, or from the mean state
          regression  num_outputs reals for the sequence, from the mean state
          trace       num_outputs reals at every position that is asked for
          unfold      a class at every position, all of them from the last state
    """

    num_inputs: int | None = None  # vocabulary of token inputs, or
    input_dim: int | None = None  # features of real inputs
    num_outputs: int  # classes, or regression targets
    length: int  # the longest sequence
    head: Literal["token", "last", "mean", "regression", "trace", "unfold"] = "token"

    @property
    def is_real(self) -> bool:
        """Whether targets are real numbers, not classes."""
        return self.head in ("regression", "trace")

    @property
    def at_positions(self) -> bool:
        """Whether positions have targets of their own."""
        return self.head in ("token", "trace", "unfold")

    def __post_init__(self) -> None:
        if (self.num_inputs is None) == (self.input_dim is None):
            raise ValueError("a context has either num_inputs (tokens) or input_dim (real inputs)")


class Spec(BaseModel):
    """A frozen description, hashable, JSON both ways. Registered under its `kind` if it has one."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )
    kind: ClassVar[str | None] = None

    def __init_subclass__(cls, kind: str | None = None, **config: Any) -> None:
        super().__init_subclass__(**config)
        cls.kind = None
        if kind is None:
            return
        if not KIND.fullmatch(kind):
            raise ValueError(f"kind {kind!r} of {cls.__name__}: lower-case words joined by '-'")
        slot = cls.slot()
        other = slot.choices().get(kind)
        if other is not None:
            raise ValueError(f"two {slot.__name__} classes are called {kind!r}: {other} and {cls}")
        cls.kind = kind

    @classmethod
    def __pydantic_init_subclass__(cls, kind: str | None = None, **config: Any) -> None:
        super().__pydantic_init_subclass__(**config)

    @classmethod
    def slot(cls) -> type[Spec]:
        """The base class whose place this one fills."""
        return [c for c in cls.__mro__ if issubclass(c, Spec) and c is not Spec][-1]

    @classmethod
    def choices(cls) -> dict[str, type[Self]]:
        """Every registered class below this one (and itself), by kind."""
        found: dict[str, type[Self]] = {} if cls.kind is None else {cls.kind: cls}
        for sub in cls.__subclasses__():
            found.update(sub.choices())
        return dict(sorted(found.items()))

    def replacing(self, old: Any) -> Self:
        """What to put where `old` was: self, unless an "off" keeps something of what it ends."""
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _by_kind(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Any:
        """A bare name, or a dict with `kind`, becomes the class of that name."""
        polymorphic = cls.kind is not None or bool(cls.choices())
        if isinstance(value, str) and polymorphic:
            value = {"kind": value}
        if isinstance(value, dict) and polymorphic:
            value = dict(value)
            kind = value.pop("kind", cls.kind)
            target = cls.choices().get(kind)
            if target is None:
                slot, known = cls.slot().__name__, ", ".join(cls.choices())
                raise ValueError(f"{kind!r} is not a {slot}; choose from {known}")
            if target is not cls:
                return target.model_validate(value)
        return handler(value)

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any) -> Any:
        """True is not 1 and 8.0 is not 8: a flag typed where a number belongs is a mistake."""
        if isinstance(value, dict):
            for name, field in cls.model_fields.items():
                given = value.get(name)
                if field.annotation in (int, float) and isinstance(given, bool):
                    raise ValueError(f"{name}={given}: expected a number")
                if field.annotation is int and _is_fraction(given):
                    raise ValueError(f"{name}={given}: expected a whole number")
        return value

    @model_serializer(mode="wrap")
    def _with_kind(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = handler(self)
        return fields if self.kind is None else {"kind": self.kind, **fields}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, every nested spec with its kind."""
        return self.model_dump(mode="json", serialize_as_any=True)

    def canonical(self) -> str:
        """The one JSON text of this spec: sorted keys, no spaces. What fingerprints are made of."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _is_fraction(given: Any) -> bool:
    return isinstance(given, float) or (isinstance(given, str) and not INTEGER.fullmatch(given))


def explain(error: ValidationError) -> str:
    """One line for a person: where, what, and what was given."""
    parts = []
    for item in error.errors():
        where = ".".join(str(p) for p in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:] if item["type"] != "value_error" else message
        given = "" if item["type"] in ("value_error", "missing") else f", got {_cut(item['input'])}"
        parts.append(f"{where}: {message}{given}" if where else f"{message}{given}")
    return "; ".join(dict.fromkeys(parts))


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def walk(spec: Spec, path: str = "") -> Iterator[tuple[str, Spec, str, Any]]:
    """Every field of the tree, outer first: (dotted path, its owner, its name, its value)."""
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        here = f"{path}.{name}" if path else name
        yield here, spec, name, value
        for step, child in _children(value):
            yield from walk(child, f"{here}{step}")


def _children(value: Any) -> Iterator[tuple[str, Spec]]:
    if isinstance(value, Spec):
        yield "", value
    elif isinstance(value, tuple):
        yield from ((f".{i}", item) for i, item in enumerate(value) if isinstance(item, Spec))


def replace_all(spec: S, field: str, value: Any) -> S:
    """Set every field of that name in the tree, and validate again what changed."""

    def new(name: str, old: Any) -> Any:
        if name == field:
            return value.replacing(old) if isinstance(value, Spec) else value
        if isinstance(old, Spec):
            return replace_all(old, field, value)
        if isinstance(old, tuple):
            return tuple(replace_all(x, field, value) if isinstance(x, Spec) else x for x in old)
        return old

    return _rebuild(
        spec, {name: new(name, getattr(spec, name)) for name in type(spec).model_fields}
    )


def replace_at(spec: S, path: str, value: Any) -> S:
    """Set the one field at a dotted path (`mixers.0.kernel.decay.fast`), else KeyError."""
    head, _, rest = path.partition(".")
    if head not in type(spec).model_fields:
        raise KeyError(head)
    old = getattr(spec, head)
    if rest:
        value = _replace_inside(old, rest, value)
    elif isinstance(value, Spec):
        value = value.replacing(old)
    return _rebuild(spec, {**{n: getattr(spec, n) for n in type(spec).model_fields}, head: value})


def _replace_inside(old: Any, path: str, value: Any) -> Any:
    if isinstance(old, Spec):
        return replace_at(old, path, value)
    index, _, rest = path.partition(".")
    if isinstance(old, tuple) and index.isdigit() and int(index) < len(old):
        i = int(index)
        item = _replace_inside(old[i], rest, value) if rest else value
        return (*old[:i], item, *old[i + 1 :])
    raise KeyError(path)


def _rebuild(spec: S, fields: dict[str, Any]) -> S:
    if all(fields[name] is getattr(spec, name) for name in fields):
        return spec
    return type(spec)(**fields)


def ranges(spec: Spec) -> dict[str, Range | Choice]:
    """The search ranges that the fields of a tree carry, by dotted path."""
    found = {}
    for path, owner, name, _ in walk(spec):
        field = type(owner).model_fields[name]
        for mark in (*field.metadata, *_metadata(field.annotation)):
            if isinstance(mark, Range | Choice):
                found[path] = mark
    return found


def _metadata(annotation: Any) -> Iterator[Any]:
    """What `Annotated[...]` says inside an optional field, `KernelRate | None`."""
    yield from getattr(annotation, "__metadata__", ())
    if get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _metadata(part)


def import_components(package: str) -> None:
    """Import a package's modules, and the plug-ins that users installed: then all classes exist.

    Those named _like_this are left to whoever needs them.
    """
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, package + "."):
        if not any(part.startswith("_") for part in module.name.split(".")):
            importlib.import_module(module.name)
    for plugin in entry_points(group=PLUGINS):
        plugin.load()
