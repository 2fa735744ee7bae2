"""The commit: a batch of records made durable in the right order.

Body, barrier, row: bodies are written, one barrier covers them all, one commit acknowledges them all
(group commit). A kill or a power cut at any point loses nothing that was acknowledged; what was not is
fetched again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from crawler.items import Outcome, Record
from crawler.store.changes import note_change
from crawler.store.envelope import envelope
from crawler.store.files import STAGED, location
from crawler.store.ledger import Ledger
from crawler.store.schema import State

if TYPE_CHECKING:
    from crawler.store.files import Files

ENVELOPE_FIELDS: Final = (
    "uuid", "source", "line", "key", "url", "method", "status", "outcome", "fetched_at", "elapsed_ms", "attempts",
    "headers", "meta", "sha256", "error",
)  # fmt: skip

Note: TypeAlias = Callable[[Ledger], None]
"""A statement for the ledger that is no record: it joins the next commit."""


class Committer:
    """Commits for one run. raw: bodies alone instead of envelopes. levels: of folders. changes: note them."""

    def __init__(
        self, files: Files, ledger: Ledger, *, run: int, list_id: int | None, raw: bool, levels: int,
        changes: bool = False,
    ) -> None:  # fmt: skip
        self._files = files
        self._ledger = ledger
        self._run_id = run
        self._list_id = list_id
        self._lists: dict[str, int | None] = {}
        self._raw = raw
        self._levels = levels
        self._notes_changes = changes
        self._settled: list[int] = []  # rows whose files are in place, to be marked so by the next commit

    def commit(self, batch: Sequence[Record | Note]) -> None:
        """Make a batch durable; records get their location and digests. Raises StoreError: then nothing of it is."""
        records = [item for item in batch if isinstance(item, Record)]
        changed = [self._write_body(record) for record in records]
        settled, self._settled = self._settled, []
        if any(changed) or settled:
            self._files.barrier()
        if batch or settled:
            with self._ledger.transaction():
                self._ledger.set_states(State.SETTLED, settled)
                for item in batch:
                    self._commit_one(item)
        for record in records:
            if _is_staged(record):
                self._settle(record)

    def _commit_one(self, item: Record | Note) -> None:
        if not isinstance(item, Record):
            item(self._ledger)
            return
        if item.kept:
            assert item.ticket is not None
            self._ledger.keep(item.ticket, run=self._run_id)
        else:
            self._ledger.record(item, run=self._run_id, list_id=self.list_of(item.source), staged=_is_staged(item))
        if self._notes_changes:
            note_change(self._ledger, item)

    def list_of(self, source: str | None) -> int | None:
        """The row, in `lists`, of the file that a line is from: of one path, the latest is this run's."""
        if source is None:
            return self._list_id
        if source not in self._lists:
            found = self._ledger.query("SELECT max(id) FROM lists WHERE path = ?", (source,))
            self._lists[source] = found[0][0]
        return self._lists[source]

    def _write_body(self, record: Record) -> bool:
        """Whether a file was written. What a killed run left under the record's name, no row's file, goes."""
        if record.uuid is None or record.outcome is Outcome.DUPLICATE:
            return False
        prior = _prior_location(record)
        if record.kept:
            if prior is not None:
                self._files.discard(prior + STAGED)
            return False
        if prior is None:  # else `settle` sees to it, after the commit
            for ok in (True, False):
                if record.body is None or record.ok is not ok:
                    self._files.discard(location(record.uuid, ok=ok, levels=self._levels))
        if record.body is None:
            return False
        record.bytes = len(record.body)
        record.sha256 = hashlib.sha256(record.body).hexdigest()
        data = record.body if self._raw else envelope(_metadata(record), record.body, record.content_type)
        record.file_digest = record.sha256 if self._raw else hashlib.sha256(data).hexdigest()
        record.location = location(record.uuid, ok=record.ok, levels=self._levels)
        self._files.put(record.location, data, staged=prior is not None)
        return True

    def _settle(self, record: Record) -> None:
        ticket = record.ticket
        assert ticket is not None
        assert ticket.row is not None
        assert record.uuid is not None
        self._files.settle(record.uuid, record.location, levels=self._levels)
        self._settled.append(ticket.row)


def _metadata(record: Record) -> Mapping[str, object]:
    values: dict[str, object] = {name: getattr(record, name) for name in ENVELOPE_FIELDS}
    if record.error is None:
        del values["error"]
    if record.source is None:  # the list is one file, and everybody knows which
        del values["source"]
    return values


def _prior_location(record: Record) -> str | None:
    prior = record.ticket.prior if record.ticket is not None else None
    return prior.location if prior is not None else None


def _is_staged(record: Record) -> bool:
    """Whether its row's file of an earlier run is still there to be replaced or removed."""
    return _prior_location(record) is not None and not record.kept
