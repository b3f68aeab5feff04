"""Preset: a published setting of a task. A family's file lists its own as PUBLISHED.

Counts of examples, batch sizes and rates of the papers belong to a training run, not to a task.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A published setting and where it comes from."""

    name: str
    paper: str
    section: str
    upstream: str
    differs: tuple[str, ...] = ()
    value: Task


STREAMS = "splits are disjoint; upstream draws them apart but never checks"


def mad(name: str, value: Task, *differs: str) -> Preset:
    """A baseline setting of MAD."""
    return Preset(
        name=name,
        paper="Poli et al. 2024, MAD, arXiv:2403.17844",
        section="baseline setting",
        upstream="athms/mad-lab@0f49a45 mad/data/instances.py",
        differs=(STREAMS, *differs),
        value=value,
    )


def safari(name: str, section: str, value: Task, *differs: str) -> Preset:
    """A synthetic language of H3, as its code has it."""
    return Preset(
        name=name,
        paper="Dao et al. 2022, H3, arXiv:2212.14052",
        section=section,
        upstream="HazyResearch/safari@42f326e src/dataloaders/synthetics.py",
        differs=(
            "ids are in order; upstream sorts numbers as text, which renames them",
            "duplicates inside a split are kept",
            *differs,
        ),
        value=value,
    )


def mamba(name: str, section: str, value: Task, *differs: str) -> Preset:
    """A synthetic task of Mamba, whose generators were not released."""
    return Preset(
        name=name,
        paper="Gu and Dao 2023, Mamba, arXiv:2312.00752",
        section=section,
        upstream="not released (state-spaces/mamba#343)",
        differs=differs,
        value=value,
    )
