"""One kernel for each head of e features, and the outer product inside a head.

    y_b = sum_a q_a * (K * (k_a v_b) + D k_a v_b),   a, b = 1 .. e the features of one head

As a matrix this is linear attention under a Toeplitz mask, ((Q K^T) o T) V. Entries of a head are
examples of one batch: they share their kernel.

Axes: B batch, L length, D width, H = D/e heads, e features of a head.
"""

from __future__ import annotations

from torch import Tensor

from zoo.conv import fft_conv
from zoo.kernel import Kernel


def head_conv(
    x: Tensor,
    kernel: Tensor,
    skip: Tensor,
    pre: Tensor | None = None,
    post: Tensor | None = None,
) -> Tensor:
    """The convolution of each head; with both gates their outer product, else entry by entry.

    Args:    x          values v                                (B, D, L)
             kernel     one for each head; D says entry by entry     (H, taps)
             skip       weight of the input itself              (H,)
             pre, post  k and q                                 (B, D, L)
    Returns: y                                                  (B, D, L)
    """
    heads = kernel.shape[0]
    if heads == x.shape[1]:
        return fft_conv(x, kernel, skip=skip, pre=pre, post=post)
    v, k, q = (None if each is None else split(each, heads) for each in (x, pre, post))
    assert v is not None
    if k is None or q is None:
        v, k, q = (None if each is None else each.flatten(0, 1) for each in (v, k, q))
        assert v is not None
        return merge(fft_conv(v, kernel, skip=skip, pre=k, post=q), x)
    z = k[:, :, None] * v[:, None]  # (B, a, b, H, L)
    s = fft_conv(z.flatten(0, 2), kernel, skip=skip).view(z.shape)
    return merge((q[:, :, None] * s).sum(1), x)


def split(x: Tensor, heads: int) -> Tensor:
    """(B, D, L) to (B, e, H, L); feature h e + a is entry a of head h."""
    return x.unflatten(1, (heads, -1)).transpose(1, 2)


def merge(y: Tensor, like: Tensor) -> Tensor:
    """(B, e, H, L), its first two axes joined or not, to (B, D, L)."""
    y = y.view(like.shape[0], -1, *y.shape[-2:])
    return y.transpose(1, 2).reshape(like.shape)


def num_heads(width: int, head_dim: int) -> int:
    """H = D/e. Raises: ValueError where e does not divide D."""
    if width % head_dim:
        raise ValueError(
            f"head_dim={head_dim} does not divide width={width}: every head has the same width"
        )
    return width // head_dim


def conv_state(
    kernel: Kernel, modes: int | None, length: int, *, width: int, outer: int = 1
) -> int:
    """Numbers that inference keeps of one convolution of `width` entries, `outer` times as many.

    The past inputs that the kernel still reaches (an outer product is kept as its two factors), or
    the states of its modes where those are fewer.
    """
    inputs = (min(kernel.taps, length) - 1) * width * min(outer, 2)
    return inputs if modes is None else min(inputs, modes * width * outer)
