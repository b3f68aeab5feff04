"""Long convolutions, and the baseline that has every property."""

from zoo.channel_mixers import Mlp
from zoo.kernel import KernelSpec
from zoo.mixers import LongConv
from zoo.model import ModelSpec
from zoo.parameterizations import Butterfly, Dense, Implicit, Multiscale
from zoo.presets.published import Published
from zoo.properties.decay import Exponential, PerScale, PowerLaw
from zoo.properties.gain import InitGain, RawGain
from zoo.properties.gating import Glu, LinearGating, Multiplicative
from zoo.properties.length import Full, Taps
from zoo.properties.regularization import Squash
from zoo.properties.smoothness import MovingAverage

# Every property on, each so strong that its x=off moves the kernels by over a tenth (their
# median, from lengths of 38 on):
ALL_ON = Published(
    name="all-on",
    paper="none: the default baseline of this project",
    section="",
    upstream="none",
    differs=("put together from SGConv, LongConv and Hyena; published nowhere",),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    # Few numbers, 8 more for each doubling of the length, with N(0, 1) taps at
                    # every lag: all the decay is the decay's.
                    parameterization=Multiscale(size=8),
                    # 1/t, the law of SGConv. A power of two of the first scale, so that at lengths
                    # of 64 to 256 there are 4 to 6 steps of it to take away.
                    decay=PerScale(speed=1.0),
                    # The narrowest window: it blunts lag 0 least (by a third).
                    smoothness=MovingAverage(radius=1),
                    # Taps are of size 1 at lag 0 and 1/8 at the far end of 64: at .05 a few near
                    # taps and a third of the far ones are silent. Upstream's .001 is for taps of
                    # .002 and would do nothing here.
                    regularization=Squash(threshold=0.05),
                    length=Full(),
                    gain=InitGain(),
                ),
                gating=Multiplicative(short=3),
                # Without products (gating=off) something must still bend, or the layer is linear.
                activation="gelu",
            ),
        ),
    ),
)

SGCONV = Published(
    name="sgconv",
    paper="Li, Cai, Zhang, Chen, Dey 2023, arXiv:2210.09298",
    section="section 3, mode cat_randn, decay 1/t",
    upstream="ctlllll/SGConv gconv_standalone.py@03de26b",
    differs=(
        "causal (upstream two-sided on Long Range Arena): the tasks here ask at every step",
        "alpha^i instead of m^(S-1-i), the same after the division by the initial norm",
        "no weight decay on the kernel (upstream inherits it)",
        "width 32, depth 2, pre-norm with layer norm; 8 numbers a scale (upstream 1 to 64)",
    ),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=Multiscale(size=8), decay=PerScale(speed=1.0), gain=RawGain()
                ),
                gating=Glu(),
            ),
        ),
    ),
)

SGCONV_TWO_SIDED = Published(
    name="sgconv-two-sided",
    paper=SGCONV.paper,
    section="section 3, mode cat_randn, decay 1/t, as on Long Range Arena",
    upstream=SGCONV.upstream,
    differs=(
        "alpha^i instead of m^(S-1-i), the same after the division by the initial norm",
        "each of the two kernels has a gain of its own (upstream: the same)",
        "no weight decay on the kernel (upstream inherits it)",
        "width 32, depth 2, pre-norm with layer norm; 8 numbers a scale (upstream 1 to 64)",
    ),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=Multiscale(size=8), decay=PerScale(speed=1.0), gain=RawGain()
                ),
                gating=Glu(),
                direction="two_sided",
            ),
        ),
    ),
)

SGCONV_SUMMED = Published(
    name="sgconv-summed",
    paper=SGCONV.paper,
    section="released code, mode sum_randn: scales one above the other",
    upstream=SGCONV.upstream,
    differs=SGCONV.differs,
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=Multiscale(size=8, layout="summed"),
                    decay=PerScale(speed=1.0),
                    gain=RawGain(),
                ),
                gating=Glu(),
            ),
        ),
    ),
)

SGCONV_LEARNED_DECAY = Published(
    name="sgconv-learned-decay",
    paper=SGCONV.paper,
    section="released code, mode cat_randn_learnable: (1 + t)^-a, a trained for each feature",
    upstream=SGCONV.upstream,
    differs=(
        *SGCONV.differs,
        "a from U[.5, 1.5] (the released configurations only have a = 1, fixed)",
    ),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=Multiscale(size=8),
                    decay=PowerLaw(learned=True, low=0.5, high=1.5),
                    gain=RawGain(),
                ),
                gating=Glu(),
            ),
        ),
    ),
)

LONG_CONV = Published(
    name="long-conv",
    paper="Fu et al. 2023, arXiv:2302.06646",
    section="section 3, random initialisation with Squash",
    upstream="HazyResearch/safari src/models/sequence/long_conv.py@bf27ebe",
    differs=(
        "no kernel dropout (upstream .1 to .3), no layer dropout (upstream .1 on images)",
        "causal, width 32, depth 2, pre-norm with layer norm (images: 512, 6, post-norm)",
        "threshold .001 as upstream's sequential CIFAR; other tasks use .001 to .004",
    ),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=Dense(init="normal", std=0.002),
                    regularization=Squash(threshold=0.001),
                ),
                gating=Glu(),
                channels=2,
            ),
        ),
    ),
)

