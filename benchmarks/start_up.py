"""How long a program takes to say something: --help, list, a bad word, a dry run.

CPU seconds of the child process, the median of several starts; and whether torch was imported.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

REPEATS = 5
CASES = {
    "`ablations.run --help`": ("ablations.run", ["--help"], 0, 0.5),
    "`sweeps.run --help`": ("sweeps.run", ["--help"], 0, 0.5),
    "`zoo list`": ("zoo", ["list"], 0, 4.0),
    "`tasks list`": ("tasks", ["list"], 0, 4.0),
    "`ablations.run dekay=off`": ("ablations.run", ["dekay=off"], 2, 4.0),
    "`ablations.run decay=off dry-run=yes`": (
        "ablations.run",
        ["decay=off", "dry-run=yes"],
        0,
        4.0,
    ),
}
PROBE = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    heavy = [m for m in ("torch", "optuna", "mlflow", "matplotlib") if m in sys.modules]
    sys.stderr.write("\\nHEAVY " + " ".join(heavy))
"""


def cpu_seconds(module: str, words: list[str]) -> tuple[float, str]:
    """CPU seconds of one start, and the heavy modules it imported."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, module, *words], capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    expected = next(code for m, w, code, _ in CASES.values() if (m, w) == (module, words))
    assert done.returncode == expected, done.stderr
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return used, done.stderr.rpartition("HEAVY ")[2].strip()


def importing(module: str) -> float:
    """CPU seconds of a Python that imports one module: what this machine is worth today."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Print the table."""
    bare = statistics.median(importing("torch") for _ in range(REPEATS))
    print("| command | CPU s | goal | imports |\n|---|---|---|---|")
    print(f"| `import torch` alone, for scale | {bare:.2f} | | torch |")
    for name, (module, words, _, goal) in CASES.items():
        runs = [cpu_seconds(module, words) for _ in range(REPEATS)]
        seconds = statistics.median(run[0] for run in runs)
        print(f"| {name} | {seconds:.2f} | <= {goal} | {runs[0][1] or 'none of the heavy ones'} |")


if __name__ == "__main__":
    main()
