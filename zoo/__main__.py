"""What models there are, and what one is: `python -m zoo list`, `python -m zoo show sgconv`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from zoo._guard import guard
from zoo._lines import print_lines

if TYPE_CHECKING:
    from zoo.model import ModelSpec
    from zoo.presets import Published
    from zoo.show import Kernels
    from zoo.spec import Spec

HELP = """usage: python -m zoo COMMAND

  list                       every published model, and every component by slot
  show NAME [word=value]     a model: its source, its value, its size, its kernels measured
      length=64              the longest sequence to build it for
      run=out/runs/FINGERPRINT   the model of that run, its kernels before and after training;
                             without NAME too
      out=FILE.png           also draw the kernels (.png, .svg or .pdf): over time and log time,
                             their spectra, all channels
  gallery out=FOLDER         a page with every published model, measured and drawn

examples:
  python -m zoo show sgconv
  python -m zoo show hyena length=256 out=hyena.png
"""
COMMANDS = ("list", "show", "gallery")
WORDS = ("length", "out", "run")
LENGTH = "64"
KINDS = (".png", ".svg", ".pdf")
TOKENS = 16
LONGEST = 2**20


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
    if command == "gallery":
        folder = rest[0].removeprefix("out=") if len(rest) == 1 else ""
        if not folder or not rest[0].startswith("out="):
            raise ValueError("gallery takes out=FOLDER and nothing else")
        return _gallery(Path(folder))
    name = rest.pop(0) if rest and "=" not in rest[0] else ""
    words = dict(map(_word, rest))
    if not name and "run" not in words:
        raise ValueError("show needs the name of a model; `python -m zoo list` prints them")
    if "run" in words and "length" in words:
        raise ValueError(f"length={words['length']}: the run has its own length; leave it out")
    return _show(name, words)


def _word(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise ValueError(f"{text!r} is not word=value")
    _known("word", name, WORDS)
    return name, value


def _known(what: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        near = get_close_matches(given, known, n=3, cutoff=0.5) or sorted(known)
        raise ValueError(f"{given!r} is not a {what}; nearest: {', '.join(near)}")


def _list() -> Iterator[str]:
    from zoo.presets import find, names
    from zoo.spec import import_components

    import_components("zoo")
    yield "presets"
    width = max(map(len, names())) + 2
    for name in names():
        yield f"  {name:<{width}}{find(name).paper}"
    for slot in _slots():
        yield ""
        yield f"{slot.__name__}: {_about(slot)}"
        width = max(16, *map(len, slot.choices())) + 2
        for kind, cls in slot.choices().items():
            yield f"  {kind:<{width}}{_about(cls)}"


def _slots() -> list[type[Spec]]:
    from zoo.spec import Spec

    own = [s for s in Spec.__subclasses__() if s.__module__.startswith("zoo.") and s.choices()]
    return sorted(own, key=lambda s: (s.__name__ != "SequenceMixer", s.__name__))


def _about(cls: type) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0].rstrip(".:")


def _show(name: str, words: dict[str, str]) -> Iterator[str]:
    from zoo.measure import parameters_by_length
    from zoo.presets import find, names
    from zoo.show import LENGTHS, measure_lines, parameter_line, read_run, tree
    from zoo.spec import import_components

    import_components("zoo")
    if name:
        _known("model", name, names())
        yield from _source(name, find(name))
    picture = _picture_file(words.get("out"))
    if "run" in words:
        spec, kernels = read_run(Path(words["run"]))
        sizes = ["kernels at initialisation -> after training:"]
    else:
        spec = find(name).value
        sizes, kernels = _built(spec, words.get("length", LENGTH))
    yield from tree(spec)
    yield ""
    yield from sizes
    yield f"  kernel parameters {parameter_line(parameters_by_length(spec, LENGTHS))}"
    for path, kernel in kernels.items():
        yield from measure_lines(path, kernel)
    if picture is not None:
        if not kernels:
            raise ValueError(f"out={picture}: {name or 'this run'} has no convolution kernel")
        picture.write_bytes(_drawn(kernels, picture.suffix[1:]))
        yield f"wrote {picture}"


def _source(name: str, preset: Published) -> Iterator[str]:
    yield f"{name}: {preset.paper}{', ' * bool(preset.section)}{preset.section}"
    yield f"  upstream: {preset.upstream}"
    yield from (f"  differs: {line}" for line in preset.differs)
    yield ""


def _built(spec: ModelSpec, given: str) -> tuple[list[str], Kernels]:
    """What there is to say of the model at this length, and its initial kernels."""
    from zoo.show import Trained
    from zoo.spec import Context

    if not given.isdecimal() or not 1 <= int(given[:8]) <= LONGEST:
        raise ValueError(f"length={given}: expected a whole number, 1 to {LONGEST}")
    length = int(given)
    model = spec.build(Context(num_inputs=TOKENS, num_outputs=TOKENS, length=length))
    lines = [
        f"built for {TOKENS} tokens in and out, sequences of {length}:",
        f"  parameters        {model.num_parameters():,}",
        f"  inference state   {model.state_bytes(length):,} bytes a sequence",
    ]
    return lines, {path: Trained(kernel) for path, kernel in model.kernels().items()}


def _picture_file(word: str | None) -> Path | None:
    if word is None:
        return None
    if Path(word).suffix not in KINDS:
        raise ValueError(f"out={word}: expected a name that ends in {', '.join(KINDS)}")
    if not Path(word).parent.is_dir():
        raise ValueError(f"out={word}: there is no folder {Path(word).parent}; make it first")
    return Path(word)


def _drawn(kernels: Kernels, kind: str) -> bytes:
    from reports.figure import look, new_figure, render, style
    from zoo.show import draw, height

    with style():
        figure = new_figure(height(kernels), 6.8)
        draw(figure, kernels, look)
        return render(figure, kind)


def _small(png: bytes) -> bytes:
    """The same picture in 48 colours: a quarter of the bytes."""
    from io import BytesIO

    from PIL import Image  # comes with matplotlib

    out = BytesIO()
    reduced = Image.open(BytesIO(png)).convert("RGB").quantize(48, dither=Image.Dither.NONE)
    reduced.save(out, "png", optimize=True)
    return out.getvalue()


def _gallery(folder: Path) -> Iterator[str]:
    from zoo.gallery import kernels_of, page, shown
    from zoo.spec import import_components

    import_components("zoo")
    presets = shown()
    kernels = {name: kernels_of(preset.value) for name, preset in presets.items()}
    lines = list(page(presets, kernels))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text("\n".join(lines) + "\n")
    for name, found in kernels.items():
        if found:
            (folder / f"{name}.png").write_bytes(_small(_drawn(found, "png")))
    yield f"{len(presets)} models in {folder / 'README.md'}"


if __name__ == "__main__":
    sys.exit(main())
