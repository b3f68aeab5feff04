"""The making of a study's report: judged and described, and nothing written."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from reports.document import Report

if TYPE_CHECKING:
    from reports.contrast import Analysis
    from reports.study_figures import Picture
    from reports.table import Table
    from reports.venues import Name
    from sweeps.results import Study


def make_report(
    study: Study, *, draw: bool = True, look: Name = "plain", memory: bool = False
) -> Report:
    """Judge a study and describe what was found; writes nothing.

    Args:
        study: as it is on disk.
        draw: whether to draw the figures.
        look: plain, neurips or icml: the style of the figures.
        memory: whether published figures that are quoted from memory are shown.
    """
    from reports.contrast import analyse
    from reports.findings import caveats, sentences
    from reports.methods import methods

    analysis = analyse(study)
    return Report(
        study=study,
        analysis=analysis,
        tables=tables_of(analysis, memory=memory),
        pictures=pictures_of(analysis, look) if draw else (),
        found=sentences(analysis),
        limits=caveats(analysis),
        methods=methods(analysis),
    )


def tables_of(analysis: Analysis, *, memory: bool = False) -> tuple[Table, ...]:
    """Every table that this study has data for, the primary outcome first."""
    from reports import detail_tables as detail
    from reports import study_tables as main
    from reports import tuning_tables as tuning
    from reports.published_below import published_table
    from reports.reported import reported_table

    published = partial(published_table, memory=memory)
    reported = partial(reported_table, memory=memory)
    outcome = partial(main.outcome_table, memory=memory)
    makers = (outcome, reported, main.arms_table, main.kernel_table, published)
    makers += (detail.metrics_table, detail.slices_table, tuning.search_table, tuning.front_table)
    makers += (tuning.sensitivity_table, detail.rates_table, tuning.trials_table)
    makers += (detail.runs_table,)
    made = (make(analysis) for make in makers)
    return tuple(table for table in made if len(table.frame))


def pictures_of(analysis: Analysis, look: Name = "plain") -> tuple[Picture, ...]:
    """Every figure that this study has data for."""
    from reports.study_figures import pictures

    return pictures(analysis, look)
