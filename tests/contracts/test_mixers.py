"""What every sequence mixer owes: tried on each kind that is registered, and in each preset.

Axes: B batch, L length, D width.
"""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from zoo.draws import Draws
from zoo.mixers import LayerContext, LongConv, Mixer, SequenceMixer
from zoo.model import ModelSpec
from zoo.presets import names, preset
from zoo.properties.gating import Gating
from zoo.spec import Context, import_components

import_components("zoo")
WIDTH, LENGTH = 4, 33
DIRECTIONS = ("causal", "two_sided")
GATES = {  # receptance is for one mixer alone
    kind: cls for kind, cls in Gating.choices().items() if kind != "receptance"
}
CASES: dict[str, SequenceMixer] = {
    **{f"{kind} as it is": mixer() for kind, mixer in SequenceMixer.choices().items()},
    **{f"{name} {i}": m for name in names() for i, m in enumerate(preset(name).mixers)},
    **{
        f"{direction} {gating}": LongConv(gating=cls(), direction=direction)
        for direction in DIRECTIONS
        for gating, cls in GATES.items()
    },
    **{
        f"{direction} {gating} of two filters": LongConv.model_validate(
            {"gating": gating, "direction": direction, "channels": 2}
        )
        for direction in DIRECTIONS
        for gating in sorted(set(GATES) - {"linear"})
    },
}


def layer(*, length: int = LENGTH, seed: int = 3) -> LayerContext:
    return LayerContext(width=WIDTH, length=length, draws=Draws(seed, "contract"))


def built(name: str, *, length: int = LENGTH, seed: int = 3) -> Mixer:
    return CASES[name].build(layer(length=length, seed=seed)).eval()  # nothing random


def signal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def jacobian(mixer: Mixer, length: int) -> Tensor:
    """The size of d y_t / d u_s over all features: (L, L)."""
    full = torch.autograd.functional.jacobian(mixer, signal(1, length, WIDTH))
    assert isinstance(full, Tensor)
    return full.abs().amax((0, 2, 3, 5))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("length", [1, 2, 7, LENGTH])
def test_keeps_the_shape_at_any_length(name: str, length: int) -> None:
    u = signal(3, length, WIDTH, dtype=torch.float32)
    y = built(name)(u)
    assert y.shape == u.shape
    assert y.dtype == torch.float32
    assert y.isfinite().all()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("length", [1, 9])
def test_built_for_any_length(name: str, length: int) -> None:
    assert (
        built(name, length=length)(signal(2, length, WIDTH, dtype=torch.float32)).isfinite().all()
    )


