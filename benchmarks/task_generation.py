"""Examples and tokens per CPU second of every task, on one core.

    python benchmarks/task_generation.py

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

TOKENS = 2**19  # per measurement
CASES = {
    "mqar 64, 4": "mqar",
    "mqar 128, 8": "based-mqar-128-8",
    "mqar 256, 16": "based-mqar-256-16",
    "mqar 256, 64": "based-mqar-256-64",
    "mqar 1024, 256": "based-mqar-1024-256",
    "assoc-recall": "assoc-recall",
    "in-context-recall": "in-context-recall",
    "copying": "copying",
    "selective-copying": "selective-copying",
    "selective-copying (Mamba)": "mamba-selective-copying",
    "induction": "induction",
}


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
    made = {title: tasks.make_task(name) for title, name in CASES.items()}
    found: dict[str, list[float]] = {title: [] for title in made}
    for i in range(-1, repeats):  # the first round warms up
        for title, task in made.items():
            num = max(16, TOKENS // task.context.length)
            indices = np.arange(i * num, (i + 1) * num) + num
            seconds = cpu_seconds(lambda task=task, indices=indices: task.generate(indices))
            if i >= 0:
                found[title].append(num / seconds)
    return {title: statistics.median(values) for title, values in found.items()}


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
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    print("| task | positions | examples / s | million tokens / s |")
    print("|---|---:|---:|---:|")
    for title, found in rates(repeats).items():
        length = tasks.make_task(CASES[title]).context.length
        print(f"| {title} | {length} | {found:,.0f} | {found * length / 1e6:.0f} |")
    mine, ratio = against_peer(repeats)
    print()
    print(
        f"MQAR (V=8192, L=64, K=4, canonical filler): {mine:,.0f} examples per CPU second on one "
        f"core, {ratio:.0f} times one row at a time (median of {repeats})."
    )


if __name__ == "__main__":
    main()
