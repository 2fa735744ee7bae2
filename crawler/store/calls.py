"""The statements that write a row of `calls`. Owns its columns, in order, and how little a row costs; writes none.

A None is said as NULL in the statement, and is no parameter of it: of each None that it is given, the module sqlite3
asks whether it adapts itself, which takes 1 us, as much as three other values; and a row has 10 to 20. So it does of
bytes, and not of a bytearray.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import compress, repeat
from operator import is_not
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
    given = _given(values)
    return _insert(given), [*compress(values, given)]


def update(values: Sequence[object], row: int) -> tuple[str, list[object]]:
    """The same for a row whose call was made again; it stays the same call's."""
    replaced = [values[at] for at in _REPLACED_AT]
    given = _given(replaced)
    return _update(given), [*compress(replaced, given), row]


def _given(values: Sequence[object]) -> tuple[bool, ...]:
    """Which of them are parameters. In one go of the interpreter's: a loop over them takes 2 us more."""
    return tuple(map(is_not, values, repeat(None)))


@lru_cache(STATEMENTS)
def _insert(given: tuple[bool, ...]) -> str:
    places = ", ".join("?" if is_given else "NULL" for is_given in given)
    return f"INSERT INTO calls ({', '.join(COLUMNS)}) VALUES ({places})"  # noqa: S608  # names of columns only


@lru_cache(STATEMENTS)
def _update(given: tuple[bool, ...]) -> str:
    changes = ", ".join(
        f"{name} = {'?' if is_given else 'NULL'}" for name, is_given in zip(_REPLACED, given, strict=True)
    )
    return f"UPDATE calls SET {changes} WHERE id = ?"  # noqa: S608  # names of columns only
