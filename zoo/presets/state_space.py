"""State-space models: kernels that are sums of damped modes."""

from zoo.channel_mixers import Mlp
from zoo.kernel import KernelSpec
from zoo.mixers import LongConv
from zoo.model import ModelSpec
from zoo.parameterizations import Modes
from zoo.presets.published import Published
from zoo.properties.decay import PerMode
from zoo.properties.gating import Glu
from zoo.properties.length import Full

S4D = Published(
    name="s4d",
    paper="Gu, Gupta, Goel, Ré 2022, arXiv:2206.11893",
    section="section 4.4, S4D-Lin with zero-order hold",
    upstream="state-spaces/s4 models/s4/s4d.py@2ed46fc",
    differs=(
        "dt in [.01, 1], ten times upstream's [.001, .1]: at lengths of 64 to 256 the decay then "
        "spans the sequence as it does at upstream's 1,024",
        "width 32, depth 2 and pre-norm (upstream 128, 4, post-norm)",
        "B is folded into C, and C has no weight decay",
        "no dropout",
    ),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=Modes(num_modes=32, spectrum="lin", hold="zoh"),
                    decay=PerMode(init="constant", rate=0.5),
                    length=Full(time="learned", dt_min=0.01, dt_max=1.0),
                ),
                gating=Glu(),
                activation="gelu",
            ),
        ),
    ),
)

EMA = Published(
    name="ema",
    paper="Ma et al. 2023, arXiv:2209.10655",
    section="section 3.1, multi-dimensional damped EMA",
    upstream="facebookresearch/mega fairseq/modules/exponential_moving_average.py@06f2d0e",
    differs=(
        "the moving average alone: Mega's gated attention, which follows it, is not here; an "
        "output projection and an MLP (GELU for SiLU) are",
        "the rate -log(1 - p a) is one trained number; upstream trains p and a, and p is also in "
        "the coefficient: here that p is another draw of the same law",
        "causal, untruncated (upstream: 1,024 taps on Long Range Arena)",
        "decay rates are trained at .001, kernel numbers have no weight decay, linear layers have "
        "PyTorch's own law (Mega: N(0, .02))",
        "width 32, depth 2",
    ),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=Modes(
                        num_modes=16, spectrum="real", hold="none", coefficients="ema"
                    ),
                    decay=PerMode(init="ema"),
                ),
                activation="silu",
            ),
        ),
        channel_mixer=Mlp(expand=2),
    ),
)
