"""HTTP/1.1 on a transport: requests of a connection are answered one after the other, in order.

Owns when bytes go out and when a connection closes. What the answer is, is the App's affair.
"""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from functools import lru_cache
from typing import Final, Protocol, cast

from crawler.demo.messages import Answer, BadRequestError, Ending, Request
from crawler.demo.reader import MAX_BODY_BYTES, MAX_HEAD_BYTES, RequestReader

# Beyond this a client that pipelines without reading is no longer read: one largest request, and one head.
_MAX_UNREAD_BYTES: Final = MAX_BODY_BYTES + MAX_HEAD_BYTES


class App(Protocol):
    """What a Connection tells and asks. Every request answered is ended, exactly once."""

    def opened(self) -> None:
        """Be told of a new connection."""

    def answer(self, request: Request) -> Answer:
        """Take a complete request into account and say what to send. Raises nothing."""

    def ended(self, request: Request, sent: bytes | None) -> None:
        """Be told that the request is no longer held.

        sent: the body that went out; None when the answer was not sent whole.
        """


class Connection(asyncio.Protocol):
    """One client. At most one request is held at a time; later ones wait unparsed."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._reader = RequestReader()
        self._held: Request | None = None
        self._written: bytes | None = None  # the body that waits in the transport for the client to read
        self._timer: asyncio.TimerHandle | None = None
        self._stuck = False
        self._deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # With 0, pause_writing means "not all of it is in the kernel yet": a request is held until it is.
        self._transport.set_write_buffer_limits(high=0)
        self._app.opened()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        if self._held is None:
            self._serve()
        elif not self._deaf and self._reader.unread_bytes > _MAX_UNREAD_BYTES:
            self._deaf = True  # reading goes on until then, or a client that leaves would not be noticed
            self._transport.pause_reading()

    def _serve(self) -> None:
        """Answer what is complete, until an answer has to wait or the connection closes."""
        while self._held is None and not self._transport.is_closing():
            try:
                request = self._reader.next_request()
            except BadRequestError as exc:
                self._refuse(exc)
                return
            if request is None:
                self._await_more()
                return
            self._held = request
            answer = self._app.answer(request)
            if answer.ending is Ending.HANG:
                return
            if answer.delay_s > 0:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(answer.delay_s, self._send_late, request, answer)
            else:
                self._send(request, answer)

    def _await_more(self) -> None:
        if self._reader.wants_continue:
            self._reader.wants_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._deaf:
            self._deaf = False
            self._transport.resume_reading()

    def _send_late(self, request: Request, answer: Answer) -> None:
        self._timer = None
        self._send(request, answer)
        self._serve()

    def _send(self, request: Request, answer: Answer) -> None:
        if answer.ending is Ending.DROP:
            self._end(None)
            self._transport.close()
            return
        body = answer.sent_body(request.method)
        self._transport.write(answer.head(date=_http_date(int(time.time())), close=not request.keep_alive) + body)
        if answer.ending is Ending.CUT:
            self._end(None)
            self._transport.close()
        elif self._stuck:
            self._written = body
        else:
            self._end(body)

    def _end(self, sent: bytes | None) -> None:
        request, self._held = self._held, None
        if request is not None:
            self._app.ended(request, sent)
            if not request.keep_alive:
                self._transport.close()

    def _refuse(self, error: BadRequestError) -> None:
        answer = Answer(status=error.status, body=f"{error}\n".encode(), content_type="text/plain")
        self._transport.write(answer.head(date=_http_date(int(time.time())), close=True) + answer.body)
        self._transport.close()

    def pause_writing(self) -> None:
        self._stuck = True

    def resume_writing(self) -> None:
        self._stuck = False
        body, self._written = self._written, None
        if body is not None:
            self._end(body)
            self._serve()

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._end(None)


@lru_cache(maxsize=1)
def _http_date(second: int) -> bytes:
    """Value of the Date header (RFC 9110, section 6.6.1). second: since the epoch."""
    return formatdate(second, usegmt=True).encode()
