"""By which means a search goes about it: read from a command's options, and checked."""

from __future__ import annotations

from importlib.util import find_spec

from sweeps.experiment import Experiment
from sweeps.options import Options
from sweeps.pruners import FEWEST, QUARTERS, SEEDS, THIRD, rungs
from sweeps.search import COSTS, as_trial
from sweeps.space import Space, num_cells
from sweeps.trial import Method
from sweeps.words import WordError, nearest

SHARES = {"median": QUARTERS, "hyperband": (1 / THIRD**2, 1 / THIRD)}


def make_method(options: Options, experiment: Experiment, space: Space) -> Method:
    """The means that the options name.

    Raises: WordError, one line, where they do not go together.
    """
    wanted = SEEDS if options.pruner == "wilcoxon" else 1
    seeds = options.tuning_seeds or wanted
    objectives = _objectives(options, experiment)
    method = Method(options.sampler, options.pruner, objectives, seeds, space)
    _check_sampler(method, space, options.trials)
    _check_pruner(method, experiment)
    return method


def _objectives(options: Options, experiment: Experiment) -> tuple[str, ...]:
    """A score, then what it costs; nothing where it is the task's own score alone."""
    if not options.objective:
        return ()
    said, (first, *costs) = f"objective={','.join(options.objective)}", options.objective
    task = experiment.task
    scores = dict.fromkeys([task.metric, *(() if task.context.is_real else ("accuracy",)), "loss"])
    if first not in scores:
        raise WordError(f"{said}: the first is a score; {nearest(first, scores)}")
    for cost in costs:
        if cost not in COSTS:
            raise WordError(f"{said}: after the score come costs; {nearest(cost, COSTS)}")
    if len(set(costs)) < len(costs):
        raise WordError(f"{said}: {costs[0]} stands there twice")
    return (first, *costs) if costs or first != task.metric else ()


def _check_sampler(method: Method, space: Space, trials: int) -> None:
    if method.sampler == "grid" and num_cells(space) != trials:
        sizes = f"{num_cells(space):,} cells ({', '.join(f'{n} {a}' for n, a in space.items())})"
        if num_cells(space) > 10_000:
            sizes = f"{num_cells(space):,} cells of {len(space)} fields"
        raise WordError(
            f"trials={trials}: this grid has {sizes}; write trials={num_cells(space)}, or name "
            "fewer fields (search=) or values (lr=1e-4..1e-2:log:3)"
        )
    if method.sampler != "cmaes":
        return
    if len(space) < 2:
        raise WordError(f"sampler=cmaes needs two fields, {next(iter(space))} is one; use tpe")
    if method.costs:
        raise WordError("sampler=cmaes knows one objective; use tpe")
    if find_spec("cmaes") is None:
        raise WordError("sampler=cmaes: the package cmaes is not installed; pip install cmaes")


def _check_pruner(method: Method, experiment: Experiment) -> None:
    if method.pruner != "none" and method.costs:
        raise WordError(
            f"pruner={method.pruner} gives up trials by their score, and so what is cheap; "
            "leave it out, or the costs in objective="
        )
    if method.pruner == "wilcoxon" and method.seeds <= FEWEST:
        raise WordError(
            f"tuning-seeds={method.seeds}: pruner=wilcoxon needs {FEWEST} seeds for its first "
            f"test, and saves those after it: {FEWEST + 1} or more"
        )
    train = as_trial(experiment).train
    if method.pruner in SHARES and not rungs(train, SHARES[method.pruner]):
        raise WordError(
            f"pruner={method.pruner} looks at scores on the way, and a trial of {train.steps} "
            f"steps has none early enough with train.eval_every={train.eval_every}"
        )
