"""The model: what it answers, what it says of itself, and what an ablation must not move."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from zoo.channel_mixers import ChannelMixer, Mlp
from zoo.mixers import Attention, LongConv
from zoo.mixers.attention import SoftmaxAttention
from zoo.mixers.long_conv import Convolution
from zoo.model import Model, ModelSpec
from zoo.parameterizations import Modes
from zoo.presets import names, preset
from zoo.properties import OFF
from zoo.properties.decay import NoDecay
from zoo.spec import Context, explain, replace_all

V, L = 7, 17
TOKENS = Context(num_inputs=V, num_outputs=5, length=L)


def build(spec: ModelSpec | None = None, context: Context = TOKENS, seed: int = 0) -> Model:
    return (spec or ModelSpec(width=8)).build(context, seed)


def tokens(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, V, shape, generator=torch.Generator().manual_seed(seed))


def narrow(name: str) -> ModelSpec:
    """A preset of published size, small enough to build in no time."""
    value = preset(name)
    return value.model_copy(update={"width": min(value.width, 64), "depth": min(value.depth, 2)})


def context(head: Any, **fields: Any) -> Context:
    return Context(num_inputs=V, num_outputs=5, length=L, head=head, **fields)


# Answers -------------------------------------------------------------------------------------


def test_logits_at_asked_rows_are_those_of_all_rows() -> None:
    model, x = build(), tokens(3, L)
    rows = torch.tensor([0, 5, L, 3 * L - 1, 5])
    everywhere = model(x)
    assert everywhere.shape == (3, L, 5)
    torch.testing.assert_close(model(x, rows=rows), everywhere.flatten(0, 1)[rows])
    assert model(x, rows=torch.zeros(0, dtype=torch.int64)).shape == (0, 5)


@pytest.mark.parametrize("head", ["last", "mean", "regression"])
@pytest.mark.parametrize("direction", ["causal", "two_sided"])
def test_padding_does_not_matter(head: str, direction: Any) -> None:
    model = build(ModelSpec(mixers=(LongConv(direction=direction),), width=8), context(head))
    lengths = torch.tensor([L, 1, 6])
    x, noise = tokens(3, L), tokens(3, L, seed=1)
    padded = torch.where(torch.arange(L) < lengths[:, None], x, noise)
    answers = model(padded, lengths=lengths)
    assert answers.shape == (3, 5)
    torch.testing.assert_close(answers, model(x, lengths=lengths))
    for i, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(model(x[i : i + 1, :length])[0], answers[i])


def test_heads_answer_from_where_they_say() -> None:
    x = tokens(2, L)
    every = build(ModelSpec(width=8), TOKENS)
    last, mean = build(ModelSpec(width=8), context("last")), build(None, context("mean"))
    torch.testing.assert_close(last(x), every(x)[:, -1])
    seen: list[Tensor] = []
    mean.norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    every.norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    mean(x)
    every(x)
    torch.testing.assert_close(seen[0], seen[1].mean(1))


def test_real_inputs() -> None:
    model = build(None, Context(input_dim=3, num_outputs=2, length=L, head="regression"))
    assert model(torch.zeros(4, 6, 3)).shape == (4, 2)
    with pytest.raises(ValueError, match=r"expected \(batch, length, features\)"):
        model(torch.zeros(4, 6))


def test_a_trace_answers_as_tokens_do() -> None:
    rows = torch.tensor([1, L + 2])
    model = build(None, Context(input_dim=3, num_outputs=2, length=L, head="trace"))
    x = torch.randn(2, L, 3)
    assert model(x).shape == (2, L, 2)
    torch.testing.assert_close(model(x, rows=rows), model(x).flatten(0, 1)[rows])


def test_unfolding_reads_the_last_state_only() -> None:
    model, x = build(ModelSpec(width=8), context("unfold")), tokens(3, L)
    seen: list[Tensor] = []
    assert model.unfold is not None
    model.unfold.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    y = model(x)
    assert y.shape == (3, L, 5)
    assert seen[0].shape == (3, 8)
    assert not torch.allclose(y[:, 0], y[:, 1]), "positions are told apart"
    lengths = torch.tensor([L, 1, 6])
    padded = torch.where(torch.arange(L) < lengths[:, None], x, tokens(3, L, seed=1))
    torch.testing.assert_close(model(padded, lengths=lengths), model(x, lengths=lengths))
    rows = torch.tensor([0, L - 1, L])
    torch.testing.assert_close(model(x, rows=rows), y.flatten(0, 1)[rows])


@pytest.mark.parametrize("name", names())
def test_a_shorter_sequence_is_the_beginning_of_a_longer(name: str) -> None:
    model, x = build(narrow(name)).double().eval(), tokens(2, L)
    if not all(block.mixer.causal for block in model.blocks):
        pytest.skip("sees both ways")
    torch.testing.assert_close(model(x[:, :6]), model(x)[:, :6], rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", names())
def test_too_long_is_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=f"length {L + 1} is above {L}") as caught:
        build(narrow(name))(tokens(1, L + 1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (4,), (2, 3, 4)])
def test_what_is_no_batch_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected \\(batch, length\\)"):
        build()(torch.zeros(shape, dtype=torch.int64))


def test_rows_belong_to_positions() -> None:
    with pytest.raises(ValueError, match="head='last', which answers for the whole sequence"):
        build(None, context("last"))(tokens(1, 4), rows=torch.tensor([0]))


# The spec ------------------------------------------------------------------------------------


def test_mixers_take_turns() -> None:
    spec = ModelSpec(mixers=(LongConv(), Attention()), depth=5, width=8)
    kinds = [type(block.mixer) for block in build(spec).blocks]
    assert kinds == [Convolution, SoftmaxAttention] * 2 + [Convolution]


@pytest.mark.parametrize("value", ["attention", {"kind": "attention"}, Attention(), ["attention"]])
def test_one_mixer_needs_no_list(value: Any) -> None:
    assert ModelSpec(mixers=value).mixers == (Attention(),)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mixers": ["long-conv", "attention"], "depth": 1}, "depth=1 leaves out some of the 2"),
        ({"mixers": []}, "mixers is empty"),
        ({"mixers": "atention"}, "'atention' is not a SequenceMixer; choose from"),
        ({"depth": 0}, "depth"),
        ({"width": True}, "width=True: expected a number"),
        ({"dropout": 1.0}, "dropout"),
        ({"block_norm": "batch"}, "block_norm"),
        ({"channel_mixer": "gmlp"}, "'gmlp' is not a ChannelMixer"),
    ],
)
def test_impossible_models_are_one_line(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelSpec(**fields)
    assert said in explain(caught.value)
    assert "\n" not in explain(caught.value)


def test_heads_divide_the_width() -> None:
    with pytest.raises(ValueError, match="num_heads=3 does not divide width=8"):
        build(ModelSpec(mixers=(Attention(num_heads=3),), width=8))


@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test_attention_with_heads_is_softmax_per_head(num_heads: int) -> None:
    model = build(ModelSpec(mixers=(Attention(num_heads=num_heads),), width=8)).double()
    (mixer, _) = (block.mixer for block in model.blocks)
    u = torch.randn(2, 9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    q, k, v = mixer.project(u).split(8, -1)
    size, parts = 8 // num_heads, []
    for h in range(num_heads):
        at = slice(h * size, (h + 1) * size)
        scores = torch.einsum("btd,bsd->bts", q[..., at], k[..., at]) / size**0.5
        scores = scores.masked_fill(torch.ones(9, 9).triu(1) > 0, -torch.inf)
        parts.append(scores.softmax(-1) @ v[..., at])
    torch.testing.assert_close(mixer(u), mixer.output(torch.cat(parts, -1)), rtol=0, atol=1e-12)


# What an ablation must not move ---------------------------------------------------------------


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("field", OFF)
def test_switching_a_property_moves_nothing_else(name: str, field: str) -> None:
    """The paired design: outside of what a property touches, both arms start equal, bit for bit."""
    base = narrow(name)
    arm = replace_all(base, field, OFF[field])
    one, two = build(base, seed=3).state_dict(), build(arm, seed=3).state_dict()
    gates, kernels = (".gate.", ".mixer.key_", ".mixer.parts."), ("kernel.", ".mixer.window.")
    touched = gates if field == "gating" else kernels
    kept = [key for key in one if not any(part in key for part in touched)]
    assert kept
    assert kept == [key for key in two if not any(part in key for part in touched)]
    for key in kept:
        assert torch.equal(one[key], two[key]), key


@pytest.mark.parametrize(
    "change",
    [
        {"channel_mixer": Mlp()},
        {"channel_mixer": "glu"},
        {"block_norm": "rms"},
        {"block_norm": "none"},
        {"positions": "learned"},
        {"dropout": 0.1},
        {"depth": 3},
    ],
)
def test_other_parts_keep_their_values(change: dict[str, Any]) -> None:
    base = ModelSpec(width=8, depth=2)
    one = build(base, seed=1).state_dict()
    two = build(ModelSpec(**{**dict(base), **change}), seed=1).state_dict()
    shared = [k for k in one if k in two and "norm" not in k]
    assert len(shared) >= 10
    assert all(torch.equal(one[k], two[k]) for k in shared)


def test_decay_off_starts_with_the_same_weights_of_the_kernel() -> None:
    on, off = (build(m, seed=2) for m in (preset("all-on"), _without_decay("all-on")))
    for name, value in on.named_parameters():
        assert torch.equal(value, off.get_parameter(name))


def _without_decay(name: str) -> ModelSpec:
    return replace_all(preset(name), "decay", NoDecay())


def test_layers_and_seeds_differ() -> None:
    state = torch.random.get_rng_state()
    one, same, other = build(seed=0), build(seed=0), build(seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    a, b = (one.state_dict()[f"blocks.{i}.mixer.gate.output.weight"] for i in range(2))
    assert not torch.equal(a, b)
    for key, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[key])
    key = "embedding.weight"
    assert not torch.equal(one.state_dict()[key], other.state_dict()[key])


# What it says of itself ------------------------------------------------------------------------


def test_number_of_parameters() -> None:
    d, depth, out = 64, 2, 5
    block = (3 * d * d + 3 * d) + (d * d + d) + 2 * d
    wanted = V * d + L * d + depth * block + 2 * d + (d * out + out)
    assert build(preset("attention")).num_parameters() == wanted
    with torch.device("meta"):
        assert build(preset("attention")).num_parameters() == wanted


def test_hyena_has_the_published_number_of_filter_parameters() -> None:
    """E = 33, W = 64, M = 2, d = 864: 66,720 with the bias (arXiv:2302.10866, 153M model)."""
    with torch.device("meta"):
        model = preset("hyena").model_copy(update={"width": 864, "depth": 1}).build(TOKENS)
    mixer = model.blocks[0].mixer
    assert isinstance(mixer, Convolution)
    assert sum(p.numel() for p in mixer.kernel.parameters()) + mixer.skip.numel() == 66_720


@pytest.mark.parametrize(("kind", "extra"), [("mlp", 1), ("glu", 1), ("none", 0)])
def test_channel_mixers(kind: str, extra: int) -> None:
    model = build(ModelSpec(width=8, channel_mixer=kind))
    norms = [m for m in model.modules() if isinstance(m, nn.LayerNorm)]
    assert len(norms) == 2 * (1 + extra) + 1
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    built = ChannelMixer.choices()[kind]().build(8, draws=_draws())
    if built is not None:
        y = built(x)
        assert y.shape == x.shape
        torch.testing.assert_close(built(x[:, 1:2]), y[:, 1:2])  # one step at a time


def _draws() -> Any:
    from zoo.draws import Draws

    return Draws(0, "test")


def test_state_of_inference() -> None:
    attention = build(preset("attention"))
    assert attention.state_bytes(L) == 2 * 2 * (2 * L * 64)
    assert attention.state_bytes(4) == 2 * 2 * (2 * 4 * 64)
    # Modes keep their state, whatever came before; 32 complex ones are 64 numbers a channel.
    long = Context(num_inputs=V, num_outputs=V, length=1000)
    s4d = build(preset("s4d"), long)
    assert s4d.state_bytes(1000) == s4d.state_bytes(500) == 2 * 2 * 64 * 32
    assert s4d.state_bytes(11) == 2 * 2 * 10 * 32
    # A kernel that is no sum of whole modes keeps the inputs it still reaches.
    smoothed = build(replace_all(preset("s4d"), "smoothness", "moving-average"), long)
    assert smoothed.state_bytes(1000) == 2 * 2 * 999 * 32
    cut = build(replace_all(preset("s4d"), "length", OFF["length"]), long)
    assert cut.state_bytes(1000) == 2 * 2 * 3 * 32
    assert isinstance(preset("s4d").mixers[0], LongConv)
    assert isinstance(preset("s4d").mixers[0].kernel.parameterization, Modes)


def test_kernels_are_those_of_the_layers() -> None:
    model = build(ModelSpec(mixers=(LongConv(channels=2), Attention()), depth=4, width=8))
    kernels = model.kernels()
    assert list(kernels) == ["blocks.0.mixer.kernel", "blocks.2.mixer.kernel"]
    for name, kernel in kernels.items():
        assert kernel.shape == (16, L)
        assert not kernel.requires_grad
        assert torch.equal(kernel, model.get_submodule(name)())


def test_groups_have_the_rates_and_the_decay_that_parameters_ask_for() -> None:
    spec = ModelSpec(mixers=preset("s4d").mixers, channel_mixer="mlp", positions="learned", width=8)
    model = build(spec)
    where = {
        id(p): (group["lr"], group["weight_decay"])
        for group in model.parameter_groups(lr=0.01, weight_decay=0.1)
        for p in group["params"]
    }
    named = dict(model.named_parameters())
    assert len(where) == len(named)
    wanted = {
        "embedding.weight": (0.01, 0.1),
        "positions": (0.01, 0.0),
        "head.weight": (0.01, 0.1),
        "head.bias": (0.01, 0.0),
        "norm.weight": (0.01, 0.0),
        "blocks.0.mixer_norm.weight": (0.01, 0.0),
        "blocks.0.mixer.skip": (0.01, 0.0),
        "blocks.0.mixer.gate.output.weight": (0.01, 0.1),
        "blocks.0.mixer.kernel.atoms.omega": (1e-3, 0.0),
        "blocks.0.mixer.kernel.times.log_dt": (1e-3, 0.0),
        "blocks.0.mixer.kernel.window.log_rate": (1e-3, 0.0),
        "blocks.0.mixer.kernel.atoms.coefficients.c": (0.01, 0.0),
        "blocks.1.channel_mixer.0.weight": (0.01, 0.1),
        "blocks.1.channel_mixer.0.bias": (0.01, 0.0),
    }
    assert {name: where[id(named[name])] for name in wanted} == wanted


@pytest.mark.parametrize("name", names())
def test_no_weight_decay_and_no_faster_rate_in_a_kernel(name: str) -> None:
    """Unless it is switched on."""
    model = build(replace_all(narrow(name), "kernel_weight_decay", "none"))
    for lr in (1e-4, 1e-2):
        for group in model.parameter_groups(lr=lr, weight_decay=0.1):
            inside = [
                n for n, p in model.named_parameters() if any(p is q for q in group["params"])
            ]
            assert group["lr"] <= lr
            if any(".kernel." in n for n in inside):
                assert group["weight_decay"] == 0


def test_dropout_follows_the_global_generator() -> None:
    """The trainer seeds it once; a resumed run must draw the same masks."""
    spec = ModelSpec(mixers=(Attention(dropout=0.2),), width=8, dropout=0.3)
    model, x = build(spec), tokens(2, L)
    with torch.random.fork_rng():
        state = torch.random.get_rng_state()
        first, second = model(x), model(x)
        torch.random.set_rng_state(state)
        again = model(x)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    model.eval()
    assert torch.equal(model(x), model(x))


def test_meta_build_has_the_names_and_shapes_of_the_real_one() -> None:
    for name in names():
        with torch.device("meta"):
            pretended = build(narrow(name))
        real = build(narrow(name)).state_dict()
        shapes = {key: value.shape for key, value in pretended.state_dict().items()}
        assert all(value.is_meta for value in pretended.state_dict().values())
        assert shapes == {key: value.shape for key, value in real.items()}
        empty = torch.empty(2, L, dtype=torch.int64, device="meta")
        assert pretended(empty).shape == (2, L, 5)
