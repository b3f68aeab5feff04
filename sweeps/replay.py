"""Run an experiment again, and say whether it gives the same bits."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from sweeps.launch import prepare
from sweeps.options import REPLAY, read_options
from sweeps.program import show
from sweeps.rundir import RunDirectory, read_experiment
from sweeps.train import run_experiment
from sweeps.words import Word, WordError


def replay(words: Sequence[Word]) -> int:
    """`replay=out/runs/.../experiment.json`: 0 if bit-identical, 1 if not.

    Raises: WordError where there is no finished run to compare with, or for another word.
    """
    others = [word for word in words if word.key not in REPLAY]
    if others:
        raise WordError(f"{others[0]}: replay repeats a run as it was; leave this out")
    options = read_options({word.key: word.value for word in words}, trials=0, gain="keep")
    assert options.replay is not None
    path = Path(options.replay)
    path = path / "experiment.json" if path.is_dir() else path
    try:
        experiment = read_experiment(path)
    except ValueError as error:
        raise WordError(f"replay={error}") from None
    folder = path.resolve().parent
    beside = folder.parent.name == "runs" and folder.name == experiment.fingerprint
    original = RunDirectory(folder.parent.parent, experiment).result() if beside else None
    if original is None:
        raise WordError(f"replay={path}: no finished run beside it to compare with")
    root = prepare(options) / "replays"
    torch.set_num_threads(int(original.identity["threads"]))
    shutil.rmtree(RunDirectory(root, experiment).path, ignore_errors=True)
    splits = tuple(dict.fromkeys(score.split for score in original.scores))
    again = run_experiment(experiment, root=root, device=options.device, splits=splits)
    other = [
        f"{key} {original.identity.get(key)} -> {value}"
        for key, value in again.identity.items()
        if original.identity.get(key) != value
    ]
    around = f" ({'; '.join(other)})" if other else ""
    if again.weights == original.weights and again.scores == original.scores:
        show(f"bit-identical: weights {again.weights[:16]}, {len(again.scores)} scores{around}")
        return 0
    changed = [
        f"{new.split} {new.slice} {new.metric} {old.value} -> {new.value}"
        for old, new in zip(original.scores, again.scores, strict=False)
        if old != new
    ]
    said = changed[0] if changed else f"weights {original.weights[:16]} -> {again.weights[:16]}"
    show(f"different: {said}{around}")
    return 1
