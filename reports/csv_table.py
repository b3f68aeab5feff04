"""CSV holds a table's numbers, so that nobody has to parse "0.51 ± 0.08"."""

from __future__ import annotations

import polars as pl

from reports.description import Table, text_of


def to_csv(table: Table) -> str:
    """The numbers behind the table at full precision; an empty field is a missing value.

    Rows apart are not among them: a file in which both stand is a file in which somebody averages
    them. `apart_csv` has those.
    """
    return table.frame.write_csv()


def apart_csv(table: Table) -> str:
    """The rows apart as they are printed, by the columns' titles; "" where there are none."""
    if not table.apart:
        return ""
    titles: list[str] = []
    for column in table.columns:
        title = f"{column.group}: {column.title}" if column.group else column.title
        again = sum(each == title or each.startswith(f"{title} (") for each in titles)
        titles.append(f"{title} ({again + 1})" if again else title)
    rows = [[text_of(cell) for cell in row] for row in table.apart]
    return pl.DataFrame(rows, schema=dict.fromkeys(titles, pl.String), orient="row").write_csv()
