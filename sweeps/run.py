"""`python -m sweeps.run base=hyena task=mqar trials=50`: one configuration, given or searched."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sweeps.program import run_program, say, show

USAGE = """\
usage: python -m sweeps.run WORD ...           every word is key=value

Train one configuration once per seed: exactly as given, or, with trials=N, the best of a search
on validation data and seeds of its own; the test split is scored once, at the end.

  base=all-on                a published model (python -m zoo list)
  task=selective-copying     a task (python -m tasks list)
  decay=off                  a property set in every kernel and mixer
  depth=1 lr=1e-3 task.length=128    settings: fields of task, train or model
  seeds=1                    how many seeds
  steps=N                    training steps
  gain=keep|init             kernels as published, or of unit norm at initialisation

search, at half the steps:
  trials=50                  configurations: as given, four rates around it, then a sampler's
  search=lr,decay.fast       only these: fields, or all of a property; default: all with a range
  fix=width,depth            all but these; what is given a value is fixed as well
  lr=1e-4..1e-2:log          a range in the place of a value; :log:7 for seven points on a grid
  width=32,64,128            a choice
  sampler=tpe|gp|cmaes|qmc|random|grid    grid: every cell once, trials= their number
  pruner=none|median|hyperband|wilcoxon   give up between stages of a wave; wilcoxon: over seeds
  objective=accuracy,state_bytes          a score against parameters or state_bytes; the best score
                             is trained in full, the others that no trial beats are listed
  tuning-seeds=1             seeds of a trial (wilcoxon: 6)

where and how:
  out=out  device=auto|cpu|cuda[:n]
  jobs=1                     runs at once; jobs x threads is at most the number of cores
  engine=serial|processes|ray|slurm   where they run; processes where jobs > 1
  storage=sqlite|journal|postgresql://USER@HOST/NAME   where the trials of searches are kept
  timeout=SECONDS memory=GB  what one run may take; processes, ray and slurm see to it
  reuse=yes|no               what to do with finished runs that other code made
  dry-run=yes                print the plan and stop
  replay=RUN/experiment.json repeat one run and say whether it is bit-identical

exit codes: 0 done, 1 a fault during a run, 2 what you can fix before training, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The program. Returns its exit code."""
    from zoo._guard import guard

    guard()
    return run_program(_main, sys.argv[1:] if arguments is None else arguments, USAGE)


def _main(words: list[str]) -> int:
    from sweeps.words import WordError, split

    if not words:
        raise WordError("no words; try base=hyena task=mqar, or --help")
    if any(word.key == "replay" for word in split(words)):
        from sweeps.replay import replay

        return replay(split(words))
    from sweeps.configuration import make_plan
    from sweeps.launch import ending, launch
    from sweeps.provenance import command_line

    plan, options = make_plan(words, command_line())
    train, arm = plan.arms[0].experiment.train, plan.arms[0]
    show(f"study {plan.name}")
    show(f"base {plan.base}, task {plan.task}, {arm.parameters:,} parameters")
    show(f"{train.steps} steps of batch {train.batch_size}, lr {train.lr:g}, seeds {plan.seeds}")
    for note in plan.notes:
        show(f"note: {note}")
    if options.dry_run:
        return 0
    done = launch(plan, options)
    _print(done.directory)
    _print_trials(done.directory)
    say(f"written: {done.directory}; python -m reports.build {done.directory} makes the report")
    return ending(done)


def _print(directory: object) -> None:
    """The scores of every seed, and where its run is."""
    import polars as pl

    rows = pl.read_parquet(f"{directory}/results.parquet")
    overall = rows.filter((pl.col("slice") == "all") & pl.col("split").is_in(["test"]))
    for (seed, fingerprint), found in overall.group_by("seed", "fingerprint", maintain_order=True):
        scores = " ".join(
            f"{metric} {value:.4f}"
            for metric, value in found.select("metric", "value").iter_rows()
            if value is not None
        )
        status = found["status"][0]
        show(f"seed {seed}: test {scores or '-'} ({status})  runs/{fingerprint}")


def _print_trials(directory: object) -> None:
    """What became of the trials, and what was chosen."""
    import json
    from pathlib import Path

    import polars as pl

    path = Path(f"{directory}/trials.parquet")
    if not path.exists():
        return
    trials = pl.read_parquet(path)
    states = trials.unique("number")["state"].value_counts(sort=True).iter_rows()
    show(f"trials: {', '.join(f'{count} {state}' for state, count in states)}")
    used = pl.read_parquet(f"{directory}/results.parquet")["trial"].drop_nulls()
    chosen = trials.filter(pl.col("number").is_in(used.unique().implode()))
    for parameters in chosen["parameters"].unique(maintain_order=True):
        values = " ".join(f"{name}={value}" for name, value in json.loads(parameters).items())
        show(f"chosen: trial {chosen['number'][0]}: {values}")


if __name__ == "__main__":
    sys.exit(main())