@pytest.mark.parametrize("name", CASES)
def test_causal_iff_it_says_so(name: str) -> None:
    mixer = built(name, length=9).double()
    size = jacobian(mixer, 9)
    if mixer.causal:
        assert size.triu(1).max() <= (0 if "attention" in name else 1e-12)
    else:
        assert size.diagonal(1).min() > 1e-6
        assert size[0, -1] > 0
    assert size.diagonal().min() > 1e-6
    squashed = '"squash"' in CASES[name].canonical()  # not every lag has a tap
    assert (size.tril(-1).max() if squashed else size.diagonal(-1).min()) > 1e-9


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("changed", [1, LENGTH // 2, LENGTH - 1])
def test_the_future_is_not_seen(name: str, changed: int) -> None:
    mixer = built(name).double()
    u = signal(1, LENGTH, WIDTH)
    other = u.clone()
    other[:, changed:] += 3 * signal(1, LENGTH - changed, WIDTH, seed=1)
    gap = (mixer(u) - mixer(other)).abs()
    assert gap[:, changed:].max() > 0.01
    if mixer.causal:
        assert gap[:, :changed].max() <= (0 if "attention" in name else 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_every_parameter_is_trained(name: str) -> None:
    mixer = built(name)
    mixer(signal(2, LENGTH, WIDTH, dtype=torch.float32)).square().sum().backward()
    for key, parameter in mixer.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", CASES)
def test_saved_and_loaded_it_is_the_same(name: str) -> None:
    old, new = built(name), built(name, seed=4)
    u = signal(2, LENGTH, WIDTH, dtype=torch.float32)
    assert not torch.equal(old(u), new(u))
    new.load_state_dict(load(save(old.state_dict())), strict=True)
    assert torch.equal(old(u), new(u))


@pytest.mark.parametrize("name", CASES)
def test_equal_draws_make_equal_mixers(name: str) -> None:
    state = torch.random.get_rng_state()
    one, two, other = built(name), built(name), built(name, seed=5)
    assert torch.equal(torch.random.get_rng_state(), state)
    for key, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[key])
    drawn = [k for k, p in one.named_parameters() if p.std() > 0]
    assert drawn
    moved = [k for k in drawn if not torch.equal(one.state_dict()[k], other.state_dict()[k])]
    # The same law for every seed, for some.
    graded = (
        "log_rate",
        "omega",
        "atoms.b",
        "atoms.p",
        "frequency",
        "skip",
        "impulse",
        "bonus",
        ".mix",
        ".matrices.",
    )
    assert {k for k in drawn if not any(part in k for part in graded)} <= set(moved)


@pytest.mark.parametrize("name", CASES)
def test_builds_and_runs_on_meta_tensors(name: str) -> None:
    """And nowhere else: what is left on the CPU would be refused here as it is on a GPU."""
    with torch.device("meta"):
        mixer = built(name)
    real = built(name).state_dict()
    for key, value in mixer.state_dict().items():
        assert value.is_meta
        assert value.shape == real[key].shape
    u = torch.empty(2, 7, WIDTH, device="meta", requires_grad=True)
    y = mixer(u, torch.ones(2, 7, 1, device="meta"))
    assert y.shape == (2, 7, WIDTH)
    y.sum().backward()
    assert u.grad is not None
    assert all(p.grad is not None and p.grad.is_meta for p in mixer.parameters())
    assert mixer.state_elements(LENGTH) == built(name).state_elements(LENGTH)


@pytest.mark.gpu
@pytest.mark.parametrize("name", CASES)
def test_is_the_same_on_a_gpu(name: str) -> None:
    here, there = built(name).double(), built(name).double().cuda()
    u = signal(2, LENGTH, WIDTH)
    y, z = here(u), there(u.cuda())
    torch.testing.assert_close(z.cpu(), y, rtol=0, atol=1e-10)
    y.square().sum().backward()
    z.square().sum().backward()
    for key, parameter in there.named_parameters():
        grad = here.get_parameter(key).grad
        assert grad is not None
        torch.testing.assert_close(parameter.grad.cpu(), grad, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_examples_of_a_batch_do_not_meet(name: str) -> None:
    mixer = built(name).double()
    u = signal(5, LENGTH, WIDTH)
    together = mixer(u)
    for i in range(5):
        torch.testing.assert_close(mixer(u[i : i + 1])[0], together[i], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("length", [1, 2, 16, 31])
def test_a_shorter_sequence_is_the_beginning_of_a_longer(name: str, length: int) -> None:
    mixer = built(name).double()
    u = signal(2, LENGTH, WIDTH)
    gap = (mixer(u[:, :length]) - mixer(u)[:, :length]).abs().max()
    if mixer.causal:
        assert gap <= 1e-12
    else:
        assert gap > 1e-9


@pytest.mark.parametrize("name", [n for n, m in CASES.items() if "two_sided" in m.canonical()])
@pytest.mark.parametrize("length", [1, 20])
def test_what_pads_a_two_sided_sequence_does_not_matter(name: str, length: int) -> None:
    mixer = built(name).double()
    u = signal(2, LENGTH, WIDTH)
    mask = (torch.arange(LENGTH) < length).double().expand(2, -1)[..., None]
    padded = mixer(u, mask)[:, :length]
    other = mixer(torch.where(mask > 0, u, 7.0), mask)[:, :length]
    torch.testing.assert_close(padded, other, rtol=0, atol=1e-12)
    torch.testing.assert_close(padded, mixer(u[:, :length]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_the_state_of_inference_is_bounded_by_the_past(name: str) -> None:
    mixer = built(name)
    sizes = [mixer.state_elements(length) for length in (1, 2, 16, LENGTH)]
    assert sizes == sorted(sizes)
    assert all(isinstance(size, int) and size >= 0 for size in sizes)
    assert sizes[-1] > 0


@pytest.mark.parametrize("name", CASES)
def test_a_model_of_it_has_each_parameter_in_one_group(name: str) -> None:
    spec = ModelSpec(mixers=(CASES[name],), width=WIDTH, channel_mixer="mlp", depth=1)
    model = spec.build(Context(num_inputs=5, num_outputs=5, length=LENGTH))
    groups = model.parameter_groups(lr=0.01, weight_decay=0.1)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    for group in groups:
        assert 0 < group["lr"] <= 0.01
        assert group["weight_decay"] in (0, 0.1)
    frozen = {id(p) for group in groups if not group["weight_decay"] for p in group["params"]}
    names = {id(p): key for key, p in model.named_parameters()}
    kernel = [p for key, p in model.named_parameters() if ".kernel." in key or ".taps" in key]
    own = '"kernel_weight_decay":"inherit"' in spec.canonical()
    assert {id(p) for p in kernel if not (own and "atoms" in names[id(p)])} <= frozen
    # All own rates are below the model's, and never above it.
    slow = model.parameter_groups(lr=1e-5, weight_decay=0.1)
    assert {group["lr"] for group in slow} == {1e-5}
