"""What tasks there are, and what one looks like: `python -m tasks list`, `show mqar`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.task import Task

HELP = """usage: python -m tasks COMMAND

  list                       every task and every published setting
  gallery out=FOLDER         a page with an example of every task
  make NAME out=FOLDER       examples on disk, for runs with SEQZOO_TASKS=FOLDER
       [split=train] [num=10000] [field=value]
  show NAME [field=value]    fields, limits, vocabulary, chance, and a few examples
                             (NAME is a task or a published setting)
       [out=FILE.png]        draws them, too: pictures, signals, tokens as a strip

examples:
  python -m tasks show mqar
  python -m tasks show mqar length=32 num_pairs=2 random_fill=no
  python -m tasks show mamba-induction seed=1
  python -m tasks show pathfinder out=pathfinder.png
"""
COMMANDS = ("gallery", "list", "make", "show")
EXAMPLES = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 2 for what the user can put right."""
    from zoo._guard import guard
    from zoo._lines import print_lines

    guard()
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if args else 2
    try:
        lines = list(_run(args))  # all or none: an error prints nothing else
    except ValueError as error:
        print(f"tasks: {error}", file=sys.stderr)
        return 2
    print_lines(lines)
    return 0


def _run(args: list[str]) -> Iterator[str]:
    command, *rest = args
    if command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, n=1) or COMMANDS
        raise ValueError(f"{command!r} is not a command; nearest: {', '.join(near)}")
    if command == "list":
        if rest:
            raise ValueError(f"list takes no words, got {rest[0]!r}; perhaps: show {rest[0]}")
        return _list()
    if command == "gallery":
        return _gallery(_settings(rest))
    if not rest:
        raise ValueError(f"{command} needs the name of a task; `python -m tasks list` prints them")
    settings = _settings(rest[1:])
    if command == "make":
        return _make(rest[0], settings)
    return _show(rest[0], settings, _picture_file(settings.pop("out", None)))


