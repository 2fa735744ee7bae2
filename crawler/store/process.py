"""The writer's process: takes records from a socket, commits them a batch at a time, says what is durable.

A process, not a thread: files and rows are many small system calls, after each of which a thread would
have to win the interpreter back from the engine; measured, that cost more than half a call's CPU and half
the speed. It holds the directory's lock as well, so that nobody else begins before it has ended, and it
ends with its socket: when the engine has said that it is done, or is gone, what arrived whole is committed.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
import traceback
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from crawler.exceptions import ApiFetchError, StoreError
from crawler.garbage import collect_less
from crawler.items import WHOLE, Outcome, Record, Shard, Ticket
from crawler.store.commit import Begun, Committer, Note
from crawler.store.ledger import NAME, Ledger
from crawler.store.messages import About, Committed, Failed, Frames, Message, Moved, Put, Sent, Stored, frame
from crawler.store.place import Place
from crawler.store.schema import State
from crawler.store.stores import open_bodies

BATCH_RECORDS: Final = 256
"""Records behind one barrier: beyond a few hundred a larger batch costs memory and repeats, and gains nothing."""

PACKED_RECORDS: Final = 2 * BATCH_RECORDS
"""The same where bodies go into one file: there is little but the barrier to wait for, and half of what the engine may
have on its way still comes in meanwhile."""

BATCH_BYTES: Final = 16 * 1024 * 1024
"""Body bytes behind one barrier, so that large bodies do not make one batch long."""

OBJECTS_RECORDS: Final = 16 * 1024
OBJECTS_BYTES: Final = 32 * 1024 * 1024
OBJECTS_LINGER_S: Final = 60.0
"""The same where a batch is an object (`store.objects.packs`): 50 million records of 1 kB are 3,100 parts of some 4 MB,
and nobody waits longer than a minute for what has been fetched."""

LINGER_S: Final = 0.05
"""How long a batch waits to fill: at 1,000 calls a second it saves 9 of 10 commits. Where a call waits for it, it does
not wait: with a `rate` such calls go out one after the other, 19 a second instead of 100."""

READ_BYTES: Final = 256 * 1024  # twice what the engine sends at once

SWITCH_S: Final = 0.0005
"""How soon a thread that packs (`store.packs`) gets the interpreter, three times a batch; Python's own 5 ms would be as
long as all else that it does for 512 records of 1 kB. Of no use to threads that wait for an object store: it costs them
CPU."""


class WriterProcess:
    """Reads messages, commits batches. batch_records: the most behind one barrier, 1 for `strict`."""

    def __init__(
        self, engine: socket.socket, committer: Committer, ledger: Ledger, *, run: int, batch_records: int,
        batch_bytes: int = BATCH_BYTES, linger_s: float | None = None,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._committer = committer
        self._ledger = ledger
        self._run = run
        self._batch_records = batch_records
        self._batch_bytes = batch_bytes
        self._linger_s = LINGER_S if linger_s is None else linger_s
        self._frames = Frames(Message)
        self._queue: list[Message] = []
        self._queued_bytes = 0
        self._is_awaited = False  # whether a call in the queue goes out only once it is on disk that it will
        self._open: dict[bytes, Ticket] = {}  # calls whose row is there and whose record is not
        self._before: dict[bytes, Ticket] = {}  # of the batch before, whose rows may not be there yet
        self._ended = False  # the engine says no more

    def serve(self) -> None:
        """Return when the engine has closed its end and all that came is durable. Raises StoreError."""
        while not self._ended or self._queue:
            if not self._queue:
                self._receive(None)
            deadline_s = time.monotonic() + self._linger_s
            while not (self._ended or self._is_full or self._is_awaited):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or not self._receive(left_s):
                    break
            self._commit()
        self._committer.commit([])

    @property
    def _is_full(self) -> bool:
        return len(self._queue) >= self._batch_records or self._queued_bytes >= self._batch_bytes

    def _receive(self, timeout_s: float | None) -> bool:
        """Take in what has come, waiting that long for it; whether something came."""
        self._engine.settimeout(timeout_s)
        try:
            data = self._engine.recv(READ_BYTES)
        except (TimeoutError, BlockingIOError):
            return False
        except ConnectionError:  # killed: its last words are still whole or not there at all
            data = b""
        self._ended = not data
        for message in self._frames.feed(data):
            self._queue.append(message)
            self._queued_bytes += _size(message)
            self._is_awaited |= _is_awaited(message)
        return bool(data)

    def _commit(self) -> None:
        """Commit a batch; and as long as there is a whole one behind it, make that one while its bodies are written."""
        begun = self._begin()
        while begun is not None:
            following = self._begin() if self._committer.overlaps and self._fills() else None
            self._finish(begun)
            begun = following

    def _fills(self) -> bool:
        """Take in what has come already; whether that is a whole batch."""
        while not self._is_full:
            if not self._receive(0):
                return False
        return True

    def _begin(self) -> Begun | None:
        """Begin with what fits into a batch; None if there is nothing."""
        batch: list[Message] = []
        batch_bytes = 0
        for message in self._queue[: self._batch_records]:
            if batch_bytes >= self._batch_bytes:
                break
            batch.append(message)
            batch_bytes += _size(message)
        del self._queue[: len(batch)]
        self._is_awaited = self._is_awaited and any(map(_is_awaited, self._queue))
        self._queued_bytes -= batch_bytes
        if not batch:
            return None
        tickets: dict[bytes, Ticket] = {}
        items = [self._item(message, tickets) for message in batch]
        self._before = tickets
        return self._committer.begin(items)

    def _finish(self, begun: Begun) -> None:
        """Make a batch durable, and say so."""
        self._committer.finish(begun)
        stored = [Stored(record.location, record.bytes, record.sha256, record.file_digest) for record in begun.records]
        with suppress(ConnectionError):  # nobody is left to hear it
            self._engine.settimeout(None)
            self._engine.sendall(frame(Committed(len(begun.batch), stored)))

    def _item(self, message: Message, tickets: dict[bytes, Ticket]) -> Record | Note:
        """What the committer takes. tickets: of this batch, for pages that came before their children."""
        if isinstance(message, Put):
            return self._record(message, tickets)
        if isinstance(message, Sent):
            ticket = self._open[message.ticket.uuid] = self._ticket(message.ticket, message.parent, tickets)
            source = ticket.entry.source
            list_id = message.list_id if source is None else self._committer.list_of(source)
            state = State.SENT
            if message.again:
                had_outcome = ticket.prior is not None and ticket.prior.outcome is not None
                state = State.SETTLED if had_outcome else State.PENDING
            return lambda ledger: ledger.open_call(ticket, run=self._run, list_id=list_id, state=state)
        if isinstance(message, Moved):
            return lambda ledger: ledger.move(message.rows)
        if isinstance(message, About):
            return lambda ledger: ledger.about(message.name, message.value)
        return lambda ledger: ledger.second(message.values)

    def _record(self, message: Put, tickets: dict[bytes, Ticket]) -> Record:
        record, ticket = message.record, message.ticket
        record.body = message.body
        if ticket is not None and record.outcome is Outcome.DUPLICATE:  # bears another call's name
            record.ticket = self._new(ticket, message.parent, tickets)
        elif ticket is not None:
            record.ticket = tickets[ticket.uuid] = self._ticket(ticket, message.parent, tickets)
            record.children = [self._child(child, record.ticket) for child in message.children]
        return record

    def _child(self, told: Ticket, parent: Ticket) -> Ticket:
        child = self._open[told.uuid] = self._open.get(told.uuid, told)
        child.parent = parent
        return child

    def _ticket(self, told: Ticket, parent: bytes | None, tickets: dict[bytes, Ticket]) -> Ticket:
        """The ticket of a call: as it was told before, else new."""
        return self._open.pop(told.uuid, None) or self._new(told, parent, tickets)

    def _new(self, told: Ticket, parent: bytes | None, tickets: dict[bytes, Ticket]) -> Ticket:
        if parent is not None and told.row is None:
            told.parent = tickets.get(parent) or self._before.get(parent) or self._page(told, parent)
        return told

    def _page(self, told: Ticket, uuid: bytes) -> Ticket | None:
        """A page of an earlier batch, as far as the row of a call that it led to needs it."""
        prior = self._ledger.find(uuid)
        return Ticket(entry=told.entry, uuid=uuid, shown_url="", row=prior.id) if prior is not None else None


def main() -> None:
    """The process: its orders come as JSON in the first argument, see `store.writer`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the engine hears them, and says when it is over
    collect_less()
    orders: dict[str, Any] = json.loads(sys.argv[1])
    if orders["packed"] and not orders["objects"]:
        sys.setswitchinterval(SWITCH_S)
    serve(socket.socket(fileno=orders["socket"]), orders)


