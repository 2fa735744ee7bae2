"""A server that knows when each request came by the kernel's word, however late it reads it itself.

Owns: sockets with SO_TIMESTAMPNS (socket(7)); where the system has none, the time of reading stands for it. It answers
each GET with 200 at once.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Final, Self

from tests.scripted import BODY

SO_TIMESTAMPNS: Final = 35
"""Of Linux on most machines (asm-generic/socket.h); Python has no name for it."""

TIMESPEC: Final = struct.Struct("qq")

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Stamped:
    """Serves while it is entered, a thread for each connection. times: seconds since 1970, in no order."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        with suppress(OSError):
            self._listening.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # connections inherit it

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._listening.close()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}{path}"

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        unread = b""
        with connection, suppress(OSError):
            while True:
                data, stamps, _, _ = connection.recvmsg(65_536, 256)
                if not data:
                    return
                unread += data
                if unread.endswith(b"\r\n\r\n"):  # one request: the client waits for its answer
                    unread = b""
                    self.times.append(_stamp(stamps))
                    connection.sendall(ANSWER)


def _stamp(stamps: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in stamps:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESPEC.unpack(data)
            return float(seconds + nanoseconds / 1e9)
    return time.time()
