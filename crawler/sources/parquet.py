"""Lists in Parquet, by pyarrow: a row group at a time, and of those no more columns than there are.

Owns what a value of Parquet is as text and as JSON. Needs `pip install pyarrow`; nothing else in this room does.
"""

from __future__ import annotations

import io
import json
import math
from base64 import b64encode
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from crawler.exceptions import ListError
from crawler.items import Entry
from crawler.sources.files import fingerprint
from crawler.sources.lines import LineError
from crawler.sources.templates import as_text
from crawler.sources.urls import check_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from crawler.sources.making import Making
    from crawler.sources.templates import Value

_ROWS: Final = 1024
"""Rows that become objects at once."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """What an open file gives. blocks: rows with their numbers, from 1. lines: how many."""

    blocks: Iterator[list[tuple[int, Row]]]
    parse: Callable[[int, Row], Entry]
    close: Callable[[], None]
    lines: int

    def lines_about(self, known: int) -> int:  # noqa: ARG002  # as a Share has it
        """The number of rows: a Parquet file says it."""
        return self.lines


def open_parquet(path: str, *, column: str, making: Making | None) -> Rows:
    """Open the file; only its end is read. Raises ListError."""
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415  # 0.3 s, for this format alone
        from pyarrow import ArrowException  # noqa: PLC0415
    except ImportError as exc:
        raise ListError(
            f"{path}: a list in Parquet needs pyarrow, which is not installed: pip install pyarrow"
        ) from exc
    if fingerprint(path) is None:  # it says what is missing, too
        raise ListError(f"{path}: Parquet is read from its end, so it cannot come by a pipe")
    with ExitStack() as opened:
        try:
            file = opened.enter_context(io.FileIO(path))
            table = pq.ParquetFile(file)
        except (ArrowException, OSError) as exc:
            raise ListError(f"{path}: is no Parquet file that can be read: {exc}") from exc
        _check(table.schema_arrow.names, column, making, path)
        opened.pop_all()  # the rows' to close from now on
    parse = partial(_make, making, column) if making is not None else partial(_parse, column)
    return Rows(_blocks(table, path, ArrowException), parse, file.close, table.metadata.num_rows)


def _check(names: list[str], column: str, making: Making | None, path: str) -> None:
    if making is not None:
        making.check_columns(names, path)
    if (making is None or making.url is None) and column not in names:
        found = ", ".join(map(repr, names[:20]))
        raise ListError(f"{path}: has no column {column!r}; it has {found}. Name the URL's with column=NAME")


def _blocks(table: Any, path: str, broken: type[Exception]) -> Iterator[list[tuple[int, Row]]]:
    line = 1
    try:
        for batch in table.iter_batches(batch_size=_ROWS):
            rows = batch.to_pylist()
            yield [*enumerate(rows, line)]
            line += len(rows)
    except (broken, OSError, ValueError) as exc:
        raise ListError(f"{path}: breaks off in row {line} ({exc}); the rows before it were read") from exc


def _parse(column: str, line: int, row: Row) -> Entry:
    """The GET that a row stands for. Raises LineError or BadURLError."""
    url = _url(row, column)
    target = check_url(url)
    return Entry(
        url=url,
        target=target.target,
        authorization=target.authorization,
        line=line,
        key=_key(row, column),
        meta={name: _json(value) for name, value in row.items() if name not in {column, "id"}},
    )


def _make(making: Making, column: str, line: int, row: Row) -> Entry:
    """The call that the arguments make of a row. Raises as `_parse` does."""
    columns: Mapping[str, Value] = {name: _value(row[name]) for name in making.names}
    url = _url(row, column) if making.url is None else ""
    meta = {name: _json(value) for name, value in row.items() if name not in {"id", column if url else None}}
    return making.entry(line, columns, url=url, key=_key(row, column if url else None), meta=meta)


def _url(row: Row, column: str) -> str:
    if not isinstance(row[column], str):
        raise LineError("URL is empty" if row[column] is None else f"column {column!r} is no text")
    return str(row[column]).strip()


def _key(row: Row, column: str | None) -> str | None:
    if column == "id" or row.get("id") is None:
        return None
    return as_text(_value(row["id"])) or None


def _value(value: Any) -> Value:
    plain = _json(value)
    return plain if isinstance(plain, str) else msgspec.Raw(json.dumps(plain, ensure_ascii=False).encode())


def _json(value: Any) -> Any:
    """A value that JSON can hold: dates in ISO 8601, decimals as text, bytes as text or else base64, NaN as null."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return _text(value)
        case list() | tuple():
            return [_json(item) for item in value]
        case dict():
            return {str(name): _json(item) for name, item in value.items()}
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return b64encode(value).decode()


def shown_row(row: Row) -> bytes:
    """A row for people."""
    return json.dumps(_json(row), ensure_ascii=False).encode(errors="replace")