def serve(engine: socket.socket, orders: dict[str, Any]) -> None:
    """Commit what comes until the engine has said that it is done, or is gone; then close its socket."""
    with engine:
        try:
            _serve(engine, orders)
        except Exception as exc:  # noqa: BLE001  # whatever it is, the engine must hear of it
            if not isinstance(exc, ApiFetchError):
                traceback.print_exc()
            with suppress(OSError):
                engine.sendall(frame(Failed(str(exc) or repr(exc), isinstance(exc, StoreError))))


def _serve(engine: socket.socket, orders: dict[str, Any]) -> None:
    place = Place(Path(orders["directory"]), orders["lock"])
    durability, shard = orders["durability"], Shard.of_file(orders["ledger"], NAME) or WHOLE
    with (
        closing(Ledger(place.directory, durable=durability != "process", name=orders["ledger"])) as ledger,
        closing(
            open_bodies(place, ledger, shard, durability=durability, levels=orders["levels"], packed=orders["packed"])
        ) as bodies,
    ):
        committer = Committer(
            bodies, ledger, run=orders["run"], list_id=orders["list_id"], raw=orders["raw"], lines=orders["packed"],
            changes=orders["changes"], inside=orders["inside"],
        )  # fmt: skip
        batch_records = PACKED_RECORDS if orders["packed"] else BATCH_RECORDS
        batch_bytes, linger_s = BATCH_BYTES, None
        if orders["objects"]:
            batch_records, batch_bytes, linger_s = OBJECTS_RECORDS, OBJECTS_BYTES, OBJECTS_LINGER_S
        if durability == "strict":
            batch_records = 1
        WriterProcess(
            engine, committer, ledger, run=orders["run"], batch_records=batch_records, batch_bytes=batch_bytes,
            linger_s=linger_s,
        ).serve()  # fmt: skip


def _is_awaited(message: Message) -> bool:
    """Whether somebody waits for it to be on disk: before a call goes out that may not be repeated, or at the end."""
    return isinstance(message, Moved) or (isinstance(message, Sent) and not message.again)


def _size(message: Message) -> int:
    return len(message.body) if isinstance(message, Put) and message.body is not None else 0
