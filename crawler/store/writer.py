"""The engine's end of the writer: records go into a socket, word of what is durable comes back.

All in the event loop's thread, without ever waiting: who puts looks at `full`. What makes records durable
is a process of its own (store.process says why); when it ends too soon, nothing more is acknowledged.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import deque
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from crawler.exceptions import ApiFetchError, StoreError
from crawler.store.ledger import NAME
from crawler.store.messages import About, Answer, Committed, Frames, Message, Moved, Put, Second, Sent, pieces
from crawler.store.process import BATCH_BYTES, BATCH_RECORDS, OBJECTS_BYTES, OBJECTS_RECORDS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from crawler.items import Record, Ticket
    from crawler.store.files import Durability
    from crawler.store.place import Place

QUEUE_RECORDS: Final = 4 * BATCH_RECORDS
QUEUE_BYTES: Final = 4 * BATCH_BYTES
"""What may be on its way to the disk; beyond it the engine waits. Where a batch is an object, two of them."""

SOCKET_BYTES: Final = 4 * 1024 * 1024
"""What the kernel may hold for the writer: a batch of 20 kB bodies. It grants at most net.core.wmem_max."""

FLUSH_S: Final = 0.01
"""How long messages wait for others to go along: each send wakes the process, which costs as much as its row. The
process waits five times as long for a batch to fill."""

FLUSH_BYTES: Final = 128 * 1024
"""Sent at once when so much waits: half of what the kernel takes from most users' sockets."""

SEND_PIECES: Final = 128
"""Pieces of messages in one send, at the most; the system's limit is 1,024 (IOV_MAX)."""

MAIN: Final = "from crawler.store.process import main; main()"


@dataclass(frozen=True, slots=True)
class Orders:
    """What the process is told: see store.commit and store.process. objects: packs that are in an object store."""

    durability: Durability
    run: int
    list_id: int | None
    raw: bool
    levels: int
    packed: bool = False
    objects: bool = False
    changes: bool = False
    inside: bool = False
    ledger: str = NAME

    def at(self, place: Place) -> dict[str, Any]:
        """What the process reads, but for the number of its socket."""
        return {"directory": str(place.directory), "lock": place.fd, **asdict(self)}


