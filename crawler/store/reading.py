"""Reading an output directory: its records and their bodies, for whoever looks at it and changes nothing.

Owns the connection of a reader, the order in which records are told, and how a body is found again and
held against its digests. A reader sees the ledger as it was when it began, also while a run goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import tee
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from crawler.exceptions import BodyError, OtherListError, StoreError
from crawler.items import uuid_text
from crawler.store import schema
from crawler.store.envelope import read_envelope
from crawler.store.ledger import NAME
from crawler.store.ledgers import ledgers
from crawler.store.objects.address import store_of
from crawler.store.stores import open_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from crawler.items import Shard
    from crawler.store.bodies import Reader
    from crawler.store.resume import RedoRule

COLUMNS: Final = (
    "run", "source", "line", "n", "uuid", "parent", "key", "method", "url", "host", "final_url", "redirects", "outcome",
    "status", "http_version", "ip", "location", "bytes", "sha256", "file_digest", "content_type", "headers", "etag",
    "last_modified", "attempts", "started_at", "elapsed_ms", "waited_ms", "not_before", "error", "meta",
)  # fmt: skip
"""The columns of the view `records`, in its order."""

Answer: TypeAlias = tuple[bytes | None, str | None]
"""A body, None without one, and when it was there."""

PAGE: Final = 500
"""Records that are read at once; SQLite takes up to 32,766 values in a statement."""

_OUTCOME: Final = "coalesce(c.outcome, CASE c.state WHEN 1 THEN 'pending' ELSE 'sent' END)"
_SPECIAL: Final = {"source": "l.path", "parent": "p.uuid", "outcome": _OUTCOME}
_SELECTED: Final = ", ".join(_SPECIAL.get(name, f"c.{name}") for name in COLUMNS)
_NAMES: Final = ("uuid", "parent")
_DIGESTS: Final = ("sha256", "file_digest")


@contextmanager
def open_ledger(out: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, in a transaction of its own. Raises OtherListError and StoreError."""
    path = out / NAME
    if parts := [shard for shard in ledgers(out) if shard.is_part]:
        raise in_parts(str(out), parts)
    if not path.is_file() or path.is_symlink():
        raise OtherListError(f"{out}: expected an output directory, with a {NAME} in it")
    with _opened(path) as db:
        yield db


