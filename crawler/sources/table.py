"""Tables (csv, tsv): a record per line or, with quotes, over several; a header row, or none.

Owns: where a record ends, which column is the URL, what the others become. A quote that nothing closes
costs its own line, never the rest of the list. Knows no files.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from crawler.amounts import counted
from crawler.exceptions import ListError
from crawler.items import Entry
from crawler.sources.lines import LINE_CAP, LineError, decode
from crawler.sources.urls import check_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crawler.sources.lines import Block, Record
    from crawler.sources.making import Making

DELIMITERS: Final = {"csv": ",", "tsv": "\t"}
_SPACE: Final = " \t\n\r\f\v"  # ASCII's, as bytes.strip() takes off a line; str.strip() would take more


def split_cells(text: str, delimiter: str) -> list[str]:
    """The cells of one record (RFC 4180). Raises LineError when its quotes are broken."""
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as exc:
        raise LineError(f"broken quotes ({exc})") from exc


def is_url(cell: str) -> bool:
    return cell.lstrip()[:8].lower().startswith(("http://", "https://"))


def table_records(blocks: Iterable[Block], delimiter: str) -> Iterator[list[Record]]:
    """Records with the number of their first line, blank lines left out.

    A record goes on over further lines while a quote is open, up to LINE_CAP bytes; then its first line
    stands alone (and will not parse), and the next record begins with the line after it.
    """
    held: list[bytes] = []  # the beginning of a record whose end has not been read yet
    first = 1
    for number, lines in blocks:
        first = number - len(held)
        records, used = _take(first, held + lines, delimiter, at_end=False)
        held, first = (held + lines)[used:], first + used
        yield records
    yield _take(first, held, delimiter, at_end=True)[0]


def _take(first: int, lines: list[bytes], delimiter: str, *, at_end: bool) -> tuple[list[Record], int]:
    """The records that end within *lines*, and how many of the lines they are made of."""
    records: list[Record] = []
    at, size = 0, len(lines)
    while at < size:
        raw = lines[at].removesuffix(b"\r")
        taken = 1
        # RFC 4180 quotes come in pairs within a record, so an even number on a line ends on it.
        if raw.count(b'"') % 2:
            taken = _lines_of_record(lines, at, delimiter, at_end=at_end)
            if not taken:
                break
            if taken > 1:
                raw = b"\n".join(part.removesuffix(b"\r") for part in lines[at : at + taken])
        if raw and not raw.isspace():
            records.append((first + at, raw))
        at += taken
    return records, at


def _lines_of_record(lines: list[bytes], start: int, delimiter: str, *, at_end: bool) -> int:
    """How many lines the record at *start* takes; 1 when its quotes are broken, 0 when more must be read."""
    goes_on = False

    def feed() -> Iterator[str]:
        nonlocal goes_on
        size_bytes = 0
        for at in range(start, len(lines)):
            size_bytes += len(lines[at]) + 1
            if size_bytes > LINE_CAP:
                return
            yield lines[at].decode("latin-1")  # one character a byte: only quotes and delimiters matter here
        goes_on = not at_end

    reader = csv.reader(feed(), delimiter=delimiter, strict=True)
    try:
        next(reader)  # asks for lines until the record is whole
    except (csv.Error, StopIteration):
        return 0 if goes_on else 1
    return reader.line_num


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """How the cells of a row become an Entry.

    width: cells in every row. url_at, key_at: index of the URL and of the `id`; None without one.
    others: name and index of every other column. columns: of every one; making: what the arguments make of a row.
    """

    delimiter: str
    width: int
    url_at: int | None
    key_at: int | None
    others: dict[str, int]
    columns: dict[str, int] = field(default_factory=dict)
    making: Making | None = None

    def parse(self, line: int, raw: bytes) -> Entry:
        """The GET that a row stands for. Raises LineError or BadURLError."""
        cells = self._cells(raw)
        assert self.url_at is not None
        url = cells[self.url_at].strip(_SPACE)
        target = check_url(url)
        return Entry(
            url=url,
            target=target.target,
            authorization=target.authorization,
            line=line,
            key=None if self.key_at is None else cells[self.key_at] or None,
            meta={name: cells[at] for name, at in self.others.items()},
        )

    def make(self, line: int, raw: bytes) -> Entry:
        """The call that the arguments make of a row. Raises as `parse` does."""
        cells = self._cells(raw)
        assert self.making is not None
        return self.making.entry(
            line,
            {name: cells[at] for name, at in self.columns.items()},
            url="" if self.url_at is None else cells[self.url_at].strip(_SPACE),
            key=None if self.key_at is None else cells[self.key_at] or None,
            meta={name: cells[at] for name, at in self.others.items()},
        )

    def _cells(self, raw: bytes) -> list[str]:
        cells = split_cells(decode(raw), self.delimiter)
        if len(cells) != self.width:
            raise LineError(f"has {counted(len(cells), 'cell')} where the first row has {self.width}")
        return cells


def open_table(
    records: Iterator[list[Record]], *, delimiter: str, column: str, path: str, making: Making | None = None
) -> tuple[Iterator[list[Record]], Table]:
    """The rows without the header, and how to read them. Raises ListError when a column is missing."""
    begin = next(filter(None, records), [])
    if not begin:
        return iter(()), Table(delimiter=delimiter, width=1, url_at=0, key_at=None, others={})
    line, raw = begin[0]
    try:
        cells = [cell.strip(_SPACE) for cell in split_cells(decode(raw), delimiter)]
    except LineError as exc:
        raise ListError(f"{path}: line {line} cannot be read as a header row: {exc}") from exc
    templated = making is not None and making.url is not None
    has_header = column in cells or templated
    if has_header:
        rows, table = chain([begin[1:]], records), _with_header(cells, None if templated else column, delimiter, path)
    else:
        rows = chain([begin], records)
        table = _without_header(cells, column, delimiter, path, next_row=begin[1][1] if len(begin) > 1 else b"")
    if making is None:
        return rows, table
    names = {name: at for at, name in reversed([*enumerate(cells)]) if name} if has_header else {}
    columns = dict(sorted((table.others | names).items(), key=itemgetter(1)))
    making.check_columns(columns, path)
    return rows, replace(table, making=making, columns={name: columns[name] for name in making.names})


def _with_header(cells: list[str], column: str | None, delimiter: str, path: str) -> Table:
    """column: None: the URL comes from a template."""
    if column is not None and cells.count(column) > 1:
        raise ListError(f"{path}: column {column!r} occurs {cells.count(column)} times; give each its own name")
    url_at = None if column is None else cells.index(column)
    key_at = cells.index("id") if "id" in cells and column != "id" else None
    others: dict[str, int] = {}
    for at, name in enumerate(cells):
        if at not in {url_at, key_at}:
            key = name or f"column_{at + 1}"
            while key in others:  # a name given twice must not cost a cell
                key = f"{key}_{at + 1}"
            others[key] = at
    return Table(delimiter=delimiter, width=len(cells), url_at=url_at, key_at=key_at, others=others)


def _without_header(cells: list[str], column: str, delimiter: str, path: str, *, next_row: bytes) -> Table:
    url_at = next((at for at, cell in enumerate(cells) if is_url(cell)), None)
    if url_at is None:
        found = ", ".join(repr(cell[:40]) for cell in cells[:20])
        raise ListError(
            f"{path}: has no column {column!r}; its first row reads {found}. {_way_out(cells, next_row, delimiter)}"
        )
    if column != "url":
        raise ListError(
            f"{path}: has no column {column!r}, its first row is a URL already."
            f" Add a header row, or leave column={column} out"
        )
    others = {f"column_{at + 1}": at for at in range(len(cells)) if at != url_at}
    return Table(delimiter=delimiter, width=len(cells), url_at=url_at, key_at=None, others=others)


def _way_out(cells: list[str], next_row: bytes, delimiter: str) -> str:
    """What to do about a header without the column: the second row may show which one was meant."""
    below = next_row.decode(errors="replace").split(delimiter)
    at = next((at for at, cell in enumerate(below[: len(cells)]) if is_url(cell.strip('"'))), None)
    if at is not None:
        return f"Say column={cells[at]}, which holds URLs"
    if len(cells) > 1:
        return f"Name the column that holds URLs with column=NAME, or make URLs of them: template='https://.../{{{cells[0]}}}'"
    return "Name the column that holds URLs with column=NAME, or check what separates the cells"
