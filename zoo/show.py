"""What a model is, for a person: its value as a tree, its kernels measured and drawn.

Axes: D channels, L taps.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from zoo.measure import growth, summary
from zoo.model import ModelSpec
from zoo.spec import Spec, explain, import_components

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

LENGTHS = (64, 1024, 16384)  # at which the free numbers of the kernels are counted
SHADES = " ▁▂▃▄▅▆▇█"
COLUMNS = 64
ROW = 1.15  # inches of a kernel's pictures
FLOOR = 1e-6  # of the largest: what a logarithmic axis shows
CELLS = 64  # of a row of the picture of all channels
Look = Callable[[int], Mapping[str, Any]]


@dataclass(frozen=True)
class Trained:
    """A kernel before and, of a run, after training. Each (D, L)"""

    initial: Tensor
    final: Tensor | None = None

    @property
    def shown(self) -> Tensor:
        return self.initial if self.final is None else self.final


Kernels = dict[str, Trained]  # by the path of their module


def tree(spec: Spec, indent: str = "") -> Iterator[str]:
    """Plain fields on one line, components below."""
    fields = {name: getattr(spec, name) for name in type(spec).model_fields}
    parts = {n: v for n, v in fields.items() if isinstance(v, Spec) or _is_specs(v)}
    yield indent + " ".join(f"{n}={v}" for n, v in fields.items() if n not in parts)
    for name, value in parts.items():
        for i, part in enumerate(value if isinstance(value, tuple) else (value,)):
            label = f"{name}.{i}" if isinstance(value, tuple) else name
            first, *rest = tree(part, indent + "    ")
            yield f"{indent}  {label}: {part.kind or ''} {first.strip()}".rstrip()
            yield from rest


def _is_specs(value: Any) -> bool:
    return isinstance(value, tuple) and any(isinstance(v, Spec) for v in value)


def read_run(folder: Path) -> tuple[ModelSpec, Kernels]:
    """The model of a finished run, and its kernels before and after training.

    Raises: ValueError, one line, where the folder holds no such run.
    """
    import_components("zoo")
    try:
        text = (folder / "experiment.json").read_text()
        spec = ModelSpec.model_validate(json.loads(text)["model"])
        path = folder / "kernels.npz"
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in file.files}
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise ValueError(
            f"run={folder}: there is no {name}; name a finished run's folder"
        ) from None
    except ValidationError as error:
        raise ValueError(f"run={folder}: {explain(error)}") from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        raise ValueError(f"run={folder}: experiment.json or kernels.npz is damaged") from None
    names = [name.removeprefix("initial/") for name in arrays if name.startswith("initial/")]
    return spec, {n: Trained(arrays[f"initial/{n}"], arrays.get(f"final/{n}")) for n in names}


def parameter_line(counts: Mapping[int, int]) -> str:
    """`2,048 at 64, 3,072 at 1,024: as L^0.15`: the free numbers of all kernels by length."""
    if not any(counts.values()):
        return "none"
    said = ", ".join(f"{count:,} at {length:,}" for length, count in counts.items())
    return f"{said}: as L^{growth(counts):.2f}"


def measure_lines(path: str, kernel: Trained) -> Iterator[str]:
    """Every measure of a kernel, medians over channels; of a run before -> after training."""
    first = summary(kernel.initial)
    last = {} if kernel.final is None else summary(kernel.final)
    channels, taps = kernel.initial.shape
    yield f"  {path}: {channels} channels of {taps} taps, medians"
    for name, value in first.items():
        after = f" -> {last[name]:.4g}" if last else ""
        yield f"    {name:<18}{value:.4g}{after}"
    yield f"    |k| by lag        |{sketch(kernel.initial)}|"
    if kernel.final is not None:
        yield f"    after training    |{sketch(kernel.final)}|"


def sketch(kernel: Tensor) -> str:
    """The RMS over channels, largest = full height, lag 0 at the left."""
    size = _rms(kernel)
    columns = [part.max().item() for part in size.tensor_split(min(COLUMNS, len(size)))]
    top = max(columns) or 1.0
    return "".join(SHADES[round(c / top * (len(SHADES) - 1))] for c in columns)


def _rms(kernel: Tensor) -> Tensor:
    return kernel.double().square().mean(0).sqrt()


def short_path(path: str) -> str:
    """`0.kernel` of `blocks.0.mixer.kernel`."""
    return path.removeprefix("blocks.").replace(".mixer.", ".")


def height(kernels: Kernels) -> float:
    """Inches that `draw` needs."""
    return 0.35 + ROW * len(kernels)


def draw(figure: Figure | SubFigure, kernels: Kernels, look: Look) -> None:
    """A row for each kernel: over time, over log time, its spectrum, and every channel.

    look(i): the keywords of the i-th line; 0 is the one that others are compared with.
    """
    rows = figure.subplots(len(kernels), 4, squeeze=False)
    for axes, (path, kernel) in zip(rows, kernels.items(), strict=True):
        for i, channel in enumerate(sorted({0, len(kernel.initial) // 2, len(kernel.initial) - 1})):
            colour = look(i + 1)["color"]
            if kernel.final is not None:
                _lines(axes, kernel.initial, channel, {"color": colour, "lw": 0.6, "ls": ":"})
            style = {"color": colour, "lw": 0.9, "label": f"channel {channel}"}
            _lines(axes, kernel.shown, channel, style)
        lag = np.arange(1, kernel.shown.shape[1] + 1)
        axes[1].plot(lag, _visible(_rms(kernel.shown)), color=look(0)["color"], lw=1.1, label="RMS")
        axes[0].set_ylabel(short_path(path), fontsize=6)
        _all_channels(axes[3], kernel.shown)
        for axis, name in ((axes[1], "x"), (axes[1], "y"), (axes[2], "y")):
            _logarithmic(axis, name)
    for ax, title in zip(rows[0], ("k", "|k|, log time", "|K|", "k, all channels"), strict=True):
        ax.set_title(title)
    for ax, x in zip(rows[-1], ("lag", "lag + 1", "frequency", "lag"), strict=True):
        ax.set_xlabel(x)
    rows[0][0].legend(loc="upper right", fontsize=5, handlelength=1.2)


def _logarithmic(ax: Axes, name: str) -> None:
    """Few ticks, with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set(**{f"{name}scale": "log"})
    axis = ax.xaxis if name == "x" else ax.yaxis
    low, high = axis.get_view_interval()
    subs = (1.0,) if high / low > 30 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=4))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _lines(axes: Sequence[Axes], kernel: Tensor, channel: int, style: dict[str, Any]) -> None:
    """One channel over time, over log time, over frequency."""
    k = kernel[channel].double()
    length = len(k)
    axes[0].plot(np.arange(length), k.numpy(), **style)
    axes[1].plot(np.arange(1, length + 1), _visible(k.abs()), **{**style, "lw": 0.4})
    spectrum = torch.fft.rfft(k, 2 * length).abs()
    axes[2].plot(np.linspace(0, 1, length + 1), _visible(spectrum), **style)


def _visible(size: Tensor) -> np.ndarray:
    """Nothing below the floor, and no zeros, on a logarithmic axis."""
    top = float(size.max()) or 1.0
    return np.where(size.numpy() < FLOOR * top, math.nan, size.numpy())


def _all_channels(ax: Axes, kernel: Tensor) -> None:
    """Sign and size of every channel, each relative to its largest tap; many taps in cells."""
    k = kernel.double()
    parts = k.tensor_split(min(CELLS, k.shape[1]), dim=1)
    largest = [part.gather(1, part.abs().argmax(1, keepdim=True)) for part in parts]
    cells = torch.cat(largest, 1)
    cells = cells / cells.abs().amax(1, keepdim=True).clamp(min=1e-300)
    ax.grid(visible=False)
    extent = (0.0, float(k.shape[1]), float(len(k)), 0.0)
    ax.imshow(cells.numpy(), aspect="auto", cmap="RdBu", vmin=-1, vmax=1, extent=extent)
    ax.set_yticks([0, len(k)])
