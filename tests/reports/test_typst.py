import json
import random
import re

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reports.table import Column, Strong, Table, escape_typst, plain, to_typst

SIGNS = "\\#$*_<>@[]`\"'~-=+/.?:0123456789 abc{}()&%^|!u,;−–é中\u00a0"
READ = """
#let said(it) = {
  if type(it) == str { it } else if it.has("text") { said(it.text) } else if it.has("children") {
    it.children.map(said).fold("", (a, b) => a + b)
  } else if it.has("body") { "?" + said(it.body) } else if it == [ ] { " " } else {
    "?" + repr(it.func())
  }
}
"""  # what a piece of content says; "?" before everything that is more than text


@pytest.fixture
def typst():
    return pytest.importorskip("typst", reason="typst: it is not installed")


def compiled(typst, source, **options):
    return typst.compile(source.encode(), **options)


def test_a_table_of_typst():
    table = Table(
        "t",
        "A #1",
        pl.DataFrame({"arm": ["x", "y_z"], "v": [1.0, -2.0]}),
        (
            Column("arm", lambda r: r["arm"], "left"),
            Column("mean", lambda r: Strong(str(r["v"]))),
            Column("CI", lambda r: "[0, 1]", group="interval"),
            Column("n", lambda r: "6", group="interval"),
        ),
        ("why",),
        (("Li", "0.5", "–", "–"),),
        "published",
    )
    assert to_typst(table) == "\n".join(
        (
            "#figure(",
            "  kind: table,",
            "  caption: figure.caption(position: top)[A \\#1],",
            "  [",
            "    #set text(size: 8pt)",
            "    #table(",
            "      columns: (auto, auto, auto, auto,),",
            "      align: (left, right, right, right,),",
            "      stroke: none,",
            "      inset: (x: 3pt, y: 2.5pt),",
            "      table.hline(stroke: 0.8pt),",
            "      table.header(",
            "        [], [], table.cell(colspan: 2, align: center)[interval],",
            "        table.hline(start: 2, end: 4, stroke: 0.4pt),",
            "        [arm], [mean], [CI], [n],",
            "      ),",
            "      table.hline(stroke: 0.5pt),",
            "      [x], [#strong[1.0]], [\\[0, 1\\]], [6],",
            "      [y\\_z], [#strong[−2.0]], [\\[0, 1\\]], [6],",
            "      table.hline(stroke: 0.5pt),",
            "      table.cell(colspan: 4, align: left)[#emph[published]],",
            "      [Li], [0.5], [–], [–],",
            "      table.hline(stroke: 0.8pt),",
            "    )",
            "    #set text(size: 7pt)",
            "    #align(left)[why]",
            "  ],",
            ") <tab:t>",
            "",
        )
    )


def test_hostile_names_compile(typst, hostile_table):
    assert compiled(typst, to_typst(hostile_table)).startswith(b"%PDF")


def test_typst_reads_the_text_that_was_given(typst, names):
    """typst itself is asked what it read: plain text, character by character, and nothing else."""
    rng = random.Random(0)
    texts = ["".join(rng.choices(SIGNS, k=rng.randint(1, 12))) for _ in range(1500)]
    texts += [
        *names,
        "a@b.c",
        "http://x.y/z_1",
        "https://a",
        "x // y",
        "2. a",
        "--",
        "-?",
        "....",
        "-1",
    ]
    wanted = [json.dumps(minus(plain(text)).strip(" "), ensure_ascii=False) for text in texts]
    pairs = [f"({want}, [{escape_typst(t)}])," for want, t in zip(wanted, texts, strict=True)]
    source = (
        f"{READ}\n#set smartquote(enabled: true)\n#let pairs = (\n" + "\n".join(pairs) + "\n)\n"
        '#let wrong = pairs.filter(((want, it)) => said(it).replace(regex(" +"), " ") '
        '!= want.replace(regex(" +"), " "))\n'
        "#metadata(wrong.map(((want, it)) => (want, said(it), repr(it)))) <wrong>\n"
    )
    found = json.loads(typst.query(source.encode(), "<wrong>", field="value", one=True))
    assert found == []


def minus(text):
    """A hyphen before a number becomes a minus, as in every other format that has one."""
    return re.sub(r"(?<![\w.)\]-])-(?=\.?\d)", "−", text)


@given(st.text(max_size=40))
@example("#$*_<>@\\[]`\"'~")
@example("= a")
@example("1. a")
@settings(max_examples=200, deadline=None)
def test_nothing_special_reaches_typst(text):
    escaped = escape_typst(text)
    rest = re.sub(r"\\[!-/:-@\[-`{-~]", "", escaped)
    assert not set(rest) & set("\\#$*_<>@[]`\"'~"), rest
    assert not re.search(
        r"--|//|/\*|\.\.\.|^[=+/-]|^\d+\.(?:\s|$)", rest if "\\" not in escaped else ""
    )
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escaped) == minus(plain(text).strip())


def test_a_table_too_wide_has_its_columns_in_parts_that_fit(typst, tmp_path):
    columns = [Column(f"metric {i}", lambda r: "0.123 ± 0.045") for i in range(24)]
    frame = pl.DataFrame({"arm": ["a", "b"]})
    table = Table("wide", "", frame, (Column("arm", lambda r: r["arm"], "left"), *columns))
    source = to_typst(table)
    assert source.count("#table(") > 1
    assert re.findall(r"metric (\d+)", source) == [str(i) for i in range(24)]
    width = (
        "#set text(size: 7pt)\n"
        "#context [#metadata(query(table).map(it => measure(it).width / 1cm)) <widths>]"
    )
    widths = json.loads(typst.query((source + width).encode(), "<widths>", field="value", one=True))
    assert len(widths) == source.count("#table(")
    assert max(widths) < 16  # of A4 with typst's own margins
