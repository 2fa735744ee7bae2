"""A connection as the server's side holds it: read requests, send bytes, end it in a chosen way. Knows no behaviour."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.hostile.behaviour import End

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

RESETTING: Final = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: close() sends RST


KEYS: Final = re.compile(r"[?&](?:key|api_key)=[^&]*")
"""What a crawl with secrets adds to a query: no behaviour is about it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came. headers: names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Peer:
    """One connection. number: 1 for the behaviour's first one. urls: of every behaviour, by name."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        name: str,
        number: int,
        urls: Mapping[str, str],
    ) -> None:
        self.name = name
        self.number = number
        self.urls = urls
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=1, low=0)  # drain() returns when all is on its way

    async def request(self) -> Request:
        """The next request, whole. Raises asyncio.IncompleteReadError when the client has left."""
        raw = await self._reader.readuntil(b"\r\n\r\n")
        start, *lines = raw.decode("latin-1").rstrip().split("\r\n")
        method, target, _ = start.split(" ")
        fields = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return Request(method, KEYS.sub("", target), headers, body)

    async def requests(self) -> AsyncIterator[Request]:
        """Every request until the client leaves."""
        while True:
            try:
                yield await self.request()
            except asyncio.IncompleteReadError:
                return

    async def read(self, size: int) -> bytes:
        """Raises asyncio.IncompleteReadError when the client has left."""
        return await self._reader.readexactly(size)

    async def send(self, data: bytes) -> None:
        """Raises OSError when the client has left."""
        if self._writer.is_closing():  # write() would only log it
            raise ConnectionResetError
        self._writer.write(data)
        await self._writer.drain()
        await asyncio.sleep(0)  # drain() may return at once; the loop's turn tells that the client has left

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def end(self, how: End) -> None:
        transport = self._writer.transport
        match how:
            case End.FIN:
                self._writer.close()
                await self._writer.wait_closed()
            case End.VANISH:
                transport.abort()
            case End.RESET:
                if (connection := transport.get_extra_info("socket")) is not None:  # None: the client was faster
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETTING)
                transport.abort()
            case End.HANG:
                while await self._reader.read(65536):
                    pass
