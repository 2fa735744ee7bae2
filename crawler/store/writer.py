"""The writer: one thread that makes records durable in the right order, a batch at a time.

Body, barrier, row: bodies are written, one barrier covers them all, one commit acknowledges them all
(group commit). A kill or a power cut at any point loses nothing that was acknowledged; what was not is
fetched again. Any refusal of the disk ends the thread: nothing of that batch is acknowledged, ever.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from crawler.exceptions import ApiFetchError, StoreError
from crawler.items import Outcome, Record
from crawler.store.envelope import envelope
from crawler.store.files import STAGED, location
from crawler.store.schema import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from crawler.store.files import Files
    from crawler.store.ledger import Ledger

logger = logging.getLogger("apifetch")

BATCH_RECORDS: Final = 256
"""Records behind one barrier: beyond a few hundred a larger batch costs memory and repeats, and gains nothing."""

BATCH_BYTES: Final = 16 * 1024 * 1024
"""Body bytes behind one barrier, so that large bodies do not make one batch long."""

QUEUE_RECORDS: Final = 4 * BATCH_RECORDS
QUEUE_BYTES: Final = 4 * BATCH_BYTES
"""What may wait for the writer; beyond it the engine waits."""

LINGER_S: Final = 0.05
"""How long a batch waits to fill: at 1,000 calls a second it saves 9 of 10 commits, and nobody waits for it."""

ENVELOPE_FIELDS: Final = (
    "uuid", "line", "key", "url", "method", "status", "outcome", "fetched_at", "elapsed_ms", "attempts", "headers",
    "meta", "sha256", "error",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A statement for the ledger that is no record: it joins the next commit."""

    apply: Callable[[Ledger], None]
    done: Callable[[], None] | None = None  # called in the writer's thread once it is durable


class Writer(threading.Thread):
    """Takes records from one thread (the engine's), commits them in its own.

    acknowledged: called in this thread with the records of each commit, [] when it held notes only.
    ended: called once, in this thread, with the error that ended it, None after `finish`; no StoreError: a
    bug. batch_records: the most behind one barrier, 1 for `strict`. Daemon, so that a stuck disk never keeps
    the process alive.
    """

    def __init__(
        self,
        files: Files,
        ledger: Ledger,
        *,
        run: int,
        list_id: int | None,
        raw: bool,
        levels: int,
        batch_records: int = BATCH_RECORDS,
        acknowledged: Callable[[Sequence[Record]], None],
        ended: Callable[[ApiFetchError | None], None],
    ) -> None:
        super().__init__(name="apifetch-writer", daemon=True)
        self._files = files
        self._ledger = ledger
        self._run_id = run
        self._list_id = list_id
        self._raw = raw
        self._levels = levels
        self._batch_records = batch_records
        self._acknowledged = acknowledged
        self._ended = ended
        self._changed = threading.Condition()
        self._queue: deque[Record | Note] = deque()
        self._queued_bytes = 0
        self._closing = False
        self._settled: list[int] = []  # rows whose files are in place, to be marked so by the next commit
        self.error: StoreError | None = None

    def put(self, item: Record | Note) -> None:
        """Queue *item*; whoever calls looks at `full` first. Raises StoreError once the writer has ended."""
        with self._changed:
            if self.error is not None:
                raise self.error
            self._queue.append(item)
            self._queued_bytes += _size(item)
            if len(self._queue) in (1, self._batch_records):
                self._changed.notify()

    @property
    def full(self) -> bool:
        """Whether the engine should wait before it puts more."""
        return len(self._queue) >= QUEUE_RECORDS or self._queued_bytes >= QUEUE_BYTES

    def finish(self) -> None:
        """Ask the thread to commit what is queued and to end; returns at once."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def run(self) -> None:
        error: ApiFetchError | None = None
        try:
            while batch := self._next_batch():
                self._commit(batch)
            self._commit([])
        except ApiFetchError as exc:
            error = exc
        except Exception as exc:  # a bug must stop the run, not only its writer
            logger.exception("the writer failed")
            error = ApiFetchError(f"the writer failed: {exc!r}")
        with self._changed:
            self.error = error if isinstance(error, StoreError) else StoreError("the writer has ended")
            self._queue.clear()
        self._ended(error)

    def _next_batch(self) -> list[Record | Note]:
        """Wait for something, then for company; [] when closing and empty."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            deadline = time.monotonic() + LINGER_S
            while not self._closing and len(self._queue) < self._batch_records and self._queued_bytes < BATCH_BYTES:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            batch: list[Record | Note] = []
            batch_bytes = 0
            while self._queue and len(batch) < self._batch_records and batch_bytes < BATCH_BYTES:
                item = self._queue.popleft()
                batch.append(item)
                batch_bytes += _size(item)
            self._queued_bytes -= batch_bytes
            return batch

    def _commit(self, batch: list[Record | Note]) -> None:
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
        if batch:
            self._acknowledged(records)
        for item in batch:
            if isinstance(item, Note) and item.done is not None:
                item.done()

    def _commit_one(self, item: Record | Note) -> None:
        if isinstance(item, Note):
            item.apply(self._ledger)
        elif item.kept:
            assert item.ticket is not None
            self._ledger.keep(item.ticket, run=self._run_id)
        else:
            self._ledger.record(item, run=self._run_id, list_id=self._list_id, staged=_is_staged(item))

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
    return values


def _prior_location(record: Record) -> str | None:
    prior = record.ticket.prior if record.ticket is not None else None
    return prior.location if prior is not None else None


def _is_staged(record: Record) -> bool:
    """Whether its row's file of an earlier run is still there to be replaced or removed."""
    return _prior_location(record) is not None and not record.kept


def _size(item: Record | Note) -> int:
    return len(item.body) if isinstance(item, Record) and item.body is not None else 0
