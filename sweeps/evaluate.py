"""`python -m sweeps.evaluate RUN_DIR data=FILE.npz`: a trained model on other data, one JSON line.

The file holds `inputs` (N, L) integers or (N, L, C) real numbers, and `targets`: (N, L) integers
with -100 where nothing is scored, or (N,) one label a sequence, or real numbers for a regression;
`lengths` (N,) if sequences end early. L may be anything up to the trained length.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.program import run_program, show
from sweeps.words import WordError, nearest, split

if TYPE_CHECKING:
    import numpy as np

    from tasks.batch import Batch
    from zoo.spec import Context

USAGE = """\
usage: python -m sweeps.evaluate RUN_DIR data=FILE.npz [device=auto|cpu|cuda[:n]]

Score a trained model on your own data and print one JSON line: accuracy, exact, loss.
RUN_DIR is a folder of out/runs. FILE.npz holds inputs (N, L), targets (N, L) with -100 where
nothing is scored or (N,), and lengths (N,) if sequences end early.
"""
DAMAGED = (ValueError, TypeError, AttributeError, KeyError, EOFError, RuntimeError)
DAMAGED += (zipfile.BadZipFile, zlib.error)
BATCH = 256
IGNORE = -100


def main(arguments: Sequence[str] | None = None) -> int:
    """The program. Returns its exit code."""
    from zoo._guard import guard

    guard()
    return run_program(_main, sys.argv[1:] if arguments is None else arguments, USAGE)


def _main(arguments: list[str]) -> int:
    folders = [a for a in arguments if "=" not in a]
    words = {w.key: w.value for w in split(a for a in arguments if "=" in a)}
    for key in words:
        if key not in ("data", "device"):
            raise WordError(f"unknown word {key!r}; {nearest(key, ('data', 'device'))}")
    if len(folders) != 1 or "data" not in words:
        raise WordError("name one run's folder and data=FILE.npz; see --help")
    scores = evaluate(Path(folders[0]), Path(words["data"]), device=words.get("device", "auto"))
    show(json.dumps(scores))
    return 0


def evaluate(run: Path, data: Path, *, device: str = "auto") -> dict[str, float | int | str]:
    """The scores of a run's weights on a file.

    Raises: WordError, one line, for a folder without weights or data that the model cannot read.
    """
    from sweeps.batches import Held, gather
    from sweeps.rundir import read_experiment
    from sweeps.scores import score
    from sweeps.state import load_weights
    from sweeps.train import pick_device

    try:
        device = pick_device(device)
        experiment = read_experiment(run / "experiment.json")
    except ValueError as error:
        raise WordError(str(error)) from None
    if not (run / "result.json").exists():
        raise WordError(f"{run}: not finished; its command goes on from where it stopped")
    context = experiment.task.context
    batch = read_batch(data, context)
    model = experiment.model.build(context, seed=experiment.seed)
    if not load_weights(model, run / "checkpoint"):
        raise WordError(f"{run}: no whole checkpoint; train it first")
    model.to(device)
    num = len(batch.inputs)
    held = [Held(gather(batch.at(slice(i, i + BATCH))), {}) for i in range(0, num, BATCH)]
    found: dict[str, float | int | str] = {"run": experiment.fingerprint, "examples": num}
    for one in score(model, held, "file", device):
        assert one.value is not None
        found[one.metric] = one.value
    return found


def read_batch(path: Path, context: Context) -> Batch:
    """A user's file as a batch, checked against what the model was trained for."""
    from tasks.batch import Batch

    arrays = _arrays(path)
    for name in ("inputs", "targets"):
        if name not in arrays:
            raise WordError(f"data={path}: no array {name!r}; it has {', '.join(arrays) or 'none'}")
    inputs = _inputs(path, arrays["inputs"], context)
    targets, mask = _targets(path, arrays["targets"], inputs, context)
    lengths = _lengths(path, arrays.get("lengths"), inputs)
    return Batch(inputs=inputs, targets=targets, mask=mask, lengths=lengths, factors={})


