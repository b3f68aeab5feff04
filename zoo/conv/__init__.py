"""The long convolution and its backends."""

from zoo.conv.ops import fft_conv

__all__ = ["fft_conv"]
