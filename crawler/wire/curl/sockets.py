"""Which of libcurl's sockets are ready: an epoll of their own where there is one, else the loop's readers.

An epoll of their own is a single reader to the event loop, however many sockets wait. To register a socket
there costs a tenth of the loop's bookkeeping, all that are ready come in one call, and a connection that
rests between two requests may stay registered, since the kernel itself forgets a socket that is closed.
"""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import pycurl

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    Ready = Callable[[int, int], object]
    """Called with a socket's number and what it is ready for, CSELECT_IN and CSELECT_OUT."""


class Sockets(Protocol):
    """What libcurl's socket function is told goes to `watch`."""

    def watch(self, fd: int, what: int) -> None:
        """what: pycurl.POLL_IN, POLL_OUT, POLL_INOUT, or POLL_REMOVE, after which the socket may be closed."""

    def close(self) -> None: ...


class EpollSockets:
    """epoll(7), Linux."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ready: Ready) -> None:
        self._loop = loop
        self._ready = ready
        self._epoll = select.epoll()
        self._wanted: dict[int, int] = {}
        loop.add_reader(self._epoll.fileno(), self._poll)

    def watch(self, fd: int, what: int) -> None:
        if what == pycurl.POLL_REMOVE:
            self._wanted.pop(fd, None)  # it stays registered: most often the next request is its too
            return
        self._wanted[fd] = what
        events = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (select.EPOLLOUT if what & pycurl.POLL_OUT else 0)
        try:
            self._epoll.modify(fd, events)
        except FileNotFoundError:  # a new socket, whatever had that number before
            self._epoll.register(fd, events)

    def _poll(self) -> None:
        for fd, events in self._epoll.poll(0):
            if fd not in self._wanted:  # the other end closed a connection that rests; libcurl sees when it wants it
                with suppress(OSError):
                    self._epoll.unregister(fd)
                continue
            mask = 0
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                mask |= pycurl.CSELECT_IN
            if events & select.EPOLLOUT:
                mask |= pycurl.CSELECT_OUT
            self._ready(fd, mask)

    def close(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()


class LoopSockets:
    """The event loop's readers and writers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ready: Ready) -> None:
        self._loop = loop
        self._ready = ready
        self._watched: dict[int, int] = {}

    def watch(self, fd: int, what: int) -> None:
        loop, before = self._loop, self._watched.get(fd, 0)
        if what == pycurl.POLL_REMOVE:
            self._unwatch(fd)
            return
        self._watched[fd] = what
        if what & pycurl.POLL_IN and not before & pycurl.POLL_IN:
            loop.add_reader(fd, self._ready, fd, pycurl.CSELECT_IN)
        elif before & pycurl.POLL_IN and not what & pycurl.POLL_IN:
            loop.remove_reader(fd)
        if what & pycurl.POLL_OUT and not before & pycurl.POLL_OUT:
            loop.add_writer(fd, self._ready, fd, pycurl.CSELECT_OUT)
        elif before & pycurl.POLL_OUT and not what & pycurl.POLL_OUT:
            loop.remove_writer(fd)

    def _unwatch(self, fd: int) -> None:
        watched = self._watched.pop(fd, 0)
        with suppress(OSError, ValueError):  # libcurl may have closed it
            if watched & pycurl.POLL_IN:
                self._loop.remove_reader(fd)
            if watched & pycurl.POLL_OUT:
                self._loop.remove_writer(fd)

    def close(self) -> None:
        for fd in list(self._watched):
            self._unwatch(fd)


def open_sockets(loop: asyncio.AbstractEventLoop, ready: Ready) -> Sockets:
    """The better of the two that this system has."""
    return EpollSockets(loop, ready) if hasattr(select, "epoll") else LoopSockets(loop, ready)
