"""What kind of list this is, when neither the user nor its name says so: its first line tells.

Owns that guess and nothing else. It errs towards txt, whose URLs may hold commas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.exceptions import ListError
from crawler.sources.files import peek
from crawler.sources.lines import LINE_CAP, LineError, counting_lines
from crawler.sources.table import DELIMITERS, is_url, split_cells
from crawler.sources.templates import LINE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


def find_format(
    chunks: Iterator[bytes], *, column: str, path: str, names: Collection[str] | None = None
) -> tuple[str, Iterator[bytes]]:
    """The format, and all of the chunks again. Raises ListError when they break off before it shows.

    names: the columns of a template, which make the URLs; None: they are in the list.
    """

    def has_a_line(begin: bytes) -> bool:
        return len(begin) > LINE_CAP or bool(_first_line(begin.rpartition(b"\n")[0]))

    try:
        begin, chunks = peek(chunks, has_a_line)
    except (OSError, EOFError) as exc:
        raise ListError(f"{path}: breaks off in its first line ({exc})") from exc
    first = _first_line(begin).decode(errors="replace")
    return (_guess(first, column) if names is None else _guess_columns(first, names)), chunks


def _first_line(begin: bytes) -> bytes:
    """The first line that counts; empty when there is none."""
    for records in counting_lines([(1, begin.split(b"\n"))]):
        for _, text in records:
            return text
    return b""


def _guess(text: str, column: str) -> str:
    if text.startswith("{"):
        return "jsonl"
    if text.startswith("curl "):
        return "curl"
    tsv, csv = (_cells(text, DELIMITERS[kind]) for kind in ("tsv", "csv"))
    if len(tsv) > 1 and (column in tsv or any(map(is_url, tsv))):
        return "tsv"  # no URL holds a tab
    # `https://api.example/?ids=1,2` is one URL: a row counts only when it begins with something else.
    if column in csv or (not is_url(text) and any(map(is_url, csv))):
        return "csv"
    return "txt"


def _guess_columns(text: str, names: Collection[str]) -> str:
    if LINE in names:
        return "txt"
    if text.startswith("{"):
        return "jsonl"
    cells = {kind: _cells(text, DELIMITERS[kind]) for kind in ("csv", "tsv")}
    return max(cells, key=lambda kind: (len(set(names) & {*cells[kind]}), len(cells[kind])))


def _cells(text: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in split_cells(text, delimiter)]
    except LineError:  # the row goes on over the next line
        return text.replace('"', "").split(delimiter)
