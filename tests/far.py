"""A server that is far away: a TCP proxy before it, through which answers come late, or not until they are let go."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Final, Self

START_S: Final = 120.0


class Far:
    """Listens while it is entered, in a thread of its own. port: of the server. later_s: by how much answers are late.

    Each part of an answer is late, so those of a TLS handshake are, too. asked_later_s: the same of questions.
    """

    def __init__(self, port: int, *, later_s: float = 0.0, asked_later_s: float = 0.0) -> None:
        self.port = 0
        self.asked = 0
        """Parts of questions that came by."""
        self._server_port = port
        self._later_s, self._asked_later_s = later_s, asked_later_s
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(START_S)
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def hold(self) -> None:
        """Let no answer through, from now on."""
        asyncio.run_coroutine_threadsafe(self._set(held=True), self._loop).result()

    def let_go(self) -> None:
        """Let them through again, and those that were held first."""
        asyncio.run_coroutine_threadsafe(self._set(held=False), self._loop).result()

    async def _set(self, *, held: bool) -> None:
        if held:
            self._open.clear()
        else:
            self._open.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped, self._open = asyncio.Event(), asyncio.Event()
        self._open.set()
        self._pairs: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stopped.wait()
        server.close()
        for pair in self._pairs:
            pair.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = asyncio.create_task(self._pass_on(reader, writer))
        self._pairs.add(pair)
        pair.add_done_callback(self._pairs.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until either end is closed; then the other is, too."""
        with suppress(OSError):  # the server refuses, or an end is gone
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
            asking = asyncio.create_task(self._ask(reader, server_writer))
            try:
                while data := await server_reader.read(1 << 16):
                    await asyncio.sleep(self._later_s)
                    await self._open.wait()
                    writer.write(data)
            finally:
                asking.cancel()
                server_writer.close()
                writer.close()

    async def _ask(self, reader: asyncio.StreamReader, server_writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                self.asked += 1
                await asyncio.sleep(self._asked_later_s)
                server_writer.write(data)
            server_writer.close()
