"""Attention: what the convolutions are measured against."""

from zoo.mixers import Attention
from zoo.model import ModelSpec
from zoo.presets.published import Published

ATTENTION = Published(
    name="attention",
    paper="Vaswani et al. 2017, arXiv:1706.03762; as a recall baseline arXiv:2312.04927",
    section="section 3.2 (1706.03762)",
    upstream="HazyResearch/zoology zoology/mixers/attention.py@0a76ef2",
    differs=(
        "the head is not tied to the embedding; tokens start at N(0, 1), projections at PyTorch's "
        "own law (upstream N(0, .02) for all): recall is learned in a third of the steps",
        "future keys are left out, not weighed by exp(-10000)",
        "no dropout of embeddings and attention weights (upstream .1 of both)",
    ),
    value=ModelSpec(mixers=(Attention(num_heads=1),), positions="learned", width=64, depth=2),
)
