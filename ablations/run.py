"""`python -m ablations.run decay=off`: which property of a model makes it work?"""

from __future__ import annotations

import sys
from collections.abc import Sequence

USAGE = """\
usage: python -m ablations.run WORD ...        every word is key=value

Train a published model with and without a property, on the same data with paired seeds and tuned
learning rates, and write the table and figures.

  decay=off                  an arm: this property off, in every kernel and mixer of the model
  decay=off,power-law        two arms; several property words make one arm each
  decay=exponential decay.fast=0.1   refine the value that an arm names
  arm.depth=2,4              arms of any other field of the model
  base.decay=power-law       a property of the baseline, hence of all arms
  depth=1 lr=1e-3 task.length=128    settings of all arms: fields of task, train or model

properties: length decay parameterization (sublinearity) smoothness regularization gating
plan words:
  base=all-on                a published model (python -m zoo list)
  task=selective-copying     a task (python -m tasks list)
  seeds=N                    paired seeds; default: the fewest that can reach p < 0.05
  steps=N                    training steps
  trials=5                   learning rates tried per arm, at half the steps; 0: as given
  lr=1e-4..1e-2:log          the range in which they are tried, the same for all arms
  suite=sgconv-decay         the arms of a published question, with its base, task and settings
                             where you name none; suite=list prints all
  size=cpu|published         of a suite: minutes on two cores, or as in the paper
  margin=0.02                a difference within it counts as none: tested (TOST) in the report
  match=parameters           a twin of equal parameter count for every arm of another size
  grid=yes                   the product of the arms instead of one each
  gain=init|keep             unit-norm kernels at initialisation in all arms, or as published
  out=out                    where everything is written
  device=auto|cpu|cuda[:n]
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

    guard()  # before any other package is imported: it may be somebody else's
    from sweeps.program import run_program

    return run_program(_main, sys.argv[1:] if arguments is None else arguments, USAGE)


def _main(words: list[str]) -> int:
    from sweeps.program import say, show
    from sweeps.words import WordError, split

    if not words:
        raise WordError("no words; try decay=off, or --help")
    if any(word.key == "replay" for word in split(words)):
        from sweeps.replay import replay

        return replay(split(words))
    if "suite=list" in words:
        others = set(words) - {"suite=list", "dry-run=yes"}
        if others:
            raise WordError(f"suite=list prints the suites; leave out {' '.join(sorted(others))}")
        from ablations.suites import listing

        show("\n".join(listing()))
        return 0
    from ablations.plan import make_plan
    from ablations.plan_text import plan_text
    from sweeps.launch import ending, estimate, launch
    from sweeps.provenance import command_line

    plan, options = make_plan(words, command_line())
    show(plan_text(plan, estimate(plan, options)))
    if options.dry_run:
        return 0
    show("")
    done = launch(plan, options)
    from reports.build import build_study, markdown

    show(markdown(build_study(done.directory).study))
    say(f"written: {done.directory}/report.html, report.md, tables/, figures/, results.parquet")
    return ending(done)


if __name__ == "__main__":
    sys.exit(main())
