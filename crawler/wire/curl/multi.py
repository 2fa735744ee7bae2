"""libcurl's multi socket interface on an asyncio loop: it says which sockets it waits for, the loop says when.

Owns the multi handle and its timer. Knows handles and numbers, nothing of requests.
Source: https://curl.se/libcurl/c/libcurl-multi.html, "multi_socket".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

import pycurl

from crawler.wire.curl.sockets import open_sockets

Done: TypeAlias = Callable[[int, str], None]
"""Called once with libcurl's result code (0: all is well) and its message."""

MULTIPLEX: Final = 2  # CURLPIPE_MULTIPLEX: streams over one connection where HTTP/2 was agreed on


class CurlLoop:
    """Runs transfers of easy handles on the running asyncio loop."""

    def __init__(self, *, connections: int) -> None:
        """connections: how many may be kept open for the next transfer."""
        self._loop = asyncio.get_running_loop()
        self._sockets = open_sockets(self._loop, self._act)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._multi.setopt(pycurl.M_PIPELINING, MULTIPLEX)
        self._done: dict[pycurl.Curl, Done] = {}
        self._soon: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due_s: float | None = None  # libcurl does not say it again, so it must not be lost

    def start(self, handle: pycurl.Curl, done: Done) -> None:
        """Begin the transfer that *handle* is set up for."""
        self._done[handle] = done
        self._multi.add_handle(handle)

    def cancel(self, handle: pycurl.Curl) -> None:
        """Forget a transfer; its handle is free at once, its connection is closed."""
        if self._done.pop(handle, None) is not None:
            self._multi.remove_handle(handle)

    def close(self) -> None:
        """Cancel what runs, close all connections."""
        for handle in list(self._done):
            self.cancel(handle)
        for timer in (self._soon, self._timer):
            if timer is not None:
                timer.cancel()
        self._sockets.close()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, lambda *_: 0)  # what closing says of sockets, nobody hears
        self._multi.close()

    # libcurl's wishes

    def _watch(self, what: int, fd: int, _multi: object, _data: object) -> None:
        self._sockets.watch(fd, what)

    def _set_timer(self, timeout_ms: int) -> None:
        """Note when libcurl wants to be called. Said twice a request: an earlier timer is left to ring in vain."""
        if timeout_ms <= 0:
            self._due_s = None
            if timeout_ms == 0 and self._soon is None:  # not from within this callback: libcurl forbids it
                self._soon = self._loop.call_soon(self._go)
            return
        self._due_s = self._loop.time() + timeout_ms / 1000
        if self._timer is not None:
            if self._timer.when() <= self._due_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due_s, self._ring)

    # The loop's news

    def _ring(self) -> None:
        self._timer = None
        if self._due_s is None:
            return
        if self._due_s > self._loop.time():
            self._timer = self._loop.call_at(self._due_s, self._ring)
            return
        self._due_s = None
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _go(self) -> None:
        self._soon = None
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, fd: int, events: int) -> None:
        self._multi.socket_action(fd, events)
        left = 1
        while left:
            left, succeeded, failed = self._multi.info_read()
            for handle in succeeded:
                self._finish(handle, 0, "")
            for handle, code, message in failed:  # it may quote what the server sent: bytes, escapes of terminals
                self._finish(handle, code, message.encode("unicode_escape").decode("ascii"))

    def _finish(self, handle: pycurl.Curl, code: int, message: str) -> None:
        self._multi.remove_handle(handle)
        done = self._done.pop(handle, None)
        if done is not None:
            done(code, message)