def _lengths(path: Path, lengths: np.ndarray | None, inputs: np.ndarray) -> np.ndarray:
    import numpy as np

    if lengths is None:
        return np.full(len(inputs), inputs.shape[1], np.int64)
    _require(
        lengths.shape == (len(inputs),) and lengths.dtype.kind in "iu",
        f"data={path}: lengths {lengths.shape} must be one whole number per example",
    )
    low, high = int(lengths.min()), int(lengths.max())
    _require(
        low >= 1 and high <= inputs.shape[1],
        f"data={path}: lengths {low} to {high} must lie in 1 to {inputs.shape[1]}",
    )
    return lengths.astype(np.int64)


def _require(condition: bool, message: str) -> None:  # noqa: FBT001
    if not condition:
        raise WordError(message)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    import numpy as np

    try:
        data = io.BytesIO(path.read_bytes())  # numpy leaves a damaged file open
        with np.load(data, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise WordError(f"data={path}: {error.strerror or error}") from None
    except DAMAGED:
        arrays = None
    if arrays is None or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise WordError(f"data={path}: not an npz file of plain arrays (numpy.savez)")
    return arrays


def _inputs(path: Path, inputs: np.ndarray, context: Context) -> np.ndarray:
    import numpy as np

    tokens = context.num_inputs is not None
    _require(
        inputs.ndim == (2 if tokens else 3) and inputs.size > 0,
        f"data={path}: inputs have shape {inputs.shape}, this model reads "
        + ("(N, L) tokens" if tokens else f"(N, L, {context.input_dim}) real numbers"),
    )
    _require(
        inputs.shape[1] <= context.length,
        f"data={path}: sequences of {inputs.shape[1]}, the model was trained for {context.length}",
    )
    if context.num_inputs is None:
        real = _real(inputs)
        if inputs.shape[2] != context.input_dim or real is None:
            raise WordError(f"data={path}: inputs must have {context.input_dim} finite features")
        return real
    _require(inputs.dtype.kind in "iu", f"data={path}: inputs are {inputs.dtype}, not integers")
    low, high = int(inputs.min()), int(inputs.max())
    _require(
        low >= 0 and high < context.num_inputs,
        f"data={path}: token ids {low} to {high}, the vocabulary is 0 to {context.num_inputs - 1}",
    )
    return inputs.astype(np.int64)


def _real(values: np.ndarray) -> np.ndarray | None:
    """As the model computes; None where not all are real numbers that are finite there."""
    import numpy as np

    if values.dtype.kind not in "fiu":
        return None
    with np.errstate(over="ignore"):
        found = values.astype(np.float32)
    return found if np.isfinite(found).all() else None


def _targets(
    path: Path, targets: np.ndarray, inputs: np.ndarray, context: Context
) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    shape = inputs.shape[:2] if context.at_positions else inputs.shape[:1]
    if context.is_real:
        shape = (*shape, context.num_outputs)
        if context.num_outputs == 1 and targets.shape == shape[:-1]:
            targets = targets[..., None]
        real = _real(targets)
        if targets.shape != shape or real is None:
            said = f"targets {targets.shape} must be finite numbers of shape {shape}"
            raise WordError(f"data={path}: {said}")
        return real, np.ones(shape, bool)
    _require(
        targets.shape == shape, f"data={path}: targets have shape {targets.shape}, expected {shape}"
    )
    _require(targets.dtype.kind in "iu", f"data={path}: targets are {targets.dtype}, not integers")
    mask = targets != IGNORE
    _require(bool(mask.any()), f"data={path}: every target is {IGNORE}, nothing is scored")
    low, high = int(targets[mask].min()), int(targets[mask].max())
    _require(
        low >= 0 and high < context.num_outputs,
        f"data={path}: target ids {low} to {high}, the model has 0 to {context.num_outputs - 1}",
    )
    return targets.astype(np.int64), mask


if __name__ == "__main__":
    sys.exit(main())
