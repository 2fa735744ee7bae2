"""A directory of parts (`pack=jsonl`): its rows in the order in which they were written, then the parts themselves.

That order is that of the lines, so that a frame is unpacked once for all its rows. A unit is a range of rows, which a
process checks by itself.
"""

from __future__ import annotations

from collections import deque
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler.checking.findings import Finding, Kind
from crawler.checking.record import COLUMNS, Row, compare
from crawler.checking.unit import TREES, Checked, without_a_file
from crawler.exceptions import BodyError
from crawler.store.parts import frames, unpack
from crawler.store.reading import open_ledger
from crawler.store.stores import open_parts

if TYPE_CHECKING:
    import sqlite3
    from collections import Counter
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from crawler.store.parts import PartReader

GONE: Final = "the part is not there"

RANGE: Final = 20_000
"""Rows of a unit: some 80 frames, of which the first and the last are unpacked by two processes."""

_SQL: Final = f"SELECT {', '.join(COLUMNS)} FROM calls WHERE id BETWEEN ? AND ? AND uuid8 IS NOT NULL ORDER BY id"  # noqa: S608  # ours


@dataclass(frozen=True, slots=True)
class RowRange:
    """first, last: numbers of rows."""

    out: str
    first: int
    last: int


def row_ranges(out: Path, db: sqlite3.Connection) -> list[RowRange]:
    last = db.execute("SELECT coalesce(max(id), 0) FROM calls").fetchone()[0]
    return [RowRange(str(out), first, first + RANGE - 1) for first in range(1, last + 1, RANGE)]


def check_ranges(ranges: Sequence[RowRange]) -> list[Checked]:
    """Check ranges of one directory, one after the other. Raises StoreError."""
    out = Path(ranges[0].out)
    found = []
    with open_ledger(out) as db, closing(open_parts(out)) as reader:
        is_there = cache(lambda part: reader.size(part) is not None)  # once for all lines of a part that is broken
        for rows in ranges:
            values = db.execute(_SQL, (rows.first, rows.last))
            found.append(_check((Row(dict(zip(COLUMNS, each, strict=True))) for each in values), reader, is_there))
    return found


def _check(rows: Iterable[Row], reader: PartReader, is_there: Callable[[str], bool]) -> Checked:
    """Read the lines of all rows, ahead where that saves waiting, in the same order."""
    checked = Checked()
    waiting: deque[Row] = deque()

    def places() -> Iterator[str]:
        for row in rows:
            place = row["location"]
            if place is not None:
                checked.live[place.partition("#")[0]] += 1
            if row.is_open:  # its line, if it has one, is about to have a successor
                continue
            checked.records += 1
            if place is not None:
                waiting.append(row)
                yield place
            elif (finding := without_a_file(row)) is not None:
                checked.findings.append(finding)

    for data in reader.read_all(places()):
        if not isinstance(data, BodyError):
            checked.bytes += len(data)
        finding = _compared(waiting.popleft(), data, is_there)
        if finding is not None:
            checked.findings.append(finding)
    return checked


def _compared(row: Row, data: bytes | BodyError, is_there: Callable[[str], bool]) -> Finding | None:
    place = row["location"]
    if not isinstance(data, BodyError):
        return compare(row, data, place, raw=False, levels=0)
    if is_there(place.partition("#")[0]):
        return row.found(Kind.ALTERED, str(data))
    return row.found(Kind.MISSING, GONE)


def check_parts(
    out: Path, db: sqlite3.Connection, live: Counter[str], broken: Collection[str]
) -> Iterator[tuple[int, Finding | None]]:
    """Each part: lines to which no row points, and what is wrong with it, if that is not known yet.

    live: rows by part. broken: parts of which rows have been found broken.
    """
    with closing(open_parts(out)) as reader:
        present = {name: found for tree in TREES for name, found in reader.sizes(tree)}
        for name, size, lines in db.execute("SELECT name, bytes, lines FROM packs ORDER BY name"):
            idle = max(0, lines - live[name])
            if name not in present:
                yield idle, None if name in broken or not lines else Finding(Kind.MISSING, name, GONE)
                continue
            found = present.pop(name)
            if found > size:
                detail = f"{found - size:,} bytes at its end are of no record: a run was killed while it wrote them"
                yield idle, Finding(Kind.TORN, name, detail)
            elif name not in broken and (found < size or idle):
                yield idle, _read_through(reader, name, size)
            else:
                yield idle, None
        for name in sorted(present):
            yield 0, Finding(Kind.ORPHAN, name, "no run wrote it")


def _read_through(reader: PartReader, name: str, size: int) -> Finding | None:
    """What is wrong where no row looks, so that others can read the whole part."""
    try:
        data = reader.whole(name)
        for at, length in frames(data):
            unpack(data[at : at + length])
    except (BodyError, ValueError) as exc:
        return Finding(Kind.ALTERED, name, f"no row points there, but readers of the whole part will fail: {exc}")
    if len(data) < size:
        return Finding(Kind.ALTERED, name, f"it has {len(data):,} bytes instead of {size:,}; no row points to the rest")
    return None
