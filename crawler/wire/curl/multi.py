"""libcurl's multi socket interface on an asyncio loop: it says which sockets it waits for, the loop says when.

Owns the multi handle and the sockets' registrations. Knows handles and numbers, nothing of requests.
Source: https://curl.se/libcurl/c/libcurl-multi.html, "multi_socket".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

import pycurl

Done: TypeAlias = Callable[[int, str], None]
"""Called once with libcurl's result code (0: all is well) and its message."""

MULTIPLEX: Final = 2  # CURLPIPE_MULTIPLEX: streams over one connection where HTTP/2 was agreed on


class CurlLoop:
    """Runs transfers of easy handles on the running asyncio loop."""

    def __init__(self, *, connections: int) -> None:
        """connections: how many may be kept open for the next transfer."""
        self._loop = asyncio.get_running_loop()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._multi.setopt(pycurl.M_PIPELINING, MULTIPLEX)
        self._done: dict[pycurl.Curl, Done] = {}
        self._watched: dict[int, int] = {}
        self._timer: asyncio.TimerHandle | None = None

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
        if self._timer is not None:
            self._timer.cancel()
        for fd in list(self._watched):
            self._unwatch(fd)
        self._multi.close()

    # libcurl's wishes

    def _watch(self, what: int, fd: int, _multi: object, _data: object) -> None:
        loop, before = self._loop, self._watched.get(fd, 0)
        if what == pycurl.POLL_REMOVE:
            self._unwatch(fd)
            return
        self._watched[fd] = what
        if what & pycurl.POLL_IN and not before & pycurl.POLL_IN:
            loop.add_reader(fd, self._act, fd, pycurl.CSELECT_IN)
        elif before & pycurl.POLL_IN and not what & pycurl.POLL_IN:
            loop.remove_reader(fd)
        if what & pycurl.POLL_OUT and not before & pycurl.POLL_OUT:
            loop.add_writer(fd, self._act, fd, pycurl.CSELECT_OUT)
        elif before & pycurl.POLL_OUT and not what & pycurl.POLL_OUT:
            loop.remove_writer(fd)

    def _unwatch(self, fd: int) -> None:
        watched = self._watched.pop(fd, 0)
        with suppress(OSError, ValueError):  # libcurl may have closed it
            if watched & pycurl.POLL_IN:
                self._loop.remove_reader(fd)
            if watched & pycurl.POLL_OUT:
                self._loop.remove_writer(fd)

    def _set_timer(self, timeout_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if timeout_ms == 0:  # not from within this callback: libcurl forbids it
            self._timer = self._loop.call_soon(self._act, pycurl.SOCKET_TIMEOUT, 0)  # type: ignore[assignment]
        elif timeout_ms > 0:
            self._timer = self._loop.call_later(timeout_ms / 1000, self._act, pycurl.SOCKET_TIMEOUT, 0)

    # The loop's news

    def _act(self, fd: int, events: int) -> None:
        if fd == pycurl.SOCKET_TIMEOUT:
            self._timer = None
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
