"""The list as the spider draws from it: batches of entries, counted.

Owns: the seam (`Source`), how one file becomes one (`open_source`), how its format is found, what counts.
Knows no bytes of a file and no grammar of a format; those are the neighbours'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from crawler.exceptions import BadURLError, ListError
from crawler.sources.curl import parse_curl, shown
from crawler.sources.detect import find_format
from crawler.sources.files import open_bytes
from crawler.sources.jsonl import JSONL_CAP, make_jsonl, parse_jsonl
from crawler.sources.lines import LINE_CAP, LineError, bad_line, counting_lines, read_blocks
from crawler.sources.making import Making
from crawler.sources.names import FORMATS, PACKINGS, name_format
from crawler.sources.parquet import open_parquet, shown_row
from crawler.sources.share import Share
from crawler.sources.shell import continued_lines
from crawler.sources.table import DELIMITERS, open_table, table_records
from crawler.sources.templates import LINE, url_template
from crawler.sources.txt import make_txt, parse_txt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from crawler.items import BadLine, Entry
    from crawler.sources.lines import Record
    from crawler.sources.parquet import Rows

SHAPING: Final = ("column", "template", "method", "data")
"""The parts of a Shape that change what is called. A list of calls that failed says all of it itself."""

Parse: TypeAlias = "Callable[[int, Any], Entry]"
"""The number of a line, and its bytes, or its row in Parquet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the lines of a list become calls.

    format: one of `names.FORMATS`, also with an ending such as .gz (how it is packed shows itself); None finds it
    from the name, else from the first line. column: the one of a table that holds the URL. template: a URL with
    {column} in it. method, data: for lines that do not say; data: the body, with {column} in it. typed: the
    arguments say its Content-Type.
    """

    format: str | None = None
    column: str = "url"
    template: str | None = None
    method: str | None = None
    data: str | None = None
    typed: bool = False

    @property
    def kind(self) -> str | None:
        """The format alone. None: to be found."""
        if self.format is None:
            return None
        kind, dot, packing = self.format.partition(".")
        return self.format if dot and f".{packing}" not in PACKINGS else kind

    def making(self, *, columns: bool) -> Making | None:
        """What the arguments make of each line; None: nothing. columns: the list has some. Raises ValueError."""
        return Making.of(template=self.template, method=self.method, data=self.data, typed=self.typed, columns=columns)


class Source(Protocol):
    """Where calls come from. One thread draws; `close` may come from another.

    count: lines that counted so far, delivered or skipped; comments and blank lines never count.
    skipped: those of them that were passed over unread. lines_about: how many there are in all, as far as can be
    told from the part that was read; None when it cannot. is_dry: nothing comes until what was delivered is done, or
    until somebody else has done something; for a moment at least.
    """

    @property
    def count(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def lines_about(self) -> int | None: ...
    @property
    def is_dry(self) -> bool: ...

    def next_batch(self, size: int) -> list[Entry | BadLine]:
        """1 to *size* of the next lines, as soon as there is one; [] at the end, and after `close`.

        Raises ListError when the list breaks off, after all that came before has been delivered.
        """
        ...

    def ack(self, entries: Sequence[Entry | BadLine], *, again: bool = False) -> None:
        """The records of *entries* are on disk. again: they were before, and count once."""
        ...

    def close(self) -> None: ...


class FileSource:
    """A Source of one file or pipe, read once, in constant memory."""

    is_dry = False

    def __init__(
        self,
        blocks: Iterator[list[tuple[int, Any]]],
        parse: Parse,
        close: Callable[[], None],
        *,
        show: Callable[[Any], bytes] = bytes,
        limit: int | None,
        skip: Callable[[int], bool] | None,
        source: str | None = None,
        share: Share | Rows | None = None,
    ) -> None:
        """show: a line for people. source: what its entries say of where they are from."""
        self._show = show
        self.count = 0
        self.skipped = 0
        self._source = source
        self.lines_about: int | None = None
        self._share = share
        self._close = close
        self._closed = False
        self._broken: ListError | None = None
        self._items = self._read(blocks, parse, limit, skip)

    def next_batch(self, size: int) -> list[Entry | BadLine]:
        batch: list[Entry | BadLine] = []
        if self._closed:
            return batch
        if self._broken is not None:
            raise self._broken
        try:
            for item in self._items:
                if item is not None:
                    batch.append(item)
                    if len(batch) >= size:
                        break
                elif batch:
                    break
        except ListError as exc:
            if not self._closed:
                self._broken = exc
                raise
        return batch

    def ack(self, entries: Sequence[Entry | BadLine], *, again: bool = False) -> None:
        """A file needs no word of it: what is done is the ledger's to remember."""

    def close(self) -> None:
        self._closed = True
        self._close()

    def _read(
        self,
        blocks: Iterator[list[tuple[int, Any]]],
        parse: Parse,
        limit: int | None,
        skip: Callable[[int], bool] | None,
    ) -> Iterator[Entry | BadLine | None]:
        """Every line that is not skipped; None where going on may mean to wait."""
        while limit is None or self.count < limit:
            block = next(blocks, None)
            if block is None:
                return
            if self._share is not None:
                self.lines_about = self._share.lines_about(self.count + len(block))
            if limit is not None:
                del block[limit - self.count :]
            for line, raw in block:
                self.count += 1
                if skip is not None and skip(line):
                    self.skipped += 1
                    continue
                try:
                    entry = parse(line, raw)
                except (LineError, BadURLError) as exc:
                    yield bad_line(line, self._show(raw), str(exc), self._source)
                else:
                    yield entry if self._source is None else replace(entry, source=self._source)
            yield None


