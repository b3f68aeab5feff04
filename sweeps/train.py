"""The training loop: one experiment in, one result out, nothing lost on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch

from sweeps.atomic import file_lock
from sweeps.batches import Held, held_out, training_batches
from sweeps.beyond import beyond
from sweeps.experiment import Experiment, Result, Score
from sweeps.provenance import identity
from sweeps.results import merit
from sweeps.rundir import RunDirectory
from sweeps.scores import loss_of, outputs_of, score
from sweeps.state import State, resume, save, save_final, weights_digest
from sweeps.words import WordError
from zoo.model import Model

CHECK_EVERY = 25  # steps between looks at the loss: each look waits for the device
LATE = 0.9  # of the steps: what is gained after this says whether more steps would help


class Interrupted(Exception):
    """The run was asked to stop; what was trained is on disk."""


class Watcher(Protocol):
    """Who looks on: progress display, tracking, and the wish to stop."""

    def step(self, step: int) -> None:
        """After every step."""

    def scored(self, step: int, scores: Sequence[Score]) -> None:
        """After every evaluation."""

    def stopping(self) -> bool:
        """Whether to stop after this step."""
        ...


class NoWatcher:
    """Nobody looks on."""

    def step(self, step: int) -> None:
        """Nothing."""

    def scored(self, step: int, scores: Sequence[Score]) -> None:
        """Nothing."""

    def stopping(self) -> bool:
        """Never."""
        return False


def pick_device(device: str) -> str:
    """`auto`, `cpu`, `cuda` or `cuda:n` to a device that is there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if device.startswith("cuda") and not gpus:
        raise WordError(f"device={device}: torch {torch.__version__} sees no GPU; use device=cpu")
    if device not in ("cpu", "cuda", *gpus):
        raise WordError(f"device={device}: choose {', '.join(('auto', 'cpu', 'cuda', *gpus))}")
    return device


def run_experiment(
    experiment: Experiment,
    *,
    root: str | Path = "out",
    device: str = "auto",
    splits: Sequence[str] = ("validation", "test"),
    watcher: Watcher | None = None,
    any_code: bool = False,
) -> Result:
    """Train, score, and leave it all in `root/runs/<fingerprint>`; a finished run is read.

    Args:
        experiment: all that the number depends on.
        root: the output folder.
        device: auto, cpu, cuda or cuda:N.
        splits: what is scored at the end; tuning leaves the test split alone.
        watcher: is told of every step, and may ask to stop.
        any_code: take a finished result even if other code, torch or hardware made it.

    Raises:
        Interrupted: the watcher asked to stop; the next call goes on from the checkpoint. Heard
            also while another process works on this run.
        ValueError: an experiment that cannot be built, or a device that is not there (WordError).
    """
    device = pick_device(device)
    run = RunDirectory(Path(root), experiment)
    run.path.mkdir(parents=True, exist_ok=True)
    watcher = watcher or NoWatcher()
    with file_lock(run.path / "lock", partial(_wait_unless_stopping, watcher, run)):
        found = run.result()
        here = None if any_code else identity(device)
        if found is not None and run.covers(found, splits) and here in (None, found.identity):
            return found
        run.begin(device)
        return _run(experiment, run, device, tuple(splits), watcher)


def _wait_unless_stopping(watcher: Watcher, run: RunDirectory) -> None:
    if watcher.stopping():
        raise Interrupted(f"{run.path}: stopped while another process works on it")


def _run(
    experiment: Experiment,
    run: RunDirectory,
    device: str,
    splits: tuple[str, ...],
    watcher: Watcher,
) -> Result:
    torch.manual_seed(experiment.seed)  # dropout; initial values have streams of their own
    torch.use_deterministic_algorithms(True)
    model = experiment.model.build(experiment.task.context, seed=experiment.seed).to(device)
    initial = model.kernels()
    state = _start(experiment, model, device)
    resume(state, run.checkpoints, device)
    for point in state.curve:  # said again: what was lost with a killed process is filled in
        watcher.scored(point[0], [Score(*point[1:])])
    _train(state, experiment, run, device, watcher)
    if experiment.train.select == "best-validation" and state.best_weights:
        model.load_state_dict(state.best_weights)
    result = _result(state, experiment, device, splits)
    run.write_curve(state.curve)
    run.write_kernels(initial, model.kernels())
    save_final(model, run.checkpoints, device)  # a killed run goes on from the one before
    run.finish(result)
    return result


def _start(experiment: Experiment, model: Model, device: str) -> State:
    train = experiment.train
    groups = model.parameter_groups(train.lr, train.weight_decay)
    for group in groups:
        group["peak_lr"] = group["lr"]
    # One fused kernel a step; its only global state is what the checkpoint holds.
    optimizer = torch.optim.AdamW(groups, lr=train.lr, fused=True)
    return State(model, optimizer, torch.zeros((), device=device, dtype=torch.float64))


