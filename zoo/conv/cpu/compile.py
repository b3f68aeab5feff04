"""python compile.py NAME FOLDER PLACE: make PLACE/NAME.so of FOLDER/*.cpp, and load it once.

Flags: sums may be reordered, but -ffast-math is never given: with it the mere loading of a library
makes denormal numbers zero in the whole process (gcc links crtfastmath.o).

OpenMP: objects are compiled for it but not linked with it, so that its functions are found in the
library that torch has loaded, and both share one pool of threads.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

FLAGS = (
    "-O3",
    "-std=c++17",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fassociative-math",
    "-ffp-contract=fast",
    "-Wno-psabi",
)
WHERE_ACCEPTED = ("-march=native", "-fopenmp")
PROBE = """
#ifdef _OPENMP
#include <omp.h>
int main() { return omp_get_max_threads() < 1; }
#else
int main() { return 0; }
#endif
"""


def compiler() -> str:
    """The command, as torch.utils.cpp_extension chooses it."""
    return os.environ.get("CXX", "c++")


def accepts(place: Path, *flags: str, source: str = PROBE) -> bool:
    """Whether a program can be made with these flags."""
    command = [*shlex.split(compiler()), *flags, "-x", "c++", "-", "-o", "probe"]
    done = subprocess.run(command, cwd=place, input=source.encode(), capture_output=True)
    return done.returncode == 0


def is_clang(place: Path) -> bool:
    return accepts(place, source="#ifndef __clang__\n#error\n#endif\nint main() { return 0; }")


def compile_and_load(name: str, folder: Path, place: Path) -> None:
    from torch.utils import cpp_extension

    optional = [flag for flag in WHERE_ACCEPTED if accepts(place, flag)]
    # clang has an OpenMP of its own, whose functions torch's library does not have
    own_openmp = "-fopenmp" in optional and is_clang(place)
    cpp_extension.load(
        name,
        [str(path) for path in sorted(folder.glob("*.cpp"))],
        extra_cflags=[*FLAGS, *optional],
        extra_ldflags=["-fopenmp"] if own_openmp else [],
        extra_include_paths=[str(folder)],
        build_directory=str(place),
        with_cuda=False,
    )


if __name__ == "__main__":
    compile_and_load(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