LONG_CONV_GEOMETRIC = Published(
    name="long-conv-geometric",
    paper=LONG_CONV.paper,
    section="section 3, geometric decay at initialisation (double_exp in the code) with Squash",
    upstream=LONG_CONV.upstream,
    differs=LONG_CONV.differs,
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=Dense(init="geometric", std=0.02),
                    regularization=Squash(threshold=0.001),
                ),
                gating=Glu(),
                channels=2,
            ),
        ),
    ),
)

LONG_CONV_BUTTERFLY = Published(
    name="long-conv-butterfly",
    paper=LONG_CONV.paper,
    section="section 3.3, learned butterfly transform",
    upstream="HazyResearch/safari src/models/sequence/block_fft.py@26f6223, "
    "src/models/sequence/long_conv.py@bf27ebe",
    differs=(
        "the transform of the kernel is learned, that of the input is not: with both the layer is "
        "no convolution",
        "taps that the transform puts beyond the sequence are cut (upstream: they see the future)",
        *LONG_CONV.differs,
    ),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=Butterfly(std=0.002), regularization=Squash(threshold=0.001)
                ),
                gating=Glu(),
                channels=2,
            ),
        ),
    ),
)

FIR = Published(
    name="fir",
    paper="Poli et al. 2023, arXiv:2302.10866",
    section='section 4.1, "Conv1d": the operator of Hyena with an explicit filter of 64 taps',
    upstream="HazyResearch/safari src/models/sequence/hyena.py@c1b5c7b",
    differs=(
        "upstream has no code for this arm; taps have the variance of PyTorch's Conv1d",
        "otherwise as hyena",
        "width 32, depth 2, MLP of ratio 2 (upstream's recall: 64, 2)",
    ),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=Dense(std=(3 * 64) ** -0.5), length=Taps(taps=64)
                ),
                gating=Multiplicative(short=3),
                activation="none",
            ),
        ),
        channel_mixer=Mlp(expand=2),
    ),
)

BASE_CONV = Published(
    name="base-conv",
    paper="Arora, Eyuboglu et al. 2024, arXiv:2312.04927",
    section="section 4 and appendix, kernel sizes [3, -1]",
    upstream="HazyResearch/zoology zoology/mixers/base_conv.py@0a9c682, convolution.py@0f98dfe",
    differs=(
        "every convolution has the paper's bias b_2 (upstream: the short one only)",
        "short taps are normal, not uniform, of the same variance; taps and filters have at most "
        "the rate .001 and no weight decay (upstream the model's rate and .1)",
        "linear layers have PyTorch's own initial law; upstream's trainer sets N(0, .02), which "
        "leaves the long filter near zero",
        "the long filter is the sine network and window of that file; later revisions have a ReLU "
        "network and no window",
        "width 32 (upstream 64 to 512)",
    ),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(parameterization=Dense(std=1 / 3), length=Taps(taps=3)),
                gating=LinearGating(),
                activation="none",
                skip="none",
            ),
            LongConv(
                kernel=KernelSpec(
                    parameterization=Implicit(
                        features=3, width=16, depth=2, frequency=1.0, init="torch"
                    ),
                    decay=Exponential(),
                ),
                gating=LinearGating(),
                activation="none",
                skip="identity",
            ),
        ),
    ),
)

BASE_CONV_SHORT = Published(
    name="base-conv-short",
    paper=BASE_CONV.paper,
    section="section 4 and appendix, kernel sizes [3, 3]",
    upstream=BASE_CONV.upstream,
    differs=BASE_CONV.differs,
    value=ModelSpec(mixers=BASE_CONV.value.mixers[:1]),
)

BASE_CONV_LONG = Published(
    name="base-conv-long",
    paper=BASE_CONV.paper,
    section="section 4 and appendix, kernel sizes [-1, -1]",
    upstream=BASE_CONV.upstream,
    differs=BASE_CONV.differs,
    value=ModelSpec(mixers=BASE_CONV.value.mixers[1:]),
)

BASE_CONV_EXPLICIT = Published(
    name="base-conv-explicit",
    paper=BASE_CONV.paper,
    section="section 4 and appendix, kernel sizes [3, -1], implicit_long_conv=False",
    upstream=BASE_CONV.upstream,
    differs=(
        *BASE_CONV.differs[:3],
        "the long filter is N(0, 1) over its initial norm (upstream: as it is, so that outputs "
        "grow with the square root of the length)",
        "width 32 (upstream 64 to 512)",
    ),
    value=ModelSpec(
        mixers=(
            BASE_CONV.value.mixers[0],
            LongConv(
                kernel=KernelSpec(parameterization=Dense(std=1.0), gain=InitGain()),
                gating=LinearGating(),
                activation="none",
                skip="identity",
            ),
        ),
    ),
)
