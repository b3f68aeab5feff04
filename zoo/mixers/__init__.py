"""Ways of mixing a sequence along time."""

from zoo.mixers.attention import Attention
from zoo.mixers.h3 import H3
from zoo.mixers.hyena import Hyena
from zoo.mixers.long_conv import LongConv
from zoo.mixers.mixer import LayerContext, Mixer, SequenceMixer
from zoo.mixers.rwkv import Rwkv

__all__ = ["H3", "Attention", "Hyena", "LayerContext", "LongConv", "Mixer", "Rwkv", "SequenceMixer"]
