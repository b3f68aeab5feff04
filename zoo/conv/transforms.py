"""Which of torch's transforms is at work on a call, where that decides how it is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import TransformType, get_interpreter_stack, is_legacy_batchedtensor
from torch.autograd import forward_ad


def transformed() -> bool:
    """Whether torch.func is at work: its `grad` cannot differentiate an operator (torch 2.13).

    Its `functionalize` only rewrites, and has no rule for what takes the operator's place.
    """
    if torch.compiler.is_compiling() or not torch._C._are_functorch_transforms_active():
        return False
    return any(each.key() != TransformType.Functionalize for each in get_interpreter_stack() or ())


def transformed_in_compiler() -> bool:
    """Whether torch.func is at work in what is being compiled: only plain torch can be both."""
    return torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()


def has_tangent(*tensors: Tensor | None) -> bool:
    """Whether forward mode (jvp) may be differentiating one of the tensors.

    The tangents of an outer torch.func.jvp cannot be seen from within another transform: there,
    whether there is a jvp at all.
    """
    if forward_ad._current_level < 0:
        return False
    if any(each.key() == TransformType.Jvp for each in get_interpreter_stack() or ()):
        return True
    return any(x is not None and _is_dual(x) for x in tensors)


def _is_dual(x: Tensor) -> bool:
    return not is_legacy_batchedtensor(x) and forward_ad.unpack_dual(x).tangent is not None


def jvp_rule(rule: Callable[..., Tensor]) -> staticmethod[..., Tensor]:
    """The `jvp` of an autograd.Function from rule(ctx, saved tensors, tangents), at any nesting.

    Inside a jvp torch 2.13 switches forward mode off, for outer ones too: derivatives of this
    derivative would silently be zero.
    """

    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        with forward_ad._set_fwd_grad_enabled(True):
            saved = [None if x is None else _primal(x) for x in ctx.saved_tensors]
            return rule(ctx, saved, tangents)

    return staticmethod(jvp)


def _primal(x: Tensor) -> Tensor:
    return x if is_legacy_batchedtensor(x) else forward_ad.unpack_dual(x).primal
