"""What models there are, and what one is: `python -m zoo list`, `python -m zoo show sgconv`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo._guard import guard
from zoo._lines import print_lines

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.spec import Spec

HELP = """usage: python -m zoo COMMAND

  list                       every published model, and every component by slot
  show NAME [word=value]     a model: its source, its value, its size, its kernels
      length=64              the longest sequence to build it for
      picture=FILE.png       also draw the initial kernels

examples:
  python -m zoo show sgconv
  python -m zoo show hyena length=256 picture=hyena.png
"""
COMMANDS = ("list", "show")
WORDS = {"length": "64", "picture": ""}
TOKENS = 16
LONGEST = 2**20
SHADES = " ▁▂▃▄▅▆▇█"
COLUMNS = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 2 for what the user can put right."""
    guard()
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if args else 2
    try:
        lines = list(_run(args))  # all or none: an error prints nothing else
    except (ValueError, OSError) as error:
        print(f"zoo: {error}", file=sys.stderr)
        return 2
    print_lines(lines)
    return 0


def _run(args: list[str]) -> Iterator[str]:
    command, *rest = args
    _known("command", command, COMMANDS)
    if command == "list":
        if rest:
            raise ValueError(f"list takes no words, got {rest[0]!r}; perhaps: show {rest[0]}")
        return _list()
    if not rest:
        raise ValueError("show needs the name of a model; `python -m zoo list` prints them")
    words = dict(WORDS)
    for word in rest[1:]:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise ValueError(f"{word!r} is not word=value")
        _known("word", name, WORDS)
        words[name] = value
    return _show(rest[0], words)


def _known(what: str, given: str, known: Sequence[str] | dict[str, str]) -> None:
    if given not in known:
        near = get_close_matches(given, known, n=3, cutoff=0.5) or sorted(known)
        raise ValueError(f"{given!r} is not a {what}; nearest: {', '.join(near)}")


def _list() -> Iterator[str]:
    from zoo.presets import find, names
    from zoo.spec import import_components

    import_components("zoo")
    yield "presets"
    for name in names():
        yield f"  {name:<22}{find(name).paper}"
    for slot in _slots():
        yield ""
        yield f"{slot.__name__}: {_about(slot)}"
        for kind, cls in slot.choices().items():
            yield f"  {kind:<18}{_about(cls)}"


def _slots() -> list[type[Spec]]:
    from zoo.spec import Spec

    own = [s for s in Spec.__subclasses__() if s.__module__.startswith("zoo.") and s.choices()]
    return sorted(own, key=lambda s: (s.__name__ != "SequenceMixer", s.__name__))


def _about(cls: type) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0].rstrip(".:")


def _show(name: str, words: dict[str, str]) -> Iterator[str]:
    from zoo.presets import find, names
    from zoo.spec import Context, import_components

    import_components("zoo")
    _known("model", name, names())
    if not words["length"].isdecimal() or not 1 <= int(words["length"][:8]) <= LONGEST:
        raise ValueError(f"length={words['length']}: expected a whole number, 1 to {LONGEST}")
    length, preset = int(words["length"]), find(name)
    model = preset.value.build(Context(num_inputs=TOKENS, num_outputs=TOKENS, length=length))
    yield f"{name}: {preset.paper}{', ' * bool(preset.section)}{preset.section}"
    yield f"  upstream: {preset.upstream}"
    yield from (f"  differs: {line}" for line in preset.differs)
    yield ""
    yield from _tree(preset.value)
    yield ""
    kernels = model.kernels()
    yield f"built for {TOKENS} tokens in and out, sequences of {length}:"
    yield f"  parameters        {model.num_parameters():,}"
    yield f"  inference state   {model.state_bytes(length):,} bytes a sequence"
    for path, kernel in kernels.items():
        yield from _measures(path, kernel)
    if words["picture"]:
        if not kernels:
            raise ValueError(f"picture={words['picture']}: {name} has no convolution kernel")
        _draw(Path(words["picture"]), kernels)
        yield f"wrote {words['picture']}"


def _tree(spec: Spec, indent: str = "") -> Iterator[str]:
    """Plain fields on one line, components below."""
    from zoo.spec import Spec

    fields = {name: getattr(spec, name) for name in type(spec).model_fields}
    parts = {n: v for n, v in fields.items() if isinstance(v, Spec) or _is_specs(v)}
    yield indent + " ".join(f"{n}={v}" for n, v in fields.items() if n not in parts)
    for name, value in parts.items():
        for i, part in enumerate(value if isinstance(value, tuple) else (value,)):
            label = f"{name}.{i}" if isinstance(value, tuple) else name
            first, *rest = _tree(part, indent + "    ")
            yield f"{indent}  {label}: {part.kind or ''} {first.strip()}".rstrip()
            yield from rest


def _is_specs(value: Any) -> bool:
    from zoo.spec import Spec

    return isinstance(value, tuple) and any(isinstance(v, Spec) for v in value)


def _measures(path: str, kernel: Tensor) -> Iterator[str]:
    from zoo.measure import summary

    yield f"  {path}: {kernel.shape[0]} channels of {kernel.shape[1]} taps, medians"
    for name, value in summary(kernel).items():
        yield f"    {name:<18}{value:.4g}"
    yield f"    |k| by lag        |{_sketch(kernel)}|"


def _sketch(kernel: Tensor) -> str:
    """The RMS over channels, largest = full height, lag 0 at the left."""
    size = kernel.double().square().mean(0).sqrt()
    columns = [part.max().item() for part in size.tensor_split(min(COLUMNS, len(size)))]
    top = max(columns) or 1.0
    return "".join(SHADES[round(c / top * (len(SHADES) - 1))] for c in columns)


def _draw(file: Path, kernels: dict[str, Tensor]) -> None:
    """The first channel, the middle and the last of each kernel."""
    from reports.figure import look, new_figure, render, style

    if file.suffix != ".png":
        raise ValueError(f"picture={file}: expected a name that ends in .png")
    with style():
        figure = new_figure(0.4 + 1.1 * len(kernels))
        axes = figure.subplots(len(kernels), 1, squeeze=False)[:, 0]
        for ax, (path, kernel) in zip(axes, kernels.items(), strict=True):
            for i, channel in enumerate(sorted({0, len(kernel) // 2, len(kernel) - 1})):
                colour = look(i + 1)["color"]
                ax.plot(kernel[channel].tolist(), color=colour, label=f"channel {channel}")
            ax.set_title(path)
        axes[-1].set_xlabel("lag")
        axes[0].legend(loc="upper right")
    file.write_bytes(render(figure, "png"))


if __name__ == "__main__":
    sys.exit(main())
