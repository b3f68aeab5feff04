"""The GPU kernels' table: `python -m zoo.conv show`, `python -m zoo.conv tune`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from zoo._guard import guard

if TYPE_CHECKING:
    from zoo.conv.triton.configurations import Configuration, Dots

HELP = """usage: python -m zoo.conv COMMAND [word=value]

  show                       which GPU kernels serve which lengths, and how they are compiled
      architecture=90        80, 90 or 100; all of them otherwise
  tune                       look for faster rows on the GPU at hand; takes minutes to an hour
      out=conv-table.json    where to write them
      family=toeplitz        only the rows of one family

A file of `tune` is used when SEQZOO_CONV_TABLE names it.

examples:
  python -m zoo.conv show architecture=80
  python -m zoo.conv tune out=h100.json && export SEQZOO_CONV_TABLE=h100.json
"""
WORDS = {"show": {"architecture": ""}, "tune": {"out": "conv-table.json", "family": ""}}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 2 for what the user can put right."""
    guard()
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if args else 2
    try:
        for line in _run(args):
            print(line, flush=True)
    except (ValueError, OSError) as error:
        print(f"zoo.conv: {error}", file=sys.stderr)
        return 2
    return 0


def _run(args: list[str]) -> Iterator[str]:
    command, *rest = args
    _known("command", command, WORDS)
    given: dict[str, str] = {}
    for word in rest:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise ValueError(f"{word!r} is not word=value")
        _known("word", name, WORDS[command])
        if name in given:
            raise ValueError(f"{name} is given twice: {name}={given[name]} and {word}")
        given[name] = value
    words = {**WORDS[command], **given}
    _require_triton()
    return _show(words) if command == "show" else _tune(words)


def _known(what: str, given: str, known: Sequence[str] | dict) -> None:
    if given not in known:
        near = get_close_matches(given, known, n=3, cutoff=0.5) or sorted(known)
        raise ValueError(f"{given!r} is not a {what}; nearest: {', '.join(near)}")


def _require_triton() -> None:
    from importlib.util import find_spec

    if find_spec("triton") is None:
        raise ValueError("triton is not installed; it exists for Linux only")


def _show(words: dict[str, str]) -> Iterator[str]:
    from zoo.conv.triton.configurations import ARCHITECTURES, table
    from zoo.conv.triton.rounding import PRODUCTS

    known = [str(a) for a in ARCHITECTURES]
    if words["architecture"]:
        _known("architecture", words["architecture"], known)
    chosen = [int(a) for a in known if a == (words["architecture"] or a)]
    for architecture in chosen:
        yield f"sm_{architecture}"
        for dots in PRODUCTS:
            yield f"  {dots:<8}{_ranges(dots, architecture)}"
        yield ""
    rows = [row for row in table() if row.architecture in chosen]
    for family, mine in groupby(rows, key=lambda row: row.family):
        yield family
        for row in mine:
            yield "  " + _line(row)


def _ranges(dots: Dots, architecture: int) -> str:
    """`toeplitz to 512, monarch2 to 2048, ...`."""
    from zoo.conv.triton import FAMILIES
    from zoo.conv.triton.configurations import reach

    ends = [(name, reach(name, dots, architecture)) for name in FAMILIES]
    return ", ".join(f"{name} to {end}" for name, end in ends if end)


def _line(row: Configuration) -> str:
    blocks = " ".join(f"{name}={value}" for name, value in row.blocks.items())
    return (
        f"{row.role:<12}to {row.length:<9}{row.dots:<8}sm_{row.architecture:<5}"
        f"{row.warps} warps  {row.stages} stages  {blocks}"
        + ("" if row.registers is None else f"  {row.registers} registers")
    )


def _tune(words: dict[str, str]) -> Iterator[str]:
    import torch

    if not torch.cuda.is_available():
        raise ValueError("tune times kernels on a GPU, and torch finds no CUDA device here")
    from zoo.conv.triton import FAMILIES
    from zoo.conv.triton.configurations import architecture_of
    from zoo.conv.triton.table_file import write
    from zoo.conv.triton.tuning import best, timer, tunable

    if words["family"]:
        _known("family", words["family"], FAMILIES)
    file = Path(words["out"])
    found: list[Configuration] = []
    yield f"tuning for {torch.cuda.get_device_name()}"
    for row in tunable(architecture_of(torch.device("cuda"))):
        if row.family != (words["family"] or row.family):
            continue
        new, seconds, before = best(row, timer(row))
        if new is not row:
            found.append(new)
            _write(file, json.dumps(write(found), indent=1) + "\n")  # what there is, if interrupted
        yield f"{before * 1e6:9.1f} us -> {seconds * 1e6:9.1f} us  {new.family} {_line(new)}"
    _write(file, json.dumps(write(found), indent=1) + "\n")
    yield f"wrote {len(found)} rows to {file}; use them with SEQZOO_CONV_TABLE={file}"


def _write(file: Path, text: str) -> None:
    """All or nothing."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