def _train(
    state: State, experiment: Experiment, run: RunDirectory, device: str, watcher: Watcher
) -> None:
    """The loop: step, look, score, save."""
    train, model, task = experiment.train, state.model, experiment.task
    validation = held_out(task, "validation", train.num_eval, train.batch_size)
    parameters = list(model.parameters())
    model.train()
    began, saved = time.monotonic() - state.seconds, time.monotonic()
    late = math.ceil(LATE * train.steps)
    batches = training_batches(experiment, state.step)
    try:
        for batch in batches:
            for group in state.optimizer.param_groups:
                group["lr"] = group["peak_lr"] * schedule(state.step, train.steps, train.warmup)
            here = batch.to(device)
            loss = loss_of(outputs_of(model, here), here.labels)
            state.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if train.clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters, train.clip)
            state.optimizer.step()
            state.running += loss.detach()
            state.step += 1
            state.counted += 1
            watcher.step(state.step)

            last = state.step == train.steps
            scoring = state.step % train.eval_every == 0 or state.step == late or last
            if (scoring or state.step % CHECK_EVERY == 0) and not math.isfinite(state.running):
                state.diverged = True
                break
            if scoring:
                scores = _evaluate(state, experiment, validation, device)
                watcher.scored(state.step, scores)
                if _solved(scores, train.stop_at):
                    break
            state.seconds = time.monotonic() - began
            stopping = watcher.stopping()
            if stopping or time.monotonic() - saved >= train.checkpoint_every:
                save(state, run.checkpoints, device)
                saved = time.monotonic()
            if stopping and not last:
                raise Interrupted(f"{run.path}: stopped at step {state.step} of {train.steps}")
    finally:
        batches.close()  # type: ignore[attr-defined]
    state.seconds = time.monotonic() - began


def schedule(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up over a fraction of the steps, then a cosine to zero; the peak is 1.

    f(s) = (s + 1) / w for s < w, else (1 + cos(pi (s - w) / (S - w))) / 2, with w = warmup * S.
    """
    rising = warmup * steps
    if step < rising:
        return min(1.0, (step + 1) / rising)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1.0, steps - rising)))


def _evaluate(
    state: State, experiment: Experiment, validation: Sequence[Held], device: str
) -> list[Score]:
    """Training loss since the last time, and validation scores; noted, with the best weights."""
    model, task, train = state.model, experiment.task, experiment.train
    further = beyond(model, task, "validation", train)
    scores = [
        Score("train", "all", "loss", float(state.running) / state.counted),
        *score(model, validation, "validation", device),
        *(Score("validation", "all", *one) for one in further),
    ]
    _note(state, scores, task.metric if train.select == "best-validation" else None)
    return scores


def _note(state: State, scores: Sequence[Score], best_by: str | None) -> None:
    state.curve += [[state.step, *s] for s in scores]
    state.running.zero_()
    state.counted = 0
    value = None if best_by is None else _validation(scores, best_by)
    if best_by and value is not None and merit(best_by, value) >= state.best:  # of equals the later
        weights = state.model.state_dict()
        state.best = merit(best_by, value)
        state.best_weights = {name: value.detach().clone() for name, value in weights.items()}


def _validation(scores: Sequence[Score], metric: str) -> float | None:
    wanted = ("validation", "all", metric)
    return next((s.value for s in scores if (s.split, s.slice, s.metric) == wanted), None)


def _solved(scores: Sequence[Score], stop_at: float | None) -> bool:
    return stop_at is not None and (_validation(scores, "accuracy") or 0.0) >= stop_at


def _result(state: State, experiment: Experiment, device: str, splits: tuple[str, ...]) -> Result:
    model, train, task = state.model, experiment.train, experiment.task
    state.diverged |= not all(p.isfinite().all() for p in model.parameters())
    scores: list[Score] = []
    for split in splits if not state.diverged else ():
        slices = task.test_slices() if split == "test" else {}
        for part, other in {"all": task, **slices}.items():
            batches = held_out(other, split, train.num_eval, train.batch_size)
            scores += score(model, batches, split, device, part=part)
            scores += [Score(split, part, *one) for one in beyond(model, other, split, train)]
    if state.diverged or not all(math.isfinite(s.value or 0.0) for s in scores):
        # It counts with what guessing scores: dropping the run would flatter the arm.
        state.diverged = True
        by_chance = {"loss" if task.context.is_real else "accuracy": task.chance}
        by_chance.setdefault(task.metric, task.chance_of(task.metric))
        scores = [Score(split, "all", *one) for split in splits for one in by_chance.items()]
    return Result(
        fingerprint=experiment.fingerprint,
        status="diverged" if state.diverged else "finished",
        scores=tuple(scores),
        parameters=model.num_parameters(),
        state_bytes=model.state_bytes(task.context.length),
        steps=state.step,
        seconds=state.seconds,
        weights=weights_digest(model),
        identity=identity(device),
        resumed_from=tuple(state.resumed_from),
        still_improving=_still_improving(state.curve, state.step),
    )


def _still_improving(curve: Sequence[Sequence[Any]], steps: int) -> bool:
    """Whether validation accuracy rose by over one point in the last tenth of the steps."""
    points = [
        (step, value)
        for step, split, part, metric, value in curve
        if (split, part, metric) == ("validation", "all", "accuracy")
    ]
    before = [value for step, value in points if step <= math.ceil(LATE * steps)]
    return bool(before) and points[-1][0] > LATE * steps and points[-1][1] - before[-1] > 0.01
