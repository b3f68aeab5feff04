"""The published cells of multi-query associative recall, and where they are from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.published import STREAMS

Cell = tuple[int, int]  # length, num_pairs

ZOOLOGY = "Arora et al. 2023, Zoology, arXiv:2312.04927"
BASED = "Arora et al. 2024, Based, arXiv:2402.18668"
UPSTREAM = "HazyResearch/zoology@d88d6f5"
DATA, SWEEPS = "zoology/data", "zoology/experiments"
FIGURE_2 = ((64, 4), (128, 8), (256, 16), (512, 64))
MIXTURE = ((64, 4), (64, 8), (64, 16), (128, 8), (128, 32), (256, 16), (256, 32), (256, 64))
LONG = ((512, 128), (1024, 256))
ONE_CELL = "one cell of upstream's mixture of lengths"
GRIDS = ((64, 4), (64, 9), (128, 16), (256, 36), (512, 64), (1024, 144), (2048, 256))


def published() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What a preset says of itself, and the task's fields."""
    for cell in FIGURE_2:
        where = _where(f"zoology-mqar-{cell[0]}", ZOOLOGY, "figure 2", f"{DATA}/multiquery_ar.py")
        yield where, _fields(cell, random_fill=False)
    configs = f"{SWEEPS}/paper_configs/arxiv24_based_figure2/configs.py"
    for cell in MIXTURE + LONG:
        name = f"based-mqar-{cell[0]}-{cell[1]}"
        yield _where(name, BASED, "figures 2 and 3", configs, ONE_CELL), _fields(cell)
    for kind, code, config, added in (
        ("forgetting", "forgetting_mqar", "forgetting", {"num_updates": 4}),
        ("compositional", "compositional_ar", "composition", {"compound_keys": True}),
    ):
        path = f"{DATA}/{code}.py, {SWEEPS}/mqar_example_configs/{config}_configs.py"
        for cell in GRIDS:
            name = f"zoology-{kind}-{cell[0]}-{cell[1]}"
            section = f"{kind}: in the code, not in the paper"
            yield _where(name, ZOOLOGY, section, path, ONE_CELL), _fields(cell, **added)


def _where(name: str, paper: str, section: str, path: str, *differs: str) -> dict[str, Any]:
    return {
        "name": name,
        "paper": paper,
        "section": section,
        "upstream": f"{UPSTREAM} {path}",
        "differs": (STREAMS, *differs),
    }


def _fields(cell: Cell, **added: bool | int) -> dict[str, Any]:
    return {"variant": "zoology", "length": cell[0], "num_pairs": cell[1], **added}
