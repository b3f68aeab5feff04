"""Seconds to 99 % on MQAR (V = 256, L = 64, K = 4): attention of width 64, 2 layers, batch 32.

The peer, zoology, needs 3,443 steps and 122 s for the same model on 2 cores (its own trainer).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

import torch

import tasks
from sweeps.allocator import keep_large_blocks
from sweeps.experiment import Experiment, TrainSpec
from sweeps.train import run_experiment
from zoo.presets import preset
from zoo.spec import replace_all

PEER_SECONDS, PEER_STEPS = 122.0, 3443


def main() -> None:
    """Print the table. `lr`, `steps` and `threads` may be given as words."""
    words = dict(word.split("=") for word in sys.argv[1:])
    keep_large_blocks()
    torch.set_num_threads(int(words.get("threads", os.cpu_count() or 1)))
    model = replace_all(preset("attention"), "width", 64)
    task = tasks.make_task("mqar", vocab_size=256, length=64, num_pairs=4)
    train = TrainSpec(
        lr=float(words.get("lr", 4e-3)),
        batch_size=32,
        steps=int(words.get("steps", 4000)),
        eval_every=50,
        num_eval=512,
        stop_at=0.99,
        checkpoint_every=1e9,
    )
    print("| seed | steps | seconds | validation accuracy | against zoology's 122 s |")
    print("|---|---|---|---|---|")
    for seed in range(int(words.get("seeds", 3))):
        experiment = Experiment(task=task, model=model, train=train, seed=seed)
        with tempfile.TemporaryDirectory() as root:
            began = time.monotonic()
            result = run_experiment(experiment, root=root, splits=("validation",))
            seconds = time.monotonic() - began
        accuracy = result.score("validation", "accuracy") or 0.0
        ratio = f"{PEER_SECONDS / seconds:.1f} x" if accuracy >= 0.99 else "not reached"
        print(f"| {seed} | {result.steps} | {seconds:.1f} | {accuracy:.3f} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
