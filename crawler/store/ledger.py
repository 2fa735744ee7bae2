"""The ledger: one SQLite file that says what became of every line. The truth about what is done.

Owns every statement that reads or writes it, on two connections: one of the writer's thread, one for
look-ups of the engine's. Knows nothing of files; whoever commits a row has put its body first.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from crawler.exceptions import OtherListError, StoreError
from crawler.items import Outcome, Prior, Record
from crawler.store import schema
from crawler.store.asked import asked, has_more_than_its_row
from crawler.store.calls import COLUMNS, STATEMENTS, insert, update
from crawler.store.schema import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from crawler.items import Ticket

NAME: Final = "ledger.sqlite"

Values: TypeAlias = "Sequence[object] | Mapping[str, object]"

CACHE_KIB: Final = 8 * 1024
"""Page cache: holds the uuid index's inner pages for 50 million rows. Its leaves come from the system's cache at the
same speed: with 2 to 64 MiB, 3 million rows take the same time."""

CHECKPOINT_PAGES: Final = 4096
"""WAL pages (16 MiB) between checkpoints: random index pages are then written back once for many batches."""

_PRIOR: Final = (
    "SELECT id, uuid, outcome, status, checked, state, location, list, line, parent, etag, last_modified, sha256 "
    "FROM calls"
)

_encode = msgspec.json.Encoder().encode


class Ledger:
    """An open ledger. `commit` and `write` belong to one thread, every other method to another one."""

    def __init__(self, directory: Path, *, durable: bool, name: str = NAME) -> None:
        """Open or make the ledger. durable: whether a commit is to survive a power cut. Raises StoreError."""
        self._path = directory / name
        self._durable = durable
        if self._path.is_symlink():
            raise StoreError(f"ledger {self._path}: it is a link, which may lead anywhere")
        with self._errors(), ExitStack() as opened:
            self._writer = opened.enter_context(self._connection())
            self._lift()
            self._inserting = self._writer.cursor()  # a new one for each row takes 1 us
            self._reader = opened.enter_context(self._connection())
            self._close = opened.pop_all().close

    def _lift(self) -> None:
        """Bring the file to the present version, from nothing or from an older one."""
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version > schema.VERSION:
            raise OtherListError(
                f"{self._path} was made by a newer version (ledger {version}, this program reads up to "
                f"{schema.VERSION}): upgrade, or use another -a out=..."
            )
        if version == 0:
            version = schema.VERSION
            self._writer.executescript(f"BEGIN; {schema.tables_sql()} PRAGMA user_version={version}; COMMIT")
        for step in range(version, schema.VERSION):
            self._writer.executescript(f"BEGIN; {schema.MIGRATIONS[step]}; PRAGMA user_version={step + 1}; COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(
            sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS)
        ) as db:
            for pragma in (
                "journal_mode=WAL",
                # NORMAL never corrupts, and loses no commit to a killed process.
                f"synchronous={'FULL' if self._durable else 'NORMAL'}",
                "secure_delete=1",  # a request that is forgotten, with its keys, is not left in free pages
                "fullfsync=1",  # macOS: fsync(2) stops at the drive's cache there
                f"cache_size=-{CACHE_KIB}",
                f"wal_autocheckpoint={CHECKPOINT_PAGES}",
                "busy_timeout=30000",  # ms; a person's own reader may hold the file for a moment
            ):
                db.execute(f"PRAGMA {pragma}")
            yield db

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise StoreError(f"ledger {self._path}: {exc}") from exc

    # The engine's side

    def find(self, uuid: bytes) -> Prior | None:
        """The row of that name as of the last commit, None if there is none."""
        with self._errors():
            for row in self._reader.execute(f"{_PRIOR} WHERE uuid8 = ?", (_uuid8(uuid),)):
                if row[1] == uuid:
                    return _prior(row)
        return None

    def rows(self, where: str, values: tuple[object, ...] = (), *, limit: int = -1) -> Iterator[Prior]:
        """Rows by a condition of our own, in order of writing; all of them if limit is negative."""
        with self._errors():
            for row in self._reader.execute(f"{_PRIOR} WHERE {where} ORDER BY id LIMIT ?", (*values, limit)):
                yield _prior(row)

    def request(self, row: int) -> tuple[dict[str, Any], bytes] | None:
        """What a row's call asked for (`store.asked`), and its body; None once the record is ok."""
        found = self.query("SELECT request, body FROM requests WHERE record = ?", (row,))
        return (json.loads(found[0][0]), found[0][1] or b"") if found else None

    def query(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._reader.execute(sql, values).fetchall()

    def each(self, sql: str, values: tuple[object, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """Like `query`, a row at a time."""
        with self._errors():
            yield from self._reader.execute(sql, values)

    # The writer's side

    def written(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Like `query`, on the writer's side: also what the open transaction has written, and `other`."""
        with self._errors():
            return self._writer.execute(sql, values).fetchall()

    def write(self, sql: str, values: Values = ()) -> int:
        """One statement, in the open transaction or its own; returns the new row's id, if it made one."""
        with self._errors():
            return self._writer.execute(sql, values).lastrowid or 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; durable on return (FULL). Raises StoreError after rolling back."""
        with self._errors():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def beside(self, path: Path) -> Iterator[None]:
        """Have another ledger at hand for statements of the writer's side, as `other`."""
        with self._errors():
            self._writer.execute("ATTACH ? AS other", (str(path),))
            try:
                yield
            finally:
                self._writer.execute("DETACH other")

    def record(self, record: Record, *, run: int, list_id: int | None, staged: bool) -> None:
        """Write one record's row, its children's pending rows, and what it takes to ask again."""
        ticket = record.ticket
        state = State.STAGED if staged else State.SETTLED
        named = ticket is not None and record.outcome is not Outcome.DUPLICATE
        parent = ticket.parent.row if ticket is not None and ticket.parent is not None else None
        values = (
            _uuid8(ticket.uuid) if named and ticket else None, bytearray(ticket.uuid) if ticket else None,
            run, run, state, list_id if record.line is not None else None,
            record.line, record.n, parent, record.key, record.method, record.url, record.host, record.final_url,
            record.redirects, record.outcome.value, record.status, record.http_version, record.ip, record.location,
            record.bytes, _bytes(record.sha256), _bytes(record.file_digest), record.content_type,
            _json(record.headers) if record.headers else None, record.etag, record.last_modified,
            record.attempts, record.started_at, record.elapsed_ms, record.waited_ms, record.not_before, record.error,
            _json(record.meta) if record.meta else None,
        )  # fmt: skip
        if ticket is None or not named:
            self._insert(values)
            return
        if ticket.row is None:
            ticket.row = self._insert(values)
        else:
            self._writer.execute(*update(values, ticket.row))
            if record.ok:
                self._forget_request(ticket)
        if not record.ok:
            self._ask_again(ticket)
        for child in record.children:
            self.open_call(child, run=run, list_id=None, state=State.PENDING)

    def open_call(self, ticket: Ticket, *, run: int, list_id: int | None, state: State) -> None:
        """Write down a call that has no outcome yet: a followed request, or one that is about to be sent."""
        if ticket.row is not None:
            self._writer.execute("UPDATE calls SET state = ? WHERE id = ?", (state, ticket.row))
        else:
            entry = ticket.entry
            values = dict.fromkeys(COLUMNS)
            values.update(
                uuid8=_uuid8(ticket.uuid), uuid=ticket.uuid, run=run, checked=run, state=state, list=list_id,
                line=entry.line, n=entry.n, method=entry.method, url=ticket.shown_url,
                parent=ticket.parent.row if ticket.parent else None, key=entry.key,
            )  # fmt: skip
            ticket.row = self._insert(tuple(values.values()))
        self._ask_again(ticket)

    def _insert(self, values: Sequence[object]) -> int:
        """A new row of `calls`, by its columns in order; its id."""
        return self._inserting.execute(*insert(values)).lastrowid or 0

    def _ask_again(self, ticket: Ticket) -> None:
        self._writer.execute(
            "INSERT OR REPLACE INTO requests VALUES (?, ?, ?)",
            (ticket.row, _json(asked(ticket)), ticket.entry.body or None),
        )

    def keep(self, ticket: Ticket, *, run: int) -> None:
        """Let a row stand that is ok and was fetched again in vain."""
        values = (run, State.SETTLED, ticket.row)
        self._writer.execute("UPDATE calls SET checked = ?, state = ? WHERE id = ?", values)
        self._forget_request(ticket)

    def _forget_request(self, ticket: Ticket) -> None:
        """Drop what is no longer needed: the list has it, or a page's row tells it all."""
        if not (ticket.followed and has_more_than_its_row(ticket)):
            self._writer.execute("DELETE FROM requests WHERE record = ?", (ticket.row,))

    def open_again(self, row: int, request: Mapping[str, Any], body: bytes) -> None:
        """Let a row have no outcome, so that it is fetched again, by this request."""
        self._writer.execute("UPDATE calls SET outcome = NULL, state = ? WHERE id = ?", (State.PENDING, row))
        self._writer.execute("INSERT OR REPLACE INTO requests VALUES (?, ?, ?)", (row, _json(request), body or None))

    def second(self, values: Sequence[object]) -> None:
        """Write a second of the timeline, its columns in order."""
        self._writer.execute("INSERT OR REPLACE INTO timeline VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def about(self, name: str, value: str) -> None:
        """Note something of the whole directory, under a name."""
        self._writer.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def move(self, rows: Iterable[tuple[int, int | None, int]]) -> None:
        """Give rows the list and line under which they were seen: (list, line, row) each."""
        self._writer.executemany("UPDATE calls SET list = ?, line = ? WHERE id = ?", rows)

    def set_states(self, state: State, rows: Iterable[int]) -> None:
        self._writer.executemany("UPDATE calls SET state = ? WHERE id = ?", [(state, row) for row in rows])

    def close(self) -> None:
        self._close()  # the last connection: SQLite folds the WAL into the file


def _json(value: object) -> str:
    return _encode(value).decode()


def _uuid8(uuid: bytes) -> int:
    return int.from_bytes(uuid[:8], "big", signed=True)


def _bytes(digest: str | None) -> bytearray | None:
    return bytearray.fromhex(digest) if digest else None


def _prior(row: tuple[Any, ...]) -> Prior:
    number, uuid, outcome, status, checked, state, place, list_id, line, parent, etag, last_modified, sha256 = row
    return Prior(
        id=number, uuid=uuid, outcome=Outcome(outcome) if outcome else None, status=status, checked=checked,
        state=state, location=place, list=list_id, line=line, parent=parent, etag=etag,
        last_modified=last_modified, sha256=sha256.hex() if sha256 else None,
    )  # fmt: skip
