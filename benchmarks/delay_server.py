"""`python -m benchmarks.delay_server`: one body for every request, after a delay. As little CPU as can be.

For GET requests of clients that behave: no bodies, no errors, and a connection is the client's to close. Ends with
its stdin. The demo's API does much more for each call: with 500 connections and 100 ms, one process of it came to
4,400 calls a second, all that a core gives, where two of these came to 14,000 with 2,000 connections.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
from importlib.util import find_spec
from typing import Final, cast

from crawler.demo.bodies import item_body

BACKLOG: Final = 1024  # a client opens all its connections at once
OPEN_FILES: Final = 4096  # 500 workers, and those of a client that opens a connection for each call
END_OF_HEAD: Final = b"\r\n\r\n"


class Delayed(asyncio.Protocol):
    """A connection. Requests are counted by their ends."""

    def __init__(self, answer: bytes, delay_s: float) -> None:
        self._answer, self._delay_s = answer, delay_s
        self._unread = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *heads, self._unread = (self._unread + data).split(END_OF_HEAD)
        for _ in heads:
            if self._delay_s:
                self._loop.call_later(self._delay_s, self._send)
            else:
                self._send()

    def _send(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._answer)


def answer_of(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve(*, port: int, delay_s: float) -> None:
    """port: 0 takes a free one; the same port may be given to several processes, which share its connections."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), stopped.set)  # a pipe that nobody writes to: readable at its end
    answer = answer_of(item_body("1"))
    server = await loop.create_server(
        lambda: Delayed(answer, delay_s), "127.0.0.1", port, backlog=BACKLOG, reuse_port=True
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delay_server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=int, default=0)
    args = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard) if hard >= 0 else OPEN_FILES, hard))
    serving = serve(port=args.port, delay_s=args.latency_ms / 1000)
    if find_spec("uvloop"):
        import uvloop  # noqa: PLC0415  # not for every system

        uvloop.run(serving)
    else:
        asyncio.run(serving)


if __name__ == "__main__":
    main()
