"""Published task settings as values: `tasks.preset("zoology-mqar-64")`.

Counts of examples, batch sizes and rates of the papers belong to a training run, not to a task.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from tasks.copying import Copying, SelectiveCopying
from tasks.induction import Induction
from tasks.mqar import Mqar
from tasks.recall import AssocRecall, InContextRecall
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
RENAMED = "ids are in order; upstream sorts numbers as text, which renames them"
INSERTED = "blanks are drawn reproducibly; upstream uses numpy's global generator"


def _zoology(length: int, num_pairs: int) -> Preset:
    return Preset(
        name=f"zoology-mqar-{length}",
        paper="Arora et al. 2023, Zoology, arXiv:2312.04927",
        section="figure 2",
        upstream="HazyResearch/zoology@d88d6f5 zoology/data/multiquery_ar.py",
        differs=(STREAMS,),
        value=Mqar(variant="zoology", length=length, num_pairs=num_pairs, random_fill=False),
    )


def _based(length: int, num_pairs: int) -> Preset:
    return Preset(
        name=f"based-mqar-{length}-{num_pairs}",
        paper="Arora et al. 2024, Based, arXiv:2402.18668",
        section="figure 2",
        upstream="HazyResearch/zoology@d88d6f5 "
        "zoology/experiments/paper_configs/arxiv24_based_figure2/configs.py",
        differs=(STREAMS, "one cell of upstream's mixture of lengths"),
        value=Mqar(variant="zoology", length=length, num_pairs=num_pairs),
    )


def _safari(name: str, section: str, value: Task, *differs: str) -> Preset:
    return Preset(
        name=name,
        paper="Dao et al. 2022, H3, arXiv:2212.14052",
        section=section,
        upstream="HazyResearch/safari@42f326e src/dataloaders/synthetics.py",
        differs=(RENAMED, "duplicates inside a split are kept", *differs),
        value=value,
    )


def _safari_recall(name: str, section: str, num_ids: int, num_pairs: int) -> Preset:
    """`num_ids` keys and as many values: upstream's vocabulary less two, halved."""
    value = AssocRecall(
        variant="safari",
        num_pairs=num_pairs,
        num_keys=num_ids,
        num_values=num_ids,
        unique_keys=False,
    )
    return _safari(name, section, value)


def _mad(name: str, value: Task, *differs: str) -> Preset:
    return Preset(
        name=name,
        paper="Poli et al. 2024, MAD, arXiv:2403.17844",
        section="baseline setting",
        upstream="athms/mad-lab@0f49a45 mad/data/instances.py",
        differs=(STREAMS, *differs),
        value=value,
    )


def _mamba(name: str, section: str, value: Task, *differs: str) -> Preset:
    return Preset(
        name=name,
        paper="Gu and Dao 2023, Mamba, arXiv:2312.00752",
        section=section,
        upstream="not released (state-spaces/mamba#343)",
        differs=differs,
        value=value,
    )


FOUND = (
    *(_zoology(*cell) for cell in ((64, 4), (128, 8), (256, 16), (512, 64))),
    *(_based(*cell) for cell in ((64, 4), (64, 8), (64, 16), (128, 8), (128, 32), (256, 16))),
    *(_based(*cell) for cell in ((256, 32), (256, 64), (512, 128), (1024, 256))),
    _safari_recall("h3-associative-recall", "synthetic languages", 4, 10),
    _safari_recall("safari-associative-recall", "configs/dataset/icl_synthetics.yaml", 9, 20),
    _safari(
        "h3-induction",
        "synthetic languages",
        Induction(variant="safari", vocab_size=20, length=30),
    ),
    _mad("mad-in-context-recall", InContextRecall(variant="mad")),
    _mad(
        "mad-selective-copying",
        SelectiveCopying(variant="mad", vocab_size=16, length=256, num_tokens=16),
        INSERTED,
    ),
    _mamba(
        "mamba-selective-copying",
        "section 4.1.1",
        SelectiveCopying(vocab_size=16, length=4096, num_tokens=16),
        "4,096 positions of data and blanks, then 16 markers, as state-spaces/s4 lays it out",
    ),
    _mamba(
        "mamba-induction",
        "section 4.1.2",
        Induction(vocab_size=16, length=256),
        "the trigger is a 17th id",
    ),
    Preset(
        name="s4-copying",
        paper="Arjovsky et al. 2016, arXiv:1511.06464",
        section="copying memory problem, sizes of state-spaces/s4",
        upstream="state-spaces/s4@d27bdf9 src/dataloaders/datasets/copying.py",
        differs=("100 blanks and 10 data ids are length=110",),
        value=Copying(vocab_size=10, length=110, num_tokens=10),
    ),
)
PRESETS = {preset.name: preset for preset in FOUND}


def names() -> list[str]:
    """Every preset's name."""
    return sorted(PRESETS)


def find(name: str) -> Preset:
    """The preset of that name; ValueError with the nearest names."""
    if name not in PRESETS:
        near = get_close_matches(name, PRESETS, n=3) or names()
        raise ValueError(f"{name!r} is not a task preset; nearest: {', '.join(near)}")
    return PRESETS[name]
