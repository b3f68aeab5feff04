"""Sums of poles at many nodes: a Cauchy product, without the matrix that it is a product with.

Axes: D channels, N poles of which each stands for a pair, K sums, F nodes, f of a block.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK = 2**20  # of the D N F quotients, at most about this many exist at a time


def pole_sums(v: Tensor, poles: Tensor, s: Tensor, h: Tensor) -> Tensor:
    """q(v) = sum_n v_n / (s - h l_n) + conj(v_n) / (s - h conj(l_n)).

    Both of a pair over one real quadratic, 2 (s Re v - h Re(v conj l)) / (s^2 - 2 s h Re l +
    h^2 |l|^2): so all v share it, in one product of real matrices. Nodes go in blocks, whose
    quotients are made again in the backward pass and never kept.

    Args:    v      numerators                                 (D, ..., N)
             poles  l                                          (D, N)
             s, h   of each node                               (D, F) and (F,)
    Returns: the sums                                          (D, ..., F)
    """
    shape, num = v.shape[1:-1], v.shape[-1]
    turned = v * poles.conj().view(-1, *[1] * len(shape), num)
    rows = torch.cat([v.real.flatten(1, -2), -turned.real.flatten(1, -2)], 1)  # (D, 2 K, N)
    size = poles.real.square() + poles.imag.square()
    quadratic = torch.stack([torch.ones_like(size), -2 * poles.real, size], -1)  # (D, N, 3)
    return PoleSums.apply(rows, quadratic, s, h).unflatten(1, shape)


def _blocks(rows: Tensor, s: Tensor, h: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The nodes, a few at a time: s (D, f) and h (f,)."""
    size = max(1, BLOCK // (rows.shape[0] * rows.shape[2]))
    return list(zip(s.split(size, -1), h.split(size), strict=True))


def _inverse(quadratic: Tensor, s: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """G (D, N, f), and the powers s^2, s h, h^2 that it is the inverse of a mix of: (D, 3, f)."""
    powers = torch.stack([s * s, s * h, (h * h).expand_as(s)], 1)
    return _mix(quadratic, powers).reciprocal(), powers


def _mix(real: Tensor, x: Tensor) -> Tensor:
    """The product of a real and a complex matrix, as one of real ones."""
    product = real @ torch.view_as_real(x).flatten(-2)
    return torch.view_as_complex(product.unflatten(-1, (-1, 2)))


def _match(x: Tensor, y: Tensor) -> Tensor:
    """Re x y^H: what a real matrix m is told of x, where m y was."""
    x, y = (torch.view_as_real(z.resolve_conj()).flatten(-2) for z in (x, y))
    return x @ y.mT


class PoleSums(torch.autograd.Function):
    """2 (s sum_n top_n G_n + h sum_n bottom_n G_n), 1/G_n = quadratic_n (s^2, s h, h^2).

    By hand for the memory alone: plain autograd would keep G. Backward is made of differentiable
    operations, so derivatives of every order exist; nodes h have none.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, quadratic: Tensor, s: Tensor, h: Tensor) -> Tensor:
        ctx.save_for_backward(rows, quadratic, s, h)
        out = []
        for s_, h_ in _blocks(rows, s, h):
            top, bottom = _mix(rows, _inverse(quadratic, s_, h_)[0]).chunk(2, 1)  # (D, K, f) each
            out.append(2 * (s_[:, None] * top + h_ * bottom))
        return torch.cat(out, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (grad,), (rows, quadratic, s, h) = grads, ctx.saved_tensors
        to_rows, to_quadratic, to_s = torch.zeros_like(rows), torch.zeros_like(quadratic), []
        start = 0
        for s_, h_ in _blocks(rows, s, h):
            grad_ = grad[..., start : start + len(h_)]
            start += len(h_)
            g, powers = _inverse(quadratic, s_, h_)
            sums = 2 * torch.cat([grad_ * s_.conj()[:, None], grad_ * h_.conj()], 1)  # (D, 2 K, f)
            to_rows = to_rows + _match(sums, g)
            to_inverse = _mix(rows.mT, -sums) * (g * g).conj()  # (D, N, f)
            to_quadratic = to_quadratic + _match(to_inverse, powers)
            square, cross, _ = _mix(quadratic.mT, to_inverse).unbind(1)
            top = _mix(rows, g).chunk(2, 1)[0]
            own = 2 * (grad_ * top.conj()).sum(1)
            to_s.append(own + 2 * s_.conj() * square + h_.conj() * cross)
        return to_rows, to_quadratic, torch.cat(to_s, -1), None
