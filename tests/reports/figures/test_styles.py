"""What a venue asks for is in the file: widths, fonts, their sizes, all of them embedded."""

import re
import zlib

import pytest

from reports.factors import factors
from reports.figure import KINDS, new_figure, render, style, venue
from reports.reach_figures import capacity_curve
from reports.venues import LEAST, VENUES

COLUMN = {"plain": 3.4, "neurips": 5.5, "icml": 3.25}  # inches
FAMILY = {"plain": b"DejaVuSans", "neurips": b"STIXGeneral", "icml": b"STIXGeneral"}


def make(look, wide=False):
    with style(look):
        figure = new_figure(1.5, venue().wide if wide else None)
        axes = figure.add_subplot()
        axes.plot([0, 1], [-1, 1])
        axes.set_title("decay_off $x$ − ×")
        return figure


def page_width(pdf):
    """In inches."""
    (box,) = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+) [\d.]+ ?\]", pdf)
    return float(box) / 72


def sizes_of(pdf):
    """Every size, in points, at which a page's text is set: the operator Tf."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, flags=re.S)
    found = set()
    for stream in streams:
        try:
            text = zlib.decompress(stream)
        except zlib.error:
            continue
        found |= {float(size) for size in re.findall(rb"/F\d+(?:-\d+)? ([\d.]+) Tf", text)}
    return found


@pytest.mark.parametrize("look", list(VENUES))
def test_a_column_is_as_wide_as_the_venue_says_in_every_format(look):
    figure = make(look)
    assert page_width(render(figure, "pdf")) == pytest.approx(COLUMN[look], abs=0.01)
    png = render(figure, "png")
    assert int.from_bytes(png[16:20], "big") == COLUMN[look] * 200
    (width,) = re.findall(rb'<svg [^>]*width="([\d.]+)pt"', render(figure, "svg"))
    assert float(width) / 72 == pytest.approx(COLUMN[look], abs=0.01)


def test_icml_has_a_figure_over_both_columns():
    assert page_width(render(make("icml", wide=True), "pdf")) == pytest.approx(6.75, abs=0.01)


@pytest.mark.parametrize("look", list(VENUES))
def test_the_fonts_are_the_venues_embedded_and_truetype(look):
    pdf = render(make(look), "pdf")
    names = set(re.findall(rb"/BaseFont /(?:[A-Z]{6}\+)?([\w-]+)", pdf))
    assert names
    assert all(name.startswith(FAMILY[look]) for name in names)
    assert b"/Type3" not in pdf
    assert pdf.count(b"/FontFile2") >= len(names)


def test_a_file_has_the_style_of_its_figure_whatever_is_active():
    figure, same = make("neurips"), make("neurips")
    with style("plain"):
        inside = render(figure, "pdf")
    assert inside == render(same, "pdf")
    assert b"STIXGeneral" in inside


def test_a_style_holds_until_its_end_and_inside_of_it():
    with style("icml"):
        with style():
            assert venue() is VENUES["icml"]
        with style("neurips"):
            assert venue() is VENUES["neurips"]
        assert venue() is VENUES["icml"]
    assert venue() is VENUES["plain"]
    with pytest.raises(ValueError, match="style=cvpr: choose from plain, neurips, icml"):
        style("cvpr").__enter__()  # pyright: ignore[reportArgumentType]
    assert venue() is VENUES["plain"]


@pytest.mark.parametrize("look", list(VENUES))
def test_no_text_is_smaller_than_can_be_read(drawn, look):
    for picture in drawn(look).values():
        assert picture.figure.get_figwidth() == COLUMN[look], picture.name
    for name in ("kernels", "capacity-num-pairs"):
        sizes = sizes_of(render(drawn(look)[name].figure, "pdf"))
        assert sizes, name
        assert min(sizes) >= LEAST, name


@pytest.mark.parametrize("look", ["neurips", "icml"])
def test_rebuilt_figures_are_the_same_bytes(drawn, analysis, look):
    with style(look):
        figure = capacity_curve(analysis, [f for f in factors(analysis) if f.name == "num_pairs"])
    first = drawn(look)["capacity-num-pairs"].figure
    for kind in KINDS:
        assert render(figure, kind) == render(first, kind), kind
