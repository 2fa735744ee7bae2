"""A server that holds what it is asked until enough is held, then lets all of it go; it counts what it saw.

So a limit is seen to be reached, and one request too many is seen too, however fast the machine is: nothing
is answered before the requests that belong together are there. Knows HTTP/1.1 as far as a GET needs it.
`/flaky/...` is answered by 503 the first time, `/moved/...` by a redirect to the last address, `/broken/...` by the
end of the connection; all else by 200.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, cast

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

SETTLE_S: Final = 0.1
"""How long the gate stays closed when enough is held: a request too many, sent with the others, still comes in."""

PATIENCE_S: Final = 100.0
"""When it is still not full then, it never will be: it stays open, and `fillings_left` says that it was not."""

START_S: Final = 120.0
BACKLOG: Final = 1024  # a crawl opens all its connections at once
ADDRESS: Final = "127.0.0.1"
BODY: Final = b'{"here": true}'
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
HANG_UP: Final = b""
MOVED: Final = b"HTTP/1.1 302 Found\r\nLocation: %s/from%s\r\nContent-Length: 0\r\n\r\n"


class Gate:
    """Serves while it is entered, in a thread of its own.

    full: how many requests open the gate; fillings: how often it is closed again before it stays open.
    addresses: one port on each; an address may come twice. context: for TLS.
    """

    def __init__(
        self,
        *,
        full: int = 1,
        fillings: int = 0,
        addresses: Sequence[str] = (ADDRESS,),
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.origins: list[str] = []
        self.requests: Counter[str] = Counter()
        """Target -> how often it was asked for."""
        self.connections = 0
        """Opened, and where there is TLS with the handshake done."""
        self.peak = 0
        self.peaks: Counter[str] = Counter()
        """The most requests held at once, in all and by the hostname they name."""
        self.fillings_left = fillings
        self._full = full
        self._addresses = addresses
        self._context = context
        self._held: Counter[str] = Counter()
        self._waiting: list[_Connection] = []
        self._given_up = False
        self._patience: asyncio.TimerHandle | None = None
        self._transports: set[asyncio.Transport] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(START_S)
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        servers = []
        for address in self._addresses:
            server = await self._loop.create_server(
                lambda: _Connection(self), address, 0, ssl=self._context, backlog=BACKLOG
            )
            servers.append(server)
            scheme = "https" if self._context else "http"
            self.origins.append(f"{scheme}://{address}:{server.sockets[0].getsockname()[1]}")
        self._started.set()
        await self._stopped.wait()
        for server in servers:
            server.close()
        for transport in list(self._transports):
            transport.abort()

    # What the connections tell

    def opened(self, transport: asyncio.Transport) -> None:
        self.connections += 1
        self._transports.add(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        self._transports.discard(transport)

    def hold(self, connection: _Connection, *, target: str, host: str) -> None:
        """Take a request in; it is answered when the gate opens."""
        self.requests[target] += 1
        self._held[host] += 1
        self.peak = max(self.peak, self._held.total())
        self.peaks[host] = max(self.peaks[host], self._held[host])
        connection.put(self._answer_to(target))
        if self._given_up or not self.fillings_left:
            connection.answer()
            return
        self._waiting.append(connection)
        if self._patience is None:
            self._patience = self._loop.call_later(PATIENCE_S, self._give_up)
        if len(self._waiting) == self._full:
            self._patience.cancel()
            self._loop.call_later(SETTLE_S, self._fill)

    def _answer_to(self, target: str) -> bytes:
        if target.startswith("/flaky/") and self.requests[target] == 1:
            return BUSY
        if target.startswith("/broken/"):
            return HANG_UP
        if target.startswith("/moved/"):
            return MOVED % (self.origins[-1].encode(), target.encode())
        return OK

    def let_go(self, connection: _Connection, *, host: str) -> None:
        """Its request is no longer held: answered, or the client has left."""
        self._held[host] -= 1
        with suppress(ValueError):
            self._waiting.remove(connection)

    def _fill(self) -> None:
        self.fillings_left -= 1
        self._patience = None
        self._open()

    def _give_up(self) -> None:
        self._given_up = True
        self._open()

    def _open(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.answer()


class _Connection(asyncio.Protocol):
    """One client's connection, one request at a time."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._unread = b""
        self._host: str | None = None  # of the request that is held
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._gate.opened(self._transport)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, end, rest = self._unread.partition(b"\r\n\r\n")
        if not end:
            return
        assert not rest, "a request has a body, or follows before the answer"
        self._unread = b""
        start, *fields = head.decode("latin-1").split("\r\n")
        (netloc,) = [field[5:].strip() for field in fields if field[:5].lower() == "host:"]
        self._host = netloc.rpartition(":")[0]
        self._gate.hold(self, target=start.split(" ")[1], host=self._host)

    def put(self, answer: bytes) -> None:
        """What to say when the time comes."""
        self._answer = answer

    def answer(self) -> None:
        """In one go with letting go: the client cannot have its answer while its request still counts."""
        self._let_go()
        if self._answer == HANG_UP:
            self._transport.abort()
        else:
            self._transport.write(self._answer)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._let_go()
        self._gate.closed(self._transport)

    def _let_go(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            self._gate.let_go(self, host=host)
