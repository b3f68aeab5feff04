import csv
import html
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reports.table import (
    Column,
    Strong,
    Table,
    apart_csv,
    escape_html,
    escape_markdown,
    headings,
    plain,
    to_bullet,
    to_csv,
    to_html,
    to_markdown,
)

texts = st.text(max_size=40)


@pytest.fixture
def table(names):
    frame = pl.DataFrame({"arm": list(names), "p": [0.01] + [0.5] * (len(names) - 1)})
    return Table(
        name="hostile",
        caption="A & B: 100 % <b>",
        frame=frame,
        columns=(
            Column("arm_name", lambda r: r["arm"], "left"),
            Column("p", lambda r: Strong(str(r["p"])) if r["p"] < 0.05 else str(r["p"])),
        ),
        notes=("a note_with $ signs",),
    )


@pytest.fixture
def apart():
    """A group over two columns, and a row apart."""
    return Table(
        "t",
        "Cap",
        pl.DataFrame({"a": ["x"], "v": [1.5]}),
        (
            Column("a", lambda r: r["a"], "left"),
            Column("mean", lambda r: Strong(str(r["v"])), group="own"),
            Column("n", lambda r: "6/6", group="own"),
            Column("n", lambda r: "–"),
        ),
        ("why",),
        (("Li & al.", "0.5", "–", Strong("1")),),
        "published",
    )


def test_a_row_apart_has_a_cell_for_each_column(apart):
    with pytest.raises(ValueError, match="a row apart has 2 cells, there are 4 columns"):
        replace(apart, apart=(("a", "b"),))


def test_headings_are_of_neighbours(apart):
    one, two, three, four = apart.columns
    assert headings(apart.columns) == [("", 0, 1), ("own", 1, 2), ("", 3, 1)]
    assert headings((two, one, three)) == [("own", 0, 1), ("", 1, 1), ("own", 2, 1)]
    assert headings((one, four)) == []


# ------------------------------------------------------------------------------------ Markdown


def unescaped(text, sign):
    return len(re.findall(rf"(?<!\\)(?:\\\\)*{re.escape(sign)}", text))


def test_markdown_is_a_padded_pipe_table():
    t = Table(
        "t",
        "Cap",
        pl.DataFrame({"a": ["x", "long name"], "v": [1, 22]}),
        (Column("a", lambda r: r["a"], "left"), Column("value", lambda r: str(r["v"]))),
        ("why",),
    )
    assert to_markdown(t) == (
        "**Cap**\n\n"
        "| a         | value |\n"
        "|-----------|------:|\n"
        "| x         |     1 |\n"
        "| long name |    22 |\n"
        "\n- why\n"
    )


def test_markdown_has_groups_before_titles_and_rows_apart_below(apart):
    head = "| a        | own: mean | own: n |     n |\n|----------|----------:|-------:|------:|\n"
    assert to_markdown(apart) == (
        f"**Cap**\n\n{head}"
        "| x        |   **1.5** |    6/6 |     – |\n"
        f"\n*published*\n\n{head}"
        "| Li & al. |       0.5 |      – | **1** |\n"
        "\n- why\n"
    )


@pytest.mark.parametrize(
    ("caption", "line"),
    [
        ("Cap", "**Cap**"),
        ("Accuracy: mean ± 0.1. 6 seeds.", "**Accuracy:** mean ± 0.1. 6 seeds."),
        ("Every run. Of 0.5 | 6 seeds.", "**Every run.** Of 0.5 \\| 6 seeds."),
        ("a*b", "**a\\*b**"),
    ],
)
def test_markdown_has_what_a_table_is_of_in_bold(apart, caption, line):
    assert to_markdown(replace(apart, caption=caption)).splitlines()[0] == line


def test_no_name_adds_a_column_or_a_row_to_markdown(table, names):
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(names)
    assert {unescaped(line, "|") for line in lines} == {3}
    assert "**0.01**" in lines[2]
    assert sum("**" in line for line in lines) == 1


