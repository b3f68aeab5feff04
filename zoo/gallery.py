"""A page with every published model: its source, its value, what its kernels do at the start.

Written, not typed.
"""

from __future__ import annotations

from collections.abc import Iterator

from zoo.measure import growth, parameters_by_length, summary
from zoo.model import ModelSpec
from zoo.presets import Published, find, names
from zoo.show import LENGTHS, Kernels, Trained, parameter_line, short_path, tree
from zoo.spec import Context, Spec, walk

LENGTH = 256
TOKENS = 16
HEAD = f"""# Published models

Every preset as a value, with its kernels as they are before training, built for sequences of
{LENGTH}: three channels over time, over logarithmic time with the RMS over all channels, their
spectra, and all channels. A preset repeats its layers; one of each is shown.
`python -m zoo show NAME` prints all measures, `out=FILE.png` draws, and `run=out/runs/FINGERPRINT`
puts a trained model's kernels beside those it began with.

Written by `python -m zoo gallery out=docs/presets`.

Measures are medians over channels. Lengths are the taps that hold 50, 90 and 99 % of the energy;
decay is fitted to the envelope, as (1 + l)^-a and as exp(-r l); roughness is total variation over
L1 norm (white noise: 1.41); bandwidth is the lowest part of the spectrum that holds 90 % of the
energy. P is the number of free numbers in all kernels at L = {LENGTHS[0]}, and grows as L to the
power in the last column from there to L = {LENGTHS[-1]:,}.
"""
COLUMNS = ("preset", "kernel", "50 %", "90 %", "99 %", "a", "r", "roughness", "bandwidth")
COLUMNS += ("P", "power")
MEASURES = ("length_50", "effective_length", "length_99", "decay_exponent", "decay_rate")
MEASURES += ("roughness", "bandwidth")


def shown() -> dict[str, Published]:
    """Every published model but those of plug-ins."""
    found = {name: find(name) for name in names()}
    return {n: p for n, p in found.items() if _is_ours(p.value)}


def _is_ours(spec: ModelSpec) -> bool:
    parts = [value for _, _, _, value in walk(spec) if isinstance(value, Spec)]
    return all(type(part).__module__.startswith("zoo.") for part in (*parts, *spec.mixers))


def kernels_of(spec: ModelSpec, length: int = LENGTH) -> Kernels:
    """The initial kernels of the first layer of each kind."""
    context = Context(num_inputs=TOKENS, num_outputs=TOKENS, length=length)
    kinds = tuple(f"blocks.{i}." for i in range(len(spec.mixers)))
    found = spec.build(context).kernels()
    return {name: Trained(k) for name, k in found.items() if name.startswith(kinds)}


def page(presets: dict[str, Published], kernels: dict[str, Kernels]) -> Iterator[str]:
    """The page in lines."""
    counts = {name: parameters_by_length(p.value, LENGTHS) for name, p in presets.items()}
    yield from HEAD.splitlines()
    yield ""
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|---|{'---:|' * (len(COLUMNS) - 1)}"
    for name in presets:
        for cells in _rows(name, counts[name], kernels[name]):
            yield f"| {' | '.join(cells)} |"
    for name, preset in presets.items():
        yield from _section(preset, parameter_line(counts[name]), kernels[name])


def _rows(name: str, counts: dict[int, int], kernels: Kernels) -> Iterator[list[str]]:
    """One for each kernel."""
    link, numbers = f"[{name}](#{name})", ["–", "–"]
    if not kernels:
        yield [link, *["–"] * (len(COLUMNS) - 1)]
        return
    numbers = [f"{counts[LENGTHS[0]]:,}", f"{growth(counts):.2f}"]
    for path, kernel in kernels.items():
        found = summary(kernel.initial)
        yield [link, short_path(path), *(f"{found[m]:.3g}" for m in MEASURES), *numbers]
        link, numbers = "", ["", ""]


def _section(preset: Published, parameters: str, kernels: Kernels) -> Iterator[str]:
    yield ""
    yield f"## {preset.name}"
    yield ""
    yield f"{preset.paper}{', ' * bool(preset.section)}{preset.section}."
    yield f"Upstream: {preset.upstream}."
    yield ""
    yield "Differs:"
    yield ""
    yield from (f"- {line}" for line in preset.differs)
    yield ""
    yield "```text"
    yield from tree(preset.value)
    yield "```"
    yield ""
    if not kernels:
        yield "No convolution kernel."
        return
    yield f"Kernel parameters: {parameters}."
    yield ""
    yield f"![kernels of {preset.name}]({preset.name}.png)"