def _settings(words: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise ValueError(f"{word!r} is not a setting; write it as field=value")
        if name in found:
            raise ValueError(f"{name} is given twice: {found[name]} and {value}")
        found[name] = value
    return found


def _list() -> Iterator[str]:
    from tasks import kinds, presets

    wide = max(map(len, kinds())) + 2
    yield f"{'task':<{wide}}{'inputs':>9}{'length':>8}{'chance':>10}  what it asks"
    for kind, cls in kinds().items():
        task = cls()
        yield f"{kind:<{wide}}{_size(task)}  {_about(task)}"
    yield ""
    long = max(map(len, presets.names())) + 2
    yield f"{'published setting':<{long}}{'task':<{wide}}source"
    for name in presets.names():
        preset = presets.find(name)
        yield f"{name:<{long}}{preset.value.kind:<{wide}}{preset.paper}, {preset.section}"


def _size(task: Task) -> str:
    from tasks.files import FilesMissing
    from tasks.records import RecordTask

    try:
        context = task.context
        chance = "" if isinstance(task, RecordTask) else f"{task.chance:.4g}"  # records are read
    except FilesMissing:
        return f"{'your files':>27}"
    size = f"{context.num_inputs} ids" if context.num_inputs else f"{context.input_dim} reals"
    return f"{size:>9}{context.length:>8}{chance:>10}"


def _about(task: Task) -> str:
    return (type(task).__doc__ or "").strip().splitlines()[0]


def _gallery(settings: dict[str, Any]) -> Iterator[str]:
    from tasks import kinds, presets
    from tasks.gallery import is_drawn, page
    from tasks.records import RecordTask

    folder = settings.pop("out", None)
    if folder is None or settings:
        raise ValueError("gallery takes out=FOLDER and nothing else")
    shown = {k: cls() for k, cls in kinds().items() if not issubclass(cls, RecordTask)}
    by_kind: dict[str, list[str]] = {}
    for preset in presets.every().values():
        by_kind.setdefault(preset.value.kind or "", []).append(preset.name)
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    (place / "README.md").write_text("\n".join(page(shown, by_kind)) + "\n")
    for kind, task in shown.items():
        if is_drawn(task):
            _draw(task, place / f"{kind}.png")
    yield f"{len(shown)} tasks in {place / 'README.md'}"


def _make(name: str, settings: dict[str, Any]) -> Iterator[str]:
    from tasks import make_task
    from tasks.cache import write
    from tasks.task import SPLITS

    if "out" not in settings:
        raise ValueError("make needs a folder: out=FOLDER")
    folder, split = Path(settings.pop("out")), settings.pop("split", "train")
    number = settings.pop("num", "10000")
    if split not in SPLITS:
        raise ValueError(f"split={split}: choose from {', '.join(SPLITS)}")
    if not number.isdecimal() or not 1 <= int(number) <= 2**32:
        raise ValueError(f"num={number}: a whole number from 1 to 2^32")
    task = make_task(name, **settings)
    shown = sys.stderr.isatty()
    for done in write(task, split, int(number), folder):
        if shown:
            print(f"\r{done:,} of {int(number):,} examples", end="", file=sys.stderr, flush=True)
    if shown:
        print(file=sys.stderr)
    yield f"{int(number):,} {split} examples of {task.kind} in {folder}"
    yield f"runs read them with SEQZOO_TASKS={folder}"


def _picture_file(word: str | None) -> Path | None:
    if word is None:
        return None
    if not word.endswith(".png"):
        raise ValueError(f"out={word}: a picture file, such as {word.partition('.')[0]}.png")
    if not Path(word).parent.is_dir():
        raise ValueError(f"out={word}: there is no folder {Path(word).parent}; make it first")
    return Path(word)


def _show(name: str, settings: dict[str, Any], out: Path | None) -> Iterator[str]:
    from tasks import make_task, presets
    from tasks.files import FilesMissing
    from tasks.show import field_lines

    task = make_task(name, **settings)
    yield f"{task.kind}: {_about(task)}"
    if name in presets.names():
        preset = presets.find(name)
        yield f"{name}: {preset.paper}, {preset.section}; {preset.upstream}"
        yield from (f"  differs: {line}" for line in preset.differs)
    yield ""
    yield from field_lines(task)
    yield ""
    try:
        yield from list(_facts(task))
    except FilesMissing as missing:
        yield f"files       {missing}"
        return
    yield from _examples(task)
    if out is not None:
        _draw(task, out)
        yield ""
        yield f"drawn: {out}"


def _facts(task: Task) -> Iterator[str]:
    context = task.context
    yield f"vocabulary  {_vocabulary(task)}"
    inputs = f"{context.num_inputs} ids" if context.num_inputs else f"{context.input_dim} features"
    yield f"context     {inputs}, {context.length} positions, head {context.head}"
    yield f"chance      {task.chance:.4g}{'' if context.is_real else ' (accuracy)'}"
    for what, value in task.floors.items():
        yield f"floor       {value:.4g}: {what}"
    if task.ceiling < 1:
        yield f"ceiling     {task.ceiling:.4g}: the targets are drawn at random"
    yield f"metric      {task.metric}"
    yield from (f"tested at   {name}" for name in task.test_slices())
    yield f"splits      {_splits(task)}"
    yield f"factors     {'; '.join(f'{k}: {v}' for k, v in task.factors.items())}"


def _vocabulary(task: Task) -> str:
    """`key 1-31 (k0, k1, ...)`: the ids, and how examples write them."""
    from tasks.show import spelled

    if not task.vocabulary:
        return "none: real inputs"
    parts = []
    for use, span in task.vocabulary.items():
        first = spelled(task, [span.start])[0]
        parts.append(f"{use} {_span(span)} ({first}{', ...' if len(span) > 1 else ''})")
    return ", ".join(parts)


def _span(ids: range) -> str:
    return str(ids.start) if len(ids) == 1 else f"{ids.start}-{ids.stop - 1}"


def _splits(task: Task) -> str:
    if not task.partitioned:
        return "train, validation, test: separate streams (contents are too many to meet)"
    size = math.log2(task.num_contents)
    return f"train, validation, test: each content in one of them only (2^{size:.1f} contents)"


def _examples(task: Task) -> Iterator[str]:
    from tasks.show import example_lines

    batch = task.generate(range(EXAMPLES))
    for row in range(EXAMPLES):
        yield ""
        yield from example_lines(task, batch, row)


def _draw(task: Task, path: Path) -> None:
    from reports.figure import new_figure, render, style
    from tasks.show import draw

    batch = task.generate(range(EXAMPLES))
    with style():
        wide = task.picture is None
        figure = new_figure(1.2 * EXAMPLES if wide else 1.4)
        shape = (EXAMPLES, 1) if wide else (1, EXAMPLES)
        for row, axes in enumerate(figure.subplots(*shape, squeeze=False).flat):
            axes.grid(visible=False)
            draw(task, batch, row, axes)
        path.write_bytes(render(figure, "png"))


if __name__ == "__main__":
    sys.exit(main())
