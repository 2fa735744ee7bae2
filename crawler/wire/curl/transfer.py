"""One request on the wire: what arrives is collected, measured against the limits, and made a response.

Owns one easy handle for as long as the transfer lasts. Callbacks run inside libcurl: they must not raise,
so what goes wrong there is kept and raised when the transfer has ended.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from scrapy import signals
from scrapy.exceptions import ResponseDataLossError, StopDownload
from twisted.python.failure import Failure

from crawler.wire.curl.failures import BadResponseError, ResetError, TooLargeError
from crawler.wire.curl.head import Head, parse_head

if TYPE_CHECKING:
    import pycurl
    from scrapy import Request
    from scrapy.crawler import Crawler

    from crawler.addresses import Attempt
    from crawler.wire.curl.flow import Flow

logger = logging.getLogger(__name__)

ABORT: Final = -1  # what a callback returns to end the transfer
PAUSE: Final = 0x10000001  # CURL_WRITEFUNC_PAUSE: the same piece again, later

DATA_LOSS: Final = (18, 55, 56, 92)
"""Codes after which what has come may be asked for with DOWNLOAD_FAIL_ON_DATALOSS=False: cut, or broken off."""

SMALL_BYTES: Final = 1024
"""A piece that is smaller than this joins the one before: a byte as an object takes 50, and a server may send every
byte as a chunk of its own."""

JOINED_BYTES: Final = 64 * 1024
"""How large they grow together: what is added costs a copy now and then."""

NO_BODY: Final = frozenset({204, 304})
"""Statuses whose Content-Length, if there is one, says nothing of what follows (RFC 9112, section 6.3)."""


class Inbox:
    """What the callbacks of a handle fill, from one transfer to the next: to set them each time costs 2 % of a call."""

    __slots__ = ("lines", "transfer")

    def __init__(self, handle: pycurl.Curl, write_option: int, header_option: int) -> None:
        self.lines: list[bytes] = []
        self.transfer: Transfer | None = None
        handle.setopt(write_option, self._on_body)
        handle.setopt(header_option, self.lines.append)  # a quarter of the cost of a method of ours, eight times a call

    def _on_body(self, chunk: bytes) -> int | None:
        assert self.transfer is not None
        return self.transfer.on_body(chunk)


class Transfer:
    """Collects one response. max_bytes, warn_bytes: 0 for no limit. listen: which of the two signals is read."""

    __slots__ = (
        "_announced", "_crawler", "_flow", "_head", "_listens", "_max_bytes", "_request", "_warn_bytes", "attempt",
        "broken", "chunks", "handle", "lines", "size", "stop", "timeout_ms",
    )  # fmt: skip

    def __init__(
        self, crawler: Crawler, request: Request, flow: Flow, *, max_bytes: int, warn_bytes: int, timeout_ms: int,
        listens: tuple[bool, bool],
    ) -> None:  # fmt: skip
        self._crawler = crawler
        self._request = request
        self._max_bytes = max_bytes
        self._warn_bytes = warn_bytes
        self._flow = flow
        self.timeout_ms = timeout_ms
        self.handle: pycurl.Curl | None = None
        self._listens = listens  # to headers_received, to bytes_received
        self._head: Head | None = None
        self._announced: int | None = None  # Content-Length, once a body has begun
        self.lines: list[bytes] = []
        self.chunks: list[bytes | bytearray] = []
        self.size = 0
        self.attempt: Attempt | None = None  # to be connected; None while a kept connection serves
        self.stop: StopDownload | None = None
        self.broken: Exception | None = None

    def attach(self, handle: pycurl.Curl, inbox: Inbox, header_option: int) -> None:
        """Have what arrives on *handle* collected here."""
        self.handle = handle
        inbox.transfer = self
        self.lines = inbox.lines
        self.lines.clear()
        if self._listens[0]:
            handle.setopt(header_option, self._on_header)

    @property
    def head(self) -> Head:
        """The final head. Raises ResetError when it is not whole, BadResponseError when it is malformed."""
        if self._head is None:
            try:
                head = parse_head(self.lines)
            except EOFError:
                raise ResetError("the connection ended within the head of the response") from None
            except ValueError as exc:
                raise BadResponseError(f"no head of an HTTP response: {exc}") from exc
            _check_framing(head)
            self._head = head
        return self._head

    @property
    def progress(self) -> int:
        """Grows with whatever arrives; 0 before the first line."""
        return len(self.lines) + self.size

    def release(self) -> None:
        """Hold nothing any more: its handle waits for the next request, and holds this."""
        self.handle = None
        self.chunks = []

    def _on_header(self, line: bytes) -> int | None:
        self.lines.append(line)
        if line not in {b"\r\n", b"\n"} or self._is_interim():
            return None
        head = self._try_head()
        return ABORT if head is None or self._told(signals.headers_received, headers=head.headers) else None

    def _is_interim(self) -> bool:
        start = max(at for at, line in enumerate(self.lines) if line.startswith(b"HTTP/"))
        return self.lines[start].split(b" ")[1][:1] == b"1"

    def on_body(self, chunk: bytes) -> int | None:
        first = not self.chunks
        flow = self._flow
        if flow.held_bytes > flow.few_bytes and not first and not flow.may_go_on(self):
            return PAUSE
        if first or len(chunk) >= SMALL_BYTES:
            self.chunks.append(chunk)
        else:
            self._join(chunk)
        self.size += len(chunk)
        flow.held_bytes += len(chunk)
        if first and not self._announced_fits():
            return ABORT
        if self._max_bytes and self.size > self._max_bytes:
            self._too_large("Received", self.size)
            return ABORT
        if self._warn_bytes and self.size > self._warn_bytes:
            self._warn("Received", self.size)
        if self._listens[1] and self._told(signals.bytes_received, data=chunk):
            return ABORT
        return None

    def _join(self, chunk: bytes) -> None:
        last = self.chunks[-1]
        if isinstance(last, bytearray) and len(last) < JOINED_BYTES:
            last += chunk
        else:
            self.chunks.append(bytearray(chunk))

    def _announced_fits(self) -> bool:
        head = self._try_head()
        if head is None:
            return False
        length = self._announced = head.content_length
        if length is None:
            return True
        if self._max_bytes and length > self._max_bytes:
            self._too_large("Expected to receive", length)
            return False
        if self._warn_bytes and length > self._warn_bytes:
            self._warn("Expected to receive", length)
        return True

    def check_whole(self) -> None:
        """Raise what is wrong with a response that libcurl takes for a whole one.

        It reads a Content-Length beyond 64 bits as none.
        """
        if not self.chunks and self._request.method != "HEAD" and self.head.status not in NO_BODY:
            self._announced_fits()
        if self.broken is not None:
            raise self.broken
        if self._announced is not None and self.size != self._announced:
            raise ResponseDataLossError(f"{self.size} bytes of {self._announced}")

    def _try_head(self) -> Head | None:
        try:
            return self.head
        except (BadResponseError, ResetError) as exc:
            self.broken = exc
            return None

    def _told(self, signal: object, **what: Any) -> bool:
        """Send a signal; whether a receiver wants the download stopped."""
        if signal is signals.headers_received:
            what["body_length"] = self.head.content_length
        results = self._crawler.signals.send_catch_log(
            signal, request=self._request, spider=self._crawler.spider, dont_log=StopDownload, **what
        )
        for receiver, result in results:
            if isinstance(result, Failure) and isinstance(result.value, StopDownload):
                name = getattr(receiver, "__qualname__", receiver)
                logger.debug("Download stopped for %s from signal handler %s", self._request, name)
                self.stop = result.value
                return True
        return False

    def _too_large(self, verb: str, size: int) -> None:
        limit = f"download max size ({self._max_bytes})"
        message = f"{verb} {size} bytes which is larger than {limit} in request {self._request}."
        logger.warning("%s", message)
        self.broken = TooLargeError(message)
        self.chunks.clear()

    def _warn(self, verb: str, size: int) -> None:
        limit, self._warn_bytes = self._warn_bytes, 0  # once
        logger.warning(
            "%s %d bytes which is larger than download warn size (%d) in request %s.", verb, size, limit, self._request
        )

    @property
    def request(self) -> Request:
        return self._request

    @property
    def url(self) -> str:
        return self._request.url

    def lost(self, code: int, message: str) -> ResponseDataLossError | None:
        """The error for a body that was cut, if that is what *code* means."""
        if code not in DATA_LOSS:
            return None
        head = self._try_head()
        return ResponseDataLossError(message) if head is not None and head.status >= 200 else None


def _check_framing(head: Head) -> None:
    """Raise BadResponseError where two readers would see two bodies: smuggling, or a broken server.

    Source: RFC 9112, sections 6.1 and 6.3. No transfer coding but chunked was asked for.
    """
    if not dict.__contains__(head.headers, b"Transfer-Encoding"):  # its own way normalises the name each time
        return
    codings = head.headers.getlist(b"Transfer-Encoding")
    if b"Content-Length" in head.headers:
        raise BadResponseError("Content-Length and Transfer-Encoding in one response")
    if head.protocol == "HTTP/1.0" or b",".join(codings).lower() != b"chunked":
        raise BadResponseError("a Transfer-Encoding that is not chunked alone, in HTTP/1.1")
