"""The commit: a batch of records made durable in the right order.

Body, barrier, row: bodies are written, one barrier covers them all, one commit acknowledges them all
(group commit). A kill or a power cut at any point loses nothing that was acknowledged; what was not is
fetched again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from crawler.items import Outcome, Record
from crawler.store.bodies import Body
from crawler.store.changes import note_change
from crawler.store.envelope import envelope
from crawler.store.ledger import Ledger
from crawler.store.schema import State

if TYPE_CHECKING:
    from crawler.store.bodies import Bodies, Locations

Note: TypeAlias = Callable[[Ledger], None]
"""A statement for the ledger that is no record: it joins the next commit."""


_FILE_OF_SEVERAL: Final = "SELECT path FROM lists WHERE id = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE list = ?)"


class Begun(NamedTuple):
    """A batch whose bodies are being written. placed: those of its records that may have one. locations: of these."""

    batch: Sequence[Record | Note]
    records: Sequence[Record]
    placed: Sequence[Record]
    locations: Locations


class Committer:
    """Commits for one run. raw: bodies alone instead of envelopes. lines: envelopes of one line. changes: note them.

    inside: the list is a part of another one (failed.jsonl), whose lines the records go on to be.
    """

    def __init__(
        self, bodies: Bodies, ledger: Ledger, *, run: int, list_id: int | None, raw: bool, lines: bool = False,
        changes: bool = False, inside: bool = False,
    ) -> None:  # fmt: skip
        self._bodies = bodies
        self._ledger = ledger
        self._run_id = run
        self._list_id = list_id
        self._lists: dict[str, int | None] = {}
        self._raw = raw
        self._lines = lines
        self._notes_changes = changes
        self._inside = inside
        self._settled: list[int] = []  # rows whose bodies are in place, to be marked so by the next commit

    @property
    def overlaps(self) -> bool:
        """Whether a batch may begin before the one before it is finished: each of its bodies has a place of its own."""
        return not self._bodies.stages

    def commit(self, batch: Sequence[Record | Note]) -> None:
        """Make a batch durable; records get their location and digests. Raises StoreError: then nothing of it is."""
        self.finish(self.begin(batch))

    def begin(self, batch: Sequence[Record | Note]) -> Begun:
        """Have the bodies of a batch written. Raises StoreError."""
        records = [item for item in batch if not callable(item)]
        placed = [record for record in records if _has_place(record)]
        return Begun(batch, records, placed, self._bodies.put([self._body(record) for record in placed]))

    def finish(self, begun: Begun) -> None:
        """Make a batch that was begun durable, in the order in which they were begun. Raises as `commit` does."""
        locations = begun.locations()
        for record, location in zip(begun.placed, locations, strict=True):
            if location is not None:
                record.location = location
        settled, self._settled = self._settled, []
        if settled or any(locations):
            self._bodies.barrier()
        if begun.batch or settled:
            with self._ledger.transaction():
                self._ledger.set_states(State.SETTLED, settled)
                for item in begun.batch:
                    self._commit_one(item)
                self._bodies.enter()
        for record in begun.records:
            if self._is_staged(record):
                self._settle(record)

    def _commit_one(self, item: Record | Note) -> None:
        if callable(item):
            item(self._ledger)
            return
        if item.kept:
            assert item.ticket is not None
            self._ledger.keep(item.ticket, run=self._run_id)
        else:
            self._ledger.record(item, run=self._run_id, list_id=self.list_of(item.source), staged=self._is_staged(item))
        if self._notes_changes:
            note_change(self._ledger, item)

    def list_of(self, source: str | None) -> int | None:
        """The row, in `lists`, of the file that a line is from: of one path, the latest is this run's."""
        if source is None:
            return self._list_id
        if source not in self._lists:
            found = self._ledger.query("SELECT max(id) FROM lists WHERE path = ?", (source,))
            known = found[0][0]
            if known is None:  # a shared list's: only its lines say which files there are
                known = self._ledger.write("INSERT INTO lists (path) VALUES (?)", (source,))
            self._lists[source] = known
        return self._lists[source]

    def _body(self, record: Record) -> Body:
        """What a record has to keep; it gets its length and digests."""
        assert record.uuid is not None
        prior, body = _prior_location(record), record.body
        if record.kept or body is None:
            return Body(record.uuid, record.ok, None, prior, record.kept)
        record.bytes = len(body)
        record.sha256 = hashlib.sha256(body).hexdigest()
        data = body if self._raw else self._envelope(record, body)
        record.file_digest = record.sha256 if self._raw else hashlib.sha256(data).hexdigest()
        return Body(record.uuid, record.ok, data, prior)

    def _envelope(self, record: Record, body: bytes) -> bytes:
        return envelope(self._metadata(record), body, record.content_type, one_line=self._lines)

    def _metadata(self, record: Record) -> Mapping[str, object]:
        values: dict[str, object] = {  # written out: a third of the time that a loop over the names takes
            "uuid": record.uuid, "source": record.source, "line": record.line, "key": record.key, "url": record.url,
            "method": record.method, "status": record.status, "outcome": record.outcome,
            "fetched_at": record.fetched_at, "elapsed_ms": record.elapsed_ms, "attempts": record.attempts,
            "headers": record.headers, "meta": record.meta, "sha256": record.sha256, "error": record.error,
        }  # fmt: skip
        prior = record.ticket.prior if record.ticket is not None else None
        if self._inside and prior is not None:
            values["line"] = prior.line
            values["source"] = self._source_of(prior.list)
        if record.error is None:
            del values["error"]
        if values["source"] is None:  # the list is one file, and everybody knows which
            del values["source"]
        return values

    def _source_of(self, list_id: int | None) -> str | None:
        """The file of a list of several; None for a list of one, of which there were runs."""
        found = self._ledger.query(_FILE_OF_SEVERAL, (list_id, list_id))
        return str(found[0][0]) if found else None

    def _is_staged(self, record: Record) -> bool:
        """Whether its row's body of an earlier run is still there to be replaced or removed."""
        return self._bodies.stages and _prior_location(record) is not None and not record.kept

    def _settle(self, record: Record) -> None:
        ticket = record.ticket
        assert ticket is not None
        assert ticket.row is not None
        assert record.uuid is not None
        self._bodies.settle(record.uuid, record.location)
        self._settled.append(ticket.row)


def _prior_location(record: Record) -> str | None:
    prior = record.ticket.prior if record.ticket is not None else None
    return prior.location if prior is not None else None


def _has_place(record: Record) -> bool:
    """Whether bodies may be kept under its name: a duplicate bears another call's."""
    return record.uuid is not None and record.outcome is not Outcome.DUPLICATE
