"""CSV (RFC 4180, UTF-8, lines end with CR LF), for spreadsheets too: a cell that one would run is defused.

A cell that begins with = + - @, a tab or a line break is a formula to a spreadsheet, and an API or a list can
put one there. As OWASP advises (owasp.org, "CSV Injection"), it gets an apostrophe before it, which spreadsheets
take for "this is text". Numbers stay what they are.
"""

from __future__ import annotations

import csv
import io
import json
import re
from typing import IO, TYPE_CHECKING, Any, Final

from crawler.export.columns import cells, table_columns

if TYPE_CHECKING:
    from crawler.export.exporting import Export

_FORMULA: Final = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # full-width ones too: Excel takes them
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def write(export: Export, file: IO[bytes]) -> None:
    columns = table_columns(export.reading, export.options.chosen, bodies=export.options.bodies)
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="", write_through=True)
    rows = csv.writer(text)
    shown = str if export.options.keep_formulas else defused
    rows.writerow([shown(column.name) for column in columns])
    for record, body in export.records():
        rows.writerow([_cell(value, shown) for value in cells(columns, record, body)])
    text.detach()


def _cell(value: Any, shown: Any) -> object:
    if isinstance(value, bool):
        return json.dumps(value)
    return shown(value) if isinstance(value, str) else value


def defused(text: str) -> str:
    """A text that no spreadsheet runs."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