def open_source(
    path: str,
    shape: Shape | None = None,
    *,
    limit: int | None = None,
    skip: Callable[[int], bool] | None = None,
    source: str | None = None,
) -> FileSource:
    """Open a list of one file; only its first lines are read (of a pipe: this waits for the first that counts).

    path: a file, or `-` for standard input. limit: only so many of the lines that count. skip: told a line's
    number, True passes it over unread. source: where its entries say that they are from.
    Raises ListError, saying what to do, when the list as a whole cannot be read.
    """
    shape = shape or Shape()
    kind = shape.kind
    if kind is not None and kind not in FORMATS.values():
        known = ", ".join(dict.fromkeys(FORMATS.values()))
        raise ListError(f"{path}: format {shape.format!r} is not known; there are {known}")
    kind = kind or name_format(path)
    if kind == "parquet":
        rows = open_parquet(path, column=shape.column, making=shape.making(columns=True))
        return FileSource(
            rows.blocks, rows.parse, rows.close, show=shown_row, limit=limit, skip=skip, source=source, share=rows
        )
    chunks, file = open_bytes(path)
    try:
        if kind is None:
            names = url_template(shape.template).names if shape.template else None
            kind, chunks = find_format(chunks, column=shape.column, names=names, path=path)
        blocks, parse = _open_format(kind, chunks, shape, path=path)
    except ListError:
        file.close()
        raise
    show = shown if kind == "curl" else bytes
    return FileSource(blocks, parse, file.close, show=show, limit=limit, skip=skip, source=source, share=Share(file))


def _open_format(
    kind: str, chunks: Iterable[bytes], shape: Shape, *, path: str
) -> tuple[Iterator[list[Record]], Parse]:
    making = shape.making(columns=kind != "txt")
    if delimiter := DELIMITERS.get(kind):
        records = table_records(read_blocks(chunks, cap=LINE_CAP, path=path), delimiter)
        rows, table = open_table(records, delimiter=delimiter, column=shape.column, making=making, path=path)
        return rows, table.make if making else table.parse
    if kind == "curl" and making:
        raise ListError(f"{path}: a curl command says all of its call; leave out template, method and data")
    lines = counting_lines(read_blocks(chunks, cap=JSONL_CAP if kind == "jsonl" else LINE_CAP, path=path))
    if kind == "curl":
        return continued_lines(read_blocks(chunks, cap=JSONL_CAP, path=path), cap=JSONL_CAP), parse_curl
    if kind == "jsonl":
        if making and LINE in making.names:
            raise ListError(
                f"{path}: {{}} is the line of a plain list, but this one is JSON: name a key, such as {{id}}"
            )
        return lines, partial(make_jsonl, making) if making else parse_jsonl
    if making is not None:
        making.check_columns((), path)
    return lines, partial(make_txt, making) if making else parse_txt
