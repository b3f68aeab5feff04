"""One self-contained HTML file: all text escaped, nothing loaded, one script that is ours.

Its policy lets nothing but this script run, which is known by its sha256.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.document import LONG, Chapter, Document, opening
from reports.facts import facts
from reports.figure import inline_svg
from reports.origin import diff_of, origin
from reports.table import Shown, Table, escape_html, to_csv, to_html, to_latex

if TYPE_CHECKING:
    from reports.study_figures import Picture
    from sweeps.results import Study

FURTHER = ("metrics", "slices", "learning-rates", "trials")
RUNS = "runs"
READABLE = 200  # rows of a table of runs that are there without the script


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    content: str
    id: str


def page(document: Document) -> str:
    """The whole report as one HTML document."""
    several = len(document.chapters) > 1
    chapters = [(one, list(_sections(one))) for one in document.chapters]
    about = [
        Section("Configurations", _configurations(document), "section-configurations"),
        Section("Provenance", _provenance(document.sources), "section-provenance"),
    ]
    title = escape_html(document.title)
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy()}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{_file('page.css')}</style>\n</head>\n<body>\n"
    )
    body = (
        '<a class="skip" href="#main">Skip to the report</a>',
        '<div class="page">',
        f"<header>\n<h1>{title}</h1>\n{_head(document)}</header>",
        _contents(chapters, about, several=several),
        '<main id="main">',
        *(_chapter(chapter, sections, several=several) for chapter, sections in chapters),
        '<h2 class="chapter" id="about">About these numbers</h2>' if several else "",
        *(_section(section, 3 if several else 2) for section in about if section.content),
        "</main>\n</div>",
        f'<script type="application/json" id="data">{_data(document)}</script>',
        f"<script>{_file('page.js')}</script>",
    )
    return head + "\n".join(part for part in body if part) + "\n</body>\n</html>\n"


def policy() -> str:
    """What the browser allows: inline style, our script, pictures inside; no address at all."""
    digest = base64.b64encode(hashlib.sha256(_file("page.js").encode()).digest()).decode()
    return (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@cache
def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------- its parts


def _head(document: Document) -> str:
    cards = "".join(
        f"<div><dt>{escape_html(name)}</dt>"
        f"<dd{' class=bad' if warn else ''}>{escape_html(value)}</dd></div>\n"
        for name, value, warn in facts(document.sources)
    )
    commands = [str(study.plan.get("command", "")) for study in document.sources]
    shown = "".join(f'<code class="command">{escape_html(c)}</code>\n' for c in commands if c)
    words = "".join(f"<p>{escape_html(text)}</p>\n" for text in document.words)
    return f'{words}<dl class="facts">\n{cards}</dl>\n{shown}'


def _contents(
    chapters: Sequence[tuple[Chapter, list[Section]]], about: list[Section], *, several: bool
) -> str:
    """The table of contents."""
    last = [_link(section.id, section.title) for section in about if section.content]
    if not several:
        items = [_link(section.id, section.title) for section in chapters[0][1]] + last
    else:
        items = [
            _link(_id(chapter, "chapter"), chapter.title, [_link(s.id, s.title) for s in sections])
            for chapter, sections in chapters
        ]
        items.append(_link("about", "About these numbers", last))
    return f'<nav aria-label="Contents">\n<ul>\n{"".join(items)}</ul>\n</nav>'


def _link(target: str, title: str, below: Sequence[str] = ()) -> str:
    inner = f"<ul>{''.join(below)}</ul>" if below else ""
    return f'<li><a href="#{escape_html(target)}">{escape_html(title)}</a>{inner}</li>\n'


def _chapter(chapter: Chapter, sections: list[Section], *, several: bool) -> str:
    title = f'<h2 class="chapter" id="{escape_html(_id(chapter, "chapter"))}">'
    head = f"{title}{escape_html(chapter.title)}</h2>\n" if several else ""
    return head + "\n".join(_section(section, 3 if several else 2) for section in sections)


def _section(section: Section, level: int) -> str:
    head = f"<h{level}>{escape_html(section.title)}</h{level}>"
    return f'<section id="{escape_html(section.id)}">\n{head}\n{section.content}\n</section>'


def _id(chapter: Chapter, name: str) -> str:
    return f"section-{chapter.key}-{name}" if chapter.key else f"section-{name}"


def _sections(chapter: Chapter) -> Iterator[Section]:
    """What a chapter has, in the order in which it is read."""
    short = {table.name: table.name.removeprefix(f"{chapter.key}-") for table in chapter.tables}
    runs = [table for table in chapter.tables if short[table.name] == RUNS]
    rest = [table for table in chapter.tables if short[table.name] in FURTHER]
    first = [table for table in chapter.tables if table not in (*runs, *rest)]
    notes = tuple(str(n) for study in chapter.studies for n in study.plan.get("notes") or ())
    found = (
        ("Findings", _list(chapter.found) + _list(chapter.limits, "soft")),
        ("Results", "\n".join(to_html(opening(table)) for table in first)),
        ("Figures", _pictures(chapter.pictures)),
        ("Further numbers", "\n".join(to_html(opening(table)) for table in rest)),
        ("Runs", "\n".join(map(_run_table, runs))),
        ("Notes of the plan", _list(tuple(dict.fromkeys(notes)))),
        ("Methods", f"<p>{escape_html(chapter.methods)}</p>" if chapter.methods else ""),
    )
    for title, content in found:
        if content:
            yield Section(title, content, _id(chapter, title.lower().replace(" ", "-")))


def _list(texts: tuple[str, ...], kind: str = "") -> str:
    items = "".join(f"<li>{escape_html(text)}</li>\n" for text in texts)
    return f'<ul class="{kind}">\n{items}</ul>\n' if items else ""


def _pictures(pictures: tuple[Picture, ...]) -> str:
    shown = [
        f'<figure id="figure-{escape_html(picture.name)}">\n'
        f"{inline_svg(picture.figure, picture.name, picture.caption)}\n"
        f"<figcaption>{escape_html(picture.caption)}</figcaption>\n</figure>"
        for picture in pictures
    ]
    return f'<div class="pictures">\n{"".join(shown)}\n</div>' if shown else ""


def _run_table(table: Table) -> str:
    """The runs; the script makes them searchable, and without it the first ones are shown."""
    text = to_html(replace(table, frame=table.frame.head(READABLE)))
    text = text.replace('<figure class="table"', '<figure class="table runs"', 1)
    if len(table.frame) <= READABLE:
        return text
    part = (
        f'<p class="soft part">The first {READABLE} of {len(table.frame):,} runs; '
        f"all of them are in tables/{escape_html(table.name)}.csv.</p>\n"
    )
    return text.replace('<div class="scroll"', f'{part}<div class="scroll"', 1)


def _configurations(document: Document) -> str:
    """The plan of every study and every arm's experiment as it was trained, folded."""
    parts: list[tuple[str, Any]] = []
    for study in document.sources:
        name = str(study.plan["study"])
        prefix = f"{name}: " if len(document.sources) > 1 else ""
        parts.append((f"{prefix}plan", {k: v for k, v in study.plan.items() if k != "arms"}))
        for arm in study.plan["arms"]:
            parts.append((prefix + _trained(study, arm), arm.get("experiment") or arm))
    return "\n".join(_folded(name, _json(value)) for name, value in parts)


