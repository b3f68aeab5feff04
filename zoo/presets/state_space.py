"""State-space models: kernels that are sums of damped modes."""

from zoo.channel_mixers import Mlp
from zoo.kernel import KernelSpec
from zoo.mixers import LongConv
from zoo.model import ModelSpec
from zoo.parameterizations import Dplr, Modes
from zoo.presets.published import Published
from zoo.properties.decay import PerMode
from zoo.properties.gating import Glu
from zoo.properties.length import Full
from zoo.spec import replace_all

# At upstream's [.001, .1] a kernel is 1,000 steps long: at 64 nothing of it has decayed.
DT = (
    "dt in [.01, 1], ten times upstream's [.001, .1]: at lengths of 64 to 256 the decay then "
    "spans the sequence as it does at upstream's 1,024"
)
SIZE = "width 32, depth 2 and pre-norm (upstream 128, 4, post-norm); no dropout"
LEARNED = Full(time="learned", dt_min=0.01, dt_max=1.0)
S4_DIFFERS = (
    DT,
    "C is trained, upstream trains C~ = C (I - A^L), for which there is output=c-tilde: with decay "
    "off C~ means nothing, and both arms should train the same numbers",
    "B is HiPPO's own (upstream clips its imaginary part to 2), each feature has A, B and P of its "
    "own (upstream n_ssm = H, as on Pathfinder), and C has no weight decay",
    "causal (upstream also two-sided)",
    SIZE,
)

S4 = Published(
    name="s4",
    paper="Gu, Goel, Ré 2022, arXiv:2111.00396",
    section="section 3, S4-LegS with the tied low rank of arXiv:2202.09729",
    upstream="state-spaces/s4 models/s4/s4.py@7c3f995",
    differs=S4_DIFFERS,
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=Dplr(hippo="legs"),
                    decay=PerMode(init="native"),
                    length=LEARNED,
                ),
                gating=Glu(),
                activation="gelu",
            ),
        ),
    ),
)

S4_FOUT = Published(
    name="s4-fout",
    paper="Gu, Johnson, Timalsina, Rudra, Ré 2022, arXiv:2206.12037",
    section="section 3, S4-FouT",
    upstream="state-spaces/s4 models/s4/s4.py@7c3f995",
    differs=S4_DIFFERS,
    value=replace_all(S4.value, "parameterization", Dplr(hippo="fout")),
)

S4D = Published(
    name="s4d",
    paper="Gu, Gupta, Goel, Ré 2022, arXiv:2206.11893",
    section="section 4.4, S4D-Lin with zero-order hold",
    upstream="state-spaces/s4 models/s4/s4d.py@2ed46fc",
    differs=(
        DT,
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
                    length=LEARNED,
                ),
                gating=Glu(),
                activation="gelu",
            ),
        ),
    ),
)

S4D_INV = Published(
    name="s4d-inv",
    paper=S4D.paper,
    section="section 4.4, S4D-Inv with zero-order hold",
    upstream=S4D.upstream,
    differs=S4D.differs,
    value=replace_all(S4D.value, "parameterization", Modes(num_modes=32, spectrum="inv")),
)

S4D_REAL = Published(
    name="s4d-real",
    paper=S4D.paper,
    section="section 4.4, S4D-Real with zero-order hold",
    upstream=S4D.upstream,
    differs=(
        *S4D.differs,
        "frequencies stay 0 (upstream trains them unless told is_real)",
    ),
    value=replace_all(
        replace_all(S4D.value, "parameterization", Modes(num_modes=64, spectrum="real")),
        "decay",
        PerMode(init="linear"),
    ),
)

DSS = Published(
    name="dss",
    paper="Gupta, Gu, Berant 2022, arXiv:2203.14343",
    section="section 3, DSS-softmax initialised from the skew part of HiPPO",
    upstream="ag1988/dlr src/models/sequence/ss/standalone/dss.py@0665848",
    differs=(
        DT,
        "rates are positive (upstream leaves their sign free), each feature has poles of its own, "
        "and one dt is for both parts of a pole (upstream two)",
        "modes are normalised over the longest sequence (upstream: the one at hand)",
        "C has the model's rate (upstream .001)",
        SIZE,
    ),
    value=ModelSpec(
        mixers=(
            LongConv(
                kernel=KernelSpec(
                    parameterization=Modes(
                        num_modes=64, spectrum="legs", hold="softmax", coefficients="dss"
                    ),
                    decay=PerMode(init="constant", rate=0.5),
                    length=LEARNED,
                ),
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
