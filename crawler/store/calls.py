"""The statements that write a row of `calls`. Owns its columns, in order, and how little a row costs; writes none.

A None is said as NULL in the statement, and is no parameter of it: of each None that it is given, the module sqlite3
asks whether it adapts itself, which takes 1 us, as much as three other values; and a row has 10 to 20. So it does of
bytes, and not of a bytearray.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS: Final = (
    "uuid8", "uuid", "run", "checked", "state", "list", "line", "n", "parent", "key", "method", "url", "host",
    "final_url", "redirects", "outcome", "status", "http_version", "ip", "location", "bytes", "sha256",
    "file_digest", "content_type", "headers", "etag", "last_modified", "attempts", "started_at", "elapsed_ms",
    "waited_ms", "not_before", "error", "meta",
)  # fmt: skip
_KEPT: Final = ("uuid8", "uuid", "list", "line", "n", "parent")  # what a row keeps when its call is made again
_REPLACED: Final = [name for name in COLUMNS if name not in _KEPT]
_REPLACED_AT: Final = [index for index, name in enumerate(COLUMNS) if name not in _KEPT]

STATEMENTS: Final = 128
"""Statements that are kept: the rows of one API have a dozen shapes."""


def insert(values: Sequence[object]) -> tuple[str, list[object]]:
    """A new row, by its columns in order: the statement, and what it is given."""
    return _insert(_gaps(values)), _given(values)


def update(values: Sequence[object], row: int) -> tuple[str, list[object]]:
    """The same for a row whose call was made again; it stays the same call's."""
    replaced = [values[at] for at in _REPLACED_AT]
    return _update(_gaps(replaced)), [*_given(replaced), row]


def _gaps(values: Sequence[object]) -> tuple[bool, ...]:
    return tuple([value is None for value in values])


def _given(values: Sequence[object]) -> list[object]:
    return [value for value in values if value is not None]


@lru_cache(STATEMENTS)
def _insert(gaps: tuple[bool, ...]) -> str:
    places = ", ".join("NULL" if gap else "?" for gap in gaps)
    return f"INSERT INTO calls ({', '.join(COLUMNS)}) VALUES ({places})"  # noqa: S608  # names of columns only


@lru_cache(STATEMENTS)
def _update(gaps: tuple[bool, ...]) -> str:
    changes = ", ".join(f"{name} = {'NULL' if gap else '?'}" for name, gap in zip(_REPLACED, gaps, strict=True))
    return f"UPDATE calls SET {changes} WHERE id = ?"  # noqa: S608  # names of columns only
