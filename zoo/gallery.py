"""A page with every published model: its source, its value, what its kernels do at the start.

Written, not typed.
"""

from __future__ import annotations

from collections.abc import Iterator

from zoo.measure import growth, parameters_by_length, summary
from zoo.model import ModelSpec
from zoo.presets import Published
from zoo.show import LENGTHS, Kernels, Trained, parameter_line, short_path, tree
from zoo.spec import Context

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


def kernels_of(spec: ModelSpec, length: int = LENGTH) -> Kernels:
    """The initial kernels of the first layer of each kind."""
    context = Context(num_inputs=TOKENS, num_outputs=TOKENS, length=length)
    kinds = tuple(f"blocks.{i}." for i in range(len(spec.mixers)))
    found = spec.build(context).kernels()
    return {name: Trained(k) for name, k in found.items() if name.startswith(kinds)}


def page(presets: dict[str, Published], kernels: dict[str, Kernels]) -> Iterator[str]:
    """The page in lines."""
    yield from HEAD.splitlines()
    yield ""
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|---|{'---:|' * (len(COLUMNS) - 1)}"
    for name, preset in presets.items():
        for cells in _rows(name, preset.value, kernels[name]):
            yield f"| {' | '.join(cells)} |"
    for name, preset in presets.items():
        yield from _section(name, preset, kernels[name])


def _rows(name: str, spec: ModelSpec, kernels: Kernels) -> Iterator[list[str]]:
    """One for each kernel."""
    link, numbers = f"[{name}](#{name})", ["–", "–"]
    if not kernels:
        yield [link, *["–"] * (len(COLUMNS) - 1)]
        return
    counts = parameters_by_length(spec, (LENGTHS[0], LENGTHS[-1]))
    numbers = [f"{counts[LENGTHS[0]]:,}", f"{growth(counts):.2f}"]
    for path, kernel in kernels.items():
        found = summary(kernel.initial)
        yield [link, short_path(path), *(f"{found[m]:.3g}" for m in MEASURES), *numbers]
        link, numbers = "", ["", ""]


def _section(name: str, preset: Published, kernels: Kernels) -> Iterator[str]:
    yield ""
    yield f"## {name}"
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
    yield f"Kernel parameters: {parameter_line(preset.value)}."
    yield ""
    yield f"![kernels of {name}]({name}.png)"
