"""The state of a training run, on disk and back: everything that the next step depends on."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sweeps import checkpoint
from sweeps.provenance import identity
from zoo.model import Model


@dataclass
class State:
    """What a checkpoint holds: everything that the next step depends on."""

    model: Model
    optimizer: torch.optim.Optimizer
    running: Tensor  # sum of the training losses since the last evaluation
    step: int = 0
    counted: int = 0  # losses in `running`
    seconds: float = 0.0
    diverged: bool = False
    best: float = -math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    curve: list[list[Any]] = field(default_factory=list)  # step, split, slice, metric, value
    resumed_from: list[int] = field(default_factory=list)


def weights_digest(model: Model) -> str:
    """sha256 over names and bytes of every parameter and buffer."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + b"\0")
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()


def save(state: State, directory: Path, device: str) -> None:
    """Everything that the next step depends on, without pickle."""
    tensors = {f"model/{name}": value for name, value in state.model.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in state.best_weights.items()}
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in moments.items()}
    tensors["running"] = state.running
    tensors["rng/cpu"] = torch.get_rng_state()
    if device.startswith("cuda"):
        tensors["rng/cuda"] = torch.cuda.get_rng_state(device)
    plain = {
        "identity": identity(device),
        "step": state.step,
        "counted": state.counted,
        "seconds": state.seconds,
        "best": None if state.best == -math.inf else state.best,
        "curve": state.curve,
        "resumed_from": state.resumed_from,
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    checkpoint.save(directory, tensors, plain)


def resume(state: State, directory: Path, device: str) -> None:
    """Go on from the newest whole checkpoint, if this very code wrote it."""
    found = checkpoint.load(directory, _goes_on)
    if found is None or found.state.get("identity") != identity(device):
        return
    tensors, plain = found.tensors, found.state
    state.model.load_state_dict(_under(tensors, "model"))
    state.best_weights = _under(tensors, "best")
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in _under(tensors, "optimizer").items():
        index, _, name = key.partition("/")
        moments.setdefault(int(index), {})[name] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    state.running = tensors["running"].to(device)
    torch.set_rng_state(tensors["rng/cpu"])
    if "rng/cuda" in tensors and device.startswith("cuda"):
        torch.cuda.set_rng_state(tensors["rng/cuda"], device)
    state.step, state.counted = plain["step"], plain["counted"]
    state.seconds, state.curve = plain["seconds"], plain["curve"]
    state.best = -math.inf if plain["best"] is None else plain["best"]
    state.resumed_from = [*plain["resumed_from"], state.step]


def read_state(directory: Path) -> dict[str, Any]:
    """The plain part of the newest whole checkpoint to go on from; empty if there is none."""
    found = checkpoint.load(directory, _goes_on)
    return {} if found is None else found.state


def _goes_on(plain: dict[str, Any]) -> bool:
    """Not the weights of the end alone: where no result came of them, the one before counts."""
    return not plain.get("final")


def save_final(model: Model, directory: Path, device: str) -> None:
    """The weights that were scored: all that evaluation on other data needs."""
    tensors = {f"model/{k}": v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    checkpoint.save(directory, tensors, {"identity": identity(device), "final": True})


def load_weights(model: Model, directory: Path) -> bool:
    """Put the newest whole checkpoint's weights into the model; False if there is none."""
    found = checkpoint.load(directory)
    if found is None:
        return False
    model.load_state_dict(_under(found.tensors, "model"))
    return True


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors below a prefix, by the rest of their names."""
    start = f"{prefix}/"
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
