"""The settings with which SGConv and LongConv were published on Long Range Arena, and sCIFAR.

A setting is a row of numbers; one function each makes the model of it. How they were trained is in
`section`: AdamW, linear warm-up and cosine. Width and depth are as published.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from zoo.kernel import KernelSpec
from zoo.mixers import LongConv
from zoo.model import ModelSpec
from zoo.parameterizations import Dense, Multiscale
from zoo.presets.convolution import LONG_CONV, SGCONV
from zoo.presets.published import Published
from zoo.properties.decay import Decay, PerScale, PowerLaw
from zoo.properties.gain import RawGain
from zoo.properties.gating import Glu
from zoo.properties.regularization import KernelDropout, Squash

ONE_OVER_T = PerScale(speed=1.0)  # m = 2
POST_BATCH = "layer norm before each layer (upstream batch norm behind it)"
PRE_BATCH = "layer norm before each layer (upstream batch norm)"
POST_LAYER = "layer norm before each layer (upstream behind it)"
UNTIED = "dropout of single numbers (upstream of whole features)"


class SgconvSetting(NamedTuple):
    """One row: two-sided, GLU, kernel rate .001, the optimiser's weight decay on the kernel too."""

    task: str
    config: str
    depth: int
    width: int
    size: int
    training: str
    norm: str = PRE_BATCH
    dropout: float = 0.0
    decay: Decay = ONE_OVER_T
    start: Multiscale = Multiscale()


class LongConvSetting(NamedTuple):
    """One row: two filters a feature, GLU, taps of deviation .002."""

    task: str
    config: str
    depth: int
    width: int
    threshold: float
    kernel_lr: float
    kernel_dropout: float
    training: str
    norm: str = PRE_BATCH
    dropout: float = 0.0
    two_sided: bool = False


def sgconv(row: SgconvSetting) -> Published:
    """SGConv: scales times decay over their norm, in both directions."""
    atoms = row.start.model_copy(update={"size": row.size, "kernel_weight_decay": "inherit"})
    return Published(
        name=f"sgconv-{row.task}",
        paper=SGCONV.paper,
        section=f"section 4.2, Long Range Arena: {row.training}",
        upstream=f"ctlllll/SGConv configs/experiment/lra/gconv-lra-{row.config}.yaml@0c2b3ab, "
        "gconv_standalone.py@03de26b",
        differs=(
            "alpha^i instead of m^(S-1-i), the same after the division by the initial norm",
            row.norm,
            *([UNTIED] if row.dropout else []),
        ),
        value=ModelSpec(
            mixers=(
                LongConv(
                    kernel=KernelSpec(parameterization=atoms, decay=row.decay, gain=RawGain()),
                    gating=Glu(),
                    direction="two_sided",
                ),
            ),
            depth=row.depth,
            width=row.width,
            dropout=row.dropout,
        ),
    )


def long_conv(row: LongConvSetting) -> Published:
    """LongConv: dropout(squash(taps)), two filters a feature."""
    return Published(
        name=f"long-conv-{row.task}",
        paper=LONG_CONV.paper,
        section=f"section 4, random initialisation with Squash: {row.training}",
        upstream=f"HazyResearch/safari configs/experiment/{row.config}.yaml@26f6223, "
        "src/models/sequence/long_conv.py@bf27ebe",
        differs=(row.norm, *([UNTIED] if row.dropout else [])),
        value=ModelSpec(
            mixers=(
                LongConv(
                    kernel=KernelSpec(
                        parameterization=Dense(std=0.002, kernel_lr=row.kernel_lr),
                        regularization=(
                            Squash(threshold=row.threshold),
                            KernelDropout(p=row.kernel_dropout),
                        ),
                    ),
                    gating=Glu(),
                    direction="two_sided" if row.two_sided else "causal",
                    channels=2,
                ),
            ),
            depth=row.depth,
            width=row.width,
            dropout=row.dropout,
        ),
    )


SGCONV_SETTINGS = tuple(
    sgconv(row)
    for row in (
        SgconvSetting(
            "listops", "listops", 8, 128, 1, "lr .01, decay .05, batch 50, 80,000 steps", POST_BATCH
        ),
        SgconvSetting("text", "imdb", 6, 256, 2, "lr .01, decay .05, batch 16, 50,000 steps"),
        SgconvSetting("retrieval", "aan", 6, 256, 1, "lr .01, decay .05, batch 32, 50,000 steps"),
        SgconvSetting(
            "image",
            "cifar",
            6,
            512,
            32,
            "lr .01, decay .05, batch 50, 200,000 steps",
            POST_LAYER,
            dropout=0.2,
            decay=PowerLaw(exponent=1.0),
        ),
        SgconvSetting(
            "pathfinder",
            "pathfinder",
            6,
            256,
            32,
            "lr .004, decay .03, batch 64, 500,000 steps",
            dropout=0.2,
        ),
        SgconvSetting(
            "path-x",
            "pathx",
            6,
            256,
            64,
            "lr .004, decay .03, batch 16, 125,000 steps",
            decay=PerScale(speed=0.0, fastest=math.log2(3)),  # m from 1 to 3 over the features
            start=Multiscale(init_scale=1, init="cosine"),
        ),
    )
)

LRA = "lra/long-conv-lra-"
LONG_CONV_SETTINGS = tuple(
    long_conv(row)
    for row in (
        LongConvSetting(
            "listops",
            LRA + "listops",
            8,
            128,
            0.002,
            5e-4,
            0.2,
            "lr .01, decay .05, batch 50, 40 epochs",
            POST_BATCH,
        ),
        LongConvSetting(
            "text", LRA + "imdb", 6, 256, 0.003, 1e-3, 0.2, "lr .01, decay .05, batch 16, 32 epochs"
        ),
        LongConvSetting(
            "retrieval",
            LRA + "aan",
            6,
            256,
            0.004,
            1e-4,
            0.1,
            "lr .01, decay .05, batch 32, 20 epochs",
        ),
        LongConvSetting(
            "image",
            LRA + "cifar",
            6,
            512,
            0.003,
            1e-3,
            0.2,
            "lr .01, decay .05, batch 50, 200 epochs",
            POST_LAYER,
            dropout=0.1,
        ),
        LongConvSetting(
            "pathfinder",
            LRA + "pathfinder",
            6,
            256,
            0.001,
            1e-3,
            0.3,
            "lr .004, decay .03, batch 64, 200 epochs",
            two_sided=True,
        ),
        LongConvSetting(
            "path-x",
            LRA + "pathx",
            6,
            256,
            0.001,
            5e-4,
            0.3,
            "lr .0005, decay .05, batch 16, 50 epochs",
            two_sided=True,
        ),
        LongConvSetting(
            "scifar",
            "cifar/long-conv-cifar",
            6,
            512,
            0.001,
            1e-3,
            0.2,
            "sequential CIFAR, lr .01, decay .05, batch 50, 300 epochs",
            POST_LAYER,
            dropout=0.1,
        ),
    )
)
