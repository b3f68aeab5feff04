"""The list of a study's figures. Each is left out where the study has no data for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from reports.contrast import Analysis
from reports.cost_figures import in_bits, parameters_by_length, recall_by_state
from reports.curve_figures import Band, band_of, learning_curves
from reports.effect_figures import effects
from reports.factor_figures import factor_figures
from reports.figure import style
from reports.kernel_figures import NUM_CHANNELS, kernel_gallery, shown_of
from reports.lines import told_apart
from reports.picture import Picture
from reports.tuning import score_name
from reports.tuning_figures import front_plot, importance_bars, rate_curves
from reports.venues import Name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Band",
    "Picture",
    "band_of",
    "effects",
    "kernel_gallery",
    "learning_curves",
    "pictures",
    "rate_curves",
]
Draw = Callable[[Analysis], "Figure | None"]


def pictures(analysis: Analysis, look: Name = "plain") -> tuple[Picture, ...]:
    """All figures that the study has data for, as a venue wants them."""
    with style(look):
        return tuple(_drawn(analysis))


def _drawn(analysis: Analysis) -> Iterator[Picture]:
    yield from _made(analysis, _first(analysis))
    yield from factor_figures(analysis)
    yield from _made(analysis, _rest(analysis))


def _made(analysis: Analysis, plans: tuple[tuple[str, str, Draw], ...]) -> Iterator[Picture]:
    for name, caption, draw in plans:
        figure = draw(analysis)
        if figure is not None:
            yield Picture(name, caption, figure)


def _first(analysis: Analysis) -> tuple[tuple[str, str, Draw], ...]:
    outcome = analysis.outcome
    return (
        (
            "effects",
            f"Difference in {outcome} to the baseline, paired by seed, with 95 % t intervals. "
            "Filled: p (Holm) < 0.05.",
            effects,
        ),
        (
            "learning-curves",
            f"Validation {outcome.metric} over training: mean over seeds and 95 % t interval. "
            f"A run that diverged counts with the chance score from then on.{told_apart(analysis)}",
            learning_curves,
        ),
    )


def _rest(analysis: Analysis) -> tuple[tuple[str, str, Draw], ...]:
    bits = in_bits(analysis)
    held = "Bits recalled (pairs x log2 of the values, of the share above chance)" if bits else ""
    return (
        (
            "recall-by-state",
            f"{held or str(analysis.outcome).capitalize()} over the bytes that inference keeps of "
            "a sequence: mean over seeds and 95 % t interval.",
            recall_by_state,
        ),
        (
            "parameters-by-length",
            "Parameters of all convolution kernels over the length that a model is built for. "
            "Arms with the same numbers share a line.",
            parameters_by_length,
        ),
        (
            "learning-rates",
            f"Tuning score ({score_name(analysis)}) by learning rate, all else equal; upright "
            "bars: as given, large marks: chosen. Dots: trials that differ in more.",
            rate_curves,
        ),
        (
            "importance",
            "Share of each field in what tells the best tenth of the trials from all (PED-ANOVA).",
            importance_bars,
        ),
        (
            "front",
            f"Trials by {score_name(analysis)} and cost; the line: those that no other one beats; "
            "the large mark: the one that was trained in full.",
            front_plot,
        ),
        (
            "kernels",
            "Kernels of the first layer at initialisation (left) and after training (right): "
            f"{NUM_CHANNELS} channels each, divided by the largest absolute value of their panel. "
            "Above: what was measured, the median over channels and kernels and the mean over "
            "seeds: n taps hold 90 % of the energy; the envelope is fitted best by (1 + lag)^-a "
            f"and by exp(-r lag).{shown_of(analysis)}",
            kernel_gallery,
        ),
    )
