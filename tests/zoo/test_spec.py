"""Specs: what they accept and refuse, how they are saved, replaced, walked and explained."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zoo.spec import (
    Choice,
    Context,
    Range,
    Spec,
    explain,
    ranges,
    replace_all,
    replace_at,
    walk,
)


class Shape(Spec):
    """A slot of this test."""


class Round(Shape, kind="round"):
    radius: Annotated[float, Range(0.1, 10, log=True)] = 1.0


class Nothing(Shape, kind="none"):
    """The null object."""


class Remembers(Shape, kind="remembers"):
    """An "off" that keeps something of what it ends."""

    was: str = "nothing"

    def replacing(self, old: Any) -> Remembers:
        return self.model_copy(update={"was": old.kind if isinstance(old, Shape) else str(old)})


class Layer(Spec):
    """A slot whose base can be filled itself."""


class Plain(Layer, kind="plain"):
    shape: Shape = Round()
    size: Annotated[int, Choice((1, 2, 4))] = 4


class Nested(Plain, kind="nested"):
    inner: Plain = Plain()


class Whole(Spec):
    """No slot: a spec without a kind."""

    layers: tuple[Layer, ...] = (Plain(),)
    shape: Shape | None = None
    name: str = "x"
    rate: float = 0.1
    flag: bool = False
    many: Shape | tuple[Shape, ...] = Nothing()


def hybrid() -> Whole:
    return Whole(layers=(Plain(), Nested(inner=Plain(size=2)), Plain(shape=Nothing())))


def test_registry_is_a_view_of_the_classes() -> None:
    assert Shape.choices() == {"none": Nothing, "remembers": Remembers, "round": Round}
    assert Layer.choices() == {"nested": Nested, "plain": Plain}
    assert Plain.choices() == {"nested": Nested, "plain": Plain}
    assert Round.slot() is Shape
    assert Nested.slot() is Layer
    assert Whole.kind is None
    assert Whole.choices() == {}


def test_two_of_one_kind_are_refused_where_they_are_made() -> None:
    with pytest.raises(ValueError, match=r"two Shape classes are called 'round'"):

        class Again(Shape, kind="round"):
            """One too many."""

    assert Shape.choices()["round"] is Round


def test_one_kind_may_be_in_two_slots() -> None:
    class Other(Spec):
        """Another slot."""

    class OtherRound(Other, kind="round"):
        """Same kind."""

    assert Other.choices() == {"round": OtherRound}
    assert Shape.choices()["round"] is Round


@pytest.mark.parametrize("kind", ["Round", "two words", "a--b", "-a", "a-", "a_b", ""])
def test_kinds_are_words_joined_by_hyphens(kind: str) -> None:
    with pytest.raises(ValueError, match="lower-case words"):
        type("Bad", (Shape,), {"__module__": __name__}, kind=kind)


@pytest.mark.parametrize(
    ("given_as", "wanted"),
    [
        ("round", Round()),
        ({"kind": "round", "radius": 2}, Round(radius=2)),
        (Round(radius=3), Round(radius=3)),
        ("none", Nothing()),
        ({"kind": "none"}, Nothing()),
    ],
)
def test_a_slot_is_filled_by_name_by_dict_or_by_value(given_as: Any, wanted: Shape) -> None:
    assert Plain(shape=given_as).shape == wanted
    assert Whole(shape=given_as).shape == wanted


def test_a_class_takes_a_dict_without_kind() -> None:
    assert Round.model_validate({"radius": 2}) == Round(radius=2)


def test_a_kind_of_another_class_is_refused_by_name() -> None:
    with pytest.raises(ValidationError) as caught:
        Plain.model_validate({"shape": "rond"})
    text = explain(caught.value)
    assert text == "shape: 'rond' is not a Shape; choose from none, remembers, round"


def test_specs_are_frozen_and_hashable() -> None:
    one, two = hybrid(), hybrid()
    assert hash(one) == hash(two)
    assert len({one, two}) == 1
    with pytest.raises(ValidationError):
        one.name = "y"


# JSON ----------------------------------------------------------------------------------------


def test_json_keeps_the_kinds() -> None:
    saved = json.loads(hybrid().canonical())
    assert saved["layers"][0] == {
        "kind": "plain",
        "shape": {"kind": "round", "radius": 1.0},
        "size": 4,
    }
    assert saved["layers"][1]["kind"] == "nested"
    assert saved["layers"][1]["inner"]["size"] == 2
    assert "kind" not in saved
    assert Whole.model_validate(saved) == hybrid()


@pytest.mark.parametrize("shape", [Nothing(), "none", {"kind": "none"}])
def test_none_is_a_word_and_stays_one(shape: Any) -> None:
    """Elsewhere `off` and `none` have become False and null on their way to disk and back."""
    whole = Whole(layers=(Plain(shape=shape),), many="none")
    text = whole.canonical()
    assert '"shape":{"kind":"none"}' in text
    assert '"many":{"kind":"none"}' in text
    back = Whole.model_validate(json.loads(text))
    assert back == whole
    (layer,) = back.layers
    assert isinstance(layer, Plain)
    assert layer.shape.kind == "none"
    assert isinstance(layer.shape, Nothing)
    assert isinstance(back.many, Nothing)


@pytest.mark.parametrize("value", [False, True, 0, []])
def test_what_is_no_word_does_not_fill_a_slot(value: Any) -> None:
    with pytest.raises(ValidationError):
        Plain(shape=value)


def test_an_optional_slot_tells_nothing_from_the_null_object() -> None:
    assert Whole().shape is None
    assert json.loads(Whole().canonical())["shape"] is None
    assert Whole(shape="none").shape == Nothing()
    assert Whole() != Whole(shape="none")


def test_canonical_has_one_text_for_equal_specs() -> None:
    one = Whole(name="a", rate=1)
    two = Whole(rate=1.0, name="a")
    assert one.canonical() == two.canonical()
    assert " " not in one.canonical()
    assert json.loads(one.canonical())["rate"] == 1.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan"])
def test_numbers_are_finite(value: Any) -> None:
    with pytest.raises(ValidationError):
        Whole(rate=value)


shapes = st.one_of(
    st.builds(Round, radius=st.floats(0.01, 100)),
    st.just(Nothing()),
    st.builds(Remembers, was=st.text(max_size=5)),
)
plains = st.builds(Plain, shape=shapes, size=st.integers(1, 9))
layers = plains | st.builds(Nested, shape=shapes, size=st.integers(1, 9), inner=plains)
wholes = st.builds(
    Whole,
    layers=st.lists(layers, max_size=4).map(tuple),
    shape=st.none() | shapes,
    name=st.text(max_size=8),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    flag=st.booleans(),
    many=shapes | st.lists(shapes, min_size=1, max_size=3).map(tuple),
)


@given(wholes)
def test_round_trip(whole: Whole) -> None:
    text = whole.canonical()
    back = Whole.model_validate(json.loads(text))
    assert back == whole
    assert hash(back) == hash(whole)
    assert back.canonical() == text
    assert Whole.model_validate_json(text) == whole


@given(wholes, shapes)
def test_replace_all_reaches_every_place_and_is_idempotent(whole: Whole, new: Shape) -> None:
    target = new if not isinstance(new, Remembers) else Nothing()
    once = replace_all(whole, "shape", target)
    found = [value for _, _, name, value in walk(once) if name == "shape"]
    assert found
    assert all(value == target for value in found)
    assert replace_all(once, "shape", target) == once
    assert replace_all(once, "size", 3) == replace_all(
        replace_all(whole, "size", 3), "shape", target
    )


@given(wholes)
def test_replacing_by_itself_changes_nothing(whole: Whole) -> None:
    for path, _, _, value in walk(whole):
        if not any(isinstance(v, Remembers) for v in (value,)):
            assert replace_at(whole, path, value) == whole


# Replacing -----------------------------------------------------------------------------------


def test_replace_all_reaches_every_layer_of_a_hybrid() -> None:
    new = replace_all(hybrid(), "shape", Nothing())
    paths = [p for p, _, name, value in walk(new) if name == "shape" and value == Nothing()]
    assert paths == [
        "layers.0.shape",
        "layers.1.shape",
        "layers.1.inner.shape",
        "layers.2.shape",
        "shape",
    ]
    assert [p for p, _, n, _ in walk(new) if n == "shape"] == paths


def test_replace_all_does_not_enter_what_it_puts_in() -> None:
    class Deep(Layer, kind="deep"):
        layer: Layer = Plain()

    new = replace_all(Deep(layer=Nested()), "layer", Nested(size=1))
    assert new.layer == Nested(size=1)


def test_replace_all_validates_again() -> None:
    with pytest.raises(ValidationError):
        replace_all(hybrid(), "size", "many")


def test_replace_all_of_an_unknown_field_changes_nothing() -> None:
    whole = hybrid()
    assert replace_all(whole, "colour", 1) == whole


def test_what_replaces_is_told_what_it_ends() -> None:
    new = replace_all(hybrid(), "shape", Remembers())
    assert [v.was for _, _, n, v in walk(new) if n == "shape" and isinstance(v, Remembers)] == [
        "round",
        "round",
        "round",
        "none",
        "None",
    ]
    at = replace_at(hybrid(), "layers.2.shape", Remembers())
    (_, _, last) = at.layers
    assert isinstance(last, Plain)
    assert last.shape == Remembers(was="none")


def test_replace_at_sets_one_place() -> None:
    new = replace_at(hybrid(), "layers.1.inner.shape", Nothing())
    changed = [
        path
        for (path, _, _, old), (_, _, _, now) in zip(walk(hybrid()), walk(new), strict=False)
        if old != now
    ]
    assert changed[:3] == ["layers", "layers.1.inner", "layers.1.inner.shape"]
    nested = new.layers[1]
    assert isinstance(nested, Nested)
    assert nested.inner.shape == Nothing()
    assert replace_at(hybrid(), "layers.0", "nested").layers[0] == Nested()
    assert replace_at(hybrid(), "name", "z").name == "z"


@pytest.mark.parametrize(
    "path",
    ["nme", "layers.3", "layers.x", "layers.0.colour", "layers.-1", "name.first", ""],
)
def test_replace_at_says_which_part_of_a_path_is_wrong(path: str) -> None:
    with pytest.raises(KeyError):
        replace_at(hybrid(), path, 1)


def test_replace_at_refuses_an_impossible_value() -> None:
    with pytest.raises(ValidationError) as caught:
        replace_at(hybrid(), "layers.0.size", "big")
    assert explain(caught.value) == "size=big: expected a whole number"


# Values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [True, False, 8.0, 8.5, "8.0", "eight", None, "", "1e3"])
def test_a_whole_number_is_a_whole_number(value: Any) -> None:
    with pytest.raises(ValidationError):
        Plain(size=value)


@pytest.mark.parametrize("value", [8, "8", " 8", "+8", "1_0"])
def test_a_typed_number_is_one(value: Any) -> None:
    assert Plain(size=value).size in (8, 10)


@pytest.mark.parametrize("value", [True, False, "fast", None])
def test_a_real_number_is_no_flag(value: Any) -> None:
    with pytest.raises(ValidationError):
        Whole(rate=value)


@pytest.mark.parametrize("value", [0, 1, "1e-3", ".5", 2.5])
def test_real_numbers(value: Any) -> None:
    assert Whole(rate=value).rate == float(value)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        Round.model_validate({"radius": 1, "raduis": 2})
    assert "raduis" in explain(caught.value)


@pytest.mark.parametrize(
    "bad",
    [
        {"size": "x"},
        {"shape": "x", "colour": 3},
        {"shape": {"kind": "round", "radius": "big"}},
        {"kind": "plane"},
        {"shape": {"kind": "round", "radius": True}},
    ],
)
def test_explain_is_one_line_that_names_the_field(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Layer.model_validate({"kind": "plain", **bad})
    text = explain(caught.value)
    assert "\n" not in text
    assert text
    assert "Value error" not in text
    assert "pydantic" not in text
    for word in ("size", "colour", "radius", "plane"):
        if word in json.dumps(bad):
            assert word in text


def test_explain_says_what_was_given() -> None:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate({"name": 3})
    assert explain(caught.value) == "name: input should be a valid string, got 3"


# Walking and ranges --------------------------------------------------------------------------


def test_walk_names_every_field_once_outer_first() -> None:
    paths = [path for path, _, _, _ in walk(hybrid())]
    assert len(set(paths)) == len(paths)
    assert paths[:4] == ["layers", "layers.0.shape", "layers.0.shape.radius", "layers.0.size"]
    assert "layers.1.inner.shape.radius" in paths
    for path, owner, name, value in walk(hybrid()):
        assert path.split(".")[-1] == name
        assert getattr(owner, name) == value


def test_ranges_are_found_where_the_values_are() -> None:
    whole = Whole(layers=(Plain(shape=Nothing()), Nested()), shape=Round())
    assert ranges(whole) == {
        "layers.0.size": Choice((1, 2, 4)),
        "layers.1.shape.radius": Range(0.1, 10, log=True),
        "layers.1.size": Choice((1, 2, 4)),
        "layers.1.inner.shape.radius": Range(0.1, 10, log=True),
        "layers.1.inner.size": Choice((1, 2, 4)),
        "shape.radius": Range(0.1, 10, log=True),
    }


def test_context_has_one_kind_of_input() -> None:
    for fields in ({}, {"num_inputs": 3, "input_dim": 2}):
        with pytest.raises(ValueError, match="either num_inputs"):
            Context(num_outputs=2, length=4, **fields)
    assert Context(num_inputs=3, num_outputs=2, length=4).head == "token"


def test_specs_need_no_torch() -> None:
    code = "import sys, zoo.spec; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
