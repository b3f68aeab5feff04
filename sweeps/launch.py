"""From a plan to a finished study: checks first, then the run; one way for every program."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import ExitStack
from pathlib import Path

import torch

from sweeps.allocator import keep_large_blocks
from sweeps.batches import training_batches
from sweeps.engine import Engine, Serial, Size, make_engine
from sweeps.experiment import Experiment
from sweeps.interrupt import StopRequest
from sweeps.options import Options
from sweeps.plan import StudyPlan
from sweeps.program import FAULT, say
from sweeps.scores import loss_of, outputs_of
from sweeps.stale import find_stale
from sweeps.study import Done, Surroundings, run_study
from sweeps.train import Interrupted, pick_device
from sweeps.words import WordError

PROBE = 3  # steps that are timed
LARGE, TOO_LARGE = 2e9, 2e11  # operations of a step: worth threads; a probe would be a wait


def prepare(options: Options) -> Path:
    """The output folder, writable, and the device, there.

    Raises: WordError.
    """
    pick_device(options.device)
    root = Path(options.out)
    probe = root / f".{secrets.token_hex(8)}.tmp"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WordError(f"out={options.out}: cannot be written ({reason})") from None
    return root


class ClosedOnce:
    """An engine that a study closes, and who made it as well."""

    def __init__(self, engine: Engine) -> None:
        self.slots, self.submit = engine.slots, engine.submit
        undo = ExitStack()
        undo.callback(engine.close)
        self.close = undo.close


def launch(plan: StudyPlan, options: Options) -> Done:
    """Run the study.

    Raises: WordError for finished runs of other code, and where another process runs the study;
            KeyboardInterrupt.
    """
    root = prepare(options)
    keep_large_blocks()
    threads = threads_of(plan, options.jobs)
    torch.set_num_threads(threads)
    stale = find_stale(plan, root, options.device)
    if stale is not None and options.reuse is None:
        runs = "1 finished run comes" if stale.count == 1 else f"{stale.count} finished runs come"
        raise WordError(
            f"{runs} from {stale.difference};"
            " reuse=no repeats them, reuse=yes keeps them with a footnote"
        )
    if stale is not None and options.reuse:
        plan = plan.noting(f"{stale.count} results come from {stale.difference}")
    with StopRequest() as stop:
        devices = devices_of(options)
        size = Size(options.jobs, devices[0], threads, options.timeout, options.memory, root)
        engine = make_engine(options.engine, size)
        engine = engine if isinstance(engine, Serial) else ClosedOnce(engine)
        around = Surroundings(
            root=root,
            engine=engine,
            device=options.device,
            devices=devices,
            threads=threads,
            timeout=options.timeout,
            memory=options.memory,
            storage=options.storage,
            any_code=bool(options.reuse),
            stopping=lambda: stop.asked,
        )
        try:
            return run_study(plan, around)
        except Interrupted as error:
            raise KeyboardInterrupt(str(error)) from None
        finally:
            engine.close()  # a study that was never begun has not


def ending(done: Done) -> int:
    """The exit code; what is missing is said, each with its reason."""
    for each in done.missing:
        say(f"missing: {each.label}: {each.status} ({each.reason})  runs/{each.fingerprint}")
    if done.missing:
        say(f"{len(done.missing)} missing; the same command tries them again")
    return FAULT if done.missing else 0


def threads(experiment: Experiment, parameters: int, share: int) -> int:
    """OMP_NUM_THREADS, else a job's share of the cores for a large model and one for a small one.

    Below some 2e9 operations a step, threads wait for each other longer than they work.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    return 1 if _operations(experiment, parameters) < LARGE else share


def _operations(experiment: Experiment, parameters: int) -> float:
    """Of a training step, roughly: six for every parameter and position."""
    return 6.0 * parameters * experiment.train.batch_size * experiment.task.context.length


def threads_of(plan: StudyPlan, jobs: int) -> int:
    """One number for all arms: the count decides in which order sums are taken.

    All jobs together take no more than there are cores.
    """
    share = max(1, (os.cpu_count() or 1) // jobs)
    return max(threads(arm.experiment, arm.parameters, share) for arm in plan.arms)


def devices_of(options: Options) -> tuple[str, ...]:
    """A device for every job: in turn, where there are several GPUs and none was named."""
    device, gpus = pick_device(options.device), torch.cuda.device_count()
    if device != "cuda" or gpus < 2:
        return (device,) * options.jobs
    return tuple(f"cuda:{job % gpus}" for job in range(options.jobs))


def estimate(plan: StudyPlan, options: Options) -> float | None:
    """Seconds that the plan will take, from a few timed steps; None where even those are long."""
    arm = plan.arms[0]
    train = arm.experiment.train
    if _operations(arm.experiment, arm.parameters) > TOO_LARGE:
        return None
    torch.set_num_threads(threads_of(plan, options.jobs))
    runs = len(plan.arms) * (len(plan.seeds) + plan.trials / 2)
    seconds = _seconds_a_step(arm.experiment, options.device)
    return runs * train.steps * seconds / min(options.jobs, runs)


def _seconds_a_step(experiment: Experiment, device: str) -> float:
    """Forward and backward; torch imports for two seconds before its first optimizer."""
    device = pick_device(device)
    model = experiment.model.build(experiment.task.context, seed=experiment.seed).to(device)
    probe = experiment.with_train(steps=PROBE + 1)
    began = 0.0
    for step, batch in enumerate(training_batches(probe, 0)):
        if step == 1:  # the first step also warms up
            began = time.monotonic()
        here = batch.to(device)
        loss_of(outputs_of(model, here), here.labels).backward()
    return (time.monotonic() - began) / PROBE
