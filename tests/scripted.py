"""A server that answers as it is told to, and writes down when what came.

`answer` is asked for each request, in the order in which requests come; it may say anything about it, or hang
up. So a test says what an API does, and looks at what it was sent and when. Knows HTTP/1.1 as far as a client
of calls needs it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self, cast

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

START_S: Final = 120.0
BACKLOG: Final = 1024
ADDRESS: Final = "127.0.0.1"
BODY: Final = b'{"here": true}'

BEAT_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Heard:
    """A request: when its head was there (seconds, monotonic), on which host, what it asked, how often before.

    headers: names in lower case.
    """

    at_s: float
    host: str
    method: str
    path: str
    times: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Says:
    """An answer. after_s: seconds until it is sent. hang_up: close the connection instead."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = BODY
    after_s: float = 0.0
    hang_up: bool = False


OK: Final = Says()
HANG_UP: Final = Says(hang_up=True)


class Scripted:
    """Serves while it is entered, in a thread of its own. addresses: one port on each. context: for TLS."""

    def __init__(
        self, answer: Callable[[Heard], Says], *, addresses: Sequence[str] = (ADDRESS,),
        context: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self.heard: list[Heard] = []
        self.origins: list[str] = []
        self.held: Counter[str] = Counter()
        """How many requests have no answer yet, by the host they name; whoever has left is not counted."""
        self.late_s = 0.0
        """By how much the server itself was late, at most: what it heard at once may have been sent so far apart."""
        self._answer = answer
        self._addresses = addresses
        self._context = context
        self._times: dict[tuple[str, str], int] = {}
        self._started = threading.Event()
        self._transports: set[asyncio.Transport] = set()
        self._servers: list[asyncio.Server] = []
        self._coming_back: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(START_S)
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def url(self, path: str, origin: int = 0) -> str:
        return self.origins[origin] + path

    def times(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(heard.path == path for heard in self.heard)

    def at_s(self, path: str) -> list[float]:
        """When, in order."""
        return [heard.at_s for heard in self.heard if heard.path == path]

    def refuse(self, for_s: float) -> None:
        """Have connections refused for so long, and break those there are; called in the server's own thread."""
        self._break_off()
        self._coming_back = asyncio.create_task(self._come_back(for_s))

    async def _come_back(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        ports = [int(origin.rpartition(":")[2]) for origin in self.origins]
        self._servers = [await self._listen(*where) for where in zip(self._addresses, ports, strict=True)]

    async def _listen(self, address: str, port: int = 0) -> asyncio.Server:
        return await self._loop.create_server(
            lambda: _Connection(self), address, port, ssl=self._context, backlog=BACKLOG
        )

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._servers = [await self._listen(address) for address in self._addresses]
        ports = [server.sockets[0].getsockname()[1] for server in self._servers]
        scheme = "https" if self._context else "http"
        self.origins += [f"{scheme}://{address}:{port}" for address, port in zip(self._addresses, ports, strict=True)]
        self._started.set()
        beating = asyncio.create_task(self._beat())
        await self._stopped.wait()
        beating.cancel()
        if self._coming_back is not None:
            self._coming_back.cancel()
        self._break_off()

    def _break_off(self) -> None:
        for server in self._servers:
            server.close()
        for transport in list(self._transports):
            transport.abort()

    async def _beat(self) -> None:
        while True:
            due_s = time.monotonic() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self.late_s = max(self.late_s, time.monotonic() - due_s)

    def say(self, host: str, method: str, path: str, headers: Mapping[str, str]) -> Says:
        times = self._times[host, path] = self._times.get((host, path), 0) + 1
        heard = Heard(time.monotonic(), host, method, path, times, headers)
        self.heard.append(heard)
        return self._answer(heard)


class _Connection(asyncio.Protocol):
    """One client's connection, one request at a time."""

    def __init__(self, server: Scripted) -> None:
        self._server = server
        self._unread = b""
        self._host: str | None = None  # of the request that is held

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server._transports.add(self._transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._server._transports.discard(self._transport)
        self._let_go()

    def eof_received(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            self._server.held[host] -= 1

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, end, rest = self._unread.partition(b"\r\n\r\n")
        if not end:
            return
        start, *fields = head.decode("latin-1").split("\r\n")
        named = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        if len(rest) < int(named.get("content-length", 0)):
            return
        self._unread = b""
        method, path, _ = start.split(" ")
        host = self._host = named["host"].rpartition(":")[0]
        self._server.held[host] += 1
        says = self._server.say(host, method, path, named)
        if says.after_s:
            asyncio.get_running_loop().call_later(says.after_s, self._send, says)
        else:
            self._send(says)

    def _send(self, says: Says) -> None:
        self._let_go()  # before the client can have its answer
        if says.hang_up:
            self._transport.abort()
            return
        named = {"Content-Type": "application/json", "Content-Length": str(len(says.body)), **says.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self._transport.write(f"HTTP/1.1 {says.status} Said\r\n{head}\r\n".encode("latin-1") + says.body)