class Writer:
    """Starts the process and talks to it.

    acknowledged: called with the records of each commit, [] when it held notes only. ended: called once,
    with the error that ended it, None after `finish`; no StoreError: a bug.
    """

    def __init__(
        self,
        place: Place,
        orders: Orders,
        loop: asyncio.AbstractEventLoop,
        *,
        acknowledged: Callable[[Sequence[Record]], None],
        ended: Callable[[ApiFetchError | None], None],
    ) -> None:
        self._loop = loop
        self._acknowledged = acknowledged
        self._ended = ended
        self._frames = Frames(Answer)
        self._unsent: deque[bytes | memoryview] = deque()
        self._unsent_bytes = 0
        self._flushing: asyncio.Handle | None = None  # soon, by the clock
        self._blocked = False  # until the socket takes more
        self._waiting: deque[tuple[Record | None, Callable[[], None] | None, int]] = deque()
        self._waiting_bytes = 0
        self._most_records = 2 * OBJECTS_RECORDS if orders.objects else QUEUE_RECORDS
        self._most_bytes = 2 * OBJECTS_BYTES if orders.objects else QUEUE_BYTES
        self._finishing = False
        self.error: StoreError | None = None
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        with theirs:
            self._process = spawn(place, orders, theirs.fileno())
        loop.add_reader(self._socket, self._hear)

    @property
    def full(self) -> bool:
        """Whether the engine should wait before it puts more."""
        return len(self._waiting) >= self._most_records or self._waiting_bytes >= self._most_bytes

    @property
    def queued(self) -> int:
        """Records and notes that were put and are not on disk yet."""
        return len(self._waiting)

    @property
    def queued_bytes(self) -> int:
        """Bytes that were put and are not on disk yet."""
        return self._waiting_bytes

    def put(self, record: Record) -> None:
        """Hand a record over. Raises StoreError once the writer has ended."""
        self._send(Put.of(record), record)

    def sent(
        self, ticket: Ticket, *, list_id: int | None, again: bool = False, done: Callable[[], None] | None = None
    ) -> None:
        """Write down that a call is about to go out, or is to go out again; done: called once that is durable.

        Raises as `put` does.
        """
        self._send(Sent.of(ticket, list_id, again=again), None, done)

    def moved(self, rows: list[tuple[int, int | None, int]], *, done: Callable[[], None] | None = None) -> None:
        """Give rows another list and line: (list, line, row) each. Raises as `put` does."""
        self._send(Moved(rows), None, done)

    def second(self, values: Sequence[object]) -> None:
        """Write a row of the timeline. Raises as `put` does."""
        self._send(Second(list(values)), None)

    def about(self, name: str, value: str) -> None:
        """Note what the next run has to know. Raises as `put` does."""
        self._send(About(name, value), None)

    def finish(self) -> None:
        """Say that nothing more will come; `ended` follows when all is durable."""
        self._finishing = True
        if self.error is None and not self._blocked:
            self._flush()

    # The socket

    def _send(self, message: Message, record: Record | None, done: Callable[[], None] | None = None) -> None:
        if self.error is not None:
            raise self.error
        head, body = pieces(message)
        size = len(head) + len(body)
        self._waiting.append((record, done, size))
        self._waiting_bytes += size
        self._unsent.append(head)
        if body:
            self._unsent.append(body)
        self._unsent_bytes += size
        if self._blocked:
            return
        if done is not None or self._unsent_bytes >= FLUSH_BYTES:
            self._flush()
        elif self._flushing is None:
            self._flushing = self._loop.call_later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        while self._unsent:
            sent = self._try_send(list(islice(self._unsent, SEND_PIECES)))
            if not sent:
                break
            self._unsent_bytes -= sent
            while sent:
                first = self._unsent.popleft()
                if len(first) > sent:
                    self._unsent.appendleft(memoryview(first)[sent:])
                sent -= min(len(first), sent)
        if self._unsent and not self._blocked:
            self._loop.add_writer(self._socket, self._flush)
        elif self._blocked and not self._unsent:
            self._loop.remove_writer(self._socket)
        self._blocked = bool(self._unsent)
        if self._finishing and not self._unsent:
            self._socket.shutdown(socket.SHUT_WR)

    def _try_send(self, parts: list[bytes | memoryview]) -> int:
        try:
            return self._socket.sendmsg(parts)
        except BlockingIOError:
            return 0
        except ConnectionError:  # it has ended: `_hear` says why
            return sum(map(len, parts))

    def _hear(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        for answer in self._frames.feed(data):
            if isinstance(answer, Committed):
                self._commit(answer)
            else:
                error = answer.error
                self._end(StoreError(error) if answer.disk else ApiFetchError(f"the writer failed: {error}"))
                return
        if not data:
            whole = self._finishing and not self._waiting
            code = None if whole else self._process.wait()
            self._end(None if whole else StoreError(f"the writer's process ended with exit code {code}"))

    def _commit(self, answer: Committed) -> None:
        records: list[Record] = []
        stored = iter(answer.stored)
        for _ in range(answer.messages):
            record, done, size = self._waiting.popleft()
            self._waiting_bytes -= size
            if record is not None:
                news = next(stored)
                record.location, record.bytes = news.location, news.bytes
                record.sha256, record.file_digest = news.sha256, news.file_digest
                records.append(record)
            if done is not None:
                done()
        self._acknowledged(records)

    def _end(self, error: ApiFetchError | None) -> None:
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self.error = error if isinstance(error, StoreError) else StoreError("the writer has ended")
        self._waiting.clear()
        self._unsent.clear()
        if self._flushing is not None:
            self._flushing.cancel()
        self._process.wait()
        self._ended(error)


def spawn(place: Place, orders: Orders, their_socket: int) -> subprocess.Popen[bytes]:
    """Start the process; its number of their socket, and the locks, are those of ours."""
    # -P: a folder called crawler where the command runs is not this one. The path holds the egg under scrapyd.
    return subprocess.Popen(  # ourselves
        [sys.executable, "-P", "-c", MAIN, json.dumps(orders.at(place) | {"socket": their_socket})],
        stdin=subprocess.DEVNULL,
        pass_fds=(their_socket, *place.held),
        start_new_session=True,  # Ctrl-C is the engine's
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},  # noqa: PTH109
    )
