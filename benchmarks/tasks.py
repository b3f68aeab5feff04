"""Examples and tokens per CPU second of every task, on one core.

    python benchmarks/tasks.py

The peer is the published way of making MQAR, one row after the other with numpy's weighted choice
(HazyResearch/zoology zoology/data/multiquery_ar.py, written anew): both are first checked to be the
same task, then timed in turns in this process. Times include delivery as int64.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tasks
from tasks.mqar import Mqar
from tasks.records import RecordTask

TOKENS = 2**19  # per measurement, at most
LONGEST = 4.0  # seconds of one measurement, about
PUBLISHED = (
    "based-mqar-128-8",
    "based-mqar-256-16",
    "based-mqar-256-64",
    "based-mqar-512-128",
    "based-mqar-1024-256",
    "mamba-selective-copying",
    "lra-pathfinder-64",
    "lra-path-x",
    "lra-path-256",
)
# Examples a second of the generators that were published, measured on a machine of this kind at
# another hour: to compare orders of magnitude by.
REFERENCE = {
    "mqar": (3607, "HazyResearch/zoology"),
    "based-mqar-256-64": (4895, "HazyResearch/zoology"),
    "based-mqar-1024-256": (3503, "HazyResearch/zoology"),
    "listops": (194, "google-research/long-range-arena"),
    "pathfinder": (3.77, "google-research/long-range-arena"),
    "lra-pathfinder-64": (0.121, "google-research/long-range-arena"),
    "lra-path-x": (0.26, "google-research/long-range-arena, at most"),
    "lra-path-256": (2.0, "google-research/long-range-arena"),
}
GOALS = {  # examples a second
    "mqar": 300e3,
    "based-mqar-256-64": 70e3,
    "based-mqar-1024-256": 10e3,
    "listops": 15e3,
    "pathfinder": 3000,
    "lra-pathfinder-64": 100,
    "lra-path-x": 80,
    "lra-path-256": 300,
}
TOKEN_GOALS = {"brevo": 2e6, "lano": 2e6, "in-context-language": 2e6}  # a second; others:
TOKEN_GOAL = 20e6


def per_example(task: Mqar, num: int, generator: np.random.Generator) -> np.ndarray:
    """Inputs and targets row by row: numpy draws each row's keys, values, slots and filler."""
    size, pairs = task.vocab_size, task.num_pairs
    weights = np.arange(1, task.length // 2 - pairs + 1) ** (task.power_a - 1)
    weights = weights / weights.sum()
    out = np.full((2, num, task.length), -100)
    for inputs, targets in zip(out[0], out[1], strict=True):
        names = 1 + generator.choice(task.num_keys, pairs, replace=False)
        values = size // 2 + generator.choice(task.num_values, pairs, replace=False)
        inputs[: 2 * pairs : 2], inputs[1 : 2 * pairs : 2] = names, values
        free = np.setdiff1d(np.arange(1, size), inputs[: 2 * pairs])
        inputs[2 * pairs :] = generator.choice(free, task.length - 2 * pairs)
        slots = 2 * pairs + 2 * generator.choice(len(weights), pairs, replace=False, p=weights)
        inputs[slots], targets[slots] = names, values
    return out


def same_task(task: Mqar) -> None:
    """Both pass the oracle, and their queries stand equally far behind, within noise."""
    batch = task.generate(range(2000), "test")
    rows = per_example(task, 2000, np.random.default_rng(0))
    places = []
    for inputs, targets in ((batch.inputs, batch.targets), (rows[0], rows[1])):
        scored = targets != -100
        assert (scored.sum(axis=1) == task.num_pairs).all()
        assert (task.oracle(inputs) == targets)[scored].all()
        places.append(np.nonzero(scored)[1])
    noise = np.hypot(*(p.std() / len(p) ** 0.5 for p in places))
    assert abs(places[0].mean() - places[1].mean()) < 5 * noise


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def rates(repeats: int) -> dict[str, float]:
    """Examples per CPU second: the median of several repeats, the tasks taking turns."""
    names = [k for k, cls in tasks.kinds().items() if not issubclass(cls, RecordTask)]
    made = {name: tasks.make_task(name) for name in (*names, *PUBLISHED)}
    found: dict[str, list[float]] = {name: [] for name in made}
    sizes = {name: _size(task) for name, task in made.items()}
    for i in range(repeats):
        for name, task in made.items():
            indices = np.arange(i * sizes[name], (i + 1) * sizes[name]) + 1000
            seconds = cpu_seconds(lambda task=task, indices=indices: task.generate(indices))
            found[name].append(sizes[name] / seconds)
    return {name: statistics.median(values) for name, values in found.items()}


def _size(task: tasks.Task) -> int:
    """Examples of one measurement. The first examples ever warm up: loops are compiled."""
    task.generate([0])
    few = cpu_seconds(lambda: task.generate(range(1, 5))) / 4
    return max(4, min(TOKENS // task.context.length, int(LONGEST / few)))


def row(name: str, found: float) -> str:
    """One line of the table."""
    task = tasks.make_task(name)
    length = task.context.length
    reference = REFERENCE.get(name)
    beside = "" if reference is None else f"{reference[0]:,g} ({reference[1]})"
    if name in GOALS:
        goal, mark = f"{GOALS[name]:,.0f} / s", "yes" if found >= GOALS[name] else "no"
    elif task.context.input_dim:  # no tokens
        goal = mark = ""
    else:
        least = TOKEN_GOALS.get(name, TOKEN_GOAL)
        goal, mark = f"{least / 1e6:.0f} M tokens", "yes" if found * length >= least else "no"
    rate, tokens = _digits(found), _digits(found * length / 1e6)
    return f"| {name} | {length} | {rate} | {tokens} | {goal} | {mark} | {beside} |"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def against_peer(repeats: int) -> tuple[float, float]:
    """(our rate, how many times the peer's), measured in turns."""
    task = Mqar()
    same_task(task)
    generator = np.random.default_rng(1)
    ours, ratios = [], []
    for i in range(repeats):
        indices = np.arange(i * 20_000, (i + 1) * 20_000)
        mine = 20_000 / cpu_seconds(lambda indices=indices: task.generate(indices))
        peer = 200 / cpu_seconds(lambda: per_example(task, 200, generator))
        ours.append(mine)
        ratios.append(mine / peer)
    return statistics.median(ours), statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print("| task | positions | examples / s | million tokens / s | goal | met | published code |")
    print("|---|---:|---:|---:|---:|---|---|")
    for name, found in rates(repeats).items():
        print(row(name, found), flush=True)
    mine, ratio = against_peer(repeats)
    print()
    print(
        f"MQAR (V=8192, L=64, K=4, canonical filler): {mine:,.0f} examples per CPU second on one "
        f"core, {ratio:.0f} times one row at a time (median of {repeats})."
    )


if __name__ == "__main__":
    main()
