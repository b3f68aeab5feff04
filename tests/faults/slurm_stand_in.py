"""Programs by the names of Slurm's, for a machine without: a job is a process, and nothing waits.

They know what submitit asks for, and no more. Real Slurm has not been tried.
"""

from __future__ import annotations

from pathlib import Path

PROGRAMS = {
    "sbatch": r"""
        id=$((7000 + $(ls "$top" | wc -l)))
        mkdir "$top/$id" && cp "${@: -1}" "$top/$id/script.sh"
        export SLURM_JOB_ID=$id
        (
            while true; do
                bash "$top/$id/script.sh"
                [ -e "$top/$id/requeue" ] || break
                rm "$top/$id/requeue"
            done
            touch "$top/$id/ended"
        ) >"$top/$id/log" 2>&1 </dev/null &
        echo "Submitted batch job $id"
    """,
    "srun": r"""
        while [[ "$1" == --* ]]; do
            case "$1" in --output | --error) shift ;; esac
            shift
        done
        echo "$$" >"$top/$SLURM_JOB_ID/process"
        exec "$@"
    """,
    "scontrol": r"""
        [ "$1" = requeue ] && touch "$top/$2/requeue"
    """,
    "scancel": r"""
        kill -TERM "$(cat "$top/$1/process")"
    """,
    "sacct": r"""
        echo "JobID|State|NodeList"
        for folder in "$top"/*; do
            state=RUNNING
            [ ! -e "$folder/ended" ] || state=FAILED
            echo "${folder##*/}|$state|here"
        done
    """,
}


def install(folder: Path) -> Path:
    """Write the programs; returns where they leave a folder for each job."""
    jobs = folder / "jobs"
    jobs.mkdir(parents=True)
    for name, text in PROGRAMS.items():
        program = folder / name
        lines = [line.removeprefix(" " * 8) for line in text.strip("\n").splitlines()]
        program.write_text("\n".join(["#!/bin/bash", f'top="{jobs}"', *lines]) + "\n")
        program.chmod(0o755)
    return jobs
