"""The static gate: compile every shipped configuration for GPUs that are not here, read the code.

    python tests/zoo/triton/gate.py                    compile all, compare with gate.json
    python tests/zoo/triton/gate.py toeplitz sm90      only names that hold all these words
    python tests/zoo/triton/gate.py --representative   one launch for each role
    python tests/zoo/triton/gate.py --write [words]    measure again, write gate.json
    python tests/zoo/triton/gate.py --missing [words]  measure and write what gate.json lacks

Each launch that the shipped table can lead to (launches.py) is compiled ahead of time with the
types, constants and divisibilities that it would have had.

Absolute limits (gate.json, "limits"): no stack, no spills, shared memory, a tensor-core instruction
for every product: HMMA on sm_80, HGMMA on sm_90 or HMMA where a tile has less than 64 rows, UTC*MMA
or HMMA on sm_100. Which of them, gate.json holds: for the Triton that it was measured with there is
also a ratchet, the same kind of instruction, no more shared memory, at most 5 % more instructions.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.zoo.triton.launches import Recorded, recorded, source_of
from zoo.conv.triton.configurations import ARCHITECTURES

JSON = Path(__file__).with_name("gate.json")
NVIDIA = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
TENSOR_CORES = re.compile(r"HMMA|HGMMA|UTC\w*MMA")


def measure(launch: Recorded) -> dict[str, Any]:
    """Compile one launch and read what came out."""
    began = time.perf_counter()
    target = GPUTarget("cuda", launch.row.architecture, 32)
    compiled: Any = triton.compile(source_of(launch), target=target, options=launch.row.options)
    seconds = time.perf_counter() - began
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        usage = _tool("cuobjdump", "-res-usage", file.name)
        code = _tool("nvdisasm", "-c", file.name)
    opcodes = re.findall(
        r"^\s+(?:/\*[0-9a-f]+\*/)?\s*(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)", code, re.MULTILINE
    )
    kinds = sorted({m[0] for op in opcodes if (m := TENSOR_CORES.match(op))})
    return {
        "registers": _number("REG", usage),
        "stack": _number("STACK", usage),
        "spills": _count(opcodes, "LDL|STL"),
        "shared": compiled.metadata.shared,
        "tensor_cores": "+".join(kinds),
        "products": len(re.findall(r"\btt\.dot\b", compiled.asm["ttir"])),
        "sass": len(opcodes),
        "barriers": _count(opcodes, "BAR"),
        "global": _count(opcodes, "LDG|STG"),
        "seconds": round(seconds, 1),
    }


def _tool(name: str, *arguments: str) -> str:
    return subprocess.run(
        [NVIDIA / name, *arguments], capture_output=True, text=True, check=True
    ).stdout


def _number(word: str, text: str) -> int:
    found = re.search(rf"\b{word}:(\d+)", text)
    assert found, f"cuobjdump says nothing of {word}"
    return int(found[1])


def _count(opcodes: list[str], pattern: str) -> int:
    return sum(bool(re.match(pattern, op)) for op in opcodes)


def faults(launch: Recorded, now: dict[str, Any], limits: dict[str, Any]) -> Iterator[str]:
    """What is against the absolute limits."""
    for word in ("stack", "spills"):
        if now[word] > limits[word]:
            yield f"{word} {now[word]} > {limits[word]}"
    shared = limits["shared"][str(launch.row.architecture)]
    if now["shared"] > shared:
        yield f"shared memory {now['shared']} > {shared}"
    if now["registers"] * 32 * launch.row.warps > limits["register_file"]:
        yield f"{now['registers']} registers x {32 * launch.row.warps} threads do not fit"
    if now["products"] and not now["tensor_cores"]:
        yield "products without tensor cores"
    if launch.row.dots == "none" and now["products"]:
        yield "dots='none', but there are products"


def regressions(now: dict[str, Any], then: dict[str, Any] | None, growth: float) -> Iterator[str]:
    """What got worse since gate.json was written."""
    if then is None:
        return  # said already
    if now["tensor_cores"] != then["tensor_cores"]:
        yield f"tensor cores {then['tensor_cores']} -> {now['tensor_cores']}"
    if now["shared"] > then["shared"]:
        yield f"shared memory {then['shared']} -> {now['shared']}"
    if now["sass"] > growth * then["sass"]:
        yield f"instructions {then['sass']} -> {now['sass']}"


def chosen(words: list[str], everything: list[Recorded]) -> list[Recorded]:
    """The launches whose names hold every word; or one for each role, with `--representative`.

    The representative of a role is its fullest launch of the shortest class, float16 dots if it has
    them, and of the architectures in turn.
    """
    if "--representative" not in words:
        return [r for r in everything if all(w in r.words for w in words)]
    found: dict[tuple[str, str], Recorded] = {}
    roles = sorted({(r.row.family, r.row.role) for r in everything})
    for launch in everything:
        role = launch.row.family, launch.row.role
        if launch.row.architecture == ARCHITECTURES[roles.index(role) % len(ARCHITECTURES)]:
            found[role] = max(found.get(role, launch), launch, key=_fullness)
    return [found[role] for role in roles]


def _fullness(launch: Recorded) -> tuple[bool, int, int]:
    tensors = sum(isinstance(value, Tensor) for value in launch.arguments.values())
    return launch.row.dots == "fp16", -launch.row.length, tensors


def verdict(
    launch: Recorded, book: dict[str, Any], *, ratchet: bool
) -> tuple[dict[str, Any], list[str]]:
    """What came out of a launch, and what is wrong with it."""
    try:
        now = measure(launch)
    except Exception as error:  # compilers raise anything
        return {}, [f"does not compile: {type(error).__name__} {str(error).strip()[-300:]}"]
    wrong = list(faults(launch, now, book["limits"]))
    if ratchet:
        then = book["kernels"].get(launch.name)
        wrong += regressions(now, then, book["limits"]["sass_growth"])
    return now, wrong


def main(arguments: list[str]) -> int:
    """1 if anything is wrong."""
    missing = "--missing" in arguments
    write = missing or "--write" in arguments
    words = [word for word in arguments if word not in ("--write", "--missing")]
    book = json.loads(JSON.read_text())
    everything = recorded()
    names = {launch.name for launch in everything}
    wrong = 0
    if ratchet := book["triton"] == triton.__version__ and not write:
        for name in sorted(names ^ set(book["kernels"])):
            wrong += 1
            where, option = ("the table", "missing") if name in names else ("gate.json", "write")
            print(f"FAULT {name} | is only in {where}: python tests/zoo/triton/gate.py --{option}")
    for launch in chosen(words, everything):
        if missing and launch.name in book["kernels"]:
            continue
        now, found = verdict(launch, book, ratchet=ratchet)
        wrong += bool(found)
        facts = " ".join(f"{k} {v}" for k, v in now.items())
        print(
            f"{'FAULT' if found else 'ok'} {launch.name} | {facts} {'; '.join(found)}", flush=True
        )
        if write and now:
            keep(book, launch.name, now, names)
    print(f"{wrong} faults, triton {triton.__version__}")
    return int(wrong > 0)


def keep(book: dict[str, Any], name: str, now: dict[str, Any], names: set[str]) -> None:
    """Put a measurement into gate.json; what is not in the table any more falls out."""
    if book["triton"] != triton.__version__:
        book.update(triton=triton.__version__, kernels={})
    kernels = {k: v for k, v in book["kernels"].items() if k in names}
    kernels[name] = {k: v for k, v in now.items() if k != "seconds"}
    book["kernels"] = dict(sorted(kernels.items()))
    head = json.dumps({"triton": book["triton"], "limits": book["limits"]}, indent=1)
    lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in book["kernels"].items())
    text = f'{head[:-2]},\n "kernels": {{\n{lines}\n }}\n}}\n'
    JSON.with_suffix(".part").write_text(text)
    JSON.with_suffix(".part").replace(JSON)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
