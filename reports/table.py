"""Tables: one description; LaTeX, typst, Markdown, HTML and CSV are made of it."""

from reports.csv_table import apart_csv, to_csv
from reports.description import (
    PUBLISHED,
    Align,
    Column,
    Heading,
    Rows,
    Shown,
    Strong,
    Table,
    headings,
    plain,
    text_of,
)
from reports.html import escape_html, to_html
from reports.latex import escape_latex, to_latex
from reports.markdown import escape_markdown, to_bullet, to_markdown
from reports.typst import escape_typst, to_typst

__all__ = [
    "PUBLISHED",
    "Align",
    "Column",
    "Heading",
    "Rows",
    "Shown",
    "Strong",
    "Table",
    "apart_csv",
    "escape_html",
    "escape_latex",
    "escape_markdown",
    "escape_typst",
    "headings",
    "plain",
    "text_of",
    "to_bullet",
    "to_csv",
    "to_html",
    "to_latex",
    "to_markdown",
    "to_typst",
]
