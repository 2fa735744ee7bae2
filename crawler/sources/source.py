"""The list as the spider draws from it: batches of entries, counted.

Owns: the seam (`Source`), how one file becomes one (`open_source`), how its format is found, what counts.
Knows no bytes of a file and no grammar of a format; those are the neighbours'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeAlias

from crawler.exceptions import BadURLError, ListError
from crawler.sources.detect import find_format
from crawler.sources.files import open_bytes
from crawler.sources.jsonl import JSONL_CAP, parse_jsonl
from crawler.sources.lines import LINE_CAP, LineError, bad_line, counting_lines, read_blocks
from crawler.sources.names import FORMATS, PACKINGS, name_format
from crawler.sources.share import Share
from crawler.sources.table import DELIMITERS, open_table, table_records
from crawler.sources.txt import parse_txt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from crawler.items import BadLine, Entry
    from crawler.sources.lines import Record

Parse: TypeAlias = "Callable[[int, bytes], Entry]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the lines of a list become calls.

    format: one of txt, csv, tsv, jsonl, also with an ending such as .gz (how it is packed shows itself); None finds
    it from the name, else from the first line. column: the one of a table that holds the URL.
    """

    format: str | None = None
    column: str = "url"

    @property
    def kind(self) -> str | None:
        """The format alone. None: to be found."""
        if self.format is None:
            return None
        kind, dot, packing = self.format.partition(".")
        return self.format if dot and f".{packing}" not in PACKINGS else kind


class Source(Protocol):
    """Where calls come from. One thread draws; `close` may come from another.

    count: lines that counted so far, delivered or skipped; comments and blank lines never count.
    skipped: those of them that were passed over unread. lines_about: how many there are in all, as far as can be
    told from the part that was read; None when it cannot.
    """

    @property
    def count(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def lines_about(self) -> int | None: ...

    def next_batch(self, size: int) -> list[Entry | BadLine]:
        """1 to *size* of the next lines, as soon as there is one; [] at the end, and after `close`.

        Raises ListError when the list breaks off, after all that came before has been delivered.
        """
        ...

    def ack(self, entries: Sequence[Entry | BadLine]) -> None:
        """The records of *entries* are on disk."""
        ...

    def close(self) -> None: ...


class FileSource:
    """A Source of one file or pipe, read once, in constant memory."""

    def __init__(
        self,
        blocks: Iterator[list[Record]],
        parse: Parse,
        close: Callable[[], None],
        *,
        limit: int | None,
        skip: Callable[[int], bool] | None,
        source: str | None = None,
        share: Share | None = None,
    ) -> None:
        """source: what its entries say of where they are from."""
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

    def ack(self, entries: Sequence[Entry | BadLine]) -> None:
        """A file needs no word of it: what is done is the ledger's to remember."""

    def close(self) -> None:
        self._closed = True
        self._close()

    def _read(
        self,
        blocks: Iterator[list[Record]],
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
                    yield bad_line(line, raw, str(exc), self._source)
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
    chunks, file = open_bytes(path)
    try:
        kind = kind or name_format(path)
        if kind is None:
            kind, chunks = find_format(chunks, column=shape.column, path=path)
        blocks, parse = _open_format(kind, chunks, column=shape.column, path=path)
    except ListError:
        file.close()
        raise
    return FileSource(blocks, parse, file.close, limit=limit, skip=skip, source=source, share=Share(file))


def _open_format(kind: str, chunks: Iterable[bytes], *, column: str, path: str) -> tuple[Iterator[list[Record]], Parse]:
    if delimiter := DELIMITERS.get(kind):
        records = table_records(read_blocks(chunks, cap=LINE_CAP, path=path), delimiter)
        rows, table = open_table(records, delimiter=delimiter, column=column, path=path)
        return rows, table.parse
    if kind == "jsonl":
        return counting_lines(read_blocks(chunks, cap=JSONL_CAP, path=path)), parse_jsonl
    return counting_lines(read_blocks(chunks, cap=LINE_CAP, path=path)), parse_txt
