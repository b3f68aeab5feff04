"""Every combination of kernel parts builds and is finite and differentiable, or is refused.

A view of the registry: a new component is tested here the moment it exists.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest
import torch
from pydantic import ValidationError

from zoo.draws import Draws
from zoo.grid import KernelContext
from zoo.kernel import KernelSpec
from zoo.measure import treatment_strength
from zoo.parameterizations import Parameterization
from zoo.properties import OFF, Decay, Full, Gain, Length, MovingAverage, Regularization, Smoothness
from zoo.spec import Spec, explain, import_components, replace_all

import_components("zoo.parameterizations")
import_components("zoo.properties")
CONTEXT = KernelContext(3, 40, Draws(11))


def variants(slot: type[Spec]) -> list[Spec]:
    """Each registered class as it is, and with its trained form where it has one."""
    plain = [cls() for cls in slot.choices().values()]
    learned = [type(s)(learned=True) for s in plain if "learned" in type(s).model_fields]
    graded = [type(s)(fastest=1.5) for s in plain if "fastest" in type(s).model_fields]
    return plain + learned + graded


def parameterizations() -> dict[str, Spec]:
    """Each registered class, and what parameterization=off makes of it."""
    found: dict[str, Spec] = {}
    for kind, cls in Parameterization.choices().items():
        layouts = {"": cls()}
        if "layout" in cls.model_fields:
            layouts["-summed"] = cls(layout="summed")
        for layout, spec in layouts.items():
            found[f"{kind}{layout}"] = spec
            found[f"{kind}{layout}-off"] = OFF["parameterization"].replacing(spec)
    return {name: spec for name, spec in found.items() if name != "dense-off"}


OUTER = list(
    product(
        variants(Smoothness),
        variants(Regularization),
        [*variants(Length), Full(time="learned")],
        variants(Gain),
    )
)
DECAYS = {
    f"{s.kind}{'-learned' * getattr(s, 'learned', False)}"
    f"{'-graded' * (getattr(s, 'fastest', None) is not None)}": s
    for s in variants(Decay)
}


def outcome(atoms: Spec, decay: Spec, outer: tuple) -> KernelSpec | str:
    """The spec, or the line that refuses it."""
    names = ("smoothness", "regularization", "length", "gain")
    try:
        return KernelSpec(
            parameterization=atoms, decay=decay, **dict(zip(names, outer, strict=True))
        )
    except ValidationError as error:
        return explain(error)


def is_flat(spec: KernelSpec) -> bool:
    """Whether the window is one number on all taps that count."""
    reach = spec.smoothness.radius if isinstance(spec.smoothness, MovingAverage) else 0
    taps = spec.length.cut(CONTEXT.length) + reach
    values = window_of(spec.parameterization, spec.decay, spec.length)[..., :taps]
    return bool((values.amax((-1, -2)) - values.amin((-1, -2))).max() < 1e-6)


@cache
def window_of(atoms: Parameterization, decay: Decay, length: Length) -> torch.Tensor:
    """The window before it settles anywhere."""
    window = decay.build(CONTEXT.below("decay"), atoms.build(CONTEXT.below("parameterization")))
    return window(length.build(CONTEXT.below("length"))(CONTEXT.length)).detach()


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Thousands of tiny tensors: a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def built(spec: KernelSpec) -> torch.Tensor:
    return spec.build(CONTEXT).whole()


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("name", parameterizations())
def test_built_finite_differentiable_and_moved_by_decay_off_or_refused(name, decay):
    accepted = 0
    for outer in OUTER:
        spec = outcome(parameterizations()[name], DECAYS[decay], outer)
        if isinstance(spec, str):
            assert "\n" not in spec
            assert spec
            continue
        accepted += 1
        kernel = spec.build(CONTEXT).eval()
        k = kernel()
        assert k.shape == (3, kernel.taps), spec
        assert torch.isfinite(k).all(), spec
        (k * torch.linspace(-1, 2, kernel.taps)).sum().backward()
        for parameter_name, parameter in kernel.named_parameters():
            assert parameter.grad is not None, (parameter_name, spec)
            assert torch.isfinite(parameter.grad).all(), (parameter_name, spec)
        assert sum(float(p.grad.abs().sum()) for p in kernel.parameters()) > 0, spec
        off = replace_all(spec, "decay", OFF["decay"])
        if not is_flat(spec):
            assert treatment_strength(k.detach(), built(off)) > 0.01, spec
        else:
            assert treatment_strength(k.detach(), built(off)) < 1e-6, spec
    assert accepted in (0, len(OUTER))


def test_what_is_refused_is_exactly_the_decay_of_poles_where_there_are_none():
    """So that the contract above cannot hold by refusing everything."""
    refused = {
        (name, decay)
        for name, atoms in parameterizations().items()
        for decay in DECAYS
        if isinstance(outcome(atoms, DECAYS[decay], OUTER[0]), str)
    }
    poleless = {n for n, atoms in parameterizations().items() if not atoms.has_poles}
    assert {"dense", "multiscale", "implicit"} <= poleless
    assert not {"modes", "modes-off"} & poleless
    assert refused == {(name, d) for name in poleless for d in DECAYS if DECAYS[d].needs_poles}
    assert len(refused) < 0.2 * len(parameterizations()) * len(DECAYS)


def test_the_product_is_not_flat():
    """The condition `flat` excuses few cells: scales on fewer taps than one scale, and no decay."""
    flat = {
        (decay, outer[2].kind)
        for decay in DECAYS
        for outer in OUTER
        if not isinstance(spec := outcome(parameterizations()["modes"], DECAYS[decay], outer), str)
        and is_flat(spec)
    }
    scales = {("per-scale", "taps"), ("per-scale-graded", "taps")}
    assert flat == {("none", "full"), ("none", "taps"), *scales}
