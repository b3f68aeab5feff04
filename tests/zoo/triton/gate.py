"""The static gate: compile every shipped configuration for GPUs that are not here, read the code.

    python tests/zoo/triton/gate.py                    compile all, compare with gate.json
    python tests/zoo/triton/gate.py toeplitz sm90      only names that hold all these words
    python tests/zoo/triton/gate.py --representative   one launch for each role
    python tests/zoo/triton/gate.py --write [words]    measure again, write gate.json

What would be launched is taken from the launchers themselves: they run on meta tensors, and
launching.launch is replaced by a recorder. Each launch is compiled ahead of time with the types,
constants and divisibilities that it would have had.

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
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

sys.path.insert(0, str(Path(__file__).parents[3]))

from zoo.conv import triton as backend
from zoo.conv.arguments import Arguments
from zoo.conv.triton import configurations, launching, short_conv
from zoo.conv.triton.configurations import ARCHITECTURES, Configuration

JSON = Path(__file__).with_name("gate.json")
NVIDIA = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
TYPES = {
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float64: "fp64",
}
TYPES |= {torch.int32: "i32", torch.int64: "i64", torch.bool: "i1"}
TENSOR_CORES = re.compile(r"HMMA|HGMMA|UTC\w*MMA")
BATCH, CHANNELS = 64, 32  # any multiples of 16: what divides by 16 is compiled as such


@dataclass(frozen=True)
class Recorded:
    """One launch: everything that the compiler would have been told."""

    kernel: Any
    row: Configuration
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """The row, the types of tensors, which of them are there, and the flags that are set."""
        tensors = {k: v for k, v in self.arguments.items() if isinstance(v, Tensor)}
        kinds = sorted({TYPES[v.dtype] for v in tensors.values()} - {"fp32"})
        flags = sorted(k for k, v in self.arguments.items() if v is True and k != "SCALED")
        words = [str(self.row), self.kernel.__name__, "+".join(kinds) or "fp32"]
        return " ".join([*words, *sorted(tensors), *flags])

    @property
    def words(self) -> set[str]:
        """What a launch can be chosen by: `sm90`, `toeplitz`, `convolve`, `bf16`, ..."""
        return {*self.name.split(), *str(self.row).split("-")}

    @property
    def identity(self) -> Any:
        """What the compiler sees."""
        source = _source(self)
        constants = {k: str(v) for k, v in source.constants.items()}
        options = self.row.architecture, self.row.warps, self.row.stages
        return self.kernel.__name__, str((source.signature, constants, source.attrs)), options


def recorded() -> list[Recorded]:
    """Every launch that the shipped table can lead to, what compiles to the same once."""
    found: dict[Any, Recorded] = {}
    for architecture in ARCHITECTURES:
        for launch in _of_architecture(architecture):
            found.setdefault(launch.identity, launch)
    return list({launch.name: launch for launch in found.values()}.values())


def _of_architecture(architecture: int) -> list[Recorded]:
    seen: list[Recorded] = []

    def record(kernel: Any, programs: int, row: Configuration, **arguments: Any) -> None:
        assert programs > 0
        mine = replace(row, architecture=architecture)  # short_conv has one row for all
        seen.append(Recorded(kernel, mine, {**arguments, **row.blocks}))

    with (
        mock.patch.object(launching, "launch", record),
        mock.patch.object(configurations, "architecture_of", return_value=architecture),
    ):
        exercise_convolutions(architecture)
        exercise_short_convolution()
    return seen


def exercise_convolutions(architecture: int) -> None:
    """Call every family with everything and with the least.

    Signals of the type that is not natural for the dots: with everything, and on sm_80 only, where
    products take most registers.
    """
    for family, dots, length in _classes(architecture):
        natural, other = torch.float32, torch.bfloat16
        if dots in ("fp16", "bf16"):
            natural, other = other, natural
        for io in (natural, other)[: 2 if architecture == 80 else 1]:
            u, g, pre, post = (
                torch.empty(BATCH, CHANNELS, length, dtype=io, device="meta") for _ in range(4)
            )
            f, b = (torch.empty(CHANNELS, length, device="meta") for _ in range(2))
            skip = torch.empty(CHANNELS, device="meta")
            family.gradients(g, Arguments(u, f, b, skip, pre, post), dots)  # convolves as well
            if io == natural:
                family.convolve(Arguments(u, f), dots)
                family.gradients(g, Arguments(u, f), dots)


def exercise_short_convolution() -> None:
    """Four taps, with bias and activation and without."""
    for io in (torch.bfloat16, torch.float32):
        u = torch.empty(BATCH, 1024, CHANNELS, dtype=io, device="meta")
        w, bias = (torch.empty(*shape, device="meta") for shape in ((CHANNELS, 4), (CHANNELS,)))
        for b, silu in ((bias, True), (None, False)):
            short_conv.convolve(u, w, b, silu)
            short_conv.gradients(u, u, w, b, silu)


def _classes(architecture: int) -> Iterator[tuple[Any, Any, int]]:
    """(family, dots, length) of the rows of an architecture, convolutions only."""
    keys = {
        (row.family, row.dots, row.length)
        for row in configurations.shipped()
        if row.architecture == architecture
    }
    for name, dots, length in sorted(keys):
        if name in backend.FAMILIES:
            yield import_module(f"{backend.__name__}.{name}"), dots, length


def measure(launch: Recorded) -> dict[str, Any]:
    """Compile one launch and read what came out."""
    began = time.perf_counter()
    options = {"num_warps": launch.row.warps, "num_stages": launch.row.stages}
    target = GPUTarget("cuda", launch.row.architecture, 32)
    compiled: Any = triton.compile(
        _source(launch), target=target, options={**options, "enable_fp_fusion": True}
    )
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


def _source(launch: Recorded) -> Any:
    """The types as a launch would find them: None and 1 are constants, 16 n are marked."""
    signature: dict[str, str] = {}
    constants: dict[str, Any] = {}
    attributes: dict[tuple[int, ...], list[list[Any]]] = {}
    for i, parameter in enumerate(launch.kernel.params):
        value = launch.arguments[parameter.name]
        if parameter.is_constexpr or value is None or (isinstance(value, int) and value == 1):
            signature[parameter.name] = "constexpr"
            constants[parameter.name] = value
            continue
        signature[parameter.name] = _type_of(value)
        if isinstance(value, Tensor) or (isinstance(value, int) and value % 16 == 0):
            attributes[(i,)] = [["tt.divisibility", 16]]
    return ASTSource(launch.kernel, signature, constants, attributes)


def _type_of(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"*{TYPES[value.dtype]}"
    if isinstance(value, int):
        return "i32" if abs(value) < 2**31 else "i64"
    assert isinstance(value, float), value
    return "fp32"


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
    write, words = "--write" in arguments, [word for word in arguments if word != "--write"]
    book = json.loads(JSON.read_text())
    ratchet = book["triton"] == triton.__version__ and not write
    everything = recorded()
    names = {launch.name for launch in everything}
    wrong = 0
    if ratchet:
        for name in sorted(names ^ set(book["kernels"])):
            wrong += 1
            where = "the table" if name in names else "gate.json"
            print(f"FAULT {name} | is only in {where}: python tests/zoo/triton/gate.py --write")
    for launch in chosen(words, everything):
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
