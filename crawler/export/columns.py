"""The columns of a table: those of a record, and the list's own, which stand beside them.

Owns: their names, their types, and what a cell holds as text. One pass over the ledger finds the list's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from crawler.store.envelope import stored_body
from crawler.store.reading import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crawler.store.reading import Chosen, Reading

Kind = Literal["text", "whole", "real", "truth", "time"]

MOST_OF_THE_LIST: Final = 1000
"""Columns of the list's own up to which each becomes one of the table; beyond, `meta` holds them as JSON."""

BODY: Final = ("body", "charset", "text", "base64")
"""Where the body stands, as in an envelope: JSON, or text and its charset, or anything else in base64."""

_WHOLE: Final = frozenset({"run", "line", "n", "redirects", "status", "bytes", "attempts", "elapsed_ms", "waited_ms"})
_TIMES: Final = frozenset({"started_at", "not_before"})

_OWN_SQL: Final = """
SELECT j.key, j.type, typeof(j.value), min(c.id), min(j.id) FROM calls c, json_each(c.meta) j
WHERE c.meta IS NOT NULL AND {} GROUP BY 1, 2, 3 ORDER BY 4, 5
"""


@dataclass(frozen=True, slots=True)
class Column:
    """name: its title. own: the key in `meta`, None for a column of the record itself. kind: of its values."""

    name: str
    kind: Kind = "text"
    own: str | None = None


def table_columns(reading: Reading, chosen: Chosen, *, bodies: bool) -> list[Column]:
    """The columns of all that is chosen: the record's, the list's own, and the body's."""
    own = _own(reading, chosen)
    columns = [Column(name, _kind_of(name)) for name in COLUMNS if name != "meta" or own is None]
    taken = {*COLUMNS, *BODY}
    for key, kind in (own or {}).items():
        name = key
        while name in taken:  # `status` of a list is `list_status`
            name = f"list_{name}"
        taken.add(name)
        columns.append(Column(name, kind, key))
    return columns + [Column(name) for name in BODY if bodies]


def _kind_of(name: str) -> Kind:
    return "whole" if name in _WHOLE else "time" if name in _TIMES else "text"


def _own(reading: Reading, chosen: Chosen) -> dict[str, Kind] | None:
    """The keys of `meta` and their kinds, in order of appearance; None when there are too many."""
    condition, values = chosen.sql()
    found: dict[str, set[tuple[str, str]]] = {}
    for key, type_, stored, *_ in reading.db.execute(_OWN_SQL.format(condition), values):
        found.setdefault(key, set()).add((type_, stored))
        if len(found) > MOST_OF_THE_LIST:
            return None
    return {key: _kind(types - {("null", "null")}) for key, types in found.items()}


def _kind(types: set[tuple[str, str]]) -> Kind:
    """What holds all values of a column. (integer, real) is one of more than 64 bits, which stays text."""
    if types == {("integer", "integer")}:
        return "whole"
    if types and types <= {("integer", "integer"), ("real", "real")}:
        return "real"
    return "truth" if types and {name for name, _ in types} <= {"true", "false"} else "text"


def cells(columns: list[Column], record: Mapping[str, Any], body: bytes | None) -> Iterator[Any]:
    """The values of a record: texts, numbers, truths, None. Objects and what is mixed become JSON text."""
    stored: dict[str, Any] = {} if body is None else stored_body(body, record["content_type"])
    if "body" in stored:
        stored["body"] = bytes(stored["body"]).decode()
    meta = record["meta"]
    for column in columns:
        if column.own is not None:
            value = meta.get(column.own)
        else:
            value = record[column.name] if column.name in record else stored.get(column.name)
        yield as_text(value) if column.kind == "text" and not isinstance(value, str | None) else value


def as_text(value: object) -> str | None:
    """A value that is no text as JSON; an empty object, as of a record without headers, as None."""
    return None if value == {} else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
