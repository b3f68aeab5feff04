"""The product: a baseline, arms that each switch one property off, and the contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeps.results import Study

__all__ = ["contrast"]


def contrast(*words: str) -> Study:
    """Run an ablation from Python: `contrast("decay=off", "base=sgconv", "seeds=10")`.

    The words are those of `python -m ablations.run`; a finished study is only read.

    Returns: the study's record: plan, results, trials, curves, kernels.
    Raises: WordError, one line, for a word that cannot be used; KeyboardInterrupt.
    """
    from ablations.plan import make_plan
    from sweeps.launch import launch
    from sweeps.results import read_study

    plan, options = make_plan(words, f"ablations.contrast{words!r}")
    return read_study(launch(plan, options).directory)
