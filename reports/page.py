"""One self-contained HTML file: no script, no remote address, light and dark, all text escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from reports.contrast import Analysis
from reports.figure import inline_svg
from reports.table import Table, escape_html, to_html

if TYPE_CHECKING:
    from reports.study_figures import Picture

STYLE = """
:root { color-scheme: light dark; --text: #1b1b1c; --back: #ffffff; --soft: #6a6a6d;
        --line: #d9d9dc; --panel: #f6f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8e8ea; --back: #16171a; --soft: #a5a5ab; --line: #37383d; --panel: #1f2024; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 70rem; color: var(--text);
       background: var(--back); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; border-bottom: 1px solid var(--line); }
p, li { max-width: 48rem; overflow-wrap: anywhere; }
.soft, figcaption, figure ul { color: var(--soft); font-size: .9rem; }
figure { margin: 1.25rem 0; }
figcaption { margin-bottom: .5rem; color: var(--text); font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums;
        border-top: 2px solid var(--text); border-bottom: 2px solid var(--text); }
thead { border-bottom: 1px solid var(--text); }
th, td { padding: .25rem .55rem; white-space: nowrap; font-weight: 400; }
thead th { font-weight: 600; }
td strong { font-weight: 700; }
tbody tr:hover { background: var(--panel); }
.left { text-align: left; } .right { text-align: right; } .center { text-align: center; }
.pictures { display: grid; gap: 1rem; align-items: start;
            grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); }
.pictures figcaption { font-weight: 400; font-size: .85rem; color: var(--soft);
                       margin: .5rem 0 0; }
svg { display: block; width: 100%; max-width: 34rem; height: auto; color: var(--text); }
details { margin: .5rem 0; } summary { cursor: pointer; }
pre { background: var(--panel); padding: .75rem; overflow: auto; max-height: 30rem;
      font-size: .8rem; }
code { font-size: .9em; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media print { details > pre { max-height: none; } }
"""
FIRST = ("outcome", "reported", "arms", "search", "front", "sensitivity", "kernels")
FURTHER = ("metrics", "slices", "learning-rates", "trials")
# nothing may load: should some text slip through unescaped, it still runs nothing
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(
    analysis: Analysis,
    tables: tuple[Table, ...],
    pictures: tuple[Picture, ...],
    *,
    found: tuple[str, ...],
    limits: tuple[str, ...],
    methods: str,
) -> str:
    """The whole report as one HTML document."""
    study = analysis.study
    title = escape_html(str(study.plan["study"]))
    notes = tuple(str(note) for note in study.plan.get("notes") or ())
    by_name = {table.name: table for table in tables}
    first = [to_html(by_name[name]) for name in FIRST if name in by_name]
    rest = [to_html(by_name[name]) for name in FURTHER if name in by_name]
    runs = to_html(by_name["runs"]) if "runs" in by_name else ""
    body = (
        f"<h1>{title}</h1>",
        f'<p class="soft"><code>{escape_html(str(study.plan.get("command", "")))}</code></p>',
        _section("Findings", _list(found) + _list(limits, "soft")),
        _section("Results", "\n".join(first)),
        _section("Figures", _pictures(pictures)) if pictures else "",
        _section("Further numbers", "\n".join(rest)) if rest else "",
        _section("Runs", runs),
        _section("Notes of the plan", _list(notes)) if notes else "",
        _section("Methods", f"<p>{escape_html(methods)}</p>"),
        _section("Configurations", _configurations(study.plan)),
        _section("Provenance", _pairs(study.provenance)) if study.provenance else "",
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape_html(title)}</h2>\n{content}\n</section>"


def _list(texts: tuple[str, ...], kind: str = "") -> str:
    items = "".join(f"<li>{escape_html(text)}</li>\n" for text in texts)
    return f'<ul class="{kind}">\n{items}</ul>\n' if items else ""


def _pictures(pictures: tuple[Picture, ...]) -> str:
    shown = [
        f'<figure id="figure-{picture.name}">\n'
        f"{inline_svg(picture.figure, picture.name, picture.caption)}\n"
        f"<figcaption>{escape_html(picture.caption)}</figcaption>\n</figure>"
        for picture in pictures
    ]
    return f'<div class="pictures">\n{"".join(shown)}\n</div>'


def _configurations(plan: dict[str, Any]) -> str:
    parts = [("plan", {k: v for k, v in plan.items() if k != "arms"})]
    parts += [(str(arm["name"]), arm.get("experiment") or arm) for arm in plan["arms"]]
    return "\n".join(
        f"<details><summary>{escape_html(name)}</summary>\n<pre>"
        + _escape_lines(json.dumps(value, indent=2, ensure_ascii=False, default=str))
        + "</pre></details>"
        for name, value in parts
    )


def _escape_lines(text: str) -> str:
    return "\n".join(escape_html(line) for line in text.split("\n"))


def _pairs(values: dict[str, Any]) -> str:
    rows = "".join(
        f"<dt>{escape_html(key)}</dt><dd>{escape_html(value)}</dd>\n"
        for key, value in flatten(values)
    )
    return f"<dl>\n{rows}</dl>"


def flatten(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of a nested record with its dotted name."""
    for key, value in values.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict):
            yield from flatten(value, name)
        elif isinstance(value, list | tuple):
            yield name, " ".join(map(str, value))
        else:
            yield name, str(value)
