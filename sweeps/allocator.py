"""glibc's allocator, told to keep large blocks: page faults can cost more than the FFT."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
SWITCH = "SEQZOO_MALLOC"

in_force = "stock"  # of this process, for the provenance record


def keep_large_blocks() -> str:
    """Stop returning freed tensors to the kernel; `SEQZOO_MALLOC=stock` leaves glibc alone.

    Returns: what is in force from now on.
    """
    global in_force
    if os.environ.get(SWITCH) == "stock" or not sys.platform.startswith("linux"):
        return "stock"
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return "stock"
    # The threshold that decides what is mapped is capped at 32 MB, so mapping is ended instead.
    done = mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    in_force = "mmap_max=0 trim_threshold=2147483647" if done else "stock"
    return in_force
