"""Ways of mixing a sequence along time."""

from zoo.mixers.attention import Attention
from zoo.mixers.long_conv import LongConv
from zoo.mixers.mixer import LayerContext, Mixer, SequenceMixer

__all__ = ["Attention", "LayerContext", "LongConv", "Mixer", "SequenceMixer"]