def in_parts(out: str, parts: Sequence[Shard]) -> OtherListError:
    """The error that an output has no ledger of the whole list. out: as people know it."""
    return OtherListError(
        f"{out} is in parts (shard={parts[0]}, and {len(parts) - 1:,} more): run the list once without shard=, "
        "which brings their records together and fetches what is left"
    )


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The same, of one ledger by its path."""
    try:
        with closing(_connect(path)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if not 0 < version <= schema.VERSION:
                raise OtherListError(
                    f"{path} is a ledger of version {version}, this program reads 1 to {schema.VERSION}"
                )
            db.execute("BEGIN")
            yield db
    except sqlite3.Error as exc:
        raise StoreError(f"ledger {path}: {exc}") from exc


def _connect(path: Path) -> sqlite3.Connection:
    """Read and write for SQLite's sake, which tidies its own files up at the end; nothing else is written."""
    uri = path.resolve().as_uri()
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    db = sqlite3.connect(f"{uri}?mode=rw" if writable else f"{uri}?mode=ro&immutable=1", uri=True, isolation_level=None)
    for pragma in ("query_only=1", "busy_timeout=30000", "cache_size=-8192"):
        db.execute(f"PRAGMA {pragma}")
    return db


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which records: of these outcomes (all if empty) and of these statuses (all if empty)."""

    outcomes: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()

    def sql(self) -> tuple[str, list[object]]:
        """A condition on `calls c`, and its values."""
        conditions, values = ["1"], list[object]()
        for expression, chosen in ((_OUTCOME, self.outcomes), ("c.status", self.statuses)):
            if chosen:
                conditions.append(f"{expression} IN ({', '.join('?' * len(chosen))})")
                values += sorted(chosen)
        return " AND ".join(conditions), values


EVERYTHING: Final = Chosen()


@dataclass(slots=True)
class Reading:
    """An open output directory. where: as errors name what bodies are in, a directory or the URL of a store.

    raw: bodies alone are stored (`save=raw`). stored: where they are read.
    """

    where: str
    db: sqlite3.Connection
    raw: bool
    stored: Reader

    def count(self, chosen: Chosen = EVERYTHING) -> int:
        condition, values = chosen.sql()
        return int(self.db.execute(f"SELECT count(*) FROM calls c WHERE {condition}", values).fetchone()[0])  # noqa: S608  # ours

    def records(self, chosen: Chosen = EVERYTHING) -> Iterator[dict[str, Any]]:
        """Rows as the view `records` gives them, headers and meta as objects: by line, then followed pages.

        Only the order is sorted, by SQLite and on disk if need be; the rows are read by it, a page at a time.
        """
        condition, values = chosen.sql()
        order = f"SELECT c.id FROM calls c WHERE {condition} ORDER BY c.line IS NULL, c.list, c.line, c.id"  # noqa: S608  # ours
        numbers = self.db.execute(order, values)
        while page := [number for (number,) in numbers.fetchmany(PAGE)]:
            rows = self.db.execute(
                f"SELECT c.id, {_SELECTED} FROM calls c LEFT JOIN lists l ON l.id = c.list "  # noqa: S608  # ours
                f"LEFT JOIN calls p ON p.id = c.parent WHERE c.id IN ({', '.join('?' * len(page))})",
                page,
            )
            found = {row[0]: row[1:] for row in rows}
            for number in page:
                yield _record(found[number])

    def body(self, record: dict[str, Any]) -> bytes | None:
        """The body of a record, exactly as it was received after content decoding; None if it has no file.

        Raises BodyError when the file is missing or is not what the ledger says.
        """
        return self.answer(record)[0]

    def answer(self, record: dict[str, Any]) -> Answer:
        """The body, and when it was there as the envelope has it; else when the call began. Raises BodyError."""
        return self._opened(record, self.stored.read(record["location"]) if record["location"] is not None else None)

    def answers(self, records: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Answer | BodyError]]:
        """The same of many records, in their order; bodies are read ahead where they come from elsewhere."""
        records, again = tee(records)
        bodies = self.stored.read_all(record["location"] for record in again if record["location"] is not None)
        for record in records:
            data = next(bodies) if record["location"] is not None else None
            if isinstance(data, BodyError):
                yield record, data
                continue
            try:
                yield record, self._opened(record, data)
            except BodyError as exc:
                yield record, exc

    def _opened(self, record: dict[str, Any], data: bytes | None) -> Answer:
        if data is None:
            return None, record["started_at"]
        if hashlib.sha256(data).hexdigest() != record["file_digest"]:
            raise BodyError(f"{self.where}/{record['location']} is not what the ledger says")
        if self.raw:
            return data, record["started_at"]
        metadata, body = read_envelope(data)
        return body, metadata.get("fetched_at") or record["started_at"]


@contextmanager
def reading(out: Path) -> Iterator[Reading]:
    """Read an output directory. Raises OtherListError and StoreError."""
    with open_ledger(out) as db:
        known = identity(db)
        with closing(open_reader(out, known)) as stored:
            yield Reading(store_of(out) or str(out), db, known.get("save") == "raw", stored)


def identity(db: sqlite3.Connection) -> dict[str, str]:
    """What the directory was begun with: the list's path as `urls`, and the arguments that change what is fetched.

    An argument that said nothing is not there.
    """
    found = db.execute("SELECT value FROM about WHERE name = 'identity'").fetchone()
    known = object_of(found[0] if found else None, "what the directory was begun with")
    return {name: value for name, value in known.items() if value is not None}


def levels_of(known: Mapping[str, str]) -> int:
    """In how many levels of folders the files lie. known: as `identity` gives it. Raises StoreError."""
    said = known.get("APIFETCH_FOLDER_LEVELS", "1")
    if said not in {"0", "1", "2"}:
        raise StoreError(f"the ledger is damaged: it has files in {said!r} levels of folders, which are 0, 1 or 2")
    return int(said)


def last_arguments(db: sqlite3.Connection) -> dict[str, Any]:
    """What the latest run was told, as summary.json shows it; keys are stars."""
    found = db.execute("SELECT arguments FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    return object_of(found[0] if found else None, "the arguments of the latest run")


def object_of(text: object, what: str) -> dict[str, Any]:
    """JSON as a run wrote it into a ledger; empty for None. what: it is, for people. Raises StoreError."""
    try:
        found = {} if text is None else json.loads(str(text))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StoreError(f"the ledger is damaged: {what} is no JSON object: {text!r:.100}")
    return found


def _record(row: tuple[Any, ...]) -> dict[str, Any]:
    """Raises StoreError for one that no run wrote so."""
    record = dict(zip(COLUMNS, row, strict=True))
    try:
        for name in _NAMES:
            if record[name] is not None:
                record[name] = uuid_text(record[name])
        for name in _DIGESTS:
            if record[name] is not None:
                record[name] = record[name].hex()
        for name in ("headers", "meta"):
            record[name] = json.loads(record[name]) if record[name] else {}
    except (AttributeError, TypeError, ValueError) as exc:
        raise StoreError(
            f"the row of {record['url']} is damaged ({name}: {exc}): scrapy verify finds the others"
        ) from exc
    return record


@contextmanager
def standing(out: Path, redo: RedoRule) -> Iterator[Callable[[bytes], bool | None]]:
    """A question to all ledgers about a uuid: None when none has a record, else whether *redo* leaves it as it is."""
    sql = "SELECT outcome, status FROM calls WHERE uuid8 = ? AND uuid = ?"
    with ExitStack() as opened:
        dbs = [opened.enter_context(_opened(path)) for path in ledgers(out).values()]

        def stands(uuid: bytes) -> bool | None:
            for db in dbs:
                row = db.execute(sql, (int.from_bytes(uuid[:8], "big", signed=True), uuid)).fetchone()
                if row is not None:
                    outcome, status = row
                    return outcome is not None and not redo.matches(outcome, status)
            return None

        yield stands