@given(texts)
@example("&lt;script&gt;")
@example("a\\|b")
@settings(max_examples=200, deadline=None)
def test_markdown_shows_the_text_that_was_given(text):
    """Reading the escapes back, as a Markdown renderer does, gives the text."""
    read = html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escape_markdown(text)))
    if "&" not in text:  # an entity that is not one is left alone, and read as it is
        assert read == plain(text)
    assert not re.search(r"<[A-Za-z/!?]", escape_markdown(text))


def test_entities_are_shown_as_they_were_typed():
    assert escape_markdown("&lt; &amp; &#60; R&D") == "&amp;lt; &amp;amp; &amp;#60; R&D"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("state_bytes", "state_bytes"),
        ("_x_", "\\_x\\_"),
        ("[0.1, 0.2]", "[0.1, 0.2]"),
        ("[a](b)", "[a\\](b)"),
        ("p <0.001 -> q", "p <0.001 -> q"),
        ("$x$", "\\$x\\$"),
    ],
)
def test_only_what_markdown_acts_on_is_escaped(text, expected):
    assert escape_markdown(text) == expected


@pytest.mark.parametrize("text", ["# head", "- item", "1. one", "> quote", "+ plus", "=== "])
def test_a_bullet_begins_with_text(text):
    assert to_bullet(text).startswith("- \\")
    assert to_bullet("decay=off") == "- decay=off"


# --------------------------------------------------------------------------------- CSV and HTML


def test_csv_holds_the_frame_itself(table, names):
    rows = list(csv.reader(io.StringIO(to_csv(table), newline="")))
    assert rows[0] == ["arm", "p"]
    assert [row[0] for row in rows[1:]] == list(names)
    assert [float(row[1]) for row in rows[1:]] == table.frame["p"].to_list()


def test_csv_keeps_every_digit_and_missing_values():
    frame = pl.DataFrame({"x": [0.1 + 0.2, None]})
    assert to_csv(Table("t", "", frame, ())) == "x\n0.30000000000000004\n\n"


def test_csv_of_rows_apart_is_a_file_of_its_own(apart):
    assert to_csv(apart) == "a,v\nx,1.5\n"
    assert apart_csv(apart) == "a,own: mean,own: n,n\nLi & al.,0.5,–,1\n"
    assert apart_csv(replace(apart, apart=())) == ""


def test_csv_of_rows_apart_has_a_name_for_each_column(apart):
    twice = replace(apart, columns=(apart.columns[0], *[apart.columns[3]] * 3))
    assert apart_csv(twice).splitlines()[0] == "a,n,n (2),n (3)"


ALLOWED = {"figure", "figcaption", "div", "ul", "li", "strong"}
ALLOWED |= {"table", "thead", "tbody", "tr", "th", "td"}


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.cells, self.inside = set(), [], False

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


def test_html_shows_every_name_and_runs_none(table, names):
    reader = Reader()
    reader.feed(to_html(table))
    assert reader.tags <= ALLOWED
    assert reader.cells[2::2] == [plain(name) for name in names]


@given(texts)
@settings(max_examples=100, deadline=None)
def test_html_text_is_the_text_that_was_given(text):
    escaped = escape_html(text)
    assert html.unescape(escaped) == plain(text) or "&" in text
    assert not set(escaped) & set("<>\"'")


def test_html_spans_groups_and_sets_rows_apart(apart):
    text = to_html(apart)
    head = text.split("<thead>")[1].split("</thead>")[0]
    assert head == (
        '<tr><th scope="col" rowspan="2" class="left">a</th>'
        '<th scope="colgroup" colspan="2" class="center group">own</th>'
        '<th scope="col" rowspan="2" class="right">n</th></tr>'
        '<tr><th scope="col" class="right">mean</th><th scope="col" class="right">n</th></tr>'
    )
    body = text.split('<tbody class="apart">')[1].split("</tbody>")[0]
    assert body == (
        '\n<tr><th scope="rowgroup" colspan="4" class="left">published</th></tr>\n'
        '<tr><th scope="row" class="left">Li &amp; al.</th><td class="right">0.5</td>'
        '<td class="right">–</td><td class="right"><strong>1</strong></td></tr>\n'
    )
