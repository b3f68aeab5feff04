"""`python -m sweeps.run base=hyena task=mqar seeds=3`: train one configuration as given."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sweeps.program import run_program, say, show

USAGE = """\
usage: python -m sweeps.run WORD ...           every word is key=value

Train one configuration, exactly as given, once per seed.

  base=all-on                a published model (python -m zoo list)
  task=selective-copying     a task (python -m tasks list)
  decay=off                  a property set in every kernel and mixer
  depth=1 lr=1e-3 task.length=128    settings: fields of task, train or model
  seeds=1                    how many seeds
  steps=N                    training steps
  trials=0                   learning rates tried first, at half the steps; 0: as given
  gain=keep|init             kernels as published, or of unit norm at initialisation
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


if __name__ == "__main__":
    sys.exit(main())
