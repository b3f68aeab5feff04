"""Convolutions, long and short, and the backends that compute them."""

from zoo.conv.ops import fft_conv
from zoo.conv.short_conv import short_conv

__all__ = ["fft_conv", "short_conv"]