def _trained(study: Study, arm: dict[str, Any]) -> str:
    """The arm's name, with what its tuning chose instead of what the plan says."""
    from reports.contrast import chosen_trial
    from reports.tuning import trials_of

    name = str(arm["name"])
    number = chosen_trial(study, name) if study.plan.get("trials") else None
    chosen = [tried for tried in trials_of(study, name) if tried.number == number]
    if not chosen:
        return name
    values = ", ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
                       for key, value in chosen[0].parameters.items())  # fmt: skip
    return f"{name}, trained with {values} (trial {number})"


def _provenance(sources: Sequence[Study]) -> str:
    parts = []
    for study in sources:
        rows = "".join(
            f"<dt>{escape_html(name)}</dt><dd>{escape_html(value)}</dd>\n"
            for name, value in origin(study)
        )
        parts.append(f'<dl class="pairs">\n{rows}</dl>')
        if diff := diff_of(study):
            parts.append(_folded("Uncommitted changes to the code", diff))
    return "\n".join(parts)


def _folded(title: str, text: str) -> str:
    lines = "\n".join(escape_html(line) for line in text.split("\n"))
    summary = f"<details><summary>{escape_html(title)}</summary>"
    return f'{summary}\n<pre tabindex="0">{lines}</pre></details>'


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


# --------------------------------------------------------------------------- what the script reads


def _data(document: Document) -> str:
    """The texts behind the tables, and the rows that are not in the page itself."""
    runs = [t for t in document.tables if t.name.endswith(RUNS) and len(t.frame) > READABLE]
    found = {
        "tables": {table.name: _texts(table) for table in document.tables},
        "runs": {table.name: [list(map(_plain, row)) for row in table.cells()] for table in runs},
    }
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")  # no text can end the element


def _texts(table: Table) -> dict[str, str]:
    short = len(table.frame) <= LONG
    return {"csv": to_csv(table), **({"latex": to_latex(table)} if short else {})}


def _plain(cell: Shown) -> str:
    return cell if isinstance(cell, str) else cell.text
