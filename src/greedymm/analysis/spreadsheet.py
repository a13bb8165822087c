"""Names in CSV files that a spreadsheet would take for formulas."""

import re

import pandas as pd

FORMULA = re.compile(r"[=+\-@\t\r]")  # how text begins that a spreadsheet computes


def without_formulas(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """A table with an apostrophe before each name in some columns that a spreadsheet would take for a formula."""
    return table.assign(**{name: table[name].map(_plain) for name in columns if name in table})


def _plain(name: object) -> object:
    return f"'{name}" if isinstance(name, str) and FORMULA.match(name) else name
