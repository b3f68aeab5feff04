"""Gated convolutions and their implicit filters: H3, Hyena, CKConv, FlexConv, RWKV."""

from zoo.channel_mixers import Mlp
from zoo.kernel import KernelSpec
from zoo.mixers import H3, Hyena, LongConv, Rwkv
from zoo.model import ModelSpec
from zoo.parameterizations import Dense, Implicit, Modes
from zoo.presets.published import Published
from zoo.properties.decay import Exponential, PerMode
from zoo.properties.gain import InitGain
from zoo.properties.gating import Multiplicative
from zoo.properties.gaussian import Gaussian
from zoo.properties.length import Full
from zoo.properties.regularization import Squash

H3_SSM = Published(
    name="h3",
    paper="Fu, Dao, Saab, Thomas, Rudra, Ré 2023, arXiv:2212.14052",
    section="section 3, shift and diagonal state-space model, heads of two features",
    upstream="HazyResearch/safari src/models/sequence/h3.py@fc2d8b1",
    differs=(
        "dt in [.01, 1], ten times upstream's [.001, .1]: at lengths of 64 to 256 the decay then "
        "spans the sequence as it does at upstream's 1,024",
        "zero-order hold (upstream's class default is bilinear); B is folded into C",
        "projections have PyTorch's own initial law (upstream's language model N(0, .02))",
        "width 32, depth 2, MLP of ratio 2 (upstream 768, 12, ratio 4), no attention layers",
    ),
    value=ModelSpec(
        mixers=(
            H3(
                kernel=KernelSpec(
                    parameterization=Modes(num_modes=32, spectrum="lin", hold="zoh"),
                    decay=PerMode(init="constant", rate=0.5),
                    length=Full(time="learned", dt_min=0.01, dt_max=1.0),
                ),
                head_dim=2,
            ),
        ),
        channel_mixer=Mlp(expand=2),
    ),
)

EXPLICIT = KernelSpec(
    parameterization=Dense(init="normal", std=0.002), regularization=Squash(threshold=0.001)
)
H3_CONV = Published(
    name="h3-conv",
    paper="Fu et al. 2023, arXiv:2302.06646",
    section="section 4, H3 with long convolutions in the place of both state-space models",
    upstream="HazyResearch/safari src/models/sequence/h3_conv.py@fc2d8b1",
    differs=(
        "threshold .001 (upstream .003, at which one tap in seven is alive at first)",
        "no kernel dropout (upstream .2) and no dropout of embeddings (upstream .1)",
        "projections have PyTorch's own initial law (upstream N(0, .02))",
        "width 32, depth 2, MLP of ratio 2 (upstream 768, 12, ratio 4), no attention layers",
    ),
    value=ModelSpec(
        mixers=(H3(kernel=EXPLICIT, key_kernel=EXPLICIT),), channel_mixer=Mlp(expand=2)
    ),
)

HYENA = Published(
    name="hyena",
    paper="Poli et al. 2023, arXiv:2302.10866",
    section="section 3 and appendix A; order 2 in the sense of the released code",
    upstream="HazyResearch/safari src/models/sequence/hyena.py@c1b5c7b",
    differs=(
        "one long filter, as the code's order 2 (Algorithm 3 of the paper has two)",
        "the filter's features are fixed (upstream trains them at 1e-5)",
        "projections have PyTorch's own initial law; the filter has N(0, .02), as upstream's "
        "language model gives to every linear layer",
        "width 32, depth 2, MLP of ratio 2 (upstream 768 x 12, ratio 4)",
    ),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(parameterization=Implicit(), decay=Exponential()),
                gating=Multiplicative(short=3),
                activation="none",
            ),
        ),
        channel_mixer=Mlp(expand=2),
    ),
)

HYENA_3 = Published(
    name="hyena-3",
    paper="Poli et al. 2023, arXiv:2302.10866",
    section="section 3, order 3 in the sense of the released code",
    upstream="HazyResearch/safari src/models/sequence/hyena.py@c1b5c7b",
    differs=(
        "two long filters, as the code's order 3 (form=paper has three)",
        *HYENA.differs[1:],
    ),
    value=ModelSpec(mixers=(Hyena(order=3),), channel_mixer=Mlp(expand=2)),
)

MULTI_HYENA = Published(
    name="multi-hyena",
    paper="Massaroli, Poli, Fu et al. 2023, arXiv:2310.18780",
    section="section 4, one filter for each of 16 heads",
    upstream="athms/mad-lab mad/model/layers/hyena.py@6e7e4c9",
    differs=(
        "the filter is Hyena's sine network and window (upstream's default there is a rational "
        "transfer function)",
        "heads of 2 features (upstream 16 heads of 8)",
        *HYENA.differs[1:],
    ),
    value=ModelSpec(mixers=(Hyena(head_dim=2),), channel_mixer=Mlp(expand=2)),
)

SIREN = Implicit(
    features=1, width=32, depth=1, frequency=30.0, init="siren", learned_frequency=False
)
CKCONV = Published(
    name="ckconv",
    paper="Romero, Kuzina, Bekkers, Tomczak, Hoogendoorn 2022, arXiv:2102.02611",
    section="section 4, sine network of the relative position",
    upstream="dwromero/ckconv ckconv/nn/ckconv.py@0d5d192",
    differs=(
        "one kernel per feature, of unit norm at first, and a projection behind it (upstream a "
        "kernel for each pair of features, so that many are summed)",
        "no weight norm, and no bias of the last layer, which would be a constant at every lag",
        "frequency 30 (upstream searches it for each task)",
        "pre-norm blocks with GELU and an MLP of ratio 2 (upstream two convolutions with layer "
        "norm and ReLU a block); width 32, depth 2",
    ),
    value=ModelSpec(
        mixers=(LongConv(kernel=KernelSpec(parameterization=SIREN, gain=InitGain()), skip="none"),),
        channel_mixer=Mlp(expand=2),
    ),
)

FLEXCONV = Published(
    name="flexconv",
    paper="Romero, Bruintjes, Tomczak, Bekkers, Hoogendoorn, van Gemert 2022, arXiv:2110.08059",
    section="section 3, Gaussian mask of a learned width",
    upstream="rjbruin/flexconv ckconv/nn/ckconv.py@3a6c0bb",
    differs=(
        "a first width of 1/4 of the sequence: 16 to 64 steps at lengths of 64 to 256 (upstream "
        "3/80: 38 steps of 1,000)",
        "the network under the mask is CKConv's (upstream a product of Gabor filters, MAGNet)",
        "a width for each feature, the mask stays at lag 0 and nothing is cropped (upstream one "
        "width and place a layer; taps where the mask is below .1 are left out)",
        *CKCONV.differs,
    ),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=SIREN, decay=Gaussian(width=0.25), gain=InitGain()
                ),
                skip="none",
            ),
        ),
        channel_mixer=Mlp(expand=2),
    ),
)

RWKV = Published(
    name="rwkv",
    paper="Peng et al. 2023, arXiv:2305.13048",
    section="section 3, time mixing of RWKV-4",
    upstream="BlinkDL/RWKV-LM RWKV-v4/src/model.py@083f950",
    differs=(
        "projections have PyTorch's own initial law (upstream orthogonal; 0 for key, receptance "
        "and output, so that layers start as nothing)",
        "an MLP of ratio 2 with GELU for the channel mixing (upstream ratio 4, squared ReLU, gated "
        "and with the token shift)",
        "decay rates are trained at .001 and have no weight decay",
        "width 32, depth 2; no norm behind the embedding",
    ),
    value=ModelSpec(mixers=(Rwkv(),), channel_mixer=Mlp(expand=2)),
)
