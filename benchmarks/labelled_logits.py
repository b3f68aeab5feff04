"""Logits at labelled positions only, against logits at every position: one training step.

MQAR with the published vocabulary (V = 8192, L = 64, K = 4), attention of width 64, 2 layers, batch
64. First checks that the loss and every gradient agree, then times both, interleaved.
"""

from __future__ import annotations

import statistics
import time

import torch
import torch.nn.functional as F

import tasks
from sweeps.batches import training_batches
from sweeps.experiment import Experiment, TrainSpec
from zoo.presets import preset
from zoo.spec import replace_all

STEPS = 12


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    model = replace_all(preset("attention"), "width", 64)
    task = tasks.make_task("mqar", vocab_size=8192, length=64, num_pairs=4)
    train = TrainSpec(steps=STEPS, batch_size=64)
    experiment = Experiment(task=task, model=model, train=train)
    net = model.build(task.context, seed=0)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    batches = list(training_batches(experiment, 0))

    def labelled(batch) -> torch.Tensor:
        return F.cross_entropy(net(batch.inputs, rows=batch.rows), batch.labels)

    def everywhere(batch) -> torch.Tensor:
        targets = torch.full((batch.inputs.numel(),), -100)
        targets[batch.rows] = batch.labels
        logits = net(batch.inputs)
        return F.cross_entropy(logits.flatten(0, 1), targets, ignore_index=-100)

    gradients = []
    for loss_of in (labelled, everywhere):
        optimizer.zero_grad()
        loss_of(batches[0]).backward()
        gradients.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-4)

    seconds: dict[str, list[float]] = {"labelled": [], "everywhere": []}
    for batch in batches:
        for name, loss_of in (("labelled", labelled), ("everywhere", everywhere)):
            began = time.process_time()
            optimizer.zero_grad(set_to_none=True)
            loss_of(batch).backward()
            optimizer.step()
            seconds[name].append(time.process_time() - began)
    ms = {name: 1e3 * statistics.median(times[2:]) for name, times in seconds.items()}
    ratios = [b / a for a, b in zip(seconds["labelled"], seconds["everywhere"], strict=True)]
    print("| logits | CPU ms a step | ratio |\n|---|---|---|")
    print(f"| every position | {ms['everywhere']:.0f} | 1 |")
    print(f"| labelled positions | {ms['labelled']:.0f} | {statistics.median(ratios[2:]):.1f} x |")


if __name__ == "__main__":
    main()
